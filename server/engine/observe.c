/* observe.c -- see observe.h. */
#include "server/engine/observe.h"

#include <stdio.h>
#include <string.h>

#include "model/base/clock.h"
#include "model/cache/cache.h" /* KV_BLOCK_TOKENS */
#include "server/engine/engine.h"
#include "server/engine/job_state.h"
#include "server/engine/sequence.h"

#define US_PER_S 1000000u
/* A mean over so many ends rides out a batch that ends in one step. */
#define PACE_ENDS 64u
#define RETRY_MOST_S 3600u

#define N_OF(list) ((uint32_t)(sizeof(list) / sizeof *(list)))

/* Microseconds. */
static const uint64_t first_token_edges[] = {
    1000,     5000,      10000,     20000,      40000,    60000,
    80000,    100000,    250000,    500000,     750000,   1000000,
    2500000,  5000000,   7500000,   10000000,   20000000, 40000000,
    80000000, 160000000, 640000000, 2560000000,
};
static const uint64_t token_edges[] = {
    10000,   25000,    50000,    75000,    100000,   150000,  200000,
    300000,  400000,   500000,   750000,   1000000,  2500000, 5000000,
    7500000, 10000000, 20000000, 40000000, 80000000,
};
static const uint64_t request_edges[] = {
    300000,    500000,     800000,     1000000,   1500000,   2000000,
    2500000,   5000000,    10000000,   15000000,  20000000,  30000000,
    40000000,  50000000,   60000000,   120000000, 240000000, 480000000,
    960000000, 1920000000, 7680000000,
};
/* Tokens, choices. */
static const uint64_t length_edges[] = {
    1,    2,    5,     10,    20,    50,     100,    200,    500,     1000,
    2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000,
};
static const uint64_t step_edges[] = {
    1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192,
};
static const uint64_t choice_edges[] = {1, 2, 5, 10, 20};

/* ---- what happens ----------------------------------------------------- */

void observer_init(struct observer *o, uint32_t ctx_tokens)
{
    uint32_t n = 0;
    memset(o, 0, sizeof *o);
    while (n < N_OF(length_edges) && length_edges[n] <= ctx_tokens)
        n++;
    histogram_init(&o->prompt, length_edges, n, 1);
    histogram_init(&o->generation, length_edges, n, 1);
    histogram_init(&o->max_tokens, length_edges, n, 1);
    histogram_init(&o->step_tokens, step_edges, N_OF(step_edges), 1);
    histogram_init(&o->n_choices, choice_edges, N_OF(choice_edges), 1);
    histogram_init(&o->first_token, first_token_edges, N_OF(first_token_edges),
                   US_PER_S);
    histogram_init(&o->between_tokens, token_edges, N_OF(token_edges),
                   US_PER_S);
    histogram_init(&o->per_token, token_edges, N_OF(token_edges), US_PER_S);
    struct histogram *const of_requests[] = {
        &o->whole, &o->queue, &o->prefill, &o->decode, &o->inference,
    };
    for (uint32_t i = 0; i < N_OF(of_requests); i++)
        histogram_init(of_requests[i], request_edges, N_OF(request_edges),
                       US_PER_S);
}

