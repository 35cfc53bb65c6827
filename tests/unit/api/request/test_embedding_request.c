/* test_embedding_request.c -- the fields of /v1/embeddings, one by one. */
#include "tests/lib/test.h"

#include "api/request/embedding_request.h"
#include "model/base/alloc.h"

#define VOCAB 100u
#define HIDDEN 48u

static int parse(struct embedding_request *r, const char *body, struct err *err)
{
    memset(err, 0, sizeof *err);
    return embedding_request_parse(r, body, strlen(body), VOCAB, HIDDEN,
                                   1u << 24, err);
}

static void accept(struct embedding_request *r, const char *body)
{
    struct err err;
    if (parse(r, body, &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

TEST(a_wrong_value_is_refused_by_name)
{
    UNUSED_STATE;
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"x\":1", "input"},
        {"\"input\":null", "input"},
        {"\"input\":\"\"", "input"},
        {"\"input\":7", "input"},
        {"\"input\":{}", "input"},
        {"\"input\":[]", "input"},
        {"\"input\":[[]]", "input[0]"},
        {"\"input\":[\"a\",\"\"]", "input[1]"},
        {"\"input\":[\"a\",7]", "input[1]"},
        {"\"input\":[1,100]", "input[1]"},
        {"\"input\":[1,-1]", "input[1]"},
        {"\"input\":[[1],[1,100]]", "input[1][1]"},
        {"\"input\":\"a\",\"messages\":[]", "input"},
        {"\"messages\":[],\"add_generation_prompt\":1",
         "add_generation_prompt"},
        {"\"input\":\"a\",\"model\":7", "model"},
        {"\"input\":\"a\",\"dimensions\":47", "dimensions"},
        {"\"input\":\"a\",\"dimensions\":0", "dimensions"},
        {"\"input\":\"a\",\"dimensions\":\"48\"", "dimensions"},
        {"\"input\":\"a\",\"encoding_format\":\"int8\"", "encoding_format"},
        {"\"input\":\"a\",\"encoding_format\":1", "encoding_format"},
        {"\"input\":\"a\",\"pooling\":\"cls\"", "pooling"},
        {"\"input\":\"a\",\"normalize\":1", "normalize"},
        {"\"input\":\"a\",\"hidden_states\":\"all\"", "hidden_states"},
        {"\"input\":\"a\",\"router_logits\":0", "router_logits"},
        {"\"input\":\"a\",\"add_special_tokens\":\"no\"", "add_special_tokens"},
        {"\"input\":\"a\",\"truncate_prompt_tokens\":0",
         "truncate_prompt_tokens"},
        {"\"input\":\"a\",\"truncate_prompt_tokens\":-2",
         "truncate_prompt_tokens"},
        {"\"input\":\"a\",\"truncation_side\":\"middle\"", "truncation_side"},
        {"\"input\":\"a\",\"priority\":1.5", "priority"},
        {"\"input\":\"a\",\"cache_prompt\":1", "cache_prompt"},
        {"\"input\":\"a\",\"cache_salt\":\"\"", "cache_salt"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct embedding_request r;
        struct err err;
        char body[512];
        snprintf(body, sizeof body, "{%s}", rows[i].fields);
        if (parse(&r, body, &err) == 0)
            fail_msg("accepted: %s", body);
        assert_int_equal(err.class_, ERR_INVALID);
        if (strcmp(err.param, rows[i].param) != 0)
            fail_msg("%s: param is \"%s\" (%s)", body, err.param, err.text);
    }
}

TEST(what_is_absent_null_or_unknown_has_its_default)
{
    UNUSED_STATE;
    static const char *const bodies[] = {
        "{\"input\":\"a b\"}",
        "{\"input\":\"a b\",\"user\":7,\"dimensions\":null,"
        "\"encoding_format\":null,\"pooling\":null,\"normalize\":null,"
        "\"truncate_prompt_tokens\":null,\"cache_salt\":null}",
        "{\"input\":[\"a b\"],\"dimensions\":48,\"pooling\":\"last\","
        "\"encoding_format\":\"float\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct embedding_request r;
        accept(&r, bodies[i]);
        assert_int_equal(r.n_inputs, 1);
        assert_string_equal(r.inputs[0].text, "a b");
        assert_int_equal(r.pooling, POOLING_LAST);
        assert_true(r.normalize && r.add_special);
        assert_false(r.base64 || r.hidden_states || r.router_logits ||
                     r.cut_right || r.no_prefix);
        assert_int_equal(r.most_tokens, 0);
        assert_null(r.cache_salt);
        embedding_request_deinit(&r);
    }
}

TEST(every_field_is_read)
{
    UNUSED_STATE;
    struct embedding_request r;
    accept(&r, "{\"input\":[[1,2],\"a\"],\"model\":\"m\",\"pooling\":"
               "\"none\",\"encoding_format\":\"base64\","
               "\"hidden_states\":true,\"router_logits\":true,"
               "\"add_special_tokens\":false,\"truncate_prompt_tokens\":5,"
               "\"truncation_side\":\"right\",\"priority\":-3,"
               "\"cache_salt\":\"s\",\"cache_prompt\":false}");
    assert_int_equal(r.n_inputs, 2);
    assert_int_equal(r.inputs[0].n_ids, 2);
    assert_string_equal(r.inputs[1].text, "a");
    assert_string_equal(r.model, "m");
    assert_int_equal(r.pooling, POOLING_NONE);
    assert_true(r.base64 && r.hidden_states && r.router_logits && r.cut_right &&
                r.no_prefix);
    assert_false(r.add_special || r.normalize);
    assert_int_equal(r.most_tokens, 5);
    assert_int_equal(r.priority, -3);
    assert_string_equal(r.cache_salt, "s");
    embedding_request_deinit(&r);

    accept(&r, "{\"input\":[1,2,3],\"pooling\":\"none\",\"normalize\":true,"
               "\"truncate_prompt_tokens\":-1}");
    assert_int_equal(r.n_inputs, 1);
    assert_int_equal(r.inputs[0].n_ids, 3);
    assert_true(r.normalize);
    assert_true(r.most_tokens == UINT32_MAX);
    embedding_request_deinit(&r);
}

TEST(messages_take_the_place_of_the_input)
{
    UNUSED_STATE;
    struct embedding_request r;
    accept(&r, "{\"input\":null,\"messages\":[1]}");
    assert_true(r.is_chat);
    assert_false(r.add_special || r.add_generation_prompt);
    assert_int_equal(r.n_inputs, 0);
    embedding_request_deinit(&r);
    accept(&r, "{\"messages\":[1],\"add_generation_prompt\":true,"
               "\"add_special_tokens\":true}");
    assert_true(r.is_chat && r.add_special && r.add_generation_prompt);
    embedding_request_deinit(&r);
}

TEST(no_more_inputs_than_2048)
{
    UNUSED_STATE;
    struct embedding_request r;
    struct err err;
    static char many[2049 * 4 + 32];
    size_t n = (size_t)sprintf(many, "{\"input\":[");
    for (int i = 0; i < 2049; i++)
        n += (size_t)sprintf(many + n, "\"a\"%s", i < 2048 ? "," : "]}");
    assert_int_equal(parse(&r, many, &err), -ERR_INVALID);
    assert_string_equal(err.param, "input");
}

TEST(a_failed_allocation_leaves_nothing)
{
    UNUSED_STATE;
    static const char body[] =
        "{\"input\":[[1,2],\"a\"],\"model\":\"m\",\"cache_salt\":\"s\"}";
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct embedding_request r;
        struct err err;
        fault_alloc_at(nth);
        int rc = parse(&r, body, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        if (rc == 0)
            embedding_request_deinit(&r);
        assert_int_equal(mem_live_count(), live);
        if (!hit) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_value_is_refused_by_name),
        cmocka_unit_test(what_is_absent_null_or_unknown_has_its_default),
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(messages_take_the_place_of_the_input),
        cmocka_unit_test(no_more_inputs_than_2048),
        cmocka_unit_test(a_failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
