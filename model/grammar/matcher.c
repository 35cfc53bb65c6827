/* matcher.c -- see matcher.h. */
#include "model/grammar/matcher.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/matcher_state.h"

#define N_NODES 2048u

int matcher_new(struct matcher **out, struct grammar *g, uint32_t max_rollback,
                struct err *err)
{
    if (max_rollback > MATCHER_MAX_ROLLBACK)
        max_rollback = MATCHER_MAX_ROLLBACK;
    struct matcher *m = mem_calloc(1, sizeof *m);
    *out = m;
    if (m == NULL)
        return err_nomem(err, "a matcher");
    m->max_rollback = max_rollback;
    /* Twice as many as needed, so that forgetting the oldest is rare. */
    m->cap_sets = 2 * (max_rollback + 1);
    m->sets = mem_calloc(m->cap_sets, sizeof *m->sets);
    uint32_t a_set = g->has_calls ? SET_MAX_PLACES : 1;
    uint32_t n_places = (m->cap_sets + 2) * a_set + SET_MAX_VISITED;
    int rc = machine_init(&m->machine, n_places, g->has_calls ? N_NODES : 1);
    if (rc != 0 || m->sets == NULL) {
        machine_deinit(&m->machine);
        mem_free(m->sets);
        mem_free(m);
        *out = NULL;
        return err_nomem(err, "a matcher");
    }
    m->grammar = grammar_ref(g);
    matcher_reset(m);
    return 0;
}

void matcher_free(struct matcher *m)
{
    if (m == NULL)
        return;
    machine_deinit(&m->machine);
    grammar_unref(m->grammar);
    mem_free(m->sets);
    mem_free(m);
}

int matcher_clone(struct matcher **out, const struct matcher *m,
                  struct err *err)
{
    int rc = matcher_new(out, m->grammar, m->max_rollback, err);
    if (rc == 0)
        matcher_copy(*out, m);
    return rc;
}

void matcher_copy(struct matcher *m, const struct matcher *from)
{
    struct machine *to = &m->machine;
    const struct machine *f = &from->machine;
    memcpy(to->places, f->places, f->n_places * sizeof *f->places);
    memcpy(to->nodes, f->nodes, f->n_nodes * sizeof *f->nodes);
    memcpy(to->buckets, f->buckets, (f->bucket_mask + 1u) * sizeof *f->buckets);
    to->n_places = f->n_places;
    to->n_nodes = f->n_nodes;
    to->free_node = f->free_node;
    to->left_out = f->left_out;
    memcpy(m->sets, from->sets, from->n_sets * sizeof *from->sets);
    m->n_sets = from->n_sets;
}

void matcher_reset(struct matcher *m)
{
    machine_reset(&m->machine, m->grammar);
    m->sets[0] = machine_start(&m->machine);
    m->n_sets = 1;
}

/* Forgets the sets nobody can go back to. */
static void forget(struct matcher *m)
{
    struct machine *x = &m->machine;
    uint32_t n = m->n_sets - (m->max_rollback + 1), from = m->sets[n].at;
    memmove(x->places, x->places + from,
            (x->n_places - from) * sizeof *x->places);
    x->n_places -= from;
    m->n_sets -= n;
    memmove(m->sets, m->sets + n, m->n_sets * sizeof *m->sets);
    for (uint32_t i = 0; i < m->n_sets; i++)
        m->sets[i].at -= from;
}

/* The set after the bytes, as the only one behind the current. */
static struct set run(struct matcher *m, const char *bytes, size_t n)
{
    struct machine *x = &m->machine;
    struct set from = matcher_set(m);
    uint32_t end = from.at + from.n;
    for (size_t i = 0; i < n && set_alive(from); i++) {
        struct set to = machine_step(x, from, (uint8_t)bytes[i]);
        memmove(x->places + end, x->places + to.at, to.n * sizeof *x->places);
        to.at = end;
        x->n_places = end + to.n;
        from = to;
    }
    return from;
}

bool matcher_accept(struct matcher *m, const char *bytes, size_t n)
{
    if (n == 0)
        return false;
    if (m->n_sets == m->cap_sets)
        forget(m);
    struct set set = run(m, bytes, n);
    if (!set_alive(set)) {
        m->machine.n_places = matcher_set(m).at + matcher_set(m).n;
        return false;
    }
    m->sets[m->n_sets++] = set;
    return true;
}

bool matcher_allows(struct matcher *m, const char *bytes, size_t n)
{
    bool alive = n > 0 && set_alive(run(m, bytes, n));
    m->machine.n_places = matcher_set(m).at + matcher_set(m).n;
    return alive;
}

bool matcher_rollback(struct matcher *m, uint32_t n)
{
    if (n >= m->n_sets || n > m->max_rollback)
        return false;
    m->n_sets -= n;
    m->machine.n_places = matcher_set(m).at + matcher_set(m).n;
    return true;
}

bool matcher_may_end(const struct matcher *m)
{
    return matcher_set(m).may_end;
}

bool matcher_must_end(const struct matcher *m)
{
    return matcher_set(m).may_end && matcher_set(m).n == 0;
}

static int only_byte(const struct machine *x, struct set set)
{
    int only = -1;
    for (uint32_t i = set.at; i < set.at + set.n; i++) {
        int byte = x->grammar->states[x->places[i].state].only;
        if (byte < 0 || (only >= 0 && byte != only))
            return -1;
        only = byte;
    }
    return only;
}

size_t matcher_forced(struct matcher *m, char *out, size_t cap)
{
    struct machine *x = &m->machine;
    struct set at = matcher_set(m);
    uint32_t end = at.at + at.n;
    size_t n = 0;
    while (n < cap && !at.may_end) {
        int byte = only_byte(x, at);
        if (byte < 0)
            break;
        struct set to = machine_step(x, at, (uint8_t)byte);
        if (!set_alive(to))
            break;
        memmove(x->places + end, x->places + to.at, to.n * sizeof *x->places);
        to.at = end;
        x->n_places = end + to.n;
        at = to;
        out[n++] = (char)byte;
    }
    x->n_places = end;
    return n;
}

bool matcher_left_out(const struct matcher *m)
{
    return m->machine.left_out;
}

const struct grammar *matcher_grammar(const struct matcher *m)
{
    return m->grammar;
}
