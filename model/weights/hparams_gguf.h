/* hparams_gguf.h -- what a GGUF file's metadata says the model is.
 *
 * Source: llama.cpp, conversion/lfm2.py (writes the keys) and
 * src/models/lfm2moe.cpp (reads them).  The keys are translated to the fields
 * of a config.json and read as one, so that the same bounds hold.  What the
 * file cannot say is constant in the family: sigmoid gates whose chosen ones
 * are normalised, no biases in the convolutions.
 *
 * Any thread. */
#ifndef LFMD_MODEL_WEIGHTS_HPARAMS_GGUF_H
#define LFMD_MODEL_WEIGHTS_HPARAMS_GGUF_H

#include "model/base/err.h"
#include "model/weights/gguf.h"
#include "model/weights/hparams.h"

/* On refusal (not lfm2moe, a key missing or out of range) *hp needs no deinit;
 * the error names the file and the key.  Where a key and the shape of a tensor
 * disagree about the width of the dense layers, the tensor is right. */
int hparams_from_gguf(struct hparams *hp, const struct gguf *g,
                      struct err *err);

#endif
