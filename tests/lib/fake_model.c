/* fake_model.c -- see fake_model.h. */
#include "tests/lib/fake_model.h"

#include <assert.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "model/cache/cache.h"
#include "model/cache/conv_state.h"
#include "model/cache/kv_pool.h"
#include "model/forward/batch.h"
#include "model/grammar/mask.h"
#include "model/weights/hparams.h"

static token_id *kept_at(struct fake_model *m, const struct cache_seq *seq,
                         uint32_t position)
{
    const struct kv_pool *pool = cache_kv(m->face.cache);
    char *block = kv_pool_layer(pool, 0) +
                  seq->blocks[position / KV_BLOCK_TOKENS] * pool->block_bytes;
    assert(pool->block_bytes >= KV_BLOCK_TOKENS * sizeof(token_id));
    return (token_id *)(void *)block + position % KV_BLOCK_TOKENS;
}

/* The columns remember where their sequence began and how far it is; zeros are
 * a sequence that has not begun.  What they say of the first tokens after a
 * beginning in the middle is wrong. */
struct columns {
    float begun, from, next;
};

static struct columns *columns_of(struct fake_model *m,
                                  const struct cache_seq *seq)
{
    void *columns = conv_state_columns(cache_conv(m->face.cache), seq->slot, 0);
    return columns;
}

