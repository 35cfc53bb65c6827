/* pretoken.c -- see pretoken.h.  The only file that knows PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/text/pretoken.h"

#include <pcre2.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/utf8.h"

/* Limits of one match.  A run of n white spaces costs up to n backtracks in
 * \s*[\r\n]+, one frame at a time; the patterns in use need no more. */
#define MATCH_LIMIT_BASE 10000u
#define MATCH_LIMIT_PER_BYTE 8u
#define HEAP_LIMIT_KIB (64u * 1024u)

#define WORD_PATTERN \
    "\\A[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]"

struct stage {
    pcre2_code *code; /* owned; NULL for the prefix space */
};

struct pretoken {
    pcre2_general_context *memory;
    pcre2_code *word;
    struct stage stages[PRETOKEN_MAX_STAGES];
    uint32_t n_stages;
    bool has_prefix;
};

struct pretoken_run {
    const struct pretoken *p; /* borrowed */
    pcre2_match_context *limits;
    pcre2_match_data *found[PRETOKEN_MAX_STAGES];
    pcre2_match_data *word;
    char *prefixed; /* [cap_prefixed], owned */
    size_t cap_prefixed;
    pretoken_fn *fn;
    void *user;
    struct err *err;
};

static void *pcre2_alloc(size_t n, void *user)
{
    (void)user;
    return mem_alloc(n);
}

static void pcre2_release(void *p, void *user)
{
    (void)user;
    mem_free(p);
}

static int compile(const struct pretoken *p, pcre2_code **out,
                   const char *pattern, size_t n, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *c = pcre2_compile_context_create(p->memory);
    if (c == NULL)
        return err_nomem(err, "a pattern");
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(c, 64);
    *out = pcre2_compile((PCRE2_SPTR)pattern, n,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE |
                             PCRE2_NEVER_BACKSLASH_C,
                         &code, &at, c);
    pcre2_compile_context_free(c);
    if (*out != NULL)
        return 0;
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return err_nomem(err, "a pattern");
    char why[128];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return err_set(err, ERR_FORMAT, "the pattern does not compile: %s", why);
}

int pretoken_new(struct pretoken **out, struct err *err)
{
    struct pretoken *p = mem_calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return err_nomem(err, "the pre-tokenizer");
    p->memory = pcre2_general_context_create(pcre2_alloc, pcre2_release, NULL);
    int rc = p->memory == NULL ? err_nomem(err, "the pre-tokenizer")
                               : compile(p, &p->word, WORD_PATTERN,
                                         strlen(WORD_PATTERN), err);
    if (rc != 0) {
        pretoken_free(p);
        *out = NULL;
    }
    return rc;
}

void pretoken_free(struct pretoken *p)
{
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->n_stages; i++)
        pcre2_code_free(p->stages[i].code);
    pcre2_code_free(p->word);
    pcre2_general_context_free(p->memory);
    mem_free(p);
}

static int room_for_stage(const struct pretoken *p, struct err *err)
{
    if (p->n_stages < PRETOKEN_MAX_STAGES)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "more than %u pre-tokenizer stages, which is not supported",
                   PRETOKEN_MAX_STAGES);
}

int pretoken_add_split(struct pretoken *p, const char *pattern, size_t n,
                       struct err *err)
{
    pcre2_code *code;
    int rc = room_for_stage(p, err);
    if (rc == 0)
        rc = compile(p, &code, pattern, n, err);
    if (rc == 0)
        p->stages[p->n_stages++].code = code;
    return rc;
}

int pretoken_add_prefix_space(struct pretoken *p, struct err *err)
{
    int rc = room_for_stage(p, err);
    if (rc == 0 && p->has_prefix)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "add_prefix_space twice, which is not supported");
    if (rc == 0) {
        p->stages[p->n_stages++].code = NULL;
        p->has_prefix = true;
    }
    return rc;
}

struct pretoken_run *pretoken_run_new(const struct pretoken *p)
{
    struct pretoken_run *run = mem_calloc(1, sizeof *run);
    if (run == NULL)
        return NULL;
    run->p = p;
    run->limits = pcre2_match_context_create(p->memory);
    run->word = pcre2_match_data_create(1, p->memory);
    bool ok = run->limits != NULL && run->word != NULL;
    for (uint32_t i = 0; i < p->n_stages; i++) {
        run->found[i] = pcre2_match_data_create(1, p->memory);
        ok = ok && run->found[i] != NULL;
    }
    if (!ok) {
        pretoken_run_free(run);
        return NULL;
    }
    pcre2_set_heap_limit(run->limits, HEAP_LIMIT_KIB);
    return run;
}

