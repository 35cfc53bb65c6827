/* gguf.c -- see gguf.h: the parts, the index of tensors, and its checks. */
#include "model/weights/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/arena.h"
#include "model/base/hash.h"
#include "model/base/utf8.h"
#include "model/weights/gguf_internal.h"

#define MAX_PARTS 1024u
#define MAX_KVS (1u << 16)
#define MAX_TENSORS ((uint64_t)1 << 20)
#define MAX_NAME 1024u
#define LEAST_KV 14u     /* bytes: a name of one byte, a type, a u8 */
#define LEAST_TENSOR 33u /* the same for one of one dimension */
#define LEAST_FILE 24u
#define DEFAULT_ALIGNMENT 32u

static const char magic[4] = {'G', 'G', 'U', 'F'};

/* ---- types ------------------------------------------------------------- */

/* By ggml's number; the others are formats that we do not compute. */
static bool dtype_of(uint32_t type_id, enum dtype *out)
{
    static const struct {
        uint32_t id;
        enum dtype dtype;
    } known[] = {
        {0, DTYPE_F32},   {1, DTYPE_F16},   {2, DTYPE_Q4_0},  {3, DTYPE_Q4_1},
        {6, DTYPE_Q5_0},  {7, DTYPE_Q5_1},  {8, DTYPE_Q8_0},  {12, DTYPE_Q4_K},
        {13, DTYPE_Q5_K}, {14, DTYPE_Q6_K}, {30, DTYPE_BF16},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].id == type_id) {
            *out = known[i].dtype;
            return true;
        }
    return false;
}

/* ---- tables ------------------------------------------------------------ */

static int table_new(struct gguf_table *t, struct arena *a, uint64_t n,
                     struct err *err)
{
    t->n_slots = 2;
    while (t->n_slots < 2 * n + 2)
        t->n_slots *= 2;
    t->slots = arena_calloc(a, t->n_slots, sizeof *t->slots);
    return t->slots != NULL ? 0 : err_nomem(err, "the index of a GGUF file");
}

static size_t kv_slot(const struct gguf *g, const char *key, size_t n)
{
    size_t mask = g->keys.n_slots - 1;
    size_t i = (size_t)hash_bytes(key, n, 0) & mask;
    for (; g->keys.slots[i] != 0; i = (i + 1) & mask) {
        const struct gguf_kv *kv = &g->kvs[g->keys.slots[i] - 1];
        if (kv->n_key == n && memcmp(kv->key, key, n) == 0)
            break;
    }
    return i;
}

const struct gguf_kv *gguf_kv_find(const struct gguf *g, const char *key,
                                   size_t n_key)
{
    uint32_t i = g->keys.slots[kv_slot(g, key, n_key)];
    return i != 0 ? &g->kvs[i - 1] : NULL;
}

static size_t name_slot(const struct gguf *g, const char *name)
{
    size_t mask = g->names.n_slots - 1;
    size_t i = (size_t)hash_bytes(name, strlen(name), 0) & mask;
    while (g->names.slots[i] != 0 &&
           strcmp(g->tensors[g->names.slots[i] - 1].name, name) != 0)
        i = (i + 1) & mask;
    return i;
}

const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name)
{
    uint32_t i = g->names.slots[name_slot(g, name)];
    return i != 0 ? &g->tensors[i - 1] : NULL;
}

/* Over the tensors of all parts, once they are there. */
static int index_tensors(struct gguf *g, struct err *err)
{
    int rc = table_new(&g->names, g->arena, g->n_tensors, err);
    for (uint64_t i = 0; i < g->n_tensors && rc == 0; i++) {
        size_t slot = name_slot(g, g->tensors[i].name);
        if (g->names.slots[slot] != 0)
            return err_set(err, ERR_FORMAT, "tensor %.128s is there twice",
                           g->tensors[i].name);
        g->names.slots[slot] = (uint32_t)i + 1;
    }
    return rc;
}

