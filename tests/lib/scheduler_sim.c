/* scheduler_sim.c -- see scheduler_sim.h.
 *
 * The simulation keeps its own count of blocks, so a plan that spends what is
 * not there shows at once.  Entries of a family begin with the same tokens: the
 * first that computes a whole block of them leaves it to the others, and a
 * block that nobody holds any more is kept until its memory is wanted. */
#include "tests/lib/scheduler_sim.h"

#include <stdbool.h>
#include <string.h>

#include "server/engine/scheduler.h"

#define MAX_ENTRIES 48u
#define BLOCK 4u
#define N_FAMILIES 3u
#define FAMILY_BLOCKS 10u
#define REPLAY 3u

struct sim_entry {
    struct sched_entry sched;
    bool live, was_running, was_decode, in_plan, went;
    uint32_t held;              /* blocks, by the simulation's own count */
    struct family *family;      /* or NULL */
    uint32_t n_alike;           /* tokens it has in common with its family */
    uint32_t shared;            /* of the held ones, those of the family */
    bool pins_next;             /* and one more, until it is admitted */
    uint32_t n_prompt, n_final; /* tokens at the start, and at the end */
    uint32_t room, room_before, computed_before;
    uint32_t wanted_draft;
    bool scores; /* wants a row for every prompt token */
};

struct family {
    uint32_t n_blocks; /* that are kept, the first of the common tokens */
    uint32_t holders[FAMILY_BLOCKS];
};

struct sim {
    struct family families[N_FAMILIES];
    struct scheduler s;
    struct sim_entry entries[MAX_ENTRIES];
    uint32_t n_live, total;
    uint32_t unused; /* blocks that nobody holds, those of families included */
    uint64_t number, n_work;
    const uint8_t *at, *end;
};

static uint32_t byte(struct sim *sim)
{
    return sim->at < sim->end ? *sim->at++ : 0;
}

/* ---- what the cache does ---- */

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* `n` blocks for somebody, taken from families where none are empty. */
static void take(struct sim *sim, uint32_t n)
{
    sim->unused -= n;
    for (;;) {
        uint32_t n_kept = 0;
        struct family *some = NULL;
        for (uint32_t i = 0; i < N_FAMILIES; i++) {
            struct family *f = &sim->families[i];
            for (uint32_t b = 0; b < f->n_blocks; b++) {
                n_kept += f->holders[b] == 0;
                some = f->holders[b] == 0 ? f : some;
            }
        }
        if (n_kept <= sim->unused)
            return;
        some->n_blocks--;
    }
}

static void hold(struct sim *sim, struct family *f, uint32_t block)
{
    sim->unused -= f->holders[block]++ == 0;
}

static void let_go(struct sim *sim, struct family *f, uint32_t block)
{
    sim->unused += --f->holders[block] == 0;
}

/* It leaves the whole blocks of common tokens that it has computed. */
static void remember(struct sim *sim, struct sim_entry *e, uint32_t n_computed)
{
    struct family *f = e->family;
    uint32_t whole = smaller(n_computed, e->n_alike) / BLOCK;
    for (; f != NULL && e->shared < whole; e->shared++) {
        if (e->shared < f->n_blocks) {
            hold(sim, f, e->shared);
            sim->unused++; /* its own copy */
        } else {
            f->holders[f->n_blocks++] = 1;
        }
    }
}

static void give_back(struct sim *sim, struct sim_entry *e)
{
    sim->unused += e->held - e->shared;
    e->held = 0;
    if (e->pins_next)
        let_go(sim, e->family, e->shared);
    e->pins_next = false;
    while (e->shared > 0)
        let_go(sim, e->family, --e->shared);
}

