/* pylook.h -- is this quote the end of the string, or part of it?
 *
 * A string ends at its quote only if what comes next can follow it where it
 * stands.  LFM2.5's own template writes past arguments without escaping, so
 * the model has learned name='it's here', and hardly a valid literal is lost:
 *
 *     f(a='he said 'no', ok', b=1)
 *                     ^ no: an argument has a name and a '='
 *                            ^ yes
 *
 * The bytes behind the quote come one at a time, each is looked at once.  It
 * keeps no bytes and allocates nothing.  One thread at a time. */
#ifndef LFMD_MODEL_DIALECT_PYLOOK_H
#define LFMD_MODEL_DIALECT_PYLOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is open around a value, from a call inwards. */
enum pyframe_kind {
    PYFRAME_CALL,   /* f(a=1) */
    PYFRAME_OBJECT, /* {"name": "f", "arguments": {...}}: a call, too */
    PYFRAME_LIST,
    PYFRAME_TUPLE,
    PYFRAME_PAREN, /* (1: a tuple, or 1 itself */
    PYFRAME_DICT,
    PYFRAME_SET,
    PYFRAME_BRACE /* {1: a set, or a dictionary */
};

struct pyframe {
    uint64_t at;    /* of its bracket in the arguments, from their start */
    size_t members; /* bytes of older frames in the reader's `members` */
    enum pyframe_kind kind;
    uint32_t n_items;
};

char pyframe_close(enum pyframe_kind kind);     /* its bracket here */
bool pyframe_undecided(enum pyframe_kind kind); /* JSON's is not known yet */

enum pylook_place { PYLOOK_VALUE, PYLOOK_KEY, PYLOOK_EITHER };
enum pylook_answer { PYLOOK_MORE, PYLOOK_YES, PYLOOK_NO };

#define PYLOOK_WORD_MAX 5u /* False */

struct pylook {
    uint8_t phase;
    enum pylook_place place;
    uint32_t depth; /* frames still open where we look */
    char word[PYLOOK_WORD_MAX];
    uint32_t n_word;
};

/* A string may have ended inside `depth` frames. */
void pylook_start(struct pylook *l, uint32_t depth, enum pylook_place place);

/* The next byte behind the quote. */
enum pylook_answer pylook_byte(struct pylook *l, const struct pyframe *frames,
                               char c);

/* No byte comes any more.  With `cut` none was meant to be the last, and only
 * a string behind which the whole call was closed has ended. */
enum pylook_answer pylook_end(const struct pylook *l, bool cut);

#endif
