/* tokenizer_source.c -- see tokenizer_source.h. */
#include "model/tokenizer_source.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/text/tokenizer_lists.h"

#define KEY "tokenizer.ggml."

static int absent(struct err *err, const char *key)
{
    return err_set(err, ERR_FORMAT, "%s is missing", key);
}

static int need_text(const struct gguf *g, const char *key,
                     struct tokenizer_piece *out, struct err *err)
{
    struct gguf_text text = {0};
    int found = gguf_text(g, key, &text, err);
    if (found < 0)
        return found;
    *out = (struct tokenizer_piece){text.bytes, text.n};
    return found ? 0 : absent(err, key);
}

/* An array of strings, of at most `most`; *out is the caller's. */
static int read_pieces(const struct gguf *g, const char *key, uint32_t most,
                       struct tokenizer_piece **out, uint32_t *n,
                       struct err *err)
{
    struct gguf_texts it;
    int found = gguf_texts(g, key, &it, err);
    if (found < 0)
        return found;
    if (found == 0)
        return absent(err, key);
    if (it.n > most)
        return err_set(err, ERR_LIMIT,
                       "%s holds %llu strings, at most %u are accepted", key,
                       (unsigned long long)it.n, (unsigned)most);
    struct tokenizer_piece *list = mem_calloc((size_t)it.n, sizeof *list);
    if (list == NULL)
        return err_nomem(err, "the tokenizer");
    struct gguf_text text;
    uint32_t i = 0;
    while (i < it.n && gguf_texts_next(&it, &text))
        list[i++] = (struct tokenizer_piece){text.bytes, text.n};
    *out = list;
    *n = i;
    return 0;
}

/* token_type, as long as the tokens are; *out stays NULL when there is none. */
static int read_types(const struct gguf *g, uint32_t n_tokens, uint32_t **out,
                      struct err *err)
{
    static const char key[] = KEY "token_type";
    uint64_t n = 0;
    enum gguf_type of;
    int found = gguf_array(g, key, &n, &of, err);
    if (found <= 0)
        return found;
    if (n != n_tokens)
        return err_set(err, ERR_FORMAT,
                       "%s has %llu entries, but there are %u tokens", key,
                       (unsigned long long)n, (unsigned)n_tokens);
    uint32_t *types = mem_calloc(n_tokens, sizeof *types);
    if (types == NULL)
        return err_nomem(err, "the tokenizer");
    int rc = gguf_u32s(g, key, types, n, err);
    if (rc < 0)
        mem_free(types);
    else
        *out = types;
    return rc < 0 ? rc : 0;
}

static int read_id(const struct gguf *g, const char *key, token_id *out,
                   struct err *err)
{
    uint32_t id = 0;
    int found = gguf_u32(g, key, &id, err);
    if (found <= 0)
        return found;
    /* -1 as a u32 is how converters write "none". */
    *out = id <= INT32_MAX ? (token_id)id : TOKEN_NONE;
    return 0;
}

static int read_ends(const struct gguf *g, struct tokenizer_lists *l,
                     struct err *err)
{
    l->bos = l->eos = TOKEN_NONE;
    l->add_bos = true;
    int rc = read_id(g, KEY "bos_token_id", &l->bos, err);
    if (rc >= 0)
        rc = read_id(g, KEY "eos_token_id", &l->eos, err);
    if (rc >= 0)
        rc = gguf_bool(g, KEY "add_bos_token", &l->add_bos, err);
    if (rc >= 0)
        rc = gguf_bool(g, KEY "add_eos_token", &l->add_eos, err);
    return rc < 0 ? rc : 0;
}

static int check_model(const struct gguf *g, struct err *err)
{
    struct tokenizer_piece kind = {0};
    int rc = need_text(g, KEY "model", &kind, err);
    if (rc != 0)
        return rc;
    if (kind.n == 4 && memcmp(kind.bytes, "gpt2", 4) == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   KEY "model is \"%.*s\", expected gpt2 (byte-level BPE)",
                   kind.n < 60 ? (int)kind.n : 60, kind.bytes);
}

int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g,
                        struct err *err)
{
    struct tokenizer_lists l = {0};
    struct tokenizer_piece *tokens = NULL, *merges = NULL;
    uint32_t *types = NULL;
    *out = NULL;
    int rc = check_model(g, err);
    if (rc == 0)
        rc = need_text(g, KEY "pre", &l.pre, err);
    if (rc == 0)
        rc = read_pieces(g, KEY "tokens", TOKENIZER_MAX_TOKENS, &tokens,
                         &l.n_tokens, err);
    if (rc == 0)
        rc = read_types(g, l.n_tokens, &types, err);
    if (rc == 0)
        rc = read_pieces(g, KEY "merges", TOKENIZER_MAX_MERGES, &merges,
                         &l.n_merges, err);
    if (rc == 0)
        rc = read_ends(g, &l, err);
    if (rc == 0) {
        l.tokens = tokens;
        l.types = types;
        l.merges = merges;
        rc = tokenizer_from_lists(out, &l, err);
        if (rc != 0 && rc != -ERR_NOMEM)
            rc = err_wrap(err, "tokenizer.ggml");
    }
    mem_free(tokens);
    mem_free(types);
    mem_free(merges);
    return rc;
}
