/* embedding_render.c -- see embedding_render.h. */
#include "api/answer/embedding_render.h"

#include <math.h>
#include <string.h>

#include "api/base/writer.h"
#include "model/base/alloc.h"
#include "server/engine/job.h"

/* Where the floats go, and how. */
struct page {
    struct writer w;
    const struct embedding_request *r;
    float *row; /* [hidden], for what is normalised; owned */
};

/* Rows of `width`, as an array of arrays or one string. */
static void put_rows(struct page *p, const float *rows, uint32_t n_rows,
                     uint32_t width)
{
    if (p->r->base64) {
        writer_floats_base64(&p->w, rows, (size_t)n_rows * width);
        return;
    }
    writer_array(&p->w);
    for (uint32_t i = 0; i < n_rows; i++)
        writer_floats(&p->w, rows + (size_t)i * width, width);
    writer_end_array(&p->w);
}

/* A row of zeros stays one. */
static void normalize(float *row, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)row[i] * (double)row[i];
    const double scale = sum > 0 ? 1.0 / sqrt(sum) : 0;
    for (uint32_t i = 0; i < n; i++)
        row[i] = (float)((double)row[i] * scale);
}

static void put_row(struct page *p, uint32_t n)
{
    if (p->r->normalize)
        normalize(p->row, n);
    if (p->r->base64)
        writer_floats_base64(&p->w, p->row, n);
    else
        writer_floats(&p->w, p->row, n);
}

static void put_last_state(struct page *p, const struct capture *c)
{
    const uint32_t hidden = c->shape.hidden;
    float *rows = c->states + (size_t)(c->shape.n_layers - c->first_state) *
                                  c->n_tokens * hidden;
    /* It may be told as a hidden state, too, which is not normalised: those
     * come first. */
    for (uint32_t t = 0; p->r->normalize && t < c->n_tokens; t++)
        normalize(rows + (size_t)t * hidden, hidden);
    put_rows(p, rows, c->n_tokens, hidden);
}

static void put_embedding(struct page *p, const struct capture *c)
{
    const uint32_t hidden = c->shape.hidden;
    if (c->last != NULL)
        memcpy(p->row, c->last, hidden * sizeof *p->row);
    for (uint32_t i = 0; c->sum != NULL && i < hidden; i++)
        p->row[i] = (float)(c->sum[i] / c->n_tokens);
    writer_key(&p->w, "embedding");
    if (p->r->pooling == POOLING_NONE)
        put_last_state(p, c);
    else
        put_row(p, hidden);
}

/* `n` tables of n_tokens rows. */
static void put_tables(struct page *p, const char *key, const float *tables,
                       uint32_t n, uint32_t n_tokens, uint32_t width)
{
    writer_key(&p->w, key);
    writer_array(&p->w);
    for (uint32_t i = 0; i < n; i++)
        put_rows(p, tables + (size_t)i * n_tokens * width, n_tokens, width);
    writer_end_array(&p->w);
}

static void put_input(struct page *p, uint32_t index, const struct capture *c)
{
    const struct capture_shape *s = &c->shape;
    writer_object(&p->w);
    writer_key_string(&p->w, "object", "embedding");
    writer_key_int(&p->w, "index", index);
    if (p->r->hidden_states)
        put_tables(p, "hidden_states", c->states, s->n_layers + 1, c->n_tokens,
                   s->hidden);
    if (p->r->router_logits)
        put_tables(p, "router_logits", c->router, s->n_routed, c->n_tokens,
                   s->n_experts);
    put_embedding(p, c);
    writer_end_object(&p->w);
}

void embedding_render(struct buf *out, const struct embedding_request *r,
                      const struct capture *tables, uint64_t n_prompt,
                      const char *model)
{
    struct page p = {.r = r};
    p.row = mem_alloc(tables[0].shape.hidden * sizeof *p.row);
    if (p.row == NULL) {
        out->failed = true;
        return;
    }
    writer_init(&p.w, out);
    writer_object(&p.w);
    writer_key_string(&p.w, "object", "list");
    writer_key(&p.w, "data");
    writer_array(&p.w);
    for (uint32_t i = 0; i < r->n_inputs; i++)
        put_input(&p, i, &tables[i]);
    writer_end_array(&p.w);
    writer_key_string(&p.w, "model", model);
    writer_key(&p.w, "usage");
    writer_object(&p.w);
    writer_key_int(&p.w, "prompt_tokens", (int64_t)n_prompt);
    writer_key_int(&p.w, "total_tokens", (int64_t)n_prompt);
    writer_end_object(&p.w);
    writer_end_object(&p.w);
    mem_free(p.row);
}
