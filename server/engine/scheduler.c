/* scheduler.c -- see scheduler.h. */
#include "server/engine/scheduler.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"

/* No share is less: small chunks waste the weights they read. */
#define SMALL_CHUNK 16u

/* What is left while a plan is made. */
struct budget {
    uint32_t tokens, rows, blocks;
};

int scheduler_init(struct scheduler *s, const struct sched_limits *limits,
                   struct err *err)
{
    const uint32_t n = limits->max_running;
    memset(s, 0, sizeof *s);
    if (n == 0 || limits->max_tokens < n || limits->max_rows < n ||
        limits->block_tokens == 0)
        return err_set(err, ERR_INTERNAL,
                       "scheduler: %u sequences cannot share steps of %u "
                       "tokens and %u logit rows",
                       n, limits->max_tokens, limits->max_rows);
    s->limits = *limits;
    s->mixed_tokens = limits->max_tokens;
    s->running = mem_calloc(n, sizeof *s->running);
    s->chunks = mem_calloc(n, sizeof *s->chunks);
    s->plan.evicted = mem_calloc(n, sizeof *s->plan.evicted);
    s->plan.admitted = mem_calloc(n, sizeof *s->plan.admitted);
    s->plan.items = mem_calloc(n, sizeof *s->plan.items);
    if (s->running == NULL || s->chunks == NULL || s->plan.evicted == NULL ||
        s->plan.admitted == NULL || s->plan.items == NULL) {
        scheduler_deinit(s);
        return err_nomem(err, "the scheduler");
    }
    return 0;
}

void scheduler_deinit(struct scheduler *s)
{
    mem_free(s->running);
    mem_free(s->chunks);
    mem_free(s->plan.evicted);
    mem_free(s->plan.admitted);
    mem_free(s->plan.items);
    memset(s, 0, sizeof *s);
}

static bool is_older(const struct sched_entry *a, const struct sched_entry *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->number < b->number;
}

static void run(struct scheduler *s, struct sched_entry *entry)
{
    uint32_t at = s->n_running++;
    for (; at > 0 && is_older(entry, s->running[at - 1]); at--)
        s->running[at] = s->running[at - 1];
    s->running[at] = entry;
    entry->where = SCHED_RUNNING;
    queue_tenant(&s->queue, entry)->n_running++;
}

static void stop_running(struct scheduler *s, struct sched_entry *entry)
{
    uint32_t at = 0;
    while (s->running[at] != entry)
        at++;
    s->n_running--;
    memmove(&s->running[at], &s->running[at + 1],
            (s->n_running - at) * sizeof *s->running);
    queue_tenant(&s->queue, entry)->n_running--;
}

void scheduler_add(struct scheduler *s, struct sched_entry *entry)
{
    entry->n_computed = entry->n_shared = entry->n_blocks = 0;
    entry->n_planned = entry->n_rows = entry->n_draft = 0;
    entry->took = entry->lost = false;
    entry->where = SCHED_WAITING;
    queue_add(&s->queue, entry);
    s->n_waiting++;
}

