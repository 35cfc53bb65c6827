/* attend_walk.h -- attention over paged blocks, for any width of vector.
 *
 * Included by attend_<isa>.c after it has defined the vector `vec` of VEC_LANES
 * floats and the v_* operations below; private to those files.
 *
 * A row is one query head of one token.  All rows of a run visit a block before
 * the next block is read.  Few rows take the elements as they are stored; many
 * share one copy widened to float.  Either way every number of a row is
 *
 *     score  = a chain of fma over d, ascending, from 0
 *     result = result * shrink, then a chain of fma over positions, ascending
 *
 * whatever rows are beside it, which is why a prompt's cut does not show.  A
 * position behind a row's own, seen because of a later row, has weight 0.
 *
 *     v_zero v_set1 v_load v_store v_add v_mul v_fma(a, b, c) = a * b + c
 *     v_max v_exp                 exp of -INFINITY is 0, of 0 is 1
 *     v_sum v_highest             of all lanes
 *     v_below(v, first, n)        lanes with first + lane >= n: -INFINITY
 *     v_half v_bytes              VEC_LANES float16, or int8, widened
 */
#ifndef LFMD_MODEL_KERNELS_ATTEND_WALK_H
#define LFMD_MODEL_KERNELS_ATTEND_WALK_H

#include <math.h>
#include <string.h>

#include "model/kernels/kernels_fill.h"

#define BLOCK KV_BLOCK_TOKENS
#define MANY_ROWS 9u /* from here on a widened copy pays */
#define LINE 64u

struct walk {
    float *q;      /* [rows][dim], times scale */
    float *out;    /* [rows][pad] */
    float *scores; /* [rows][BLOCK], then weights */
    float *sums;   /* [rows][VEC_LANES], of weights */
    float *wide;   /* one head's part of a block as KV_F32 */
    uint32_t rows, heads, dim, pad;
    float max[KERNELS_ATTEND_ROWS];
    float shrink[KERNELS_ATTEND_ROWS];
};

/* What is read of one block: elements, and scales or NULL. */
struct block_part {
    const char *keys, *values;
    const char *key_scales, *value_scales;
    size_t to_next; /* from here to where the next block lies, for prefetch */
    uint32_t first, n; /* its first position, and how many there are */
};

ALWAYS_INLINE vec v_elements(const char *at, enum kv_format format, size_t i)
{
    if (format == KV_F32)
        return v_load((const void *)(at + i * sizeof(float)));
    if (format == KV_F16)
        return v_half(at + i * 2);
    return v_bytes(at + i);
}

/* The line at element i, if i starts one. */
ALWAYS_INLINE void fetch(const char *at, enum kv_format format, size_t i,
                         size_t to_next)
{
    size_t offset = i * kv_element_bytes(format);

    if (offset % LINE == 0)
        __builtin_prefetch((const void *)((uintptr_t)at + offset + to_next));
}

/* scores[r][t] = q[r] . key[t] without scales, all BLOCK positions. */
ALWAYS_INLINE void score_rows(struct walk *w, uint32_t r0, uint32_t rows,
                              const struct block_part *b, enum kv_format format,
                              bool ahead)
{
    size_t dim = w->dim;
    const float *q = w->q + r0 * dim;
    float *scores = w->scores + r0 * BLOCK;

    for (uint32_t t = 0; t < BLOCK; t += 2 * VEC_LANES) {
        vec acc[2 * SCORE_ROWS];

        UNROLL
        for (uint32_t i = 0; i < 2 * rows; i++)
            acc[i] = v_zero();
        for (size_t d = 0; d < dim; d++) {
            vec low = v_elements(b->keys, format, d * BLOCK + t);
            vec high = v_elements(b->keys, format, d * BLOCK + t + VEC_LANES);

            if (ahead)
                fetch(b->keys, format, d * BLOCK + t, b->to_next);
            if (ahead && format == KV_F32 && VEC_LANES == 16)
                fetch(b->keys, format, d * BLOCK + t + 16, b->to_next);
            UNROLL
            for (uint32_t r = 0; r < rows; r++) {
                vec one = v_set1(q[r * dim + d]);

                acc[2 * r] = v_fma(one, low, acc[2 * r]);
                acc[2 * r + 1] = v_fma(one, high, acc[2 * r + 1]);
            }
        }
        UNROLL
        for (uint32_t r = 0; r < rows; r++) {
            v_store(scores + r * BLOCK + t, acc[2 * r]);
            v_store(scores + r * BLOCK + t + VEC_LANES, acc[2 * r + 1]);
        }
    }
}

