/* batch.c -- see batch.h. */
#include "model/forward/batch.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"

int batch_new(struct batch **out, uint32_t max_tokens, uint32_t max_slices,
              uint32_t max_logit_rows, uint32_t n_vocab, struct err *err)
{
    size_t floats, bytes;
    if (__builtin_mul_overflow((size_t)max_logit_rows, n_vocab, &floats) ||
        __builtin_mul_overflow(floats, sizeof(float), &bytes))
        return err_set(err, ERR_LIMIT, "%u rows of %u logits are too many",
                       (unsigned)max_logit_rows, (unsigned)n_vocab);
    struct batch *b = mem_calloc(1, sizeof *b);
    if (b == NULL)
        return err_nomem(err, "a batch");
    b->max_tokens = max_tokens;
    b->max_slices = max_slices;
    b->max_logit_rows = max_logit_rows;
    b->n_vocab = n_vocab;
    b->tokens = mem_calloc(max_tokens, sizeof *b->tokens);
    b->slices = mem_calloc(max_slices, sizeof *b->slices);
    b->logits = mem_alloc_aligned(64, bytes);
    if (b->tokens == NULL || b->slices == NULL || b->logits == NULL) {
        batch_free(b);
        return err_nomem(err, "a batch");
    }
    *out = b;
    return 0;
}

void batch_free(struct batch *b)
{
    if (b == NULL)
        return;
    mem_free(b->tokens);
    mem_free(b->slices);
    mem_free_aligned(b->logits);
    mem_free(b);
}

void batch_clear(struct batch *b)
{
    b->n_tokens = 0;
    b->n_slices = 0;
    b->n_drafts = 0;
    b->n_captures = 0;
    b->n_logit_rows = 0;
}

bool batch_add(struct batch *b, struct cache_seq *seq, const token_id *tokens,
               uint32_t n, uint32_t position, uint32_t n_logits)
{
    return batch_add_resumed(b, seq, tokens, n, position, n_logits, 0);
}

bool batch_add_resumed(struct batch *b, struct cache_seq *seq,
                       const token_id *tokens, uint32_t n, uint32_t position,
                       uint32_t n_logits, uint32_t n_replay)
{
    assert(n > 0 && n_logits <= n && n_replay <= n);
    assert(seq->slot != CACHE_NO_SLOT);
    assert((uint64_t)seq->n_blocks * KV_BLOCK_TOKENS >= (uint64_t)position + n);
    if (b->n_slices == b->max_slices || n > b->max_tokens - b->n_tokens ||
        n_logits > b->max_logit_rows - b->n_logit_rows)
        return false;

    b->slices[b->n_slices++] = (struct batch_slice){
        .seq = seq,
        .first = b->n_tokens,
        .n_tokens = n,
        .position = position,
        .n_logits = n_logits,
        .n_replay = n_replay,
        .first_row = b->n_logit_rows,
        .trail = BATCH_NO_TRAIL,
    };
    memcpy(b->tokens + b->n_tokens, tokens, n * sizeof *tokens);
    b->n_tokens += n;
    b->n_logit_rows += n_logits;
    return true;
}

bool batch_add_draft(struct batch *b, struct cache_seq *seq,
                     const token_id *tokens, uint32_t n, uint32_t position)
{
    assert(n <= BATCH_MAX_DRAFT + 1);
    if (b->n_drafts == BATCH_MAX_DRAFTS ||
        !batch_add(b, seq, tokens, n, position, n))
        return false;
    b->slices[b->n_slices - 1].trail = b->n_drafts++;
    return true;
}

void batch_capture(struct batch *b, const struct capture *capture)
{
    struct batch_slice *s = &b->slices[b->n_slices - 1];
    assert(b->n_slices > 0 && s->trail == BATCH_NO_TRAIL && !s->capture);
    assert(s->position + s->n_tokens <= capture->n_tokens);
    s->capture = capture;
    s->n_states = capture_rows(capture, s->position, s->n_tokens);
    assert(s->n_states <= 1 || s->n_replay == 0);
    b->n_captures++;
}
