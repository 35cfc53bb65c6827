/* tokenizer.c -- see tokenizer.h: added tokens, then pieces, then merges. */
#include "model/text/tokenizer.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/base/utf8.h"
#include "model/text/tokenizer_parts.h"

/* One call of tokenizer_encode. */
struct encoding {
    const struct tokenizer *t;
    unsigned flags;
    struct pretoken_run *run;
    struct bpe_scratch scratch;
    token_id *ids; /* [cap] */
    size_t n_ids, cap;
    struct err *err;
};

void tokenizer_free(struct tokenizer *t)
{
    if (t == NULL)
        return;
    vocab_deinit(&t->vocab);
    bpe_deinit(&t->bpe);
    pretoken_free(t->pretoken);
    mem_free(t->raw.tokens);
    mem_free(t->normalized.tokens);
    mem_free(t->bos_text);
    mem_free(t->eos_text);
    mem_free(t);
}

static int reserve(struct encoding *e, size_t n)
{
    if (e->cap - e->n_ids >= n)
        return 0;
    size_t cap = e->n_ids + n + e->cap / 2 + 64;
    token_id *grown = mem_realloc_array(e->ids, cap, sizeof *grown);
    if (grown == NULL)
        return err_nomem(e->err, "the tokens of a text");
    e->ids = grown;
    e->cap = cap;
    return 0;
}

static int put_ids(struct encoding *e, const token_id *ids, uint32_t n)
{
    int rc = reserve(e, n);
    if (rc == 0 && n > 0) {
        memcpy(e->ids + e->n_ids, ids, n * sizeof *ids);
        e->n_ids += n;
    }
    return rc;
}

static int put_piece(void *user, const char *piece, size_t n, struct err *err)
{
    struct encoding *e = user;
    int rc = reserve(e, n);
    if (rc != 0)
        return rc;
    if (e->t->ignore_merges) {
        token_id whole = vocab_find(&e->t->vocab, piece, n);
        if (whole != TOKEN_NONE) {
            e->ids[e->n_ids++] = whole;
            return 0;
        }
    }
    long made =
        bpe_encode(&e->t->bpe, &e->scratch, piece, n, e->ids + e->n_ids);
    if (made < 0)
        return err_nomem(err, "the merges of a text");
    e->n_ids += (size_t)made;
    return 0;
}

/* Text between added tokens.  Runs of UTF-8 are cut by the pattern; bytes that
 * are none become a piece of their own. */
static int put_text(struct encoding *e, const char *text, size_t n)
{
    size_t good = 0, i = 0;
    int rc = 0;
    while (rc == 0 && i < n) {
        uint32_t cp;
        int step = utf8_decode(text + i, n - i, &cp);
        if (step > 0) {
            i += (size_t)step;
            continue;
        }
        size_t bad = step < 0 ? (size_t)-step : n - i;
        rc = pretoken_cut(e->run, text + good, i - good, put_piece, e, e->err);
        if (rc == 0)
            rc = put_piece(e, text + i, bad, e->err);
        good = i += bad;
    }
    if (rc == 0)
        rc = pretoken_cut(e->run, text + good, n - good, put_piece, e, e->err);
    return rc;
}

/* White_Space as in Unicode 6.3 and later. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Where the character before `at` starts; `at` > 0. */
static size_t step_back(const char *text, size_t at)
{
    size_t i = at - 1;
    while (i > 0 && at - i < 4 && ((unsigned char)text[i] & 0xC0) == 0x80)
        i--;
    return i;
}

static bool stands_alone(const struct encoding *e, const char *text, size_t n,
                         size_t start, size_t end)
{
    if (end < n && pretoken_is_word(e->run, text + end, n - end))
        return false;
    if (start == 0)
        return true;
    size_t before = step_back(text, start);
    return !pretoken_is_word(e->run, text + before, start - before);
}

static size_t strip_left(const char *text, size_t start, size_t low)
{
    while (start > low) {
        uint32_t cp;
        size_t i = step_back(text, start);
        if (utf8_decode(text + i, start - i, &cp) != (int)(start - i) ||
            !is_space(cp))
            break;
        start = i;
    }
    return start < low ? low : start;
}

static size_t strip_right(const char *text, size_t n, size_t end)
{
    while (end < n) {
        uint32_t cp;
        int step = utf8_decode(text + end, n - end, &cp);
        if (step <= 0 || !is_space(cp))
            break;
        end += (size_t)step;
    }
    return end;
}

