/* pycall.h -- [f(a=1, b="x"), g()] and [{"name": ..., "arguments": {...}}].
 *
 * Both spellings occur in what LFM2 writes between its call markers.  A block
 * is read whole or not at all, so that nobody acts on half of it.
 *
 * Pure functions, any thread; bounded depth, untrusted input. */
#ifndef LFMD_MODEL_DIALECT_PYCALL_H
#define LFMD_MODEL_DIALECT_PYCALL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/buf.h"
#include "model/base/json.h"

#define PYCALL_MAX 128u      /* calls in one block */
#define PYCALL_NAME_MAX 256u /* bytes of a function's name */

struct pycall {
    size_t name, n_name; /* offset and length in the buffer */
    size_t args, n_args; /* of a JSON object */
};

/* Reads the block `text` (without markers); appends names and arguments to
 * `store` and describes them in `calls`.  Returns the number of calls, 0 when
 * the block is not a list of calls (the store's content is then meaningless)
 * or memory was short (see buf_ok). */
size_t pycall_parse(const char *text, size_t n, struct pycall calls[PYCALL_MAX],
                    struct buf *store);

/* Appends f(a="b", c=[1, None]) for a JSON object of arguments: the inverse,
 * for past calls whose template does not render them.  `args` is a json_t
 * object, or NULL for none. */
void pycall_write(struct buf *out, const char *name, const json_t *args);

#endif
