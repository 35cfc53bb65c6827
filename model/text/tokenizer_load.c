/* tokenizer_load.c -- tokenizer.json becomes a tokenizer, or one sentence.
 *
 * Nothing in the file is trusted: ids are in range and name one token each,
 * merges refer to tokens that exist, sizes are bounded before they are used.
 * An added token keeps the id that the file gives it; `tokenizers` would give a
 * new one to what is neither in model.vocab nor next in line.
 * Facts: `tokenizers` 0.23, its models/bpe and tokenizer/added_vocabulary. */
#include <string.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/text/tokenizer_parts.h"

#define MAX_JSON_BYTES ((size_t)128 << 20)
#define MAX_JSON_NODES (8u << 20)
#define MAX_MERGES (1u << 21)
#define MAX_ADDED (1u << 16)

/* What the loader needs only while it loads. */
struct loading {
    struct tokenizer *t;
    const json_t *root, *model, *added;
    json_t *vocab;
    uint32_t n_ids;    /* highest id + 1 */
    size_t n_bytes;    /* of all keys and contents */
    size_t max_key;    /* longest key of model.vocab */
    struct buf joined; /* both halves of a merge */
    token_id of_byte[256];
    struct err *err;
};

static int check_text(struct loading *l, const char *key, const char *wanted)
{
    const char *text = "";
    int rc = json_get_string(l->model, key, &text, "model", l->err);
    if (rc < 0)
        return rc;
    if (strcmp(text, wanted) == 0 || text[0] == '\0')
        return 0;
    return err_set(l->err, ERR_UNSUPPORTED, "model.%s is %.60s, expected %s",
                   key, text, wanted[0] != '\0' ? wanted : "null");
}

/* The options of the BPE model: those that change ids must be off. */
static int check_model(struct loading *l)
{
    bool fallback = false;
    double dropout = 0;
    int rc = check_text(l, "type", "BPE");
    if (rc == 0)
        rc = check_text(l, "continuing_subword_prefix", "");
    if (rc == 0)
        rc = check_text(l, "end_of_word_suffix", "");
    if (rc == 0)
        rc = json_get_bool(l->model, "byte_fallback", &fallback, "model",
                           l->err);
    if (rc >= 0 && fallback)
        return err_set(l->err, ERR_UNSUPPORTED,
                       "model.byte_fallback is true, expected false");
    if (rc >= 0)
        rc = json_get_number(l->model, "dropout", &dropout, "model", l->err);
    if (rc >= 0 && (dropout < 0 || dropout > 0))
        return err_set(l->err, ERR_UNSUPPORTED,
                       "model.dropout is %g, expected null", dropout);
    if (rc >= 0)
        rc = json_get_bool(l->model, "ignore_merges", &l->t->ignore_merges,
                           "model", l->err);
    return rc < 0 ? rc : 0;
}

static int check_id(struct loading *l, const json_t *id, const char *where,
                    const char *name)
{
    json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
    if (v < 0 || v >= (json_int_t)VOCAB_MAX_IDS)
        return err_set(l->err, ERR_FORMAT, "%s gives %.60s no id from 0 to %u",
                       where, name, VOCAB_MAX_IDS - 1);
    if ((uint32_t)v >= l->n_ids)
        l->n_ids = (uint32_t)v + 1;
    return 0;
}

/* First walk: ranges and sizes, so that the vocabulary can be allocated. */
static int measure(struct loading *l)
{
    const char *key;
    size_t n, i;
    json_t *v;
    json_object_keylen_foreach(l->vocab, key, n, v)
    {
        int rc = check_id(l, v, "model.vocab", key);
        if (rc != 0)
            return rc;
        l->n_bytes += n;
        if (n > l->max_key)
            l->max_key = n;
    }
    if (l->n_ids == 0)
        return err_set(l->err, ERR_FORMAT, "model.vocab is missing or empty");
    if (json_array_size(l->added) > MAX_ADDED)
        return err_set(l->err, ERR_LIMIT,
                       "added_tokens holds %zu tokens, at most %u are accepted",
                       json_array_size(l->added), MAX_ADDED);
    json_array_foreach(l->added, i, v)
    {
        const char *text = "a token";
        int rc = json_get_string(v, "content", &text, "added_tokens", l->err);
        if (rc < 0)
            return rc;
        rc = check_id(l, json_object_get(v, "id"), "added_tokens", text);
        if (rc != 0)
            return rc;
        l->n_bytes += json_string_length(json_object_get(v, "content"));
    }
    return 0;
}

