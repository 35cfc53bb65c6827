/* log.c -- see log.h. */
#define _GNU_SOURCE
#include "model/base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int level_now = LOG_INFO;
static atomic_ullong n_dropped;

void log_set_level(enum log_level level)
{
    atomic_store(&level_now, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

/* Control bytes would let a request forge a second record. */
static void flatten(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7F)
            *s = '?';
}

/* A pipe that can be polled for writing takes PIPE_BUF bytes (4096) without
 * blocking, and a line is shorter. */
static bool may_write(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

void log_at(enum log_level level, const char *room, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (!log_enabled(level))
        return;

    char line[1400], text[1024], stamp[32];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);

    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    flatten(text);

    int n = snprintf(line, sizeof line, "%s.%03ldZ %s %s: %s\n", stamp,
                     now.tv_nsec / 1000000, names[level], room, text);
    if (!may_write() || write(STDERR_FILENO, line, (size_t)n) != n)
        atomic_fetch_add(&n_dropped, 1);
}

uint64_t log_dropped(void)
{
    return atomic_load(&n_dropped);
}
