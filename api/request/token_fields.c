/* token_fields.c -- see token_fields.h. */
#include "api/request/token_fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/request/sampling_fields.h"
#include "model/base/buf.h"

/* A string that is to be found in text: not empty, no NUL, of bounded size. */
static int read_word(const char **out, const json_t *v, const char *path,
                     struct arena *arena, struct err *err)
{
    char text[64];
    if (!json_is_string(v))
        return err_field(err, path, "%s must be a string, not %s", path,
                         json_describe(v, text));
    size_t n = json_string_length(v);
    if (n == 0)
        return err_field(err, path, "%s must not be empty", path);
    if (n > SAMPLING_WORD_BYTES_MAX)
        return err_field(err, path,
                         "%s has %zu bytes, more than the %u "
                         "accepted",
                         path, n, SAMPLING_WORD_BYTES_MAX);
    if (memchr(json_string_value(v), '\0', n) != NULL)
        return err_field(err, path, "%s must not hold a NUL character", path);
    *out = arena_strndup(arena, json_string_value(v), n);
    return *out != NULL ? 0 : err_nomem(err, path);
}

/* A list of words; where `single`, also one that is no list. */
static int read_words(const char *const **out, uint32_t *n_out,
                      const json_t *body, const char *key, bool single,
                      uint32_t max, struct arena *arena, struct err *err)
{
    const json_t *v = json_object_get(body, key);
    char text[64];
    if (v == NULL || json_is_null(v))
        return 0;
    bool list = json_is_array(v);
    if (!list && !(single && json_is_string(v)))
        return err_field(err, key, "%s must be %san array of strings, not %s",
                         key, single ? "a string or " : "",
                         json_describe(v, text));
    size_t n = list ? json_array_size(v) : 1;
    if (n > max)
        return err_field(err, key,
                         "%s holds %zu strings, more than the %u accepted", key,
                         n, max);
    const char **words = arena_calloc(arena, n, sizeof *words);
    if (words == NULL)
        return err_nomem(err, key);
    for (size_t i = 0; i < n; i++) {
        char path[48];
        snprintf(path, sizeof path, list ? "%s[%zu]" : "%s", key, i);
        int rc = read_word(&words[i], list ? json_array_get(v, i) : v, path,
                           arena, err);
        if (rc != 0)
            return rc;
    }
    *out = words;
    *n_out = (uint32_t)n;
    return 0;
}

static bool is_integer(const char *s)
{
    s += *s == '-';
    return *s != '\0' && strspn(s, "0123456789") == strlen(s);
}

/* A decimal id below n_vocab, or TOKEN_NONE. */
static token_id parse_id(const char *s, uint32_t n_vocab)
{
    uint32_t id = 0;
    if (*s == '\0')
        return TOKEN_NONE;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return TOKEN_NONE;
        id = id * 10 + (uint32_t)(*s - '0');
        if (id >= n_vocab)
            return TOKEN_NONE;
    }
    return (token_id)id;
}

/* The fields of one bias, whichever shape it came in. */
struct bias_room {
    struct logit_bias *ids;
    struct word_bias *words;
};

/* llama-server's false is a token that never comes. */
static int read_bias(float *out, const json_t *v, const char *of,
                     struct err *err)
{
    double value = json_number_value(v);
    *out = json_is_false(v) ? -INFINITY : (float)value;
    if (json_is_false(v) ||
        (json_is_number(v) && value >= -100 && value <= 100))
        return 0;
    return err_field(
        err, "logit_bias",
        "logit_bias of %.20s must be a number from -100 to 100, or "
        "false",
        of);
}

static int add_id_bias(struct sampling_fields *f, struct bias_room *room,
                       token_id id, const char *name, const json_t *v,
                       uint32_t n_vocab, struct err *err)
{
    if (id == TOKEN_NONE)
        return err_field(err, "logit_bias",
                         "logit_bias names the token %.20s, which is out of "
                         "vocabulary: that has %u tokens",
                         name, n_vocab);
    struct logit_bias *bias = &room->ids[f->n_bias++];
    bias->id = id;
    return read_bias(&bias->bias, v, name, err);
}

static int add_word_bias(struct sampling_fields *f, struct bias_room *room,
                         const json_t *word, const json_t *v,
                         struct arena *arena, struct err *err)
{
    struct word_bias *bias = &room->words[f->n_word_bias++];
    int rc = read_word(&bias->word, word, "logit_bias", arena, err);
    return rc == 0 ? read_bias(&bias->bias, v, bias->word, err) : rc;
}

/* Names every key that is no number. */
static int check_keys(json_t *map, struct err *err)
{
    json_t *v;
    const char *key;
    struct buf wrong = {0};
    json_object_foreach(map, key, v)
    {
        if (is_integer(key) || wrong.len > 200)
            continue;
        buf_printf(&wrong, "%s\"%.40s\"", wrong.len > 0 ? ", " : "", key);
    }
    int rc = wrong.len == 0 ? 0
                            : err_field(err, "logit_bias",
                                        "logit_bias has keys that are no token "
                                        "ids: %s",
                                        buf_str(&wrong));
    buf_deinit(&wrong);
    return rc;
}

/* {"15043": -100}, as OpenAI. */
static int map_biases(struct sampling_fields *f, struct bias_room *room,
                      json_t *map, uint32_t n_vocab, struct err *err)
{
    json_t *v;
    const char *key;
    int rc = check_keys(map, err);
    json_object_foreach(map, key, v)
    {
        if (rc == 0)
            rc = add_id_bias(f, room, parse_id(key, n_vocab), key, v, n_vocab,
                             err);
    }
    return rc;
}

