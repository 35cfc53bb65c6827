/* test_chat_golden.c -- from OpenAI request to token ids as transformers gives
 * them, with the demo model's tokenizer and its own template or another.
 *
 * Golden: chat_golden.json, made by chat_golden.py.  Run from the repository
 * root. */
#include "tests/lib/test.h"

#include "api/prompt/prepare.h"
#include "model/model.h"
#include "server/engine/job.h"

static struct template *compile(const char *source, size_t n)
{
    struct template *t;
    struct err err = {0};
    if (template_compile(&t, source, n, &err) != 0)
        fail_msg("%s", err.text);
    return t;
}

static struct template *load_template(void)
{
    static char source[1 << 16];
    FILE *f = fopen("model/demo/chat_template.jinja", "rb");
    assert_non_null(f);
    size_t n = fread(source, 1, sizeof source, f);
    fclose(f);
    return compile(source, n);
}

static void check(const struct model *m, const json_t *golden)
{
    const char *body = json_string_value(json_object_get(golden, "request"));
    const json_t *tokens = json_object_get(golden, "tokens");
    const json_t *other = json_object_get(golden, "template");
    struct chat_request r;
    struct api_options options = {0};
    struct speech_options speech;
    struct job *job;
    struct buf text = {0};
    struct err err = {0};
    struct model with = *m;
    if (other != NULL)
        with.chat_template =
            compile(json_string_value(other), json_string_length(other));
    if (chat_request_parse(&r, body, strlen(body), m->hp.n_vocab, 0, &err) !=
            0 ||
        prepare_chat_text(&text, &with, &r, &err) != 0 ||
        prepare_chat(&job, &speech, &with, &options, &r, &err) != 0)
        fail_msg("%s: %s", body, err.text);
    assert_string_equal(buf_str(&text),
                        json_string_value(json_object_get(golden, "prompt")));
    assert_int_equal(job->n_prompt, json_array_size(tokens));
    for (uint32_t i = 0; i < job->n_prompt; i++)
        assert_int_equal(job->prompt[i],
                         json_integer_value(json_array_get(tokens, i)));
    buf_deinit(&text);
    job_release(job);
    chat_request_deinit(&r);
    if (other != NULL)
        template_free(with.chat_template);
}

TEST(requests_become_the_tokens_of_transformers)
{
    UNUSED_STATE;
    struct model model = {.ctx_tokens = 4096};
    struct err err = {0};
    json_t *golden;
    if (tokenizer_load(&model.tokenizer, "model/demo", &err) != 0 ||
        json_parse_file(&golden, "tests/unit/api/prompt/chat_golden.json",
                        1u << 20, 100000, &err) != 0)
        fail_msg("%s", err.text);
    model.chat_template = load_template();
    model.hp.n_vocab = 2048;
    assert_true(json_array_size(golden) >= 26);
    for (size_t i = 0; i < json_array_size(golden); i++)
        check(&model, json_array_get(golden, i));
    json_decref(golden);
    template_free(model.chat_template);
    tokenizer_free(model.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_become_the_tokens_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