static int fill_vocab(struct loading *l)
{
    struct vocab *vocab = &l->t->vocab;
    const char *key;
    size_t n;
    json_t *v;
    char *spelled = mem_alloc(l->max_key);
    if (spelled == NULL)
        return err_nomem(l->err, "the vocabulary");
    int rc = 0;
    json_object_keylen_foreach(l->vocab, key, n, v)
    {
        token_id id = (token_id)json_integer_value(v);
        if (vocab->tokens[id].flags & VOCAB_KNOWN) {
            rc = err_set(l->err, ERR_FORMAT,
                         "model.vocab gives id %d to two tokens, one is %.60s",
                         id, key);
            break;
        }
        long len = vocab_spelled(key, n, spelled);
        if (len >= 0)
            vocab_put(vocab, id, spelled, (uint32_t)len,
                      VOCAB_KNOWN | VOCAB_PIECE);
        else
            vocab_put(vocab, id, key, (uint32_t)n, VOCAB_KNOWN);
        if (len == 1)
            l->of_byte[(unsigned char)spelled[0]] = id;
    }
    mem_free(spelled);
    return rc;
}

/* An added token's flags; true in *normalized when it is searched second. */
static int added_flags(const json_t *v, struct added_token *a, bool *normalized,
                       struct err *err)
{
    const char *path = "added_tokens";
    int rc = json_get_bool(v, "special", &a->special, path, err);
    *normalized = !a->special;
    if (rc >= 0)
        rc = json_get_bool(v, "normalized", normalized, path, err);
    if (rc >= 0)
        rc = json_get_bool(v, "single_word", &a->single_word, path, err);
    if (rc >= 0)
        rc = json_get_bool(v, "lstrip", &a->lstrip, path, err);
    if (rc >= 0)
        rc = json_get_bool(v, "rstrip", &a->rstrip, path, err);
    return rc < 0 ? rc : 0;
}

/* Gives the id its added token, which decodes to its text.  If the model has it
 * as an ordinary token, it stays that too, unless it is special. */
static int claim_id(struct loading *l, struct added_token *a)
{
    struct vocab *vocab = &l->t->vocab;
    struct vocab_token *token = &vocab->tokens[a->id];
    const json_t *known = json_object_getn(l->vocab, a->text, a->n);
    if (token->flags & VOCAB_ADDED ||
        (known != NULL ? json_integer_value(known) != a->id
                       : token->flags != 0))
        return err_set(l->err, ERR_FORMAT,
                       "added_tokens gives %.60s the id %d, which model.vocab "
                       "or added_tokens says otherwise",
                       a->text, a->id);
    struct vocab_token before = *token;
    uint8_t flags = VOCAB_KNOWN | VOCAB_ADDED;
    vocab_put(vocab, a->id, a->text, a->n,
              a->special ? flags | VOCAB_SPECIAL : flags);
    a->text = vocab->bytes + token->at;
    if (before.flags & VOCAB_PIECE && !a->special) {
        *token = before;
        token->flags |= VOCAB_ADDED;
    }
    return 0;
}

static int add_token(struct loading *l, const json_t *v)
{
    struct added_token a = {0};
    bool normalized = false;
    const json_t *content = json_object_get(v, "content");
    size_t n = json_string_length(content);
    if (n == 0)
        return 0; /* ignored, as `tokenizers` does */
    if (n > ADDED_MAX_BYTES)
        return err_set(l->err, ERR_LIMIT,
                       "added_tokens holds a token of %zu bytes, at most %u "
                       "are accepted",
                       n, ADDED_MAX_BYTES);
    a.text = json_string_value(content);
    a.n = (uint32_t)n;
    a.id = (token_id)json_integer_value(json_object_get(v, "id"));
    int rc = added_flags(v, &a, &normalized, l->err);
    if (rc == 0)
        rc = claim_id(l, &a);
    if (rc != 0)
        return rc;
    struct added_set *set = normalized ? &l->t->normalized : &l->t->raw;
    set->tokens[set->n_tokens++] = a;
    return 0;
}

static int fill_added(struct loading *l)
{
    struct added_set *sets[2] = {&l->t->raw, &l->t->normalized};
    const struct added_token *twice;
    size_t n = json_array_size(l->added);
    for (int k = 0; k < 2; k++) {
        sets[k]->tokens = mem_calloc(n, sizeof *sets[k]->tokens);
        if (sets[k]->tokens == NULL)
            return err_nomem(l->err, "the added tokens");
    }
    for (size_t i = 0; i < n; i++) {
        int rc = add_token(l, json_array_get(l->added, i));
        if (rc != 0)
            return rc;
    }
    for (int k = 0; k < 2; k++)
        if (!added_sort(sets[k], &twice))
            return err_set(l->err, ERR_FORMAT,
                           "added_tokens holds the id %d twice", twice->id);
    return 0;
}

