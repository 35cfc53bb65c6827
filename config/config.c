/* config.c -- settings.def put to work: one setter for every source.
 *
 * getopt_long reads the flags, libinih the file; both end in set_row(). Strings
 * are copied into one arena, so the option structs may be kept for good.
 *
 * It does not know what a setting means. */
#define _GNU_SOURCE
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "config/parse.h"
#include "config/rows.h"
#include "model/base/alloc.h"
#include "model/base/arena.h"

#define SECTION(name)
#define X(dest, flag, letter, type, fallback, low, high, argument, help) \
    {                                                                    \
        flag,     letter, ROW_##type, offsetof(struct settings, dest),   \
        fallback, low,    high,       argument,                          \
        help},
const struct row config_rows[] = {
#include "config/settings.def"
};
#undef X
#undef SECTION
const size_t config_n_rows = sizeof config_rows / sizeof *config_rows;

#define MAX_ROWS 64
_Static_assert(sizeof config_rows / sizeof *config_rows <= MAX_ROWS,
               "raise MAX_ROWS");

static void put_text(struct settings *s, const struct row *r, const char *text)
{
    const char *value = text[0] ? arena_strdup(s->arena, text) : NULL;
    memcpy((char *)s + r->offset, &value, sizeof value);
}

static int put_number(struct settings *s, const struct row *r, int64_t v)
{
    if (v < r->low || v > r->high)
        return -1;
    if (r->type == ROW_BYTES) {
        uint64_t wide = (uint64_t)v;
        memcpy((char *)s + r->offset, &wide, sizeof wide);
    } else if (r->type == ROW_PORT) {
        uint16_t port = (uint16_t)v;
        memcpy((char *)s + r->offset, &port, sizeof port);
    } else {
        uint32_t narrow = (uint32_t)v;
        memcpy((char *)s + r->offset, &narrow, sizeof narrow);
    }
    return 0;
}

static int refuse(const struct row *r, const char *text, const char *where,
                  struct err *err)
{
    static const char *const kinds[] = {
        "text",
        "a whole number",
        "a whole number",
        "a size such as 64M",
        "a time such as 30s",
        "true or false",
        "error, warn, info or debug",
    };
    if (r->type == ROW_UINT || r->type == ROW_PORT)
        return err_set(err, ERR_INVALID,
                       "%s must be a whole number from %lld to %lld, not '%s'",
                       where, (long long)r->low, (long long)r->high, text);
    bool ranged = r->type == ROW_BYTES || r->type == ROW_TIME;
    return err_set(err, ERR_INVALID, "%s must be %s%s, not '%s'", where,
                   kinds[r->type], ranged ? " in its range" : "", text);
}

static int set_row(struct settings *s, size_t i, const char *text,
                   enum config_origin origin, const char *where,
                   struct err *err)
{
    const struct row *r = &config_rows[i];
    int64_t v = 0;
    int rc = 0;
    switch (r->type) {
    case ROW_TEXT:
        put_text(s, r, text);
        break;
    case ROW_PORT:
    case ROW_UINT:
        rc = parse_uint(text, &v) || put_number(s, r, v);
        break;
    case ROW_BYTES:
        rc = parse_bytes(text, &v) || put_number(s, r, v);
        break;
    case ROW_TIME:
        rc = parse_time_ms(text, &v) || put_number(s, r, v);
        break;
    case ROW_FLAG: {
        bool b = false;
        rc = parse_bool(text, &b);
        memcpy((char *)s + r->offset, &b, sizeof b);
        break;
    }
    case ROW_LEVEL: {
        enum log_level level = LOG_INFO;
        rc = parse_level(text, &level);
        memcpy((char *)s + r->offset, &level, sizeof level);
        break;
    }
    }
    if (rc != 0)
        return refuse(r, text, where, err);
    s->origin[i] = (uint8_t)origin;
    return 0;
}

static int find_row(const char *flag)
{
    for (size_t i = 0; i < config_n_rows; i++)
        if (strcmp(config_rows[i].flag, flag) == 0)
            return (int)i;
    return -1;
}

/* --- the file ---------------------------------------------------------- */

struct file_reader {
    struct settings *s;
    struct err *err;
    int rc;
};

static int on_pair(void *user, const char *section, const char *name,
                   const char *value)
{
    struct file_reader *f = user;
    char where[256];
    (void)section; /* sections only group the keys for a reader's eyes */
    if (f->rc != 0)
        return 1;
    int i = find_row(name);
    if (i < 0) {
        f->rc = err_set(f->err, ERR_INVALID, "%s: there is no setting '%s'",
                        f->s->config_file, name);
        return 1;
    }
    snprintf(where, sizeof where, "%s: %s", f->s->config_file, name);
    f->rc = set_row(f->s, (size_t)i, value ? value : "", ORIGIN_FILE, where,
                    f->err);
    return 1;
}

static int load_file(struct settings *s, struct err *err)
{
    struct file_reader f = {s, err, 0};
    int line = ini_parse(s->config_file, on_pair, &f);
    if (line == -1)
        return err_errno(err, "read", s->config_file);
    if (line < 0)
        return err_nomem(err, s->config_file);
    if (f.rc != 0)
        return f.rc;
    if (line > 0)
        return err_set(err, ERR_INVALID, "%s: line %d is not 'key = value'",
                       s->config_file, line);
    return 0;
}

/* --- the environment --------------------------------------------------- */

