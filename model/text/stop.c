/* stop.c -- see stop.h.
 *
 * Every string runs its own Knuth-Morris-Pratt automaton: after each byte
 * matched[i] is the length of the longest beginning of string i that the
 * stream ends with.  The longest of them all is what must be held; the bytes
 * before it can never be part of a match. */
#include "model/text/stop.h"

#include <string.h>

static int build(struct stop_pattern *p, struct arena *arena,
                 const char *string)
{
    char *bytes = arena_strdup(arena, string);
    p->n = (uint32_t)strlen(string);
    uint16_t *back = arena_calloc(arena, p->n, sizeof *back);
    if (bytes == NULL || back == NULL)
        return -ERR_NOMEM;
    uint16_t k = 0;
    for (uint32_t i = 1; i < p->n; i++) {
        while (k > 0 && bytes[i] != bytes[k])
            k = back[k - 1];
        if (bytes[i] == bytes[k])
            k++;
        back[i] = k;
    }
    p->bytes = bytes;
    p->back = back;
    return 0;
}

int stop_set_init(struct stop_set *set, struct arena *arena,
                  const char *const *strings, uint32_t n, bool include,
                  struct err *err)
{
    memset(set, 0, sizeof *set);
    set->include = include;
    if (n > STOP_MAX_STRINGS)
        return err_field(err, "stop",
                         "stop holds %u strings, at most %u are accepted", n,
                         STOP_MAX_STRINGS);
    for (uint32_t i = 0; i < n; i++) {
        size_t len = strlen(strings[i]);
        if (len == 0 || len > STOP_MAX_BYTES)
            return err_field(err, "stop",
                             "stop[%u] is %zu bytes long, it must be 1 to %u",
                             i, len, STOP_MAX_BYTES);
        if (build(&set->patterns[i], arena, strings[i]) != 0)
            return err_nomem(err, "the stop strings");
        if (len > set->max_bytes)
            set->max_bytes = (uint32_t)len;
    }
    set->n_patterns = n;
    return 0;
}

void stop_init(struct stop *s, const struct stop_set *set)
{
    memset(s, 0, sizeof *s);
    s->set = set;
    s->found = -1;
}

static uint16_t advance(const struct stop_pattern *p, uint16_t k, char byte)
{
    while (k > 0 && byte != p->bytes[k])
        k = p->back[k - 1];
    return byte == p->bytes[k] ? (uint16_t)(k + 1) : 0;
}

/* Lets all automata see `byte`; returns the string now complete (the longest,
 * then the first) or -1, and the longest beginning that is now matched. */
static int32_t see(struct stop *s, char byte, uint16_t *n_held, uint8_t *holder)
{
    int32_t found = -1;
    *n_held = 0;
    *holder = 0;
    for (uint32_t i = 0; i < s->set->n_patterns; i++) {
        const struct stop_pattern *p = &s->set->patterns[i];
        uint16_t k = advance(p, s->matched[i], byte);
        s->matched[i] = k;
        if (k == p->n && (found < 0 || p->n > s->set->patterns[found].n))
            found = (int32_t)i;
        if (k > *n_held) {
            *n_held = k;
            *holder = (uint8_t)i;
        }
    }
    return found;
}

/* Writes the first n bytes of what is held followed by `byte`. */
static size_t release(const struct stop *s, char byte, size_t n, char *out)
{
    if (n == 0)
        return 0;
    size_t held = n <= s->n_held ? n : s->n_held;
    if (held > 0)
        memcpy(out, s->set->patterns[s->holder].bytes, held);
    if (n > s->n_held)
        out[held] = byte;
    return n;
}

size_t stop_push(struct stop *s, const char *bytes, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n && s->found < 0; i++) {
        uint16_t n_held;
        uint8_t holder;
        s->found = see(s, bytes[i], &n_held, &holder);
        size_t all = s->n_held + (size_t)1;
        if (s->found >= 0) {
            size_t cut = s->set->include ? 0 : s->set->patterns[s->found].n;
            len += release(s, bytes[i], all - cut, out + len);
            n_held = 0;
        } else {
            len += release(s, bytes[i], all - n_held, out + len);
        }
        s->n_held = n_held;
        s->holder = holder;
    }
    return len;
}

size_t stop_finish(struct stop *s, char *out)
{
    size_t n = s->n_held;
    if (n > 0)
        memcpy(out, s->set->patterns[s->holder].bytes, n);
    memset(s->matched, 0, sizeof s->matched);
    s->n_held = 0;
    return n;
}
