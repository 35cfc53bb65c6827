/* clock.c -- see clock.h. */
#include "model/base/clock.h"

#include <stddef.h>
#include <time.h>

static const uint64_t *fake_us;

uint64_t clock_now_us(void)
{
    if (fake_us != NULL)
        return *fake_us;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t clock_now_ms(void)
{
    return clock_now_us() / 1000u;
}

int64_t clock_unix_s(void)
{
    return fake_us != NULL ? (int64_t)(*fake_us / 1000000u)
                           : (int64_t)time(NULL);
}

void clock_fake(const uint64_t *now_us)
{
    fake_us = now_us;
}
