/* parser.h -- tokens to tree, as jinja2's grammar has it.
 *
 * Nesting is bounded; filters and tests are found by name here, and one that
 * does not exist is an error unless an if could pass it by, as in jinja2. */
#ifndef LFMD_MODEL_TEMPLATE_PARSER_H
#define LFMD_MODEL_TEMPLATE_PARSER_H

#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/template/ast.h"
#include "model/template/lexer.h"

#define PARSER_DEPTH 128u

/* `out` and all it points to live in `a`.  -ERR_FORMAT or -ERR_NOMEM. */
int parser_run(struct arena *a, const struct token *tokens, struct ast *out,
               struct err *err);

#endif
