/* lexer.c -- see lexer.h. */
#include "model/template/lexer.h"

#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/template/text.h"

struct lexer {
    struct arena *arena;
    struct err *err;
    const char *s; /* newlines already "\n" */
    size_t n, at;
    uint32_t line; /* of `counted` */
    size_t counted, line_start;
    bool line_starting; /* the last match ended with a newline */
    char *closers;      /* stack of brackets that are open, [n] */
    size_t n_closers;
    struct token *tokens;
    size_t n_tokens, cap;
};

const char *token_describe(enum token_kind kind)
{
    static const char *const names[] = {
        [TOKEN_EOF] = "the end of the template",
        [TOKEN_DATA] = "text",
        [TOKEN_BLOCK_BEGIN] = "'{%'",
        [TOKEN_BLOCK_END] = "'%}'",
        [TOKEN_PRINT_BEGIN] = "'{{'",
        [TOKEN_PRINT_END] = "'}}'",
        [TOKEN_NAME] = "a name",
        [TOKEN_STRING] = "a string",
        [TOKEN_INT] = "an integer",
        [TOKEN_FLOAT] = "a float",
        [TOKEN_ADD] = "'+'",
        [TOKEN_SUB] = "'-'",
        [TOKEN_MUL] = "'*'",
        [TOKEN_DIV] = "'/'",
        [TOKEN_FLOORDIV] = "'//'",
        [TOKEN_MOD] = "'%'",
        [TOKEN_POW] = "'**'",
        [TOKEN_TILDE] = "'~'",
        [TOKEN_LBRACKET] = "'['",
        [TOKEN_RBRACKET] = "']'",
        [TOKEN_LPAREN] = "'('",
        [TOKEN_RPAREN] = "')'",
        [TOKEN_LBRACE] = "'{'",
        [TOKEN_RBRACE] = "'}'",
        [TOKEN_EQ] = "'=='",
        [TOKEN_NE] = "'!='",
        [TOKEN_GT] = "'>'",
        [TOKEN_GE] = "'>='",
        [TOKEN_LT] = "'<'",
        [TOKEN_LE] = "'<='",
        [TOKEN_ASSIGN] = "'='",
        [TOKEN_DOT] = "'.'",
        [TOKEN_COLON] = "':'",
        [TOKEN_PIPE] = "'|'",
        [TOKEN_COMMA] = "','",
        [TOKEN_SEMICOLON] = "';'",
    };
    return names[kind];
}

static void count_to(struct lexer *l, size_t at)
{
    for (; l->counted < at; l->counted++)
        if (l->s[l->counted] == '\n') {
            l->line++;
            l->line_start = l->counted + 1;
        }
}

static int fail_at(struct lexer *l, size_t at, const char *what)
{
    count_to(l, at);
    return err_set(l->err, ERR_FORMAT, "template line %u, column %zu: %s",
                   l->line, at - l->line_start + 1, what);
}

static int add(struct lexer *l, enum token_kind kind, size_t at,
               struct value value)
{
    if (l->n_tokens == l->cap) {
        size_t cap = l->cap == 0 ? 256 : l->cap * 2;
        struct token *t = mem_realloc_array(l->tokens, cap, sizeof *t);
        if (t == NULL)
            return err_nomem(l->err, "the template");
        l->tokens = t;
        l->cap = cap;
    }
    count_to(l, at);
    l->tokens[l->n_tokens++] = (struct token){
        .kind = kind,
        .line = l->line,
        .column = (uint32_t)(at - l->line_start + 1),
        .value = value,
    };
    return 0;
}

static int add_str(struct lexer *l, enum token_kind kind, size_t at,
                   const char *s, size_t n)
{
    const struct str *str = str_new(l->arena, s, n);
    if (str == NULL)
        return err_nomem(l->err, "the template");
    return add(l, kind, at, value_str(str));
}