/* Scores of one row into weights; positions from n on get 0. */
ALWAYS_INLINE void weigh_row(struct walk *w, uint32_t r,
                             const struct block_part *b, uint32_t n)
{
    enum { VECS = BLOCK / VEC_LANES };
    float *scores = w->scores + r * BLOCK;
    float *sums = w->sums + r * VEC_LANES;
    vec s[VECS], max, shrink, sum;
    float highest;

    max = v_set1(w->max[r]);
    UNROLL
    for (uint32_t i = 0; i < VECS; i++) {
        s[i] = v_load(scores + i * VEC_LANES);
        if (b->key_scales != NULL)
            s[i] =
                v_mul(s[i], v_elements(b->key_scales, KV_F32, i * VEC_LANES));
        s[i] = v_below(s[i], i * VEC_LANES, n);
        max = v_max(max, s[i]);
    }
    highest = v_highest(max);
    max = v_set1(highest);
    shrink = v_exp(v_sub(v_set1(w->max[r]), max)); /* 0 on the first block */
    sum = v_mul(v_load(sums), shrink);
    UNROLL
    for (uint32_t i = 0; i < VECS; i++) {
        s[i] = v_exp(v_sub(s[i], max));
        sum = v_add(sum, s[i]);
        if (b->value_scales != NULL)
            s[i] =
                v_mul(s[i], v_elements(b->value_scales, KV_F32, i * VEC_LANES));
        v_store(scores + i * VEC_LANES, s[i]);
    }
    v_store(sums, sum);
    w->shrink[r] = v_first(shrink);
    w->max[r] = highest;
}

/* out[r][v..] = out * shrink + sum_t weights[r][t] * value[t][v..], on `vecs`
 * vectors of dimensions. */
ALWAYS_INLINE void add_values(struct walk *w, uint32_t r0, uint32_t rows,
                              size_t v, uint32_t vecs,
                              const struct block_part *b, uint32_t n,
                              enum kv_format format, bool ahead)
{
    size_t pad = w->pad;
    const float *weights = w->scores + r0 * BLOCK;
    float *out = w->out + r0 * pad + v;
    vec acc[VALUE_ROWS * VALUE_VECS];

    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        UNROLL
        for (uint32_t i = 0; i < vecs; i++)
            acc[r * vecs + i] = v_mul(v_load(out + r * pad + i * VEC_LANES),
                                      v_set1(w->shrink[r0 + r]));
    }
    for (uint32_t t = 0; t < n; t++) {
        vec value[VALUE_VECS];

        UNROLL
        for (uint32_t i = 0; i < vecs; i++) {
            size_t at = t * pad + v + i * VEC_LANES;

            value[i] = v_elements(b->values, format, at);
            if (ahead)
                fetch(b->values, format, at, b->to_next);
        }
        UNROLL
        for (uint32_t r = 0; r < rows; r++) {
            vec weight = v_set1(weights[r * BLOCK + t]);

            UNROLL
            for (uint32_t i = 0; i < vecs; i++)
                acc[r * vecs + i] = v_fma(weight, value[i], acc[r * vecs + i]);
        }
    }
    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        UNROLL
        for (uint32_t i = 0; i < vecs; i++)
            v_store(out + r * pad + i * VEC_LANES, acc[r * vecs + i]);
    }
}

ALWAYS_INLINE void value_rows(struct walk *w, uint32_t r0, uint32_t rows,
                              const struct block_part *b, uint32_t n,
                              enum kv_format format, bool ahead)
{
    size_t v = 0;

    for (; w->pad - v >= VALUE_VECS * VEC_LANES; v += VALUE_VECS * VEC_LANES)
        add_values(w, r0, rows, v, VALUE_VECS, b, n, format, ahead);
    for (; v < w->pad; v += VEC_LANES)
        add_values(w, r0, rows, v, 1, b, n, format, ahead);
}

/* One block's weighted values into all rows from r0 on that see it. */
ALWAYS_INLINE void visit_block(struct walk *w, uint32_t r0, uint32_t position,
                               const struct block_part *b,
                               enum kv_format format, bool ahead)
{
    uint32_t r = r0;

    for (; w->rows - r >= SCORE_ROWS; r += SCORE_ROWS)
        score_rows(w, r, SCORE_ROWS, b, format, ahead);
    for (; w->rows - r >= 4; r += 4)
        score_rows(w, r, 4, b, format, ahead);
    for (; r < w->rows; r++)
        score_rows(w, r, 1, b, format, ahead);
    for (r = r0; r < w->rows; r++) {
        uint32_t n = position + r / w->heads + 1 - b->first;

        weigh_row(w, r, b, n);
    }
    for (r = r0; w->rows - r >= VALUE_ROWS; r += VALUE_ROWS)
        value_rows(w, r, VALUE_ROWS, b, b->n, format, ahead);
    for (; r < w->rows; r++)
        value_rows(w, r, 1, b, b->n, format, ahead);
}

static void visit_f16(struct walk *w, uint32_t r0, uint32_t position,
                      const struct block_part *b)
{
    visit_block(w, r0, position, b, KV_F16, true);
}

static void visit_f32(struct walk *w, uint32_t r0, uint32_t position,
                      const struct block_part *b)
{
    visit_block(w, r0, position, b, KV_F32, true);
}

static void visit_q8(struct walk *w, uint32_t r0, uint32_t position,
                     const struct block_part *b)
{
    visit_block(w, r0, position, b, KV_Q8, true);
}

static void visit_wide(struct walk *w, uint32_t r0, uint32_t position,
                       const struct block_part *b)
{
    visit_block(w, r0, position, b, KV_F32, false);
}

