/* pycall.c -- see pycall.h.
 *
 * A machine over a tape.  Each step reads a little at the cursor, or waits for
 * more bytes; words are read when they have ended, so a step may look at their
 * bytes again, PYLITERAL_SCALAR_MAX of them at most.  What was read goes to
 * `out` as JSON.  Now and then `out` is such that closing brackets would make
 * an object of it: pycall_settle() marks it safe, it can be told, and the tape
 * before the cursor can be forgotten.
 *
 *     tape   (a='x', b=[1 2])        out   {"a": "x", "b": [1
 *                   ^kept ^cur                      ^safe
 *
 * Here 2 cannot follow 1: told is {"a": "x"}, and the rest is b=[1 2]). */
#include "model/dialect/pycall.h"

#include <string.h>

#include "model/base/hash.h"
#include "model/base/utf8.h"
#include "model/dialect/pycall_state.h"
#include "model/dialect/pyliteral.h"

void pycall_init(struct pycall *r, pycall_fn *on, void *user)
{
    memset(r, 0, sizeof *r);
    r->on = on;
    r->user = user;
}

void pycall_deinit(struct pycall *r)
{
    buf_deinit(&r->tape);
    buf_deinit(&r->out);
    buf_deinit(&r->name);
    buf_deinit(&r->text);
    buf_deinit(&r->members);
}

bool pycall_ok(const struct pycall *r)
{
    return buf_ok(&r->tape) && buf_ok(&r->out) && buf_ok(&r->name) &&
           buf_ok(&r->text) && buf_ok(&r->members);
}

bool pycall_told(const struct pycall *r)
{
    return r->told;
}

const char *pycall_rest(const struct pycall *r, size_t *n)
{
    *n = r->tape.len - r->kept;
    return buf_str(&r->tape) + r->kept;
}

/* ---- telling ---- */

static void flush(struct pycall *r)
{
    if (!r->begun || !pycall_ok(r))
        return;
    if (!r->said)
        r->on(r->user, PYCALL_BEGIN, buf_str(&r->name), r->name.len);
    r->said = true;
    size_t n = (size_t)(r->safe - r->base);
    if (n > 0)
        r->on(r->user, PYCALL_ARGS, r->out.data, n);
    buf_drop(&r->out, n);
    r->base = r->safe;
}

void pycall_settle(struct pycall *r)
{
    bool named = r->has_name && (r->has_args || r->depth != 1 ||
                                 r->frames[0].kind != PYFRAME_OBJECT);
    if (!named || r->n_undecided > 0 || r->ignoring)
        return;
    r->begun = r->told = true;
    r->safe = r->base + r->out.len;
    r->safe_string = r->state == STRING;
    r->kept = r->cur;
}

static char json_close(enum pyframe_kind kind)
{
    return kind == PYFRAME_CALL || kind == PYFRAME_DICT || kind == PYFRAME_BRACE
               ? '}'
               : ']';
}

static void end_call(struct pycall *r)
{
    flush(r);
    if (r->said)
        r->on(r->user, PYCALL_END, NULL, 0);
    r->n_calls++;
    r->begun = r->said = r->has_name = r->has_args = false;
    r->kept = r->cur;
    r->base = r->safe = 0;
    r->depth = 0;
    buf_clear(&r->out);
    buf_clear(&r->members);
}

/* Closes what was told of the call at hand. */
static void repair(struct pycall *r)
{
    size_t kept = r->kept;
    r->out.len = (size_t)(r->safe - r->base);
    if (r->safe_string)
        buf_putc(&r->out, '"');
    for (uint32_t i = r->depth; i-- > 0;)
        if (r->frames[i].kind != PYFRAME_OBJECT && r->frames[i].at < r->safe)
            buf_putc(&r->out, json_close(r->frames[i].kind));
    r->safe = r->base + r->out.len;
    end_call(r);
    r->kept = kept;
}

