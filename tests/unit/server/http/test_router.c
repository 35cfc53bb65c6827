/* test_router.c -- one spelling, one handler. */
#include "tests/lib/test.h"

#include "server/http/cors.h"
#include "server/http/request_id.h"
#include "server/http/router.h"

static void a(struct exchange *ex, void *user)
{
    (void)ex;
    (void)user;
}

static const struct route routes[] = {
    {"GET", "/", a, 0},
    {"GET", "/v1/models", a, 1},
    {"GET", "/v1/models/*", a, 2},
    {"GET", "/v1/models/fixed", a, 3},
    {"DELETE", "/v1/models/*", a, 4},
    {"POST", "/v1/chat/completions", a, 5},
    {"GET", "/v1/*", a, 6},
};

static const struct router router = {routes, sizeof routes / sizeof routes[0]};

struct row {
    const char *method, *path;
    int status;
    unsigned flags;   /* when 200 */
    const char *text; /* the tail when 200, else what is allowed */
};

TEST(paths_find_their_routes)
{
    static const struct row rows[] = {
        {"GET", "/", 200, 0, ""},
        {"HEAD", "/", 200, 0, ""},
        {"GET", "/v1/models", 200, 1, ""},
        {"GET", "/v1/models/x/y", 200, 2, "x/y"},
        {"GET", "/v1/models/fixed", 200, 3, ""},
        {"DELETE", "/v1/models/fixed", 405, 0, "GET, HEAD, OPTIONS"},
        {"DELETE", "/v1/models/other", 200, 4, "other"},
        {"GET", "/v1/models/", 200, 6, "models/"},
        {"GET", "/v1/", 404, 0, ""},
        {"GET", "/v1", 404, 0, ""},
        {"GET", "/nope", 404, 0, ""},
        {"GET", "", 404, 0, ""},
        {"GET", "*", 404, 0, ""},
        {"GET", "http://x/v1/models", 404, 0, ""},
        {"GET", "/v1/models%2f", 404, 0, ""},
        {"GET", "/%76%31/models", 404, 0, ""},
        {"GET", "/v1/models/\x01", 404, 0, ""},
        {"GET", "/v1/models/a b", 404, 0, ""},
        {"GET", "/v1/models/\xc3\xa4", 404, 0, ""},
        {"GET", "/v1/models/a\\b", 404, 0, ""},
        {"POST", "/", 405, 0, "GET, HEAD, OPTIONS"},
        {"get", "/", 405, 0, "GET, HEAD, OPTIONS"},
        {"POST", "/v1/models/x", 405, 0, "GET, HEAD, DELETE, OPTIONS"},
        {"PUT", "/v1/chat/completions", 405, 0, "POST, OPTIONS"},
        {"OPTIONS", "/v1/chat/completions", 204, 0, "POST, OPTIONS"},
        {"OPTIONS", "/", 204, 0, "GET, HEAD, OPTIONS"},
        {"OPTIONS", "/nope", 404, 0, ""},
    };

    UNUSED_STATE;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct route_match m;
        int status = router_find(&router, r->method, r->path, &m);
        if (status != r->status)
            fail_msg("%s %s: %d", r->method, r->path, status);
        assert_string_equal(status == 200 ? m.tail : m.allow, r->text);
        assert_true((status == 200) == (m.route != NULL));
        if (status == 200)
            assert_int_equal(m.route->flags, r->flags);
    }
}

TEST(the_query_is_cut_off_and_kept)
{
    char with[] = "/a?b=c?d", without[] = "/a", empty[] = "";

    UNUSED_STATE;
    assert_string_equal(router_split(with), "b=c?d");
    assert_string_equal(with, "/a");
    assert_string_equal(router_split(without), "");
    assert_string_equal(router_split(empty), "");
}

TEST(origins_are_allowed_by_whole_name)
{
    char room[CORS_ORIGIN_BYTES];
    const char *list = "https://a.org, http://b.org:8080";

    UNUSED_STATE;
    assert_null(cors_allow(NULL, "https://a.org", room));
    assert_string_equal(cors_allow("*", NULL, room), "*");
    assert_string_equal(cors_allow(list, "https://a.org", room),
                        "https://a.org");
    assert_string_equal(cors_allow(list, "http://b.org:8080", room),
                        "http://b.org:8080");
    assert_null(cors_allow(list, "http://b.org", room));
    assert_null(cors_allow(list, "https://a.org.evil", room));
    assert_null(cors_allow(list, "", room));
    assert_null(cors_allow(list, NULL, room));
}

TEST(a_sane_request_id_is_kept_and_others_replaced)
{
    struct request_ids ids;
    char one[REQUEST_ID_BYTES], two[REQUEST_ID_BYTES], given[200];

    UNUSED_STATE;
    request_ids_init(&ids);
    request_id_choose(&ids, "my-id:1", 7, one);
    assert_string_equal(one, "my-id:1");
    request_id_choose(&ids, NULL, 0, one);
    request_id_choose(&ids, "a b", 3, two);
    assert_int_equal(strncmp(one, "req_", 4), 0);
    assert_int_equal(strncmp(two, "req_", 4), 0);
    assert_string_not_equal(one, two);
    memset(given, 'x', sizeof given);
    request_id_choose(&ids, given, 128, one);
    assert_int_equal(strlen(one), 128);
    request_id_choose(&ids, given, 129, one);
    assert_int_equal(strncmp(one, "req_", 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_routes),
        cmocka_unit_test(the_query_is_cut_off_and_kept),
        cmocka_unit_test(origins_are_allowed_by_whole_name),
        cmocka_unit_test(a_sane_request_id_is_kept_and_others_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
