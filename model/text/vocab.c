/* vocab.c -- see vocab.h.
 *
 * The table of pieces is open addressing with linear probing, at most half
 * full; its hash is seeded with nothing secret because its keys come from the
 * model's own file, which bounds how many there are. */
#include "model/text/vocab.h"

#include <stdbool.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/hash.h"
#include "model/base/utf8.h"

int vocab_init(struct vocab *v, uint32_t n_tokens, uint32_t cap_bytes,
               struct err *err)
{
    memset(v, 0, sizeof *v);
    v->tokens = mem_calloc(n_tokens, sizeof *v->tokens);
    v->bytes = mem_alloc(cap_bytes);
    if (v->tokens == NULL || v->bytes == NULL) {
        vocab_deinit(v);
        return err_nomem(err, "the vocabulary");
    }
    v->n_tokens = n_tokens;
    v->cap_bytes = cap_bytes;
    return 0;
}

void vocab_deinit(struct vocab *v)
{
    mem_free(v->tokens);
    mem_free(v->bytes);
    mem_free(v->slots);
    memset(v, 0, sizeof *v);
}

void vocab_put(struct vocab *v, token_id id, const char *bytes, uint32_t n,
               uint8_t flags)
{
    struct vocab_token *t = &v->tokens[id];
    t->at = v->n_bytes;
    t->n = n;
    t->flags = flags;
    memcpy(v->bytes + v->n_bytes, bytes, n);
    v->n_bytes += n;
    if (n > v->max_token_bytes)
        v->max_token_bytes = n;
}

static bool same(const struct vocab *v, token_id id, const char *bytes,
                 size_t n)
{
    const struct vocab_token *t = &v->tokens[id];
    return t->n == n && memcmp(v->bytes + t->at, bytes, n) == 0;
}

/* The slot that holds these bytes, or the empty one where they belong. */
static uint32_t slot_of(const struct vocab *v, const char *bytes, size_t n)
{
    uint32_t i = (uint32_t)hash_bytes(bytes, n, 0) & v->mask;
    while (v->slots[i] != TOKEN_NONE && !same(v, v->slots[i], bytes, n))
        i = (i + 1) & v->mask;
    return i;
}

int vocab_index(struct vocab *v, struct err *err)
{
    uint32_t size = 16;
    while (size < 2 * v->n_tokens)
        size *= 2;
    v->slots = mem_alloc(size * sizeof *v->slots);
    if (v->slots == NULL)
        return err_nomem(err, "the vocabulary's index");
    for (uint32_t i = 0; i < size; i++)
        v->slots[i] = TOKEN_NONE;
    v->mask = size - 1;
    for (uint32_t id = 0; id < v->n_tokens; id++) {
        const struct vocab_token *t = &v->tokens[id];
        if (t->flags & VOCAB_PIECE && t->n > 0)
            v->slots[slot_of(v, v->bytes + t->at, t->n)] = (token_id)id;
    }
    return 0;
}

token_id vocab_find(const struct vocab *v, const char *bytes, size_t n)
{
    if (n == 0 || n > v->max_token_bytes)
        return TOKEN_NONE;
    return v->slots[slot_of(v, bytes, n)];
}

/* The alphabet: a printable byte of Latin-1 is itself, the k-th other byte is
 * U+0100 + k.  The others are 00-20, 7F-A0 and AD. */
static int byte_of(uint32_t c)
{
    if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD))
        return (int)c;
    if (c < 0x100 || c > 0x143)
        return -1;
    c -= 0x100;
    if (c <= 0x20)
        return (int)c;
    return c <= 0x42 ? (int)(0x7F + c - 0x21) : 0xAD;
}

long vocab_spelled(const char *key, size_t n, char *out)
{
    long len = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int step = utf8_decode(key + i, n - i, &c);
        int byte = step > 0 ? byte_of(c) : -1;
        if (byte < 0)
            return -1;
        out[len++] = (char)byte;
        i += (size_t)step;
    }
    return len;
}
