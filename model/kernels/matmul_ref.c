/* matmul_ref.c -- the specification of matmul and widen.
 *
 * One output at a time, in double, in the order of k. */
#include "model/kernels/kernels_fill.h"
#include "model/kernels/widen.h"

static void widen_f32(float *restrict dst, const void *restrict src, size_t n)
{
    if (n != 0)
        memcpy(dst, src, n * sizeof(float));
}

static void widen_f16(float *restrict dst, const void *restrict src, size_t n)
{
    const uint16_t *s = src;

    for (size_t i = 0; i < n; i++)
        dst[i] = f16_widen(s[i]);
}

static void widen_bf16(float *restrict dst, const void *restrict src, size_t n)
{
    const uint16_t *s = src;

    for (size_t i = 0; i < n; i++)
        dst[i] = bf16_widen(s[i]);
}

/* The three formats differ in how one weight becomes a float. */
#define DEFINE_MATMUL(name, type, widen)                                     \
    static void name(float *restrict y, size_t ldy, const float *restrict x, \
                     size_t ldx, const void *restrict w, uint32_t m,         \
                     uint32_t n, uint32_t k)                                 \
    {                                                                        \
        for (uint32_t i = 0; i < m; i++) {                                   \
            for (uint32_t j = 0; j < n; j++) {                               \
                const float *xi = x + i * ldx;                               \
                const type *wj = (const type *)w + (size_t)j * k;            \
                double sum = 0;                                              \
                                                                             \
                for (uint32_t p = 0; p < k; p++)                             \
                    sum += (double)xi[p] * (double)widen(wj[p]);             \
                y[i * ldy + j] = (float)sum;                                 \
            }                                                                \
        }                                                                    \
    }

#define AS_IS(v) (v)
DEFINE_MATMUL(matmul_f32, float, AS_IS)
DEFINE_MATMUL(matmul_f16, uint16_t, f16_widen)
DEFINE_MATMUL(matmul_bf16, uint16_t, bf16_widen)

void matmul_fill_ref(struct kernels *k)
{
    k->matmul[DTYPE_F32] = matmul_f32;
    k->matmul[DTYPE_F16] = matmul_f16;
    k->matmul[DTYPE_BF16] = matmul_bf16;
    k->widen[DTYPE_F32] = widen_f32;
    k->widen[DTYPE_F16] = widen_f16;
    k->widen[DTYPE_BF16] = widen_bf16;
}