/* ---- the header of one part -------------------------------------------- */

struct header {
    uint64_t n_tensors, n_kvs;
};

static int read_header(struct header *h, struct gguf_cursor *c, struct err *err)
{
    char start[4] = {0};
    uint32_t version = 0;
    if (!gguf_take(c, start, sizeof start) ||
        memcmp(start, magic, sizeof magic) != 0)
        return err_set(err, ERR_FORMAT,
                       "is no GGUF file: it does not start with \"GGUF\"");
    if (!gguf_take(c, &version, sizeof version))
        return err_set(err, ERR_FORMAT, "the file ends in its header");
    if (version != 0 && (version & 0xFFFF) == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "is a GGUF file for big-endian machines (version "
                       "%" PRIu32 " when read backwards), but only "
                       "little-endian ones are read",
                       version >> 24);
    if (version != 2 && version != 3)
        return err_set(err, ERR_UNSUPPORTED,
                       "is of GGUF version %" PRIu32 ", but only 2 and 3 are "
                       "read",
                       version);
    if (!gguf_take(c, &h->n_tensors, sizeof h->n_tensors) ||
        !gguf_take(c, &h->n_kvs, sizeof h->n_kvs))
        return err_set(err, ERR_FORMAT, "the file ends in its header");
    uint64_t left = (uint64_t)(c->end - c->at);
    if (h->n_kvs > MAX_KVS || h->n_kvs > left / LEAST_KV)
        return err_set(err, ERR_FORMAT,
                       "says that it has %" PRIu64 " keys, more than %" PRIu64
                       " bytes can hold or than the %u accepted",
                       h->n_kvs, left, MAX_KVS);
    if (h->n_tensors > MAX_TENSORS || h->n_tensors > left / LEAST_TENSOR)
        return err_set(err, ERR_FORMAT,
                       "says that it has %" PRIu64 " tensors, more than "
                       "%" PRIu64 " bytes can hold or than the %" PRIu64
                       " accepted",
                       h->n_tensors, left, MAX_TENSORS);
    return 0;
}

/* Of the first part they are kept; of the others they are read into a struct
 * of their own, for the alignment and the number. */
static int read_kvs(struct gguf *g, struct gguf_cursor *c, uint64_t n,
                    struct err *err)
{
    g->kvs = arena_calloc(g->arena, (size_t)n + 1, sizeof *g->kvs);
    if (g->kvs == NULL)
        return err_nomem(err, "the keys of a GGUF file");
    int rc = table_new(&g->keys, g->arena, n, err);
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        struct gguf_kv *kv = &g->kvs[i];
        rc = gguf_kv_read(kv, c, err);
        if (rc != 0)
            break;
        size_t slot = kv_slot(g, kv->key, kv->n_key);
        if (g->keys.slots[slot] != 0)
            return err_set(err, ERR_FORMAT, "key %.*s is there twice",
                           kv->n_key < 128 ? (int)kv->n_key : 128, kv->key);
        g->keys.slots[slot] = ++g->n_kvs;
    }
    return rc;
}

static int read_alignment(uint32_t *out, const struct gguf *g, struct err *err)
{
    *out = DEFAULT_ALIGNMENT;
    int found = gguf_u32(g, "general.alignment", out, err);
    if (found < 0)
        return found;
    if (*out == 0 || (*out & (*out - 1)) != 0)
        return err_set(err, ERR_FORMAT,
                       "general.alignment is %" PRIu32 ", but must be a power "
                       "of two",
                       *out);
    return 0;
}

/* ---- tensor infos ------------------------------------------------------ */

