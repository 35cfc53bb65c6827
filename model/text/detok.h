/* detok.h -- the bytes of tokens become text that is complete UTF-8.
 *
 * A token may end inside a character, so up to three bytes wait here for the
 * rest.  What can no longer become a character is U+FFFD, one per maximal
 * subpart, exactly as Rust's from_utf8_lossy does it: the text of a stream is
 * the same however its bytes were cut.
 *
 * No allocation.  One thread at a time; copying the struct forks the stream. */
#ifndef LFMD_MODEL_TEXT_DETOK_H
#define LFMD_MODEL_TEXT_DETOK_H

#include <stddef.h>
#include <stdint.h>

struct detok {
    char pending[4]; /* the unfinished character */
    uint8_t n;       /* 0..3 bytes of it */
};

/* Bytes that detok_push of n bytes may write: each can turn into U+FFFD. */
#define DETOK_ROOM(n) (3 * ((size_t)(n) + 3))

void detok_init(struct detok *d);

/* Returns the bytes written to `out`, which has DETOK_ROOM(n).  O(n). */
size_t detok_push(struct detok *d, const char *bytes, size_t n, char *out);

/* The stream is over: an unfinished character becomes U+FFFD.  Writes 0 or 3
 * bytes; `d` is as after detok_init. */
size_t detok_finish(struct detok *d, char out[3]);

#endif
