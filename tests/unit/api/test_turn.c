/* test_turn.c -- a call from socket to answer over the demo model, with each
 * allocation on its way failing once: the answer is whole, or an error, or a
 * closed connection, and nothing is left behind. */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "api/api_options.h"
#include "api/turn.h"
#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/log.h"
#include "model/model.h"
#include "server/engine/engine.h"
#include "server/engine/engine_options.h"
#include "server/http/http.h"
#include "server/loop/loop.h"

#define CHAT "/v1/chat/completions"
#define BUDGET_MS                                               \
    6000u /* for all requests; what is left out is later faults \
           */

struct call {
    const char *path, *body;
};

static const struct call calls[] = {
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\u00e9\"}],"
           "\"temperature\":0,\"max_tokens\":2,\"logprobs\":true,"
           "\"top_logprobs\":2}"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
           "\"temperature\":0,\"max_tokens\":2,\"stream\":true,\"tools\":[{"
           "\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}"},
    {"/v1/completions", "{\"prompt\":[\"a\",\"b\"],\"temperature\":0,"
                        "\"max_tokens\":2,\"echo\":true,\"stop\":[\"zz\"]}"},
    {"/v1/completions", "{\"prompt\":\"ab\",\"max_tokens\":2,\"best_of\":2,"
                        "\"prompt_logprobs\":1,\"bad_words\":[\"the\"],"
                        "\"logit_bias\":[[\"zz\",-1]],"
                        "\"allowed_token_ids\":[30,31,32,33,34],"
                        "\"repetition_detection\":{\"max_pattern_size\":9,"
                        "\"min_count\":9},\"request_id\":\"x\"}"},
    {"/v1/embeddings", "{\"input\":[\"a\",\"b c\"]}"},
    {"/v1/embeddings",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"},
    {"/v1/embeddings", "{\"input\":[[1,20,30]],\"pooling\":\"none\","
                       "\"router_logits\":true,\"encoding_format\":"
                       "\"base64\",\"cache_salt\":\"x\"}"},
    {"/completion", "{\"prompt\":[[5,\"a\"],{\"prompt_string\":\"b\"}],"
                    "\"n_probs\":1,\"n_predict\":2}"},
    {"/v1/responses", "{\"input\":\"Hi\",\"temperature\":0,\"stream\":true,"
                      "\"max_output_tokens\":2,\"include\":["
                      "\"message.output_text.logprobs\"],\"tools\":[{\"type\":"
                      "\"function\",\"name\":\"f\"}]}"},
    {"/v1/responses/input_tokens",
     "{\"input\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"},
    {"/v1/messages", "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
                     "\"system\":\"s\",\"temperature\":0,\"max_tokens\":2}"},
    {"/v1/messages",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
     "\"text\":\"Hi\"}]}],\"temperature\":0,\"max_tokens\":2,\"stream\":true,"
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]}"},
    {"/v1/messages/count_tokens",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"},
};
#define N_CALLS (sizeof calls / sizeof *calls)

static struct {
    struct loop *loop;
    struct http *http;
    struct api *api;
    struct model *model;
    struct engine *engine;
    struct loop_wake *wake;
    struct loop_timer *guard, *settle;
    const char *held_for; /* events wait until this was read */
    struct loop_watch *watch;
    int fd;
    char answer[16384];
    size_t n_answer;
} f;

static void too_late(void *user)
{
    struct http_stats stats;
    (void)user;
    http_stats(f.http, &stats);
    fail_msg("no end within 4 s: %u connections, api %s, engine %s: %s",
             (unsigned)stats.n_connections, api_idle(f.api) ? "idle" : "busy",
             engine_idle(f.engine) ? "idle" : "busy", f.answer);
}

static void on_wake(void *user)
{
    (void)user;
    if (f.held_for == NULL)
        engine_dispatch(f.engine);
}

/* The answer is out; the job ends a little later. */
static void stop_when_idle(void *user)
{
    struct http_stats stats;
    (void)user;
    http_stats(f.http, &stats);
    if (!api_idle(f.api) || !engine_idle(f.engine) ||
        stats.n_connections != 0) {
        loop_timer_again(f.settle, 1);
        return;
    }
    engine_dispatch(f.engine); /* a cancelled job may still wait to be freed */
    loop_stop(f.loop);
}

static void open_fixture(void)
{
    static const struct engine_options engine = {.max_sequences = 4,
                                                 .max_queue = 8};
    static const struct api_options api = {.ping_ms = 1};
    const struct model_options model = {.path = "model/demo",
                                        .n_threads = 1,
                                        .max_batch_tokens = 64,
                                        .max_slices = 4,
                                        .ctx_tokens = 512,
                                        .cache_bytes = 8u << 20};
    struct http_options http;
    struct err err = {0};
    size_t n;
    log_set_level(LOG_ERROR);
    memset(&f, 0, sizeof f);
    http_options_default(&http);
    http.port = 0;
    const struct route *routes = api_routes(&n);
    if (loop_new(&f.loop, &err) != 0 ||
        model_open(&f.model, &model, NULL, NULL, &err) != 0 ||
        api_new(&f.api, f.loop, &api, "test", &err) != 0 ||
        http_new(&f.http, f.loop, &http, routes, n, api_gate, f.api, &err) != 0)
        fail_msg("%s", err.text);
    f.wake = loop_wake_new(f.loop, on_wake, NULL);
    f.guard = loop_after(f.loop, 4000, too_late, NULL);
    f.settle = loop_after(f.loop, 0, stop_when_idle, NULL);
    assert_true(f.wake != NULL && f.guard != NULL && f.settle != NULL);
    loop_timer_stop(f.settle);
    if (engine_new(&f.engine, f.model, &engine, loop_wake_send, f.wake, &err))
        fail_msg("%s", err.text);
    api_ready(f.api, f.model, f.engine);
}

