/* tokenizer_parts.h -- the inside of a tokenizer, for tokenizer.c (which uses
 * it), tokenizer_load.c, tokenizer_pipeline.c and tokenizer_lists.c (which
 * build it) alone. */
#ifndef LFMD_MODEL_TEXT_TOKENIZER_PARTS_H
#define LFMD_MODEL_TEXT_TOKENIZER_PARTS_H

#include "model/base/json.h"
#include "model/text/added.h"
#include "model/text/bpe.h"
#include "model/text/pretoken.h"
#include "model/text/tokenizer.h"
#include "model/text/vocab.h"

#define TOKENIZER_MAX_AROUND 16u

struct tokenizer {
    struct vocab vocab;
    struct bpe bpe;
    struct pretoken *pretoken; /* owned */
    /* Hugging Face searches those with "normalized": false first, the others
     * in what is left. */
    struct added_set raw, normalized; /* each owns its tokens */
    bool ignore_merges;
    /* What TOKENIZE_BOS puts before and after the text. */
    token_id before[TOKENIZER_MAX_AROUND], after[TOKENIZER_MAX_AROUND];
    uint32_t n_before, n_after;
    char *bos_text, *eos_text; /* owned, or NULL */
};

/* Reads normalizer, pre_tokenizer, post_processor and decoder of tokenizer.json
 * (`root`) into `t`, whose vocabulary is complete.  Sets *has_template when the
 * post-processor says what goes around a text. */
int tokenizer_pipeline(struct tokenizer *t, const json_t *root,
                       bool *has_template, struct err *err);

/* Adds a pattern of tokenizer.json as the next stage of cutting; `literal` text
 * is matched as it is.  Errors begin with `path`. */
int tokenizer_add_pattern(struct tokenizer *t, const char *pattern, size_t n,
                          bool literal, const char *path, struct err *err);

#endif
