/* parse.h -- one word of the operator's into a value.
 *
 * 0, or -1 when the word is not of that kind; ranges are the caller's. */
#ifndef LFMD_CONFIG_PARSE_H
#define LFMD_CONFIG_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/log.h"

int parse_uint(const char *s, int64_t *out);
int parse_bytes(const char *s,
                int64_t *out); /* 4096, 64K, 2M, 1.5 is refused */
int parse_time_ms(const char *s, int64_t *out); /* 250ms, 30s, 5m; bare is s */
int parse_bool(const char *s, bool *out); /* true/false, yes/no, on/off, 1/0 */
int parse_level(const char *s, enum log_level *out);

#endif
