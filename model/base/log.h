/* log.h -- one line a record: "time level room: text key=value".
 *
 * Never used in the hot step.  Goes to stderr; a full pipe or disk drops the
 * line and counts it, it never blocks a request or fails one.
 * Any thread: a record is one write(2). */
#ifndef LFMD_MODEL_BASE_LOG_H
#define LFMD_MODEL_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* `room` is where it happened ("http", "engine"); no newline in `fmt`. */
void log_at(enum log_level level, const char *room, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

uint64_t log_dropped(void);

#endif
