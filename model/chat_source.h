/* chat_source.h -- where a checkpoint keeps its chat template.
 *
 * In this order, as transformers looks: a file the operator named,
 * chat_template.jinja with additional_chat_templates/tool_use.jinja beside it,
 * the "chat_template" of tokenizer_config.json, which is text or a list of
 * named ones.  In a GGUF file: tokenizer.chat_template, and
 * tokenizer.chat_template.tool_use beside it.  Texts only; compiling is
 * model/template.
 * For start only, any thread. */
#ifndef LFMD_MODEL_CHAT_SOURCE_H
#define LFMD_MODEL_CHAT_SOURCE_H

#include "model/base/err.h"
#include "model/weights/gguf.h"

struct chat_source {
    char *text;       /* owned; NULL: the checkpoint has no template */
    const char *from; /* the file it came from, for messages; borrowed */
    char *tool_use;   /* owned; the one for requests with tools, or NULL */
};

/* `file` may be NULL.  On failure *src is empty. */
int chat_source_load(struct chat_source *src, const char *dir, const char *file,
                     struct err *err);

/* The same for a GGUF file, which may have no template either. */
int chat_source_from_gguf(struct chat_source *src, const struct gguf *g,
                          const char *file, struct err *err);

void chat_source_deinit(struct chat_source *src);

#endif
