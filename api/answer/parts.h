/* parts.h -- what one reply says, in its order: text, thoughts, calls.
 *
 *     REASONING "Hm."   TEXT "Let me look."   CALL f {"a": 1}   CALL g {}
 *
 * Neighbours of one kind are one part, so that a block-wise protocol renders a
 * part as a block, and OpenAI's chat joins all of a kind.  In a stream every
 * part remembers how much of it was told.
 *
 * It knows no JSON and no endpoint.  Loop thread. */
#ifndef LFMD_API_ANSWER_PARTS_H
#define LFMD_API_ANSWER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/base/ids.h"
#include "model/base/buf.h"
#include "model/dialect/speech.h"

enum part_kind { PART_TEXT, PART_REASONING, PART_CALL };

struct part {
    enum part_kind kind;
    struct buf bytes; /* the text; a call's arguments, as JSON */
    size_t n_told;    /* of them */
    bool begun;       /* a stream has told that it is there */
    struct buf name;  /* PART_CALL, as the next two */
    char id[IDS_BYTES];
    uint32_t number; /* 0 for the reply's first call */
};

struct parts {
    const char *call_prefix; /* of calls' ids; NULL: IDS_CALL */
    struct part *items;      /* [n], owned */
    uint32_t n, room;
    uint32_t n_calls;
    uint32_t first_new; /* those before it are told and will not grow */
    bool failed;        /* memory was short: what is here is not all */
};

void parts_deinit(struct parts *p); /* zeroed is fine */

/* Appends; calls get their ids here. */
void parts_text(struct parts *p, const char *bytes, size_t n);
void parts_speech(struct parts *p, enum speech_kind kind, const char *bytes,
                  size_t n);

/* False: memory was short on the way. */
bool parts_ok(const struct parts *p);

bool parts_have(const struct parts *p, enum part_kind kind);

/* Something is not told yet, of this kind or of any. */
bool parts_have_news_of(const struct parts *p, enum part_kind kind);
bool parts_have_news(const struct parts *p);

/* Appends all of a kind, or what is not told of it. */
void parts_join(const struct parts *p, enum part_kind kind, struct buf *out);
void parts_join_news(const struct parts *p, enum part_kind kind,
                     struct buf *out);

/* Everything here is told; `forget` drops the bytes with that. */
void parts_told(struct parts *p, bool forget);

/* Appends the ids of all calls, IDS_BYTES each (replay.h). */
void parts_call_ids(const struct parts *p, struct buf *out);

#endif
