/* metrics.c -- see metrics.h. */
#include "model/base/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DECIMAL_BYTES 40

void counter_add(struct counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->n, n, memory_order_relaxed);
}

uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

void histogram_init(struct histogram *h, const uint64_t *edges,
                    uint32_t n_edges, uint32_t unit)
{
    assert(n_edges <= HISTOGRAM_MAX_EDGES && unit > 0);
    memset(h, 0, sizeof *h);
    h->edges = edges;
    h->n_edges = n_edges;
    h->unit = unit;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    uint32_t i = 0;
    while (i < h->n_edges && value > h->edges[i])
        i++;
    atomic_fetch_add_explicit(&h->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

static uint64_t bucket(const struct histogram *h, uint32_t i)
{
    return atomic_load_explicit(&h->counts[i], memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i <= h->n_edges; i++)
        n += bucket(h, i);
    return n;
}

/* "0.25", "1.0": as the Python client writes them, so that an `le` is spelled
 * the same everywhere. */
static const char *decimal(char out[DECIMAL_BYTES], uint64_t value,
                           uint32_t unit)
{
    int width = 0;
    for (uint32_t u = unit; u > 1; u /= 10)
        width++;
    int n = snprintf(out, DECIMAL_BYTES, "%" PRIu64 ".%0*" PRIu64, value / unit,
                     width, value % unit);
    while (out[n - 1] == '0' && out[n - 2] != '.')
        out[--n] = '\0';
    return out;
}

void metrics_label(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s%s=\"", out->len > 0 ? "," : "", name);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\n') {
            buf_puts(out, "\\n");
            continue;
        }
        if (*c == '\\' || *c == '"')
            buf_putc(out, '\\');
        buf_putc(out, *c);
    }
    buf_putc(out, '"');
}

void metrics_head(struct metrics_text *t, const char *name,
                  enum metric_type type, const char *help)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    buf_printf(t->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
               types[type]);
}

/* Name and labels, up to the blank before the value. */
static void put_name(struct metrics_text *t, const char *name,
                     const char *suffix, const char *extra)
{
    const char *comma = *t->labels != '\0' && *extra != '\0' ? "," : "";
    if (*t->labels == '\0' && *extra == '\0')
        buf_printf(t->out, "%s%s ", name, suffix);
    else
        buf_printf(t->out, "%s%s{%s%s%s} ", name, suffix, t->labels, comma,
                   extra);
}

void metrics_sample(struct metrics_text *t, const char *name, const char *extra,
                    uint64_t value)
{
    put_name(t, name, "", extra);
    buf_printf(t->out, "%" PRIu64 "\n", value);
}

void metrics_sample_real(struct metrics_text *t, const char *name, double value)
{
    put_name(t, name, "", "");
    buf_printf(t->out, "%.15g\n", value);
}

void metrics_counter(struct metrics_text *t, const char *name, const char *help,
                     uint64_t value)
{
    metrics_head(t, name, METRIC_COUNTER, help);
    metrics_sample(t, name, "", value);
}

void metrics_gauge(struct metrics_text *t, const char *name, const char *help,
                   double value)
{
    metrics_head(t, name, METRIC_GAUGE, help);
    metrics_sample_real(t, name, value);
}

static void put_bucket(struct metrics_text *t, const char *name, const char *le,
                       uint64_t count)
{
    char label[DECIMAL_BYTES + 8];
    snprintf(label, sizeof label, "le=\"%s\"", le);
    put_name(t, name, "_bucket", label);
    buf_printf(t->out, "%" PRIu64 "\n", count);
}

void metrics_histogram(struct metrics_text *t, const char *name,
                       const char *help, const struct histogram *h)
{
    char number[DECIMAL_BYTES];
    uint64_t count = 0;
    uint64_t sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
    metrics_head(t, name, METRIC_HISTOGRAM, help);
    for (uint32_t i = 0; i < h->n_edges; i++) {
        count += bucket(h, i);
        put_bucket(t, name, decimal(number, h->edges[i], h->unit), count);
    }
    count += bucket(h, h->n_edges);
    put_bucket(t, name, "+Inf", count);
    put_name(t, name, "_sum", "");
    buf_printf(t->out, "%s\n", decimal(number, sum, h->unit));
    put_name(t, name, "_count", "");
    buf_printf(t->out, "%" PRIu64 "\n", count);
}
