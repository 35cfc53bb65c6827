/* fuzz_pycall.c -- what a model may say: events must not depend on the cuts,
 * and the arguments of a call that is over must be a JSON object.
 *
 * The first two bytes choose options and the cuts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/dialect/speech.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All events; what is told only grows, so that two that end alike were
 * prefixes of it at any time. */
struct told {
    struct buf bytes;
    struct buf args; /* of the call at hand */
    int last;
    bool in_call;
};

static void check_args(const struct buf *args)
{
    json_t *v;
    if (json_parse(&v, buf_str(args), args->len, JSON_DEPTH_DEFAULT,
                   JSON_NODES_DEFAULT, NULL) != 0 ||
        !json_is_object(v))
        abort();
    json_decref(v);
}

static void on_event(void *user, enum speech_kind kind, const char *bytes,
                     size_t n)
{
    struct told *t = user;
    bool of_call = kind == SPEECH_CALL_ARGS || kind == SPEECH_CALL_END;
    if (t->in_call != of_call || (n == 0) != (kind == SPEECH_CALL_END))
        abort();
    if (t->last != (int)kind || kind == SPEECH_CALL_BEGIN)
        buf_putc(&t->bytes, (char)(1 + (int)kind));
    buf_put(&t->bytes, bytes, n);
    t->last = (int)kind;
    t->in_call = kind == SPEECH_CALL_BEGIN || kind == SPEECH_CALL_ARGS;
    if (kind == SPEECH_CALL_BEGIN)
        buf_clear(&t->args);
    if (kind == SPEECH_CALL_ARGS)
        buf_put(&t->args, bytes, n);
    if (kind == SPEECH_CALL_END)
        check_args(&t->args);
}

/* In pieces: the first of `first` bytes, then of `step` bytes each. */
static void run(struct told *t, const struct speech_options *o,
                const char *text, size_t n, size_t first, size_t step, bool cut)
{
    struct speech s;
    speech_init(&s, o, on_event, t);
    for (size_t i = 0; i < n;) {
        size_t want = i == 0 && first > 0 ? first : step;
        size_t piece = want < n - i ? want : n - i;
        if (speech_feed(&s, text + i, piece) != 0)
            abort();
        i += piece;
    }
    if (speech_finish(&s, cut) != 0)
        abort();
    speech_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct speech_options o = {
        .reasoning = data[0] & 1,
        .in_reasoning = (data[0] & 3) == 3,
        .calls = (data[0] & 4) == 0,
        .single_call = data[0] & 8,
        .keep_markers = data[0] & 16,
    };
    const char *text = (const char *)data + 2;
    size_t n = size - 2;
    const size_t pieces[][2] = {
        {n, n},                     /* whole */
        {data[1] % (n + 1), n + 1}, /* in two */
        {1, 1},                     /* byte by byte */
        {data[1] % 16, 1 + data[1] / 16u},
    };
    struct told told[4] = {
        {.last = -1}, {.last = -1}, {.last = -1}, {.last = -1}};
    for (size_t i = 0; i < 4; i++) {
        run(&told[i], &o, text, n, pieces[i][0], pieces[i][1], data[0] & 32);
        if (told[i].bytes.len != told[0].bytes.len ||
            memcmp(buf_str(&told[i].bytes), buf_str(&told[0].bytes),
                   told[0].bytes.len) != 0)
            abort();
    }
    for (size_t i = 0; i < 4; i++) {
        buf_deinit(&told[i].bytes);
        buf_deinit(&told[i].args);
    }
    return 0;
}
