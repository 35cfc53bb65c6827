/* model_source.h -- which files the word behind --model means.
 *
 * Tried in this order:
 *   a file:       a GGUF file by its content, whatever its name (blobs of
 *                 Ollama have no suffix), or one part of a split one;
 *   a directory:  a Hugging Face checkpoint when it holds safetensors, else the
 *                 one GGUF file (or split set) in it;
 *   ORG/NAME or ORG/NAME:QUANT, where nothing has that path: a repository in
 *                 the local cache of Hugging Face, of its revision "main" or
 *                 else of the newest.  Of several GGUF files QUANT picks one;
 *                 without it Q4_K_M, Q4_0 or Q8_0, as llama.cpp would.
 *
 * Nothing is ever fetched, and of a file only the first bytes are read.
 * For start only, any thread. */
#ifndef LFMD_MODEL_MODEL_SOURCE_H
#define LFMD_MODEL_MODEL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/err.h"

struct model_source {
    char *path; /* owned: the directory or the GGUF file */
    bool gguf;
};

/* On failure *src is empty and the sentence says where was looked. */
int model_source_find(struct model_source *src, const char *word,
                      struct err *err);

/* The length of a GGUF file's name without ".gguf" and without the number of
 * its part: what the model is called. */
size_t model_source_stem(const char *name);

void model_source_deinit(struct model_source *src);

#endif
