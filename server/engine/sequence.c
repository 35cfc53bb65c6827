/* sequence.c -- see sequence.h. */
#include "server/engine/sequence.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/matcher.h"
#include "server/engine/force.h"
#include "server/engine/job_state.h"

static int sequence_init(struct sequence *seq, struct job *job, uint32_t choice,
                         uint32_t n_draft, uint32_t n_forced, struct err *err)
{
    seq->job = job;
    seq->choice = choice;
    seq->cache.slot = CACHE_NO_SLOT;
    seq->n_scored = 1;
    seq->bound = job->in_thought ? BOUND_THOUGHT : BOUND_START;
    detok_init(&seq->detok);
    /* What is forced is right nearly always, however much it is. */
    drafter_init(&seq->drafter, n_draft);
    drafter_init(&seq->forcer, n_forced);
    seq->forcer.length = n_forced;
    stop_init(&seq->stop, &job->state->stop);
    const uint32_t n = job->n_prompt + job->max_tokens;
    seq->tokens = mem_realloc_array(NULL, n, sizeof *seq->tokens);
    if (seq->tokens == NULL)
        return err_nomem(err, "a sequence's tokens");
    memcpy(seq->tokens, job->prompt, job->n_prompt * sizeof *seq->tokens);
    int rc = loops_init(&seq->loops, &job->loops, err);
    if (rc == 0)
        rc = cache_seq_init(&seq->cache, n, err);
    if (rc == 0 && job->grammar != NULL)
        rc = matcher_new(&seq->matcher, job->grammar, 0, err);
    if (rc == 0 && job->call_grammar != NULL)
        rc = matcher_new(&seq->calls, job->call_grammar, 0, err);
    return rc;
}

int sequences_new(struct job *job, uint32_t n_draft, uint32_t n_forced,
                  struct err *err)
{
    struct sequence *seqs = mem_calloc(job->n_choices, sizeof *seqs);
    job->state->seqs = seqs;
    if (seqs == NULL)
        return err_nomem(err, "a job's sequences");
    int rc = 0;
    for (uint32_t i = 0; i < job->n_choices; i++) {
        if (rc == 0)
            rc = sequence_init(&seqs[i], job, i, n_draft, n_forced, err);
        else
            seqs[i].cache.slot = CACHE_NO_SLOT;
    }
    if (rc != 0)
        sequences_free(job);
    return rc;
}

void sequences_free(struct job *job)
{
    struct sequence *seqs = job->state->seqs;
    if (seqs == NULL)
        return;
    for (uint32_t i = 0; i < job->n_choices; i++) {
        mem_free(seqs[i].tokens);
        matcher_free(seqs[i].matcher);
        loops_deinit(&seqs[i].loops);
        matcher_free(seqs[i].calls);
        cache_seq_deinit(&seqs[i].cache);
    }
    mem_free(seqs);
    job->state->seqs = NULL;
}

static bool has_prompt_to_score(const struct sequence *seq)
{
    return seq->job->want_prompt_logprobs && seq->n_scored < seq->job->n_prompt;
}

void sequence_aim(struct sequence *seq)
{
    const struct job *job = seq->job;
    if (capture_wants(&job->want)) {
        seq->sched.n_tokens = seq->sched.first_row = job->n_prompt;
        return;
    }
    /* The last prompt token predicts the reply; nobody asked for one. */
    uint32_t n =
        job->max_tokens > 0 ? job->n_prompt + seq->n_output : job->n_prompt - 1;
    seq->sched.n_tokens = n;
    /* The row of token i predicts token i + 1. */
    seq->sched.first_row = has_prompt_to_score(seq) ? seq->n_scored - 1 : n - 1;
}

void sequence_draft(struct sequence *seq, const struct mask_vocab *v)
{
    const struct job *job = seq->job;
    struct sched_entry *s = &seq->sched;
    token_id *draft = seq->tokens + s->n_tokens;
    s->n_draft = 0;
    if (s->n_tokens - s->n_computed != 1 || seq->n_output == 0 ||
        job->max_tokens <= seq->n_output + 1)
        return;
    /* The last token of a reply is drawn and never computed. */
    const uint32_t most = job->max_tokens - seq->n_output - 1;
    if (sequence_is_bound(seq))
        s->n_draft =
            force_draft(draft, drafter_room(&seq->forcer, most), seq, v);
    seq->is_forced = s->n_draft > 0;
    if (!seq->is_forced)
        s->n_draft =
            drafter_draft(&seq->drafter, draft, most, seq->tokens, s->n_tokens);
}

bool sequence_is_empty(const struct sequence *seq, uint32_t n_computed)
{
    const struct job *job = seq->job;
    return job->max_tokens == 0 && !has_prompt_to_score(seq) &&
           (!capture_wants(&job->want) || n_computed >= job->n_prompt);
}
