/* form.c -- what the forms of streams share; see form.h. */
#include "api/form.h"

#include "api/answer/answer_render.h"
#include "api/turn_state.h"
#include "server/http/sse.h"

void form_frame(struct turn *t, const char *event)
{
    if (!buf_ok(&t->json))
        t->out.failed = true;
    else
        sse_named_event(&t->out, event, buf_str(&t->json), t->json.len);
    buf_clear(&t->json);
}

void form_say_done(struct turn *t, const char *object)
{
    struct writer w;
    if (t->answer.include_usage) {
        writer_init(&w, &t->json);
        answer_usage_chunk(&w, &t->answer, object);
        form_frame(t, NULL);
    }
    buf_puts(&t->out, SSE_DONE);
}
