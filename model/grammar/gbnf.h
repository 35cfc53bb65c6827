/* gbnf.h -- llama.cpp's notation for grammars.
 *
 *     root  ::= item ("," item)*   # a comment
 *     item  ::= [a-z]+ | "literal\n" | [^"\x00-\x1F]{1,20} | . | (a | b)?
 *
 * The text must have a rule `root`.  Characters are Unicode: \n \r \t \\ \" \[
 * \] \xHH \uHHHH \UHHHHHHHH in literals and classes.  A rule ends at a newline,
 * except within parentheses, after `::=` and after `|`.  Left recursion is
 * refused, and so are token terminals (<name>, <[id]>), lookahead and rules
 * without a definition.
 *
 * One thread at a time. */
#ifndef LFMD_MODEL_GRAMMAR_GBNF_H
#define LFMD_MODEL_GRAMMAR_GBNF_H

#include <stddef.h>

#include "model/base/err.h"
#include "model/grammar/grammar.h"

/* -ERR_INVALID or -ERR_UNSUPPORTED with the line and what was found there;
 * -ERR_LIMIT beyond GRAMMAR_MAX_*. */
int grammar_from_gbnf(struct grammar **out, const char *text, size_t n,
                      struct err *err);

#endif
