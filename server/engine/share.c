/* share.c -- see share.h. */
#include "server/engine/share.h"

#include <assert.h>

#include "model/cache/cache.h"
#include "server/engine/job_state.h"

bool share_keeps(const struct sharing *sh, const struct job *job)
{
    return sh->on && !job->no_prefix && !capture_wants_all(&job->want);
}

/* A prompt logprob needs the row of the token before. */
static bool may_match(const struct sharing *sh, const struct sequence *seq)
{
    return share_keeps(sh, seq->job) && seq->sched.first_row > sh->n_replay &&
           seq->sched.first_row + 1 >= seq->sched.n_tokens;
}

static void start_at(const struct sharing *sh, struct sequence *seq,
                     uint32_t n_kept)
{
    if (n_kept <= sh->n_replay) {
        cache_close(sh->cache, &seq->cache);
        n_kept = 0;
    }
    seq->n_kept = n_kept;
    seq->sched.n_computed = n_kept > 0 ? n_kept - sh->n_replay : 0;
    seq->sched.n_shared = seq->cache.n_blocks;
}

/* Blocks that a waiting sequence would have to take. */
static uint32_t need_of(const struct sequence *seq)
{
    return cache_blocks_for(seq->sched.n_tokens) - seq->sched.n_shared;
}

/* Matches `seq` if it then still finds its blocks and `others` more; false if
 * there are too few even without what it would only copy. */
static bool match(struct sharing *sh, struct sequence *seq, uint32_t others)
{
    uint32_t n_kept = 0;
    if (may_match(sh, seq))
        /* The last token's row is wanted, so it must run. */
        n_kept = cache_match(sh->cache, &seq->cache, seq->tokens,
                             seq->sched.n_tokens - 1, seq->job->cache_salt);
    start_at(sh, seq, n_kept);
    if (need_of(seq) + others <= cache_free_blocks(sh->cache))
        return true;
    if (seq->n_kept > 0)
        start_at(sh, seq, cache_match_whole_blocks(sh->cache, &seq->cache));
    if (need_of(seq) + others <= cache_free_blocks(sh->cache))
        return true;
    start_at(sh, seq, 0);
    return false;
}

static void match_waiting(struct sharing *sh, struct scheduler *s)
{
    uint32_t others = s->n_running; /* a spare block for each */
    sh->n_matched = 0;
    for (uint32_t i = 0; i < s->n_next && i < SHARE_MATCHES; i++) {
        struct sequence *seq = sequence_of(s->next[i]);
        if (!match(sh, seq, others))
            return;
        sh->matched[sh->n_matched++] = seq;
        others += need_of(seq) + 1;
    }
}

void share_before_plan(struct sharing *sh, struct scheduler *s)
{
    if (!sh->on)
        return;
    match_waiting(sh, s);
    /* Nobody will be evicted: each needs a block at most. */
    if (s->n_waiting == 0 && s->n_running <= cache_free_blocks(sh->cache))
        return;
    for (uint32_t i = 0; i < s->n_running; i++)
        s->running[i]->n_shared =
            cache_n_shared(sh->cache, &sequence_of(s->running[i])->cache);
}

void share_after_plan(struct sharing *sh)
{
    for (uint32_t i = 0; i < sh->n_matched; i++)
        if (sh->matched[i]->sched.where == SCHED_WAITING)
            start_at(sh, sh->matched[i], 0);
    sh->n_matched = 0;
}

void share_begin(struct sharing *sh, struct sequence *seq)
{
    if (seq->was_admitted)
        return;
    seq->was_admitted = true;
    seq->n_cached = seq->sched.n_computed;
    if (share_keeps(sh, seq->job) && !seq->job->want_prompt_logprobs) {
        sh->query_tokens += seq->job->n_prompt;
        sh->hit_tokens += seq->n_cached;
    }
}

void share_remember(struct sharing *sh, struct sequence *seq)
{
    const struct job *job = seq->job;
    if (share_keeps(sh, job) && !job->state->failed &&
        seq->cache.slot != CACHE_NO_SLOT)
        cache_remember(sh->cache, &seq->cache, seq->tokens, seq->n_kept,
                       job->cache_salt);
}

uint32_t share_n_replay(const struct sequence *seq)
{
    const struct sched_entry *s = &seq->sched;
    uint32_t left =
        seq->n_kept > s->n_computed ? seq->n_kept - s->n_computed : 0;
    return left < s->n_planned ? left : s->n_planned;
}

bool share_saves_choices(const struct sharing *sh, const struct job *job)
{
    return share_keeps(sh, job) && !job->want_prompt_logprobs &&
           job->n_choices > 1 && job->n_prompt > sh->n_replay + 1;
}