static bool looking(const struct lexer *l, size_t at, const char *text)
{
    size_t n = strlen(text);
    return at <= l->n && l->n - at >= n && memcmp(l->s + at, text, n) == 0;
}

static size_t skip_space(const struct lexer *l, size_t at)
{
    return at + text_space_front(l->s + at, l->n - at);
}

/* Ends a match: where reading goes on. */
static void advance(struct lexer *l, size_t at)
{
    l->line_starting = at > 0 && at > l->at && l->s[at - 1] == '\n';
    l->at = at;
}

/* The end of a tag whose mark ("%}" or "#}") is at `at`: where the tag ends,
 * after what its sign (the character before) strips. */
static size_t after_mark(const struct lexer *l, size_t at, char sign)
{
    at += 2;
    if (sign == '-')
        return skip_space(l, at);
    if (sign != '+' && at < l->n && l->s[at] == '\n')
        at++;
    return at;
}

/* "{% raw %}" at `at`: where it ends, or 0. */
static size_t match_raw(const struct lexer *l, size_t at)
{
    size_t p = at + 2;
    if (p < l->n && (l->s[p] == '-' || l->s[p] == '+'))
        p++;
    p = skip_space(l, p);
    if (!looking(l, p, "raw"))
        return 0;
    p = skip_space(l, p + 3);
    if (looking(l, p, "-%}"))
        return skip_space(l, p + 3);
    return looking(l, p, "%}") ? p + 2 : 0;
}

/* "{% endraw %}" at `at`: where it ends, or 0. */
static size_t match_endraw(const struct lexer *l, size_t at)
{
    size_t p = at + 2;
    if (p < l->n && (l->s[p] == '-' || l->s[p] == '+'))
        p++;
    p = skip_space(l, p);
    if (!looking(l, p, "endraw"))
        return 0;
    p = skip_space(l, p + 6);
    if (p < l->n && (l->s[p] == '-' || l->s[p] == '+'))
        return looking(l, p + 1, "%}") ? after_mark(l, p + 1, l->s[p]) : 0;
    return looking(l, p, "%}") ? after_mark(l, p, 0) : 0;
}

/* Text s[from..to) in front of a tag that begins with `sign`. */
static int add_text(struct lexer *l, size_t from, size_t to, char sign,
                    bool is_print)
{
    size_t n = to - from;
    const char *s = l->s + from;
    if (sign == '-') {
        n -= text_space_back(s, n);
    } else if (sign != '+' && !is_print) {
        size_t start = n;
        while (start > 0 && s[start - 1] != '\n')
            start--;
        if ((start > 0 || l->line_starting) &&
            text_space_front(s + start, n - start) == n - start)
            n = start;
    }
    return n == 0 ? 0 : add_str(l, TOKEN_DATA, from, s, n);
}

static char sign_at(const struct lexer *l, size_t at)
{
    return at < l->n && (l->s[at] == '-' || l->s[at] == '+') ? l->s[at] : 0;
}

static int lex_raw(struct lexer *l)
{
    for (size_t p = l->at; p + 1 < l->n; p++) {
        if (l->s[p] != '{' || l->s[p + 1] != '%')
            continue;
        size_t end = match_endraw(l, p);
        if (end == 0)
            continue;
        int rc = add_text(l, l->at, p, sign_at(l, p + 2), false);
        advance(l, end);
        return rc;
    }
    return fail_at(l, l->at, "a raw block is not closed by {% endraw %}");
}

static int lex_comment(struct lexer *l)
{
    size_t end = text_find(l->s, l->n, "#}", 2, l->at);
    if (end == SIZE_MAX)
        return fail_at(l, l->at, "a comment is not closed by '#}'");
    advance(l, after_mark(l, end, end > l->at ? l->s[end - 1] : 0));
    return 0;
}

static bool is_digit(char c, unsigned base)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') < base;
    return base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
}