void scheduler_remove(struct scheduler *s, struct sched_entry *entry)
{
    if (entry->where == SCHED_RUNNING) {
        stop_running(s, entry);
    } else if (entry->where == SCHED_WAITING) {
        queue_remove(&s->queue, entry);
        s->n_waiting--;
    }
    entry->where = SCHED_OUT;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t blocks_for(const struct scheduler *s, uint32_t n_tokens)
{
    return n_tokens / s->limits.block_tokens +
           (n_tokens % s->limits.block_tokens != 0);
}

/* Most tokens of `e` that fit the budgets and its job's room. */
static uint32_t chunk_of(const struct sched_entry *e, const struct budget *b)
{
    uint32_t left = e->n_tokens - e->n_computed;
    uint32_t rows = smaller(b->rows, *e->room > 0 ? *e->room - 1 : 0);
    uint32_t mute =
        e->first_row > e->n_computed ? e->first_row - e->n_computed : 0;
    if (mute < left && rows < left - mute)
        left = mute + rows;
    return smaller(left, b->tokens);
}

static bool is_decode(const struct sched_entry *e)
{
    return e->n_tokens - e->n_computed == 1;
}

/* Whether its reader's slowness alone keeps it where it is. */
static bool is_stalled(const struct sched_entry *e)
{
    return e->first_row <= e->n_computed && *e->room < 2;
}

/* What the next in order may take when others come after it. */
static struct budget share_of(const struct budget *b, bool others)
{
    struct budget share = *b;
    if (others) {
        uint32_t half = b->tokens - b->tokens / 2;
        share.tokens =
            smaller(b->tokens, half > SMALL_CHUNK ? half : SMALL_CHUNK);
        share.rows = b->rows - b->rows / 2;
    }
    return share;
}

static void spend(struct sched_entry *e, uint32_t n, struct budget *b)
{
    uint32_t end = e->n_computed + n;
    uint32_t from = e->first_row;
    if (from < e->n_computed)
        from = e->n_computed;
    e->n_planned = n;
    e->n_rows = end > from ? end - from : 0;
    b->tokens -= n;
    b->rows -= e->n_rows;
    if (e->n_rows > 0)
        *e->room -= e->n_rows + 1;
}

static void unspend(struct sched_entry *e, struct budget *b)
{
    b->tokens += e->n_planned;
    b->rows += e->n_rows;
    if (e->n_rows > 0)
        *e->room += e->n_rows + 1;
}

static void take(struct scheduler *s, struct sched_entry *e, uint32_t n,
                 struct budget *b)
{
    spend(e, n, b);
    s->plan.items[s->plan.n_items++] = e;
}

static void evict(struct scheduler *s, struct sched_entry *e, struct budget *b)
{
    assert(e->n_planned == 0 && e->n_shared <= e->n_blocks);
    b->blocks += e->n_blocks - e->n_shared;
    e->n_blocks = e->n_shared = 0;
    e->n_computed = e->n_draft = 0;
    stop_running(s, e);
    queue_put(&s->queue, e);
    e->where = SCHED_WAITING;
    s->n_waiting++;
    s->plan.evicted[s->plan.n_evicted++] = e;
}

/* The last stalled entry that this plan has not taken, or NULL. */
static struct sched_entry *last_stalled(const struct scheduler *s)
{
    for (uint32_t i = s->n_running; i-- > 0;) {
        struct sched_entry *e = s->running[i];
        if (e->n_planned == 0 && is_stalled(e))
            return e;
    }
    return NULL;
}

/* ---- the steps of a plan ---------------------------------------------- */

/* `need` free blocks for a decode; false when it had to go itself.  Whoever is
 * younger has nothing planned yet. */
static bool make_room(struct scheduler *s, uint32_t need,
                      struct sched_entry *asker, struct budget *b)
{
    while (b->blocks < need) {
        struct sched_entry *victim = last_stalled(s);
        if (victim == NULL)
            victim = s->running[s->n_running - 1];
        evict(s, victim, b);
        if (victim == asker)
            return false;
    }
    return true;
}

static void plan_decodes(struct scheduler *s, struct budget *b)
{
    for (uint32_t i = 0; i < s->n_running;) {
        struct sched_entry *e = s->running[i];
        uint32_t n = chunk_of(e, b);
        if (is_decode(e) && n == 1) {
            uint32_t all = blocks_for(s, e->n_computed + 1);
            uint32_t need = all > e->n_blocks ? all - e->n_blocks : 0;
            if (make_room(s, need, e, b)) {
                b->blocks -= need;
                e->n_blocks += need;
                take(s, e, 1, b);
            }
        }
        /* Evictions moved the others: the next is whoever follows `e`. */
        while (i < s->n_running && !is_older(e, s->running[i]))
            i++;
        while (i > 0 && is_older(e, s->running[i - 1]))
            i--;
    }
}

/* A place and `need` blocks for a waiting entry; stalled ones give theirs. */
static bool find_place(struct scheduler *s, uint32_t need, struct budget *b)
{
    for (;;) {
        uint32_t spare = s->n_running;
        if (s->n_running < s->limits.max_running && need <= b->blocks &&
            spare <= b->blocks - need)
            return true;
        struct sched_entry *victim = last_stalled(s);
        if (victim == NULL || s->plan.n_evicted == s->limits.max_running)
            return false;
        evict(s, victim, b);
    }
}

/* Running entries with more than a token to compute, as they are to be
 * served; returns how many. */
static uint32_t order_chunks(struct scheduler *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_running; i++) {
        struct sched_entry *e = s->running[i];
        if (e->n_planned > 0 || is_decode(e))
            continue;
        uint32_t at = n++;
        for (; at > 0 && queue_before(&s->queue, e, s->chunks[at - 1]); at--)
            s->chunks[at] = s->chunks[at - 1];
        s->chunks[at] = e;
    }
    return n;
}