bool pycall_fail(struct pycall *r)
{
    if (r->begun && pycall_ok(r))
        repair(r);
    r->state = FAILED;
    return false;
}

/* ---- the tape ---- */

/* Takes the byte at the cursor. */
static bool take(struct pycall *r, enum state state)
{
    r->cur++;
    return pycall_go(r, state);
}

/* Past white space, to a byte; 0 when there is none yet, or we failed. */
static bool next(struct pycall *r, char *c)
{
    while (r->cur < r->tape.len && pyliteral_is_space(r->tape.data[r->cur]))
        r->cur++;
    if (r->cur - r->kept > PYCALL_UNTOLD_MAX)
        return pycall_fail(r);
    *c = pycall_byte(r, r->cur);
    return r->cur < r->tape.len;
}

/* The word at the cursor, of at most `max` bytes.  False: it may go on, or we
 * failed. */
static bool word(struct pycall *r, bool (*has)(char c), size_t max, size_t *n)
{
    size_t i = r->cur;
    while (i < r->tape.len && i - r->cur <= max && has(r->tape.data[i]))
        i++;
    *n = i - r->cur;
    if (*n > max)
        return pycall_fail(r);
    return i < r->tape.len || r->ended;
}

static bool in_parameter(char c)
{
    return pyliteral_is_name(c, false);
}

static bool in_name(char c)
{
    return pyliteral_is_name(c, true);
}

/* Moves the `n` bytes at the cursor to `to`, which must be some and UTF-8. */
static bool keep(struct pycall *r, size_t n, struct buf *to)
{
    const char *s = r->tape.data + r->cur;
    if (n == 0 || !utf8_valid(s, n))
        return pycall_fail(r);
    buf_clear(to);
    buf_put(to, s, n);
    r->cur += n;
    return true;
}

/* ---- frames ---- */

static bool push(struct pycall *r, enum pyframe_kind kind, enum state state)
{
    if (r->depth >= PYCALL_DEPTH_MAX + (r->depth > 0 && pycall_is_json(r)))
        return pycall_fail(r);
    r->frames[r->depth++] = (struct pyframe){
        .kind = kind,
        .at = r->base + r->out.len,
        .members = r->members.len,
    };
    r->n_undecided += pyframe_undecided(kind);
    if (kind != PYFRAME_OBJECT)
        buf_putc(&r->out, json_close(kind) == '}' ? '{' : '[');
    return take(r, state);
}

static void decide(struct pycall *r, enum pyframe_kind kind)
{
    struct pyframe *f = pycall_top(r);
    f->kind = kind;
    r->n_undecided--;
    if (kind == PYFRAME_SET && buf_ok(&r->out))
        r->out.data[f->at - r->base] = '[';
}

bool pycall_value_read(struct pycall *r)
{
    pycall_top(r)->n_items++;
    return pycall_go(r, AFTER_VALUE);
}

/* (1) is 1, and its bracket was none. */
static void unwrap(struct pycall *r)
{
    size_t at = (size_t)(pycall_top(r)->at - r->base);
    if (buf_ok(&r->out)) {
        memmove(r->out.data + at, r->out.data + at + 1, r->out.len - at);
        r->out.len--;
    }
}

static bool call_read(struct pycall *r)
{
    if (pycall_is_json(r) && !r->has_args)
        buf_puts(&r->out, "{}");
    r->has_args = true;
    if (!r->has_name)
        return pycall_fail(r);
    pycall_settle(r);
    end_call(r);
    return pycall_go(r, AFTER_CALL);
}