static uint32_t blocks_of(uint32_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

/* A waiting entry takes hold of what it would start from. */
static void match(struct sim *sim, struct sim_entry *e)
{
    struct family *f = e->family;
    struct sched_entry *s = &e->sched;
    uint32_t alike = smaller(e->n_alike, s->n_tokens - 1);
    if (f == NULL || e->scores || alike <= REPLAY)
        return;
    while (e->shared < smaller(f->n_blocks, alike / BLOCK))
        hold(sim, f, e->shared++);
    e->pins_next = e->shared < f->n_blocks && alike > e->shared * BLOCK;
    if (e->pins_next)
        hold(sim, f, e->shared);
    e->held = e->shared;
    uint32_t n = e->pins_next ? alike : e->shared * BLOCK;
    if (n <= REPLAY)
        give_back(sim, e);
    s->n_shared = e->shared;
    s->n_computed = n > REPLAY ? n - REPLAY : 0;
}

static void unmatch(struct sim *sim, struct sim_entry *e)
{
    give_back(sim, e);
    e->sched.n_shared = e->sched.n_computed = 0;
}

/* As the engine does: the first waiting ones, while all would fit. */
static void match_waiting(struct sim *sim)
{
    uint32_t others = sim->s.n_running;
    for (struct list *at = sim->s.waiting.next; at != &sim->s.waiting;
         at = at->next) {
        struct sim_entry *e = list_owner(at, struct sim_entry, sched.node);
        if (e->room < 2)
            continue;
        match(sim, e);
        uint32_t need = blocks_of(e->sched.n_tokens) - e->shared;
        if (need + others > sim->unused) {
            unmatch(sim, e);
            break;
        }
        others += need + 1;
    }
    for (uint32_t i = 0; i < sim->s.n_running; i++) {
        struct sim_entry *e =
            list_owner(sim->s.running[i], struct sim_entry, sched);
        e->sched.n_shared = 0;
        while (e->sched.n_shared < e->shared &&
               e->family->holders[e->sched.n_shared] > 1)
            e->sched.n_shared++;
    }
}

static void unmatch_waiting(struct sim *sim)
{
    for (uint32_t i = 0; i < MAX_ENTRIES; i++) {
        struct sim_entry *e = &sim->entries[i];
        if (e->live && e->sched.where == SCHED_WAITING && !e->was_running)
            unmatch(sim, e);
    }
}

/* ---- entries ---- */

static void add_entry(struct sim *sim)
{
    struct sim_entry *e = NULL;
    for (uint32_t i = 0; i < MAX_ENTRIES && e == NULL; i++) {
        if (!sim->entries[i].live)
            e = &sim->entries[i];
    }
    uint32_t a = byte(sim), b = byte(sim), c = byte(sim);
    if (e == NULL)
        return;
    memset(e, 0, sizeof *e);
    e->n_prompt = a % 60 + 1;
    e->n_final = e->n_prompt + b % 40;
    if (blocks_of(e->n_final) > sim->total)
        return;
    e->live = true;
    e->scores = (c & 3) == 1;
    if (c & 48) {
        e->family = &sim->families[(c >> 4 & 3) - 1];
        e->n_alike = a / 2 % (FAMILY_BLOCKS * BLOCK);
    }
    e->sched.priority = (c & 14) == 14 ? -(int32_t)(c >> 6) : 0;
    e->sched.number = sim->number++;
    e->sched.n_tokens = e->n_prompt;
    e->sched.first_row = e->scores ? 0 : e->n_prompt - 1;
    e->sched.room = &e->room;
    e->room = 100;
    sim->n_live++;
    sim->n_work += e->n_final + 2 + REPLAY;
    scheduler_add(&sim->s, &e->sched);
}

static void drop(struct sim *sim, struct sim_entry *e)
{
    scheduler_remove(&sim->s, &e->sched);
    scheduler_remove(&sim->s, &e->sched);
    if (e->held > 0)
        remember(sim, e, e->sched.n_computed);
    give_back(sim, e);
    e->live = false;
    sim->n_live--;
}

static struct sim_entry *owner(struct sched_entry *e)
{
    return list_owner(e, struct sim_entry, sched);
}

static void look_before(struct sim *sim)
{
    for (uint32_t i = 0; i < MAX_ENTRIES; i++) {
        struct sim_entry *e = &sim->entries[i];
        e->was_running = e->live && e->sched.where == SCHED_RUNNING;
        e->was_decode =
            e->was_running && e->sched.n_tokens - e->sched.n_computed == 1;
        e->in_plan = e->went = false;
        /* As many as its end allows, or fewer: nothing of chance is needed. */
        e->sched.n_draft = e->was_decode && !e->scores
                               ? smaller(e->n_final - e->sched.n_tokens,
                                         (uint32_t)(sim->number + e->room) % 7)
                               : 0;
        e->wanted_draft = e->sched.n_draft;
        e->room_before = e->room;
        e->computed_before = e->sched.n_computed;
    }
}

static const char *carry_out(struct sim *sim, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n_evicted; i++) {
        struct sim_entry *e = owner(plan->evicted[i]);
        if (!e->was_running || e->went)
            return "evicts one that does not run, or twice";
        if (e->sched.n_computed != 0 || e->sched.n_shared != 0)
            return "evicts one that is not clean then";
        e->went = true;
        remember(sim, e, e->computed_before);
        give_back(sim, e);
    }
    for (uint32_t i = 0; i < plan->n_admitted; i++) {
        struct sim_entry *e = owner(plan->admitted[i]);
        if (e->was_running || e->sched.n_computed != e->computed_before)
            return "admits one that runs or starts elsewhere";
        uint32_t need = blocks_of(e->sched.n_tokens) - e->held;
        if (need > sim->unused)
            return "admits without blocks";
        take(sim, need);
        e->held += need;
        if (e->pins_next)
            let_go(sim, e->family, e->shared);
        e->pins_next = false;
    }
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct sim_entry *e = owner(plan->items[i]);
        uint32_t want = blocks_of(e->sched.n_computed + e->sched.n_planned);
        if (want > e->held) {
            if (want - e->held > sim->unused)
                return "grows without blocks";
            take(sim, want - e->held);
            e->held = want;
        }
        if (e->held != e->sched.n_blocks)
            return "counts blocks differently";
    }
    return NULL;
}

