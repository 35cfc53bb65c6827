/* kernels.c -- builds one table per instruction set and hands them out.
 *
 * Every table starts as the reference, so a slot has a meaning before it has
 * speed, and is overlaid by the sets below and including its own.  A new set is
 * one row of `isas` and its overlay. */
#include "model/kernels/kernels.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "model/base/err.h"
#include "model/kernels/cpu.h"
#include "model/kernels/kernels_fill.h"

static bool has_ref(const struct cpu *cpu)
{
    (void)cpu;
    return true;
}

static bool has_avx2(const struct cpu *cpu)
{
    return cpu->avx2 && cpu->fma && cpu->f16c;
}

static bool has_avxvnni(const struct cpu *cpu)
{
    return has_avx2(cpu) && cpu->avx_vnni;
}

static bool has_avx512(const struct cpu *cpu)
{
    return has_avx2(cpu) && cpu->avx512f && cpu->avx512bw && cpu->avx512dq &&
           cpu->avx512vl;
}

static bool has_avx512vnni(const struct cpu *cpu)
{
    return has_avx512(cpu) && cpu->avx512_vnni;
}

static bool has_neon(const struct cpu *cpu)
{
    return cpu->neon && cpu->dotprod;
}

static void fill_ref(struct kernels *k)
{
    matmul_fill_ref(k);
    qmatmul_fill_ref(k);
    rows_fill_ref(k);
    attend_fill_ref(k);
    conv_fill_ref(k);
}

static void fill_avx2(struct kernels *k)
{
    matmul_fill_avx2(k);
    qmatmul_fill_avx2(k);
    rows_fill_avx2(k);
    attend_fill_avx2(k);
    conv_fill_avx2(k);
}

static void fill_avx512(struct kernels *k)
{
    matmul_fill_avx512(k);
    rows_fill_avx512(k);
    attend_fill_avx512(k);
}

static void fill_neon(struct kernels *k)
{
    matmul_fill_neon(k);
    qmatmul_fill_neon(k);
    rows_fill_neon(k);
    attend_fill_neon(k);
    conv_fill_neon(k);
}

enum isa_id {
    ISA_REF,
    ISA_AVX2,
    ISA_AVXVNNI,
    ISA_AVX512,
    ISA_AVX512VNNI,
    ISA_NEON,
    N_ISAS
};

/* Slowest first.  A set is laid over the one it builds on, which every CPU that
 * has it has too. */
static const struct isa {
    const char *name;
    const char *needs;
    bool (*has)(const struct cpu *cpu);
    void (*fill)(struct kernels *k);
    enum isa_id over;
} isas[N_ISAS] = {
    [ISA_REF] = {"ref", "nothing", has_ref, fill_ref, ISA_REF},
    [ISA_AVX2] = {"avx2", "AVX2, FMA and F16C", has_avx2, fill_avx2, ISA_REF},
    [ISA_AVXVNNI] = {"avxvnni", "AVX2 and AVX-VNNI", has_avxvnni,
                     qmatmul_fill_avxvnni, ISA_AVX2},
    [ISA_AVX512] = {"avx512", "AVX-512 F, BW, DQ and VL", has_avx512,
                    fill_avx512, ISA_AVX2},
    [ISA_AVX512VNNI] = {"avx512vnni", "AVX-512 VNNI", has_avx512vnni,
                        qmatmul_fill_avx512vnni, ISA_AVX512},
    [ISA_NEON] = {"neon", "NEON with dot product", has_neon, fill_neon,
                  ISA_REF},
};

static struct kernels tables[N_ISAS];
static uint32_t usable[N_ISAS]; /* indices of those that can run here */
static uint32_t n_usable;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    struct cpu cpu;

    cpu_detect(&cpu);
    for (uint32_t i = 0; i < N_ISAS; i++) {
        if (!isas[i].has(&cpu))
            continue;
        tables[i] = tables[isas[i].over];
        isas[i].fill(&tables[i]);
        tables[i].name = isas[i].name;
        usable[n_usable++] = i;
    }
}

const struct kernels *kernels_select(const char *isa, struct err *err)
{
    const struct kernels *best;

    pthread_once(&tables_once, fill_tables);
    best = &tables[usable[n_usable - 1]];
    if (isa == NULL || strcmp(isa, "best") == 0)
        return best;
    for (uint32_t i = 0; i < N_ISAS; i++) {
        if (strcmp(isa, isas[i].name) != 0)
            continue;
        if (tables[i].name != NULL)
            return &tables[i];
        err_set(err, ERR_UNSUPPORTED,
                "kernels \"%s\" need %s, which this CPU or its operating "
                "system lacks; the best it can run is \"%s\"",
                isa, isas[i].needs, best->name);
        return NULL;
    }
    err_set(err, ERR_UNSUPPORTED,
            "there are no kernels named \"%s\"; expected \"best\", \"ref\", "
            "\"avx2\", \"avxvnni\", \"avx512\", \"avx512vnni\" or \"neon\"",
            isa);
    return NULL;
}

const char *kernels_isa(uint32_t i)
{
    pthread_once(&tables_once, fill_tables);
    return i < n_usable ? isas[usable[i]].name : NULL;
}