static int read_name(struct gguf *g, struct gguf_tensor *t,
                     struct gguf_cursor *c, struct err *err)
{
    uint64_t n = 0;
    if (!gguf_take(c, &n, sizeof n) || n > (uint64_t)(c->end - c->at))
        return err_set(err, ERR_FORMAT,
                       "the file ends in the name of a tensor");
    const char *name = (const char *)c->at;
    if (n == 0 || n > MAX_NAME || !utf8_valid(name, (size_t)n) ||
        memchr(name, '\0', (size_t)n) != NULL)
        return err_set(err, ERR_FORMAT,
                       "the name of a tensor, of %" PRIu64 " bytes, is not "
                       "from 1 to %u bytes of UTF-8",
                       n, MAX_NAME);
    t->name = arena_strndup(g->arena, name, (size_t)n);
    if (t->name == NULL)
        return err_nomem(err, "the names of the tensors");
    c->at += n;
    return 0;
}

static int ends_in(const struct gguf_tensor *t, struct err *err)
{
    return err_set(err, ERR_FORMAT,
                   "the file ends in the description of tensor %.128s",
                   t->name);
}

static int read_dims(struct gguf_tensor *t, struct gguf_cursor *c,
                     uint64_t *n_values, struct err *err)
{
    if (!gguf_take(c, &t->n_dims, sizeof t->n_dims))
        return ends_in(t, err);
    if (t->n_dims == 0 || t->n_dims > GGUF_MAX_DIMS)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s has %" PRIu32 " dimensions, but must "
                       "have from 1 to %u",
                       t->name, t->n_dims, GGUF_MAX_DIMS);
    *n_values = 1;
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++) {
        t->dims[i] = 1;
        if (i < t->n_dims && !gguf_take(c, &t->dims[i], sizeof t->dims[i]))
            return ends_in(t, err);
        if (t->dims[i] == 0 || t->dims[i] > INT64_MAX ||
            __builtin_mul_overflow(*n_values, t->dims[i], n_values))
            return err_set(err, ERR_FORMAT,
                           "dimension %" PRIu32 " of tensor %.128s is "
                           "%" PRIu64 ", but must be at least 1 and their "
                           "product must fit 64 bits",
                           i, t->name, t->dims[i]);
    }
    return 0;
}

/* The bytes of the tensor, when its format is one that we know. */
static int measure(struct gguf_tensor *t, uint64_t n_values, struct err *err)
{
    t->known = dtype_of(t->type_id, &t->dtype);
    if (!t->known)
        return 0;
    uint32_t values = dtype_block_values(t->dtype);
    if (t->dims[0] % values != 0)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s has rows of %" PRIu64 " values, but %s "
                       "comes in blocks of %" PRIu32,
                       t->name, t->dims[0], dtype_name(t->dtype), values);
    uint64_t bytes;
    if (__builtin_mul_overflow(n_values / values, dtype_block_bytes(t->dtype),
                               &bytes) ||
        bytes > SIZE_MAX)
        return err_set(err, ERR_FORMAT,
                       "the bytes of tensor %.128s do not fit 64 bits",
                       t->name);
    t->bytes = (size_t)bytes;
    return 0;
}

/* *offset is where its data starts, counted from the end of all infos, which
 * is not known yet. */
static int read_tensor(struct gguf *g, struct gguf_tensor *t, uint64_t *offset,
                       struct gguf_cursor *c, struct err *err)
{
    uint64_t n_values = 0;
    int rc = read_name(g, t, c, err);
    if (rc == 0)
        rc = read_dims(t, c, &n_values, err);
    if (rc != 0)
        return rc;
    if (!gguf_take(c, &t->type_id, sizeof t->type_id) ||
        !gguf_take(c, offset, sizeof *offset))
        return ends_in(t, err);
    return measure(t, n_values, err);
}

/* In the order of the infos, no tensor begins before the last one's end: so
 * that together they are no larger than the file. */