/* The halves of merges[i]: "a b", or ["a", "b"]. */
static bool halves(const json_t *v, const char *part[2], size_t n[2])
{
    if (json_is_array(v) && json_array_size(v) == 2) {
        for (size_t k = 0; k < 2; k++) {
            part[k] = json_string_value(json_array_get(v, k));
            n[k] = json_string_length(json_array_get(v, k));
        }
        return part[0] != NULL && part[1] != NULL;
    }
    const char *text = json_string_value(v);
    const char *space = text != NULL ? strchr(text, ' ') : NULL;
    if (space == NULL || strchr(space + 1, ' ') != NULL)
        return false;
    part[0] = text;
    n[0] = (size_t)(space - text);
    part[1] = space + 1;
    n[1] = json_string_length(v) - n[0] - 1;
    return true;
}

static int add_merge(struct loading *l, size_t rank)
{
    const char *part[2];
    size_t n[2];
    if (!halves(json_array_get(json_object_get(l->model, "merges"), rank), part,
                n))
        return err_set(l->err, ERR_FORMAT,
                       "model.merges[%zu] is no pair of tokens", rank);
    buf_clear(&l->joined);
    buf_put(&l->joined, part[0], n[0]);
    buf_put(&l->joined, part[1], n[1]);
    if (!buf_ok(&l->joined))
        return err_nomem(l->err, "the merges");
    const json_t *left = json_object_getn(l->vocab, part[0], n[0]);
    const json_t *right = json_object_getn(l->vocab, part[1], n[1]);
    const json_t *made =
        json_object_getn(l->vocab, buf_str(&l->joined), l->joined.len);
    if (left == NULL || right == NULL || made == NULL)
        return err_set(l->err, ERR_FORMAT,
                       "model.merges[%zu] joins %.*s and %.*s, but "
                       "model.vocab lacks %s",
                       rank, n[0] < 60 ? (int)n[0] : 60, part[0],
                       n[1] < 60 ? (int)n[1] : 60, part[1],
                       left == NULL    ? "the first"
                       : right == NULL ? "the second"
                                       : "what they make");
    bpe_add(&l->t->bpe, (token_id)json_integer_value(left),
            (token_id)json_integer_value(right), (uint32_t)rank,
            (token_id)json_integer_value(made));
    return 0;
}

