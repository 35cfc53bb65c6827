/* force.c -- see force.h. */
#include "server/engine/force.h"

#include "model/grammar/mask.h"
#include "model/grammar/matcher.h"

#define MOST_BYTES 256u /* of a stretch that is looked at in one step */

uint32_t force_draft(token_id *draft, uint32_t n_draft,
                     const struct sequence *seq, const struct mask_vocab *v)
{
    const bool calls = seq->bound == BOUND_CALL;
    struct matcher *m = calls ? seq->calls : seq->matcher;
    char bytes[MOST_BYTES];
    uint32_t n = 0;
    if (n_draft == 0 || (!calls && seq->bound != BOUND_TEXT))
        return 0;
    if (calls && matcher_must_end(m)) {
        draft[n++] = seq->job->call_end;
        return n;
    }
    const size_t n_bytes = matcher_forced(m, bytes, sizeof bytes);
    for (size_t at = 0; n < n_draft && at < n_bytes; n++) {
        size_t length;
        draft[n] = mask_longest_token(v, bytes + at, n_bytes - at, &length);
        at += length;
        if (draft[n] == TOKEN_NONE || at == n_bytes)
            break;
    }
    return n;
}
