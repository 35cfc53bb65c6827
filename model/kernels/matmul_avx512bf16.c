/* matmul_avx512bf16.c -- empty so far: the slots stay as the set below filled
 * them. */
#include "model/kernels/kernels_fill.h"

void matmul_fill_avx512bf16(struct kernels *k)
{
    (void)k;
}
