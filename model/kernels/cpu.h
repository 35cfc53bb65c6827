/* cpu.h -- which instruction sets this machine can run.
 *
 * A feature counts only when the CPU has it and the operating system saves its
 * registers (XCR0).  Pure: asks the hardware every time.  Any thread. */
#ifndef LFMD_MODEL_KERNELS_CPU_H
#define LFMD_MODEL_KERNELS_CPU_H

#include <stdbool.h>

struct cpu {
    bool avx2, fma, f16c, avx_vnni;
    bool avx512f, avx512bw, avx512dq, avx512vl, avx512_vnni;
    bool neon, dotprod; /* of AArch64 */
};

/* All false on machines that are neither x86-64 nor AArch64. */
void cpu_detect(struct cpu *cpu);

#endif
