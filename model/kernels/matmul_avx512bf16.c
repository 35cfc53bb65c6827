/* matmul_avx512bf16.c -- empty: BF16 dot products bring nothing at full
 * accuracy.
 *
 * vdpbf16ps does 32 multiply-adds where vfmadd does 16, but takes x in BF16
 * too.  x in two parts (high and low) costs as much as widened weights do and
 * is off by up to 2^-18 of each product, which kernels.h does not allow; in
 * three parts it costs half as much again.  Widening hides behind the
 * multiply-adds (matmul_avx512.c). */
#include "model/kernels/kernels_fill.h"

void matmul_fill_avx512bf16(struct kernels *k)
{
    (void)k;
}
