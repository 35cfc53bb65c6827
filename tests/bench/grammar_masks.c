/* grammar_masks.c -- how long constraints take: compiling, and a mask a token.
 *
 *     grammar_masks [TOKENIZER_DIR]
 *
 * Without a tokenizer the vocabulary is made up: 65,536 tokens as a byte-level
 * BPE has them (every byte, runs of blanks and newlines, words with and without
 * a space before, in Latin, Greek and Chinese letters, numbers, code).  Each
 * constraint is followed by random allowed tokens, 20 texts of at most 200
 * tokens; a line has the median, the 99th percentile and the worst time of a
 * mask, how many were made rather than remembered, and the time to compile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/json.h"
#include "model/base/utf8.h"
#include "model/dialect/call_grammar.h"
#include "model/grammar/gbnf.h"
#include "model/grammar/mask.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema.h"

#define N_IDS 65536u
#define TEXTS 20u
#define TOKENS 200u

static const struct {
    const char *name, *kind, *text;
} rows[] = {
    {"json_object", "schema", "{\"type\":\"object\"}"},
    {"person", "schema",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
     "\"age\":{\"type\":\"integer\"},\"email\":{\"type\":\"string\",\"format\":"
     "\"email\"}},\"required\":[\"name\",\"age\",\"email\"],"
     "\"additionalProperties\":false}"},
    {"list of objects", "schema",
     "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
     "\"id\":"
     "{\"type\":\"integer\",\"minimum\":1},\"tags\":{\"type\":\"array\","
     "\"items\":{\"type\":\"string\"}},\"score\":{\"type\":\"number\","
     "\"minimum\":0,\"maximum\":1}},\"required\":[\"id\",\"tags\",\"score\"]}"
     "}"},
    {"optional members", "schema",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{"
     "\"type\":\"string\"},\"c\":{\"type\":\"boolean\"},\"d\":{\"enum\":[\"x\","
     "\"y\",\"zebra\"]},\"e\":{\"type\":[\"string\",\"null\"]}}}"},
    {"free members", "schema",
     "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"}},"
     "\"required\":[\"id\"],\"additionalProperties\":{\"type\":\"string\"}}"},
    {"recursion", "schema",
     "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\","
     "\"properties\":{\"text\":{\"type\":\"string\"},\"kids\":{\"type\":"
     "\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}},\"required\":[\"text\","
     "\"kids\"]}}}"},
    {"anyOf", "schema",
     "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":"
     "\"text\"},\"text\":{\"type\":\"string\"}},\"required\":[\"kind\","
     "\"text\"]},{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":"
     "\"image\"},\"url\":{\"type\":\"string\",\"format\":\"uri\"}},"
     "\"required\":[\"kind\",\"url\"]}]}"},
    {"maxLength 500", "schema", "{\"type\":\"string\",\"maxLength\":500}"},
    {"maxLength 5000", "schema", "{\"type\":\"string\",\"maxLength\":5000}"},
    {"minLength 3, max 12", "schema",
     "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":3,"
     "\"maxLength\":12}}"},
    {"date-time", "schema",
     "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"format\":"
     "\"date-time\"}}"},
    {"pattern", "schema",
     "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":"
     "\"^[A-Za-z ]+$\"}}"},
    {"calls", "tools",
     "[{\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
     "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{"
     "\"type\":\"integer\"},\"unit\":{\"enum\":[\"C\",\"F\"]}},\"required\":["
     "\"city\"]}}},{\"function\":{\"name\":\"search\",\"parameters\":{"
     "\"properties\":{\"query\":{\"type\":\"string\",\"maxLength\":200},"
     "\"filter\":{\"type\":\"object\"}},\"required\":[\"query\"]}}}]"},
    {"regex words", "regex", "(\\w+ )*\\w+\\."},
    {"regex .*", "regex", "[^\\n]{1,400}"},
    {"gbnf arithmetic", "gbnf",
     "root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= num | \"(\" expr "
     "\")\"\nnum ::= [0-9]+\n"},
    {"gbnf prose", "gbnf",
     "root ::= line+\nline ::= word (\" \" word)* \"\\n\"\nword ::= char+\n"
     "char ::= [a-zA-Z,.]\n"},
};

static uint64_t seed = 88172645463325252u;

static uint32_t chance(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 32) * n >> 32);
}

static char made_up[N_IDS][64];
static uint8_t made_up_length[N_IDS];

static void add_char(uint32_t id, uint32_t c)
{
    char bytes[4];
    int n = utf8_encode(c, bytes);
    memcpy(made_up[id] + made_up_length[id], bytes, (size_t)n);
    made_up_length[id] = (uint8_t)(made_up_length[id] + n);
}

static void make_up(uint32_t id)
{
    static const char syllables[] = "an en in on er re th st al ti te ar or es "
                                    "co de me ra no ing tion ment";
    static const char code[] = "{}[]()\"':;,.=<>/\\-+*&|!?#@$%^~`_\n\t ";
    uint32_t kind = chance(100);
    if (id < 256) {
        made_up[id][0] = (char)id;
        made_up_length[id] = 1;
    } else if (kind < 72) {
        if (kind < 45)
            add_char(id, ' ');
        uint32_t n = 1 + chance(4);
        while (n-- > 0) {
            const char *s = syllables + chance(60);
            while (*s == ' ')
                s++;
            for (; *s && *s != ' ' && made_up_length[id] < 40; s++)
                add_char(id, (uint8_t)*s);
        }
        add_char(id, 'a' + chance(26));
    } else if (kind < 80) {
        for (uint32_t n = 1 + chance(6); n > 0; n--)
            add_char(id, (uint8_t)code[chance(sizeof code - 1)]);
    } else if (kind < 84) {
        for (uint32_t n = 1 + chance(30); n > 0; n--)
            add_char(id, ' ');
        add_char(id, '\n');
    } else if (kind < 88) {
        for (uint32_t n = 1 + chance(3); n > 0; n--)
            add_char(id, '0' + chance(10));
    } else if (kind < 94) {
        for (uint32_t n = 1 + chance(4); n > 0; n--)
            add_char(id, 0x4E00 + chance(3000));
    } else if (kind < 98) {
        for (uint32_t n = 1 + chance(5); n > 0; n--)
            add_char(id, 0x391 + chance(60));
    } else { /* a character that lacks its end */
        add_char(id, 0x4E00 + chance(3000));
        made_up_length[id]--;
    }
}

