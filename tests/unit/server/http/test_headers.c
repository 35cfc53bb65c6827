/* test_headers.c -- what could be read in two ways is refused. */
#include "tests/lib/test.h"

#include "server/http/headers.h"

#define MAX 6

struct row {
    const char *version;
    const char *pairs[2 * MAX]; /* name, value, ..., NULL */
    int status;
};

static size_t fill(const struct row *r, struct header *h)
{
    size_t n = 0;

    while (n < MAX && r->pairs[2 * n] != NULL) {
        const char *name = r->pairs[2 * n], *value = r->pairs[2 * n + 1];
        h[n++] = (struct header){name, strlen(name), value, strlen(value)};
    }
    return n;
}

static const char *const hosts[] = {"localhost", "[::1]"};
static const struct header_rules open_rules = {5, 1000, NULL, 0};
static const struct header_rules host_rules = {5, 1000, hosts, 2};

static void check(const struct row *r, const struct header_rules *rules)
{
    struct header h[MAX];
    struct header_facts facts;
    const char *why = NULL;
    int status = headers_check(h, fill(r, h), r->version, rules, &facts, &why);

    if (status != r->status)
        fail_msg("%s %s: %s -> %d (%s), expected %d", r->version, r->pairs[0],
                 r->pairs[1], status, why ? why : "", r->status);
    assert_true(status == 0 || (why != NULL && why[0] != '\0'));
}

#define V11 "HTTP/1.1"
#define V10 "HTTP/1.0"
#define H "Host", "x"

TEST(framing_that_could_be_read_in_two_ways_is_refused)
{
    static const struct row rows[] = {
        {V11, {H}, 0},
        {V11, {H, "Content-Length", "31"}, 0},
        {V11, {H, "Content-Length", "0"}, 0},
        {V11, {H, "Content-Length", "0031"}, 0},
        {V11, {H, "Content-Length", "9999999999"}, 0},
        {V11, {H, "Content-Length", "99999999999"}, 400},
        {V11, {H, "Content-Length", ""}, 400},
        {V11, {H, "Content-Length", "+5"}, 400},
        {V11, {H, "Content-Length", "-1"}, 400},
        {V11, {H, "Content-Length", "0x5"}, 400},
        {V11, {H, "Content-Length", "5, 5"}, 400},
        {V11, {H, "Content-Length", "5 "}, 400},
        {V11, {H, "Content-Length", "4", "Content-Length", "4"}, 400},
        {V11, {H, "Content-Length", "0", "content-length", "33"}, 400},
        {V11, {H, "Transfer-Encoding", "chunked"}, 0},
        {V11, {H, "Transfer-Encoding", "Chunked"}, 0},
        {V11, {H, "Transfer-Encoding", "xchunked"}, 400},
        {V11, {H, "Transfer-Encoding", "gzip, chunked"}, 400},
        {V11, {H, "Transfer-Encoding", "chunked "}, 400},
        {V11, {H, "Transfer-Encoding", "identity"}, 400},
        {V11, {H, "Transfer-Encoding", ""}, 400},
        {V11,
         {H, "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"},
         400},
        {V11, {H, "Transfer-Encoding", "chunked", "Content-Length", "4"}, 400},
        {V10, {H, "Transfer-Encoding", "chunked"}, 400},
        {V11, {H, "Content-Length ", "31"}, 400},
        {V11, {H, "Content Length", "31"}, 400},
        {V11, {H, "", "31"}, 400},
        {V11, {H, "X-\xc3\xa4", "31"}, 400},
        {V11, {H, "X(", "31"}, 400},
        {V11, {H, "X", "a\x01"}, 400},
        {V11, {H, "X", "a\rb"}, 400},
        {V11, {H, "X", "a\x7f"}, 400},
        {V11, {H, "X", "a\tb \xc3\xa4"}, 0},
    };

    UNUSED_STATE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], &open_rules);
}

TEST(a_nul_inside_a_name_or_value_is_seen)
{
    struct header h[2] = {{"Host", 4, "x", 1}, {"\0X", 2, "1", 1}};
    struct header_facts facts;
    const char *why;

    UNUSED_STATE;
    assert_int_equal(headers_check(h, 2, V11, &open_rules, &facts, &why), 400);
    h[1] = (struct header){"X", 1, "a\0b", 3};
    assert_int_equal(headers_check(h, 2, V11, &open_rules, &facts, &why), 400);
    h[1] = (struct header){"X", 1, NULL, 0};
    assert_int_equal(headers_check(h, 2, V11, &open_rules, &facts, &why), 0);
}

TEST(headers_have_a_size_in_all)
{
    static char value[1000];
    struct header h[2] = {{"Host", 4, "x", 1}, {"X", 1, value, 0}};
    struct header_facts facts;
    const char *why;

    UNUSED_STATE;
    memset(value, 'a', sizeof value);
    h[1].n_value = 1000 - 4 - 1 - 4 - 1 - 4;
    assert_int_equal(headers_check(h, 2, V11, &open_rules, &facts, &why), 0);
    h[1].n_value++;
    assert_int_equal(headers_check(h, 2, V11, &open_rules, &facts, &why), 431);
}

TEST(versions_hosts_and_counts)
{
    static const struct row rows[] = {
        {"HTTP/1.9", {H}, 505},
        {"HTTP/2.0", {H}, 505},
        {"", {H}, 505},
        {V11, {"A", "b"}, 400},
        {V10, {"A", "b"}, 0},
        {V11, {H, H}, 400},
        {V10, {H, "host", "y"}, 400},
        {V11, {H, "a", "", "b", "", "c", "", "d", ""}, 0},
        {V11, {H, "a", "", "b", "", "c", "", "d", "", "e", ""}, 431},
        {V11, {H, "Content-Encoding", "gzip"}, 415},
        {V11, {H, "Content-Encoding", "identity"}, 0},
        {V11, {H, "Expect", "100-Continue"}, 0},
        {V11, {H, "Expect", "200-ok"}, 417},
    };

    UNUSED_STATE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], &open_rules);
}

TEST(only_allowed_hosts_are_served)
{
    static const struct row rows[] = {
        {V11, {"Host", "localhost"}, 0},
        {V11, {"Host", "LOCALHOST:8080"}, 0},
        {V11, {"Host", "[::1]:8080"}, 0},
        {V11, {"Host", "localhost.evil.com"}, 403},
        {V11, {"Host", "evil.com:80"}, 403},
        {V11, {"Host", "[::1"}, 403},
        {V11, {"Host", ""}, 403},
    };

    UNUSED_STATE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], &host_rules);
}

TEST(what_we_send_cannot_break_the_framing)
{
    UNUSED_STATE;
    assert_true(header_sendable("Retry-After", "1"));
    assert_false(header_sendable("Retry After", "1"));
    assert_false(header_sendable("", "1"));
    assert_false(header_sendable("X", "1\r\nY: 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_that_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_nul_inside_a_name_or_value_is_seen),
        cmocka_unit_test(headers_have_a_size_in_all),
        cmocka_unit_test(versions_hosts_and_counts),
        cmocka_unit_test(only_allowed_hosts_are_served),
        cmocka_unit_test(what_we_send_cannot_break_the_framing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
