/* qmatmul_avxvnni.c -- empty so far: the slots stay as the set below filled
 * them. */
#include "model/kernels/kernels_fill.h"

void qmatmul_fill_avxvnni(struct kernels *k)
{
    (void)k;
}