static int place(struct gguf_tensor *t, uint64_t offset, uint64_t *end,
                 uint32_t alignment, const struct gguf_part *p, size_t data_at,
                 struct err *err)
{
    size_t room = p->bytes > data_at ? p->bytes - data_at : 0;
    if (offset % alignment != 0)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s starts at %" PRIu64 " of the data, "
                       "which is not a multiple of %" PRIu32,
                       t->name, offset, alignment);
    if (offset < *end)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s starts at %" PRIu64 " of the data, "
                       "before the end of the one before it, %" PRIu64,
                       t->name, offset, *end);
    if (offset > room || t->bytes > room - offset)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s ends at %" PRIu64 " + %zu of the data, "
                       "but the file holds %zu: was it cut?",
                       t->name, offset, t->bytes, room);
    *end = offset + t->bytes;
    if (t->known)
        t->data = p->base + data_at + offset;
    return 0;
}

static int read_infos(struct gguf *g, const struct gguf_part *p,
                      struct gguf_tensor *tensors, uint64_t *offsets,
                      uint64_t n, struct gguf_cursor *c, uint32_t alignment,
                      struct err *err)
{
    int rc = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++)
        rc = read_tensor(g, &tensors[i], &offsets[i], c, err);
    size_t at = (size_t)(c->at - p->base);
    size_t pad = (alignment - at % alignment) % alignment;
    uint64_t end = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++)
        rc = place(&tensors[i], offsets[i], &end, alignment, p, at + pad, err);
    return rc;
}

/* Appends the tensors of a part; `own` has its keys, `g` takes what it says. */
static int read_tensors(struct gguf *g, const struct gguf *own,
                        const struct gguf_part *p, uint64_t n,
                        struct gguf_cursor *c, struct err *err)
{
    uint32_t alignment;
    int rc = read_alignment(&alignment, own, err);
    if (rc != 0)
        return rc;
    uint64_t total = g->n_tensors + n;
    if (total > MAX_TENSORS)
        return err_set(err, ERR_LIMIT, "more than %" PRIu64 " tensors",
                       MAX_TENSORS);
    struct gguf_tensor *all =
        mem_realloc_array(g->tensors, (size_t)total + 1, sizeof *all);
    uint64_t *offsets = mem_calloc((size_t)n + 1, sizeof *offsets);
    if (all != NULL) {
        g->tensors = all;
        memset(all + g->n_tensors, 0, (size_t)n * sizeof *all);
    }
    if (all == NULL || offsets == NULL)
        rc = err_nomem(err, "the tensors of a GGUF file");
    else
        rc =
            read_infos(g, p, all + g->n_tensors, offsets, n, c, alignment, err);
    mem_free(offsets);
    if (rc == 0)
        g->n_tensors = total;
    return rc;
}

static struct gguf *gguf_new(uint32_t max_parts, struct err *err)
{
    struct gguf *g = mem_calloc(1, sizeof *g);
    if (g != NULL) {
        g->arena = arena_new(0);
        g->parts = mem_calloc(max_parts, sizeof *g->parts);
    }
    if (g == NULL || g->arena == NULL || g->parts == NULL) {
        gguf_close(g);
        err_nomem(err, "a GGUF file");
        return NULL;
    }
    return g;
}

/* The first part, whose keys count. */
static int read_first(struct gguf *g, struct err *err)
{
    const struct gguf_part *p = &g->parts[0];
    struct gguf_cursor c = {p->base, p->base + p->bytes};
    struct header h;
    int rc = read_header(&h, &c, err);
    if (rc == 0)
        rc = read_kvs(g, &c, h.n_kvs, err);
    if (rc == 0)
        rc = read_tensors(g, g, p, h.n_tensors, &c, err);
    return rc;
}

