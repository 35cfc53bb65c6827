/* gguf_value.c -- the metadata of a GGUF file: entries read, values given.
 *
 * See gguf.h.  Little-endian hosts only, as all of lfmd. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/base/utf8.h"
#include "model/weights/gguf_internal.h"

#define MAX_KEY 65535u /* docs/gguf.md */

static const struct {
    const char *name;
    uint32_t bytes; /* 0: not of fixed size */
} types[GGUF_N_TYPES] = {
    [GGUF_U8] = {"u8", 1},          [GGUF_I8] = {"i8", 1},
    [GGUF_U16] = {"u16", 2},        [GGUF_I16] = {"i16", 2},
    [GGUF_U32] = {"u32", 4},        [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},        [GGUF_BOOL] = {"bool", 1},
    [GGUF_U64] = {"u64", 8},        [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},        [GGUF_STRING] = {"a string", 0},
    [GGUF_ARRAY] = {"an array", 0},
};

/* ---- reading an entry -------------------------------------------------- */

bool gguf_take(struct gguf_cursor *c, void *out, size_t n)
{
    if ((size_t)(c->end - c->at) < n)
        return false;
    memcpy(out, c->at, n);
    c->at += n;
    return true;
}

/* The bytes of a string: a length and that many. */
static bool take_text(struct gguf_cursor *c, struct gguf_text *out)
{
    uint64_t n;
    if (!gguf_take(c, &n, sizeof n) || n > (uint64_t)(c->end - c->at))
        return false;
    *out = (struct gguf_text){(const char *)c->at, (size_t)n};
    c->at += n;
    return true;
}

static bool key_ok(struct gguf_text key)
{
    return key.n > 0 && key.n <= MAX_KEY && utf8_valid(key.bytes, key.n) &&
           memchr(key.bytes, '\0', key.n) == NULL;
}

/* Past n values of type `of`; false when the file ends before. */
static bool skip_values(struct gguf_cursor *c, enum gguf_type of, uint64_t n)
{
    uint64_t left = (uint64_t)(c->end - c->at);
    if (of != GGUF_STRING) {
        if (n > left / types[of].bytes)
            return false;
        c->at += n * types[of].bytes;
        return true;
    }
    if (n > left / sizeof(uint64_t))
        return false;
    struct gguf_text text;
    for (uint64_t i = 0; i < n; i++)
        if (!take_text(c, &text))
            return false;
    return true;
}

static int shown(const struct gguf_kv *kv)
{
    return kv->n_key < 128 ? (int)kv->n_key : 128;
}

static int read_type(struct gguf_kv *kv, struct gguf_cursor *c, struct err *err)
{
    uint32_t type, of;
    bool whole = gguf_take(c, &type, sizeof type);
    kv->n = 1;
    if (whole && type == GGUF_ARRAY) {
        whole =
            gguf_take(c, &of, sizeof of) && gguf_take(c, &kv->n, sizeof kv->n);
        if (whole && of == GGUF_ARRAY)
            return err_set(err, ERR_UNSUPPORTED,
                           "key %.*s is an array of arrays, which no key of "
                           "this format is",
                           shown(kv), kv->key);
    } else {
        of = type;
    }
    if (!whole)
        return err_set(err, ERR_FORMAT, "the file ends in the type of key %.*s",
                       shown(kv), kv->key);
    if (type >= GGUF_N_TYPES || of >= GGUF_N_TYPES)
        return err_set(err, ERR_FORMAT,
                       "key %.*s is of type %" PRIu32 ", but there are %d",
                       shown(kv), kv->key, type >= GGUF_N_TYPES ? type : of,
                       GGUF_N_TYPES);
    kv->type = (enum gguf_type)type;
    kv->of = (enum gguf_type)of;
    return 0;
}

int gguf_kv_read(struct gguf_kv *kv, struct gguf_cursor *c, struct err *err)
{
    struct gguf_text key;
    *kv = (struct gguf_kv){0};
    if (!take_text(c, &key))
        return err_set(err, ERR_FORMAT, "the file ends in the name of a key");
    if (!key_ok(key))
        return err_set(err, ERR_FORMAT,
                       "the name of a key, of %zu bytes, is not from 1 to %u "
                       "bytes of UTF-8",
                       key.n, MAX_KEY);
    kv->key = key.bytes;
    kv->n_key = key.n;
    int rc = read_type(kv, c, err);
    if (rc != 0)
        return rc;
    kv->value = c->at;
    if (!skip_values(c, kv->of, kv->n))
        return err_set(err, ERR_FORMAT,
                       "the file ends in the value of key %.*s (%" PRIu64
                       " of %s)",
                       shown(kv), kv->key, kv->n, types[kv->of].name);
    kv->end = c->at;
    return 0;
}

/* ---- scalars ----------------------------------------------------------- */

static const struct gguf_kv *find(const struct gguf *g, const char *key)
{
    return gguf_kv_find(g, key, strlen(key));
}

static int wrong_type(const struct gguf_kv *kv, const char *wanted,
                      struct err *err)
{
    const char *array = kv->type == GGUF_ARRAY ? "an array of " : "";
    return err_set(err, ERR_FORMAT, "key %.*s is %s%s, but must be %s",
                   shown(kv), kv->key, array, types[kv->of].name, wanted);
}