static void env_name(const char *flag, char out[64])
{
    int n = snprintf(out, 64, "LFMD_%s", flag);
    for (int i = 0; i < n && i < 63; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static const char *env_value(char **env, const char *name)
{
    size_t n = strlen(name);
    for (; env != NULL && *env != NULL; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static int load_environment(struct settings *s, char **env, struct err *err)
{
    for (size_t i = 0; i < config_n_rows; i++) {
        char name[64];
        env_name(config_rows[i].flag, name);
        const char *value = env_value(env, name);
        if (value == NULL)
            continue;
        int rc = set_row(s, i, value, ORIGIN_ENVIRONMENT, name, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- the flags --------------------------------------------------------- */

enum { OPT_CONFIG = 1000, OPT_HELP, OPT_VERSION, OPT_PRINT, OPT_ROW = 2000 };

struct flag_table {
    struct option longs[MAX_ROWS + 8];
    char shorts[3 * MAX_ROWS + 8];
};

static void build_flags(struct flag_table *t)
{
    static const struct option extra[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"help", no_argument, NULL, OPT_HELP},
        {"version", no_argument, NULL, OPT_VERSION},
        {"print-config", no_argument, NULL, OPT_PRINT},
    };
    size_t n = 0, k = 0;
    t->shorts[k++] = ':'; /* tell a missing argument from an unknown flag */
    t->shorts[k++] = 'h';
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct row *r = &config_rows[i];
        t->longs[n++] = (struct option){r->flag,
                                        r->type == ROW_FLAG ? optional_argument
                                                            : required_argument,
                                        NULL, OPT_ROW + (int)i};
        if (r->short_flag) {
            t->shorts[k++] = r->short_flag;
            t->shorts[k++] = ':';
        }
    }
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
        t->longs[n++] = extra[i];
    t->longs[n] = (struct option){0};
    t->shorts[k] = '\0';
}

static int row_of_letter(int letter)
{
    for (size_t i = 0; i < config_n_rows; i++)
        if (config_rows[i].short_flag == letter)
            return (int)i;
    return -1;
}

static int take_flag(struct settings *s, int opt, char **argv, struct err *err)
{
    const char *word = argv[optind - 1];
    switch (opt) {
    case OPT_CONFIG:
        return 0; /* read before: the file is weaker than any flag */
    case OPT_HELP:
    case 'h':
        s->action = CONFIG_HELP;
        return 0;
    case OPT_VERSION:
        s->action = CONFIG_VERSION;
        return 0;
    case OPT_PRINT:
        s->action = CONFIG_PRINT;
        return 0;
    case ':':
        return err_set(err, ERR_INVALID, "%s needs a value", word);
    case '?':
        return err_set(err, ERR_INVALID,
                       "there is no flag %s; lfmd --help lists them", word);
    default:
        break;
    }
    int i = opt >= OPT_ROW ? opt - OPT_ROW : row_of_letter(opt);
    if (i < 0)
        return err_set(err, ERR_INTERNAL, "flag %d has no row", opt);
    char where[80];
    snprintf(where, sizeof where, "--%s", config_rows[i].flag);
    return set_row(s, (size_t)i, optarg ? optarg : "true", ORIGIN_FLAG, where,
                   err);
}

/* `lfmd serve DIR`, `lfmd DIR` and `lfmd healthcheck`, as peers have them. */
static int take_words(struct settings *s, int argc, char **argv,
                      struct err *err)
{
    int i = optind;
    if (i < argc && strcmp(argv[i], "healthcheck") == 0) {
        s->action = CONFIG_HEALTHCHECK;
        i++;
    } else if (i < argc && strcmp(argv[i], "serve") == 0) {
        i++;
    }
    if (i < argc && s->action != CONFIG_HEALTHCHECK) {
        int rc = set_row(s, (size_t)find_row("model"), argv[i], ORIGIN_FLAG,
                         "the model", err);
        if (rc != 0)
            return rc;
        i++;
    }
    if (i < argc)
        return err_set(err, ERR_INVALID,
                       "'%s' is one word too many; lfmd --help shows usage",
                       argv[i]);
    return 0;
}

static void find_config_file(struct settings *s, int argc, char **argv,
                             char **env)
{
    const char *file = env_value(env, "LFMD_CONFIG");
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            file = argv[i] + 9;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            file = argv[i + 1];
    }
    s->config_file = file ? arena_strdup(s->arena, file) : NULL;
}

static int load_flags(struct settings *s, int argc, char **argv,
                      struct err *err)
{
    struct flag_table t;
    build_flags(&t);
    optind = 0; /* glibc: start over, so that tests may call this twice */
    opterr = 0;
    for (;;) {
        int opt = getopt_long(argc, argv, t.shorts, t.longs, NULL);
        if (opt == -1)
            break;
        int rc = take_flag(s, opt, argv, err);
        if (rc != 0)
            return rc;
    }
    return take_words(s, argc, argv, err);
}

int config_load(struct settings *s, int argc, char **argv, char **environ_,
                struct err *err)
{
    memset(s, 0, sizeof *s);
    http_options_default(&s->http);
    s->arena = arena_new(1 << 20);
    if (s->arena == NULL)
        return err_nomem(err, "the settings");
    s->origin = arena_alloc(s->arena, config_n_rows);
    if (s->origin == NULL)
        return err_nomem(err, "the settings");

    for (size_t i = 0; i < config_n_rows; i++) {
        int rc = set_row(s, i, config_rows[i].fallback, ORIGIN_DEFAULT,
                         config_rows[i].flag, err);
        if (rc != 0)
            return rc;
    }
    find_config_file(s, argc, argv, environ_);
    if (s->config_file != NULL) {
        int rc = load_file(s, err);
        if (rc != 0)
            return rc;
    }
    int rc = load_environment(s, environ_, err);
    return rc != 0 ? rc : load_flags(s, argc, argv, err);
}

void config_deinit(struct settings *s)
{
    arena_free(s->arena);
    s->arena = NULL;
}
