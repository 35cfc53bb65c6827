/* pack.c -- see pack.h. */
#define _GNU_SOURCE /* madvise */
#include "model/weights/pack.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/kernels/panel.h"
#include "model/kernels/widen.h"
#include "model/weights/map_file.h"

#define PIECE_BYTES ((size_t)1 << 20) /* of the file */
#define HUGE_PAGE ((size_t)2 << 20)
#define FAULT_AROUND ((size_t)64 << 10)
#define LOOK_AHEAD ((size_t)8 << 20)
#define LINE 64u
#define MAX_THREADS 256u

/* ---- sizes ------------------------------------------------------------- */

static bool makes_panels(const struct pack_job *job)
{
    return dtype_is_quantised(job->out[0].dtype);
}

/* cols is a multiple of the block: no product here is beyond the file's. */
static size_t row_bytes(const struct pack_job *job)
{
    return (size_t)job->out[0].cols / dtype_block_values(job->from) *
           dtype_block_bytes(job->from);
}

uint64_t pack_source_bytes(const struct pack_job *job)
{
    return (uint64_t)row_bytes(job) * job->out[0].rows * job->n;
}

uint64_t pack_bytes(const struct pack_job *job)
{
    struct matrix m = job->out[0];
    uint64_t bytes;
    if (!makes_panels(job))
        return 0;
    size_t one = panel_matrix_bytes(m.dtype, m.rows, m.cols);
    if (one == 0 || __builtin_mul_overflow((uint64_t)one, job->n, &bytes))
        return UINT64_MAX;
    return bytes;
}

/* ---- pieces ------------------------------------------------------------ */

/* What all threads of a run share. */
struct run {
    const struct pack_job *jobs;
    size_t n_jobs;
    pthread_mutex_t lock; /* over the next three: where the next piece is */
    size_t job;
    uint32_t matrix, row;
    atomic_size_t done; /* bytes of the files */
    atomic_bool broken; /* some piece could not be done */
};

/* Rows [row0, row1) of one matrix; row0 is a multiple of PANEL_ROWS. */
struct piece {
    const struct pack_job *job;
    uint32_t matrix, row0, row1;
};

static uint32_t rows_per_piece(const struct pack_job *job)
{
    size_t rows = PIECE_BYTES / row_bytes(job) / PANEL_ROWS * PANEL_ROWS;
    return rows < PANEL_ROWS         ? PANEL_ROWS
           : rows > job->out[0].rows ? job->out[0].rows
                                     : (uint32_t)rows;
}

static bool next_piece(struct run *r, struct piece *p)
{
    pthread_mutex_lock(&r->lock);
    bool more = r->job < r->n_jobs;
    if (more) {
        const struct pack_job *job = &r->jobs[r->job];
        uint32_t n = rows_per_piece(job), left = job->out[0].rows - r->row;
        n = left < n ? left : n;
        *p = (struct piece){job, r->matrix, r->row, r->row + n};
        r->row += n;
        if (r->row == job->out[0].rows) {
            r->row = 0;
            r->matrix++;
        }
        if (r->matrix == job->n) {
            r->matrix = 0;
            r->job++;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return more;
}

/* ---- from floats ------------------------------------------------------- */

static void widen_row(float *dst, const char *src, enum dtype from, uint32_t n)
{
    uint16_t half;
    if (from == DTYPE_F32) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&half, src + (size_t)i * sizeof half, sizeof half);
        dst[i] = from == DTYPE_F16 ? f16_widen(half) : bf16_widen(half);
    }
}

/* What the largest scale, a half, reaches. */
static float largest_of(enum dtype t)
{
    return 65504.0f * (t == DTYPE_Q4_0 ? 8 : 127);
}

/* By the largest magnitude: bits order as numbers do, infinity and NaN last. */
static bool all_within(const float *x, uint32_t n, float largest)
{
    uint32_t max = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t size = float_to_bits(x[i]) & 0x7fffffffu;
        max = size > max ? size : max;
    }
    return max <= float_to_bits(largest);
}

/* Of one thread: a row of floats, and PANEL_ROWS rows of blocks. */
struct scratch {
    float *row;
    char *blocks;
};

