/* thinking.h -- what a request says about thoughts: whether, how long, and
 * where the client wants to see them.
 *
 * OpenAI's reasoning_effort, vLLM's include_reasoning and
 * thinking_token_budget, SGLang's separate_reasoning, llama-server's
 * reasoning_format and reasoning_budget_tokens, and what several of them read
 * in chat_template_kwargs.
 *
 * It knows no template and no tokens.  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_THINKING_H
#define LFMD_API_REQUEST_THINKING_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/json.h"

#define THINKING_FREE UINT32_MAX

enum thinking_shown {
    THINKING_APART,  /* in reasoning_content, also when absent */
    THINKING_INLINE, /* in the content, as the model wrote them */
    THINKING_HIDDEN  /* nowhere */
};

struct thinking {
    bool off;        /* the reply must not think */
    uint32_t budget; /* tokens of the reply's thought, or THINKING_FREE */
    enum thinking_shown shown;
};

/* Reads the fields of `body`.  *kwargs, an object or NULL, gets what the
 * template is to be given for them; what the client put there itself wins. */
int thinking_parse(struct thinking *t, json_t **kwargs, const json_t *body,
                   struct err *err);

#endif
