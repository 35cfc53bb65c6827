/* stop.h -- ends a stream of bytes where one of several strings appears.
 *
 * Bytes flow through; what could begin a stop string is held back until it is
 * known whether it does.  The string that is complete first wins; of those
 * complete at the same byte the longest, so the text ends at the earliest
 * place.  How the stream is cut into pushes changes nothing.
 *
 * The set is built once per job and const afterwards; a `struct stop` is one
 * stream over it: copying it forks the stream.  What is held is always the
 * beginning of a stop string, so the state needs no buffer of its own and
 * stop_push allocates nothing. */
#ifndef LFMD_MODEL_TEXT_STOP_H
#define LFMD_MODEL_TEXT_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/arena.h"
#include "model/base/err.h"

#define STOP_MAX_STRINGS 16u
#define STOP_MAX_BYTES 4096u /* of one string */

struct stop_pattern {
    const char *bytes;    /* [n], in the set's memory */
    const uint16_t *back; /* [n]: how much still matches after a mismatch */
    uint32_t n;
};

struct stop_set {
    struct stop_pattern patterns[STOP_MAX_STRINGS];
    uint32_t n_patterns;
    uint32_t max_bytes; /* of the longest string; 0 for an empty set */
    bool include;       /* the text ends behind the stop string */
};

/* Copies `strings` into `arena`, where the set's tables live as well.  Errors
 * name "stop" (too many, too long, empty).  O(total length). */
int stop_set_init(struct stop_set *set, struct arena *arena,
                  const char *const *strings, uint32_t n, bool include,
                  struct err *err);

struct stop {
    const struct stop_set *set;         /* borrowed */
    uint16_t matched[STOP_MAX_STRINGS]; /* bytes of each string just seen */
    uint16_t n_held;
    uint8_t holder; /* whose beginning is held */
    int32_t found;  /* index of the string met, or -1 */
};

/* Bytes that stop_push of n bytes may write. */
#define STOP_ROOM(set, n) ((size_t)(set)->max_bytes + (n))

void stop_init(struct stop *s, const struct stop_set *set);

/* Returns the bytes that may be sent, written to `out` (STOP_ROOM; not the
 * same memory as `bytes`).  Once s->found >= 0 the text is over and further
 * pushes give nothing.  O(n * number of strings). */
size_t stop_push(struct stop *s, const char *bytes, size_t n, char *out);

/* The stream is over without a stop string: gives what was held, which is
 * fewer than max_bytes; nothing when a string was found. */
size_t stop_finish(struct stop *s, char *out);

#endif
