/* test_ring.c -- records cross from one thread to another whole, in order. */
#include "tests/lib/test.h"

#include <pthread.h>
#include <sched.h>

#include "model/sample/rng.h"
#include "server/engine/event.h"
#include "server/engine/ring.h"

#define N_RECORDS 30000u

static size_t size_of(uint32_t i)
{
    return 4 + rng_bits(1, 0, i) % 90;
}

static void *produce(void *user)
{
    struct ring *r = user;
    for (uint32_t i = 0; i < N_RECORDS; i++) {
        unsigned char *p;
        while ((p = ring_claim(r, size_of(i))) == NULL)
            (void)sched_yield();
        memcpy(p, &i, 4);
        memset(p + 4, (int)(i & 0xff), size_of(i) - 4);
        ring_publish(r);
    }
    return NULL;
}

TEST(records_arrive_whole_and_in_order)
{
    UNUSED_STATE;
    struct ring r;
    pthread_t thread;
    assert_int_equal(ring_init(&r, 300, NULL), 0);
    assert_int_equal(r.cap, 512);
    assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
    for (uint32_t i = 0; i < N_RECORDS; i++) {
        const unsigned char *p;
        while ((p = ring_peek(&r)) == NULL)
            (void)sched_yield();
        uint32_t number;
        memcpy(&number, p, 4);
        assert_int_equal(number, i);
        for (size_t k = 4; k < size_of(i); k++)
            assert_int_equal(p[k], i & 0xff);
        ring_pop(&r);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(ring_peek(&r));
    assert_int_equal(ring_free(&r), r.cap);
    ring_deinit(&r);
}

TEST(twice_the_room_is_always_enough)
{
    UNUSED_STATE;
    struct ring r;
    assert_int_equal(ring_init(&r, 512, NULL), 0);
    for (uint32_t i = 0; i < 2000; i++) {
        size_t n = size_of(i);
        bool sure = ring_free(&r) >= 2 * ring_record_bytes(n);
        void *p = ring_claim(&r, n);
        assert_true(p != NULL || !sure);
        if (p != NULL)
            ring_publish(&r);
        else
            for (uint64_t k = rng_bits(2, 0, i) % 5; k > 0; k--) {
                if (ring_peek(&r) != NULL)
                    ring_pop(&r);
            }
    }
    assert_int_equal(ring_init(&(struct ring){0}, SIZE_MAX, NULL), -ERR_LIMIT);
    ring_deinit(&r);
}

TEST(an_event_comes_back_as_it_went_in)
{
    UNUSED_STATE;
    struct ring r;
    assert_int_equal(ring_init(&r, 2048, NULL), 0);
    const struct top_logprob top[2] = {{7, -0.5f}, {9, -1.5f}};
    const struct job_event in = {
        .kind = EVENT_TOKEN,
        .choice = 3,
        .token = 7,
        .text = "h\xc3\xa9",
        .n_text = 3,
        .logprob = -0.5f,
        .n_top = 2,
        .top = top,
        .stop_token = TOKEN_NONE,
        .stop_string = -1,
        .n_prompt = 5,
        .n_completion = 2,
    };
    struct job_event bad = {.kind = EVENT_ERROR}, out;
    (void)err_set(&bad.err, ERR_INTERNAL, "%0600d", 1);
    assert_true(event_write(&r, &in));
    assert_true(event_write(&r, &bad));
    assert_true(event_read(&r, &out));
    assert_int_equal(out.choice, 3);
    assert_memory_equal(out.text, "h\xc3\xa9", 3);
    assert_int_equal(out.n_text, 3);
    assert_memory_equal(out.top, top, sizeof top);
    ring_pop(&r);
    assert_true(event_read(&r, &out));
    assert_int_equal(out.err.class_, ERR_INTERNAL);
    assert_int_equal(strlen(out.err.text), EVENT_ERROR_BYTES);
    ring_pop(&r);
    assert_false(event_read(&r, &out));
    ring_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_arrive_whole_and_in_order),
        cmocka_unit_test(twice_the_room_is_always_enough),
        cmocka_unit_test(an_event_comes_back_as_it_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
