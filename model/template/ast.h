/* ast.h -- a compiled template as a tree.
 *
 * One struct for every node; the table says which fields a kind uses.  Names
 * are numbered, so that a scope compares numbers.  Lives in the template's
 * arena and never changes after the parser is done. */
#ifndef LFMD_MODEL_TEMPLATE_AST_H
#define LFMD_MODEL_TEMPLATE_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/template/value.h"

enum node_kind {
    /* statements            fields */
    NODE_TEXT,         /* value                                              */
    NODE_PRINT,        /* a                                                  */
    NODE_IF,           /* a: test, list: body, els: else or one NODE_IF      */
    NODE_FOR,          /* a: target, b: iterable, c: test, list, els,
                          flag: recursive                                    */
    NODE_SET,          /* a: target, b: value                                */
    NODE_SET_BLOCK,    /* a: target, b: filters over NODE_HOLE or NULL, list */
    NODE_MACRO,        /* id, name, args: NODE_PARAM, list, uses             */
    NODE_CALL_BLOCK,   /* a: NODE_CALL, b: NODE_MACRO                        */
    NODE_FILTER_BLOCK, /* b: filters over NODE_HOLE, list                    */
    NODE_WITH,         /* args: NODE_SET, list                               */
    NODE_SCOPE,        /* list: generation, a scope of its own               */
    NODE_BLOCK,        /* list: sees only the top level                      */
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_PARAM, /* id, name, a: default or NULL */
    /* expressions */
    NODE_CONST,   /* value                                     */
    NODE_NAME,    /* id, name                                  */
    NODE_NSREF,   /* id, name, value: attribute; target only   */
    NODE_TUPLE,   /* list                                      */
    NODE_LIST,    /* list                                      */
    NODE_DICT,    /* list: key, value, key, value...           */
    NODE_CONCAT,  /* list                                      */
    NODE_ATTR,    /* a, value: name                            */
    NODE_ITEM,    /* a, b                                      */
    NODE_SLICE,   /* a, b, c; each may be NULL                 */
    NODE_CALL,    /* a, args, kwargs, star, star2              */
    NODE_FILTER,  /* a, builtin, args..., name                 */
    NODE_TEST,    /* a, builtin, args..., name                 */
    NODE_KWARG,   /* name, a                                   */
    NODE_COND,    /* a: test, b, c or NULL                     */
    NODE_AND,     /* a, b */
    NODE_OR,      /* a, b */
    NODE_NOT,     /* a */
    NODE_COMPARE, /* a, list: NODE_OPERAND                    */
    NODE_OPERAND, /* op, a                                    */
    NODE_BINARY,  /* op, a, b                                 */
    NODE_NEG,     /* a */
    NODE_POS,     /* a */
    NODE_HOLE     /* the captured text of the block around    */
};

enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
};

enum macro_uses { USES_CALLER = 1, USES_KWARGS = 2, USES_VARARGS = 4 };

struct node {
    uint8_t kind; /* enum node_kind */
    uint8_t op;   /* enum op */
    uint8_t uses; /* enum macro_uses */
    bool flag;
    bool defines; /* a loop's body makes macros, so its scopes must last */
    uint32_t line, column;
    uint32_t id;
    uint32_t n_args; /* of args */
    const struct str *name;
    struct node *next; /* in whichever list it is */
    struct node *a, *b, *c;
    struct node *list, *els;
    struct node *args, *kwargs, *star, *star2;
    const struct builtin *builtin; /* NULL: unknown, fails when reached */
    struct value value;
};

struct ast {
    struct node *body;
    const struct str **names; /* [n_names] by id */
    uint32_t n_names;
    const struct str **mentions; /* [n_mentions] */
    uint32_t n_mentions;
};

/* Ids every template has. */
enum { ID_LOOP, ID_CALLER, ID_KWARGS, ID_VARARGS, ID_SELF, ID_FIRST_FREE };

#endif
