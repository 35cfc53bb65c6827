/* builtin.h -- a row for every filter, test, method and global.
 *
 * A row names its parameters; the arguments of a call are bound to them in one
 * place, so that a function finds each at its index, or VALUE_ABSENT.
 *
 * Rows are constant: any thread.  The functions run inside one render. */
#ifndef LFMD_MODEL_TEMPLATE_BUILTIN_H
#define LFMD_MODEL_TEMPLATE_BUILTIN_H

#include "model/template/value.h"

#define BUILTIN_PARAMS 5u

struct kwarg {
    const struct str *name;
    struct value value;
};

/* Arguments as they were written. */
struct args {
    const struct value *pos; /* [n_pos] */
    size_t n_pos;
    const struct kwarg *kw; /* [n_kw] */
    size_t n_kw;
};

struct call {
    const struct builtin *builtin;
    const struct args *args;
    struct value arg[BUILTIN_PARAMS]; /* bound; all absent when variadic */
};

/* `self` is what is filtered, tested, or whose method it is. */
typedef int builtin_fn(struct eval *e, struct value self, const struct call *c,
                       struct value *out);

struct builtin {
    const char *name;
    builtin_fn *fn;
    const char *params[BUILTIN_PARAMS]; /* NULL ends */
    uint8_t n_required;
    bool variadic; /* takes c->args itself */
};

/* Rows by name, or NULL. */
const struct builtin *builtin_filter(const struct str *name);
const struct builtin *builtin_test(const struct str *name);
const struct builtin *builtin_global(const struct str *name);
/* The method or computed attribute of `v`; NULL when it has none. */
const struct builtin *builtin_method(struct value v, const struct str *name);

/* Tables, each in the file that has its functions; a NULL name ends. */
extern const struct builtin filters_plain[], filters_text[], filters_seq[];
extern const struct builtin tests_all[], globals_all[];
extern const struct builtin methods_str[], methods_seq[], methods_map[];
extern const struct builtin methods_object[];

/* Binds the arguments and calls. */
int builtin_call(struct eval *e, const struct builtin *b, struct value self,
                 const struct args *args, struct value *out);

/* Argument `i` of the call as what it must be; absent leaves *out alone. */
int arg_int(struct eval *e, const struct call *c, unsigned i, int64_t *out);
int arg_str(struct eval *e, const struct call *c, unsigned i,
            const struct str **out);
bool arg_truth(const struct call *c, unsigned i);
bool arg_given(const struct call *c, unsigned i); /* and not None */

#endif
