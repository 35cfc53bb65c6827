/* grammar_rig.c -- see grammar_rig.h. */
#include "tests/lib/grammar_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const pieces[] = {
    "\":",
    "\",",
    "{\"",
    "}",
    "}}",
    "},",
    "]}",
    "\"}",
    "\": \"",
    ", ",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "  ",
    "true",
    "false",
    "null",
    "tr",
    "ue",
    "name",
    "age",
    " the",
    "hello",
    "world",
    "abc",
    "12",
    "123",
    "0.5",
    "-1",
    "1e5",
    "\\\"",
    "\\n",
    "\\u00",
    "\\",
    "\xC3",
    "\xC3\xA9",
    "\xA9",
    "\xE2\x82",
    "\xAC",
    "\xF0\x9F",
    "\x98\x80",
    "a\xC3",
    "caf\xC3\xA9",
    "\xE4\xB8\xAD\xE6\x96\x87",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "twelve chars",
    "[[",
    "]]",
    "[1",
    "[]",
    "{}",
    "2024-",
    "01",
    "@",
    ".com",
    "foo",
    "bar",
    "foobar",
    "root",
    "x = ",
};
#define N_PIECES (sizeof pieces / sizeof pieces[0])

uint32_t rig_n_tokens(void)
{
    return 256 + (uint32_t)N_PIECES + 1;
}

token_id rig_end(void)
{
    return (token_id)rig_n_tokens() - 1;
}

const char *rig_token(void *unused, token_id id, size_t *n)
{
    static char bytes[256];
    (void)unused;
    *n = 0;
    if (id < 256) {
        bytes[id] = (char)id;
        *n = 1;
        return &bytes[id];
    }
    if (id >= rig_end())
        return NULL;
    *n = strlen(pieces[id - 256]);
    return pieces[id - 256];
}

static bool run(struct grammar *g, const char *text, bool whole)
{
    struct matcher *m;
    if (matcher_new(&m, g, 0, NULL) != 0)
        abort();
    bool ok = true;
    for (const char *p = text; *p && ok; p++)
        ok = matcher_accept(m, p, 1);
    if (whole)
        ok = ok && matcher_may_end(m);
    matcher_free(m);
    return ok;
}

bool rig_takes(struct grammar *g, const char *text)
{
    return run(g, text, true);
}

bool rig_begins(struct grammar *g, const char *text)
{
    return run(g, text, false);
}

uint32_t rig_check_mask(struct masker *k, struct matcher *m)
{
    uint32_t words[16] = {0}, n = 0;
    token_id end = rig_end();
    uint32_t told = mask_fill(k, m, &end, 1, words);
    for (token_id id = 0; id <= end; id++) {
        size_t length;
        const char *bytes = rig_token(NULL, id, &length);
        bool want =
            id == end ? matcher_may_end(m) : matcher_allows(m, bytes, length);
        bool have = words[id / 32] >> (id % 32) & 1;
        n += have;
        if (want == have)
            continue;
        fprintf(stderr, "token %d '%.*s': mask says %d, matcher %d\n", (int)id,
                (int)length, bytes ? bytes : "", have, want);
        abort();
    }
    if (n != told)
        abort();
    return n;
}