static void close_fixture(void)
{
    engine_stop(f.engine);
    http_stop(f.http);
    loop_timer_free(f.guard);
    loop_timer_free(f.settle);
    engine_free(f.engine);
    loop_wake_free(f.wake);
    api_free(f.api);
    assert_int_equal(loop_free(f.loop), 0);
    model_close(f.model);
}

static void readable(void *user, unsigned events)
{
    ssize_t n =
        recv(f.fd, f.answer + f.n_answer, sizeof f.answer - 1 - f.n_answer, 0);
    (void)user;
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        f.n_answer += (size_t)n;
        f.answer[f.n_answer] = '\0';
        return;
    }
    loop_watch_free(f.watch);
    close(f.fd);
    fault_alloc_at(-1);
    loop_timer_again(f.settle, 0);
}

/* Asks with allocation number `fault` failing. */
static void ask(const struct call *c, long fault)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(http_port(f.http))};
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
                     "\r\n%s",
                     c->path, strlen(c->body), c->body);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(f.fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(send(f.fd, request, (size_t)n, 0), n);
    f.n_answer = 0;
    f.answer[0] = '\0';
    loop_timer_again(f.guard, 4000);
    f.watch = loop_watch(f.loop, f.fd, LOOP_READABLE, readable, NULL);
    assert_non_null(f.watch);
    fault_alloc_at(fault);
    loop_run(f.loop);
}

static bool is_whole(void)
{
    if (strstr(f.answer, "text/event-stream") != NULL)
        return strstr(f.answer, "[DONE]") != NULL ||
               strstr(f.answer, "event: response.incomplete") != NULL ||
               strstr(f.answer, "event: message_stop") != NULL;
    return strstr(f.answer, "\"error\"") == NULL;
}

static size_t count(const char *what)
{
    size_t n = 0;
    for (const char *p = f.answer; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

static size_t count_texts(void)
{
    return count("\"content\"") + count("\"text\"") + count("\"embedding\"");
}

TEST(whichever_allocation_fails_the_answer_is_whole_or_none)
{
    UNUSED_STATE;
    open_fixture();
    for (size_t i = 0; i < N_CALLS; i++) {
        uint64_t end = clock_now_ms() + BUDGET_MS / N_CALLS;
        ask(&calls[i], -1);
        assert_int_equal(atoi(f.answer + 9), 200);
        assert_true(is_whole());
        const size_t n_lines = count("\"choices\""), n_live = mem_live_count();
        const size_t n_texts = count_texts();
        size_t n_failed = 0;
        for (long nth = 0, calm = 0; calm < 20 && clock_now_ms() < end; nth++) {
            ask(&calls[i], nth);
            int status = f.n_answer > 12 ? atoi(f.answer + 9) : 0;
            if (status == 200 && is_whole()) {
                assert_int_equal(count("\"choices\""), n_lines);
                assert_int_equal(count_texts(), n_texts);
                calm++;
            } else {
                if (status != 0 && status != 200 && status != 500 &&
                    status != 503)
                    fail_msg("call %zu, fault %ld: %s", i, nth, f.answer);
                n_failed++;
                calm = 0;
            }
            assert_int_equal(mem_live_count(), n_live);
        }
        assert_true(n_failed > 20);
    }
    close_fixture();
}

static void ping(void *user)
{
    struct loop_timer **timer = user;
    if (strstr(f.answer, f.held_for) == NULL) {
        turn_ping_all(f.api);
        loop_timer_again(*timer, 1);
        return;
    }
    f.held_for = NULL;
    on_wake(NULL);
}

/* The engine is not listened to until the client has been pinged. */
static void expect_ping(const struct call *c, const char *what)
{
    struct loop_timer *timer = loop_after(f.loop, 1, ping, &timer);
    assert_non_null(timer);
    f.held_for = what;
    ask(c, -1);
    assert_null(f.held_for);
    assert_true(is_whole());
    loop_timer_free(timer);
}

TEST(a_silent_stream_is_pinged_in_its_own_protocol)
{
    UNUSED_STATE;
    static const struct call chat = {
        CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
              "\"max_tokens\":2,\"stream\":true}"};
    static const struct call messages = {
        "/v1/messages",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
        "\"max_tokens\":2,\"stream\":true}"};
    open_fixture();
    expect_ping(&chat, "\n: ping\n\n");
    assert_null(strstr(f.answer, "event: ping"));
    expect_ping(&messages, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    assert_null(strstr(f.answer, "\n: ping"));
    close_fixture();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            whichever_allocation_fails_the_answer_is_whole_or_none),
        cmocka_unit_test(a_silent_stream_is_pinged_in_its_own_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
