/* shards.c -- see shards.h. */
#include "model/weights/shards.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/json.h"

#define MAX_INDEX_BYTES (64u << 20)
#define MAX_INDEX_NODES 400000u
#define LEAST_FILE 8u /* the length of a header */

static int join(char **out, const char *dir, const char *name, struct err *err)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", dir, name);
    *out = buf_take(&b, NULL);
    buf_deinit(&b);
    return *out != NULL ? 0 : err_nomem(err, "a path");
}

static void shard_close(struct shard *f)
{
    safetensors_free(f->st);
    map_close(&f->map);
    mem_free(f->used);
    mem_free(f->path);
    *f = (struct shard){0};
}

/* Takes `path` whatever happens. */
static int shard_open(struct shard *f, char *path, struct err *err)
{
    *f = (struct shard){.path = path};
    int rc = map_file(&f->map, path, LEAST_FILE, err);
    if (rc != 0)
        goto fail;
    rc =
        safetensors_parse(&f->st, f->map.base, f->map.bytes, f->map.bytes, err);
    if (rc != 0) {
        err_wrap(err, "%s", path);
        goto fail;
    }
    f->used = mem_calloc(f->st->n + 1, sizeof *f->used);
    if (f->used == NULL) {
        rc = err_nomem(err, "the list of tensors");
        goto fail;
    }
    return 0;
fail:
    shard_close(f);
    return rc;
}

/* A file in or below this directory: no "..", no root, nothing unprintable. */
static bool shard_name_ok(const char *name)
{
    size_t n = strlen(name), n_suffix = strlen(".safetensors");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == '\\')
            return false;
    return n > n_suffix && n < 256 && name[0] != '/' &&
           strcmp(name + n - n_suffix, ".safetensors") == 0 &&
           strstr(name, "..") == NULL;
}

/* The number of the shard called `name`, opened when it is new. */
static int shard_number(struct shards *s, size_t *out, const char *dir,
                        const char *name, struct err *err)
{
    size_t n_dir = strlen(dir) + 1;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->files[i].path + n_dir, name) == 0) {
            *out = i;
            return 0;
        }
    if (s->n >= SHARDS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u shards", SHARDS_MAX);
    char *path = NULL;
    int rc = join(&path, dir, name, err);
    if (rc == 0)
        rc = shard_open(&s->files[s->n], path, err);
    if (rc == 0)
        *out = s->n++;
    return rc;
}

static int open_entry(struct shards *s, const char *dir, const char *tensor,
                      const json_t *value, struct err *err)
{
    const char *name = json_string_value(value);
    size_t k = 0;
    char text[64];
    if (name == NULL)
        return err_set(err, ERR_FORMAT,
                       "weight_map: the shard of %.128s must be a string, not "
                       "%s",
                       tensor, json_describe(value, text));
    if (strlen(name) != json_string_length(value) || !shard_name_ok(name))
        return err_set(err, ERR_FORMAT,
                       "weight_map: \"%.64s\" (for %.128s) is not the name of "
                       "a .safetensors file in this directory",
                       name, tensor);
    return shard_number(s, &k, dir, name, err);
}

/* The tensors are where they are, as for transformers: the index may be wrong
 * about which shard, but none may be nowhere. */
static int check_entry(struct shards *s, const char *tensor,
                       const json_t *value, struct err *err)
{
    for (size_t i = 0; i < s->n; i++)
        if (safetensors_find(s->files[i].st, tensor) != NULL)
            return 0;
    return err_set(err, ERR_FORMAT,
                   "weight_map: %.128s should be in %.64s, but is not", tensor,
                   json_string_value(value));
}

/* Nor may one be in two places: which would count? */
static int check_twice(const struct shards *s, const char *dir, struct err *err)
{
    size_t n_dir = strlen(dir) + 1;
    for (size_t i = 1; i < s->n; i++)
        for (size_t j = 0; j < s->files[i].st->n; j++) {
            const char *tensor = s->files[i].st->tensors[j].name;
            for (size_t k = 0; k < i; k++)
                if (safetensors_find(s->files[k].st, tensor) != NULL)
                    return err_set(err, ERR_FORMAT,
                                   "weight_map: %.128s is in %.64s and in "
                                   "%.64s",
                                   tensor, s->files[k].path + n_dir,
                                   s->files[i].path + n_dir);
        }
    return 0;
}

