/* fuzz_tools.c -- any tools: compiled or refused, what is compiled can be
 * followed to an end byte by byte, and a text so found is read back as calls,
 * all of it. */
#include <stdint.h>
#include <string.h>

#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/dialect/call_grammar.h"
#include "model/dialect/pycall.h"
#include "tests/lib/follow_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the request's own check sees to. */
static bool are_tools(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_object_get(json_array_get(list, i), "function");
        size_t n = json_string_length(json_object_get(f, "name"));
        if (n == 0 || n > PYCALL_NAME_MAX)
            return false;
    }
    return json_array_size(list) > 0;
}

static void on_call(void *user, enum pycall_kind kind, const char *bytes,
                    size_t n)
{
    struct buf *args = user;
    json_t *v;
    if (kind == PYCALL_BEGIN)
        buf_clear(args);
    if (kind == PYCALL_ARGS)
        buf_put(args, bytes, n);
    if (kind != PYCALL_END)
        return;
    if (json_parse(&v, buf_str(args), args->len, JSON_DEPTH_DEFAULT,
                   JSON_NODES_DEFAULT, NULL) != 0 ||
        !json_is_object(v))
        abort();
    json_decref(v);
}

static void read_back(const struct buf *text)
{
    struct pycall reader;
    struct buf args = {0};
    size_t n;
    pycall_init(&reader, on_call, &args);
    pycall_start(&reader);
    if (!pycall_feed(&reader, buf_str(text), text->len))
        abort();
    pycall_finish(&reader, false);
    pycall_rest(&reader, &n);
    if (n > 0 || !pycall_told(&reader))
        abort();
    pycall_deinit(&reader);
    buf_deinit(&args);
}

/* The bytes of `data` choose the way, until the text may end. */
static void say(struct grammar *g, const uint8_t *data, size_t size)
{
    struct matcher *m;
    struct buf text = {0};
    if (matcher_new(&m, g, 1, NULL) != 0)
        abort();
    for (size_t i = 0; i < 600 && !matcher_may_end(m); i++) {
        unsigned from = i < size ? data[size - 1 - i] : 34u + (i & 7u);
        for (unsigned j = 0; j < 256; j++) {
            char byte = (char)(from + j);
            if (matcher_accept(m, &byte, 1)) {
                buf_putc(&text, byte);
                break;
            }
        }
    }
    if (matcher_may_end(m))
        read_back(&text);
    matcher_free(m);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tools;
    struct grammar *g = NULL;
    struct err err = {0};
    struct call_options o = {.single = size & 1};
    if (json_parse(&tools, (const char *)data, size, 64, 100000, NULL) != 0)
        return 0;
    if (are_tools(tools)) {
        int rc = call_grammar_new(&g, tools, &o, &err);
        if (rc == 0)
            say(g, data, size);
        follow_grammar(rc, g, &err);
    }
    json_decref(tools);
    return 0;
}
