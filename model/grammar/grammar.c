/* grammar.c -- see grammar.h: a grammar's life, and the smallest front end. */
#include "model/grammar/grammar.h"

#include "model/base/alloc.h"
#include "model/grammar/automaton.h"
#include "model/grammar/builder.h"

struct grammar *grammar_ref(struct grammar *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void grammar_unref(struct grammar *g)
{
    if (g == NULL ||
        atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    mem_free(g->states);
    mem_free(g->ranges);
    mem_free(g->calls);
    mem_free(g->rows);
    mem_free(g);
}

uint32_t grammar_n_states(const struct grammar *g)
{
    return g->n_states;
}

size_t grammar_bytes(const struct grammar *g)
{
    return g->bytes;
}

uint64_t grammar_serial(const struct grammar *g)
{
    return g->serial;
}

static gexpr choice(struct grammar_builder *b, const char *const *texts,
                    const size_t *lengths, size_t n)
{
    size_t n_bytes = 0;
    gexpr *items = mem_alloc(n * sizeof *items);
    if (items == NULL)
        grammar_fail(b, ERR_NOMEM, "out of memory for a list of choices");
    if (n == 0)
        grammar_fail(b, ERR_INVALID, "a list of choices is empty");
    for (size_t i = 0; i < n && !grammar_failed(b); i++) {
        n_bytes += lengths[i];
        if (lengths[i] == 0)
            grammar_fail(b, ERR_INVALID, "choice %zu is the empty text", i);
        else if (n_bytes > GRAMMAR_MAX_TEXT_BYTES)
            grammar_fail(b, ERR_LIMIT,
                         "the choices have more than the %u bytes allowed",
                         GRAMMAR_MAX_TEXT_BYTES);
        items[i] = grammar_bytes_of(b, texts[i], lengths[i]);
    }
    gexpr all = grammar_failed(b) ? GEXPR_NONE : grammar_alt(b, items, n);
    mem_free(items);
    return all;
}

int grammar_from_choice(struct grammar **out, const char *const *texts,
                        const size_t *lengths, size_t n, struct err *err)
{
    struct grammar_builder *b;
    *out = NULL;
    int rc = grammar_builder_new(&b, err);
    if (rc != 0)
        return rc;
    uint32_t root = grammar_rule(b, "choice");
    grammar_define(b, root, choice(b, texts, lengths, n));
    rc = grammar_finish(b, root, out, err);
    grammar_builder_free(b);
    return rc;
}
