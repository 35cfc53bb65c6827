/* test_responses_fit.c -- what is left of a conversation that is too long, on
 * the demo model. */
#include "tests/lib/test.h"

#include "api/prompt/prepare.h"
#include "api/prompt/responses_fit.h"
#include "api/request/responses_request.h"
#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/model.h"

#define CTX 512u

static struct model *model;

static int open_model(void **state)
{
    const struct model_options options = {.path = "model/demo",
                                          .n_threads = 1,
                                          .max_batch_tokens = 64,
                                          .max_slices = 1,
                                          .ctx_tokens = CTX,
                                          .cache_bytes = 8u << 20};
    struct err err = {0};
    (void)state;
    log_set_level(LOG_ERROR);
    if (model_open(&model, &options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    model_close(model);
    return 0;
}

/* `n` turns of a question, a call and its result; then a question. */
static void converse(struct chat_request *r, int n, const char *fields)
{
    struct responses_asked asked = {0};
    struct buf body = {0};
    struct err err = {0};
    buf_printf(&body, "{%s\"instructions\":\"Be kind.\",\"input\":[", fields);
    for (int i = 0; i < n; i++)
        buf_printf(&body,
                   "{\"role\":\"user\",\"content\":\"Question %d of many\"},"
                   "{\"type\":\"function_call\",\"call_id\":\"c%d\",\"name\":"
                   "\"f\",\"arguments\":\"{}\"},{\"type\":"
                   "\"function_call_output\",\"call_id\":\"c%d\",\"output\":"
                   "\"Result %d\"},",
                   i, i, i, i);
    buf_puts(&body, "{\"role\":\"user\",\"content\":\"The last one\"}]}");
    if (responses_request_parse(r, &asked, buf_str(&body), body.len,
                                model->hp.n_vocab, 0, &err) != 0)
        fail_msg("%s", err.text);
    buf_deinit(&asked.echo);
    buf_deinit(&body);
}

static size_t count(const struct chat_request *r)
{
    struct err err = {0};
    size_t n = 0;
    assert_int_equal(prepare_chat_count(&n, model, r, &err), 0);
    return n;
}

static const char *member(const struct chat_request *r, size_t i,
                          const char *key)
{
    return json_string_value(
        json_object_get(json_array_get(r->messages, i), key));
}

TEST(what_fits_is_left_alone)
{
    UNUSED_STATE;
    struct chat_request r;
    struct err err = {0};
    converse(&r, 3, "");
    size_t n = json_array_size(r.messages);
    assert_int_equal(responses_truncate(&r, model, &err), 0);
    assert_int_equal(json_array_size(r.messages), n);
    chat_request_deinit(&r);
}

TEST(as_few_as_will_do_are_dropped_from_behind_the_system_prompt)
{
    UNUSED_STATE;
    static const char *const fields[] = {"", "\"max_output_tokens\":300,"};
    static const size_t rooms[] = {CTX - CTX / 8, CTX - 300};
    for (size_t i = 0; i < 2; i++) {
        struct chat_request r, all;
        struct err err = {0};
        converse(&r, 60, fields[i]);
        converse(&all, 60, fields[i]);
        assert_true(count(&r) > CTX);
        assert_int_equal(responses_truncate(&r, model, &err), 0);
        size_t n = json_array_size(r.messages);
        size_t n_all = json_array_size(all.messages);
        assert_true(count(&r) <= rooms[i]);
        assert_in_range(n, 3, n_all - 1);
        assert_string_equal(member(&r, 0, "content"), "Be kind.");
        assert_string_not_equal(member(&r, 1, "role"), "tool");
        for (size_t k = 1; k < n; k++)
            assert_true(
                json_equal(json_array_get(r.messages, k),
                           json_array_get(all.messages, n_all - n + k)));
        /* One turn more would not have fitted. */
        for (size_t k = 0; k < 3; k++)
            json_array_insert(r.messages, 1,
                              json_array_get(all.messages, n_all - n - k));
        assert_true(count(&r) > rooms[i]);
        chat_request_deinit(&r);
        chat_request_deinit(&all);
    }
}

TEST(the_last_message_stays)
{
    UNUSED_STATE;
    struct chat_request r;
    struct err err = {0};
    converse(&r, 20, "\"max_output_tokens\":5000,");
    assert_int_equal(responses_truncate(&r, model, &err), 0);
    assert_int_equal(json_array_size(r.messages), 2);
    assert_string_equal(member(&r, 1, "content"), "The last one");
    chat_request_deinit(&r);
}

TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    struct err err;
    struct chat_request r;
    long hits = 1;
    for (long nth = 0; hits > 0; nth += 7) {
        size_t live = mem_live_count();
        converse(&r, 60, "");
        memset(&err, 0, sizeof err);
        fault_alloc_at(nth);
        int rc = responses_truncate(&r, model, &err);
        hits = fault_hits();
        fault_alloc_at(-1);
        assert_true(rc == 0 || (rc == -ERR_NOMEM && hits > 0));
        chat_request_deinit(&r);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            assert_true(nth > 700); /* it went through all of it */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_left_alone),
        cmocka_unit_test(
            as_few_as_will_do_are_dropped_from_behind_the_system_prompt),
        cmocka_unit_test(the_last_message_stays),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
