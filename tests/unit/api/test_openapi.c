/* test_openapi.c -- the document in the program and the table of routes say
 * the same, in both directions. */
#include "tests/lib/test.h"

#include <ctype.h>
#include <strings.h>

#include "api/api.h"
#include "api/openapi.h"
#include "model/base/json.h"

static json_t *document;

static int set_up(void **state)
{
    UNUSED_STATE;
    struct err err = {0};
    if (json_parse(&document, openapi_json, openapi_n, JSON_DEPTH_DEFAULT,
                   JSON_NODES_DEFAULT, &err) != 0)
        fail_msg("%s", err.text);
    return 0;
}

static int tear_down(void **state)
{
    UNUSED_STATE;
    json_decref(document);
    return 0;
}

/* "/v1/models/" "*" is "/v1/models/{...}" there. */
static bool same_path(const char *route, const char *path)
{
    size_t n = strlen(route);
    if (n == 0 || route[n - 1] != '*')
        return strcmp(route, path) == 0;
    return strncmp(route, path, n - 1) == 0 && path[n - 1] == '{' &&
           path[strlen(path) - 1] == '}' && strchr(path + n, '/') == NULL;
}

static const json_t *operation_of(const struct route *r)
{
    const char *path;
    char method[16] = "";
    json_t *item;
    for (size_t i = 0; r->method[i] != '\0'; i++)
        method[i] = (char)tolower((unsigned char)r->method[i]);
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        if (same_path(r->path, path))
            return json_object_get(item, method);
    }
    return NULL;
}

TEST(every_route_is_in_the_document)
{
    UNUSED_STATE;
    size_t n;
    const struct route *routes = api_routes(&n);
    for (size_t i = 0; i < n; i++)
        if (operation_of(&routes[i]) == NULL)
            fail_msg("api/openapi.json lacks %s %s", routes[i].method,
                     routes[i].path);
}

static bool is_route(const char *method, const char *path)
{
    size_t n;
    const struct route *routes = api_routes(&n);
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(routes[i].method, method) == 0 &&
            same_path(routes[i].path, path))
            return true;
    return false;
}

TEST(every_operation_of_the_document_is_a_route)
{
    UNUSED_STATE;
    const char *path, *method;
    json_t *item, *operation;
    size_t n_operations = 0;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            n_operations++;
            if (!is_route(method, path))
                fail_msg("no route serves %s %s", method, path);
        }
    }
    assert_true(n_operations > 20);
}

TEST(what_needs_no_key_says_so)
{
    UNUSED_STATE;
    size_t n;
    const struct route *routes = api_routes(&n);
    for (size_t i = 0; i < n; i++) {
        const json_t *operation = operation_of(&routes[i]);
        const json_t *security = json_object_get(operation, "security");
        bool open = json_is_array(security) && json_array_size(security) == 0;
        if (open != ((routes[i].flags & ROUTE_PUBLIC) != 0))
            fail_msg("%s: security is not what the route's flags say",
                     routes[i].path);
    }
}

TEST(it_is_sent_as_it_is_and_tells_the_version)
{
    UNUSED_STATE;
    const json_t *info = json_object_get(document, "info");
    for (size_t i = 0; i < openapi_n; i++)
        assert_true(openapi_json[i] >= ' ' && openapi_json[i] <= '~');
    assert_string_equal(json_string_value(json_object_get(document, "openapi")),
                        "3.1.0");
    const char *version = json_string_value(json_object_get(info, "version"));
    assert_non_null(version);
    assert_true(isdigit((unsigned char)version[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_the_document),
        cmocka_unit_test(every_operation_of_the_document_is_a_route),
        cmocka_unit_test(what_needs_no_key_says_so),
        cmocka_unit_test(it_is_sent_as_it_is_and_tells_the_version),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
