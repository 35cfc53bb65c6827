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

static void fill_ref(struct kernels *k)
{
    matmul_fill_ref(k);
    rows_fill_ref(k);
    attend_fill_ref(k);
    conv_fill_ref(k);
}

static void fill_avx2(struct kernels *k)
{
    matmul_fill_avx2(k);
    rows_fill_avx2(k);
    attend_fill_avx2(k);
    conv_fill_avx2(k);
}

/* Slowest first; a set implies those above it. */
static const struct isa {
    const char *name;
    const char *needs;
    bool (*has)(const struct cpu *cpu);
    void (*fill)(struct kernels *k);
} isas[] = {
    {"ref", "nothing", has_ref, fill_ref},
    {"avx2", "AVX2, FMA and F16C", has_avx2, fill_avx2},
};

#define N_ISAS (sizeof(isas) / sizeof(isas[0]))

static struct kernels tables[N_ISAS];
static uint32_t n_usable; /* tables[0 .. n_usable) can run here */
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    struct cpu cpu;

    cpu_detect(&cpu);
    while (n_usable < N_ISAS && isas[n_usable].has(&cpu)) {
        struct kernels *k = &tables[n_usable];

        if (n_usable > 0)
            *k = tables[n_usable - 1];
        isas[n_usable].fill(k);
        k->name = isas[n_usable].name;
        n_usable++;
    }
}

const struct kernels *kernels_select(const char *isa, struct err *err)
{
    pthread_once(&tables_once, fill_tables);
    if (isa == NULL || strcmp(isa, "best") == 0)
        return &tables[n_usable - 1];
    for (uint32_t i = 0; i < N_ISAS; i++) {
        if (strcmp(isa, isas[i].name) != 0)
            continue;
        if (i < n_usable)
            return &tables[i];
        err_set(err, ERR_UNSUPPORTED,
                "kernels \"%s\" need %s, which this CPU or its operating "
                "system lacks; the best it can run is \"%s\"",
                isa, isas[i].needs, tables[n_usable - 1].name);
        return NULL;
    }
    err_set(err, ERR_UNSUPPORTED,
            "there are no kernels named \"%s\"; expected \"best\", \"ref\" or "
            "\"avx2\"",
            isa);
    return NULL;
}

const char *kernels_isa(uint32_t i)
{
    pthread_once(&tables_once, fill_tables);
    return i < n_usable ? tables[i].name : NULL;
}