/* Takes the innermost frame's closing bracket. */
static bool pop(struct pycall *r)
{
    struct pyframe *f = pycall_top(r);
    bool bare = f->kind == PYFRAME_PAREN && f->n_items == 1;
    enum pyframe_kind kind = f->kind;
    r->cur++;
    if (bare)
        unwrap(r);
    else if (kind != PYFRAME_OBJECT)
        buf_putc(&r->out, json_close(kind));
    r->n_undecided -= pyframe_undecided(kind);
    r->members.len = f->members;
    if (kind == PYFRAME_CALL || kind == PYFRAME_OBJECT)
        return call_read(r);
    r->depth--;
    if (pycall_top(r)->kind == PYFRAME_OBJECT && r->slot == SLOT_ARGS)
        r->has_args = true;
    pycall_value_read(r);
    pycall_settle(r);
    return true;
}

/* The name in `text` is the open object's: 0; 1 if it was so already, -1 if
 * there are too many.  64 bits make a false alarm unlikely, not harmful. */
static int add_member(struct pycall *r)
{
    uint64_t hash = hash_bytes(buf_str(&r->text), r->text.len, 0), old;
    size_t from = pycall_top(r)->members;
    for (size_t i = from; i < r->members.len; i += sizeof old) {
        memcpy(&old, r->members.data + i, sizeof old);
        if (old == hash)
            return 1;
    }
    if (r->members.len - from >= PYCALL_MEMBERS_MAX * sizeof hash)
        return -1;
    buf_put(&r->members, &hash, sizeof hash);
    return 0;
}

/* What is put from here on, up to the end of the next value in this frame. */
static void ignore(struct pycall *r)
{
    r->ignoring = true;
    r->ignored = r->base + r->out.len;
    r->ignored_depth = r->depth;
}

static void stop_ignoring(struct pycall *r)
{
    r->ignoring = false;
    r->out.len = (size_t)(r->ignored - r->base);
    pycall_top(r)->n_items--;
}

/* Behind a name and its colon or '='. */
static bool put_key(struct pycall *r)
{
    const int known = add_member(r);
    if (known < 0 || memchr(buf_str(&r->text), '\0', r->text.len) != NULL)
        return pycall_fail(r);
    if (known > 0 && !r->ignoring)
        ignore(r); /* its first value is told already */
    if (pycall_top(r)->n_items > 0)
        buf_puts(&r->out, ", ");
    json_quote(&r->out, buf_str(&r->text), r->text.len);
    buf_puts(&r->out, ": ");
    return take(r, VALUE);
}

/* ---- values ---- */

static bool scalar_read(struct pycall *r, size_t n, enum role role)
{
    struct buf *to = role == ROLE_VALUE ? &r->out : &r->text;
    if (to == &r->text)
        buf_clear(to);
    r->raw = false;
    r->role = (uint8_t)role;
    r->quote = '\0'; /* tells AFTER_FIRST that it is no string */
    if (!pyliteral_scalar(r->tape.data + r->cur, n, to))
        return pycall_fail(r);
    r->cur += n;
    return role == ROLE_VALUE ? pycall_value_read(r)
           : role == ROLE_KEY ? pycall_go(r, COLON)
                              : pycall_go(r, AFTER_FIRST);
}

/* A string, a number or a constant. */
static bool simple(struct pycall *r, char c, enum role role)
{
    size_t n;
    r->raw = false;
    if (c == '"' || c == '\'')
        return pycall_open_string(r, role);
    if (!word(r, pyliteral_is_scalar, PYLITERAL_SCALAR_MAX, &n))
        return false;
    const char *s = r->tape.data + r->cur;
    char behind = pycall_byte(r, r->cur + n);
    if ((behind != '"' && behind != '\'') || !pyliteral_is_prefix(s, n))
        return scalar_read(r, n, role);
    r->raw = memchr(s, 'r', n) != NULL || memchr(s, 'R', n) != NULL;
    size_t at = r->cur;
    r->cur += n;
    if (pycall_open_string(r, role))
        return true;
    r->cur = at;
    return false;
}

