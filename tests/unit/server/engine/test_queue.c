/* test_queue.c -- the order of thousands that wait, against a search through
 * all of them; shares and ages as queue.h states them. */
#include "tests/lib/test.h"

#include "model/sample/rng.h"
#include "server/engine/queue.h"
#include "server/engine/scheduler.h"

#define N 3000u

static uint32_t room = 2, no_room;
static struct sched_entry entries[N];

static uint32_t chance(uint32_t i, uint32_t what, uint32_t below)
{
    return (uint32_t)(rng_bits(i, 7, what) % below);
}

static struct sched_entry *add(struct queue *q, uint32_t i, uint64_t tenant,
                               uint32_t n_tokens, int32_t priority)
{
    struct sched_entry *e = &entries[i];
    *e = (struct sched_entry){.number = i,
                              .tenant = tenant,
                              .n_tokens = n_tokens,
                              .priority = priority,
                              .room = &room,
                              .where = SCHED_WAITING};
    queue_add(q, e);
    return e;
}

/* The earliest due of those that wait and can move, by looking at all. */
static struct sched_entry *earliest(void)
{
    struct sched_entry *best = NULL;
    for (uint32_t i = 0; i < N; i++) {
        struct sched_entry *e = &entries[i];
        if (e->where == SCHED_WAITING && *e->room >= 2 &&
            (best == NULL || e->due < best->due ||
             (e->due == best->due && e->number < best->number)))
            best = e;
    }
    return best;
}

TEST(thousands_come_out_in_order_whoever_leaves_meanwhile)
{
    UNUSED_STATE;
    struct queue q = {0};
    uint32_t n = N;
    for (uint32_t i = 0; i < N; i++) {
        q.clock += chance(i, 0, 40);
        add(&q, i, 5, 1 + chance(i, 1, 4000), 0);
        if (chance(i, 2, 10) == 0)
            entries[i].room = &no_room;
    }
    for (uint32_t round = 0; n > 0; round++) {
        struct sched_entry *out[8];
        struct sched_entry *gone = &entries[chance(round, 3, N)];
        if (gone->where == SCHED_WAITING) {
            queue_remove(&q, gone);
            gone->where = SCHED_OUT;
            n--;
        }
        uint32_t n_out = queue_take(&q, out, 8);
        for (uint32_t i = 0; i < n_out; i++) {
            assert_ptr_equal(out[i], earliest());
            out[i]->where = SCHED_OUT;
        }
        for (uint32_t i = n_out; i-- > 3;) { /* the rest wait on */
            out[i]->where = SCHED_WAITING;
            queue_put(&q, out[i]);
            n_out--;
        }
        n -= n_out;
        if (n_out == 0)
            for (uint32_t i = 0; i < N; i++)
                entries[i].room = &room;
        assert_int_equal(q.n_waiting, n);
    }
    assert_null(earliest());
}

TEST(a_flood_waits_for_who_was_served_less)
{
    UNUSED_STATE;
    struct queue q = {0};
    struct sched_entry *out[4];
    for (uint32_t i = 0; i < 100; i++)
        add(&q, i, 1, 50, 0);
    assert_int_equal(queue_take(&q, out, 1), 1);
    out[0]->n_planned = 50;
    queue_pay(&q, out[0]);
    add(&q, 200, 2, 80, 0);
    add(&q, 201, 2, 50, 0);
    /* The newcomer stands where the flood does; what was taken counts. */
    assert_int_equal(queue_take(&q, out, 4), 4);
    assert_int_equal(out[0]->number, 1);
    assert_int_equal(out[1]->number, 201);
    assert_int_equal(out[2]->number, 2);
    assert_int_equal(out[3]->number, 200);
}

TEST(a_short_prompt_passes_a_long_one_until_that_has_aged)
{
    UNUSED_STATE;
    struct queue q = {0};
    struct sched_entry *out[3];
    add(&q, 0, 1, 1000, 0);
    q.clock += 989;
    add(&q, 1, 1, 10, 0);
    q.clock += 1;
    add(&q, 2, 1, 10, 0);
    assert_int_equal(queue_take(&q, out, 3), 3);
    assert_int_equal(out[0]->number, 1);
    assert_int_equal(out[1]->number, 0);
    assert_int_equal(out[2]->number, 2);
}

TEST(priority_orders_a_tenant_and_buys_little_from_others)
{
    UNUSED_STATE;
    struct queue q = {0};
    struct sched_entry *out[4];
    add(&q, 0, 1, 10, 0);
    add(&q, 1, 1, 2000, -1);
    add(&q, 2, 1, 2000, INT32_MIN);
    add(&q, 3, 1, 10, INT32_MAX);
    assert_int_equal(queue_take(&q, out, 4), 4);
    assert_int_equal(out[0]->number, 2);
    assert_int_equal(out[1]->number, 1);
    assert_int_equal(out[2]->number, 0);
    assert_int_equal(out[3]->number, 3);
    q = (struct queue){0};
    add(&q, 0, 1, 10, 0);
    add(&q, 1, 2, 10, -1000);
    assert_int_equal(queue_take(&q, out, 1), 1);
    assert_int_equal(out[0]->number, 1);
    queue_put(&q, out[0]);
    q.tenants[2].served = QUEUE_LEVEL_TOKENS + 1;
    assert_int_equal(queue_take(&q, out, 1), 1);
    assert_int_equal(out[0]->number, 0);
}

TEST(a_token_is_paid_for_once_and_a_cached_one_never)
{
    UNUSED_STATE;
    struct queue q = {0};
    struct sched_entry *e = add(&q, 0, 1, 100, 0);
    e->n_computed = 40;
    e->n_planned = 30;
    queue_pay(&q, e);
    assert_int_equal(queue_tenant(&q, e)->served, 60);
    e->n_computed = 0; /* a preemption */
    queue_pay(&q, e);
    assert_int_equal(queue_tenant(&q, e)->served, 60);
    e->n_tokens = 101;
    queue_pay(&q, e);
    e->n_tokens = 99; /* drafts that were wrong */
    queue_pay(&q, e);
    assert_int_equal(queue_tenant(&q, e)->served, 61);
    assert_int_equal(q.clock, 120);
}

TEST(idling_saves_nothing_up)
{
    UNUSED_STATE;
    struct queue q = {0};
    q.tenants[1].served = 500;
    q.tenants[2].served = 800;
    add(&q, 0, 3, 10, 0); /* nobody waits: like who had most */
    assert_int_equal(q.tenants[3].served, 800);
    add(&q, 1, 2, 10, 0);
    q.tenants[2].served = 900;
    add(&q, 2, 1, 10, 0); /* like the least of those who wait */
    assert_int_equal(q.tenants[1].served, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_come_out_in_order_whoever_leaves_meanwhile),
        cmocka_unit_test(a_flood_waits_for_who_was_served_less),
        cmocka_unit_test(a_short_prompt_passes_a_long_one_until_that_has_aged),
        cmocka_unit_test(priority_orders_a_tenant_and_buys_little_from_others),
        cmocka_unit_test(a_token_is_paid_for_once_and_a_cached_one_never),
        cmocka_unit_test(idling_saves_nothing_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
