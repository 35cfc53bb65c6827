/* call_text.c -- see call_text.h. */
#include "model/dialect/call_text.h"

#include <string.h>

#include "model/dialect/dialect.h"
#include "model/dialect/pycall.h"

bool call_text_is_name(const char *name, bool dotted)
{
    for (const char *p = name; *p; p++)
        if (!(*p & 0x80) && strchr("_-", *p) == NULL &&
            !(dotted && *p == '.') && !(*p >= '0' && *p <= '9') &&
            !(*p >= 'A' && *p <= 'Z') && !(*p >= 'a' && *p <= 'z'))
            return false;
    return *name != '\0' && strlen(name) <= PYCALL_NAME_MAX;
}

static const json_t *function_of(const json_t *calls, size_t i)
{
    return json_object_get(json_array_get(calls, i), "function");
}

static bool is_python(const json_t *calls)
{
    const char *key;
    json_t *v;
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *f = function_of(calls, i);
        if (!call_text_is_name(json_string_value(json_object_get(f, "name")),
                               true))
            return false;
        json_object_foreach(json_object_get(f, "arguments"), key, v)
        {
            if (!call_text_is_name(key, false))
                return false;
        }
    }
    return true;
}

void call_text_write(struct buf *out, const json_t *calls)
{
    const bool python = is_python(calls);
    buf_puts(out, DIALECT_CALL_START "[");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *f = function_of(calls, i);
        buf_puts(out, i > 0 ? ", " : "");
        if (python) {
            pycall_write(out, json_string_value(json_object_get(f, "name")),
                         json_object_get(f, "arguments"));
            continue;
        }
        buf_puts(out, "{\"name\": ");
        json_write(out, json_object_get(f, "name"), true);
        buf_puts(out, ", \"arguments\": ");
        json_write(out, json_object_get(f, "arguments"), true);
        buf_putc(out, '}');
    }
    buf_puts(out, "]" DIALECT_CALL_END);
}