/* An integer of any width, as sign and 64 bits; false: it is none. */
static bool integer_at(const uint8_t *p, enum gguf_type t, bool *negative,
                       uint64_t *out)
{
    int64_t v = 0;
    uint64_t u = 0;
    bool is_signed =
        t == GGUF_I8 || t == GGUF_I16 || t == GGUF_I32 || t == GGUF_I64;
    if (!is_signed && t != GGUF_U8 && t != GGUF_U16 && t != GGUF_U32 &&
        t != GGUF_U64)
        return false;
    memcpy(&u, p, types[t].bytes);
    if (is_signed) {
        unsigned shift = 64 - 8 * types[t].bytes;
        u <<= shift;
        memcpy(&v, &u, sizeof v);
        v >>= shift;
        memcpy(&u, &v, sizeof u);
    }
    *negative = v < 0;
    *out = u;
    return true;
}

static int u32_at(const struct gguf_kv *kv, const uint8_t *p, uint32_t *out,
                  struct err *err)
{
    bool negative = false;
    uint64_t value = 0;
    if (!integer_at(p, kv->of, &negative, &value))
        return wrong_type(kv, "an integer", err);
    if (negative)
        return err_set(err, ERR_FORMAT,
                       "key %.*s is %" PRId64 ", but must not be negative",
                       shown(kv), kv->key, (int64_t)value);
    if (value > UINT32_MAX)
        return err_set(err, ERR_FORMAT,
                       "key %.*s is %" PRIu64 ", but must fit 32 bits",
                       shown(kv), kv->key, value);
    *out = (uint32_t)value;
    return 1;
}

int gguf_u32(const struct gguf *g, const char *key, uint32_t *out,
             struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (kv == NULL)
        return 0;
    if (kv->type == GGUF_ARRAY)
        return wrong_type(kv, "an integer", err);
    return u32_at(kv, kv->value, out, err);
}

int gguf_f64(const struct gguf *g, const char *key, double *out,
             struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    bool negative = false;
    uint64_t integer = 0;
    float narrow;
    if (kv == NULL)
        return 0;
    if (kv->type == GGUF_F32) {
        memcpy(&narrow, kv->value, sizeof narrow);
        *out = (double)narrow;
    } else if (kv->type == GGUF_F64) {
        memcpy(out, kv->value, sizeof *out);
    } else if (integer_at(kv->value, kv->type, &negative, &integer)) {
        *out = negative ? (double)(int64_t)integer : (double)integer;
    } else {
        return wrong_type(kv, "a number", err);
    }
    if (!isfinite(*out))
        return err_set(err, ERR_FORMAT, "key %.*s is %g, but must be finite",
                       shown(kv), kv->key, *out);
    return 1;
}

int gguf_bool(const struct gguf *g, const char *key, bool *out, struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (kv == NULL)
        return 0;
    if (kv->type != GGUF_BOOL)
        return wrong_type(kv, "a bool", err);
    if (*kv->value > 1)
        return err_set(err, ERR_FORMAT,
                       "key %.*s is a bool of %u, but must be 0 or 1",
                       shown(kv), kv->key, *kv->value);
    *out = *kv->value != 0;
    return 1;
}

int gguf_text(const struct gguf *g, const char *key, struct gguf_text *out,
              struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (kv == NULL)
        return 0;
    if (kv->type != GGUF_STRING)
        return wrong_type(kv, "a string", err);
    struct gguf_cursor c = {kv->value, kv->end};
    (void)take_text(&c, out); /* was checked */
    return 1;
}

/* ---- arrays ------------------------------------------------------------ */

int gguf_array(const struct gguf *g, const char *key, uint64_t *n,
               enum gguf_type *of, struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (kv == NULL)
        return 0;
    if (kv->type != GGUF_ARRAY)
        return wrong_type(kv, "an array", err);
    *n = kv->n;
    *of = kv->of;
    return 1;
}

int gguf_u32s(const struct gguf *g, const char *key, uint32_t *out, uint64_t n,
              struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    bool array;
    if (kv == NULL)
        return 0;
    array = kv->type == GGUF_ARRAY;
    if (array && kv->n != n)
        return err_set(err, ERR_FORMAT,
                       "key %.*s has %" PRIu64 " elements, but must have "
                       "%" PRIu64,
                       shown(kv), kv->key, kv->n, n);
    for (uint64_t i = 0; i < n; i++) {
        size_t at = array ? (size_t)i * types[kv->of].bytes : 0;
        int found = u32_at(kv, kv->value + at, &out[i], err);
        if (found < 0)
            return found;
    }
    return 1;
}

int gguf_texts(const struct gguf *g, const char *key, struct gguf_texts *it,
               struct err *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (kv == NULL)
        return 0;
    if (kv->type != GGUF_ARRAY || kv->of != GGUF_STRING)
        return wrong_type(kv, "an array of strings", err);
    *it = (struct gguf_texts){kv->value, kv->end, kv->n, kv->n};
    return 1;
}

bool gguf_texts_next(struct gguf_texts *it, struct gguf_text *out)
{
    struct gguf_cursor c = {it->at, it->end};
    if (it->left == 0 || !take_text(&c, out))
        return false;
    it->at = c.at;
    it->left--;
    return true;
}
