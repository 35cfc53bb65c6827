/* kernels_fill.h -- what each file of the room lays into the table.
 *
 * Private to model/kernels.  The reference fills every slot; an instruction set
 * overlays the slots it has and leaves the others as they were.  Compiled
 * without its instruction set an overlay has an empty body. */
#ifndef LFMD_MODEL_KERNELS_KERNELS_FILL_H
#define LFMD_MODEL_KERNELS_KERNELS_FILL_H

#include "model/kernels/kernels.h"

void matmul_fill_ref(struct kernels *k);
void qmatmul_fill_ref(struct kernels *k);
void rows_fill_ref(struct kernels *k);
void attend_fill_ref(struct kernels *k);
void conv_fill_ref(struct kernels *k);

void matmul_fill_avx2(struct kernels *k);
void qmatmul_fill_avx2(struct kernels *k);
void rows_fill_avx2(struct kernels *k);
void attend_fill_avx2(struct kernels *k);
void conv_fill_avx2(struct kernels *k);

void qmatmul_fill_avxvnni(struct kernels *k);

void matmul_fill_avx512(struct kernels *k);
void rows_fill_avx512(struct kernels *k);
void attend_fill_avx512(struct kernels *k);

void qmatmul_fill_avx512vnni(struct kernels *k);

void matmul_fill_neon(struct kernels *k);
void qmatmul_fill_neon(struct kernels *k);
void rows_fill_neon(struct kernels *k);
void attend_fill_neon(struct kernels *k);
void conv_fill_neon(struct kernels *k);

#endif
