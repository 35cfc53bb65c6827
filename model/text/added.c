/* added.c -- see added.h. */
#include "model/text/added.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    int c = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    if (c != 0)
        return c;
    return (x->n > y->n) - (x->n < y->n);
}

bool added_sort(struct added_set *set, const struct added_token **twice)
{
    if (set->n_tokens > 0)
        qsort(set->tokens, set->n_tokens, sizeof *set->tokens, compare);
    uint32_t i = 0;
    for (uint32_t b = 0; b < 256; b++) {
        set->first[b] = i;
        while (i < set->n_tokens && (unsigned char)set->tokens[i].text[0] == b)
            i++;
    }
    set->first[256] = i;
    for (i = 1; i < set->n_tokens; i++) {
        if (compare(&set->tokens[i - 1], &set->tokens[i]) == 0) {
            *twice = &set->tokens[i];
            return false;
        }
    }
    return true;
}

/* Among tokens[low..high), which agree on `depth` bytes and are longer, the
 * first whose next byte is at least `c`. */
static uint32_t lower_bound(const struct added_set *set, uint32_t low,
                            uint32_t high, uint32_t depth, unsigned c)
{
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if ((unsigned char)set->tokens[mid].text[depth] < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The longest token that text[0..n), n > 0, begins with. */
static const struct added_token *longest(const struct added_set *set,
                                         const char *text, size_t n)
{
    const struct added_token *best = NULL;
    uint32_t low = set->first[(unsigned char)text[0]];
    uint32_t high = set->first[(unsigned char)text[0] + 1];
    for (uint32_t depth = 1; low < high; depth++) {
        if (set->tokens[low].n == depth)
            best = &set->tokens[low++];
        if (depth == n)
            break;
        unsigned c = (unsigned char)text[depth];
        low = lower_bound(set, low, high, depth, c);
        high = lower_bound(set, low, high, depth, c + 1);
    }
    return best;
}

const struct added_token *added_search(const struct added_set *set,
                                       const char *text, size_t n, size_t from,
                                       size_t *at)
{
    if (set->n_tokens == 0)
        return NULL;
    for (; from < n; from++) {
        const struct added_token *t = longest(set, text + from, n - from);
        if (t != NULL) {
            *at = from;
            return t;
        }
    }
    return NULL;
}

const struct added_token *added_find(const struct added_set *set,
                                     const char *text, size_t n)
{
    const struct added_token key = {.text = text, .n = (uint32_t)n};
    if (n == 0 || n > ADDED_MAX_BYTES || set->n_tokens == 0)
        return NULL;
    return bsearch(&key, set->tokens, set->n_tokens, sizeof *set->tokens,
                   compare);
}
