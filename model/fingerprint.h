/* fingerprint.h -- one number for all that keys and values depend on.
 *
 * Two processes with equal fingerprints compute the same keys for the same
 * tokens, so one may go on with what the other saved: weights, numbers of the
 * model, vocabulary (an id must mean the same text; merges only choose ids),
 * the format of keys, the instruction set, whose rounding differs, and the
 * version of lfmd.  What the BLAS library rounds is left out: it is as near as
 * a batch of another size.
 *
 * Of every matrix a few stretches are read as they lie in memory, all of it
 * where that is small, so that it costs milliseconds whatever the size: another
 * checkpoint or quantisation differs nearly everywhere, but one that was edited
 * by hand in a single row may not be told apart.
 *
 * Any thread; O(tensors + vocabulary). */
#ifndef LFMD_MODEL_FINGERPRINT_H
#define LFMD_MODEL_FINGERPRINT_H

#include <stdint.h>

struct model;

uint64_t model_fingerprint(const struct model *m, const char *version);

#endif