/* The value of "name", "arguments" or what else a {"name": ...} has. */
static bool slot_value(struct pycall *r, char c)
{
    size_t n;
    bool quoted = c == '"' || c == '\'';
    if (r->slot == SLOT_NAME)
        return quoted ? simple(r, c, ROLE_NAME) : pycall_fail(r);
    if (c == '{')
        return push(r, PYFRAME_DICT, KEY);
    if (quoted)
        return simple(r, c, ROLE_ARGS);
    if (!word(r, pyliteral_is_scalar, PYLITERAL_SCALAR_MAX, &n))
        return false;
    if (n != 4 || memcmp(r->tape.data + r->cur, "null", n) != 0)
        return pycall_fail(r);
    r->cur += n;
    return pycall_value_read(r);
}

static bool value(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (pycall_top(r)->kind == PYFRAME_OBJECT && r->slot != SLOT_OTHER)
        return slot_value(r, c);
    if (c == '[')
        return push(r, PYFRAME_LIST, ITEM);
    if (c == '(')
        return push(r, PYFRAME_PAREN, ITEM);
    if (c == '{' && pycall_is_json(r))
        return push(r, PYFRAME_DICT, KEY);
    if (c == '{')
        return push(r, PYFRAME_BRACE, FIRST);
    return simple(r, c, ROLE_VALUE);
}

static bool after_value(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    enum pyframe_kind kind = pycall_top(r)->kind;
    if (r->ignoring && r->depth == r->ignored_depth)
        stop_ignoring(r);
    if (c == pyframe_close(kind))
        return pop(r);
    if (c != ',')
        return pycall_fail(r);
    if (kind == PYFRAME_PAREN)
        decide(r, PYFRAME_TUPLE);
    take(r, kind == PYFRAME_CALL                             ? PARAMETER
            : kind == PYFRAME_OBJECT || kind == PYFRAME_DICT ? KEY
                                                             : ITEM);
    pycall_settle(r);
    return true;
}

static bool item(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c == pyframe_close(pycall_top(r)->kind))
        return pop(r);
    if (pycall_top(r)->n_items > 0)
        buf_puts(&r->out, ", ");
    return pycall_go(r, VALUE);
}

static bool key(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c == '}')
        return pop(r);
    if (pycall_top(r)->kind == PYFRAME_OBJECT && c != '"' && c != '\'')
        return pycall_fail(r);
    return simple(r, c, ROLE_KEY);
}

static bool text_is(const struct pycall *r, const char *text)
{
    return r->text.len == strlen(text) &&
           memcmp(buf_str(&r->text), text, r->text.len) == 0;
}

/* "parameters" is another habit. */
static bool find_slot(struct pycall *r)
{
    bool args = text_is(r, "arguments") || text_is(r, "parameters");
    r->slot = text_is(r, "name") ? SLOT_NAME : args ? SLOT_ARGS : SLOT_OTHER;
    if (add_member(r) != 0 || (args && r->has_args))
        return pycall_fail(r);
    if (r->slot == SLOT_OTHER)
        ignore(r);
    return take(r, VALUE);
}

static bool colon(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c != ':')
        return pycall_fail(r);
    return pycall_top(r)->kind == PYFRAME_OBJECT ? find_slot(r) : put_key(r);
}

static bool first(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c == '}')
        return pop(r);
    if (c != '[' && c != '(' && c != '{')
        return simple(r, c, ROLE_FIRST);
    decide(r, PYFRAME_SET);
    return pycall_go(r, VALUE);
}

static bool after_first(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c == ':') {
        decide(r, PYFRAME_DICT);
        return put_key(r);
    }
    decide(r, PYFRAME_SET);
    if (r->quote != '\0')
        json_quote(&r->out, buf_str(&r->text), r->text.len);
    else
        buf_put(&r->out, buf_str(&r->text), r->text.len);
    return pycall_value_read(r);
}

/* ---- calls ---- */

