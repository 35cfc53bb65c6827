/* adjust.c -- see adjust.h. */
#include "model/sample/adjust.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "model/base/alloc.h"

int adjuster_init(struct adjuster *a, uint32_t n_vocab, struct err *err)
{
    *a = (struct adjuster){.n_vocab = n_vocab};
    a->stamp = mem_calloc(n_vocab, sizeof *a->stamp);
    a->count = mem_calloc(n_vocab, sizeof *a->count);
    if (a->stamp != NULL && a->count != NULL)
        return 0;
    adjuster_deinit(a);
    return err_nomem(err, "the sampler's counts");
}

void adjuster_deinit(struct adjuster *a)
{
    mem_free(a->stamp);
    mem_free(a->count);
    *a = (struct adjuster){0};
}

static bool in_vocab(const struct adjuster *a, token_id id)
{
    return id >= 0 && (uint32_t)id < a->n_vocab;
}

static void next_epoch(struct adjuster *a)
{
    if (++a->epoch == 0) { /* after 2^32 scans old stamps could match */
        memset(a->stamp, 0, a->n_vocab * sizeof *a->stamp);
        a->epoch = 1;
    }
}

/* True the first time `id` is met in this epoch. */
static bool first_met(struct adjuster *a, token_id id)
{
    if (a->stamp[id] == a->epoch)
        return false;
    a->stamp[id] = a->epoch;
    a->count[id] = 0;
    return true;
}

static void penalise_repeats(struct adjuster *a, float *logits, float penalty,
                             const token_id *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!in_vocab(a, ids[i]) || !first_met(a, ids[i]))
            continue;
        float *l = &logits[ids[i]];
        *l = *l < 0.0f ? *l * penalty : *l / penalty;
    }
}

static void penalise_output(struct adjuster *a, float *logits,
                            const struct sample_context *c)
{
    const struct sample_params *p = c->params;
    next_epoch(a);
    for (uint32_t i = 0; i < c->n_output; i++) {
        token_id id = c->output[i];
        if (!in_vocab(a, id))
            continue;
        first_met(a, id);
        a->count[id]++;
    }
    for (uint32_t i = 0; i < c->n_output; i++) {
        token_id id = c->output[i];
        if (!in_vocab(a, id) || a->count[id] == 0)
            continue;
        logits[id] -=
            p->frequency_penalty * (float)a->count[id] + p->presence_penalty;
        a->count[id] = 0; /* once per distinct token */
    }
}

static void keep_allowed(const struct adjuster *a, float *logits,
                         const uint32_t *allowed)
{
    for (uint32_t i = 0; i < a->n_vocab; i++)
        if ((allowed[i / 32] >> i % 32 & 1) == 0)
            logits[i] = -INFINITY;
}

/* A word is barred by its last token, where the reply ends in all before. */
static void bar_words(const struct adjuster *a, float *logits,
                      const struct sample_context *c)
{
    const struct sample_params *p = c->params;
    for (uint32_t i = 0; i < p->n_bad_words; i++) {
        const struct bad_word *w = &p->bad_words[i];
        uint32_t n_before = w->n - 1;
        if (n_before > c->n_output || !in_vocab(a, w->ids[n_before]))
            continue;
        if (n_before == 0 || memcmp(c->output + c->n_output - n_before, w->ids,
                                    n_before * sizeof *w->ids) == 0)
            logits[w->ids[n_before]] = -INFINITY;
    }
}

static void bar(const struct adjuster *a, float *logits,
                const struct sample_context *c)
{
    if (c->allowed != NULL)
        keep_allowed(a, logits, c->allowed);
    if (c->params->allowed != NULL)
        keep_allowed(a, logits, c->params->allowed);
    for (uint32_t i = 0; i < c->n_banned; i++) {
        if (in_vocab(a, c->banned[i]))
            logits[c->banned[i]] = -INFINITY;
    }
    bar_words(a, logits, c);
}

/* What the penalties see: the last tokens, as many as the window takes. */
static struct sample_context window_of(const struct sample_context *c)
{
    struct sample_context w = *c;
    const uint32_t window = c->params->penalty_window;
    if (w.n_output > window) {
        w.output += w.n_output - window;
        w.n_output = window;
    }
    if (w.n_prompt > window - w.n_output) {
        w.prompt += w.n_prompt - (window - w.n_output);
        w.n_prompt = window - w.n_output;
    }
    return w;
}

void adjust_logits(struct adjuster *a, float *logits,
                   const struct sample_context *c)
{
    if (c->is_forced) {
        keep_allowed(a, logits, c->allowed);
        return;
    }
    const struct sample_params *p = c->params;
    const struct sample_context seen = window_of(c);
    bar(a, logits, c);
    if (p->repetition_penalty > 0.0f &&
        (p->repetition_penalty < 1.0f || p->repetition_penalty > 1.0f)) {
        next_epoch(a);
        penalise_repeats(a, logits, p->repetition_penalty, seen.prompt,
                         seen.n_prompt);
        penalise_repeats(a, logits, p->repetition_penalty, seen.output,
                         seen.n_output);
    }
    if (fabsf(p->presence_penalty) > 0.0f || fabsf(p->frequency_penalty) > 0.0f)
        penalise_output(a, logits, &seen);
    for (uint32_t i = 0; i < p->n_bias; i++) {
        if (in_vocab(a, p->bias[i].id))
            logits[p->bias[i].id] += p->bias[i].bias;
    }
}
