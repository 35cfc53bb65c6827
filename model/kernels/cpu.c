/* cpu.c -- cpuid and xgetbv; on AArch64 what the kernel tells of itself.
 *
 * Bit numbers are those of Intel's manual, volume 2A, CPUID. */
#include "model/kernels/cpu.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define XCR0_AVX 0x06u    /* xmm and the upper halves of ymm */
#define XCR0_AVX512 0xe6u /* and opmasks, zmm, zmm16..31     */

static uint32_t read_xcr0(void)
{
    uint32_t lo, hi;

    /* The intrinsic would need -mxsave for the whole file. */
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

static bool bit(uint32_t word, unsigned n)
{
    return (word >> n & 1u) != 0;
}

void cpu_detect(struct cpu *cpu)
{
    uint32_t a, b, c, d, b2, c2, leaf1_c, leaf7_1_a = 0, xcr0;

    memset(cpu, 0, sizeof(*cpu));
    if (!__get_cpuid(1, &a, &b, &leaf1_c, &d))
        return;
    if (!bit(leaf1_c, 27)) /* OSXSAVE: xgetbv exists */
        return;
    xcr0 = read_xcr0();
    if ((xcr0 & XCR0_AVX) != XCR0_AVX)
        return;
    cpu->fma = bit(leaf1_c, 12);
    cpu->f16c = bit(leaf1_c, 29);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    cpu->avx2 = bit(b, 5);
    if (__get_cpuid_count(7, 1, &leaf7_1_a, &b2, &c2, &d))
        cpu->avx_vnni = bit(leaf7_1_a, 4);
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512)
        return;
    cpu->avx512f = bit(b, 16);
    cpu->avx512dq = bit(b, 17);
    cpu->avx512bw = bit(b, 30);
    cpu->avx512vl = bit(b, 31);
    cpu->avx512_vnni = bit(c, 11);
}

#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

void cpu_detect(struct cpu *cpu)
{
    unsigned long caps = getauxval(AT_HWCAP);

    memset(cpu, 0, sizeof(*cpu));
    cpu->neon = (caps & HWCAP_ASIMD) != 0;
    cpu->dotprod = (caps & HWCAP_ASIMDDP) != 0;
}

#else

void cpu_detect(struct cpu *cpu)
{
    memset(cpu, 0, sizeof(*cpu));
}

#endif
