/* help.c -- the table read aloud: --help and --print-config. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/rows.h"

/* Headings, by the row they stand before. */
static const char *const headings[] = {
#define SECTION(name) name,
#define X(dest, flag, letter, type, fallback, low, high, argument, help) flag,
#include "config/settings.def"
#undef X
#undef SECTION
};

static void help_row(const struct row *r)
{
    char left[64];
    snprintf(left, sizeof left, "%s%c%s --%s%s%s", r->short_flag ? "-" : " ",
             r->short_flag ? r->short_flag : ' ', r->short_flag ? "," : " ",
             r->flag, r->argument[0] ? " " : "", r->argument);
    printf("  %-32s %s", left, r->help);
    if (r->fallback[0] && r->type != ROW_FLAG && strcmp(r->fallback, "0") != 0)
        printf(" [%s]", r->fallback);
    putchar('\n');
}

void config_print_help(void)
{
    puts("Usage: lfmd [serve] [MODEL] [flags]   serve a model\n"
         "       lfmd healthcheck [flags]       exit 0 if the daemon answers");
    size_t row = 0;
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        const char *h = headings[i];
        if (row < config_n_rows && strcmp(h, config_rows[row].flag) == 0)
            help_row(&config_rows[row++]);
        else
            printf("%s:\n", h);
    }
    puts(
        "      --config FILE                the same settings in an ini file\n"
        "      --print-config               show every setting and its origin\n"
        "  -h, --help   --version\n"
        "A flag --some-name is also LFMD_SOME_NAME and some-name = ... in the "
        "file.");
}

static void print_value(const struct settings *s, const struct row *r)
{
    const char *at = (const char *)s + r->offset;
    const char *text;
    uint32_t narrow;
    uint16_t port;
    uint64_t wide;
    bool flag;
    enum log_level level;
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    switch (r->type) {
    case ROW_TEXT:
        memcpy(&text, at, sizeof text);
        if (strcmp(r->flag, "api-key") == 0 && text != NULL)
            text = "(hidden)";
        printf("%s", text ? text : "");
        break;
    case ROW_UINT:
        memcpy(&narrow, at, sizeof narrow);
        printf("%u", narrow);
        break;
    case ROW_PORT:
        memcpy(&port, at, sizeof port);
        printf("%u", port);
        break;
    case ROW_TIME:
        memcpy(&narrow, at, sizeof narrow);
        printf("%ums", narrow);
        break;
    case ROW_BYTES:
        memcpy(&wide, at, sizeof wide);
        printf("%llu", (unsigned long long)wide);
        break;
    case ROW_FLAG:
        memcpy(&flag, at, sizeof flag);
        printf("%s", flag ? "true" : "false");
        break;
    case ROW_LEVEL:
        memcpy(&level, at, sizeof level);
        printf("%s", levels[level]);
        break;
    }
}

void config_print(const struct settings *s)
{
    static const char *const origins[] = {"default", "file", "environment",
                                          "flag"};
    for (size_t i = 0; i < config_n_rows; i++) {
        printf("%s = ", config_rows[i].flag);
        print_value(s, &config_rows[i]);
        printf(" ; %s\n", origins[s->origin[i]]);
    }
}
