/* pycall.h -- [f(a=1, b="x"), g()] and [{"name": ..., "arguments": {...}}].
 *
 * Both spellings occur in what LFM2 writes between its call markers.  A block
 * of them goes in byte by byte and is told while it is written:
 *
 *     [get(city='Os             BEGIN "get"  ARGS "{\"city\": \"Os"
 *     lo', days=3)              ARGS "lo\", \"days\": 3}"  END
 *     ]
 *
 * Where it is cut does not matter: the events of a call, joined, are the same,
 * and its arguments are at any time a prefix of one JSON object, ended or not.
 *
 * What is told holds.  A call begins when its first value has (or it is over),
 * so that prose in brackets is none; a number or a word is told when what
 * follows can follow it.  Where the block then turns out not to be Python, the
 * call is closed where it stands and the rest, from the first byte that was
 * not told, is nobody's call: pycall_rest().
 *
 * Beyond Python: quotes inside strings that cannot be their end, raw newlines
 * and NULs, integers with leading zeros, parameters named like keywords,
 * true, false and null, a missing last bracket.  Tuples and sets become
 * arrays; dictionary keys that are numbers or constants become strings; bytes
 * that are no UTF-8 become U+FFFD; of values for one name the first counts,
 * for it was told.  No call are positional arguments, **, nan, inf and numbers
 * beyond a double.
 *
 * Cost is linear in the bytes, memory is what is not told yet.  It knows no
 * markers.  One thread at a time; untrusted input, no recursion. */
#ifndef LFMD_MODEL_DIALECT_PYCALL_H
#define LFMD_MODEL_DIALECT_PYCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/dialect/pylook.h"

#define PYCALL_MAX 128u          /* calls in one block */
#define PYCALL_NAME_MAX 256u     /* bytes of a function's name */
#define PYCALL_MEMBERS_MAX 1024u /* of one object */
#define PYCALL_DEPTH_MAX JSON_DEPTH_DEFAULT
#define PYCALL_UNTOLD_MAX (1u << 20) /* bytes; with more it is no call */

enum pycall_kind { PYCALL_BEGIN, PYCALL_ARGS, PYCALL_END };

/* BEGIN brings the name, ARGS more of a JSON object, END nothing. */
typedef void pycall_fn(void *user, enum pycall_kind kind, const char *bytes,
                       size_t n);

/* Embedded by its owner; every field is private to pycall.c. */
struct pycall {
    pycall_fn *on; /* borrowed, with user */
    void *user;
    struct buf tape; /* of the block: what is not told, read or not */
    size_t kept;     /* on the tape: what is not told begins here */
    size_t cur;      /* the next byte to read */
    size_t ahead;    /* while looking behind a quote: the next byte there */
    struct buf out;  /* arguments not told yet, */
    uint64_t base;   /* which begin here in the whole, */
    uint64_t safe;   /* and may be told up to here */
    struct buf name, text; /* the call's; a key or string that is not told */
    struct buf members;    /* hashes of the names in all open objects */
    struct pyframe frames[PYCALL_DEPTH_MAX + 1];
    uint32_t depth, n_undecided, n_calls;
    struct pylook look;
    uint64_t ignored; /* while `ignoring`: where in the arguments it began */
    uint32_t ignored_depth; /* ... and in which frame its value will be read */
    uint8_t state, role, slot;
    char quote; /* of the string we are in, as the next three */
    bool triple, raw, safe_string;
    bool has_name, has_args, ignoring;
    bool begun, said; /* the call may be told; its BEGIN was */
    bool told;        /* something of this block was */
    bool ended, cut;
};

/* A zeroed struct can be deinitialised.  Takes no memory. */
void pycall_init(struct pycall *r, pycall_fn *on, void *user);
void pycall_deinit(struct pycall *r);

/* A new block begins; what was left of the last one is forgotten. */
void pycall_start(struct pycall *r);

/* More of the block.  False: it cannot be read on, so do not feed it; what was
 * begun is closed, and the rest waits in pycall_rest(). */
bool pycall_feed(struct pycall *r, const char *bytes, size_t n);

/* The block is over.  One that was `cut` is as long as the stream and not as
 * long as it was meant to be: a call in it that is not over gets no END, and
 * its arguments stay a prefix, so that nobody acts on half of it; what of it
 * was not told is dropped. */
void pycall_finish(struct pycall *r, bool cut);

bool pycall_told(const struct pycall *r); /* a call of this block has begun */
bool pycall_ok(const struct pycall *r);   /* false: memory was short */

/* After false, or the end: the bytes, to the last one fed, that are no call.
 * All of the block if nothing of it was told. */
const char *pycall_rest(const struct pycall *r, size_t *n);

/* Appends f(a="b", c=[1, None]) for a JSON object of arguments: the inverse,
 * for past calls whose template does not render them.  `args` is a json_t
 * object, or NULL for none. */
void pycall_write(struct buf *out, const char *name, const json_t *args);

#endif
