/* test_metrics.c -- the text to the last byte, and the buckets' edges. */
#include "tests/lib/test.h"

#include <pthread.h>

#include "model/base/alloc.h"
#include "model/base/metrics.h"

static const uint64_t edges[] = {1000, 10000, 250000, 2560000000};

TEST(a_histogram_is_told_in_its_unit_to_the_last_byte)
{
    UNUSED_STATE;
    struct buf out = {0};
    struct histogram h;
    struct metrics_text t = {&out, "engine=\"0\""};
    histogram_init(&h, edges, 4, 1000000);
    histogram_add(&h, 0);
    histogram_add(&h, 1000); /* an edge belongs to its bucket */
    histogram_add(&h, 1001);
    histogram_add(&h, 2560000001);
    metrics_histogram(&t, "x_seconds", "How long.", &h);
    assert_string_equal(buf_str(&out),
                        "# HELP x_seconds How long.\n"
                        "# TYPE x_seconds histogram\n"
                        "x_seconds_bucket{engine=\"0\",le=\"0.001\"} 2\n"
                        "x_seconds_bucket{engine=\"0\",le=\"0.01\"} 3\n"
                        "x_seconds_bucket{engine=\"0\",le=\"0.25\"} 3\n"
                        "x_seconds_bucket{engine=\"0\",le=\"2560.0\"} 3\n"
                        "x_seconds_bucket{engine=\"0\",le=\"+Inf\"} 4\n"
                        "x_seconds_sum{engine=\"0\"} 2560.002002\n"
                        "x_seconds_count{engine=\"0\"} 4\n");
    assert_int_equal(histogram_count(&h), 4);
    buf_deinit(&out);
}

TEST(a_histogram_of_tokens_has_whole_edges)
{
    UNUSED_STATE;
    static const uint64_t tokens[] = {1, 20};
    struct buf out = {0};
    struct histogram h;
    struct metrics_text t = {&out, ""};
    histogram_init(&h, tokens, 2, 1);
    histogram_add(&h, 10);
    metrics_histogram(&t, "x_tokens", "How many.", &h);
    assert_string_equal(buf_str(&out), "# HELP x_tokens How many.\n"
                                       "# TYPE x_tokens histogram\n"
                                       "x_tokens_bucket{le=\"1.0\"} 0\n"
                                       "x_tokens_bucket{le=\"20.0\"} 1\n"
                                       "x_tokens_bucket{le=\"+Inf\"} 1\n"
                                       "x_tokens_sum 10.0\n"
                                       "x_tokens_count 1\n");
    buf_deinit(&out);
}

TEST(counters_gauges_and_labels_are_told)
{
    UNUSED_STATE;
    struct buf out = {0}, labels = {0};
    struct counter c = {0};
    metrics_label(&labels, "engine", "0");
    metrics_label(&labels, "model_name", "a\"b\\c\nd");
    struct metrics_text t = {&out, buf_str(&labels)};
    counter_add(&c, 1);
    counter_add(&c, UINT64_C(9007199254740993));
    metrics_counter(&t, "x_total", "Them.", counter_get(&c));
    metrics_gauge(&t, "x_ratio", "Part.", 0.1);
    t.labels = "";
    metrics_head(&t, "y_total", METRIC_COUNTER, "These.");
    metrics_sample(&t, "y_total", "why=\"so\"", 7);
    assert_string_equal(
        buf_str(&out),
        "# HELP x_total Them.\n"
        "# TYPE x_total counter\n"
        "x_total{engine=\"0\",model_name=\"a\\\"b\\\\c\\nd\"} "
        "9007199254740994\n"
        "# HELP x_ratio Part.\n"
        "# TYPE x_ratio gauge\n"
        "x_ratio{engine=\"0\",model_name=\"a\\\"b\\\\c\\nd\"} 0.1\n"
        "# HELP y_total These.\n"
        "# TYPE y_total counter\n"
        "y_total{why=\"so\"} 7\n");
    buf_deinit(&out);
    buf_deinit(&labels);
}

TEST(a_text_without_memory_has_failed)
{
    UNUSED_STATE;
    struct buf out;
    struct histogram h;
    buf_init(&out, 100);
    struct metrics_text t = {&out, ""};
    histogram_init(&h, edges, 4, 1000000);
    metrics_histogram(&t, "x_seconds", "How long.", &h);
    assert_false(buf_ok(&out));
    buf_deinit(&out);
}

static void *count(void *user)
{
    struct histogram *h = user;
    alloc_forbid("counting");
    for (uint64_t i = 0; i < 20000; i++)
        histogram_add(h, i);
    alloc_permit();
    return NULL;
}

TEST(several_threads_count_without_loss)
{
    UNUSED_STATE;
    struct histogram h;
    struct buf out = {0};
    struct metrics_text t = {&out, ""};
    pthread_t threads[3];
    histogram_init(&h, edges, 4, 1000000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &h), 0);
    for (int i = 0; i < 50; i++) { /* a text may be taken meanwhile */
        buf_clear(&out);
        metrics_histogram(&t, "x_seconds", "How long.", &h);
        unsigned long long inf, n;
        const char *at = strstr(buf_str(&out), "+Inf\"} ");
        assert_int_equal(sscanf(at, "+Inf\"} %llu", &inf), 1);
        at = strstr(at, "_count ");
        assert_int_equal(sscanf(at, "_count %llu", &n), 1);
        assert_int_equal(inf, n);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(histogram_count(&h), 60000);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_histogram_is_told_in_its_unit_to_the_last_byte),
        cmocka_unit_test(a_histogram_of_tokens_has_whole_edges),
        cmocka_unit_test(counters_gauges_and_labels_are_told),
        cmocka_unit_test(a_text_without_memory_has_failed),
        cmocka_unit_test(several_threads_count_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
