/* responses_logprobs.c -- see responses_logprobs.h. */
#include "api/answer/responses_logprobs.h"

#include "model/base/alloc.h"

void responses_logprobs_deinit(struct responses_logprobs *l)
{
    buf_deinit(&l->waiting.content);
    for (uint32_t i = 0; i < l->n; i++)
        buf_deinit(&l->texts[i].list);
    mem_free(l->texts);
    *l = (struct responses_logprobs){0};
}

struct text_logprobs *responses_logprobs_of(struct responses_logprobs *l,
                                            uint32_t part)
{
    for (uint32_t i = l->n; i-- > 0;)
        if (l->texts[i].part == part)
            return &l->texts[i];
    return NULL;
}

static struct text_logprobs *add_text(struct responses_logprobs *l,
                                      uint32_t part)
{
    if (l->n == l->room) {
        uint32_t room = l->room == 0 ? 2 : 2 * l->room;
        struct text_logprobs *texts =
            mem_realloc_array(l->texts, room, sizeof *texts);
        if (texts == NULL)
            return NULL;
        l->texts = texts;
        l->room = room;
    }
    l->texts[l->n] = (struct text_logprobs){.part = part};
    return &l->texts[l->n++];
}

static void give(struct responses_logprobs *l, uint32_t part)
{
    const struct buf *waiting = &l->waiting.content;
    struct text_logprobs *text = responses_logprobs_of(l, part);
    if (text == NULL)
        text = add_text(l, part);
    if (text == NULL) {
        l->failed = true;
        return;
    }
    if (text->list.len > 0)
        buf_putc(&text->list, ',');
    buf_put(&text->list, waiting->data, waiting->len);
    l->failed = l->failed || !buf_ok(&text->list);
}

void responses_logprobs_settle(struct responses_logprobs *l,
                               const struct parts *p)
{
    const struct part *last = p->n > 0 ? &p->items[p->n - 1] : NULL;
    const size_t n_bytes = last != NULL ? last->bytes.len : 0;
    l->failed = l->failed || !buf_ok(&l->waiting.content);
    if (p->n == l->n_parts && n_bytes == l->n_bytes)
        return; /* nothing was said: they go on waiting */
    l->n_parts = p->n;
    l->n_bytes = n_bytes;
    if (last->kind == PART_TEXT && l->waiting.content.len > 0)
        give(l, p->n - 1);
    buf_clear(&l->waiting.content);
}