static int fill_merges(struct loading *l)
{
    json_t *merges = NULL;
    int rc = json_get_array(l->model, "merges", &merges, "model", l->err);
    if (rc < 0)
        return rc;
    size_t n = json_array_size(merges);
    if (n > MAX_MERGES)
        return err_set(l->err, ERR_LIMIT,
                       "model.merges holds %zu pairs, at most %u are accepted",
                       n, MAX_MERGES);
    rc = bpe_init(&l->t->bpe, (uint32_t)n, l->err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_merge(l, i);
    buf_deinit(&l->joined);
    return rc;
}

/* unk_token stands for bytes without a token; where none lacks one it never
 * comes up, elsewhere we do not do what it asks. */
static int fill_bytes(struct loading *l)
{
    const char *unk = NULL;
    int rc = json_get_string(l->model, "unk_token", &unk, "model", l->err);
    if (rc < 0)
        return rc;
    for (int b = 0; b < 256; b++) {
        token_id id = l->of_byte[b];
        l->t->bpe.of_byte[b] = id;
        if (id == TOKEN_NONE && unk != NULL)
            return err_set(l->err, ERR_UNSUPPORTED,
                           "model.unk_token is %.60s and model.vocab has no "
                           "token for byte 0x%02X, expected one or null",
                           unk, (unsigned)b);
    }
    return 0;
}

static int read_parts(struct loading *l)
{
    json_t *v = NULL;
    int rc = json_get_object(l->root, "model", &v, "", l->err);
    l->model = v;
    if (rc >= 0)
        rc = check_model(l);
    v = NULL;
    if (rc >= 0)
        rc = json_get_object(l->model, "vocab", &v, "model", l->err);
    l->vocab = v;
    v = NULL;
    if (rc >= 0)
        rc = json_get_array(l->root, "added_tokens", &v, "", l->err);
    l->added = v;
    if (rc >= 0)
        rc = measure(l);
    if (rc == 0)
        rc = vocab_init(&l->t->vocab, l->n_ids, (uint32_t)l->n_bytes, l->err);
    if (rc == 0)
        rc = fill_vocab(l);
    if (rc == 0)
        rc = fill_added(l);
    if (rc == 0)
        rc = vocab_index(&l->t->vocab, l->err);
    if (rc == 0)
        rc = fill_merges(l);
    return rc == 0 ? fill_bytes(l) : rc;
}

/* A file that says the wrong thing is not the caller's fault; and what it says
 * may hold a newline, which a sentence must not. */
static int in_file(int rc, const char *name, struct err *err)
{
    if (err == NULL)
        return rc == -ERR_INVALID ? -ERR_FORMAT : rc;
    for (char *c = err->text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = '?';
    if (err->class_ == ERR_INVALID)
        err->class_ = ERR_FORMAT;
    err->param[0] = '\0';
    return err_wrap(err, "%s", name);
}

/* bos_token is a string, or an added token with its content. */
static int get_token_text(const json_t *config, const char *key, char **out,
                          struct err *err)
{
    const char *text = NULL;
    const json_t *v = json_object_get(config, key);
    int rc = json_is_object(v) ? json_get_string(v, "content", &text, key, err)
                               : json_get_string(config, key, &text, "", err);
    if (rc <= 0)
        return rc;
    *out = mem_strdup(text);
    return *out != NULL ? 0 : err_nomem(err, "a token's text");
}

static int read_config(struct tokenizer *t, const json_t *config,
                       bool has_template, struct err *err)
{
    bool add_bos = false;
    int rc = get_token_text(config, "bos_token", &t->bos_text, err);
    if (rc == 0)
        rc = get_token_text(config, "eos_token", &t->eos_text, err);
    if (rc == 0)
        rc = json_get_bool(config, "add_bos_token", &add_bos, "", err);
    if (rc < 0 || !add_bos || has_template)
        return rc < 0 ? rc : 0;
    token_id bos =
        t->bos_text != NULL ? tokenizer_find(t, t->bos_text) : TOKEN_NONE;
    if (bos == TOKEN_NONE)
        return err_set(err, ERR_FORMAT,
                       "add_bos_token is true, but bos_token is no added token "
                       "of tokenizer.json");
    t->before[t->n_before++] = bos;
    return 0;
}

static int build(struct tokenizer **out, const json_t *root,
                 const json_t *config, struct err *err)
{
    struct tokenizer *t = mem_calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL)
        return err_nomem(err, "the tokenizer");
    struct loading l = {.t = t, .root = root, .err = err};
    for (int b = 0; b < 256; b++)
        l.of_byte[b] = TOKEN_NONE;
    bool has_template;
    int rc = read_parts(&l);
    if (rc == 0)
        rc = tokenizer_pipeline(t, root, &has_template, err);
    if (rc != 0)
        rc = in_file(rc, "tokenizer.json", err);
    else if ((rc = read_config(t, config, has_template, err)) != 0)
        rc = in_file(rc, "tokenizer_config.json", err);
    if (rc != 0)
        tokenizer_free(t);
    else
        *out = t;
    return rc;
}

int tokenizer_parse(struct tokenizer **out, const char *json, size_t n_json,
                    const char *config, size_t n_config, struct err *err)
{
    json_t *root = NULL, *settings = NULL;
    *out = NULL;
    int rc = json_parse(&root, json, n_json, JSON_DEPTH_DEFAULT, MAX_JSON_NODES,
                        err);
    if (rc != 0)
        return in_file(rc, "tokenizer.json", err);
    if (config != NULL)
        rc = json_parse(&settings, config, n_config, JSON_DEPTH_DEFAULT,
                        JSON_NODES_DEFAULT, err);
    if (rc != 0)
        rc = in_file(rc, "tokenizer_config.json", err);
    else
        rc = build(out, root, settings, err);
    json_decref(settings);
    json_decref(root);
    return rc;
}

static int read_file(json_t **out, const char *dir, const char *name,
                     bool optional, struct err *err)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    int rc = 0;
    if (!buf_ok(&path))
        rc = err_nomem(err, "a path");
    else if (!optional || access(buf_str(&path), F_OK) == 0)
        rc = json_parse_file(out, buf_str(&path), MAX_JSON_BYTES,
                             MAX_JSON_NODES, err);
    buf_deinit(&path);
    return rc;
}

int tokenizer_load(struct tokenizer **out, const char *dir, struct err *err)
{
    json_t *root = NULL, *settings = NULL;
    *out = NULL;
    int rc = read_file(&root, dir, "tokenizer.json", false, err);
    if (rc == 0)
        rc = read_file(&settings, dir, "tokenizer_config.json", true, err);
    if (rc == 0) {
        rc = build(out, root, settings, err);
        if (rc != 0)
            rc = in_file(rc, dir, err);
    }
    json_decref(settings);
    json_decref(root);
    return rc;
}
