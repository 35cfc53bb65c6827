/* json.c -- see json.h.
 *
 * The scan trusts nothing of the grammar: it counts brackets and separators
 * outside strings, which bounds what jansson can build from the text. */
#define _GNU_SOURCE
#include "model/base/json.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/json_load.h"

/* Which member of the outermost object the byte at `n` belongs to: the last
 * string before it that a colon follows.  Leaves `out` alone if that is not
 * told, or is no plain name. */
static void name_field(char *out, size_t size, const char *s, size_t n)
{
    const char *name = NULL;
    size_t depth = 0, from = 0, len = 0, n_name = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"') {
            for (from = ++i; i < n && s[i] != '"'; i++)
                if (s[i] == '\\')
                    i++;
            len = i < n ? i - from : 0;
        } else if (s[i] == '[' || s[i] == '{') {
            depth++;
        } else if (s[i] == ']' || s[i] == '}') {
            depth -= depth > 0;
            if (depth == 0)
                name = NULL;
        } else if (depth == 1 && s[i] == ':') {
            name = s + from;
            n_name = len;
        } else if (depth == 1 && s[i] == ',') {
            name = NULL;
        }
    }
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    if (name == NULL || n_name == 0 || n_name >= size)
        return;
    for (size_t i = 0; i < n_name; i++)
        if (strchr(plain, name[i]) == NULL)
            return;
    memcpy(out, name, n_name);
    out[n_name] = '\0';
}

/* Names the member that the byte at `at` is in, beside the error that is set.
 */
static int at_byte(const char *s, size_t at, struct err *err)
{
    if (err != NULL)
        name_field(err->param, sizeof err->param, s, at);
    return -ERR_INVALID;
}

static int scan(const char *s, size_t n, uint32_t max_depth, uint32_t max_nodes,
                struct err *err)
{
    uint32_t depth = 0;
    uint64_t nodes = 1;
    for (size_t i = 0; i < n; i++) {
        switch (s[i]) {
        case '"':
            for (i++; i < n && s[i] != '"'; i++)
                if (s[i] == '\\')
                    i++;
            break;
        case '[':
        case '{':
            nodes++;
            if (++depth > max_depth) {
                err_set(err, ERR_INVALID,
                        "JSON is nested deeper than %u levels", max_depth);
                return at_byte(s, i, err);
            }
            break;
        case ']':
        case '}':
            if (depth > 0)
                depth--;
            break;
        case ',':
            nodes++;
            break;
        default:
            break;
        }
        if (nodes > max_nodes) {
            err_set(err, ERR_INVALID, "JSON has more than %u values",
                    max_nodes);
            return at_byte(s, i, err);
        }
    }
    return 0;
}

int json_parse(json_t **out, const char *text, size_t n, uint32_t depth,
               uint32_t nodes, struct err *err)
{
    *out = NULL;
    /* Valid nowhere in JSON; jansson takes one for the end of the text. */
    if (memchr(text, '\0', n) != NULL)
        return err_set(err, ERR_INVALID, "not valid JSON: it holds a NUL byte");
    int rc = scan(text, n, depth, nodes, err);
    if (rc != 0)
        return rc;
    json_error_t e;
    if (json_load_whole(
            out, text, n,
            JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e) != 0)
        return err_nomem(err, "a JSON document");
    if (*out != NULL)
        return 0;
    /* jansson quotes the offending text ("near '...'"), which may be anything
     * a client sent: keep the reason and the place, drop the quotation. */
    char *near = strstr(e.text, " near ");
    if (near != NULL)
        *near = '\0';
    err_set(err, ERR_INVALID, "not valid JSON: %s (line %d, column %d)", e.text,
            e.line, e.column);
    size_t at = e.position > 0 ? (size_t)e.position : 0;
    return at_byte(text, at < n ? at : n, err);
}

static int read_file(const char *path, size_t max_bytes, struct buf *b,
                     struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "open", path);
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st) != 0)
        rc = err_errno(err, "stat", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, ERR_FORMAT, "%s is not a regular file", path);
    else if (st.st_size < 0 || (uint64_t)st.st_size > max_bytes)
        rc = err_set(err, ERR_FORMAT,
                     "%s has %lld bytes, more than the %zu accepted", path,
                     (long long)st.st_size, max_bytes);
    while (rc == 0) {
        char *room = b->len > max_bytes ? NULL : buf_room(b, 65536);
        if (room == NULL) {
            rc = err_nomem(err, path);
            break;
        }
        ssize_t got = read(fd, room, 65536);
        if (got < 0)
            rc = err_errno(err, "read", path);
        if (got <= 0)
            break;
        buf_added(b, (size_t)got);
    }
    close(fd);
    return rc;
}

int json_parse_file(json_t **out, const char *path, size_t max_bytes,
                    uint32_t nodes, struct err *err)
{
    struct buf b = {0};
    *out = NULL;
    int rc = read_file(path, max_bytes, &b, err);
    if (rc == 0) {
        rc =
            json_parse(out, buf_str(&b), b.len, JSON_DEPTH_DEFAULT, nodes, err);
        if (rc != 0) {
            err_wrap(err, "%s", path); /* err may be NULL: rc stays */
            if (err != NULL && err->class_ == ERR_INVALID) {
                err->class_ = ERR_FORMAT;
                rc = -ERR_FORMAT;
            }
        }
    }
    buf_deinit(&b);
    return rc;
}

json_t *json_copy_object(const json_t *v)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)v);
    if (copy == NULL || json_object_size(copy) == json_object_size(v))
        return copy;
    json_decref(copy); /* json_copy goes on past a member it could not add */
    return NULL;
}