/* (_?digit)* or digit(_?digit)*: the end of such a run. */
static size_t digits(const struct lexer *l, size_t at, unsigned base, bool lead)
{
    for (;;) {
        size_t p = at;
        if (!lead && p < l->n && l->s[p] == '_')
            p++;
        if (p >= l->n || !is_digit(l->s[p], base))
            return at;
        lead = false;
        at = p + 1;
    }
}

/* The end of a float at `at`, or 0. */
static size_t match_float(const struct lexer *l, size_t at)
{
    if (at > 0 && l->s[at - 1] == '.')
        return 0;
    size_t p = digits(l, at, 10, true);
    bool fraction = false;
    if (p < l->n && l->s[p] == '.') {
        size_t q = digits(l, p + 1, 10, true);
        if (q > p + 1) {
            fraction = true;
            p = q;
        }
    }
    if (p < l->n && (l->s[p] == 'e' || l->s[p] == 'E')) {
        size_t q = p + 1;
        if (q < l->n && (l->s[q] == '+' || l->s[q] == '-'))
            q++;
        size_t end = digits(l, q, 10, true);
        if (end > q)
            return end;
    }
    return fraction ? p : 0;
}

static int lex_number(struct lexer *l)
{
    char text[512];
    size_t at = l->at, end = match_float(l, at), n = 0;
    bool is_float = end != 0;
    unsigned base = 10;
    if (!is_float) {
        char c = at + 1 < l->n ? (char)(l->s[at + 1] | 0x20) : 0;
        base = l->s[at] != '0' ? 10 : c == 'x' ? 16 : c == 'o' ? 8 : 2;
        bool prefixed = l->s[at] == '0' && (c == 'x' || c == 'o' || c == 'b');
        end = prefixed ? digits(l, at + 2, base, false) : 0;
        if (end == at + 2 || end == 0) {
            prefixed = false;
            base = 10;
            end = l->s[at] == '0' ? at + 1 : digits(l, at, 10, true);
            if (l->s[at] == '0') /* 0(_?0)* */
                end = digits(l, at + 1, 1, false);
        } else {
            at += 2;
        }
    }
    for (size_t p = at; p < end; p++)
        if (l->s[p] != '_') {
            if (n + 1 == sizeof text)
                return fail_at(l, l->at, "a number is too long");
            text[n++] = l->s[p];
        }
    text[n] = '\0';
    struct value v = value_float(strtod(text, NULL));
    if (!is_float) {
        uint64_t u = 0;
        for (size_t i = 0; i < n; i++) {
            unsigned d = (unsigned)text[i];
            d = d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10;
            if (__builtin_mul_overflow(u, (uint64_t)base, &u) ||
                __builtin_add_overflow(u, (uint64_t)d, &u) || u > INT64_MAX)
                return fail_at(l, l->at, "an integer does not fit 64 bits");
        }
        v = value_int((int64_t)u);
    }
    int rc = add(l, is_float ? TOKEN_FLOAT : TOKEN_INT, l->at, v);
    advance(l, end);
    return rc;
}

/* \x, \u, \U and octal: appends the code point; the digits read, or -1. */
static int unescape_number(struct buf *b, const char *s, size_t n, int digits_n,
                           unsigned base, bool exact)
{
    uint32_t cp = 0;
    int k = 0;
    for (; k < digits_n && (size_t)k < n && is_digit(s[k], base); k++) {
        unsigned d = (unsigned)s[k];
        cp = cp * base + (d <= '9' ? d - '0' : (d | 0x20) - 'a' + 10);
    }
    if ((exact && k < digits_n) || cp > 0x10ffff ||
        (cp >= 0xd800 && cp < 0xe000))
        return -1;
    text_put_cp(b, cp);
    return k;
}

