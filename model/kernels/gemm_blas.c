/* gemm_blas.c -- the only file that knows OpenBLAS. */
#include "model/kernels/gemm_blas.h"

#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/err.h"
#include "model/kernels/kernels.h"

/* The fewest rows for which sgemm wins, by instruction set.  Zen 5, one thread,
 * 1792 x 2048 weights, OpenBLAS 0.3.21 on its Haswell core; GFLOP/s of matmul /
 * sgemm.  AVX2 by check_gemm --bench; AVX-512 by the same loop over the
 * thread's CPU time, as the machine was shared:
 *
 *     rows            16       24       32       64       128      256
 *     avx2    f32   97 / 85  96 / 99  98 /104  91 /114  88 /120  87 /123
 *             f16  125 / 71 129 / 85 125 / 90 124 /104 118 /113 110 /120
 *             bf16 120 / 71 120 / 85 122 / 91 124 /109 118 /117 112 /121
 *     avx512  f32  146 / 84 153 / 97 154 /101 190 /111 174 /120 169 /124
 *             f16  205 / 71 225 / 88 220 / 91 204 /109 190 /115 194 /121
 *             bf16 212 / 73 221 / 89 227 / 90 223 /111 206 /117 203 /124
 *
 * so on AVX-512 matmul wins everywhere.  Sets that are not named take the first
 * row. */
#define NEVER UINT32_MAX

static const struct crossover {
    const char *isa;
    uint32_t rows[N_FLOAT_DTYPES];
} crossovers[] = {
    {"avx2", {[DTYPE_F32] = 24, [DTYPE_F16] = 160, [DTYPE_BF16] = 160}},
    {"avx512", {NEVER, NEVER, NEVER}},
    {"avx512vnni", {NEVER, NEVER, NEVER}},
};

static pthread_once_t init_once = PTHREAD_ONCE_INIT;

static void pin_one_thread(void)
{
    openblas_set_num_threads(1);
}

void gemm_init(void)
{
    pthread_once(&init_once, pin_one_thread);
}

uint32_t gemm_crossover(const struct kernels *kernels, enum dtype dtype)
{
    for (size_t i = 1; i < sizeof(crossovers) / sizeof(crossovers[0]); i++) {
        if (strcmp(kernels->name, crossovers[i].isa) == 0)
            return crossovers[i].rows[dtype];
    }
    return crossovers[0].rows[dtype];
}

/* What sgemm takes and gives its buffer with: exported, but in no header. */
void *blas_memory_alloc(int);
void blas_memory_free(void *);

#define MAX_RESERVED 64u

void gemm_reserve(const struct kernels *kernels, uint32_t n_threads)
{
    void *buffers[MAX_RESERVED];
    uint32_t n = n_threads < MAX_RESERVED ? n_threads : MAX_RESERVED;
    bool used = false;

    for (uint32_t d = 0; d < N_FLOAT_DTYPES; d++)
        used |= gemm_crossover(kernels, (enum dtype)d) != NEVER;
    n = used ? n : 0;
    for (uint32_t i = 0; i < n; i++)
        buffers[i] = blas_memory_alloc(0);
    for (uint32_t i = 0; i < n; i++)
        blas_memory_free(buffers[i]);
}

const char *gemm_core_name(void)
{
    return openblas_get_corename();
}

const char *gemm_config(void)
{
    return openblas_get_config();
}

/* y[m][n] = x[m][k] * transpose(w[n][k]). */
static void sgemm(float *y, size_t ldy, const float *x, size_t ldx,
                  const float *w, uint32_t m, uint32_t n, uint32_t k)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)m, (blasint)n,
                (blasint)k, 1.0f, x, (blasint)ldx, w, (blasint)k, 0.0f, y,
                (blasint)ldy);
}

