/* fuzz_request.c -- the bodies of all endpoints that have a model's work to do;
 * what is accepted must keep the promises of the headers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/prompt/chat_opening.h"
#include "api/prompt/chat_prompt.h"
#include "api/request/chat_request.h"
#include "api/request/completion_request.h"
#include "api/request/embedding_request.h"
#include "api/request/messages_request.h"
#include "api/request/responses_request.h"
#include "model/template/template.h"

#define VOCAB 1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void check_sampling(const struct sampling_fields *f)
{
    require(f->n >= 1 && f->n <= SAMPLING_N_MAX);
    require(f->n_stop <= SAMPLING_STOPS_MAX);
    for (uint32_t i = 0; i < f->n_stop; i++)
        require(f->stop[i][0] != '\0');
    for (uint32_t i = 0; i < f->n_bias; i++)
        require(f->bias[i].id >= 0 && f->bias[i].id < (token_id)VOCAB);
    require(f->n_bias + f->n_word_bias <= SAMPLING_BIAS_MAX);
    for (uint32_t i = 0; i < f->n_word_bias; i++)
        require(f->word_bias[i].word[0] != '\0');
    require(f->n_bad_words <= SAMPLING_BAD_WORDS_MAX);
    for (uint32_t i = 0; i < f->n_bad_words; i++)
        require(f->bad_words[i][0] != '\0');
    require(f->loops.max_size <= SAMPLING_PATTERN_MAX);
    require(f->loops.max_size == 0 || f->loops.min_count >= 2);
    require(f->n_prompt_logprobs <= SAMPLING_LOGPROBS_MAX);
    for (uint32_t i = 0; i < f->n_stop_ids; i++)
        require(f->stop_ids[i] >= 0 && f->stop_ids[i] < (token_id)VOCAB);
}

static void check_error(int rc, const struct err *err)
{
    require(rc == -(int)err->class_ && err->text[0] != '\0');
    require(strchr(err->text, '\n') == NULL);
}

/* Shows all that a message may hold, and opens a thought. */
static const char shape[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.thinking is defined %}<think>{{ m.thinking }}</think>{% endif %}"
    "{{ m.content | trim }}{{ m.tool_calls | default('') }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}";

/* A reply begins in one place at most. */
static void render(const struct chat_request *r)
{
    static struct template *t;
    struct buf out = {0};
    struct err err = {0};
    if (t == NULL)
        require(template_compile(&t, shape, sizeof shape - 1, &err) == 0);
    int rc = chat_prompt_render(&out, t, "<s>", "</s>", r, &err);
    if (rc != 0) {
        check_error(rc, &err);
    } else {
        const struct chat_opening o = chat_opening_of(&out, r);
        require(o.in_thought + o.after_thought + o.in_answer <= 1);
        require(!o.in_thought || !r->thinking.off);
        require(!o.resumes || o.in_thought);
    }
    buf_deinit(&out);
}

static void check_chat(struct chat_request *r)
{
    check_sampling(&r->sampling);
    require(json_array_size(r->messages) > 0);
    for (size_t i = 0; i < json_array_size(r->messages); i++) {
        const json_t *m = json_array_get(r->messages, i);
        require(json_is_string(json_object_get(m, "role")));
        require(json_is_string(json_object_get(m, "content")));
    }
    render(r);
    chat_request_deinit(r);
}

static void chat(const char *body, size_t n)
{
    struct chat_request r;
    struct err err = {0};
    int rc = chat_request_parse(&r, body, n, VOCAB, 1u << 24, &err);
    if (rc != 0)
        check_error(rc, &err);
    else
        check_chat(&r);
}

/* What the answer repeats is JSON in any case. */
static void responses(const char *body, size_t n)
{
    struct chat_request r;
    struct responses_asked asked = {0};
    struct err err = {0};
    struct buf object = {0};
    json_t *echo = NULL;
    int rc =
        responses_request_parse(&r, &asked, body, n, VOCAB, 1u << 24, &err);
    if (rc != 0) {
        check_error(rc, &err);
    } else {
        buf_printf(&object, "{%s}", buf_str(&asked.echo));
        require(json_parse(&echo, buf_str(&object), object.len, 80, 1u << 20,
                           &err) == 0);
        require(r.sampling.n == 1);
        check_chat(&r);
    }
    json_decref(echo);
    buf_deinit(&object);
    buf_deinit(&asked.echo);
}

static void messages(const char *body, size_t n, enum messages_use use)
{
    struct chat_request r;
    struct err err = {0};
    int rc = messages_request_parse(&r, body, n, VOCAB, 1u << 24, use, &err);
    if (rc != 0)
        check_error(rc, &err);
    else
        check_chat(&r);
}

static void completion(const char *body, size_t n)
{
    struct completion_request r;
    struct err err = {0};
    int rc = completion_request_parse(&r, body, n, VOCAB, 1u << 24, &err);
    if (rc != 0) {
        check_error(rc, &err);
        return;
    }
    check_sampling(&r.sampling);
    require(r.n_prompts >= 1);
    require(r.best_of >= r.sampling.n && r.best_of <= SAMPLING_N_MAX);
    for (uint32_t i = 0; i < r.n_prompts; i++)
        require(r.prompts[i].n_text > 0 || r.prompts[i].n_ids > 0);
    completion_request_deinit(&r);
}

static void embedding(const char *body, size_t n)
{
    struct embedding_request r;
    struct err err = {0};
    int rc = embedding_request_parse(&r, body, n, VOCAB, 8, 1u << 24, &err);
    if (rc != 0) {
        check_error(rc, &err);
        return;
    }
    require(r.is_chat || r.n_inputs >= 1);
    require(r.n_inputs <= EMBEDDING_INPUTS_MAX);
    for (uint32_t i = 0; i < r.n_inputs; i++)
        require(r.inputs[i].n_text > 0 || r.inputs[i].n_ids > 0);
    require(r.pooling <= POOLING_NONE);
    embedding_request_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chat((const char *)data, size);
    completion((const char *)data, size);
    responses((const char *)data, size);
    messages((const char *)data, size, MESSAGES_ANSWER);
    messages((const char *)data, size, MESSAGES_COUNT);
    embedding((const char *)data, size);
    return 0;
}
