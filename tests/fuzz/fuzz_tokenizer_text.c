/* fuzz_tokenizer_text.c -- any bytes as text, for the tokenizers of
 * tests/oracle/tokenizer: what is encoded decodes to the same bytes, and the
 * stream of its text is UTF-8 however it is cut.  Run from the root. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/utf8.h"
#include "model/text/detok.h"
#include "model/text/stop.h"
#include "model/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct tokenizer *load(const char *path)
{
    static char text[1 << 20];
    struct tokenizer *t;
    struct err err;
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        abort();
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    if (tokenizer_parse(&t, text, n, NULL, 0, &err) != 0)
        abort();
    return t;
}

static void put(struct detok *d, struct stop *s, const char *bytes, size_t n,
                struct buf *out)
{
    static char text[DETOK_ROOM(4096)], safe[DETOK_ROOM(4096) + 64];
    size_t len = detok_push(d, bytes, n, text);
    assert(utf8_valid(text, len));
    len = stop_push(s, text, len, safe);
    buf_put(out, safe, len);
}

/* The ids' text through both streams. */
static void stream(const struct tokenizer *t, const struct stop_set *set,
                   const token_id *ids, size_t n_ids, bool bytewise,
                   struct buf *out)
{
    struct detok d;
    struct stop s;
    char last[64];
    detok_init(&d);
    stop_init(&s, set);
    for (size_t i = 0; i < n_ids; i++) {
        size_t len;
        const char *bytes = tokenizer_token_bytes(t, ids[i], &len);
        for (size_t k = 0; bytewise && k < len; k++)
            put(&d, &s, bytes + k, 1, out);
        if (!bytewise)
            put(&d, &s, bytes, len, out);
    }
    char end[3], safe[64];
    size_t len = detok_finish(&d, end);
    buf_put(out, safe, stop_push(&s, end, len, safe));
    buf_put(out, last, stop_finish(&s, last));
}

static void check(const struct tokenizer *t, const struct stop_set *set,
                  const char *text, size_t n, unsigned flags)
{
    token_id *ids;
    size_t n_ids;
    struct err err;
    struct buf back = {0}, a = {0}, b = {0};
    if (tokenizer_encode(t, text, n, flags, &ids, &n_ids, &err) != 0)
        abort();
    for (size_t i = 0; i < n_ids; i++) {
        size_t len;
        const char *bytes = tokenizer_token_bytes(t, ids[i], &len);
        assert(flags & TOKENIZE_SPECIAL || !tokenizer_is_special(t, ids[i]));
        buf_put(&back, bytes, len);
    }
    assert(back.len == n && (n == 0 || memcmp(back.data, text, n) == 0));
    stream(t, set, ids, n_ids, false, &a);
    stream(t, set, ids, n_ids, true, &b);
    assert(a.len == b.len && strcmp(buf_str(&a), buf_str(&b)) == 0);
    buf_deinit(&back);
    buf_deinit(&a);
    buf_deinit(&b);
    mem_free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct tokenizer *lfm2, *lfm25;
    static struct stop_set set;
    static struct arena *volatile arena; /* kept, so that it is no leak */
    static const char *const stops[] = {"aba", "\n\n", "ab\n", "\xEF\xBF\xBD!"};
    if (lfm2 == NULL) {
        lfm2 = load("tests/oracle/tokenizer/lfm2.json");
        lfm25 = load("tests/oracle/tokenizer/lfm25.json");
        arena = arena_new(0);
        if (stop_set_init(&set, arena, stops, 4, true, NULL) != 0)
            abort();
    }
    for (unsigned flags = 0; flags < 2; flags++) {
        check(lfm2, &set, (const char *)data, n, flags);
        check(lfm25, &set, (const char *)data, n, flags);
    }
    return 0;
}
