/* speech.c -- see speech.h.
 *
 * Every marker begins with '<' and has no second one, so a byte that does not
 * continue a marker can only begin another: no backtracking, and the cut of
 * the stream cannot matter.  That holds inside call blocks as well: a marker
 * is one token, so in a string it is none of the model's words. */
#include "model/dialect/speech.h"

#include <string.h>

#include "model/base/err.h"
#include "model/dialect/dialect.h"
#include "model/dialect/pyliteral.h"

enum state {
    START, /* nothing but white space so far: <think> may come */
    REASONING,
    TEXT,
    REFUSED, /* text, from a call block that was none */
    CALL,
    ECHO /* a '[' came right behind a block, and so far what follows reads as a
            call: LFM2 likes to say one twice, then with an end marker only */
};

enum marker { THINK_START, THINK_END, CALL_START, CALL_END, N_MARKERS };

static const char *const marker_text[N_MARKERS] = {
    [THINK_START] = DIALECT_THINK_START,
    [THINK_END] = DIALECT_THINK_END,
    [CALL_START] = DIALECT_CALL_START,
    [CALL_END] = DIALECT_CALL_END,
};

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
    if (n > 0)
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

static void may_echo(struct speech *s, const char *bytes, size_t n);

/* Bytes of text or thoughts. */
static void prose(struct speech *s, const char *bytes, size_t n)
{
    if (s->trim_next || s->state == START) {
        size_t lead = 0;
        while (lead < n && pyliteral_is_space(bytes[lead]))
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
            pycall_start(&s->call);
            may_echo(s, bytes, n);
            return;
        }
        s->after_call = false;
        if (s->state == START)
            s->state = TEXT;
    }
    size_t body = n;
    if (s->state == REASONING || s->options.calls)
        while (body > 0 && pyliteral_is_space(bytes[body - 1]))
            body--;
    if (body > 0) {
        tell_space(s);
        tell_some(s, bytes, body);
    }
    buf_put(&s->space, bytes + body, n - body);
}

/* What was held as an echo is text. */
static void release(struct speech *s)
{
    s->state = TEXT;
    prose(s, buf_str(&s->echo), s->echo.len);
    buf_clear(&s->echo);
}

/* More of what may be an echo; text, when it is none. */
static void may_echo(struct speech *s, const char *bytes, size_t n)
{
    buf_put(&s->echo, bytes, n);
    if (!pycall_feed(&s->call, bytes, n) || s->echo.len > SPEECH_ECHO_MAX)
        release(s);
}

/* The call block has nothing more to say: what of it is no call is text. */
static void leave_call(struct speech *s, bool cut)
{
    size_t n;
    const char *rest = pycall_rest(&s->call, &n);
    bool told = pycall_told(&s->call);
    s->state = told ? TEXT : REFUSED;
    if (told) {
        s->trim_next = true;
        s->after_call = n == 0;
    } else if (!cut || s->options.keep_markers) {
        prose(s, DIALECT_CALL_START, sizeof DIALECT_CALL_START - 1);
    }
    prose(s, rest, n);
}

/* Bytes that are no marker, in the state we are in. */
static void content(struct speech *s, const char *bytes, size_t n)
{
    if (s->state == CALL) {
        if (!pycall_feed(&s->call, bytes, n))
            leave_call(s, false);
    } else if (s->state == ECHO) {
        may_echo(s, bytes, n);
    } else {
        prose(s, bytes, n);
    }
}

static void on_call(void *user, enum pycall_kind kind, const char *bytes,
                    size_t n)
{
    struct speech *s = user;
    static const enum speech_kind kinds[] = {
        [PYCALL_BEGIN] = SPEECH_CALL_BEGIN,
        [PYCALL_ARGS] = SPEECH_CALL_ARGS,
        [PYCALL_END] = SPEECH_CALL_END,
    };
    if (s->state == ECHO)
        return;
    if (kind == PYCALL_BEGIN) {
        buf_clear(&s->space);
        s->resumes = s->said_text;
        s->muted = s->options.single_call && s->n_calls > 0;
        s->n_calls++;
    }
    if (!s->muted)
        s->on(s->user, kinds[kind], bytes, n);
}

static void close_call(struct speech *s, bool cut)
{
    pycall_finish(&s->call, cut);
    leave_call(s, cut);
}

static void on_call_start(struct speech *s)
{
    if (!s->options.calls)
        return;
    if (s->state == CALL)
        close_call(s, false);
    if (s->state == ECHO)
        release(s);
    /* A thought that is never closed ends where a call begins. */
    if (s->state == REASONING)
        buf_clear(&s->space);
    s->state = CALL;
    pycall_start(&s->call);
}

static void on_call_end(struct speech *s)
{
    if (s->state == CALL)
        close_call(s, false);
    if (s->state == REFUSED) {
        prose(s, DIALECT_CALL_END, sizeof DIALECT_CALL_END - 1);
        s->state = TEXT;
    } else if (s->state == ECHO) {
        buf_clear(&s->echo);
        s->state = TEXT;
        s->trim_next = true;
        s->after_call = true;
    }
}

static void on_marker(struct speech *s, enum marker m)
{
    buf_clear(&s->held);
    switch (m) {
    case CALL_START:
        on_call_start(s);
        return;
    case CALL_END:
        on_call_end(s);
        return;
    default:
        s->state = m == THINK_START ? REASONING : TEXT;
        buf_clear(&s->space);
        s->trim_next = true;
    }
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

static void release_held(struct speech *s)
{
    content(s, buf_str(&s->held), s->held.len);
    buf_clear(&s->held);
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
    pycall_init(&s->call, on_call, s);
}

void speech_deinit(struct speech *s)
{
    buf_deinit(&s->held);
    buf_deinit(&s->space);
    buf_deinit(&s->echo);
    pycall_deinit(&s->call);
}

static int outcome(const struct speech *s)
{
    return buf_ok(&s->held) && buf_ok(&s->space) && buf_ok(&s->echo) &&
                   pycall_ok(&s->call)
               ? 0
               : -ERR_NOMEM;
}

int speech_feed(struct speech *s, const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n && outcome(s) == 0) {
        if (s->held.len > 0) {
            if (extend_marker(s, bytes[i]))
                i++;
            else
                release_held(s);
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

int speech_finish(struct speech *s, bool cut)
{
    if (outcome(s) == 0 && s->held.len > 0)
        release_held(s);
    if (outcome(s) == 0 && s->state == CALL)
        close_call(s, cut);
    if (outcome(s) == 0 && s->state == ECHO)
        release(s);
    if (outcome(s) == 0 && s->state != REASONING)
        tell_space(s);
    buf_clear(&s->space);
    return outcome(s);
}
