/* speech.c -- see speech.h.
 *
 * Every marker begins with '<' and has no second one, so a byte that does not
 * continue a marker can only begin another: no backtracking, and the cut of
 * the stream cannot matter. */
#include "model/dialect/speech.h"

#include <string.h>

#include "model/base/err.h"
#include "model/dialect/dialect.h"
#include "model/dialect/pycall.h"

enum state {
    START, /* nothing but white space so far: <think> may come */
    REASONING,
    TEXT,
    CALL, /* `held` is the block, its start marker included */
    ECHO  /* `held` began with '[' right behind a block: LFM2 likes to
             say a call twice, then with an end marker only */
};

enum marker { THINK_START, THINK_END, CALL_START, CALL_END, N_MARKERS };

static const char *const marker_text[N_MARKERS] = {
    [THINK_START] = DIALECT_THINK_START,
    [THINK_END] = DIALECT_THINK_END,
    [CALL_START] = DIALECT_CALL_START,
    [CALL_END] = DIALECT_CALL_END,
};

#define CALL_START_LEN (sizeof DIALECT_CALL_START - 1)
#define CALL_END_LEN (sizeof DIALECT_CALL_END - 1)

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool means_something(const struct speech *s, enum marker m)
{
    switch (m) {
    case THINK_START:
        return s->options.reasoning && s->state == START;
    case THINK_END:
        return s->state == REASONING;
    default:
        return s->options.calls || !s->options.keep_markers;
    }
}

static void tell(struct speech *s, enum speech_kind kind, const char *bytes,
                 size_t n)
{
    if (n > 0 || kind == SPEECH_CALL_END)
        s->on(s->user, kind, bytes, n);
}

static void tell_text(struct speech *s, const char *bytes, size_t n)
{
    if (n > 0 && s->resumes)
        tell(s, SPEECH_TEXT, "\n", 1);
    if (n > 0) {
        s->resumes = false;
        s->said_text = true;
    }
    tell(s, SPEECH_TEXT, bytes, n);
}

static void tell_some(struct speech *s, const char *bytes, size_t n)
{
    if (s->state == REASONING)
        tell(s, SPEECH_REASONING, bytes, n);
    else
        tell_text(s, bytes, n);
}

static void tell_space(struct speech *s)
{
    tell_some(s, buf_str(&s->space), s->space.len);
    buf_clear(&s->space);
}

/* Bytes that are no marker, in the state we are in. */
static void content(struct speech *s, const char *bytes, size_t n)
{
    if (s->trim_next || s->state == START) {
        size_t lead = 0;
        while (lead < n && is_space(bytes[lead]))
            lead++;
        if (!s->trim_next)
            buf_put(&s->space, bytes, lead);
        bytes += lead;
        n -= lead;
        if (n == 0)
            return;
        s->trim_next = false;
        if (s->after_call && *bytes == '[') {
            s->after_call = false;
            s->state = ECHO;
            buf_put(&s->held, bytes, n);
            return;
        }
        s->after_call = false;
        if (s->state == START)
            s->state = TEXT;
    }
    size_t body = n;
    if (s->state == REASONING || s->options.calls)
        while (body > 0 && is_space(bytes[body - 1]))
            body--;
    if (body > 0) {
        tell_space(s);
        tell_some(s, bytes, body);
    }
    buf_put(&s->space, bytes + body, n - body);
}

/* The block in `held` is over; `n` bytes of it are the calls' own.  Where they
 * cannot be read the block becomes text: whole, or without its marker where
 * the reply was cut inside it, as that is nobody's mistake. */
static void close_call(struct speech *s, size_t n)
{
    struct pycall calls[PYCALL_MAX];
    struct buf store = {0};
    size_t n_calls =
        pycall_parse(s->held.data + CALL_START_LEN, n, calls, &store);
    s->state = TEXT;
    if (!buf_ok(&store))
        s->held.failed = true;
    bool cut = s->held.len == CALL_START_LEN + n;
    size_t skip = cut && !s->options.keep_markers ? CALL_START_LEN : 0;
    if (n_calls == 0) {
        content(s, s->held.data + skip, s->held.len - skip);
    } else {
        buf_clear(&s->space);
        s->trim_next = true;
        s->resumes = s->said_text;
        s->after_call = true;
    }
    for (size_t i = 0; i < n_calls; i++) {
        if (s->options.single_call && s->n_calls > 0)
            break;
        s->n_calls++;
        tell(s, SPEECH_CALL_BEGIN, store.data + calls[i].name, calls[i].n_name);
        tell(s, SPEECH_CALL_ARGS, store.data + calls[i].args, calls[i].n_args);
        tell(s, SPEECH_CALL_END, NULL, 0);
    }
    buf_deinit(&store);
    buf_clear(&s->held);
}

