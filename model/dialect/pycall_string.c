/* pycall_string.c -- see pycall_state.h: the strings in calls.
 *
 * Inside a string every byte is told as soon as it is known to be one of its
 * own: an escape when it is whole, a quote when what follows rules out that it
 * is the end (pylook.h).  A key, or a string that decides what its frame is,
 * is kept in `text` instead. */
#include <string.h>

#include "model/base/utf8.h"
#include "model/dialect/pycall_state.h"
#include "model/dialect/pyliteral.h"

static void put(struct pycall *r, const char *bytes, size_t n)
{
    if (r->role == ROLE_VALUE)
        json_escape(&r->out, bytes, n);
    else
        buf_put(&r->text, bytes, n);
}

/* The string's next n bytes were read. */
static bool string_read(struct pycall *r, size_t n)
{
    r->cur += n;
    r->state = STRING;
    if (r->role == ROLE_VALUE)
        pycall_settle(r);
    return true;
}

bool pycall_open_string(struct pycall *r, enum role role)
{
    size_t left = r->tape.len - r->cur;
    char quote = pycall_byte(r, r->cur);
    bool two = pycall_byte(r, r->cur + 1) == quote;
    if (!r->ended && (left < 2 || (left < 3 && two)))
        return false;
    r->quote = quote;
    r->triple = left > 2 && two && pycall_byte(r, r->cur + 2) == quote;
    r->role = (uint8_t)role;
    buf_clear(&r->text);
    if (role == ROLE_VALUE)
        buf_putc(&r->out, '"');
    return string_read(r, r->triple ? 3 : 1);
}

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

static bool close_string(struct pycall *r)
{
    r->cur += r->triple ? 3 : 1;
    switch (r->role) {
    case ROLE_KEY:
        return pycall_go(r, COLON);
    case ROLE_FIRST:
        return pycall_go(r, AFTER_FIRST);
    case ROLE_NAME:
        if (r->text.len == 0 || r->text.len > PYCALL_NAME_MAX)
            return pycall_fail(r);
        buf_put(&r->name, buf_str(&r->text), r->text.len);
        r->has_name = true;
        break;
    case ROLE_ARGS:
        if (!is_object(buf_str(&r->text), r->text.len))
            return pycall_fail(r);
        buf_put(&r->out, buf_str(&r->text), r->text.len);
        r->has_args = true;
        break;
    default:
        buf_putc(&r->out, '"');
        pycall_value_read(r);
        pycall_settle(r);
        return true;
    }
    return pycall_value_read(r);
}

static bool escape(struct pycall *r)
{
    struct buf *to = &r->text;
    if (r->role == ROLE_VALUE)
        buf_clear(to);
    size_t n = pyliteral_escape(r->tape.data + r->cur, r->tape.len - r->cur,
                                r->ended, pycall_is_json(r), to);
    if (n > 0 && r->role == ROLE_VALUE)
        json_escape(&r->out, buf_str(to), to->len);
    return n > 0 && string_read(r, n);
}

/* Bytes that start no code point: told as U+FFFD when it is certain. */
static bool broken(struct pycall *r, int decoded)
{
    if (decoded == 0 && !r->ended)
        return false;
    put(r, "\xef\xbf\xbd", 3);
    return string_read(r,
                       decoded == 0 ? r->tape.len - r->cur : (size_t)-decoded);
}

/* Bytes without quotes and escapes. */
static bool run(struct pycall *r)
{
    const char *s = r->tape.data + r->cur;
    size_t n = r->tape.len - r->cur, i = 0;
    int len = 1;
    while (i < n && s[i] != r->quote && (s[i] != '\\' || r->raw)) {
        uint32_t cp;
        len = (unsigned char)s[i] < 0x80 ? 1 : utf8_decode(s + i, n - i, &cp);
        if (len <= 0)
            break;
        i += (size_t)len;
    }
    if (i == 0)
        return broken(r, len);
    put(r, s, i);
    return string_read(r, i);
}

/* A quote in a string: is it the end? */
static bool quote(struct pycall *r)
{
    static const enum pylook_place places[] = {
        [ROLE_VALUE] = PYLOOK_VALUE,  [ROLE_KEY] = PYLOOK_KEY,
        [ROLE_FIRST] = PYLOOK_EITHER, [ROLE_NAME] = PYLOOK_VALUE,
        [ROLE_ARGS] = PYLOOK_VALUE,
    };
    size_t n = r->triple ? 3 : 1;
    for (size_t i = 1; i < n; i++) {
        if (r->cur + i == r->tape.len && !r->ended)
            return false;
        if (pycall_byte(r, r->cur + i) != r->quote) {
            put(r, &r->quote, 1);
            return string_read(r, 1);
        }
    }
    pylook_start(&r->look, r->depth, places[r->role]);
    r->ahead = r->cur + n;
    return pycall_go(r, LOOKING);
}

bool pycall_look(struct pycall *r)
{
    enum pylook_answer answer = PYLOOK_MORE;
    while (answer == PYLOOK_MORE && r->ahead < r->tape.len) {
        if (r->ahead - r->kept > PYCALL_UNTOLD_MAX)
            return pycall_fail(r);
        answer = pylook_byte(&r->look, r->frames, r->tape.data[r->ahead++]);
    }
    if (answer == PYLOOK_MORE && (r->ended || r->cut))
        answer = pylook_end(&r->look, r->cut);
    if (answer == PYLOOK_MORE)
        return false;
    if (answer == PYLOOK_YES)
        return close_string(r);
    put(r, &r->quote, 1);
    return string_read(r, 1);
}

bool pycall_string(struct pycall *r)
{
    if (r->cur == r->tape.len)
        return false;
    char c = r->tape.data[r->cur];
    if (c == r->quote)
        return quote(r);
    return c == '\\' && !r->raw ? escape(r) : run(r);
}
