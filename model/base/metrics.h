/* metrics.h -- counting what happens, and saying it as Prometheus reads it.
 *
 * Counting is relaxed atomics of fixed size, so that a step may do it: no lock,
 * no allocation.  Saying is the text format 0.0.4: each family once, head
 * first.  It knows no metric's name or meaning.
 *
 * Counting: any thread.  A text: one thread; it may lag behind the counting,
 * and its families need not be of one instant, but the buckets and the count
 * of one histogram always agree. */
#ifndef LFMD_MODEL_BASE_METRICS_H
#define LFMD_MODEL_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "model/base/buf.h"

#define HISTOGRAM_MAX_EDGES 24u
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct counter {
    atomic_ullong n;
};

void counter_add(struct counter *c, uint64_t n);
uint64_t counter_get(const struct counter *c);

/* Values are whole numbers; `unit` of them are 1 in the text, so microseconds
 * told as seconds have the unit 1000000 and lose nothing on the way. */
struct histogram {
    const uint64_t *edges; /* [n_edges], borrowed, rising; an edge belongs to
                              the bucket below it */
    uint32_t n_edges;
    uint32_t unit;                                 /* a power of ten */
    atomic_ullong counts[HISTOGRAM_MAX_EDGES + 1]; /* last: above all edges */
    atomic_ullong sum;
};

/* n_edges is at most HISTOGRAM_MAX_EDGES. */
void histogram_init(struct histogram *h, const uint64_t *edges,
                    uint32_t n_edges, uint32_t unit);
void histogram_add(struct histogram *h, uint64_t value);
uint64_t histogram_count(const struct histogram *h);

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Failure is the buffer's. */
struct metrics_text {
    struct buf *out;    /* borrowed */
    const char *labels; /* of every sample, as metrics_label writes them; "" */
};

/* Appends name="value", with a comma before it if `out` is not empty. */
void metrics_label(struct buf *out, const char *name, const char *value);

/* A family: its head, then its samples.  `extra` are labels after the common
 * ones, or "".  `help` has no backslash and no newline. */
void metrics_head(struct metrics_text *t, const char *name,
                  enum metric_type type, const char *help);
void metrics_sample(struct metrics_text *t, const char *name, const char *extra,
                    uint64_t value);
void metrics_sample_real(struct metrics_text *t, const char *name,
                         double value);

/* Whole families of one sample, or of one histogram. */
void metrics_counter(struct metrics_text *t, const char *name, const char *help,
                     uint64_t value);
void metrics_gauge(struct metrics_text *t, const char *name, const char *help,
                   double value);
void metrics_histogram(struct metrics_text *t, const char *name,
                       const char *help, const struct histogram *h);

#endif
