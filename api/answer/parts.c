/* parts.c -- see parts.h. */
#include "api/answer/parts.h"

#include <string.h>

#include "model/base/alloc.h"

void parts_deinit(struct parts *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        buf_deinit(&p->items[i].bytes);
        buf_deinit(&p->items[i].name);
    }
    mem_free(p->items);
    *p = (struct parts){0};
}

static struct part *add_part(struct parts *p, enum part_kind kind)
{
    if (p->n == p->room) {
        uint32_t room = p->room == 0 ? 2 : 2 * p->room;
        struct part *items = mem_realloc_array(p->items, room, sizeof *items);
        if (items == NULL) {
            p->failed = true;
            return NULL;
        }
        p->items = items;
        p->room = room;
    }
    struct part *part = &p->items[p->n++];
    *part = (struct part){.kind = kind};
    return part;
}

static void put(struct parts *p, enum part_kind kind, const char *bytes,
                size_t n)
{
    struct part *last = p->n > 0 ? &p->items[p->n - 1] : NULL;
    if (n == 0)
        return;
    if (last == NULL || last->kind != kind)
        last = add_part(p, kind);
    if (last != NULL)
        buf_put(&last->bytes, bytes, n);
}

void parts_text(struct parts *p, const char *bytes, size_t n)
{
    put(p, PART_TEXT, bytes, n);
}

static void begin_call(struct parts *p, const char *name, size_t n)
{
    struct part *part = add_part(p, PART_CALL);
    if (part == NULL)
        return;
    ids_new(part->id, p->call_prefix != NULL ? p->call_prefix : IDS_CALL);
    buf_put(&part->name, name, n);
    part->number = p->n_calls++;
}

void parts_speech(struct parts *p, enum speech_kind kind, const char *bytes,
                  size_t n)
{
    switch (kind) {
    case SPEECH_TEXT:
        put(p, PART_TEXT, bytes, n);
        break;
    case SPEECH_REASONING:
        put(p, PART_REASONING, bytes, n);
        break;
    case SPEECH_CALL_BEGIN:
        begin_call(p, bytes, n);
        break;
    case SPEECH_CALL_ARGS:
        if (!p->failed) /* else its call may not be there */
            buf_put(&p->items[p->n - 1].bytes, bytes, n);
        break;
    case SPEECH_CALL_END:
        break;
    }
}

bool parts_ok(const struct parts *p)
{
    for (uint32_t i = p->first_new; i < p->n; i++)
        if (!buf_ok(&p->items[i].bytes) || !buf_ok(&p->items[i].name))
            return false;
    return !p->failed;
}

bool parts_have(const struct parts *p, enum part_kind kind)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->items[i].kind == kind)
            return true;
    return false;
}

static bool is_news(const struct part *part)
{
    return part->bytes.len > part->n_told || !part->begun;
}

bool parts_have_news_of(const struct parts *p, enum part_kind kind)
{
    for (uint32_t i = p->first_new; i < p->n; i++)
        if (p->items[i].kind == kind && is_news(&p->items[i]))
            return true;
    return false;
}

bool parts_have_news(const struct parts *p)
{
    for (uint32_t i = p->first_new; i < p->n; i++)
        if (is_news(&p->items[i]))
            return true;
    return false;
}

static void join(const struct parts *p, enum part_kind kind, uint32_t from,
                 bool news, struct buf *out)
{
    for (uint32_t i = from; i < p->n; i++) {
        const struct part *part = &p->items[i];
        const size_t at = news ? part->n_told : 0;
        if (part->kind == kind && part->bytes.len > at)
            buf_put(out, part->bytes.data + at, part->bytes.len - at);
    }
}

void parts_join(const struct parts *p, enum part_kind kind, struct buf *out)
{
    join(p, kind, 0, false, out);
}

void parts_join_news(const struct parts *p, enum part_kind kind,
                     struct buf *out)
{
    join(p, kind, p->first_new, true, out);
}

void parts_told(struct parts *p, bool forget)
{
    for (uint32_t i = p->first_new; i < p->n; i++) {
        struct part *part = &p->items[i];
        part->begun = true;
        if (forget)
            buf_clear(&part->bytes);
        part->n_told = part->bytes.len;
    }
    if (p->n > 0)
        p->first_new = p->n - 1;
}

void parts_call_ids(const struct parts *p, struct buf *out)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->items[i].kind == PART_CALL)
            buf_put(out, p->items[i].id, IDS_BYTES);
}
