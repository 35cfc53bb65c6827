/* model_options.h -- what the command line may say about the model. */
#ifndef LFMD_MODEL_MODEL_OPTIONS_H
#define LFMD_MODEL_MODEL_OPTIONS_H

#include <stdint.h>

struct model_options {
    const char *path;               /* as model_source.h reads it; borrowed */
    const char *quantize;           /* "q4_0" or "q8_0", for float weights; or
                                       NULL: as they are */
    const char *isa;                /* kernels by name, NULL: the best here */
    const char *chat_template_file; /* overrides the checkpoint's; or NULL */
    const char *cache_type;         /* cache_parse_format; NULL: f16 */
    uint32_t n_threads;             /* 0: from affinity and cgroup */
    uint32_t max_batch_tokens;      /* tokens in one step; 0: 512 */
    uint32_t max_slices;            /* sequences in one step; 0: 16 */
    uint32_t max_logit_rows;        /* rows of logits in one step; 0: as many
                                       as max_slices */
    uint32_t ctx_tokens;            /* longest sequence; 0: the model's */
    uint64_t cache_bytes;           /* keys and values; 0: from free memory */
};

#endif
