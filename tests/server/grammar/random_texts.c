/* random_texts.c -- what a model without a mind says under a constraint.
 *
 *     random_texts TOKENIZER_DIR TEXTS < constraints
 *
 * Each line of the input is a constraint: {"schema": ...}, {"regex": "..."},
 * {"gbnf": "..."}, {"choice": [...]} or {"tools": [...]}, "compact" or "single"
 * beside it if wanted.  For
 * each a line comes back: {"texts": [...], "open": n, "ms": x} with finished
 * texts, and how many were cut after 2,000 tokens; or {"error": "...", "class":
 * n}.  What is said under tools comes with "calls", as the parser reads it: for
 * each text a list of {"name", "arguments"}.  Every token is drawn evenly from
 * its mask, the end more often, since models do want to end; what is drawn must
 * be accepted, or the program aborts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/base/utf8.h"
#include "model/dialect/call_grammar.h"
#include "model/dialect/pycall.h"
#include "model/grammar/gbnf.h"
#include "model/grammar/mask.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema.h"

#define MAX_TOKENS 2000u

static uint64_t seed = 88172645463325252u;

static uint32_t chance(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 32) * n >> 32);
}

struct speaker {
    struct tokenizer *tokenizer;
    struct masker *masker;
    uint32_t n_ids;
    uint32_t *words;
};

static token_id draw(const struct speaker *s, uint32_t n)
{
    uint32_t pick = chance(n);
    for (uint32_t w = 0;; w++) {
        uint32_t bits = s->words[w];
        uint32_t here = (uint32_t)__builtin_popcount(bits);
        if (pick >= here) {
            pick -= here;
            continue;
        }
        while (pick-- > 0)
            bits &= bits - 1;
        return (token_id)(w * 32 + (uint32_t)__builtin_ctz(bits));
    }
}

static bool closes(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr("\"'}])", p[i]) != NULL && p[i] != '\0')
            return true;
    return false;
}

/* The shortest allowed token after a while: a text should come to its end. */
static token_id draw_closing(const struct speaker *s, uint32_t n)
{
    token_id best = draw(s, n);
    for (unsigned i = 0; i < 12; i++) {
        size_t a, b;
        token_id other = draw(s, n);
        const char *p = tokenizer_token_bytes(s->tokenizer, best, &a);
        const char *q = tokenizer_token_bytes(s->tokenizer, other, &b);
        if (closes(q, b) && !closes(p, a))
            best = other;
    }
    return best;
}

/* True if the text was finished. */
static bool speak(const struct speaker *s, struct grammar *g, struct buf *out)
{
    struct matcher *m;
    token_id end = (token_id)s->n_ids - 1;
    bool finished = false;
    if (matcher_new(&m, g, 2, NULL) != 0)
        abort();
    for (uint32_t i = 0; i < MAX_TOKENS && !finished; i++) {
        uint32_t n = mask_fill(s->masker, m, &end, 1, s->words);
        if (n == 0)
            abort();
        if (matcher_may_end(m) && (n == 1 || chance(3) == 0)) {
            finished = true;
            break;
        }
        s->words[(uint32_t)end / 32] &= ~((uint32_t)1 << (uint32_t)end % 32);
        n -= matcher_may_end(m);
        token_id id = i > 40 ? draw_closing(s, n) : draw(s, n);
        size_t length;
        const char *bytes = tokenizer_token_bytes(s->tokenizer, id, &length);
        if (!matcher_accept(m, bytes, length)) {
            fprintf(stderr, "refused what the mask allows: %.*s\n", (int)length,
                    bytes);
            abort();
        }
        buf_put(out, bytes, length);
        if (chance(50) == 0 && matcher_rollback(m, 1))
            buf_added(out, 0), out->len -= length;
    }
    matcher_free(m);
    return finished;
}

static int compile(struct grammar **g, const json_t *line, struct err *err)
{
    const json_t *v;
    struct schema_options options = {
        .compact = json_is_true(json_object_get(line, "compact"))};
    if ((v = json_object_get(line, "schema")) != NULL)
        return grammar_from_schema(g, v, &options, err);
    if ((v = json_object_get(line, "tools")) != NULL) {
        struct call_options o = {
            .single = json_is_true(json_object_get(line, "single"))};
        return call_grammar_new(g, v, &o, err);
    }
    if ((v = json_object_get(line, "regex")) != NULL)
        return grammar_from_regex(g, json_string_value(v),
                                  json_string_length(v), err);
    if ((v = json_object_get(line, "gbnf")) != NULL)
        return grammar_from_gbnf(g, json_string_value(v), json_string_length(v),
                                 err);
    v = json_object_get(line, "choice");
    const char *texts[64];
    size_t lengths[64], n = json_array_size(v);
    for (size_t i = 0; i < n && i < 64; i++) {
        texts[i] = json_string_value(json_array_get(v, i));
        lengths[i] = strlen(texts[i]);
    }
    return grammar_from_choice(g, texts, lengths, n, err);
}