static bool encode_panel(struct scratch *s, void *dst, const char *src,
                         const struct piece *p, uint32_t row0, uint32_t n)
{
    struct matrix m = p->job->out[0];
    size_t from_bytes = row_bytes(p->job);
    size_t to_bytes = (size_t)m.cols / dtype_block_values(m.dtype) *
                      dtype_block_bytes(m.dtype);
    for (uint32_t r = 0; r < n; r++) {
        widen_row(s->row, src + (row0 + r) * from_bytes, p->job->from, m.cols);
        if (!all_within(s->row, m.cols, largest_of(m.dtype)))
            return false;
        blocks_encode(m.dtype, s->blocks + r * to_bytes, s->row, m.cols);
    }
    panel_pack(dst, s->blocks, m.dtype, n, m.cols, 0, 1);
    return true;
}

static bool encode_piece(struct scratch *s, char *dst, const char *src,
                         const struct piece *p)
{
    struct matrix m = p->job->out[0];
    size_t each = panel_bytes(m.dtype, m.cols);
    for (uint32_t row = p->row0; row < p->row1; row += PANEL_ROWS) {
        uint32_t n = p->row1 - row < PANEL_ROWS ? p->row1 - row : PANEL_ROWS;
        if (!encode_panel(s, dst + row / PANEL_ROWS * each, src, p, row, n))
            return false;
    }
    return true;
}

/* ---- running ----------------------------------------------------------- */

/* [at - before, at + n + after), cut to what the job's matrices span. */
static void around(const struct pack_job *job, const char **at, size_t *n,
                   size_t before, size_t after)
{
    size_t one = (size_t)job->out[0].rows * row_bytes(job);
    size_t skip = (size_t)(*at - job->src);
    size_t left = (job->n - 1) * job->stride + one - skip - *n;
    before = before < skip ? before : skip;
    *at -= before;
    *n += before + (after < left ? after : left);
}

/* Bringing in a piece also maps what is in memory beside it: ends of pieces
 * that were given back already. */
static void release(const struct pack_job *job, const char *at, size_t n)
{
    around(job, &at, &n, FAULT_AROUND, FAULT_AROUND);
    map_release(at, n);
}

/* The disk reads ahead of the threads. */
static bool bring_in(const struct pack_job *job, const char *at, size_t n)
{
    const char *ahead = at;
    size_t n_ahead = n;
    around(job, &ahead, &n_ahead, 0, LOOK_AHEAD);
    if (n_ahead == n + LOOK_AHEAD)
        map_will_need(at + LOOK_AHEAD, n);
    return map_touch(at, n);
}

/* NULL, or what is wrong with the tensor. */
static const char *do_piece(struct scratch *s, const struct piece *p)
{
    const struct pack_job *job = p->job;
    struct matrix m = job->out[p->matrix];
    const char *src = job->src + p->matrix * job->stride;
    const char *at = src + p->row0 * row_bytes(job);
    size_t n = (size_t)(p->row1 - p->row0) * row_bytes(job);
    bool ok = true;
    if (!bring_in(job, at, n))
        return "is no longer all in its file, which was cut while it was read";
    if (!makes_panels(job))
        return NULL;
    if (job->from == m.dtype)
        panel_pack((void *)(uintptr_t)m.data, src, m.dtype, m.rows, m.cols,
                   p->row0 / PANEL_ROWS, panel_count(p->row1));
    else
        ok = encode_piece(s, (char *)(uintptr_t)m.data, src, p);
    if (job->mapped)
        release(job, at, n);
    return ok ? NULL
              : "holds a value that is not finite, or too large for a scale of "
                "16 bits, and so cannot be quantised";
}

struct worker {
    struct run *run;
    struct scratch scratch;
    pthread_t thread;
    bool started;
    const char *name, *wrong; /* the tensor it failed at, and why; NULL: none */
};

/* True while there was a piece and nothing is broken. */
static bool work_once(struct worker *w)
{
    struct piece p;
    if (atomic_load(&w->run->broken) || !next_piece(w->run, &p))
        return false;
    w->wrong = do_piece(&w->scratch, &p);
    if (w->wrong != NULL) {
        w->name = p.job->name;
        atomic_store(&w->run->broken, true);
        return false;
    }
    atomic_fetch_add(&w->run->done,
                     (size_t)(p.row1 - p.row0) * row_bytes(p.job));
    return true;
}

static void *work(void *worker)
{
    while (work_once(worker))
        ;
    return NULL;
}

/* The loading thread works too, and tells how far all are. */
static void work_and_tell(struct worker *w, size_t total,
                          pack_progress_fn *progress, void *user)
{
    size_t told = 0;
    while (work_once(w)) {
        size_t done = atomic_load(&w->run->done);
        if (progress != NULL && done < total && done - told > total / 100) {
            told = done;
            progress(user, done, total);
        }
    }
}

