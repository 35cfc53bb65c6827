/* pycall.c -- see pycall.h. */
#include "model/dialect/pycall.h"

#include <string.h>

#include "model/base/utf8.h"
#include "model/dialect/pyliteral.h"

static bool is_name_byte(char c, bool dotted)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9') || c == '-' || (unsigned char)c >= 0x80 ||
           (dotted && c == '.');
}

static size_t take_name(struct pyliteral_in *in, bool dotted)
{
    const char *start = in->p;
    while (in->p < in->end && is_name_byte(*in->p, dotted))
        in->p++;
    return (size_t)(in->p - start);
}

static bool take(struct pyliteral_in *in, char c)
{
    pyliteral_skip_space(in);
    if (in->p == in->end || *in->p != c)
        return false;
    in->p++;
    return true;
}

/* What a reader of JSON would refuse is not passed on. */
static bool is_object(const char *text, size_t n)
{
    json_t *v;
    if (json_parse(&v, text, n, JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, NULL) !=
        0)
        return false;
    bool ok = json_is_object(v);
    json_decref(v);
    return ok;
}

/* The object from `at` on in the store, once more where a name in it is given
 * twice: the last one counts. */
static bool settle(struct buf *store, size_t at)
{
    json_t *v;
    if (is_object(store->data + at, store->len - at))
        return true;
    if (json_parse_last(&v, store->data + at, store->len - at,
                        JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, NULL) != 0)
        return false;
    store->len = at;
    json_write(store, v, true);
    json_decref(v);
    return buf_ok(store);
}

/* After "f(": up to and with the closing parenthesis. */
static bool arguments(struct pyliteral_in *in, struct buf *store)
{
    bool first = true;
    buf_putc(store, '{');
    while (!take(in, ')')) {
        if (!first && !take(in, ','))
            return false;
        if (!first && take(in, ')'))
            break;
        pyliteral_skip_space(in);
        const char *name = in->p;
        size_t n = take_name(in, false);
        if (n == 0 || !take(in, '='))
            return false;
        if (!first)
            buf_puts(store, ", ");
        json_quote(store, name, n);
        buf_puts(store, ": ");
        if (!pyliteral_to_json(in, store))
            return false;
        first = false;
    }
    buf_putc(store, '}');
    return true;
}

static bool call(struct pyliteral_in *in, struct pycall *out, struct buf *store)
{
    pyliteral_skip_space(in);
    const char *name = in->p;
    size_t n = take_name(in, true);
    if (n == 0 || n > PYCALL_NAME_MAX || !take(in, '('))
        return false;
    out->name = store->len;
    out->n_name = n;
    buf_put(store, name, n);
    out->args = store->len;
    if (!arguments(in, store) || !buf_ok(store) || !settle(store, out->args))
        return false;
    out->n_args = store->len - out->args;
    return true;
}

static size_t python_calls(const char *text, size_t n, struct pycall *calls,
                           struct buf *store)
{
    struct pyliteral_in in = {text, text + n};
    size_t n_calls = 0;
    bool open = take(&in, '[');
    do {
        pyliteral_skip_space(&in);
        if (n_calls > 0 && (in.p == in.end || *in.p == ']'))
            break; /* a trailing comma */
        if (n_calls == PYCALL_MAX || !call(&in, &calls[n_calls], store))
            return 0;
        n_calls++;
    } while (take(&in, ','));
    if (open)
        (void)take(&in, ']'); /* models forget it, nothing hangs on it */
    pyliteral_skip_space(&in);
    return in.p == in.end ? n_calls : 0;
}

/* {"name": "f", "arguments": {...}}; "parameters" is another habit. */
static bool json_call(const json_t *v, struct pycall *out, struct buf *store)
{
    const json_t *name = json_object_get(v, "name");
    const json_t *args = json_object_get(v, "arguments");
    if (args == NULL)
        args = json_object_get(v, "parameters");
    size_t n = json_string_length(name);
    if (n == 0 || n > PYCALL_NAME_MAX)
        return false;
    out->name = store->len;
    out->n_name = n;
    buf_put(store, json_string_value(name), n);
    out->args = store->len;
    if (args == NULL || json_is_null(args))
        buf_puts(store, "{}");
    else if (json_is_object(args))
        json_write(store, args, true);
    else if (json_is_string(args) &&
             is_object(json_string_value(args), json_string_length(args)))
        buf_put(store, json_string_value(args), json_string_length(args));
    else
        return false;
    out->n_args = store->len - out->args;
    return true;
}

static size_t json_calls(const char *text, size_t n, struct pycall *calls,
                         struct buf *store)
{
    json_t *root;
    if (json_parse_last(&root, text, n, JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT,
                        NULL) != 0)
        return 0;
    size_t n_calls = json_is_array(root) ? json_array_size(root) : 1;
    bool ok = n_calls <= PYCALL_MAX;
    for (size_t i = 0; ok && i < n_calls; i++)
        ok = json_call(json_is_array(root) ? json_array_get(root, i) : root,
                       &calls[i], store);
    json_decref(root);
    return ok && buf_ok(store) ? n_calls : 0;
}

size_t pycall_parse(const char *text, size_t n, struct pycall calls[PYCALL_MAX],
                    struct buf *store)
{
    struct pyliteral_in in = {text, text + n};
    if (!utf8_valid(text, n))
        return 0;
    (void)take(&in, '[');
    if (take(&in, '{'))
        return json_calls(text, n, calls, store);
    return python_calls(text, n, calls, store);
}

/* Recursion is bounded by depth; what is deeper was refused when parsed. */
static void write_value(struct buf *out, const json_t *v, unsigned depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > PYLITERAL_DEPTH_MAX || json_is_null(v)) {
        buf_puts(out, "None");
    } else if (json_is_boolean(v)) {
        buf_puts(out, json_is_true(v) ? "True" : "False");
    } else if (json_is_array(v)) {
        buf_putc(out, '[');
        json_array_foreach(v, i, member)
        {
            buf_puts(out, i > 0 ? ", " : "");
            write_value(out, member, depth + 1);
        }
        buf_putc(out, ']');
    } else if (json_is_object(v)) {
        bool first = true;
        buf_putc(out, '{');
        json_object_foreach((json_t *)(uintptr_t)v, key, member)
        {
            buf_puts(out, first ? "" : ", ");
            json_quote(out, key, strlen(key));
            buf_puts(out, ": ");
            write_value(out, member, depth + 1);
            first = false;
        }
        buf_putc(out, '}');
    } else {
        json_write(out, v, true); /* a string or a number: the same in both */
    }
}

void pycall_write(struct buf *out, const char *name, const json_t *args)
{
    const char *key;
    json_t *v;
    bool first = true;
    buf_puts(out, name);
    buf_putc(out, '(');
    json_object_foreach((json_t *)(uintptr_t)args, key, v)
    {
        buf_puts(out, first ? "" : ", ");
        buf_puts(out, key);
        buf_putc(out, '=');
        write_value(out, v, 1);
        first = false;
    }
    buf_putc(out, ')');
}