void pretoken_run_free(struct pretoken_run *run)
{
    if (run == NULL)
        return;
    for (uint32_t i = 0; i < PRETOKEN_MAX_STAGES; i++)
        pcre2_match_data_free(run->found[i]);
    pcre2_match_data_free(run->word);
    pcre2_match_context_free(run->limits);
    mem_free(run->prefixed);
    mem_free(run);
}

static int match_failed(int code, struct err *err)
{
    switch (code) {
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return err_set(err, ERR_LIMIT,
                       "the text makes the tokenizer's pattern backtrack more "
                       "than its length allows");
    case PCRE2_ERROR_NOMEMORY:
        return err_nomem(err, "matching the tokenizer's pattern");
    default:
        return err_set(err, ERR_INTERNAL,
                       "the tokenizer's pattern failed with PCRE2 error %d",
                       code);
    }
}

static int stage_run(struct pretoken_run *run, uint32_t level, const char *text,
                     size_t n);

static int stage_prefix(struct pretoken_run *run, uint32_t level,
                        const char *text, size_t n)
{
    if (text[0] == ' ')
        return stage_run(run, level + 1, text, n);
    if (run->cap_prefixed < n + 1) {
        char *grown = mem_realloc(run->prefixed, 2 * n + 64);
        if (grown == NULL)
            return err_nomem(run->err, "a piece of text");
        run->prefixed = grown;
        run->cap_prefixed = 2 * n + 64;
    }
    run->prefixed[0] = ' ';
    memcpy(run->prefixed + 1, text, n);
    return stage_run(run, level + 1, run->prefixed, n + 1);
}

/* Walks the matches as Oniguruma's find_iter does: an empty match right behind
 * the last one is passed over, any other empty match still cuts. */
static int stage_split(struct pretoken_run *run, uint32_t level,
                       const char *text, size_t n)
{
    const pcre2_code *code = run->p->stages[level].code;
    pcre2_match_data *found = run->found[level];
    size_t done = 0, from = 0, last_end = SIZE_MAX;
    int rc = 0;
    while (rc == 0 && from <= n) {
        int count = pcre2_match(code, (PCRE2_SPTR)text, n, from,
                                PCRE2_NO_UTF_CHECK, found, run->limits);
        if (count == PCRE2_ERROR_NOMATCH)
            break;
        if (count < 0)
            return match_failed(count, run->err);
        size_t start = pcre2_get_ovector_pointer(found)[0];
        size_t end = pcre2_get_ovector_pointer(found)[1];
        if (end < start || start < from)
            return match_failed(PCRE2_ERROR_INTERNAL, run->err);
        if (start == end && end == last_end) {
            uint32_t cp;
            from +=
                from < n ? (size_t)utf8_decode(text + from, n - from, &cp) : 1;
            continue;
        }
        from = last_end = end;
        if (start > done)
            rc = stage_run(run, level + 1, text + done, start - done);
        if (rc == 0 && end > start)
            rc = stage_run(run, level + 1, text + start, end - start);
        done = end;
    }
    if (rc == 0 && done < n)
        rc = stage_run(run, level + 1, text + done, n - done);
    return rc;
}

/* Recursion is as deep as there are stages. */
static int stage_run(struct pretoken_run *run, uint32_t level, const char *text,
                     size_t n)
{
    if (level == run->p->n_stages)
        return run->fn(run->user, text, n, run->err);
    if (run->p->stages[level].code == NULL)
        return stage_prefix(run, level, text, n);
    return stage_split(run, level, text, n);
}

int pretoken_cut(struct pretoken_run *run, const char *text, size_t n,
                 pretoken_fn *fn, void *user, struct err *err)
{
    if (n == 0)
        return 0;
    if (n > UINT32_MAX / MATCH_LIMIT_PER_BYTE - MATCH_LIMIT_BASE)
        return err_set(err, ERR_LIMIT, "the text is %zu bytes long", n);
    uint32_t limit = MATCH_LIMIT_BASE + MATCH_LIMIT_PER_BYTE * (uint32_t)n;
    pcre2_set_match_limit(run->limits, limit);
    pcre2_set_depth_limit(run->limits, limit);
    run->fn = fn;
    run->user = user;
    run->err = err;
    return stage_run(run, 0, text, n);
}

bool pretoken_is_word(struct pretoken_run *run, const char *text, size_t n)
{
    uint32_t cp;
    int step = n > 0 ? utf8_decode(text, n, &cp) : 0;
    if (step <= 0)
        return false;
    pcre2_set_match_limit(run->limits, MATCH_LIMIT_BASE);
    pcre2_set_depth_limit(run->limits, MATCH_LIMIT_BASE);
    return pcre2_match(run->p->word, (PCRE2_SPTR)text, (size_t)step, 0,
                       PCRE2_NO_UTF_CHECK, run->word, run->limits) > 0;
}
