/* fuzz_request.c -- the bodies of both endpoints; what is accepted must keep
 * the promises of the headers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/chat_request.h"
#include "api/completion_request.h"

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

static void chat(const char *body, size_t n)
{
    struct chat_request r;
    struct err err = {0};
    int rc = chat_request_parse(&r, body, n, VOCAB, 1u << 24, &err);
    if (rc != 0) {
        check_error(rc, &err);
        return;
    }
    check_sampling(&r.sampling);
    require(json_array_size(r.messages) > 0);
    for (size_t i = 0; i < json_array_size(r.messages); i++) {
        const json_t *m = json_array_get(r.messages, i);
        require(json_is_string(json_object_get(m, "role")));
        require(json_is_string(json_object_get(m, "content")));
    }
    chat_request_deinit(&r);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chat((const char *)data, size);
    completion((const char *)data, size);
    return 0;
}
