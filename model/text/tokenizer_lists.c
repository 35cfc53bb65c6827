/* tokenizer_lists.c -- see tokenizer_lists.h.
 *
 * Nothing in the lists is trusted: indices are ids and so in range, merges
 * refer to tokens that exist, sizes are summed before they are used.  Added
 * tokens are all searched in the raw text; lstrip, rstrip and single_word are
 * not in such files. */
#include "model/text/tokenizer_lists.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/base/utf8.h"
#include "model/text/tokenizer_parts.h"

_Static_assert(TOKENIZER_MAX_TOKENS <= VOCAB_MAX_IDS, "ids fit the vocabulary");

/* LFM2's and Llama 3's, which those of the names below share. */
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char *const llama3_names[] = {"lfm2", "llama3", "llama-v3",
                                           "llama-bpe"};

/* What the chat format rests on; LFM2.5's first tokenizer left some out. */
static const char *const markers[] = {"<|im_start|>",
                                      "<|im_end|>",
                                      "<|tool_list_start|>",
                                      "<|tool_list_end|>",
                                      "<|tool_call_start|>",
                                      "<|tool_call_end|>",
                                      "<|tool_response_start|>",
                                      "<|tool_response_end|>"};

struct building {
    struct tokenizer *t;
    const struct tokenizer_lists *lists;
    char *scratch;    /* [max_bytes] */
    size_t max_bytes; /* of a token or a merge */
    token_id of_byte[256];
    bool warned;
    struct err *err;
};

static bool is_text(const struct tokenizer_piece *p, const char *text)
{
    size_t n = strlen(text);
    return p->n == n && memcmp(p->bytes, text, n) == 0;
}

static int set_pattern(struct building *b)
{
    const struct tokenizer_piece *pre = &b->lists->pre;
    size_t n_names = sizeof llama3_names / sizeof *llama3_names, i = 0;
    while (i < n_names && !is_text(pre, llama3_names[i]))
        i++;
    if (i == n_names)
        return err_set(b->err, ERR_UNSUPPORTED,
                       "pre is \"%.*s\", whose split pattern is not known "
                       "here, expected lfm2, llama3, llama-v3 or llama-bpe",
                       pre->n < 60 ? (int)pre->n : 60,
                       pre->n > 0 ? pre->bytes : "");
    b->t->ignore_merges = true; /* llama.cpp's rule for these names */
    int rc = pretoken_new(&b->t->pretoken, b->err);
    if (rc != 0)
        return rc;
    return tokenizer_add_pattern(
        b->t, llama3_pattern, sizeof llama3_pattern - 1, false, "pre", b->err);
}

/* Sizes first, so that the vocabulary can be allocated. */
static int measure(struct building *b, uint32_t *n_bytes)
{
    const struct tokenizer_lists *l = b->lists;
    uint64_t sum = 0;
    if (l->n_tokens == 0 || l->n_tokens > TOKENIZER_MAX_TOKENS)
        return err_set(b->err, ERR_FORMAT, "tokens holds %u, expected 1 to %u",
                       (unsigned)l->n_tokens, TOKENIZER_MAX_TOKENS);
    if (l->n_merges > TOKENIZER_MAX_MERGES)
        return err_set(b->err, ERR_LIMIT,
                       "merges holds %u, at most %u are "
                       "accepted",
                       (unsigned)l->n_merges, TOKENIZER_MAX_MERGES);
    for (uint32_t i = 0; i < l->n_tokens; i++) {
        sum += l->tokens[i].n;
        if (l->tokens[i].n > b->max_bytes)
            b->max_bytes = l->tokens[i].n;
    }
    for (uint32_t i = 0; i < l->n_merges; i++)
        if (l->merges[i].n > b->max_bytes)
            b->max_bytes = l->merges[i].n;
    if (sum > UINT32_MAX / 2 || b->max_bytes > UINT32_MAX / 2)
        return err_set(b->err, ERR_LIMIT,
                       "the tokens are %llu bytes long, at "
                       "most %u are accepted",
                       (unsigned long long)sum, UINT32_MAX / 2);
    *n_bytes = (uint32_t)sum;
    return 0;
}

/* The token's type, corrected where the file is wrong about it. */
static uint32_t type_of(struct building *b, uint32_t id)
{
    const struct tokenizer_lists *l = b->lists;
    uint32_t type = l->types != NULL ? l->types[id] : TOKEN_TYPE_NORMAL;
    if (type == TOKEN_TYPE_CONTROL)
        return type;
    token_id same = (token_id)id;
    if (same == l->bos || same == l->eos)
        return TOKEN_TYPE_CONTROL;
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++) {
        if (!is_text(&l->tokens[id], markers[i]))
            continue;
        if (!b->warned)
            log_at(LOG_WARN, "text",
                   "the file says that %s is no control token, as an early "
                   "revision of the tokenizer did; it is treated as one, but "
                   "better download the file again",
                   markers[i]);
        b->warned = true;
        return TOKEN_TYPE_CONTROL;
    }
    return type;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" to 10, or -1. */