static uint64_t get(const atomic_ullong *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void set(atomic_ullong *n, uint64_t value)
{
    atomic_store_explicit(n, value, memory_order_relaxed);
}

/* The first of its choices.  After a rest the pace is measured anew from here,
 * or the rest would count as slowness. */
static void start_job(struct observer *o, struct job_state *st, uint64_t now)
{
    if (st->started)
        return;
    st->started = true;
    if (atomic_fetch_add_explicit(&o->n_started, 1, memory_order_relaxed) == 0)
        set(&o->mark_us, now);
}

void observe_planned(struct observer *o, struct sequence *seq)
{
    struct job_state *st = seq->job->state;
    if (seq->times.planned_us != 0)
        return;
    seq->times.planned_us = clock_now_us();
    histogram_add(&o->queue, seq->times.planned_us - st->arrived_us);
    start_job(o, st, seq->times.planned_us);
}

void observe_tokens(struct observer *o, struct sequence *seq, uint32_t n_new)
{
    struct timeline *times = &seq->times;
    if (n_new == 0)
        return;
    uint64_t now = clock_now_us();
    if (times->first_us == 0) {
        times->first_us = now;
        histogram_add(&o->first_token, now - seq->job->state->arrived_us);
        counter_add(&o->prompt_tokens, seq->job->n_prompt);
    } else {
        histogram_add(&o->between_tokens, now - times->last_us);
    }
    times->last_us = now;
    counter_add(&o->generation_tokens, n_new);
}

void observe_draft(struct observer *o, uint32_t n_draft, uint32_t n_accepted)
{
    counter_add(&o->drafts, 1);
    counter_add(&o->draft_tokens, n_draft);
    for (uint32_t i = 0; i < n_accepted; i++)
        counter_add(&o->accepted[i], 1);
}

void observe_step(struct observer *o, uint32_t n_tokens)
{
    histogram_add(&o->step_tokens, n_tokens);
}

enum outcome observe_outcome(const struct job_event *end)
{
    if (end->kind == EVENT_ERROR)
        return OUTCOME_ERROR;
    if (end->finish == FINISH_STOP)
        return OUTCOME_STOP;
    if (end->finish == FINISH_LOOP)
        return OUTCOME_LOOP;
    return end->finish == FINISH_LENGTH ? OUTCOME_LENGTH : OUTCOME_ABORT;
}

/* Of a choice that said all it had to say. */
static void observe_finished(struct observer *o, const struct sequence *seq,
                             uint64_t now)
{
    const struct timeline *times = &seq->times;
    const struct job *job = seq->job;
    uint64_t end = times->last_us != 0 ? times->last_us : now;
    histogram_add(&o->whole, end - job->state->arrived_us);
    histogram_add(&o->prompt, job->n_prompt);
    histogram_add(&o->generation, seq->n_output);
    histogram_add(&o->max_tokens, job->max_tokens);
    if (times->first_us == 0) {
        if (times->planned_us != 0) /* a prompt without a reply */
            counter_add(&o->prompt_tokens, job->n_prompt);
        return;
    }
    histogram_add(&o->prefill, times->first_us - times->planned_us);
    histogram_add(&o->decode, times->last_us - times->first_us);
    histogram_add(&o->inference, times->last_us - times->planned_us);
    if (seq->n_output > 1)
        histogram_add(&o->per_token,
                      (times->last_us - times->first_us) / (seq->n_output - 1));
}

static void end_started_job(struct observer *o, uint64_t now)
{
    uint64_t n = get(&o->n_ended) + 1;
    int64_t weight = n < PACE_ENDS ? (int64_t)n : PACE_ENDS;
    int64_t gap = (int64_t)get(&o->gap_us);
    int64_t sample = (int64_t)(now - get(&o->mark_us));
    set(&o->gap_us, (uint64_t)(gap + (sample - gap) / weight));
    set(&o->mark_us, now);
    set(&o->n_ended, n);
    atomic_fetch_sub_explicit(&o->n_started, 1, memory_order_relaxed);
}

void observe_job_end(struct observer *o, const struct job *job)
{
    const struct job_state *st = job->state;
    uint64_t now = clock_now_us();
    for (uint32_t i = 0; i < job->n_choices; i++) {
        const struct sequence *seq = &st->seqs[i];
        enum outcome outcome = seq->times.outcome;
        counter_add(&o->outcomes[outcome], 1);
        if (outcome == OUTCOME_STOP || outcome == OUTCOME_LENGTH ||
            outcome == OUTCOME_LOOP)
            observe_finished(o, seq, now);
    }
    histogram_add(&o->n_choices, job->n_choices);
    if (st->started)
        end_started_job(o, now);
}

/* ---- what is told ----------------------------------------------------- */

/* From one end to the next. */
static uint64_t end_gap_us(const struct observer *o, uint32_t n_started)
{
    uint64_t gap = get(&o->gap_us);
    uint64_t now = clock_now_us(), mark = get(&o->mark_us);
    /* Before the first end, and when the ends stay away: so many run, and none
     * has ended for so long. */
    if (n_started > 0 && now > mark && (now - mark) / n_started > gap)
        gap = (now - mark) / n_started;
    return gap;
}

static uint32_t in_seconds(uint64_t us)
{
    uint64_t s = (us + US_PER_S - 1) / US_PER_S;
    if (s > RETRY_MOST_S)
        return RETRY_MOST_S;
    return s > 0 ? (uint32_t)s : 1;
}

static uint32_t started(const struct observer *o)
{
    return atomic_load_explicit(&o->n_started, memory_order_relaxed);
}

uint32_t observe_retry_s(const struct observer *o, uint32_t n_jobs)
{
    uint32_t n_started = started(o);
    uint64_t n_waiting = n_jobs > n_started ? n_jobs - n_started : 1;
    return in_seconds(end_gap_us(o, n_started) * n_waiting);
}

uint32_t observe_end_s(const struct observer *o, uint32_t n_jobs,
                       uint32_t n_own)
{
    return in_seconds(end_gap_us(o, started(o)) * n_jobs /
                      (n_own > 0 ? n_own : 1));
}

static void write_counters(const struct observer *o,
                           const struct engine_stats *stats,
                           struct metrics_text *t)
{
    static const char success[] = "vllm:request_success_total";
    static const char *const reasons[N_OUTCOMES] = {
        [OUTCOME_ABORT] = "finished_reason=\"abort\"",
        [OUTCOME_STOP] = "finished_reason=\"stop\"",
        [OUTCOME_LENGTH] = "finished_reason=\"length\"",
        [OUTCOME_ERROR] = "finished_reason=\"error\"",
        [OUTCOME_LOOP] = "finished_reason=\"repetition\"",
    };
    metrics_counter(t, "vllm:num_preemptions_total",
                    "Sequences whose blocks were taken for others.",
                    stats->preemptions);
    metrics_counter(t, "vllm:prefix_cache_queries_total",
                    "Prompt tokens that were looked for in the cache.",
                    stats->prefix_query_tokens);
    metrics_counter(t, "vllm:prefix_cache_hits_total",
                    "Prompt tokens that were there and were not computed.",
                    stats->prefix_hit_tokens);
    metrics_counter(t, "vllm:prompt_tokens_total",
                    "Tokens of the prompts that got their first token.",
                    counter_get(&o->prompt_tokens));
    metrics_counter(t, "vllm:generation_tokens_total", "Tokens drawn.",
                    counter_get(&o->generation_tokens));
    metrics_head(t, success, METRIC_COUNTER,
                 "Choices that ended, by what ended them.");
    for (uint32_t i = 0; i < N_OUTCOMES; i++)
        metrics_sample(t, success, reasons[i], counter_get(&o->outcomes[i]));
    metrics_counter(t, "lfmd_requests_refused_total",
                    "Requests that the engine did not take, most of them "
                    "because its queue was full.",
                    stats->jobs_refused);
    metrics_counter(t, "lfmd_requests_expired_total",
                    "Requests that waited longer than max-queue-time.",
                    counter_get(&o->expired));
}

static void write_drafts(const struct observer *o, struct metrics_text *t)
{
    static const char name[] =
        "vllm:spec_decode_num_accepted_tokens_per_pos_total";
    uint64_t n_accepted = 0;
    for (uint32_t i = 0; i < JOB_DRAFT_MAX; i++)
        n_accepted += counter_get(&o->accepted[i]);
    metrics_counter(t, "vllm:spec_decode_num_drafts_total",
                    "Guesses at the next tokens of a choice.",
                    counter_get(&o->drafts));
    metrics_counter(t, "vllm:spec_decode_num_draft_tokens_total",
                    "Tokens that were guessed.", counter_get(&o->draft_tokens));
    metrics_counter(t, "vllm:spec_decode_num_accepted_tokens_total",
                    "Guessed tokens that were right.", n_accepted);
    metrics_head(t, name, METRIC_COUNTER,
                 "Guessed tokens that were right, by their place.");
    for (uint32_t i = 0; i < JOB_DRAFT_MAX; i++) {
        char label[32];
        snprintf(label, sizeof label, "position=\"%u\"", (unsigned)i);
        metrics_sample(t, name, label, counter_get(&o->accepted[i]));
    }
}

static void write_gauges(const struct engine_stats *stats,
                         struct metrics_text *t)
{
    static const char info[] = "vllm:cache_config_info";
    char shape[96];
    uint32_t used = stats->total_blocks - stats->free_blocks;
    metrics_gauge(t, "vllm:num_requests_running",
                  "Sequences that have their place in the steps.",
                  stats->running);
    metrics_gauge(t, "vllm:num_requests_waiting",
                  "Sequences that wait for a place.", stats->waiting);
    metrics_gauge(t, "vllm:kv_cache_usage_perc",
                  "Part of the cache that is in use, 1 is all of it.",
                  stats->total_blocks > 0
                      ? (double)used / (double)stats->total_blocks
                      : 0);
    metrics_head(t, info, METRIC_GAUGE, "Shape of the cache.");
    snprintf(shape, sizeof shape, "block_size=\"%u\",num_gpu_blocks=\"%u\"",
             (unsigned)KV_BLOCK_TOKENS, (unsigned)stats->total_blocks);
    metrics_sample(t, info, shape, 1);
}

void observe_write(const struct observer *o, const struct engine_stats *stats,
                   struct metrics_text *t)
{
    const struct {
        const char *name, *help;
        const struct histogram *h;
    } rows[] = {
        {"vllm:time_to_first_token_seconds",
         "From arrival in the engine to the first token.", &o->first_token},
        {"vllm:inter_token_latency_seconds",
         "From one token of a choice to its next.", &o->between_tokens},
        {"vllm:request_time_per_output_token_seconds",
         "Mean time between the tokens of a choice.", &o->per_token},
        {"vllm:e2e_request_latency_seconds",
         "From arrival in the engine to the last token.", &o->whole},
        {"vllm:request_queue_time_seconds",
         "From arrival to the first step that has it.", &o->queue},
        {"vllm:request_prefill_time_seconds",
         "From the first step to the first token.", &o->prefill},
        {"vllm:request_decode_time_seconds",
         "From the first token to the last.", &o->decode},
        {"vllm:request_inference_time_seconds",
         "From the first step to the last token.", &o->inference},
        {"vllm:request_prompt_tokens", "Prompt tokens of a finished choice.",
         &o->prompt},
        {"vllm:request_generation_tokens",
         "Tokens drawn for a finished choice.", &o->generation},
        {"vllm:request_params_max_tokens", "Most tokens a choice might have.",
         &o->max_tokens},
        {"vllm:request_params_n", "Choices of a request.", &o->n_choices},
        /* A histogram by this name, as vLLM has it. */
        {"vllm:iteration_tokens_total", "Tokens computed in one step.",
         &o->step_tokens},
    };
    write_gauges(stats, t);
    write_counters(o, stats, t);
    write_drafts(o, t);
    for (uint32_t i = 0; i < N_OF(rows); i++)
        metrics_histogram(t, rows[i].name, rows[i].help, rows[i].h);
}
