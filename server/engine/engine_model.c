/* engine_model.c -- a struct model, as the engine wants to see it.
 *
 * The only file of the engine that knows the whole model; the rest is content
 * with the functions of struct engine_model, and is tested without weights. */
#include "model/model.h"
#include "server/engine/engine.h"

static void forward(void *ctx, struct batch *batch)
{
    model_forward(ctx, batch);
}

static void rewind_slice(void *ctx, const struct batch_slice *slice,
                         uint32_t n_kept)
{
    struct model *m = ctx;
    forward_rewind(m->forward, slice, n_kept);
}

static const char *token_bytes(void *ctx, token_id id, size_t *n)
{
    const struct model *m = ctx;
    return tokenizer_token_bytes(m->tokenizer, id, n);
}

static bool is_special(void *ctx, token_id id)
{
    const struct model *m = ctx;
    return tokenizer_is_special(m->tokenizer, id);
}

static int check_bound(const char *name, uint32_t engine_has,
                       uint32_t model_has, struct err *err)
{
    if (engine_has <= model_has)
        return 0;
    return err_set(err, ERR_INVALID,
                   "engine: a step may have %u %s, but the model was opened "
                   "for %u",
                   engine_has, name, model_has);
}

int engine_new(struct engine **out, struct model *m,
               const struct engine_options *options, engine_wake_fn *wake,
               void *wake_user, struct err *err)
{
    struct engine_options o = *options;
    if (o.max_step_tokens == 0)
        o.max_step_tokens = m->max_batch_tokens;
    if (o.max_logit_rows == 0)
        o.max_logit_rows = m->max_logit_rows;
    if (o.max_sequences == 0)
        o.max_sequences = m->max_slices;
    /* engine_new_with raises the other two to max_sequences. */
    int rc = check_bound("sequences", o.max_sequences, m->max_slices, err);
    if (rc == 0)
        rc = check_bound("tokens",
                         o.max_step_tokens > o.max_sequences ? o.max_step_tokens
                                                             : o.max_sequences,
                         m->max_batch_tokens, err);
    if (rc == 0)
        rc = check_bound("logit rows",
                         o.max_logit_rows > o.max_sequences ? o.max_logit_rows
                                                            : o.max_sequences,
                         m->max_logit_rows, err);
    if (rc != 0)
        return rc;
    const struct engine_model face = {
        .forward = forward,
        .rewind = rewind_slice,
        .token_bytes = token_bytes,
        .is_special = is_special,
        .ctx = m,
        .cache = m->cache,
        .mask_vocab = m->mask_vocab,
        .n_vocab = m->hp.n_vocab,
        .ctx_tokens = m->ctx_tokens,
        .n_replay = forward_replay_tokens(&m->hp),
        .shape = capture_shape(&m->hp),
        .max_token_bytes = tokenizer_max_token_bytes(m->tokenizer),
    };
    return engine_new_with(out, &face, &o, wake, wake_user, err);
}
