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
#define N_GROUPS 3u

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
    /* What the rules of queue.h make of it. */
    uint32_t group, paid, place; /* in the choice, from 1; 0 is none */
    uint32_t need;               /* blocks it would take then */
    uint64_t arrived;
    int64_t due;
    bool took, lost;
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
    uint32_t unpinned; /* blocks that the last plan did not know to be free */
    uint32_t unused; /* blocks that nobody holds, those of families included */
    uint64_t number, n_work;
    uint64_t clock, served[N_GROUPS];
    struct sched_entry *loser;
    const uint8_t *at, *end;
};

static struct sim_entry *owner(struct sched_entry *e)
{
    return list_owner(e, struct sim_entry, sched);
}

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

/* As the engine does: those that may be admitted, while all would fit. */
static void match_waiting(struct sim *sim)
{
    uint32_t others = sim->s.n_running;
    for (uint32_t i = 0; i < sim->s.n_next; i++)
        owner(sim->s.next[i])->need =
            blocks_of(owner(sim->s.next[i])->sched.n_tokens);
    for (uint32_t i = 0; i < sim->s.n_next; i++) {
        struct sim_entry *e = owner(sim->s.next[i]);
        match(sim, e);
        uint32_t need = blocks_of(e->sched.n_tokens) - e->shared;
        if (need + others > sim->unused) {
            unmatch(sim, e);
            break;
        }
        e->need = need;
        others += need + 1;
    }
    for (uint32_t i = 0; i < sim->s.n_running; i++) {
        struct sim_entry *e = owner(sim->s.running[i]);
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

/* ---- the rules of queue.h, once more and slowly ---- */

/* The last two share a place in the table. */
static const struct {
    uint64_t hash;
    uint32_t group;
} tenants[4] = {{0, 0}, {1, 1}, {2, 2}, {2 + QUEUE_TENANTS, 2}};

static bool waits(const struct sim_entry *e)
{
    return e->live && e->sched.where == SCHED_WAITING;
}

static void arrive(struct sim *sim, struct sim_entry *e)
{
    bool has_waiting[N_GROUPS] = {false}, any = false;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++)
        if (waits(&sim->entries[i]))
            has_waiting[sim->entries[i].group] = any = true;
    for (uint32_t g = 0; g < N_GROUPS; g++) {
        if (has_waiting[g] && sim->served[g] < least)
            least = sim->served[g];
        if (sim->served[g] > most)
            most = sim->served[g];
    }
    uint64_t floor = any ? least : most;
    if (!has_waiting[e->group] && sim->served[e->group] < floor)
        sim->served[e->group] = floor;
    e->arrived = sim->clock;
    e->due = (int64_t)sim->clock + e->n_prompt +
             e->sched.priority * QUEUE_LEVEL_TOKENS;
}

static bool is_before(const struct sim_entry *a, const struct sim_entry *b)
{
    if (a->due != b->due)
        return a->due < b->due;
    return a->sched.number < b->sched.number;
}

/* Who comes next of those not chosen yet, given what was served. */
static struct sim_entry *best_of(struct sim *sim, const uint64_t *served)
{
    struct sim_entry *first[N_GROUPS] = {NULL}, *best = NULL;
    int64_t best_rank = 0;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++) {
        struct sim_entry *e = &sim->entries[i];
        if (waits(e) && e->place == 0 && e->room >= 2 &&
            (first[e->group] == NULL || is_before(e, first[e->group])))
            first[e->group] = e;
    }
    for (uint32_t g = 0; g < N_GROUPS; g++) {
        struct sim_entry *e = first[g];
        if (e == NULL)
            continue;
        int64_t rank = (int64_t)served[g];
        if (e->sched.priority != 0)
            rank += e->sched.priority < 0 ? -QUEUE_LEVEL_TOKENS
                                          : QUEUE_LEVEL_TOKENS;
        if (best == NULL || rank < best_rank ||
            (rank == best_rank && e->sched.number < best->sched.number)) {
            best = e;
            best_rank = rank;
        }
    }
    return best;
}