/* [[15043, -100], ["Hello", false]], llama-server's. */
static int list_biases(struct sampling_fields *f, struct bias_room *room,
                       const json_t *list, uint32_t n_vocab,
                       struct arena *arena, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        const json_t *of = json_array_get(pair, 0);
        const json_t *v = json_array_get(pair, 1);
        char name[32];
        if (json_array_size(pair) != 2 ||
            (!json_is_integer(of) && !json_is_string(of)))
            return err_field(
                err, "logit_bias",
                "logit_bias[%zu] must be a pair of a token id or a "
                "string, and a number",
                i);
        if (json_is_string(of)) {
            rc = add_word_bias(f, room, of, v, arena, err);
            continue;
        }
        snprintf(name, sizeof name, "%lld", (long long)json_integer_value(of));
        rc = add_id_bias(f, room, parse_id(name, n_vocab), name, v, n_vocab,
                         err);
    }
    return rc;
}

static int read_biases(struct sampling_fields *f, const json_t *body,
                       uint32_t n_vocab, struct arena *arena, struct err *err)
{
    json_t *v = json_object_get(body, "logit_bias");
    char text[64];
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_object(v) && !json_is_array(v))
        return err_field(err, "logit_bias",
                         "logit_bias must be an object or an array of pairs, "
                         "not %s",
                         json_describe(v, text));
    size_t n = json_is_object(v) ? json_object_size(v) : json_array_size(v);
    if (n > SAMPLING_BIAS_MAX)
        return err_field(err, "logit_bias",
                         "logit_bias holds %zu entries, more than the %u "
                         "accepted",
                         n, SAMPLING_BIAS_MAX);
    struct bias_room room = {
        arena_calloc(arena, n, sizeof *room.ids),
        arena_calloc(arena, n, sizeof *room.words),
    };
    if (room.ids == NULL || room.words == NULL)
        return err_nomem(err, "logit_bias");
    f->bias = room.ids;
    f->word_bias = room.words;
    return json_is_object(v) ? map_biases(f, &room, v, n_vocab, err)
                             : list_biases(f, &room, v, n_vocab, arena, err);
}

int token_fields_ids(const token_id **out, uint32_t *n, const json_t *array,
                     uint32_t n_vocab, uint32_t max, const char *path,
                     struct arena *arena, struct err *err)
{
    size_t size = json_array_size(array);
    char text[64], full[64];
    if (size > max)
        return err_field(err, path,
                         "%s holds %zu token ids, more than the %u "
                         "accepted",
                         path, size, max);
    token_id *ids = arena_calloc(arena, size, sizeof *ids);
    if (ids == NULL)
        return err_nomem(err, "token ids");
    for (size_t i = 0; i < size; i++) {
        const json_t *v = json_array_get(array, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= (json_int_t)n_vocab) {
            snprintf(full, sizeof full, "%.40s[%zu]", path, i);
            if (json_is_integer(v))
                return err_field(err, full,
                                 "%s is %lld, out of vocabulary: ids are 0 to "
                                 "%u",
                                 full, (long long)id, n_vocab - 1);
            return err_field(err, full,
                             "%s must be a token id from 0 to %u, "
                             "not %s",
                             full, n_vocab - 1, json_describe(v, text));
        }
        ids[i] = (token_id)id;
    }
    *out = ids;
    *n = (uint32_t)size;
    return 0;
}

/* As a mask, for that is how it is used: the longest list costs no more. */
static int read_allowed(struct sampling_fields *f, const json_t *body,
                        uint32_t n_vocab, struct arena *arena, struct err *err)
{
    static const char key[] = "allowed_token_ids";
    json_t *list;
    const token_id *ids;
    uint32_t n;
    int rc = json_get_array(body, key, &list, "", err);
    if (rc <= 0)
        return rc;
    if (json_array_size(list) == 0)
        return err_field(err, key, "%s must not be empty", key);
    rc = token_fields_ids(&ids, &n, list, n_vocab, UINT32_MAX, key, arena, err);
    if (rc != 0)
        return rc;
    uint32_t *mask = arena_calloc(arena, (n_vocab + 31) / 32, sizeof *mask);
    if (mask == NULL)
        return err_nomem(err, key);
    for (uint32_t i = 0; i < n; i++)
        mask[ids[i] / 32] |= 1u << ids[i] % 32;
    f->allowed = mask;
    return 0;
}

int token_fields_parse(struct sampling_fields *f, const json_t *body,
                       uint32_t n_vocab, struct arena *arena, struct err *err)
{
    json_t *ids;
    int rc = read_words(&f->stop, &f->n_stop, body, "stop", true,
                        SAMPLING_STOPS_MAX, arena, err);
    if (rc == 0)
        rc = read_words(&f->bad_words, &f->n_bad_words, body, "bad_words",
                        false, SAMPLING_BAD_WORDS_MAX, arena, err);
    if (rc == 0)
        rc = read_biases(f, body, n_vocab, arena, err);
    if (rc == 0)
        rc = read_allowed(f, body, n_vocab, arena, err);
    if (rc == 0)
        rc = json_get_array(body, "stop_token_ids", &ids, "", err);
    if (rc > 0)
        rc = token_fields_ids(&f->stop_ids, &f->n_stop_ids, ids, n_vocab,
                              SAMPLING_STOP_IDS_MAX, "stop_token_ids", arena,
                              err);
    return rc;
}