typedef int text_fn(struct encoding *e, const char *text, size_t n);

/* Puts the set's tokens found in the text and gives what lies between them to
 * `rest`.  Follows AddedVocabulary::find_matches of `tokenizers`, where a match
 * that is passed over still uses up its text, and where one may begin inside
 * the spaces that the one before it stripped. */
static int split_added(struct encoding *e, const struct added_set *set,
                       const char *text, size_t n, text_fn *rest)
{
    size_t done = 0, from = 0, start;
    const struct added_token *t;
    int rc = 0;
    while (rc == 0 && (t = added_search(set, text, n, from, &start)) != NULL) {
        size_t end = start + t->n;
        from = end;
        if (t->special && !(e->flags & TOKENIZE_SPECIAL))
            continue;
        if (t->single_word && !stands_alone(e, text, n, start, end))
            continue;
        if (t->lstrip)
            start = strip_left(text, start, done);
        if (t->rstrip)
            end = strip_right(text, n, end);
        if (start > done)
            rc = rest(e, text + done, start - done);
        if (rc == 0)
            rc = put_ids(e, &t->id, 1);
        done = end;
    }
    if (rc == 0 && done < n)
        rc = rest(e, text + done, n - done);
    return rc;
}

static int split_normalized(struct encoding *e, const char *text, size_t n)
{
    return split_added(e, &e->t->normalized, text, n, put_text);
}

static int encode(struct encoding *e, const char *text, size_t n)
{
    const struct tokenizer *t = e->t;
    bool around = e->flags & TOKENIZE_BOS;
    int rc = put_ids(e, t->before, around ? t->n_before : 0);
    if (rc == 0)
        rc = split_added(e, &t->raw, text, n, split_normalized);
    if (rc == 0)
        rc = put_ids(e, t->after, around ? t->n_after : 0);
    if (rc == 0)
        rc = reserve(e, 1); /* an empty result is a pointer as well */
    return rc;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n,
                     unsigned flags, token_id **out, size_t *n_out,
                     struct err *err)
{
    *out = NULL;
    *n_out = 0;
    if (n > TOKENIZER_MAX_TEXT_BYTES)
        return err_set(err, ERR_LIMIT,
                       "the text is %zu bytes long, at most %u are accepted", n,
                       TOKENIZER_MAX_TEXT_BYTES);
    struct encoding e = {.t = t, .flags = flags, .err = err};
    e.run = pretoken_run_new(t->pretoken);
    int rc = e.run == NULL ? err_nomem(err, "the pre-tokenizer")
                           : encode(&e, text, n);
    pretoken_run_free(e.run);
    bpe_scratch_deinit(&e.scratch);
    if (rc != 0) {
        mem_free(e.ids);
        return rc;
    }
    *out = e.ids;
    *n_out = e.n_ids;
    return 0;
}

uint32_t tokenizer_n_vocab(const struct tokenizer *t)
{
    return t->vocab.n_tokens;
}

static const struct vocab_token *token_at(const struct tokenizer *t,
                                          token_id id)
{
    static const struct vocab_token none = {0, 0, 0};
    if (id < 0 || (uint32_t)id >= t->vocab.n_tokens)
        return &none;
    return &t->vocab.tokens[id];
}

const char *tokenizer_token_bytes(const struct tokenizer *t, token_id id,
                                  size_t *n)
{
    const struct vocab_token *token = token_at(t, id);
    *n = token->n;
    return token->n > 0 ? t->vocab.bytes + token->at : "";
}

uint32_t tokenizer_max_token_bytes(const struct tokenizer *t)
{
    return t->vocab.max_token_bytes;
}

bool tokenizer_is_special(const struct tokenizer *t, token_id id)
{
    return token_at(t, id)->flags & VOCAB_SPECIAL;
}

token_id tokenizer_find(const struct tokenizer *t, const char *text)
{
    size_t n = strlen(text);
    const struct added_token *found = added_find(&t->raw, text, n);
    if (found == NULL)
        found = added_find(&t->normalized, text, n);
    return found != NULL ? found->id : TOKEN_NONE;
}

const char *tokenizer_bos_text(const struct tokenizer *t)
{
    return t->bos_text;
}

const char *tokenizer_eos_text(const struct tokenizer *t)
{
    return t->eos_text;
}