/* Appends what "\c..." stands for; bytes read after the backslash, or -1. */
static int unescape(struct buf *b, const char *s, size_t n)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *p = s[0] != '\0' ? strchr(from, s[0]) : NULL;
    int k;
    if (p != NULL) {
        buf_putc(b, to[p - from]);
        return 1;
    }
    switch (s[0]) {
    case '\n':
        return 1;
    case 'x':
    case 'u':
    case 'U':
        k = unescape_number(b, s + 1, n - 1,
                            s[0] == 'x'   ? 2
                            : s[0] == 'u' ? 4
                                          : 8,
                            16, true);
        return k < 0 ? -1 : k + 1;
    case 'N':
        return -1;
    default:
        if (s[0] >= '0' && s[0] <= '7')
            return unescape_number(b, s, n, 3, 8, false);
        buf_putc(b, '\\');
        buf_putc(b, s[0]);
        return 1;
    }
}

static int lex_string(struct lexer *l)
{
    const char quote = l->s[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->s[end] != quote)
        end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n)
        return fail_at(l, l->at, "a string is not closed");
    struct buf b;
    buf_init(&b, 0);
    int rc = 0;
    for (size_t p = l->at + 1; p < end && rc == 0;) {
        if (l->s[p] != '\\') {
            buf_putc(&b, l->s[p++]);
            continue;
        }
        int k = unescape(&b, l->s + p + 1, end - p - 1);
        if (k < 0)
            rc = fail_at(l, p, "a string has an escape that is not valid");
        p += 1 + (size_t)(k < 0 ? 0 : k);
    }
    if (rc == 0 && !buf_ok(&b))
        rc = err_nomem(l->err, "the template");
    if (rc == 0)
        rc = add_str(l, TOKEN_STRING, l->at, buf_str(&b), b.len);
    buf_deinit(&b);
    advance(l, end + 1);
    return rc;
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80 || (!first && c >= '0' && c <= '9');
}

static int lex_name(struct lexer *l)
{
    size_t end = l->at + 1;
    while (end < l->n && is_name(l->s[end], false))
        end++;
    int rc = add_str(l, TOKEN_NAME, l->at, l->s + l->at, end - l->at);
    advance(l, end);
    return rc;
}

static int balance(struct lexer *l, char c)
{
    if (c == '(' || c == '[' || c == '{') {
        l->closers[l->n_closers++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
        if (l->n_closers == 0 || l->closers[l->n_closers - 1] != c)
            return fail_at(l, l->at, "a bracket closes what is not open");
        l->n_closers--;
    }
    return 0;
}

static int lex_operator(struct lexer *l)
{
    static const struct {
        char text[3];
        uint8_t kind;
    } ops[] = {
        {"//", TOKEN_FLOORDIV}, {"**", TOKEN_POW},      {"==", TOKEN_EQ},
        {"!=", TOKEN_NE},       {">=", TOKEN_GE},       {"<=", TOKEN_LE},
        {"+", TOKEN_ADD},       {"-", TOKEN_SUB},       {"/", TOKEN_DIV},
        {"*", TOKEN_MUL},       {"%", TOKEN_MOD},       {"~", TOKEN_TILDE},
        {"[", TOKEN_LBRACKET},  {"]", TOKEN_RBRACKET},  {"(", TOKEN_LPAREN},
        {")", TOKEN_RPAREN},    {"{", TOKEN_LBRACE},    {"}", TOKEN_RBRACE},
        {">", TOKEN_GT},        {"<", TOKEN_LT},        {"=", TOKEN_ASSIGN},
        {".", TOKEN_DOT},       {":", TOKEN_COLON},     {"|", TOKEN_PIPE},
        {",", TOKEN_COMMA},     {";", TOKEN_SEMICOLON},
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!looking(l, l->at, ops[i].text))
            continue;
        int rc = balance(l, l->s[l->at]);
        if (rc == 0)
            rc = add(l, (enum token_kind)ops[i].kind, l->at, value_none());
        advance(l, l->at + strlen(ops[i].text));
        return rc;
    }
    return fail_at(l, l->at, "a character that means nothing here");
}