static int take_scratch(struct scratch *s, const struct run *r, struct err *err)
{
    size_t cols = 0;
    for (size_t i = 0; i < r->n_jobs; i++) {
        const struct pack_job *job = &r->jobs[i];
        if (makes_panels(job) && job->from != job->out[0].dtype &&
            job->out[0].cols > cols)
            cols = job->out[0].cols;
    }
    if (cols == 0)
        return 0;
    size_t q8_row = cols / dtype_block_values(DTYPE_Q8_0) *
                    dtype_block_bytes(DTYPE_Q8_0); /* the widest there is */
    s->row = mem_alloc(cols * sizeof *s->row);
    s->blocks = mem_alloc(PANEL_ROWS * q8_row);
    return s->row != NULL && s->blocks != NULL
               ? 0
               : err_nomem(err, "a row to quantise");
}

/* Aligned to a line only: slabs then lie side by side, without a hole that a
 * huge page would fill, and the kernel joins them. */
static void *take_slab(size_t n)
{
    char *slab = mem_alloc_aligned(LINE, n);
#ifdef MADV_HUGEPAGE
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t skip = (page - (uintptr_t)slab % page) % page;
    if (slab != NULL && n >= HUGE_PAGE)
        (void)madvise(slab + skip, n - skip, MADV_HUGEPAGE);
#endif
    return slab;
}

static int take_slabs(const struct run *r, void **slabs, struct err *err)
{
    for (size_t i = 0; i < r->n_jobs; i++) {
        const struct pack_job *job = &r->jobs[i];
        uint64_t bytes = pack_bytes(job);
        if (bytes == 0)
            continue;
        slabs[i] = bytes < SIZE_MAX / 2 ? take_slab((size_t)bytes) : NULL;
        if (slabs[i] == NULL)
            return err_set(err, ERR_NOMEM,
                           "no memory for the %llu bytes that %.128s takes",
                           (unsigned long long)bytes, job->name);
        for (uint32_t j = 0; j < job->n; j++)
            job->out[j].data = (char *)slabs[i] + j * (bytes / job->n);
    }
    return 0;
}

/* A thread that cannot be started is done without. */
static int run_workers(struct run *r, struct worker *w, uint32_t n,
                       pack_progress_fn *progress, void *user, struct err *err)
{
    size_t total = 0;
    int rc = 0;
    for (size_t i = 0; i < r->n_jobs; i++)
        total += (size_t)pack_source_bytes(&r->jobs[i]);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        w[i].run = r;
        rc = take_scratch(&w[i].scratch, r, err);
    }
    if (rc != 0)
        return rc;
    for (uint32_t i = 1; i < n; i++)
        w[i].started = pthread_create(&w[i].thread, NULL, work, &w[i]) == 0;
    work_and_tell(&w[0], total, progress, user);
    for (uint32_t i = 1; i < n; i++)
        if (w[i].started)
            pthread_join(w[i].thread, NULL);
    for (uint32_t i = 0; i < n; i++)
        if (w[i].wrong != NULL)
            return err_set(err, ERR_FORMAT, "%.128s %s", w[i].name, w[i].wrong);
    if (progress != NULL)
        progress(user, total, total);
    return 0;
}

int pack_run(const struct pack_job *jobs, size_t n, void **slabs,
             uint32_t n_threads, pack_progress_fn *progress, void *user,
             struct err *err)
{
    struct run r = {
        .jobs = jobs, .n_jobs = n, .lock = PTHREAD_MUTEX_INITIALIZER};
    n_threads = n_threads == 0 ? 1 : n_threads;
    n_threads = n_threads > MAX_THREADS ? MAX_THREADS : n_threads;
    for (size_t i = 0; i < n; i++)
        slabs[i] = NULL;
    struct worker *w = mem_calloc(n_threads, sizeof *w);
    if (w == NULL)
        return err_nomem(err, "the threads that load");
    int rc = take_slabs(&r, slabs, err);
    if (rc == 0)
        rc = run_workers(&r, w, n_threads, progress, user, err);
    for (uint32_t i = 0; i < n_threads; i++) {
        mem_free(w[i].scratch.row);
        mem_free(w[i].scratch.blocks);
    }
    mem_free(w);
    pthread_mutex_destroy(&r.lock);
    return rc;
}