static int byte_of(const struct tokenizer_piece *p)
{
    if (p->n != 6 || memcmp(p->bytes, "<0x", 3) != 0 || p->bytes[5] != '>')
        return -1;
    int high = hex_digit(p->bytes[3]), low = hex_digit(p->bytes[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* A token of the model itself; what is not spelled in the alphabet can be
 * decoded but never come from text. */
static void put_ordinary(struct building *b, token_id id)
{
    const struct tokenizer_piece *p = &b->lists->tokens[id];
    long n = vocab_spelled(p->bytes, p->n, b->scratch);
    if (n < 0)
        vocab_put(&b->t->vocab, id, p->bytes, (uint32_t)p->n, VOCAB_KNOWN);
    else
        vocab_put(&b->t->vocab, id, b->scratch, (uint32_t)n,
                  VOCAB_KNOWN | VOCAB_PIECE);
    if (n == 1)
        b->of_byte[(unsigned char)b->scratch[0]] = id;
}

static int put_added(struct building *b, token_id id, bool special)
{
    const struct tokenizer_piece *p = &b->lists->tokens[id];
    struct added_set *set = &b->t->raw;
    if (p->n == 0 || p->n > ADDED_MAX_BYTES)
        return err_set(b->err, ERR_FORMAT,
                       "tokens[%d] is added to the "
                       "vocabulary and %zu bytes long, expected 1 to %u",
                       id, p->n, ADDED_MAX_BYTES);
    uint8_t flags = VOCAB_KNOWN | VOCAB_ADDED;
    vocab_put(&b->t->vocab, id, p->bytes, (uint32_t)p->n,
              special ? flags | VOCAB_SPECIAL : flags);
    set->tokens[set->n_tokens++] = (struct added_token){
        .text = b->t->vocab.bytes + b->t->vocab.tokens[id].at,
        .n = (uint32_t)p->n,
        .id = id,
        .special = special,
    };
    return 0;
}

static int put_token(struct building *b, token_id id, uint32_t type)
{
    const struct tokenizer_piece *p = &b->lists->tokens[id];
    switch (type) {
    case TOKEN_TYPE_UNUSED:
        return 0;
    case TOKEN_TYPE_CONTROL:
    case TOKEN_TYPE_USER_DEFINED:
        return put_added(b, id, type == TOKEN_TYPE_CONTROL);
    case TOKEN_TYPE_BYTE: {
        int byte = byte_of(p);
        if (byte < 0)
            return err_set(b->err, ERR_FORMAT,
                           "tokens[%d] is a byte by its type, but not spelled "
                           "like <0x0A>",
                           id);
        char c = (char)byte;
        vocab_put(&b->t->vocab, id, &c, 1, VOCAB_KNOWN | VOCAB_PIECE);
        b->of_byte[byte] = id;
        return 0;
    }
    case TOKEN_TYPE_UNKNOWN:
        vocab_put(&b->t->vocab, id, p->bytes, (uint32_t)p->n, VOCAB_KNOWN);
        return 0;
    default:
        put_ordinary(b, id);
        return 0;
    }
}

static int put_tokens(struct building *b)
{
    const struct tokenizer_lists *l = b->lists;
    struct added_set *set = &b->t->raw;
    const struct added_token *twice;
    uint32_t n_added = 0;
    for (uint32_t i = 0; i < l->n_tokens; i++) {
        uint32_t type = type_of(b, i);
        n_added +=
            type == TOKEN_TYPE_CONTROL || type == TOKEN_TYPE_USER_DEFINED;
    }
    set->tokens = mem_calloc(n_added, sizeof *set->tokens);
    if (set->tokens == NULL)
        return err_nomem(b->err, "the added tokens");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < l->n_tokens; i++)
        rc = put_token(b, (token_id)i, type_of(b, i));
    if (rc == 0 && !added_sort(set, &twice))
        rc = err_set(b->err, ERR_FORMAT,
                     "tokens[%d] has the text of another added token",
                     twice->id);
    if (rc == 0)
        (void)added_sort(&b->t->normalized, &twice);
    return rc == 0 ? vocab_index(&b->t->vocab, b->err) : rc;
}

/* An ordinary token before an added one: both may be spelled alike. */
static token_id find(const struct tokenizer *t, const char *bytes, size_t n)
{
    token_id id = vocab_find(&t->vocab, bytes, n);
    if (id != TOKEN_NONE)
        return id;
    const struct added_token *a = added_find(&t->raw, bytes, n);
    return a != NULL ? a->id : TOKEN_NONE;
}

static int put_merge(struct building *b, uint32_t rank)
{
    const struct tokenizer_piece *m = &b->lists->merges[rank];
    const char *space = m->n > 1 ? memchr(m->bytes + 1, ' ', m->n - 1) : NULL;
    long left = -1, right = -1;
    if (space != NULL) {
        size_t n = (size_t)(space - m->bytes);
        left = vocab_spelled(m->bytes, n, b->scratch);
        if (left > 0)
            right = vocab_spelled(space + 1, m->n - n - 1, b->scratch + left);
    }
    if (left <= 0 || right <= 0)
        return err_set(b->err, ERR_FORMAT, "merges[%u] is no pair of tokens",
                       (unsigned)rank);
    size_t n_left = (size_t)left, n_right = (size_t)right;
    token_id first = find(b->t, b->scratch, n_left);
    token_id second = find(b->t, b->scratch + n_left, n_right);
    token_id made = find(b->t, b->scratch, n_left + n_right);
    if (first == TOKEN_NONE || second == TOKEN_NONE || made == TOKEN_NONE)
        return err_set(b->err, ERR_FORMAT, "merges[%u]: tokens lacks %s",
                       (unsigned)rank,
                       first == TOKEN_NONE    ? "the first of the pair"
                       : second == TOKEN_NONE ? "the second of the pair"
                                              : "what the pair makes");
    bpe_add(&b->t->bpe, first, second, rank, made);
    return 0;
}

static int put_merges(struct building *b)
{
    int rc = bpe_init(&b->t->bpe, b->lists->n_merges, b->err);
    for (uint32_t i = 0; rc == 0 && i < b->lists->n_merges; i++)
        rc = put_merge(b, i);
    if (rc == 0)
        memcpy(b->t->bpe.of_byte, b->of_byte, sizeof b->of_byte);
    return rc;
}

static int named_text(struct building *b, token_id id, const char *key,
                      char **out)
{
    const struct tokenizer_lists *l = b->lists;
    if (id == TOKEN_NONE)
        return 0;
    if (id < 0 || (uint32_t)id >= l->n_tokens)
        return err_set(b->err, ERR_FORMAT, "%s is %d, but there are %u tokens",
                       key, id, (unsigned)l->n_tokens);
    const struct tokenizer_piece *p = &l->tokens[id];
    if (!utf8_valid(p->bytes, p->n) || memchr(p->bytes, '\0', p->n) != NULL)
        return err_set(b->err, ERR_FORMAT,
                       "%s is %d, whose text a template cannot show: it is not "
                       "UTF-8 without NUL bytes",
                       key, id);
    *out = mem_strndup(p->bytes, p->n);
    return *out != NULL ? 0 : err_nomem(b->err, "a token's text");
}

static int name_ends(struct building *b)
{
    const struct tokenizer_lists *l = b->lists;
    struct tokenizer *t = b->t;
    int rc = named_text(b, l->bos, "bos_token_id", &t->bos_text);
    if (rc == 0)
        rc = named_text(b, l->eos, "eos_token_id", &t->eos_text);
    if (rc != 0)
        return rc;
    if (l->add_bos && l->bos != TOKEN_NONE)
        t->before[t->n_before++] = l->bos;
    if (l->add_eos && l->eos != TOKEN_NONE)
        t->after[t->n_after++] = l->eos;
    return 0;
}

static int build(struct building *b)
{
    uint32_t n_bytes = 0;
    int rc = set_pattern(b);
    if (rc == 0)
        rc = measure(b, &n_bytes);
    if (rc == 0)
        rc = vocab_init(&b->t->vocab, b->lists->n_tokens, n_bytes, b->err);
    if (rc != 0)
        return rc;
    b->scratch = mem_alloc(b->max_bytes);
    if (b->scratch == NULL)
        return err_nomem(b->err, "the vocabulary");
    rc = put_tokens(b);
    if (rc == 0)
        rc = put_merges(b);
    return rc == 0 ? name_ends(b) : rc;
}

int tokenizer_from_lists(struct tokenizer **out,
                         const struct tokenizer_lists *lists, struct err *err)
{
    *out = NULL;
    struct building b = {.lists = lists, .err = err};
    for (int i = 0; i < 256; i++)
        b.of_byte[i] = TOKEN_NONE;
    b.t = mem_calloc(1, sizeof *b.t);
    if (b.t == NULL)
        return err_nomem(err, "the tokenizer");
    int rc = build(&b);
    mem_free(b.scratch);
    if (rc != 0)
        tokenizer_free(b.t);
    else
        *out = b.t;
    return rc;
}