/* Whether the tag ends here; then *rc is set and reading is past it. */
static bool lex_end(struct lexer *l, bool is_print, int *rc)
{
    const char *mark = is_print ? "}}" : "%}";
    char sign = l->s[l->at];
    size_t at = l->at;
    if (sign == '-' || (sign == '+' && !is_print))
        at++;
    else
        sign = 0;
    if (l->n_closers > 0 || !looking(l, at, mark))
        return false;
    *rc = add(l, is_print ? TOKEN_PRINT_END : TOKEN_BLOCK_END, l->at,
              value_none());
    if (is_print)
        advance(l, sign == '-' ? skip_space(l, at + 2) : at + 2);
    else
        advance(l, after_mark(l, at, sign));
    return true;
}

static int lex_tag(struct lexer *l, bool is_print)
{
    int rc = 0;
    while (rc == 0) {
        size_t p = skip_space(l, l->at);
        if (p > l->at)
            advance(l, p);
        if (l->at >= l->n)
            return fail_at(l, l->n, "the template ends inside a tag");
        char c = l->s[l->at];
        if (lex_end(l, is_print, &rc))
            return rc;
        if (c >= '0' && c <= '9')
            rc = lex_number(l);
        else if (is_name(c, true))
            rc = lex_name(l);
        else if (c == '\'' || c == '"')
            rc = lex_string(l);
        else
            rc = lex_operator(l);
    }
    return rc;
}

/* Text up to the next tag, then that tag. */
static int lex_root(struct lexer *l)
{
    size_t p = l->at;
    char c = 0;
    for (; p + 1 < l->n; p++) {
        c = l->s[p + 1];
        if (l->s[p] == '{' && (c == '{' || c == '%' || c == '#'))
            break;
    }
    if (p + 1 >= l->n) {
        int rc = add_str(l, TOKEN_DATA, l->at, l->s + l->at, l->n - l->at);
        advance(l, l->n);
        return rc;
    }
    size_t raw = c == '%' ? match_raw(l, p) : 0;
    char sign = sign_at(l, p + 2);
    int rc = add_text(l, l->at, p, sign, c == '{');
    if (rc != 0)
        return rc;
    if (raw != 0) {
        advance(l, raw);
        return lex_raw(l);
    }
    advance(l, p + 2 + (sign != 0));
    if (c == '#')
        return lex_comment(l);
    rc = add(l, c == '{' ? TOKEN_PRINT_BEGIN : TOKEN_BLOCK_BEGIN, p,
             value_none());
    return rc != 0 ? rc : lex_tag(l, c == '{');
}

/* "\r\n" and "\r" become "\n"; one newline at the very end goes. */
static size_t normalise(char *to, const char *s, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\r') {
            to[k++] = '\n';
            if (i + 1 < n && s[i + 1] == '\n')
                i++;
        } else {
            to[k++] = s[i];
        }
    }
    return k > 0 && to[k - 1] == '\n' ? k - 1 : k;
}

int lexer_run(struct arena *a, const char *src, size_t n, struct token **out,
              struct err *err)
{
    struct lexer l = {.arena = a, .err = err, .line = 1, .line_starting = true};
    char *s = mem_alloc(n + 1);
    l.closers = mem_alloc(n + 1);
    int rc = 0;
    if (s == NULL || l.closers == NULL) {
        rc = err_nomem(err, "the template");
    } else {
        l.s = s;
        l.n = normalise(s, src, n);
        while (rc == 0 && l.at < l.n)
            rc = lex_root(&l);
        if (rc == 0)
            rc = add(&l, TOKEN_EOF, l.n, value_none());
    }
    if (rc == 0) {
        *out = arena_dup(a, l.tokens, l.n_tokens * sizeof *l.tokens);
        if (*out == NULL)
            rc = err_nomem(err, "the template");
    }
    mem_free(l.tokens);
    mem_free(l.closers);
    mem_free(s);
    return rc;
}