static const char *check_items(struct sim *sim, const struct plan *plan)
{
    uint32_t tokens = 0, rows = 0, drafts = 0;
    bool past_decodes = false;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct sim_entry *e = owner(plan->items[i]);
        const struct sched_entry *s = &e->sched;
        uint32_t end = s->n_computed + s->n_planned, n_rows = 0;
        for (uint32_t t = s->n_computed; t < end; t++)
            n_rows += t >= s->first_row;
        if (!e->live || e->in_plan || s->where != SCHED_RUNNING)
            return "plans one twice, or one that does not run";
        e->in_plan = true;
        if (s->n_draft > e->wanted_draft ||
            (s->n_draft > 0 && end != s->n_tokens + s->n_draft))
            return "drafts what was not wanted";
        if (s->n_planned == 0 || end > s->n_tokens + s->n_draft ||
            n_rows != s->n_rows)
            return "plans no tokens, too many, or wrong rows";
        drafts += s->n_draft > 0;
        if (n_rows > 0 && n_rows + 1 > e->room_before)
            return "overruns a ring";
        if (e->was_decode && past_decodes)
            return "puts a decode behind a chunk";
        past_decodes = past_decodes || !e->was_decode;
        tokens += s->n_planned;
        rows += s->n_rows;
    }
    if (drafts > 0 && past_decodes)
        return "drafts while a prompt is computed";
    if (drafts > sim->s.limits.max_drafts)
        return "drafts for too many";
    if (tokens > sim->s.limits.max_tokens || rows > sim->s.limits.max_rows ||
        sim->s.n_running > sim->s.limits.max_running)
        return "passes a limit";
    return NULL;
}

static const char *check_left_out(struct sim *sim)
{
    bool first = true;
    for (uint32_t i = 0; i < sim->s.n_running; i++) {
        struct sim_entry *e = owner(sim->s.running[i]);
        bool can_move =
            e->room_before >= 2 || e->sched.first_row > e->sched.n_computed;
        if (can_move && !e->in_plan && (e->was_decode || first))
            return "leaves out a decode, or the first in order";
        first = first && !can_move;
        if (i > 0) {
            const struct sched_entry *a = sim->s.running[i - 1];
            if (a->priority > e->sched.priority ||
                (a->priority == e->sched.priority &&
                 a->number > e->sched.number))
                return "runs out of order";
        }
    }
    return NULL;
}