static int open_mapped(struct shards *s, const char *dir, json_t *map,
                       struct err *err)
{
    const char *tensor;
    json_t *value;
    int rc = 0;
    json_object_foreach(map, tensor, value)
    {
        rc = open_entry(s, dir, tensor, value, err);
        if (rc != 0)
            return rc;
    }
    json_object_foreach(map, tensor, value)
    {
        rc = check_entry(s, tensor, value, err);
        if (rc != 0)
            return rc;
    }
    return check_twice(s, dir, err);
}

static int open_indexed(struct shards *s, const char *dir,
                        const char *index_path, struct err *err)
{
    json_t *index = NULL, *map = NULL;
    char text[64];
    int rc = json_parse_file(&index, index_path, MAX_INDEX_BYTES,
                             MAX_INDEX_NODES, err);
    if (rc != 0)
        return rc;
    s->files = mem_calloc(SHARDS_MAX, sizeof *s->files);
    if (s->files == NULL)
        rc = err_nomem(err, "the list of shards");
    map = json_object_get(index, "weight_map");
    if (rc == 0 && !json_is_object(map))
        rc = err_set(err, ERR_FORMAT, "weight_map must be an object, not %s",
                     map != NULL ? json_describe(map, text) : "absent");
    if (rc == 0)
        rc = open_mapped(s, dir, map, err);
    if (rc != 0)
        err_wrap(err, "%s", index_path);
    json_decref(index);
    return rc;
}

static bool absent(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static int open_set(struct shards *s, const char *dir, const char *single,
                    const char *index, struct err *err)
{
    if (!absent(single)) {
        s->files = mem_calloc(1, sizeof *s->files);
        char *path = mem_strdup(single);
        if (s->files == NULL || path == NULL) {
            mem_free(path);
            return err_nomem(err, "the list of shards");
        }
        int rc = shard_open(&s->files[0], path, err);
        s->n = rc == 0;
        return rc;
    }
    if (!absent(index))
        return open_indexed(s, dir, index, err);
    return err_set(err, ERR_NOT_FOUND,
                   "%s has neither model.safetensors nor "
                   "model.safetensors.index.json",
                   dir);
}

int shards_open(struct shards *s, const char *dir, struct err *err)
{
    char *single = NULL, *index = NULL;
    *s = (struct shards){0};
    int rc = join(&single, dir, "model.safetensors", err);
    if (rc == 0)
        rc = join(&index, dir, "model.safetensors.index.json", err);
    if (rc == 0)
        rc = open_set(s, dir, single, index, err);
    mem_free(single);
    mem_free(index);
    if (rc != 0)
        shards_close(s);
    for (size_t i = 0; i < s->n; i++)
        s->tensor_bytes += (size_t)s->files[i].st->data_bytes;
    return rc;
}

void shards_close(struct shards *s)
{
    for (size_t i = 0; i < s->n; i++)
        shard_close(&s->files[i]);
    mem_free(s->files);
    *s = (struct shards){0};
}

const struct safetensor *shards_find(struct shards *s, const char *name,
                                     const void **data)
{
    for (size_t i = 0; i < s->n; i++) {
        struct shard *f = &s->files[i];
        const struct safetensor *t = safetensors_find(f->st, name);
        if (t == NULL)
            continue;
        f->used[t - f->st->tensors] = true;
        *data = f->map.base + f->st->data_offset + t->begin;
        return t;
    }
    return NULL;
}

const struct safetensor *shards_unused(const struct shards *s, size_t *n)
{
    const struct safetensor *first = NULL;
    *n = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->files[i].st->n; j++) {
            if (s->files[i].used[j])
                continue;
            if ((*n)++ == 0)
                first = &s->files[i].st->tensors[j];
        }
    return first;
}
