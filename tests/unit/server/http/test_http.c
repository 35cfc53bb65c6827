/* test_http.c -- the server in one process with its client: what is answered,
 * who is told, and what happens when memory is short anywhere. */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "server/http/http.h"
#include "server/http/sse.h"
#include "server/loop/loop.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n"
#define POST(path) \
    "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"

struct fixture {
    struct loop *loop;
    struct http *http;
    struct loop_timer *guard, *later;
    struct exchange *waiting;
    unsigned n_gone;
    int fd;
    struct loop_watch *watch;
    char answer[8192];
    size_t n_answer;
};

static struct fixture f;

static void too_late(void *user)
{
    (void)user;
    fail_msg("no answer within 2 s: %s", f.answer);
}

/* -- Handlers. --------------------------------------------------------------
 */

static void echo(struct exchange *ex, void *user)
{
    size_t n;
    const char *body = exchange_body(ex, &n);

    assert_ptr_equal(user, &f);
    (void)exchange_reply(ex, 200, "text/plain", body, n);
}

static void gone(struct exchange *ex, void *user)
{
    assert_ptr_equal(user, &f);
    assert_true(exchange_gone(ex));
    assert_int_equal(exchange_reply(ex, 200, NULL, "", 0), -ERR_UNAVAILABLE);
    f.n_gone++;
    f.waiting = NULL;
}

static void wait_for_timer(struct exchange *ex)
{
    f.waiting = ex;
    exchange_on_gone(ex, gone, &f);
    loop_timer_again(f.later, 5);
}

static void late(struct exchange *ex, void *user)
{
    (void)user;
    wait_for_timer(ex);
}

static void stream(struct exchange *ex, void *user)
{
    (void)user;
    wait_for_timer(ex);
    if (exchange_stream_begin(ex, 200, SSE_CONTENT_TYPE) == 0)
        (void)exchange_stream_write(ex, SSE_PING, strlen(SSE_PING));
}

static void never(struct exchange *ex, void *user)
{
    (void)user;
    f.waiting = ex;
    exchange_on_gone(ex, gone, &f);
}

static void held(struct exchange *ex, void *user)
{
    (void)user;
    exchange_hold(ex);
    assert_int_equal(exchange_reply(ex, 200, NULL, "a", 1), 0);
    assert_int_equal(exchange_reply(ex, 200, NULL, "b", 1), -ERR_INVALID);
    assert_int_equal(exchange_stream_begin(ex, 200, NULL), -ERR_INVALID);
    assert_int_equal(exchange_stream_write(ex, "b", 1), -ERR_INVALID);
    exchange_stream_end(ex, true);
    exchange_release(ex);
}

static void no_answer(struct exchange *ex, void *user)
{
    (void)user;
    exchange_stream_end(ex, true);
}

static void answer_later(void *user)
{
    struct exchange *ex = f.waiting;

    (void)user;
    f.waiting = NULL;
    if (ex == NULL)
        return;
    if (strcmp(exchange_path(ex), "/late") == 0) {
        (void)exchange_reply(ex, 200, "text/plain", "late", 4);
        return;
    }
    (void)exchange_stream_write(ex, SSE_DONE, strlen(SSE_DONE));
    exchange_stream_end(ex, true);
}

static void gate(struct exchange *ex, void *user)
{
    size_t n;

    assert_ptr_equal(user, &f);
    assert_string_equal(exchange_body(ex, &n), "");
    if (exchange_flags(ex) & ROUTE_PUBLIC)
        return;
    if (exchange_header(ex, "X-Refuse") != NULL)
        (void)exchange_reply(ex, 401, NULL, "", 0);
}

static const struct route routes[] = {
    {"POST", "/echo", echo, 0},
    {"GET", "/late", late, 0},
    {"GET", "/stream", stream, 0},
    {"GET", "/never", never, 0},
    {"GET", "/held", held, 0},
    {"GET", "/none", no_answer, 0},
    {"GET", "/public", held, ROUTE_PUBLIC},
};

/* -- A client. --------------------------------------------------------------
 */

static int serve(struct err *err)
{
    struct http_options options;

    http_options_default(&options);
    options.port = 0;
    options.cors_origin = "http://b, http://a";
    return http_new(&f.http, f.loop, &options, routes,
                    sizeof routes / sizeof routes[0], gate, &f, err);
}

static void open_fixture(void)
{
    struct err err;

    log_set_level(LOG_ERROR);
    memset(&f, 0, sizeof f);
    assert_int_equal(loop_new(&f.loop, &err), 0);
    f.guard = loop_after(f.loop, 2000, too_late, NULL);
    f.later = loop_after(f.loop, 0, answer_later, NULL);
    assert_non_null(f.guard);
    assert_non_null(f.later);
}

static void close_fixture(void)
{
    assert_int_equal(loop_free(f.loop), 0);
    assert_int_equal(mem_live_count(), 0);
}

