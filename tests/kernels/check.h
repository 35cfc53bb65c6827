/* check.h -- what the kernel checks share: numbers, memory that ends where it
 * ends, and a stopwatch.
 *
 * Arrays are allocated to the byte and may start at any element, so that an
 * access beyond shows under the sanitizers and alignment is never relied on. */
#ifndef LFMD_TESTS_KERNELS_CHECK_H
#define LFMD_TESTS_KERNELS_CHECK_H

#include <math.h>
#include <pthread.h>
#include <stdbool.h>

#include "model/base/clock.h"
#include "model/base/err.h"
#include "model/kernels/kernels.h"
#include "model/kernels/widen.h"
#include "tests/lib/test.h"

/* xorshift64*: the same numbers in every run. */
static uint64_t check_state = 88172645463325252u;

static inline uint32_t check_random(uint32_t below)
{
    check_state ^= check_state >> 12;
    check_state ^= check_state << 25;
    check_state ^= check_state >> 27;
    return (uint32_t)((check_state * 2685821657736338717u) >> 33) % below;
}

/* In [-1, 1). */
static inline float check_float(void)
{
    return (float)check_random(1u << 24) / (float)(1u << 23) - 1.0f;
}

/* Never NULL, exactly n bytes; freed with free. */
static inline void *check_alloc(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);

    assert_non_null(p);
    return p;
}

static inline float *check_floats(size_t n)
{
    float *v = check_alloc(n * sizeof(float));

    for (size_t i = 0; i < n; i++)
        v[i] = check_float();
    return v;
}

static inline float *check_copy(const float *v, size_t n)
{
    float *copy = check_alloc(n * sizeof(float));

    memcpy(copy, v, n * sizeof(float));
    return copy;
}

/* A stored number of about [-2, 2], as bits. */
static inline uint16_t check_half(enum dtype dtype)
{
    uint32_t sign = check_random(2) << 15;

    if (dtype == DTYPE_F16)
        return (uint16_t)(sign | check_random(0x4000));
    return (uint16_t)(sign | (0x3c00 + check_random(0x0400)));
}

/* n stored weights. */
static inline void *check_weights(enum dtype dtype, size_t n)
{
    uint16_t *v;

    if (dtype == DTYPE_F32)
        return check_floats(n);
    v = check_alloc(n * sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = check_half(dtype);
    return v;
}

static inline float check_weight(const void *w, enum dtype dtype, size_t i)
{
    if (dtype == DTYPE_F32)
        return ((const float *)w)[i];
    if (dtype == DTYPE_F16)
        return f16_widen(((const uint16_t *)w)[i]);
    return bf16_widen(((const uint16_t *)w)[i]);
}

static inline const char *check_dtype_name(enum dtype dtype)
{
    static const char *const names[N_FLOAT_DTYPES] = {"f32", "f16", "bf16"};

    return names[dtype];
}

static inline const struct kernels *check_isa(const char *name)
{
    struct err err = {0};
    const struct kernels *k = kernels_select(name, &err);

    assert_non_null(k);
    return k;
}

/* Fails when `got` is further than `tolerance` from `want`, or is NaN. */
static inline void check_near(float got, float want, double tolerance,
                              const char *isa, const char *what, size_t at)
{
    double off = fabs((double)got - (double)want);

    if (off <= tolerance)
        return;
    fail_msg("%s %s [%zu]: got %.9g, expected %.9g, off by %.3g > %.3g", isa,
             what, at, (double)got, (double)want, off, tolerance);
}

/* ---- --bench ---- */

static inline bool check_wants_bench(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "--bench") == 0;
}

typedef void check_work_fn(void *user, uint32_t thread, uint32_t n_threads);

struct check_worker {
    pthread_t id;
    check_work_fn *work;
    void *user;
    uint32_t thread, n_threads;
};

static inline void *check_worker_main(void *arg)
{
    struct check_worker *w = arg;

    w->work(w->user, w->thread, w->n_threads);
    return NULL;
}

/* Runs `work` on n <= 8 threads at once; returns the seconds it took. */
static inline double check_run(check_work_fn *work, void *user, uint32_t n)
{
    struct check_worker workers[8];
    uint64_t start = clock_now_us();

    assert_true(n <= 8);
    for (uint32_t i = 0; i < n; i++) {
        workers[i] = (struct check_worker){
            .work = work, .user = user, .thread = i, .n_threads = n};
        assert_int_equal(pthread_create(&workers[i].id, NULL, check_worker_main,
                                        &workers[i]),
                         0);
    }
    for (uint32_t i = 0; i < n; i++)
        pthread_join(workers[i].id, NULL);
    return (double)(clock_now_us() - start) * 1e-6;
}

/* The fastest of `passes`. */
static inline double check_best(check_work_fn *work, void *user, uint32_t n,
                                uint32_t passes)
{
    double best = HUGE_VAL;

    for (uint32_t i = 0; i < passes; i++)
        best = fmin(best, check_run(work, user, n));
    return best;
}

#endif