static const char *check_choice(struct sim *sim)
{
    const struct scheduler *s = &sim->s;
    uint32_t n_places = s->limits.max_running - s->n_running;
    uint64_t served[N_GROUPS];
    memcpy(served, sim->served, sizeof served);
    for (uint32_t i = 0; i < MAX_ENTRIES; i++)
        sim->entries[i].place = 0;
    for (uint32_t i = 0; i < s->n_next; i++) {
        struct sim_entry *e = best_of(sim, served);
        if (e == NULL || s->next[i] != &e->sched)
            return "chooses another than the rules do";
        e->place = i + 1;
        served[e->group] += e->sched.n_tokens - e->paid;
    }
    if (n_places > s->n_next && best_of(sim, served) != NULL)
        return "does not choose as many as there are places";
    sim->loser = s->loser;
    return NULL;
}

static void pay(struct sim *sim, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct sim_entry *e = owner(plan->items[i]);
        sim->clock += e->sched.n_planned - e->sched.n_draft;
        if (e->paid < e->sched.n_computed)
            e->paid = e->sched.n_computed;
        sim->served[e->group] += e->sched.n_tokens - e->paid;
        e->paid = e->sched.n_tokens;
    }
}

/* Nobody is passed by one of his tenant who came later than his own tokens take
 * to compute, and has no better priority. */
static const char *check_aging(struct sim *sim, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n_admitted; i++) {
        const struct sim_entry *f = owner(plan->admitted[i]);
        for (uint32_t j = 0; j < MAX_ENTRIES; j++) {
            const struct sim_entry *e = &sim->entries[j];
            if (waits(e) && !e->went && e->room_before >= 2 && e->room >= 2 &&
                e->group == f->group &&
                f->sched.priority >= e->sched.priority &&
                f->arrived >= e->arrived + e->n_prompt)
                return "lets one be passed by who came too late for that";
        }
    }
    return NULL;
}

static uint32_t n_running_of(const struct sim *sim, uint32_t group)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++)
        n += sim->entries[i].was_running && sim->entries[i].group == group;
    return n;
}

static const char *check_takeover(struct sim *sim)
{
    struct sim_entry *loser = sim->loser != NULL ? owner(sim->loser) : NULL;
    if (loser == NULL || !loser->sched.lost)
        return NULL;
    uint32_t n_takers = 0;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++) {
        struct sim_entry *e = &sim->entries[i];
        if (!e->live || e->took == e->sched.took)
            continue;
        e->took = true;
        n_takers++;
        if (e->was_running || loser->sched.priority < e->sched.priority)
            return "lets a place be taken by one that must not";
        if (n_running_of(sim, e->group) > 0)
            return "lets a place be taken for a tenant that has one";
    }
    if (n_takers != 1 || loser->lost || !loser->sched.keeps || !loser->went ||
        n_running_of(sim, loser->group) < 2)
        return "takes a place from one that must not lose it";
    loser->lost = true;
    return NULL;
}

/* With tokens and rows to spare, everybody moves who can, and the first of the
 * chosen that could have been admitted was. */
static const char *check_busy(struct sim *sim, const struct plan *plan)
{
    const struct scheduler *s = &sim->s;
    const struct sim_entry *first = NULL;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++) {
        const struct sim_entry *e = &sim->entries[i];
        if (waits(e) && e->place > 0 &&
            (first == NULL || e->place < first->place))
            first = e;
        if (e->live && e->sched.where == SCHED_RUNNING && !e->in_plan &&
            (e->room >= 2 || e->sched.first_row > e->sched.n_computed))
            return "leaves tokens unused";
    }
    if (first != NULL && plan->n_evicted == 0 &&
        s->n_running < s->limits.max_running &&
        first->need + s->n_running + sim->unpinned <= sim->unused)
        return "leaves a place empty";
    return NULL;
}

/* ---- entries ---- */

