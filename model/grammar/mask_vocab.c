/* mask_vocab.c -- see mask.h and mask_vocab.h. */
#include "model/grammar/mask_vocab.h"

#include "model/base/alloc.h"
#include "model/base/utf8.h"

/* How many characters of plain text; UINT32_MAX when it is something else. */
static uint32_t plain_chars(const char *bytes, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; count++) {
        uint32_t c;
        int length = utf8_decode(bytes + i, n - i, &c);
        if (length <= 0 || c < 0x20 || c == '"' || c == '\'' || c == '\\' ||
            c == 0x7F)
            return UINT32_MAX;
        i += (size_t)length;
    }
    return count;
}

static unsigned slice_of(const char *bytes, size_t n)
{
    uint32_t chars = plain_chars(bytes, n);
    unsigned i = 0;
    while (i < N_SLICES - 1 && chars > slice_chars[i])
        i++;
    return i;
}

static int fill_slice(struct mask_vocab *v, unsigned slice,
                      mask_bytes_fn *bytes, void *user, struct trie_word *words)
{
    uint32_t n_words = 0;
    for (uint32_t id = 0; id < v->n_ids; id++) {
        size_t n = 0;
        const char *p = bytes(user, (token_id)id, &n);
        if (p == NULL || n == 0 || n > MASK_MAX_TOKEN_BYTES ||
            slice_of(p, n) != slice)
            continue;
        words[n_words++] = (struct trie_word){p, (uint32_t)n, (token_id)id};
        if (slice < N_SLICES - 1)
            v->bits[slice][id / 32] |= (uint32_t)1 << (id % 32);
    }
    if (trie_init(&v->tries[slice], words, n_words) != 0)
        return -ERR_NOMEM;
    if (v->tries[slice].max_depth > v->max_depth)
        v->max_depth = v->tries[slice].max_depth;
    return 0;
}

int mask_vocab_new(struct mask_vocab **out, uint32_t n_ids,
                   mask_bytes_fn *bytes, void *user, struct err *err)
{
    struct mask_vocab *v = mem_calloc(1, sizeof *v);
    struct trie_word *words = mem_alloc((size_t)n_ids * sizeof *words);
    int rc = v == NULL || words == NULL ? -ERR_NOMEM : 0;
    if (rc == 0) {
        v->n_ids = n_ids;
        v->n_words = (n_ids + 31) / 32;
    }
    for (unsigned i = 0; i < N_SLICES && rc == 0; i++) {
        if (i < N_SLICES - 1) {
            v->bits[i] = mem_calloc(v->n_words, sizeof *v->bits[i]);
            if (v->bits[i] == NULL)
                rc = -ERR_NOMEM;
        }
        if (rc == 0)
            rc = fill_slice(v, i, bytes, user, words);
    }
    mem_free(words);
    *out = v;
    if (rc == 0)
        return 0;
    mask_vocab_free(v);
    *out = NULL;
    return err_nomem(err, "the vocabulary of grammars");
}

static const char *token_bytes(void *user, token_id id, size_t *n)
{
    const struct tokenizer *t = user;
    *n = 0;
    if ((uint32_t)id >= tokenizer_n_vocab(t) || tokenizer_is_special(t, id))
        return NULL;
    return tokenizer_token_bytes(t, id, n);
}

int mask_vocab_of_tokenizer(struct mask_vocab **out, const struct tokenizer *t,
                            uint32_t n_ids, struct err *err)
{
    return mask_vocab_new(out, n_ids, token_bytes, (void *)(uintptr_t)t, err);
}

void mask_vocab_free(struct mask_vocab *v)
{
    if (v == NULL)
        return;
    for (unsigned i = 0; i < N_SLICES; i++)
        trie_deinit(&v->tries[i]);
    for (unsigned i = 0; i < N_SLICES - 1; i++)
        mem_free(v->bits[i]);
    mem_free(v);
}

uint32_t mask_vocab_n_words(const struct mask_vocab *v)
{
    return v->n_words;
}

size_t mask_vocab_bytes(const struct mask_vocab *v)
{
    size_t sum = sizeof *v + (N_SLICES - 1) * v->n_words * sizeof(uint32_t);
    for (unsigned i = 0; i < N_SLICES; i++)
        sum += v->tries[i].n_nodes * sizeof *v->tries[i].nodes +
               v->tries[i].n_tokens * sizeof *v->tries[i].tokens;
    return sum;
}

/* The same in one slice, if it is longer than *length. */
static void longest_in(const struct trie *t, const char *bytes, size_t n,
                       token_id *best, size_t *length)
{
    uint32_t i = 0, end = t->n_nodes;
    for (size_t depth = 0; depth < n && i < end;) {
        const struct trie_node *node = &t->nodes[i];
        if (node->byte != (uint8_t)bytes[depth]) {
            i = node->skip;
            continue;
        }
        depth++;
        if (node->n_tokens > 0 && depth > *length) {
            *best = t->tokens[node->token];
            *length = depth;
        }
        end = node->skip;
        i++;
    }
}

token_id mask_longest_token(const struct mask_vocab *v, const char *bytes,
                            size_t n, size_t *length)
{
    token_id best = TOKEN_NONE;
    *length = 0;
    for (unsigned i = 0; i < N_SLICES; i++)
        longest_in(&v->tries[i], bytes, n, &best, length);
    return best;
}