static double cpu_ms(void)
{
    return (double)clock() * 1e3 / CLOCKS_PER_SEC;
}

struct telling {
    struct buf *out;
    unsigned n;
};

static void on_call(void *user, enum pycall_kind kind, const char *bytes,
                    size_t n)
{
    struct telling *t = user;
    if (kind == PYCALL_BEGIN) {
        buf_puts(t->out, t->n++ > 0 ? ",{\"name\":" : "{\"name\":");
        json_quote(t->out, bytes, n);
        buf_puts(t->out, ",\"arguments\":");
    } else if (kind == PYCALL_ARGS) {
        buf_put(t->out, bytes, n);
    } else {
        buf_putc(t->out, '}');
    }
}

/* What is no call of the text comes last, as a string. */
static void put_calls(struct buf *out, const struct buf *text)
{
    struct telling t = {out, 0};
    struct pycall reader;
    size_t n;
    pycall_init(&reader, on_call, &t);
    pycall_start(&reader);
    buf_putc(out, '[');
    if (pycall_feed(&reader, buf_str(text), text->len))
        pycall_finish(&reader, false);
    const char *rest = pycall_rest(&reader, &n);
    if (n > 0) {
        buf_puts(out, t.n > 0 ? "," : "");
        json_quote(out, rest, n);
    }
    buf_putc(out, ']');
    pycall_deinit(&reader);
}

static void answer(const struct speaker *s, const json_t *line, unsigned times)
{
    struct grammar *g;
    struct err err = {0};
    struct buf out = {0};
    double before = cpu_ms();
    int rc = compile(&g, line, &err);
    double ms = cpu_ms() - before;
    if (rc != 0) {
        buf_puts(&out, "{\"error\":");
        json_quote(&out, err.text, strlen(err.text));
        buf_printf(&out, ",\"class\":%d,\"ms\":%.3f}", err.class_, ms);
    } else {
        unsigned open = 0, n = 0;
        struct buf calls = {0};
        buf_puts(&out, "{\"texts\":[");
        for (unsigned i = 0; i < times; i++) {
            struct buf text = {0};
            if (!speak(s, g, &text)) {
                open++;
            } else {
                if (n++ > 0)
                    buf_putc(&out, ',');
                json_quote(&out, buf_str(&text), text.len);
                buf_putc(&calls, calls.len > 0 ? ',' : '[');
                put_calls(&calls, &text);
            }
            buf_deinit(&text);
        }
        if (json_object_get(line, "tools") != NULL)
            buf_printf(&out, "],\"calls\":%s",
                       calls.len > 0 ? buf_str(&calls) : "[");
        buf_deinit(&calls);
        buf_printf(&out, "],\"open\":%u,\"ms\":%.3f,\"states\":%u}", open, ms,
                   grammar_n_states(g));
        grammar_unref(g);
    }
    puts(buf_str(&out));
    fflush(stdout);
    buf_deinit(&out);
}

int main(int argc, char **argv)
{
    struct speaker s = {0};
    struct mask_vocab *vocab;
    struct err err = {0};
    static char text[1 << 20];
    if (argc != 3)
        return 2;
    if (tokenizer_load(&s.tokenizer, argv[1], &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    s.n_ids = tokenizer_n_vocab(s.tokenizer) + 1;
    if (mask_vocab_of_tokenizer(&vocab, s.tokenizer, s.n_ids, &err) != 0 ||
        masker_new(&s.masker, vocab, 256, &err) != 0)
        return 1;
    s.words = mem_calloc(mask_vocab_n_words(vocab), sizeof *s.words);
    while (fgets(text, sizeof text, stdin) != NULL) {
        json_t *line;
        if (json_parse(&line, text, strlen(text), 200, 1000000, &err) != 0) {
            printf("{\"error\":\"bad line\",\"class\":0,\"ms\":0}\n");
            continue;
        }
        answer(&s, line, (unsigned)atoi(argv[2]));
        json_decref(line);
    }
    mem_free(s.words);
    masker_free(s.masker);
    mask_vocab_free(vocab);
    tokenizer_free(s.tokenizer);
    return 0;
}
