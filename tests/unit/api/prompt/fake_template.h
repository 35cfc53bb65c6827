/* fake_template.h -- a template that shows its context instead of rendering.
 *
 * Stands in for model/template in tests of what is given to it; linked first,
 * so the real one is not.  With `chatml` it writes ChatML, which is enough to
 * have a prompt. */
#ifndef LFMD_TESTS_UNIT_API_FAKE_TEMPLATE_H
#define LFMD_TESTS_UNIT_API_FAKE_TEMPLATE_H

#include "model/template/template.h"

struct template
{
    bool knows_calls;      /* it mentions tool_calls */
    const char *chatml;    /* written at the end of ChatML; NULL: JSON */
    const char *exception; /* fail with this */
};

bool template_mentions(const struct template *t, const char *name)
{
    return t->knows_calls && strcmp(name, "tool_calls") == 0;
}

int template_render(const struct template *t, json_t *context,
                    const struct template_limits *limits, struct buf *out,
                    struct err *err)
{
    size_t i;
    json_t *m;
    (void)limits;
    if (t->exception != NULL)
        return err_set(err, ERR_INVALID, "%s", t->exception);
    if (t->chatml == NULL) {
        json_write(out, context, false);
        return buf_ok(out) ? 0 : err_nomem(err, "x");
    }
    buf_puts(out, json_string_value(json_object_get(context, "bos_token")));
    json_array_foreach(json_object_get(context, "messages"), i, m)
        buf_printf(out, "<|im_start|>%s\n%s<|im_end|>\n",
                   json_string_value(json_object_get(m, "role")),
                   json_string_value(json_object_get(m, "content")));
    buf_puts(out, t->chatml);
    return buf_ok(out) ? 0 : err_nomem(err, "x");
}

#endif
