/* pattern.c -- see pattern.h.
 *
 * The Unicode tables of PCRE2 10.42 are version 14, those of the Oniguruma
 * inside Hugging Face `tokenizers` 0.23 are version 16.  The letters and
 * numbers that came between are named here, so that \p{L} and \p{N} are the
 * same sets in both; other properties keep PCRE2's version.  Found by comparing
 * how both cut every code point; with a newer PCRE2 the lists are merely
 * redundant. */
#include "model/text/pattern.h"

#include <stdbool.h>
#include <string.h>

#define SPACE "\\p{White_Space}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

#define LETTER "\\p{L}" NEW_LETTERS
#define NUMBER "\\p{N}" NEW_NUMBERS
#define NEW_LETTERS                                                   \
    "\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}"       \
    "\\x{105C0}-\\x{105F3}\\x{10D4A}-\\x{10D65}\\x{10D6F}-\\x{10D85}" \
    "\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}\\x{11380}-\\x{11389}" \
    "\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}"   \
    "\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}"  \
    "\\x{11F12}-\\x{11F33}\\x{1342F}\\x{13441}-\\x{13446}"            \
    "\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}\\x{16D40}-\\x{16D6C}" \
    "\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}"             \
    "\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}" \
    "\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define NEW_NUMBERS                                                   \
    "\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}" \
    "\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}" \
    "\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}" \
    "\\x{1E5F1}-\\x{1E5FA}"

struct walk {
    const char *s;
    size_t n, i;
    bool in_class;
    struct buf *out;
    struct err *err;
};

static int refuse(const struct walk *w, const char *what)
{
    return err_set(w->err, ERR_UNSUPPORTED,
                   "the pattern has %s at byte %zu, which is not supported",
                   what, w->i);
}

static bool ahead(const struct walk *w, const char *text)
{
    size_t n = strlen(text);
    return w->n - w->i >= n && memcmp(w->s + w->i, text, n) == 0;
}

static void copy(struct walk *w, size_t n)
{
    buf_put(w->out, w->s + w->i, n);
    w->i += n;
}

/* A set in place of the next n bytes, with brackets unless it stands in a
 * class already. */
static void put_set(struct walk *w, size_t n, const char *set)
{
    buf_printf(w->out, w->in_class ? "%s" : "[%s]", set);
    w->i += n;
}

/* \p{...} and \P{...}: names other than L and N are PCRE2's to know. */
static int property(struct walk *w)
{
    if (ahead(w, "\\p{L}") || ahead(w, "\\p{N}")) {
        put_set(w, 5, w->s[w->i + 3] == 'L' ? LETTER : NUMBER);
        return 0;
    }
    if (!w->in_class && (ahead(w, "\\P{L}") || ahead(w, "\\P{N}"))) {
        put_set(w, 5, w->s[w->i + 3] == 'L' ? "^" LETTER : "^" NUMBER);
        return 0;
    }
    const char *close = NULL;
    if (w->n - w->i > 2 && w->s[w->i + 2] == '{')
        close = memchr(w->s + w->i, '}', w->n - w->i);
    if (close == NULL)
        return refuse(w, "a property without braces");
    copy(w, (size_t)(close - (w->s + w->i)) + 1);
    return 0;
}

static int escape(struct walk *w)
{
    if (w->n - w->i < 2)
        return refuse(w, "a lone backslash");
    char c = w->s[w->i + 1];
    switch (c) {
    case 's':
        put_set(w, 2, SPACE);
        return 0;
    case 'w':
        put_set(w, 2, WORD);
        return 0;
    case 'h':
        put_set(w, 2, "0-9A-Fa-f");
        return 0;
    case 'S':
        buf_puts(w->out, "\\P{White_Space}");
        w->i += 2;
        return 0;
    case 'p':
    case 'P':
        return property(w);
    case 'd':
    case 'D':
    case 'r':
    case 'n':
    case 't':
    case 'f':
        copy(w, 2);
        return 0;
    default:
        break;
    }
    if (c > ' ' && c < 0x7F && strchr("<>`'\"", c) == NULL &&
        !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
        !(c >= 'a' && c <= 'z')) {
        copy(w, 2);
        return 0;
    }
    char what[] = "the escape \\?";
    what[sizeof what - 2] = c > ' ' && c < 0x7F ? c : '?';
    return refuse(w, what);
}

/* Inside [...]: no nested sets, no intersections. */
static int in_class(struct walk *w)
{
    char c = w->s[w->i];
    if (c == '\\')
        return escape(w);
    if (c == '[')
        return refuse(w, "a set inside a set");
    if (ahead(w, "&&"))
        return refuse(w, "an intersection of sets");
    w->in_class = c != ']';
    copy(w, 1);
    return 0;
}

static int open_class(struct walk *w)
{
    copy(w, 1);
    if (w->i < w->n && w->s[w->i] == '^')
        copy(w, 1);
    if (w->i < w->n && w->s[w->i] == ']')
        return refuse(w, "a set that begins with ]");
    w->in_class = true;
    return 0;
}

static int open_group(struct walk *w)
{
    static const char *const known[] = {"(?:",  "(?i:", "(?=", "(?!",
                                        "(?<=", "(?<!", "(?>"};
    if (!ahead(w, "(?") && !ahead(w, "(*")) {
        copy(w, 1);
        return 0;
    }
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        if (ahead(w, known[k])) {
            copy(w, strlen(known[k]));
            return 0;
        }
    }
    return refuse(w, "a group of an unknown kind");
}

/* {n,m}: Ruby reads {,m} and a + behind the braces in its own way. */
static int braces(struct walk *w)
{
    size_t k = w->i + 1;
    if (k == w->n || w->s[k] < '0' || w->s[k] > '9')
        return refuse(w, "a brace that opens no {n,m}");
    while (k < w->n && (w->s[k] == ',' || (w->s[k] >= '0' && w->s[k] <= '9')))
        k++;
    if (k == w->n || w->s[k] != '}')
        return refuse(w, "a brace that opens no {n,m}");
    if (k + 1 < w->n && w->s[k + 1] == '+')
        return refuse(w, "a + behind {n,m}");
    copy(w, k + 1 - w->i);
    return 0;
}

static int outside(struct walk *w)
{
    switch (w->s[w->i]) {
    case '\\':
        return escape(w);
    case '[':
        return open_class(w);
    case '(':
        return open_group(w);
    case '{':
        return braces(w);
    case '\0':
        return refuse(w, "a NUL");
    default: /* ^ $ and . agree thanks to PCRE2_MULTILINE and newline LF */
        copy(w, 1);
        return 0;
    }
}

int pattern_translate(const char *pattern, size_t n, struct buf *out,
                      struct err *err)
{
    struct walk w = {.s = pattern, .n = n, .out = out, .err = err};
    if (n > PATTERN_MAX_BYTES)
        return err_set(err, ERR_LIMIT,
                       "the pattern is %zu bytes long, at most %u are accepted",
                       n, PATTERN_MAX_BYTES);
    while (w.i < w.n) {
        int rc = w.in_class ? in_class(&w) : outside(&w);
        if (rc != 0)
            return rc;
    }
    return buf_ok(out) ? 0 : err_nomem(err, "the pattern");
}

void pattern_literal(const char *text, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("\\^$.[]|()?*+{}#-&~ \t\r\n", text[i]) != NULL)
            buf_printf(out, "\\x{%x}", (unsigned)text[i]);
        else
            buf_putc(out, text[i]);
    }
}
