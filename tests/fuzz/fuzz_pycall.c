/* fuzz_pycall.c -- what a model may say: events must not depend on the cut,
 * and the arguments of every call must be a JSON object.
 *
 * The first two bytes choose options and the cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/dialect/speech.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    struct buf bytes;
    int last;
};

static void on_event(void *user, enum speech_kind kind, const char *bytes,
                     size_t n)
{
    struct told *t = user;
    if (kind == SPEECH_CALL_ARGS) {
        json_t *v;
        if (json_parse(&v, bytes, n, JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT,
                       NULL) != 0)
            abort();
        json_decref(v);
    }
    if (t->last != (int)kind || kind > SPEECH_REASONING)
        buf_putc(&t->bytes, (char)(1 + (int)kind));
    buf_put(&t->bytes, bytes, n);
    t->last = (int)kind;
}

static void run(struct told *t, const struct speech_options *o,
                const char *text, size_t n, size_t cut)
{
    struct speech s;
    speech_init(&s, o, on_event, t);
    if (speech_feed(&s, text, cut) != 0 ||
        speech_feed(&s, text + cut, n - cut) != 0 || speech_finish(&s) != 0)
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
    struct told whole = {.last = -1}, cut = {.last = -1};
    run(&whole, &o, text, n, 0);
    run(&cut, &o, text, n, n == 0 ? 0 : data[1] % (n + 1));
    if (whole.bytes.len != cut.bytes.len ||
        memcmp(buf_str(&whole.bytes), buf_str(&cut.bytes), whole.bytes.len) !=
            0)
        abort();
    buf_deinit(&whole.bytes);
    buf_deinit(&cut.bytes);
    return 0;
}