static bool parameter(struct pycall *r)
{
    char c;
    size_t n;
    if (!next(r, &c))
        return false;
    if (c == ')')
        return pop(r);
    return word(r, in_parameter, PYCALL_NAME_MAX, &n) && keep(r, n, &r->text) &&
           pycall_go(r, EQUALS);
}

static bool equals(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    return c == '=' ? put_key(r) : pycall_fail(r);
}

static bool call_head(struct pycall *r)
{
    char c;
    size_t n;
    if (!next(r, &c))
        return false;
    if (c == ']')
        return take(r, AFTER_LIST);
    if (r->n_calls == PYCALL_MAX)
        return pycall_fail(r);
    buf_clear(&r->name);
    if (c == '{')
        return push(r, PYFRAME_OBJECT, KEY);
    return word(r, in_name, PYCALL_NAME_MAX, &n) && keep(r, n, &r->name) &&
           pycall_go(r, OPENING);
}

static bool opening(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c != '(')
        return pycall_fail(r);
    r->has_name = true;
    return push(r, PYFRAME_CALL, PARAMETER);
}

static bool list_head(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    return c == '[' ? take(r, CALL_HEAD) : pycall_go(r, CALL_HEAD);
}

static bool after_call(struct pycall *r)
{
    char c;
    if (!next(r, &c))
        return false;
    if (c != ',' && c != ']')
        return pycall_fail(r);
    take(r, c == ',' ? CALL_HEAD : AFTER_LIST);
    r->kept = r->cur;
    return true;
}

static bool after_list(struct pycall *r)
{
    char c;
    return next(r, &c) && pycall_fail(r);
}

/* Reads on.  False: there is no more to read, or we failed. */
static bool step(struct pycall *r)
{
    static bool (*const steps[])(struct pycall *) = {
        [LIST_HEAD] = list_head,
        [CALL_HEAD] = call_head,
        [OPENING] = opening,
        [PARAMETER] = parameter,
        [EQUALS] = equals,
        [VALUE] = value,
        [STRING] = pycall_string,
        [LOOKING] = pycall_look,
        [AFTER_VALUE] = after_value,
        [ITEM] = item,
        [KEY] = key,
        [COLON] = colon,
        [FIRST] = first,
        [AFTER_FIRST] = after_first,
        [AFTER_CALL] = after_call,
        [AFTER_LIST] = after_list,
    };
    if (r->state == FAILED || !pycall_ok(r))
        return false;
    if (r->cur - r->kept > PYCALL_UNTOLD_MAX)
        return pycall_fail(r);
    return steps[r->state](r);
}

void pycall_start(struct pycall *r)
{
    buf_clear(&r->tape);
    buf_clear(&r->out);
    buf_clear(&r->members);
    r->kept = r->cur = 0;
    r->base = r->safe = 0;
    r->depth = r->n_undecided = r->n_calls = 0;
    r->state = LIST_HEAD;
    r->has_name = r->has_args = r->ignoring = false;
    r->begun = r->said = r->told = r->ended = r->cut = false;
}

bool pycall_feed(struct pycall *r, const char *bytes, size_t n)
{
    buf_put(&r->tape, bytes, n);
    while (step(r))
        ;
    if (r->state == FAILED)
        return false;
    flush(r);
    buf_drop(&r->tape, r->kept);
    r->cur -= r->kept;
    r->ahead -= r->kept;
    r->kept = 0;
    return true;
}

void pycall_finish(struct pycall *r, bool cut)
{
    r->ended = !cut;
    r->cut = cut;
    while (step(r))
        ;
    bool whole = r->n_calls > 0 && r->cur == r->tape.len &&
                 (r->state == AFTER_CALL || r->state == AFTER_LIST ||
                  r->state == CALL_HEAD);
    if (whole) {
        r->kept = r->tape.len;
    } else if (!cut) {
        pycall_fail(r);
    } else if (r->begun) {
        flush(r);
        r->kept = r->tape.len;
    }
    r->state = FAILED;
}
