/* chat_source.c -- see chat_source.h. */
#include "model/chat_source.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/json.h"

/* The longest template seen is 40 KiB. */
#define MAX_TEMPLATE_BYTES (1u << 20)
/* tokenizer_config.json lists every added token in some checkpoints. */
#define MAX_CONFIG_BYTES (32u << 20)

static int read_stream(FILE *f, char **out, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b, MAX_TEMPLATE_BYTES);
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && buf_ok(&b))
        buf_put(&b, chunk, n);
    int rc = 0;
    if (ferror(f))
        rc = err_errno(err, "read", path);
    else if (!buf_ok(&b))
        rc = err_set(err, ERR_LIMIT,
                     "%s is longer than a template may be: %u "
                     "bytes",
                     path, MAX_TEMPLATE_BYTES);
    else if (memchr(buf_str(&b), '\0', b.len) != NULL)
        rc = err_set(err, ERR_FORMAT, "%s contains a NUL byte", path);
    else if ((*out = mem_strndup(buf_str(&b), b.len)) == NULL)
        rc = err_nomem(err, "the chat template");
    buf_deinit(&b);
    return rc;
}

/* 1: read, 0: no such file. */
static int read_file(char **out, const char *path, struct err *err)
{
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return errno == ENOENT ? 0 : err_errno(err, "open", path);
    int rc = read_stream(f, out, path, err);
    fclose(f);
    return rc == 0 ? 1 : rc;
}

static int keep(char **out, const char *text, struct err *err)
{
    mem_free(*out);
    *out = mem_strdup(text);
    return *out != NULL ? 0 : err_nomem(err, "the chat template");
}

/* [{"name": "default", "template": "..."}, ...] */
static int from_list(struct chat_source *src, const json_t *list,
                     const char *path, struct err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *text = json_string_value(json_object_get(item, "template"));
        if (name == NULL || text == NULL)
            return err_set(err, ERR_FORMAT,
                           "%s: chat_template[%zu] must be an object with the "
                           "strings name and template",
                           path, i);
        int rc = 0;
        if (strcmp(name, "default") == 0)
            rc = keep(&src->text, text, err);
        else if (strcmp(name, "tool_use") == 0)
            rc = keep(&src->tool_use, text, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int from_config(struct chat_source *src, const char *path,
                       struct err *err)
{
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return errno == ENOENT ? 0 : err_errno(err, "open", path);
    fclose(f);
    json_t *config;
    int rc = json_parse_file(&config, path, MAX_CONFIG_BYTES,
                             JSON_NODES_DEFAULT, err);
    if (rc != 0)
        return rc;
    const json_t *t = json_object_get(config, "chat_template");
    if (json_is_string(t))
        rc = keep(&src->text, json_string_value(t), err);
    else if (json_is_array(t))
        rc = from_list(src, t, path, err);
    else if (t != NULL && !json_is_null(t))
        rc = err_set(err, ERR_FORMAT,
                     "%s: chat_template must be a string or a list", path);
    json_decref(config);
    return rc;
}

static int read_tool_use(struct chat_source *src, const char *dir,
                         struct err *err)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path,
                     "%s/additional_chat_templates/tool_use.jinja", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, ERR_LIMIT, "the path is too long: %s", dir);
    int rc = read_file(&src->tool_use, path, err);
    return rc < 0 ? rc : 0;
}

/* The operator's file, which must be there. */
static int from_file(struct chat_source *src, const char *file, struct err *err)
{
    src->from = file;
    int rc = read_file(&src->text, file, err);
    if (rc == 0)
        return err_errno(err, "open", file);
    return rc < 0 ? rc : 0;
}

static int load(struct chat_source *src, const char *dir, const char *file,
                struct err *err)
{
    if (file != NULL)
        return from_file(src, file, err);
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, ERR_LIMIT, "the path is too long: %s", dir);
    int rc = read_file(&src->text, path, err);
    if (rc == 1)
        src->from = "chat_template.jinja";
    if (rc == 1) /* beside it, as transformers saves them: its named brothers */
        return read_tool_use(src, dir, err);
    if (rc != 0)
        return rc;
    n = snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, ERR_LIMIT, "the path is too long: %s", dir);
    src->from = "tokenizer_config.json: chat_template";
    return from_config(src, path, err);
}

int chat_source_load(struct chat_source *src, const char *dir, const char *file,
                     struct err *err)
{
    *src = (struct chat_source){.from = "the chat template"};
    int rc = load(src, dir, file, err);
    if (rc != 0)
        chat_source_deinit(src);
    return rc;
}

/* *out stays NULL when there is no such key. */
static int from_key(const struct gguf *g, const char *key, char **out,
                    struct err *err)
{
    struct gguf_text text;
    int found = gguf_text(g, key, &text, err);
    if (found <= 0)
        return found;
    if (text.n > MAX_TEMPLATE_BYTES)
        return err_set(err, ERR_LIMIT,
                       "%s is longer than a template may be: %u bytes", key,
                       MAX_TEMPLATE_BYTES);
    if (text.n > 0 && memchr(text.bytes, '\0', text.n) != NULL)
        return err_set(err, ERR_FORMAT, "%s contains a NUL byte", key);
    *out = mem_strndup(text.bytes, text.n);
    return *out != NULL ? 0 : err_nomem(err, "the chat template");
}

int chat_source_from_gguf(struct chat_source *src, const struct gguf *g,
                          const char *file, struct err *err)
{
    static const char key[] = "tokenizer.chat_template";
    int rc;
    *src = (struct chat_source){.from = key};
    if (file != NULL) {
        rc = from_file(src, file, err);
    } else {
        rc = from_key(g, key, &src->text, err);
        if (rc == 0)
            rc = from_key(g, "tokenizer.chat_template.tool_use", &src->tool_use,
                          err);
    }
    if (rc != 0)
        chat_source_deinit(src);
    return rc;
}

void chat_source_deinit(struct chat_source *src)
{
    mem_free(src->text);
    mem_free(src->tool_use);
    *src = (struct chat_source){0};
}
