/* replay.h -- what the model wrote, word for word, where it called tools.
 *
 * A client is told a call as JSON and sends it back in the next turn; the
 * template would write it its own way (quotes, spaces, order), and from there
 * on no computed prefix fits.  So the reply's text is remembered by the ids of
 * its calls, to be put in the prompt again.
 *
 * Bounded: what was not wanted for longest is forgotten.  What one tenant was
 * told no other can ask for.  It knows no message and no template
 * (replay_prompt.h).  Any thread; locks within. */
#ifndef LFMD_API_PROMPT_REPLAY_H
#define LFMD_API_PROMPT_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "api/base/ids.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/dialect/speech.h"

#define REPLAY_REPLIES 4096u
#define REPLAY_BYTES ((size_t)16 << 20)

struct replay;

/* Keeps `max_replies` replies and `max_bytes` in all. */
int replay_new(struct replay **out, uint32_t max_replies, size_t max_bytes,
               struct err *err);
void replay_free(struct replay *r); /* NULL is fine */

/* Remembers a reply of n bytes whose calls have these ids, n_ids strings of
 * IDS_BYTES each, and how it was read.  One that does not fit, or for which
 * there is no memory, is not remembered. */
void replay_put(struct replay *r, uint64_t tenant, const char *ids,
                uint32_t n_ids, const char *said, size_t n,
                const struct speech_options *options);

/* Appends the tenant's reply with exactly n_ids calls, the first being `id`,
 * and the ids of all to `ids`; false if there is none (or no memory: buf_ok).
 * It is then the one wanted last. */
bool replay_get(struct replay *r, uint64_t tenant, const char *id,
                uint32_t n_ids, struct buf *ids, struct buf *said,
                struct speech_options *options);

/* For tests: replies and bytes kept. */
uint32_t replay_count(struct replay *r, size_t *n_bytes);

#endif
