/* eval.h -- one rendering: its state, its scopes, and the way in.
 *
 * Walks the tree into a buf.  Scopes follow jinja2: for, with, macros, call
 * and filter blocks, block sets and generation have their own; if has not.  A
 * macro sees the scope it was made in.
 *
 * Every evaluation is a step, and work over many bytes or items counts more;
 * when the steps, the nesting, the memory or the output run out the render
 * ends with -ERR_LIMIT.  It knows no filter by name.  One thread. */
#ifndef LFMD_MODEL_TEMPLATE_EVAL_H
#define LFMD_MODEL_TEMPLATE_EVAL_H

#include "model/template/ast.h"
#include "model/template/builtin.h"
#include "model/template/template.h"

struct variable {
    uint32_t id;
    struct value value;
};

struct scope {
    struct scope *outer;
    struct variable *vars; /* [cap], n in use */
    uint32_t n, cap;
};

struct macro {
    const struct node *node;
    struct scope *scope; /* where it was made */
};

struct eval {
    const struct ast *ast;
    struct arena *arena;
    struct err *err;
    struct template_limits limits;
    uint64_t steps;         /* left */
    size_t n_failed_before; /* mem_n_failed when rendering began */
    size_t emitted;         /* bytes written, captured ones too */
    uint32_t depth;         /* macros and recursive loops entered */
    uint32_t nesting;       /* eval and exec calls on the C stack */
    const struct node *at;  /* what is being done, for errors */
    struct scope *scope;
    struct scope *top;
    struct value *globals; /* [ast->n_names]: the context, then the builtins */
    struct buf *out;
    struct value hole; /* the text a filter block or block set captured */
};

/* What exec returns besides 0 and errors. */
enum flow { FLOW_BREAK = 1, FLOW_CONTINUE = 2 };

/* Sets the error with the line; returns the negative class. */
int eval_fail(struct eval *e, enum err_class class_, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int eval_nomem(struct eval *e); /* the arena is spent: limit or memory */
/* A use of an undefined value that jinja2 refuses. */
int eval_undefined(struct eval *e, struct value v);

/* Counts one step and `bytes`/64 more. */
int eval_steps(struct eval *e, size_t bytes);
void *eval_alloc(struct eval *e, size_t n, size_t size);
/* One level deeper on the C stack; every success is paired with a leave. */
int eval_enter(struct eval *e);
void eval_leave(struct eval *e);

int eval_expr(struct eval *e, const struct node *n, struct value *out);
int eval_call_args(struct eval *e, const struct node *n, struct args *out);
int eval_call_value(struct eval *e, struct value f, const struct args *args,
                    struct value *out);
int eval_item(struct eval *e, struct value of, struct value key,
              struct value *out);
int eval_attr(struct eval *e, struct value of, const struct str *name,
              struct value *out);
int eval_binary(struct eval *e, enum op op, struct value a, struct value b,
                struct value *out);
int eval_slice(struct eval *e, struct value of, const struct slice *s,
               struct value *out);

int exec_body(struct eval *e, const struct node *first);
int exec_for(struct eval *e, const struct node *n);
/* Runs `first` and its siblings into a string. */
int exec_capture(struct eval *e, const struct node *first, struct value *out);
int exec_macro(struct eval *e, const struct macro *m, const struct args *args,
               struct value *out);
int loop_attr(struct eval *e, struct value loop, const struct str *name,
              struct value *out, bool *found);
int loop_recurse(struct eval *e, struct loop *l, struct value items,
                 struct value *out);
int loop_changed(struct eval *e, struct loop *l, const struct args *args,
                 struct value *out);
int64_t loop_index0(const struct loop *l);
int loop_length(struct eval *e, struct loop *l, int64_t *out);

struct scope *scope_push(struct eval *e, struct scope *outer);
int scope_set(struct eval *e, struct scope *s, uint32_t id, struct value v);
int scope_assign(struct eval *e, const struct node *target, struct value v);

/* text.c's neighbours: how values are written. */
int print_str(struct eval *e, struct value v, struct buf *b);  /* str(v) */
int print_repr(struct eval *e, struct value v, struct buf *b); /* repr(v) */
int print_to_str(struct eval *e, struct value v, const struct str **out);
void print_float(struct buf *b, double f); /* repr */

struct json_style {
    bool ascii, sort;
    const struct str *indent; /* NULL: on one line */
    const struct str *item_separator, *key_separator;
};
int print_json(struct eval *e, struct value v, const struct json_style *style,
               struct buf *b);

/* "%s" % args, and "{}".format(...). */
int format_percent(struct eval *e, const struct str *f, struct value args,
                   struct value *out);
int format_braces(struct eval *e, const struct str *f, const struct args *args,
                  struct value *out);
/* strftime of the wall clock, in local time. */
int format_now(struct eval *e, const struct str *f, struct value *out);

#endif
