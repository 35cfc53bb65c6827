/* template.h -- chat templates: Jinja as Hugging Face checkpoints carry it.
 *
 * Renders the same bytes as transformers does: jinja2's
 * ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, loop controls,
 * {% generation %}, and the globals raise_exception and strftime_now.  The
 * text comes with a checkpoint and is trusted no further than its limits.
 *
 * Differences kept on purpose: integers are 64 bits wide (overflow is an
 * error), only + and |escape know markup (|safe), \N{...} in a string is
 * refused, and so are include, import, extends and autoescape.
 *
 * It knows nothing of messages or tools: those are variables like any other.
 * A compiled template is constant: any number of threads may render it. */
#ifndef LFMD_MODEL_TEMPLATE_TEMPLATE_H
#define LFMD_MODEL_TEMPLATE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/json.h"

struct template;

/* What one rendering may cost. */
struct template_limits {
    uint64_t steps;      /* evaluations, loop turns, 64 bytes moved */
    uint32_t depth;      /* macro calls and recursive loops inside each other */
    size_t output_bytes; /* of the result, and of any one captured piece */
    size_t memory_bytes; /* of all values made on the way */
};

extern const struct template_limits template_default_limits;

/* Compiles src[0..n), which must be UTF-8 and is not kept.  -ERR_FORMAT when it
 * is no template we can run ("template line 12, column 4: ..."), -ERR_LIMIT
 * when larger than 1 MiB, -ERR_NOMEM. */
int template_compile(struct template **out, const char *src, size_t n,
                     struct err *err);
void template_free(struct template *t); /* NULL is fine */

/* Appends the rendering to `out`; on an error `out` is as it was.  `context` is
 * an object whose keys are the variables; it is only read, and must not change
 * meanwhile.  `limits` may be NULL for the defaults.
 *
 * -ERR_INVALID when the template fails: the text of raise_exception(text) is
 * the error's text exactly; other failures name the line.  -ERR_LIMIT when a
 * limit is passed, -ERR_NOMEM. */
int template_render(const struct template *t, json_t *context,
                    const struct template_limits *limits, struct buf *out,
                    struct err *err);

/* Whether `name` occurs where a template asks for a name: a variable, an
 * attribute, a string subscript, the first argument of a method or filter
 * (x.get("name"), selectattr("name")), or the left of `in`. */
bool template_mentions(const struct template *t, const char *name);

#endif