static void dial(const char *request)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(http_port(f.http))};

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(f.fd >= 0);
    assert_int_equal(connect(f.fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(send(f.fd, request, strlen(request), 0), strlen(request));
    f.n_answer = 0;
    f.answer[0] = '\0';
    loop_timer_again(f.guard, 2000);
}

static void hang_up(void)
{
    loop_watch_free(f.watch);
    f.watch = NULL;
    if (f.fd >= 0)
        close(f.fd);
    f.fd = -1;
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
    hang_up();
    loop_stop(f.loop);
}

/* Sends, and turns the loop until the server closes; with the Nth allocation
 * failing unless `fault` is -1. */
static void ask(const char *request, long fault)
{
    dial(request);
    f.watch = loop_watch(f.loop, f.fd, LOOP_READABLE, readable, NULL);
    assert_non_null(f.watch);
    fault_alloc_at(fault);
    loop_run(f.loop);
}

static void stop_now(void *user)
{
    (void)user;
    loop_stop(f.loop);
}

static void turn(uint64_t ms)
{
    struct loop_timer *t = loop_after(f.loop, ms, stop_now, NULL);

    assert_non_null(t);
    loop_run(f.loop);
    loop_timer_free(t);
}

static int status(void)
{
    return f.n_answer > 12 ? atoi(f.answer + 9) : 0;
}

/* -- Tests. -----------------------------------------------------------------
 */

TEST(answers_come_at_once_later_or_in_pieces)
{
    struct err err;

    UNUSED_STATE;
    open_fixture();
    assert_int_equal(serve(&err), 0);
    ask(POST("/echo"), -1);
    assert_int_equal(status(), 200);
    assert_non_null(strstr(f.answer, "\r\n\r\nhello"));
    ask(GET("/late"), -1);
    assert_non_null(strstr(f.answer, "\r\n\r\nlate"));
    assert_non_null(strstr(f.answer, "Allow-Origin: http://a\r\n"));
    ask(GET("/stream"), -1);
    assert_non_null(strstr(f.answer, SSE_DONE "\r\n0\r\n\r\n"));
    ask(GET("/held"), -1);
    assert_non_null(strstr(f.answer, "\r\n\r\na"));
    ask(GET("/none"), -1);
    assert_string_equal(f.answer, "");
    assert_int_equal(f.n_gone, 0);
    http_stop(f.http);
    close_fixture();
}

TEST(the_gate_sees_flags_and_headers_and_may_refuse)
{
    struct err err;

    UNUSED_STATE;
    open_fixture();
    assert_int_equal(serve(&err), 0);
    ask("GET /held HTTP/1.1\r\nHost: x\r\nX-Refuse: 1\r\n\r\n", -1);
    assert_int_equal(status(), 401);
    ask("GET /public HTTP/1.1\r\nHost: x\r\nX-Refuse: 1\r\n\r\n", -1);
    assert_int_equal(status(), 200);
    http_stop(f.http);
    close_fixture();
}

TEST(a_client_that_leaves_is_told_once)
{
    struct err err;
    struct http_stats stats;

    UNUSED_STATE;
    open_fixture();
    assert_int_equal(serve(&err), 0);
    dial(GET("/never"));
    turn(20);
    assert_non_null(f.waiting);
    assert_int_equal(f.n_gone, 0);
    hang_up();
    turn(20);
    assert_int_equal(f.n_gone, 1);
    http_stats(f.http, &stats);
    assert_int_equal(stats.n_exchanges, 0);
    assert_int_equal(stats.n_gone, 1);
    http_stop(f.http);
    assert_int_equal(f.n_gone, 1);
    close_fixture();
}

TEST(stop_tells_those_who_wait_and_what_is_held_outlives_it)
{
    struct err err;

    UNUSED_STATE;
    open_fixture();
    assert_int_equal(serve(&err), 0);
    dial(GET("/never"));
    turn(20);
    struct exchange *ex = f.waiting;
    assert_non_null(ex);
    exchange_hold(ex);
    http_drain(f.http);
    http_stop(f.http);
    assert_int_equal(f.n_gone, 1);
    assert_string_equal(exchange_path(ex), "/never");
    assert_null(exchange_header(ex, "Host"));
    assert_int_equal(exchange_stream_begin(ex, 200, NULL), -ERR_UNAVAILABLE);
    exchange_release(ex);
    hang_up();
    close_fixture();
}

TEST(short_memory_anywhere_costs_one_request_at_most)
{
    static const char *const requests[] = {
        POST("/echo"),
        GET("/late"),
        GET("/stream"),
        GET("/nope"),
        "OPTIONS /late HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n",
    };
    struct err err;
    struct http_stats stats;

    UNUSED_STATE;
    open_fixture();
    assert_int_equal(serve(&err), 0);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        for (long nth = 0; nth < 100; nth++) {
            ask(requests[i], nth);
            long hits = fault_hits();
            fault_alloc_at(-1);
            f.waiting = NULL;
            if (hits == 0)
                break;
            assert_true(nth < 99);
            ask(POST("/echo"), -1);
            assert_int_equal(status(), 200);
            http_stats(f.http, &stats);
            assert_int_equal(stats.n_exchanges, 0);
        }
    }
    http_stop(f.http);
    close_fixture();
}

TEST(short_memory_at_the_start_is_a_sentence)
{
    UNUSED_STATE;
    for (long nth = 0; nth < 20; nth++) {
        struct err err = {0};
        open_fixture();
        fault_alloc_at(nth);
        int rc = serve(&err);
        long hits = fault_hits();
        fault_alloc_at(-1);
        if (rc == 0)
            http_stop(f.http);
        else
            assert_true(err.text[0] != '\0');
        close_fixture();
        if (hits == 0)
            return;
        assert_int_equal(rc, -ERR_NOMEM);
    }
    fail_msg("still short of memory after 20 tries");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_at_once_later_or_in_pieces),
        cmocka_unit_test(the_gate_sees_flags_and_headers_and_may_refuse),
        cmocka_unit_test(a_client_that_leaves_is_told_once),
        cmocka_unit_test(
            stop_tells_those_who_wait_and_what_is_held_outlives_it),
        cmocka_unit_test(short_memory_anywhere_costs_one_request_at_most),
        cmocka_unit_test(short_memory_at_the_start_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