int gguf_parse(struct gguf **out, const void *bytes, size_t n, struct err *err)
{
    *out = NULL;
    struct gguf *g = gguf_new(1, err);
    if (g == NULL)
        return -ERR_NOMEM;
    g->n_parts = 1;
    g->parts[0].base = bytes;
    g->parts[0].bytes = n;
    int rc = read_first(g, err);
    if (rc == 0)
        rc = index_tensors(g, err);
    if (rc != 0) {
        gguf_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

void gguf_close(struct gguf *g)
{
    if (g == NULL)
        return;
    for (uint32_t i = 0; i < g->n_parts; i++) {
        map_close(&g->parts[i].map);
        mem_free(g->parts[i].name);
    }
    mem_free(g->parts);
    mem_free(g->tensors);
    arena_free(g->arena);
    mem_free(g);
}

/* ---- files ------------------------------------------------------------- */

bool gguf_is_file(const char *path)
{
    char start[4] = {0};
    struct mapping m;
    if (map_file(&m, path, sizeof start, NULL) != 0)
        return false;
    memcpy(start, m.base, sizeof start);
    map_close(&m);
    return memcmp(start, magic, sizeof magic) == 0;
}

static int map_part(struct gguf *g, const char *path, struct err *err)
{
    struct gguf_part *p = &g->parts[g->n_parts];
    int rc = map_file(&p->map, path, LEAST_FILE, err);
    if (rc != 0)
        return rc;
    g->n_parts++;
    p->base = (const uint8_t *)p->map.base;
    p->bytes = p->map.bytes;
    p->name = mem_strdup(path);
    return p->name != NULL ? 0 : err_nomem(err, "a path");
}

/* Another part than the first: its keys are read for its number alone. */
static int read_other(struct gguf *g, uint32_t n_parts, struct err *err)
{
    uint32_t number = g->n_parts - 1, no = 0, count = 0;
    const struct gguf_part *p = &g->parts[number];
    struct gguf_cursor c = {p->base, p->base + p->bytes};
    struct header h;
    struct gguf *own = gguf_new(1, err);
    if (own == NULL)
        return -ERR_NOMEM;
    int rc = read_header(&h, &c, err);
    if (rc == 0)
        rc = read_kvs(own, &c, h.n_kvs, err);
    if (rc == 0 && gguf_u32(own, "split.no", &no, err) < 0)
        rc = -ERR_FORMAT;
    if (rc == 0 && gguf_u32(own, "split.count", &count, err) < 0)
        rc = -ERR_FORMAT;
    if (rc == 0 && (no != number || count != n_parts))
        rc = err_set(err, ERR_FORMAT,
                     "says that it is part %" PRIu32 " of %" PRIu32 " (from 0 "
                     "up), but its name makes it part %" PRIu32 " of %" PRIu32,
                     no, count, number, n_parts);
    if (rc == 0)
        rc = read_tensors(g, own, p, h.n_tensors, &c, err);
    gguf_close(own);
    return rc;
}

#define SUFFIX_BYTES 20u /* "-00001-of-00003.gguf" */

/* The number, from 1 up, that five digits stand for; 0: they are none. */
static uint32_t five_digits(const char *s)
{
    uint32_t v = 0;
    for (int i = 0; i < 5; i++) {
        if (s[i] < '0' || s[i] > '9')
            return 0;
        v = 10 * v + (uint32_t)(s[i] - '0');
    }
    return v;
}

/* How many parts the name says there are; 0: it is not the name of a part. */
static uint32_t parts_of_name(const char *path)
{
    size_t n = strlen(path);
    if (n < SUFFIX_BYTES)
        return 0;
    const char *s = path + n - SUFFIX_BYTES;
    if (s[0] != '-' || memcmp(s + 6, "-of-", 4) != 0 ||
        memcmp(s + 15, ".gguf", 5) != 0)
        return 0;
    uint32_t part = five_digits(s + 1), count = five_digits(s + 10);
    return part >= 1 && part <= count ? count : 0;
}

static int open_others(struct gguf *g, const char *path, uint32_t n_parts,
                       struct err *err)
{
    uint32_t total = 0;
    int n_stem = (int)(strlen(path) - SUFFIX_BYTES), rc = 0;
    for (uint32_t i = 1; i < n_parts && rc == 0; i++) {
        size_t n = strlen(path) + 1;
        char *name = arena_alloc(g->arena, n);
        if (name == NULL)
            return err_nomem(err, "a path");
        snprintf(name, n, "%.*s-%05u-of-%05u.gguf", n_stem, path, i + 1,
                 n_parts);
        rc = map_part(g, name, err);
        if (rc == 0 && (rc = read_other(g, n_parts, err)) != 0)
            err_wrap(err, "%s", name);
    }
    if (rc != 0)
        return rc;
    int found = gguf_u32(g, "split.tensors.count", &total, err);
    if (found > 0 && total != g->n_tensors)
        return err_set(err, ERR_FORMAT,
                       "%s: split.tensors.count is %" PRIu32 ", but the "
                       "%" PRIu32 " parts have %" PRIu64,
                       path, total, n_parts, g->n_tensors);
    return found < 0 ? found : 0;
}

/* Maps and reads the first part, and gives how many there are. */
static int open_first(struct gguf *g, const char *path, uint32_t *n_parts,
                      struct err *err)
{
    uint32_t no = 0, named = parts_of_name(path);
    int rc = map_part(g, path, err);
    if (rc != 0)
        return rc;
    *n_parts = 1;
    rc = read_first(g, err);
    if (rc == 0 && (gguf_u32(g, "split.count", n_parts, err) < 0 ||
                    gguf_u32(g, "split.no", &no, err) < 0))
        rc = -ERR_FORMAT;
    if (rc == 0 && *n_parts > 1 && (*n_parts != named || no != 0))
        rc = err_set(err, ERR_FORMAT,
                     "is part %" PRIu32 " (from 0 up) of a model in %" PRIu32
                     " files, but is not named like the first of them: "
                     "...-00001-of-%05" PRIu32 ".gguf",
                     no, *n_parts, *n_parts);
    if (rc != 0)
        err_wrap(err, "%s", path);
    return rc;
}

static int open_at(struct gguf **out, const char *path, struct err *err)
{
    uint32_t n_parts = 1;
    struct gguf *g = gguf_new(MAX_PARTS, err);
    if (g == NULL)
        return -ERR_NOMEM;
    int rc = open_first(g, path, &n_parts, err);
    if (rc == 0 && n_parts > MAX_PARTS)
        rc = err_set(err, ERR_LIMIT, "%s: more than %u parts", path, MAX_PARTS);
    if (rc == 0)
        rc = open_others(g, path, n_parts, err);
    if (rc == 0 && (rc = index_tensors(g, err)) != 0)
        err_wrap(err, "%s", path);
    if (rc == 0)
        *out = g;
    else
        gguf_close(g);
    return rc;
}

int gguf_open(struct gguf **out, const char *path, struct err *err)
{
    *out = NULL;
    if (parts_of_name(path) < 2)
        return open_at(out, path, err);
    char *first = mem_strdup(path);
    if (first == NULL)
        return err_nomem(err, "a path");
    memcpy(first + strlen(first) - SUFFIX_BYTES + 1, "00001", 5);
    int rc = open_at(out, first, err);
    mem_free(first);
    return rc;
}

uint32_t gguf_n_files(const struct gguf *g)
{
    return g->n_parts;
}

const char *gguf_file_name(const struct gguf *g)
{
    return g->parts[0].name != NULL ? g->parts[0].name : "(memory)";
}

bool gguf_is_mapped(const struct gguf *g)
{
    return g->parts[0].map.base != NULL;
}

/* ---- tensors ----------------------------------------------------------- */

uint64_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, uint64_t i)
{
    return &g->tensors[i];
}

void gguf_will_need(const struct gguf *g, const struct gguf_tensor *t)
{
    (void)g;
    map_will_need(t->data, t->bytes);
}

/* Memory that is not a file's would be lost. */
void gguf_release(const struct gguf *g, const struct gguf_tensor *t)
{
    if (gguf_is_mapped(g))
        map_release(t->data, t->bytes);
}
