/* builder.h -- a grammar put together from expressions.
 *
 * Expressions are numbers that belong to their builder; rules are named
 * expressions, so they may call each other and themselves.  What can go wrong
 * (memory, a limit, a bad argument) goes wrong once: from then on every call
 * does nothing and returns GEXPR_NONE, and grammar_finish tells the first
 * reason.  So a front end writes freely and asks at the end.
 *
 * An expression may be used more than once; each use costs its size again,
 * which is what a rule spares.  A rule that is small and does not recur is
 * copied into its callers unless it is kept: masks are remembered by state, so
 * what many places share (the inside of a JSON string) should be kept.
 *
 * One thread at a time. */
#ifndef LFMD_MODEL_GRAMMAR_BUILDER_H
#define LFMD_MODEL_GRAMMAR_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/grammar/grammar.h"

struct grammar_builder;

typedef uint32_t gexpr;
#define GEXPR_NONE ((gexpr)0)
#define GRAMMAR_NO_MAX UINT32_MAX
#define GRAMMAR_NO_RULE UINT32_MAX

int grammar_builder_new(struct grammar_builder **out, struct err *err);
void grammar_builder_free(struct grammar_builder *b); /* NULL is fine */

gexpr grammar_empty(struct grammar_builder *b); /* the empty text */
gexpr grammar_never(struct grammar_builder *b); /* no text at all */
gexpr grammar_bytes_of(struct grammar_builder *b, const void *bytes, size_t n);
gexpr grammar_text(struct grammar_builder *b, const char *s);
/* One byte of lo..hi. */
gexpr grammar_range(struct grammar_builder *b, uint8_t lo, uint8_t hi);
/* One byte whose bit is set. */
gexpr grammar_set(struct grammar_builder *b, const uint64_t bits[4]);
gexpr grammar_seq(struct grammar_builder *b, const gexpr *items, size_t n);
gexpr grammar_seq2(struct grammar_builder *b, gexpr x, gexpr y);
gexpr grammar_seq3(struct grammar_builder *b, gexpr x, gexpr y, gexpr z);
gexpr grammar_alt(struct grammar_builder *b, const gexpr *items, size_t n);
gexpr grammar_alt2(struct grammar_builder *b, gexpr x, gexpr y);
/* min <= times <= max; GRAMMAR_NO_MAX for no end. */
gexpr grammar_repeat(struct grammar_builder *b, gexpr x, uint32_t min,
                     uint32_t max);
gexpr grammar_optional(struct grammar_builder *b, gexpr x);

/* Items in their order with `separator` between those that are there.  An
 * optional one may be left out; `many` may come again.  No copies are made, so
 * a list of optional items costs what its items cost. */
struct grammar_item {
    gexpr expr;
    bool optional, many;
};
gexpr grammar_list(struct grammar_builder *b, const struct grammar_item *items,
                   size_t n, gexpr separator);

/* Rules.  The name is for messages and is cut at 63 bytes.  Each rule that is
 * called must be defined, once, before grammar_finish. */
uint32_t grammar_rule(struct grammar_builder *b, const char *name);
void grammar_define(struct grammar_builder *b, uint32_t rule, gexpr x);
void grammar_keep(struct grammar_builder *b, uint32_t rule);
gexpr grammar_call(struct grammar_builder *b, uint32_t rule);

/* For expressions without calls (else the builder fails): texts of both; texts
 * of x that are not of y; x made deterministic, so that grammar_at_start and
 * grammar_at_end inside it mean its own ends (elsewhere they match nothing). */
gexpr grammar_both(struct grammar_builder *b, gexpr x, gexpr y);
gexpr grammar_except(struct grammar_builder *b, gexpr x, gexpr y);
gexpr grammar_whole(struct grammar_builder *b, gexpr x);
gexpr grammar_at_start(struct grammar_builder *b);
gexpr grammar_at_end(struct grammar_builder *b);
/* Of an expression that grammar_both, _except or _whole has returned: does any
 * text match; does this one. */
bool grammar_is_never(struct grammar_builder *b, gexpr x);
bool grammar_matches(struct grammar_builder *b, gexpr x, const void *bytes,
                     size_t n);

/* A front end's own failure, e.g. a keyword it cannot honour. */
void grammar_fail(struct grammar_builder *b, enum err_class class_,
                  const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool grammar_failed(const struct grammar_builder *b);
/* Takes a front end's failure back: what it wrote since is to be used nowhere.
 * False where the failure is not of that kind (memory, work). */
bool grammar_forgive(struct grammar_builder *b);
/* The failure so far, to be given context; NULL when there is none. */
struct err *grammar_failure(struct grammar_builder *b);

/* Compiles; the builder is good for nothing but grammar_builder_free
 * afterwards.  -ERR_INVALID when no text satisfies the root, or a rule calls
 * itself before any byte (left recursion).  Time: about 0.2 us a state. */
int grammar_finish(struct grammar_builder *b, uint32_t root,
                   struct grammar **out, struct err *err);

#endif
