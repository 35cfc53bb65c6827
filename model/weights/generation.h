/* generation.h -- the sampling a checkpoint's author recommends.
 *
 * Source: generation_config.json, which may be absent.  Read are the fields
 * lfmd can honour; lengths (max_new_tokens, max_length) are not defaults of a
 * server and are ignored, as are fields of other decoders (num_beams).
 *
 * Any thread. */
#ifndef LFMD_MODEL_WEIGHTS_GENERATION_H
#define LFMD_MODEL_WEIGHTS_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/weights/hparams.h"

struct generation_defaults {
    bool found;  /* there was a file */
    bool greedy; /* it says "do_sample": false */
    bool has_temperature, has_top_p, has_top_k, has_min_p,
        has_repetition_penalty;
    float temperature;        /* >= 0 */
    float top_p;              /* (0, 1] */
    float min_p;              /* [0, 1] */
    float repetition_penalty; /* > 0 */
    int32_t top_k;            /* >= 0; 0 is off */
    token_id eos[HPARAMS_MAX_EOS];
    uint32_t n_eos; /* 0: the file names none; ids may lie outside the
                     * vocabulary, which this file does not know */
};

/* Reads `dir`/generation_config.json into *g; no such file is no error and
 * leaves everything unset.  A wrong type or a value out of range is. */
int generation_load(struct generation_defaults *g, const char *dir,
                    struct err *err);

/* The same from a parsed document. */
int generation_parse(struct generation_defaults *g, const json_t *config,
                     struct err *err);

struct gguf;

/* The same from general.sampling.* of a GGUF file (generation_gguf.c); without
 * any of them g->found is false.  The file's end tokens are in hparams. */
int generation_from_gguf(struct generation_defaults *g, const struct gguf *file,
                         struct err *err);

#endif