/* False when it does not fit. */
static bool admit(struct scheduler *s, struct sched_entry *e,
                  const struct budget *share, struct budget *b)
{
    uint32_t all = blocks_for(s, e->n_tokens);
    uint32_t need = all - e->n_shared;
    uint32_t n = chunk_of(e, share);
    if (n == 0 || !find_place(s, need, b))
        return false;
    b->blocks -= need;
    e->n_blocks = all;
    s->n_waiting--;
    run(s, e);
    take(s, e, n, b);
    s->plan.admitted[s->plan.n_admitted++] = e;
    return true;
}

/* Running prompts and, if `admits`, those who wait. */
static void plan_prompts(struct scheduler *s, bool admits, struct budget *b)
{
    const uint32_t n_chunks = order_chunks(s);
    uint32_t n_next = admits ? s->n_next : 0;
    for (uint32_t i = 0, j = 0; i < n_chunks || j < n_next;) {
        const struct budget share = share_of(b, i + j + 1 < n_chunks + n_next);
        if (j == n_next ||
            (i < n_chunks &&
             queue_before(&s->queue, s->chunks[i], s->next[j]))) {
            struct sched_entry *e = s->chunks[i++];
            uint32_t n = e->where == SCHED_RUNNING ? chunk_of(e, &share) : 0;
            if (n > 0)
                take(s, e, n, b);
        } else {
            struct sched_entry *e = s->next[j++];
            /* A decode of its job may have spent the room. */
            if (*e->room >= 2 && !admit(s, e, &share, b))
                n_next = j;
        }
    }
}

/* What nobody else took goes to the chunks, in order. */
static void plan_leftovers(struct scheduler *s, struct budget *b)
{
    for (uint32_t i = 0; i < s->plan.n_items; i++) {
        struct sched_entry *e = s->plan.items[i];
        unspend(e, b);
        spend(e, chunk_of(e, b), b);
    }
}

/* Nobody has more use for the time: no prompt is computed, and nobody waits but
 * for a place. */
static bool is_time_for_drafts(const struct scheduler *s)
{
    bool idle = s->plan.n_evicted == 0 && s->plan.n_admitted == 0 &&
                (s->n_waiting == 0 || s->n_running == s->limits.max_running);
    for (uint32_t i = 0; i < s->plan.n_items && idle; i++)
        idle = is_decode(s->plan.items[i]);
    return idle;
}

/* Most guesses that a planned decode can have. */
static uint32_t draft_of(const struct scheduler *s, const struct sched_entry *e,
                         const struct budget *b)
{
    uint32_t n = smaller(e->n_draft, smaller(b->tokens, b->rows));
    n = smaller(n, *e->room);
    uint32_t spare = b->blocks > s->n_running ? b->blocks - s->n_running : 0;
    uint64_t positions =
        ((uint64_t)e->n_blocks + spare) * s->limits.block_tokens;
    uint64_t fit = positions - e->n_computed - 1;
    return fit < n ? (uint32_t)fit : n;
}

