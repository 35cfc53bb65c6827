/* sequence.c -- see sequence.h. */
#include "server/engine/sequence.h"

#include <string.h>

#include "model/base/alloc.h"
#include "server/engine/job_state.h"

static int sequence_init(struct sequence *seq, struct job *job, uint32_t choice,
                         struct err *err)
{
    seq->job = job;
    seq->choice = choice;
    seq->cache.slot = CACHE_NO_SLOT;
    seq->n_scored = 1;
    detok_init(&seq->detok);
    stop_init(&seq->stop, &job->state->stop);
    const uint32_t n = job->n_prompt + job->max_tokens;
    seq->tokens = mem_realloc_array(NULL, n, sizeof *seq->tokens);
    if (seq->tokens == NULL)
        return err_nomem(err, "a sequence's tokens");
    memcpy(seq->tokens, job->prompt, job->n_prompt * sizeof *seq->tokens);
    return cache_seq_init(&seq->cache, n, err);
}

int sequences_new(struct job *job, struct err *err)
{
    struct sequence *seqs = mem_calloc(job->n_choices, sizeof *seqs);
    job->state->seqs = seqs;
    if (seqs == NULL)
        return err_nomem(err, "a job's sequences");
    int rc = 0;
    for (uint32_t i = 0; i < job->n_choices; i++) {
        if (rc == 0)
            rc = sequence_init(&seqs[i], job, i, err);
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
    /* The last prompt token predicts the reply; nobody asked for one. */
    uint32_t n =
        job->max_tokens > 0 ? job->n_prompt + seq->n_output : job->n_prompt - 1;
    seq->sched.n_tokens = n;
    /* The row of token i predicts token i + 1. */
    seq->sched.first_row = has_prompt_to_score(seq) ? seq->n_scored - 1 : n - 1;
}

bool sequence_is_empty(const struct sequence *seq)
{
    return seq->job->max_tokens == 0 && !has_prompt_to_score(seq);
}