static void pass(struct fake_model *m, const struct batch_slice *s,
                 const token_id *tokens)
{
    struct columns *columns = columns_of(m, s->seq);
    if (columns->begun == 0.0f) {
        columns->begun = 1.0f;
        columns->from = columns->next = (float)s->position;
    }
    uint32_t exact = (uint32_t)columns->from;
    if (exact > 0)
        exact += FAKE_REPLAY;
    assert((uint32_t)columns->next == s->position);
    for (uint32_t t = 0; t < s->n_tokens; t++) {
        token_id *kept = kept_at(m, s->seq, s->position + t);
        if (t < s->n_replay) {
            assert(*kept == tokens[t]);
            continue;
        }
        assert(s->position + t >= exact);
        *kept = tokens[t];
    }
    columns->next = (float)(s->position + s->n_tokens);
    uint32_t n_wanted = s->n_logits > s->n_states ? s->n_logits : s->n_states;
    assert(n_wanted == 0 || s->position + s->n_tokens - n_wanted >= exact);
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void answer(struct fake_model *m, const struct cache_seq *seq,
                   uint32_t last, float *logits)
{
    uint64_t hash = 7;
    bool poisoned = false;
    for (uint32_t p = 0; p <= last; p++) {
        token_id id = *kept_at(m, seq, p);
        hash = mixed(hash + (uint64_t)(uint32_t)id + 1);
        poisoned = poisoned || id == FAKE_POISON;
    }
    for (uint32_t i = 0; i < FAKE_N_VOCAB; i++) {
        uint64_t r = mixed(hash + i * UINT64_C(0x9E3779B97F4A7C15));
        logits[i] = (float)(r >> 40) * 0x1.0p-21f - 4.0f;
    }
    logits[FAKE_POISON] = -INFINITY;
    if (*kept_at(m, seq, 0) == FAKE_LOOP && last > FAKE_LOOP_TOKENS)
        logits[*kept_at(m, seq, last + 1 - FAKE_LOOP_TOKENS)] += 6.0f;
    if (*kept_at(m, seq, 0) == FAKE_COUNT)
        logits[(uint32_t)(*kept_at(m, seq, last) + 1) % FAKE_N_VOCAB] = 50.0f;
    if (poisoned)
        logits[5] = NAN;
}

static uint64_t add_token(uint64_t hash, token_id id)
{
    return mixed(hash + (uint64_t)(uint32_t)id + 1);
}

static float number_of(uint64_t hash, uint32_t state, uint32_t i)
{
    return (float)(mixed(hash + state * 97 + i) >> 40) * 0x1.0p-23f - 1.0f;
}

float fake_state(const token_id *tokens, uint32_t n, uint32_t state, uint32_t i)
{
    uint64_t hash = 11;
    for (uint32_t p = 0; p < n; p++)
        hash = add_token(hash, tokens[p]);
    return number_of(hash, state, i);
}

/* The rows that the slice's capture makes the pass compute. */
static void keep(struct fake_model *m, const struct batch_slice *s)
{
    uint32_t end = s->position + s->n_tokens;
    uint64_t hash = 11;
    for (uint32_t p = 0; p < end; p++) {
        hash = add_token(hash, *kept_at(m, s->seq, p));
        if (end - p > s->n_states)
            continue;
        for (uint32_t state = 0; state <= FAKE_LAYERS + 1; state++) {
            float row[FAKE_HIDDEN];
            for (uint32_t i = 0; i < FAKE_HIDDEN; i++)
                row[i] = number_of(hash, state, i);
            if (state <= FAKE_LAYERS)
                capture_put_state(s->capture, state, p, 1, row);
            else
                capture_put_router(s->capture, 0, p, 1, row);
        }
    }
}

static void forward(void *ctx, struct batch *b)
{
    struct fake_model *m = ctx;
    while (atomic_load(&m->held))
        sched_yield();
    for (uint32_t i = 0; i < b->n_slices; i++) {
        const struct batch_slice *s = &b->slices[i];
        pass(m, s, b->tokens + s->first);
        uint32_t end = s->position + s->n_tokens;
        if (s->capture != NULL)
            keep(m, s);
        for (uint32_t r = 0; r < s->n_logits; r++)
            answer(m, s->seq, end - s->n_logits + r, batch_logits(b, s, r));
    }
}

/* The keys of the wrong tokens stay where they are, as in a real cache. */
static void rewind_slice(void *ctx, const struct batch_slice *slice,
                         uint32_t n_kept)
{
    assert(slice->trail < BATCH_MAX_DRAFTS);
    assert(n_kept >= 1 && n_kept < slice->n_tokens);
    columns_of(ctx, slice->seq)->next = (float)(slice->position + n_kept);
}

static const char *token_bytes(void *ctx, token_id id, size_t *n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    (void)ctx;
    const char *text = "--";
    *n = 2;
    if (id >= FAKE_A && id < FAKE_HALF_1) {
        text = &letters[id - FAKE_A];
        *n = 1;
    } else if (id == FAKE_HALF_1 || id == FAKE_HALF_2) {
        text = id == FAKE_HALF_1 ? "\xc3" : "\xa9";
        *n = 1;
    } else if (id == FAKE_EOS || id == FAKE_HEAR) {
        text = id == FAKE_EOS ? "<eos>" : "<hear>";
        *n = strlen(text);
    }
    return text;
}

static bool is_special(void *ctx, token_id id)
{
    (void)ctx;
    return id == FAKE_EOS || id == FAKE_HEAR;
}

static const char *text_bytes(void *user, token_id id, size_t *n)
{
    const char *bytes = token_bytes(user, id, n);
    if (is_special(user, id))
        *n = 0;
    return bytes;
}

void fake_model_init(struct fake_model *m, uint32_t n_blocks, uint32_t n_slots,
                     uint32_t ctx_tokens)
{
    const struct hparams hp = {
        .n_vocab = FAKE_N_VOCAB,
        .hidden = FAKE_HIDDEN,
        .n_layers = FAKE_LAYERS,
        .n_heads = 1,
        .n_kv_heads = 1,
        .head_dim = 2,
        .conv_width = 3,
        .n_attn_layers = 1,
        .n_conv_layers = 1,
    };
    *m = (struct fake_model){
        .face = {
            .forward = forward,
            .rewind = rewind_slice,
            .token_bytes = token_bytes,
            .is_special = is_special,
            .ctx = m,
            .n_vocab = FAKE_N_VOCAB,
            .ctx_tokens = ctx_tokens,
            .max_token_bytes = 8,
            .n_replay = FAKE_REPLAY,
            .shape = {FAKE_LAYERS, 1, FAKE_HIDDEN, FAKE_EXPERTS},
        }};
    if (cache_new(&m->face.cache, &hp, KV_F16, n_blocks, n_slots, NULL) != 0 ||
        mask_vocab_new(&m->mask_vocab, FAKE_N_VOCAB, text_bytes, m, NULL) != 0)
        abort();
    m->face.mask_vocab = m->mask_vocab;
}

void fake_model_deinit(struct fake_model *m)
{
    assert(cache_free_blocks(m->face.cache) ==
           cache_total_blocks(m->face.cache));
    assert(cache_free_slots(m->face.cache) == cache_total_slots(m->face.cache));
    assert(cache_validate(m->face.cache));
    cache_free(m->face.cache);
    mask_vocab_free(m->mask_vocab);
}
