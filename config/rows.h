/* rows.h -- settings.def as a table, shared by config.c and help.c. */
#ifndef LFMD_CONFIG_ROWS_H
#define LFMD_CONFIG_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum row_type {
    ROW_TEXT,
    ROW_UINT,
    ROW_PORT,
    ROW_BYTES,
    ROW_TIME,
    ROW_FLAG,
    ROW_LEVEL
};

struct row {
    const char *flag; /* without the dashes */
    char short_flag;  /* 0: none */
    enum row_type type;
    size_t offset; /* in struct settings */
    const char *fallback;
    int64_t low, high;
    const char *argument, *help;
};

extern const struct row config_rows[];
extern const size_t config_n_rows;

#endif