void gemm_wide(const struct kernels *kernels, float *y, size_t ldy,
               const float *x, size_t ldx, struct matrix w, uint32_t row0,
               uint32_t row1, uint32_t m, float *panel)
{
    uint32_t k = w.cols;
    uint32_t per_panel = GEMM_PANEL_FLOATS / k;

    if (w.dtype == DTYPE_F32) {
        sgemm(y + row0, ldy, x, ldx, matrix_row(w, row0), m, row1 - row0, k);
        return;
    }
    for (uint32_t row = row0; row < row1;) {
        uint32_t n = row1 - row < per_panel ? row1 - row : per_panel;

        kernels->widen[w.dtype](panel, matrix_row(w, row), (size_t)n * k);
        sgemm(y + row, ldy, x, ldx, panel, m, n, k);
        row += n;
    }
}

void gemm(const struct kernels *kernels, float *y, size_t ldy, const float *x,
          size_t ldx, struct matrix w, uint32_t row0, uint32_t row1, uint32_t m,
          float *panel)
{
    if (m == 0 || row0 >= row1)
        return;
    if (m >= gemm_crossover(kernels, w.dtype) && w.cols > 0 &&
        w.cols <= GEMM_PANEL_FLOATS)
        gemm_wide(kernels, y, ldy, x, ldx, w, row0, row1, m, panel);
    else
        kernels->matmul[w.dtype](y + row0, ldy, x, ldx, matrix_row(w, row0), m,
                                 row1 - row0, w.cols);
}

/* One product of the self test: x is [m][ldx], w is [n][k], y is [m][n]. */
struct trial {
    uint32_t m, n, k, ldx;
};

/* Small integers of both signs over 8: exact in float, and never twice the same
 * row, so that a wrong stride shows. */
static void fill_trial(float *v, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)((int)(seed >> 24) - 128) / 128.0f;
    }
}

static int check_trial(const struct trial *t, const float *y, const float *x,
                       const float *w, struct err *err)
{
    for (uint32_t i = 0; i < t->m; i++) {
        for (uint32_t j = 0; j < t->n; j++) {
            double sum = 0, size = 0;
            double got = (double)y[(size_t)i * t->n + j];

            for (uint32_t p = 0; p < t->k; p++) {
                double term = (double)x[(size_t)i * t->ldx + p] *
                              (double)w[(size_t)j * t->k + p];

                sum += term;
                size += fabs(term);
            }
            if (fabs(got - sum) <= 1e-5 * sqrt((double)t->k) * size + 1e-30)
                continue; /* and so NaN is an error */
            return err_set(err, ERR_INTERNAL,
                           "OpenBLAS core %s computes sgemm %ux%ux%u wrongly: "
                           "element [%u][%u] is %g, expected %g; try "
                           "OPENBLAS_CORETYPE=Haswell",
                           openblas_get_corename(), (unsigned)t->m,
                           (unsigned)t->n, (unsigned)t->k, (unsigned)i,
                           (unsigned)j, got, sum);
        }
    }
    return 0;
}

static int run_trial(const struct trial *t, struct err *err)
{
    size_t n_x = (size_t)t->m * t->ldx, n_w = (size_t)t->n * t->k;
    size_t n_y = (size_t)t->m * t->n;
    float *x = mem_alloc((n_x + n_w + n_y) * sizeof(float));
    float *w, *y;
    int status;

    if (x == NULL)
        return err_nomem(err, "the self test of OpenBLAS");
    w = x + n_x;
    y = w + n_w;
    fill_trial(x, n_x, t->m * 31 + t->k);
    fill_trial(w, n_w, t->n * 17 + t->k);
    for (size_t i = 0; i < n_y; i++)
        y[i] = NAN; /* beta is 0: what was there must not matter */
    sgemm(y, t->n, x, t->ldx, w, t->m, t->n, t->k);
    status = check_trial(t, y, x, w, err);
    mem_free(x);
    return status;
}

int gemm_self_test(struct err *err)
{
    static const struct trial trials[] = {
        {1, 64, 256, 256},  {1, 1, 1, 1},       {3, 5, 1, 7},
        {7, 33, 129, 140},  {16, 48, 97, 97},   {33, 17, 1023, 1030},
        {64, 64, 512, 512}, {65, 95, 257, 300}, {130, 70, 384, 400},
    };

    gemm_init();
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
        int status = run_trial(&trials[i], err);

        if (status != 0)
            return status;
    }
    return 0;
}