static void plan_drafts(struct scheduler *s, struct budget *b)
{
    uint32_t places = is_time_for_drafts(s) ? s->limits.max_drafts : 0;
    for (uint32_t i = 0; i < s->plan.n_items; i++) {
        struct sched_entry *e = s->plan.items[i];
        e->n_draft = places > 0 && is_decode(e) ? draft_of(s, e, b) : 0;
        if (e->n_draft == 0)
            continue;
        uint32_t all = blocks_for(s, e->n_computed + 1 + e->n_draft);
        if (all > e->n_blocks) {
            b->blocks -= all - e->n_blocks;
            e->n_blocks = all;
        }
        unspend(e, b);
        spend(e, 1 + e->n_draft, b);
        places--;
    }
}

/* ---- who may be admitted ---------------------------------------------- */

/* Who gives his place to `taker`, or NULL: the youngest that may, of the tenant
 * of whom most run. */
static struct sched_entry *loser_to(struct scheduler *s,
                                    const struct sched_entry *taker)
{
    struct sched_entry *loser = NULL;
    uint32_t most = 1;
    if (taker->took || taker->n_paid > 0 ||
        queue_tenant(&s->queue, taker)->n_running > 0)
        return NULL;
    for (uint32_t i = s->n_running; i-- > 0;) {
        struct sched_entry *e = s->running[i];
        uint32_t n = queue_tenant(&s->queue, e)->n_running;
        if (n > most && e->keeps && !e->lost &&
            e->priority >= taker->priority) {
            loser = e;
            most = n;
        }
    }
    return loser;
}

/* Those not admitted wait on. */
static void put_back(struct scheduler *s)
{
    for (uint32_t i = 0; i < s->n_next; i++)
        if (s->next[i]->where == SCHED_WAITING)
            queue_put(&s->queue, s->next[i]);
    s->n_next = 0;
}

void scheduler_choose(struct scheduler *s)
{
    uint32_t n_places =
        smaller(s->limits.max_running - s->n_running, SCHED_NEXT);
    for (uint32_t i = 0; i < s->n_running; i++)
        s->running[i]->n_planned = s->running[i]->n_rows = 0;
    s->loser = NULL;
    s->n_next = queue_take(&s->queue, s->next, n_places > 0 ? n_places : 1);
    if (n_places > 0 || s->n_next == 0)
        return;
    s->loser = loser_to(s, s->next[0]);
    if (s->loser == NULL && last_stalled(s) == NULL)
        put_back(s);
}

/* The loser goes if the taker then finds its blocks, whatever decodes take. */
static void plan_takeover(struct scheduler *s, struct budget *b)
{
    struct sched_entry *e = s->loser;
    if (e == NULL)
        return;
    struct sched_entry *taker = s->next[0];
    uint32_t others = 2 * (s->n_running - 1);
    uint32_t need = blocks_for(s, taker->n_tokens) - taker->n_shared;
    uint32_t blocks = b->blocks + e->n_blocks - e->n_shared;
    if (others > blocks || need > blocks - others)
        return;
    evict(s, e, b);
    e->lost = true;
    taker->took = true;
}

const struct plan *scheduler_plan(struct scheduler *s, uint32_t free_blocks)
{
    struct budget b = {
        .tokens = s->limits.max_tokens,
        .rows = s->limits.max_rows,
        .blocks = free_blocks,
    };
    s->plan.n_items = s->plan.n_evicted = s->plan.n_admitted = 0;
    plan_takeover(s, &b);
    const uint32_t n_lost = s->plan.n_evicted;
    plan_decodes(s, &b);
    if (s->plan.n_items > 0)
        b.tokens = smaller(b.tokens, s->mixed_tokens);
    plan_prompts(s, s->plan.n_evicted == n_lost, &b);
    plan_leftovers(s, &b);
    for (uint32_t i = 0; i < s->plan.n_items; i++)
        queue_pay(&s->queue, s->plan.items[i]);
    plan_drafts(s, &b);
    put_back(s);
    return &s->plan;
}