static const char *made_up_bytes(void *unused, token_id id, size_t *n)
{
    (void)unused;
    *n = id + 1 == (token_id)N_IDS ? 0 : made_up_length[id];
    return made_up[id];
}

static mask_bytes_fn *bytes_of = made_up_bytes;
static void *bytes_user;

static const char *tokenizer_bytes(void *user, token_id id, size_t *n)
{
    const struct tokenizer *t = user;
    *n = 0;
    if ((uint32_t)id >= tokenizer_n_vocab(t) || tokenizer_is_special(t, id))
        return NULL;
    return tokenizer_token_bytes(t, id, n);
}

static double times[TEXTS * TOKENS];
static uint32_t n_times;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void speak(struct masker *k, struct grammar *g, uint32_t n_ids,
                  uint32_t *words)
{
    struct matcher *m;
    token_id end = (token_id)n_ids - 1;
    if (matcher_new(&m, g, 0, NULL) != 0)
        exit(1);
    for (uint32_t i = 0; i < TOKENS; i++) {
        uint64_t from = clock_now_us();
        uint32_t n = mask_fill(k, m, &end, 1, words);
        times[n_times++] = (double)(clock_now_us() - from);
        if (n == 0 || (matcher_may_end(m) && (n == 1 || chance(8) == 0)))
            break;
        uint32_t pick = chance(n), w = 0;
        for (; pick >= (uint32_t)__builtin_popcount(words[w]); w++)
            pick -= (uint32_t)__builtin_popcount(words[w]);
        uint32_t bits = words[w];
        while (pick-- > 0)
            bits &= bits - 1;
        token_id id = (token_id)(w * 32 + (uint32_t)__builtin_ctz(bits));
        size_t length;
        const char *bytes = bytes_of(bytes_user, id, &length);
        if (id == end || !matcher_accept(m, bytes, length))
            break;
    }
    matcher_free(m);
}

static int compile(struct grammar **g, const char *kind, const char *text,
                   struct err *err)
{
    if (strcmp(kind, "regex") == 0)
        return grammar_from_regex(g, text, strlen(text), err);
    if (strcmp(kind, "gbnf") == 0)
        return grammar_from_gbnf(g, text, strlen(text), err);
    json_t *schema;
    int rc = json_parse(&schema, text, strlen(text), 64, 10000, err);
    if (rc != 0)
        return rc;
    rc = strcmp(kind, "tools") == 0
             ? call_grammar_new(g, schema, &(struct call_options){0}, err)
             : grammar_from_schema(g, schema, NULL, err);
    json_decref(schema);
    return rc;
}

static void measure(const struct mask_vocab *v, uint32_t n_ids, size_t row)
{
    struct grammar *g;
    struct masker *k;
    struct err err = {0};
    uint64_t from = clock_now_us(), asked, made;
    if (compile(&g, rows[row].kind, rows[row].text, &err) != 0) {
        printf("%-20s %s\n", rows[row].name, err.text);
        return;
    }
    double compile_ms = (double)(clock_now_us() - from) / 1000;
    uint32_t *words = mem_calloc(mask_vocab_n_words(v), sizeof *words);
    if (words == NULL || masker_new(&k, v, 256, &err) != 0)
        exit(1);
    n_times = 0;
    for (uint32_t i = 0; i < TEXTS; i++)
        speak(k, g, n_ids, words);
    masker_counts(k, &asked, &made);
    qsort(times, n_times, sizeof *times, by_size);
    printf("%-20s %8.2f %7u %7.0f %8.0f %8.0f   %llu of %llu\n", rows[row].name,
           compile_ms, grammar_n_states(g), times[n_times / 2],
           times[n_times * 99 / 100], times[n_times - 1],
           (unsigned long long)made, (unsigned long long)asked);
    mem_free(words);
    masker_free(k);
    grammar_unref(g);
}

int main(int argc, char **argv)
{
    struct mask_vocab *v;
    struct err err = {0};
    uint32_t n_ids = N_IDS;
    if (argc > 1) {
        struct tokenizer *t;
        if (tokenizer_load(&t, argv[1], &err) != 0)
            return fprintf(stderr, "%s\n", err.text), 1;
        n_ids = tokenizer_n_vocab(t) + 1;
        bytes_of = tokenizer_bytes;
        bytes_user = t;
    }
    for (uint32_t id = 0; argc == 1 && id < N_IDS; id++)
        make_up(id);
    uint64_t from = clock_now_us();
    if (mask_vocab_new(&v, n_ids, bytes_of, bytes_user, &err) != 0)
        return 1;
    printf("%u tokens: %.0f ms, %.1f MiB\n", n_ids,
           (double)(clock_now_us() - from) / 1000,
           (double)mask_vocab_bytes(v) / 1048576);
    printf("%-20s %8s %7s %7s %8s %8s   %s\n", "", "compile", "states",
           "median", "p99", "worst", "masks made");
    printf("%-20s %8s %7s %7s %8s %8s\n", "", "ms", "", "us", "us", "us");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        measure(v, n_ids, i);
    mask_vocab_free(v);
    return 0;
}