static void add_entry(struct sim *sim)
{
    struct sim_entry *e = NULL;
    for (uint32_t i = 0; i < MAX_ENTRIES && e == NULL; i++) {
        if (!sim->entries[i].live)
            e = &sim->entries[i];
    }
    uint32_t a = byte(sim), b = byte(sim), c = byte(sim), d = byte(sim);
    if (e == NULL)
        return;
    memset(e, 0, sizeof *e);
    e->n_prompt = a % 60 + 1;
    e->n_final = e->n_prompt + b % 40;
    if (blocks_of(e->n_final) > sim->total)
        return;
    e->scores = (c & 3) == 1;
    if (c & 48) {
        e->family = &sim->families[(c >> 4 & 3) - 1];
        e->n_alike = a / 2 % (FAMILY_BLOCKS * BLOCK);
    }
    e->sched.priority = (c & 14) == 14 ? -(int32_t)(c >> 6) : (d & 24) == 24;
    e->sched.number = sim->number++;
    e->sched.n_tokens = e->n_prompt;
    e->sched.first_row = e->scores ? 0 : e->n_prompt - 1;
    e->sched.room = &e->room;
    e->sched.tenant = tenants[d & 3].hash;
    e->sched.keeps = (d & 4) != 0;
    e->group = tenants[d & 3].group;
    e->room = 100;
    arrive(sim, e);
    sim->n_live++;
    sim->n_work += e->n_final + 2 + REPLAY;
    e->live = true;
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
        uint32_t before = sim->unused;
        if (e->pins_next)
            let_go(sim, e->family, e->shared);
        e->pins_next = false;
        sim->unpinned += sim->unused - before;
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
    uint32_t tokens = 0, rows = 0, drafts = 0, n_decodes = 0;
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
        n_decodes += e->was_decode;
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
    uint32_t budget = sim->s.limits.max_tokens;
    if (n_decodes > 0)
        budget = n_decodes + smaller(budget - n_decodes, sim->s.mixed_tokens);
    if (tokens > budget)
        return "lets prompts slow decodes down";
    if (tokens == budget || rows == sim->s.limits.max_rows)
        return NULL;
    return check_busy(sim, plan);
}

static const char *check_left_out(struct sim *sim)
{
    bool can_move = false, moves = false;
    for (uint32_t i = 0; i < sim->s.n_running; i++) {
        struct sim_entry *e = owner(sim->s.running[i]);
        bool can =
            e->room_before >= 2 || e->sched.first_row > e->sched.n_computed;
        if (can && !e->in_plan && e->was_decode)
            return "leaves out a decode";
        can_move = can_move || can;
        moves = moves || e->in_plan;
        if (i > 0) {
            const struct sched_entry *a = sim->s.running[i - 1];
            if (a->priority > e->sched.priority ||
                (a->priority == e->sched.priority &&
                 a->number > e->sched.number))
                return "runs out of order";
        }
    }
    return can_move && !moves ? "moves nobody" : NULL;
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

static const char *check_plan(struct sim *sim, const struct plan *plan)
{
    const char *broken = carry_out(sim, plan);
    if (broken == NULL)
        broken = check_takeover(sim);
    if (broken == NULL)
        broken = check_items(sim, plan);
    if (broken == NULL)
        broken = check_left_out(sim);
    if (broken == NULL)
        broken = check_aging(sim, plan);
    if (broken != NULL)
        return broken;
    pay(sim, plan);
    for (uint32_t g = 0; g < N_GROUPS; g++)
        if (sim->s.queue.tenants[g].served != sim->served[g])
            return "charges wrongly";
    return NULL;
}

static const char *check_blocks(const struct sim *sim)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < MAX_ENTRIES; i++)
        held += sim->entries[i].held - sim->entries[i].shared;
    for (uint32_t i = 0; i < N_FAMILIES; i++)
        for (uint32_t b = 0; b < sim->families[i].n_blocks; b++)
            held += sim->families[i].holders[b] > 0;
    return held + sim->unused == sim->total ? NULL : "loses blocks";
}

static const char *one_step(struct sim *sim)
{
    scheduler_choose(&sim->s);
    const char *broken = check_choice(sim);
    if (broken != NULL)
        return broken;
    match_waiting(sim);
    look_before(sim);
    /* Any value must do: one that changes all the time. */
    sim->s.mixed_tokens =
        1 + (sim->unused * 5 + sim->n_live) % sim->s.limits.max_tokens;
    const struct plan *plan = scheduler_plan(&sim->s, sim->unused);
    sim->unpinned = sim->unused;
    unmatch_waiting(sim);
    sim->unpinned = sim->unused - sim->unpinned;
    broken = check_plan(sim, plan);
    if (broken == NULL)
        broken = check_blocks(sim);
    if (broken != NULL)
        return broken;
    for (uint32_t i = 0; i < plan->n_items; i++)
        advance(sim, owner(plan->items[i]));
    for (uint32_t i = 0; i < sim->s.n_running; i++)
        remember(sim, owner(sim->s.running[i]), sim->s.running[i]->n_computed);
    return NULL;
}

/* With every reader fast and nobody new, all end: somebody moves in every step,
 * and nothing that was computed is lost but to somebody older. */
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