/* What the engine does with an item after the forward. */
static void advance(struct sim *sim, struct sim_entry *e)
{
    uint32_t n_wrong = 0;
    if (e->sched.n_draft > 0) /* some were right */
        n_wrong = (uint32_t)(sim->number + e->sched.n_tokens) %
                  (e->sched.n_draft + 1);
    e->sched.n_computed += e->sched.n_planned - n_wrong;
    e->sched.n_tokens += e->sched.n_draft - n_wrong;
    if (e->sched.n_computed < e->sched.n_tokens) {
        if (e->scores && e->sched.first_row < e->sched.n_computed)
            e->sched.first_row = e->sched.n_computed;
        return;
    }
    e->scores = false;
    if (e->sched.n_tokens >= e->n_final) {
        drop(sim, e);
        return;
    }
    e->sched.first_row = e->sched.n_tokens++;
}

static const char *one_step(struct sim *sim)
{
    match_waiting(sim);
    look_before(sim);
    /* Any value must do: one that changes all the time. */
    sim->s.mixed_tokens =
        1 + (sim->unused * 5 + sim->n_live) % sim->s.limits.max_tokens;
    const struct plan *plan = scheduler_plan(&sim->s, sim->unused);
    unmatch_waiting(sim);
    const char *broken = carry_out(sim, plan);
    if (broken == NULL)
        broken = check_items(sim, plan);
    if (broken == NULL)
        broken = check_left_out(sim);
    if (broken != NULL)
        return broken;
    uint32_t held = 0;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++)
        held += sim->entries[i].held - sim->entries[i].shared;
    for (uint32_t i = 0; i < N_FAMILIES; i++)
        for (uint32_t b = 0; b < sim->families[i].n_blocks; b++)
            held += sim->families[i].holders[b] > 0;
    if (held + sim->unused != sim->total)
        return "loses blocks";
    for (uint32_t i = 0; i < plan->n_items; i++)
        advance(sim, owner(plan->items[i]));
    for (uint32_t i = 0; i < sim->s.n_running; i++)
        remember(sim, owner(sim->s.running[i]), sim->s.running[i]->n_computed);
    return NULL;
}

/* With every reader fast and nobody new, all end; the first in order moves in
 * every step in which anything runs, which bounds how long that takes. */
static const char *run_out(struct sim *sim)
{
    uint64_t bound = (sim->n_live + 1u) * sim->n_work + 2;
    for (uint64_t i = 0; sim->n_live > 0; i++) {
        if (i > bound)
            return "starves somebody";
        for (uint32_t j = 0; j < MAX_ENTRIES; j++)
            sim->entries[j].room = 100;
        const char *broken = one_step(sim);
        if (broken != NULL)
            return broken;
    }
    return sim->unused == sim->total ? NULL : "keeps blocks at the end";
}

static const char *operate(struct sim *sim)
{
    uint32_t op = byte(sim), which = byte(sim) % MAX_ENTRIES;
    struct sim_entry *e = &sim->entries[which];
    switch (op % 8) {
    case 0:
    case 1:
        add_entry(sim);
        return NULL;
    case 2:
        if (e->live)
            drop(sim, e);
        return NULL;
    case 3:
        e->room = byte(sim) % 6;
        return NULL;
    default:
        if (op & 128) {
            for (uint32_t i = 0; i < MAX_ENTRIES; i++)
                sim->entries[i].room += 3;
        }
        return one_step(sim);
    }
}

const char *scheduler_sim_run(const uint8_t *bytes, size_t n)
{
    static struct sim sim;
    memset(&sim, 0, sizeof sim);
    sim.at = bytes;
    sim.end = bytes + n;
    struct sched_limits limits = {.block_tokens = BLOCK};
    limits.max_running = byte(&sim) % 12 + 1;
    limits.max_tokens = limits.max_running + byte(&sim) % 40;
    limits.max_rows = limits.max_running + byte(&sim) % 8;
    limits.max_drafts = limits.max_rows % 5;
    sim.total = sim.unused = byte(&sim) % 80 + 1;
    if (scheduler_init(&sim.s, &limits, NULL) != 0)
        return NULL;
    const char *broken = NULL;
    while (broken == NULL && sim.at < sim.end)
        broken = operate(&sim);
    if (broken == NULL)
        broken = run_out(&sim);
    scheduler_deinit(&sim.s);
    return broken;
}