const char *json_describe(const json_t *v, char out[64])
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        snprintf(out, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        return out;
    case JSON_REAL:
        snprintf(out, 64, "%g", json_real_value(v));
        return out;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static int wrong(const json_t *v, const char *key, const char *wanted,
                 const char *path, struct err *err)
{
    char text[64], full[64];
    snprintf(full, sizeof full, "%s%s%s", path, path[0] ? "." : "", key);
    return err_field(err, full, "%s must be %s, not %s", full, wanted,
                     json_describe(v, text));
}

static const json_t *find(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

int json_get_bool(const json_t *obj, const char *key, bool *out,
                  const char *path, struct err *err)
{
    const json_t *v = find(obj, key);
    if (v == NULL)
        return 0;
    if (!json_is_boolean(v))
        return wrong(v, key, "true or false", path, err);
    *out = json_is_true(v);
    return 1;
}

int json_get_int(const json_t *obj, const char *key, int64_t *out,
                 const char *path, struct err *err)
{
    const json_t *v = find(obj, key);
    if (v == NULL)
        return 0;
    if (!json_is_integer(v))
        return wrong(v, key, "an integer", path, err);
    *out = (int64_t)json_integer_value(v);
    return 1;
}

int json_get_range(const json_t *obj, const char *key, int64_t *out,
                   int64_t low, int64_t high, const char *path, struct err *err)
{
    int64_t value;
    int found = json_get_int(obj, key, &value, path, err);
    if (found <= 0)
        return found;
    if (value < low || value > high) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "an integer from %lld to %lld",
                 (long long)low, (long long)high);
        return wrong(find(obj, key), key, wanted, path, err);
    }
    *out = value;
    return 1;
}

int json_get_number(const json_t *obj, const char *key, double *out,
                    const char *path, struct err *err)
{
    const json_t *v = find(obj, key);
    if (v == NULL)
        return 0;
    if (!json_is_number(v))
        return wrong(v, key, "a number", path, err);
    *out = json_number_value(v);
    return 1;
}

int json_get_string(const json_t *obj, const char *key, const char **out,
                    const char *path, struct err *err)
{
    const json_t *v = find(obj, key);
    if (v == NULL)
        return 0;
    if (!json_is_string(v))
        return wrong(v, key, "a string", path, err);
    if (strlen(json_string_value(v)) != json_string_length(v)) {
        char full[64];
        snprintf(full, sizeof full, "%s%s%s", path, path[0] ? "." : "", key);
        return err_field(err, full, "%s must not hold a NUL character", full);
    }
    *out = json_string_value(v);
    return 1;
}

int json_get_text(const json_t *obj, const char *key, const char **out,
                  size_t *n, const char *path, struct err *err)
{
    const json_t *v = find(obj, key);
    if (v == NULL)
        return 0;
    if (!json_is_string(v))
        return wrong(v, key, "a string", path, err);
    *out = json_string_value(v);
    *n = json_string_length(v);
    return 1;
}

int json_get_array(const json_t *obj, const char *key, json_t **out,
                   const char *path, struct err *err)
{
    json_t *v = json_object_get(obj, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_array(v))
        return wrong(v, key, "an array", path, err);
    *out = v;
    return 1;
}

int json_get_object(const json_t *obj, const char *key, json_t **out,
                    const char *path, struct err *err)
{
    json_t *v = json_object_get(obj, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return wrong(v, key, "an object", path, err);
    *out = v;
    return 1;
}

void json_escape(struct buf *b, const char *s, size_t n)
{
    size_t plain = 0; /* start of the run not yet copied */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        buf_put(b, s + plain, i - plain);
        plain = i + 1;
        switch (c) {
        case '"':
            buf_puts(b, "\\\"");
            break;
        case '\\':
            buf_puts(b, "\\\\");
            break;
        case '\n':
            buf_puts(b, "\\n");
            break;
        case '\r':
            buf_puts(b, "\\r");
            break;
        case '\t':
            buf_puts(b, "\\t");
            break;
        default:
            buf_printf(b, "\\u%04x", c);
            break;
        }
    }
    buf_put(b, s + plain, n - plain);
}

void json_quote(struct buf *b, const char *s, size_t n)
{
    buf_putc(b, '"');
    json_escape(b, s, n);
    buf_putc(b, '"');
}

static void write_real(struct buf *b, double d)
{
    char text[40];
    if (!isfinite(d)) {
        buf_puts(b, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    if (strpbrk(text, ".eE") == NULL)
        strcat(text, ".0");
    buf_puts(b, text);
}

/* Recursion is bounded: json_parse never builds a tree deeper than its limit.
 */
void json_write(struct buf *b, const json_t *v, bool spaced)
{
    const char *comma = spaced ? ", " : ",";
    size_t i = 0;
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *item;
        buf_putc(b, '{');
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            if (i++ > 0)
                buf_puts(b, comma);
            json_quote(b, key, strlen(key));
            buf_puts(b, spaced ? ": " : ":");
            json_write(b, item, spaced);
        }
        buf_putc(b, '}');
        break;
    }
    case JSON_ARRAY:
        buf_putc(b, '[');
        for (i = 0; i < json_array_size(v); i++) {
            if (i > 0)
                buf_puts(b, comma);
            json_write(b, json_array_get(v, i), spaced);
        }
        buf_putc(b, ']');
        break;
    case JSON_STRING:
        json_quote(b, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        write_real(b, json_real_value(v));
        break;
    case JSON_TRUE:
        buf_puts(b, "true");
        break;
    case JSON_FALSE:
        buf_puts(b, "false");
        break;
    case JSON_NULL:
        buf_puts(b, "null");
        break;
    }
}
