/* test_json_corpus.c -- JSONTestSuite (Nicolas Seriot, MIT) through the parser
 * that request bodies meet: y_ must pass, n_ must not, i_ must not crash.
 *
 * Run from the repository root. */
#define _GNU_SOURCE
#include "tests/lib/test.h"

#include <dirent.h>

#include "model/base/json.h"

#define DIR_PATH "tests/fuzz/corpus/json"

/* Valid, and refused by us on purpose: which of two values of one name counts
 * is what request smuggling is made of. */
static const char *const refused_on_purpose[] = {
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
};

/* jansson keeps names as C strings: a NUL in a name is refused. */
static const char *const refused_by_jansson[] = {
    "y_object_escaped_null_in_key.json",
};

static bool may_refuse(const char *name)
{
    for (size_t i = 0; i < 2; i++)
        if (strcmp(name, refused_on_purpose[i]) == 0)
            return true;
    return strcmp(name, refused_by_jansson[0]) == 0;
}

static int parse_file(const char *name)
{
    static char text[1 << 20];
    char path[512];
    json_t *v = NULL;
    snprintf(path, sizeof path, DIR_PATH "/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    struct err err = {0};
    int rc =
        json_parse(&v, text, n, JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, &err);
    json_decref(v);
    return rc;
}

TEST(the_suite_agrees)
{
    UNUSED_STATE;
    DIR *d = opendir(DIR_PATH);
    struct dirent *e;
    unsigned n = 0;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '\0' || e->d_name[1] != '_')
            continue;
        int rc = parse_file(e->d_name);
        if (e->d_name[0] == 'y' && (rc != 0) != may_refuse(e->d_name))
            fail_msg("%s: %d", e->d_name, rc);
        if (e->d_name[0] == 'n' && rc == 0)
            fail_msg("%s was accepted", e->d_name);
        n++;
    }
    closedir(d);
    assert_true(n > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_suite_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