static void on_marker(struct speech *s, enum marker m)
{
    switch (m) {
    case THINK_START:
        s->state = REASONING;
        break;
    case THINK_END:
        s->state = TEXT;
        break;
    case CALL_START:
        if (!s->options.calls) {
            buf_clear(&s->held);
            return;
        }
        /* A thought that is never closed ends where a call begins. */
        if (s->state == REASONING)
            buf_clear(&s->space);
        s->state = CALL;
        return; /* held keeps the marker: the block may become text */
    default:
        buf_clear(&s->held);
        return;
    }
    buf_clear(&s->held);
    buf_clear(&s->space);
    s->trim_next = true;
}

/* One more byte of what may be a marker; false: it is none, and the byte was
 * not taken. */
static bool extend_marker(struct speech *s, char c)
{
    size_t n = s->held.len;
    for (int m = 0; m < N_MARKERS; m++) {
        const char *text = marker_text[m];
        if (!means_something(s, (enum marker)m) ||
            strncmp(text, buf_str(&s->held), n) != 0 || text[n] != c)
            continue;
        buf_putc(&s->held, c);
        if (buf_ok(&s->held) && text[n + 1] == '\0')
            on_marker(s, (enum marker)m);
        return true;
    }
    return false;
}

static bool ends_with(const struct buf *b, const char *text, size_t n)
{
    return b->len >= n && memcmp(b->data + b->len - n, text, n) == 0;
}

/* What was held is text after all, but for `n` bytes at its end. */
static void release(struct speech *s, size_t n)
{
    s->state = TEXT;
    content(s, s->held.data, s->held.len - n);
    buf_clear(&s->held);
}

/* A '>' came: is the block, or the echo, over? */
static void try_close(struct speech *s)
{
    size_t len = s->held.len;
    bool at_end = ends_with(&s->held, DIALECT_CALL_END, CALL_END_LEN);
    if (s->state == CALL && at_end) {
        close_call(s, len - CALL_START_LEN - CALL_END_LEN);
    } else if (at_end) {
        buf_clear(&s->held);
        s->state = TEXT;
        s->trim_next = true;
        s->after_call = true;
    } else if (s->state == ECHO &&
               ends_with(&s->held, DIALECT_CALL_START, CALL_START_LEN)) {
        release(s, CALL_START_LEN);
        s->state = CALL;
        buf_puts(&s->held, DIALECT_CALL_START);
    }
}

/* Takes bytes into the open block or echo; returns how many. */
static size_t feed_held(struct speech *s, const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && s->state >= CALL && buf_ok(&s->held)) {
        buf_putc(&s->held, bytes[i++]);
        if (bytes[i - 1] == '>')
            try_close(s);
        if (s->state >= CALL && s->held.len >= SPEECH_CALL_BYTES_MAX)
            release(s, 0);
    }
    return i;
}

void speech_init(struct speech *s, const struct speech_options *options,
                 speech_fn *on, void *user)
{
    memset(s, 0, sizeof *s);
    s->options = *options;
    s->on = on;
    s->user = user;
    s->state = options->in_reasoning ? REASONING : START;
    s->trim_next =
        options->in_reasoning ? !options->resumes : options->after_think;
}

void speech_deinit(struct speech *s)
{
    buf_deinit(&s->held);
    buf_deinit(&s->space);
}

static int outcome(const struct speech *s)
{
    return buf_ok(&s->held) && buf_ok(&s->space) ? 0 : -ERR_NOMEM;
}

int speech_feed(struct speech *s, const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && outcome(s) == 0) {
        if (s->state >= CALL) {
            i += feed_held(s, bytes + i, n - i);
        } else if (s->held.len > 0) {
            if (extend_marker(s, bytes[i])) {
                i++;
            } else {
                content(s, s->held.data, s->held.len);
                buf_clear(&s->held);
            }
        } else if (bytes[i] == '<' && extend_marker(s, '<')) {
            i++;
        } else {
            size_t from = i++;
            while (i < n && bytes[i] != '<')
                i++;
            content(s, bytes + from, i - from);
        }
    }
    return outcome(s);
}

int speech_finish(struct speech *s)
{
    if (outcome(s) != 0)
        return outcome(s);
    if (s->state == CALL) {
        close_call(s, s->held.len - CALL_START_LEN);
    } else if (s->state == ECHO) {
        release(s, 0);
    } else if (s->held.len > 0) {
        content(s, s->held.data, s->held.len);
        buf_clear(&s->held);
    }
    if (s->state != REASONING)
        tell_space(s);
    buf_clear(&s->space);
    return outcome(s);
}

uint32_t speech_calls(const struct speech *s)
{
    return s->n_calls;
}
