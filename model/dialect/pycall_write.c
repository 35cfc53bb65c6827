/* pycall_write.c -- see pycall.h: a call as Python would have it. */
#include <stdint.h>
#include <string.h>

#include "model/dialect/pycall.h"

/* Recursion is bounded by depth; what is deeper was refused when parsed. */
static void write_value(struct buf *out, const json_t *v, unsigned depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > PYCALL_DEPTH_MAX || json_is_null(v)) {
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
