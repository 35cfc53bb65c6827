/* fuzz_request.c -- the bodies of all endpoints that answer; what is accepted
 * must keep the promises of the headers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/chat_request.h"
#include "api/completion_request.h"
#include "api/messages_request.h"
#include "api/responses_request.h"

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
    for (uint32_t i = 0; i < f->n_stop_ids; i++)
        require(f->stop_ids[i] >= 0 && f->stop_ids[i] < (token_id)VOCAB);
}

static void check_error(int rc, const struct err *err)
{
    require(rc == -(int)err->class_ && err->text[0] != '\0');
    require(strchr(err->text, '\n') == NULL);
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
    for (uint32_t i = 0; i < r.n_prompts; i++)
        require(r.prompts[i].n_text > 0 || r.prompts[i].n_ids > 0);
    completion_request_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chat((const char *)data, size);
    completion((const char *)data, size);
    responses((const char *)data, size);
    messages((const char *)data, size, MESSAGES_ANSWER);
    messages((const char *)data, size, MESSAGES_COUNT);
    return 0;
}