/* All of the next block's part, while many rows visit this one. */
static void fetch_part(const struct block_part *b, const struct kv_view *kv)
{
    size_t n = kv_head_bytes(kv->format, kv->head_dim);

    for (size_t at = 0; b->to_next != 0 && at < n; at += LINE)
        __builtin_prefetch(
            (const void *)((uintptr_t)b->keys + at + b->to_next));
}

ALWAYS_INLINE void widen(float *out, const char *elements,
                         enum kv_format format, size_t n)
{
    for (size_t i = 0; i < n; i += VEC_LANES)
        v_store(out + i, v_elements(elements, format, i));
}

/* The block's elements as floats; its scales stay with it. */
static void widen_block(struct walk *w, struct block_part *b,
                        enum kv_format format)
{
    size_t n_keys = (size_t)w->dim * BLOCK, n_values = (size_t)b->n * w->pad;
    float *values = w->wide + n_keys;

    if (format == KV_F16) {
        widen(w->wide, b->keys, KV_F16, n_keys);
        widen(values, b->values, KV_F16, n_values);
    } else {
        widen(w->wide, b->keys, KV_Q8, n_keys);
        widen(values, b->values, KV_Q8, n_values);
    }
    b->keys = (const char *)w->wide;
    b->values = (const char *)values;
}

/* Lays the run's scratch out and copies the queries. */
static void walk_begin(struct walk *w, const struct attend_run *run)
{
    float *at = run->scratch;

    w->heads = run->head1 - run->head0;
    w->rows = run->n_tokens * w->heads;
    w->dim = run->kv->head_dim;
    w->pad = (uint32_t)kv_padded_dim(w->dim);
    w->out = at;
    w->scores = w->out + (size_t)w->rows * w->pad;
    w->sums = w->scores + (size_t)w->rows * BLOCK;
    w->q = w->sums + (size_t)w->rows * VEC_LANES;
    w->wide = w->q + (size_t)w->rows * w->pad;
    memset(w->out, 0, (size_t)w->rows * w->pad * sizeof(float));
    memset(w->sums, 0, (size_t)w->rows * VEC_LANES * sizeof(float));
    for (uint32_t r = 0; r < w->rows; r++) {
        const float *q = run->q + r / w->heads * run->ldq +
                         (size_t)(run->head0 + r % w->heads) * w->dim;
        float *row = w->q + (size_t)r * w->dim;

        for (uint32_t d = 0; d < w->dim; d++)
            row[d] = q[d] * run->scale;
        w->max[r] = -INFINITY;
    }
}

/* Adding 0 makes every zero a positive one: the sign depends on how many
 * weights of 0 were added. */
static void walk_end(const struct walk *w, const struct attend_run *run)
{
    for (uint32_t r = 0; r < w->rows; r++) {
        float *out = run->out + r / w->heads * run->ldo +
                     (size_t)(run->head0 + r % w->heads) * w->dim;
        const float *row = w->out + (size_t)r * w->pad;
        float share = 1.0f / v_sum(v_load(w->sums + r * VEC_LANES));

        for (uint32_t d = 0; d < w->dim; d++)
            out[d] = row[d] * share + 0.0f;
    }
}

/* Block i of the run's n_positions; kv_head as in kv_view_head. */
static struct block_part find_part(const struct kv_view *kv, uint32_t i,
                                   uint32_t kv_head, uint32_t n_positions)
{
    uint32_t left = n_positions - i * BLOCK;
    const char *head = kv_view_head(kv, i, kv_head);
    struct block_part b = {
        .keys = head,
        .values = head + kv_values_at(kv->format, kv->head_dim),
        .first = i * BLOCK,
        .n = left < BLOCK ? left : BLOCK,
    };

    if (left > BLOCK)
        b.to_next =
            (uintptr_t)kv_view_head(kv, i + 1, kv_head) - (uintptr_t)head;
    if (kv->format == KV_Q8) {
        b.key_scales = head + kv_scales_at(kv->format, kv->head_dim);
        b.value_scales = b.key_scales + BLOCK * sizeof(float);
    }
    return b;
}

static void attend(const struct attend_run *run)
{
    const struct kv_view *kv = run->kv;
    uint32_t kv_head = run->head0 / (kv->n_heads / kv->n_kv_heads);
    uint32_t n_positions = run->position + run->n_tokens;
    struct walk w;

    walk_begin(&w, run);
    for (uint32_t i = 0; i * BLOCK < n_positions; i++) {
        struct block_part b = find_part(kv, i, kv_head, n_positions);
        uint32_t r0 = 0;

        if (b.first > run->position) /* earlier tokens do not see it */
            r0 = (b.first - run->position) * w.heads;
        if (w.rows - r0 >= MANY_ROWS) {
            fetch_part(&b, kv);
            if (kv->format != KV_F32)
                widen_block(&w, &b, kv->format);
            visit_wide(&w, r0, run->position, &b);
        } else if (kv->format == KV_F32)
            visit_f32(&w, r0, run->position, &b);
        else if (kv->format == KV_F16)
            visit_f16(&w, r0, run->position, &b);
        else
            visit_q8(&w, r0, run->position, &b);
    }
    walk_end(&w, run);
}

#endif
