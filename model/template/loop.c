/* loop.c -- for, and the `loop` object.
 *
 * The iterable is an array when the loop begins.  A condition is asked as late
 * as jinja2 asks it: when the next item is needed, which loop.last and the
 * like make one item earlier. */
#include <string.h>

#include "model/template/eval.h"

struct loop {
    const struct node *node;
    struct scope *outer; /* where the for stands */
    const struct value *source;
    size_t n_source, at_source; /* not asked yet */
    struct list ahead;          /* asked and accepted, not yet visited */
    size_t at_ahead;
    struct value before, current;
    struct value changed;   /* the tuple of the last loop.changed, or absent */
    int64_t index0, length; /* length: -1 until known */
    int64_t depth0;
};

int64_t loop_index0(const struct loop *l)
{
    return l->index0;
}

/* Takes the next accepted item of the source into `ahead`; 1 done, 0 end. */
static int fetch(struct eval *e, struct loop *l)
{
    struct scope *saved = e->scope;
    int rc = 0;
    while (l->at_source < l->n_source) {
        struct value item = l->source[l->at_source++], accepted;
        rc = eval_steps(e, 0);
        if (rc != 0)
            break;
        if (l->node->c != NULL) {
            if (scope_push(e, l->outer) == NULL)
                rc = eval_nomem(e);
            if (rc == 0)
                rc = scope_assign(e, l->node->a, item);
            if (rc == 0)
                rc = eval_expr(e, l->node->c, &accepted);
            if (rc != 0)
                break;
            if (!value_truth(accepted))
                continue;
        }
        rc = list_add(e, &l->ahead, item);
        if (rc == 0)
            rc = 1;
        break;
    }
    e->scope = saved;
    return rc;
}

/* Whether there is a next item: 1, 0, or an error. */
static int peek(struct eval *e, struct loop *l)
{
    if (l->at_ahead < l->ahead.n)
        return 1;
    l->ahead.n = l->at_ahead = 0;
    return fetch(e, l);
}

int loop_length(struct eval *e, struct loop *l, int64_t *out)
{
    if (l->length < 0) {
        int rc;
        do
            rc = fetch(e, l);
        while (rc == 1);
        if (rc != 0)
            return rc;
        l->length = l->index0 + 1 + (int64_t)(l->ahead.n - l->at_ahead);
    }
    *out = l->length;
    return 0;
}

static int neighbour(struct eval *e, struct loop *l, bool next,
                     struct value *out)
{
    *out = value_undefined(NULL);
    if (!next) {
        if (l->index0 > 0)
            *out = l->before;
        return 0;
    }
    int rc = peek(e, l);
    if (rc == 1)
        *out = l->ahead.items[l->at_ahead];
    return rc < 0 ? rc : 0;
}

int loop_attr(struct eval *e, struct value loop, const struct str *name,
              struct value *out, bool *found)
{
    static const char *const names[] = {
        "index",  "index0",   "first",     "depth",    "depth0",  "last",
        "length", "revindex", "revindex0", "previtem", "nextitem"};
    struct loop *l = loop.u.loop;
    size_t k = 0, n = sizeof names / sizeof *names;
    int64_t length = 0;
    int rc = 0;
    while (k < n && !str_is(name, names[k]))
        k++;
    *found = k < n;
    switch (k) {
    case 0:
    case 1:
        *out = value_int(l->index0 + (k == 0));
        break;
    case 2:
        *out = value_bool(l->index0 == 0);
        break;
    case 3:
    case 4:
        *out = value_int(l->depth0 + (k == 3));
        break;
    case 5:
        rc = peek(e, l);
        *out = value_bool(rc == 0);
        return rc < 0 ? rc : 0;
    case 6:
    case 7:
    case 8:
        rc = loop_length(e, l, &length);
        *out = value_int(k == 6 ? length : length - l->index0 - (k == 8));
        break;
    case 9:
    case 10:
        return neighbour(e, l, k == 10, out);
    default:
        break;
    }
    return rc;
}

int loop_changed(struct eval *e, struct loop *l, const struct args *args,
                 struct value *out)
{
    struct value now;
    bool same = false;
    int rc = make_seq(e, args->pos, args->n_pos, SEQ_TUPLE, &now);
    if (rc == 0 && l->changed.kind != VALUE_ABSENT)
        rc = value_equal(e, l->changed, now, &same);
    l->changed = now;
    *out = value_bool(!same);
    return rc;
}

/* One turn: binds the target in `scope` and runs the body. */
static int turn(struct eval *e, struct loop *l, struct scope *scope)
{
    struct value self = {.kind = VALUE_LOOP, .u.loop = l};
    e->scope = scope;
    e->at = l->node;
    int rc = scope_set(e, scope, ID_LOOP, self);
    if (rc == 0)
        rc = scope_assign(e, l->node->a, l->current);
    if (rc == 0)
        rc = exec_body(e, l->node->list);
    return rc == FLOW_CONTINUE ? 0 : rc;
}

static int run(struct eval *e, struct loop *l)
{
    struct scope *scope = NULL;
    int rc;
    while ((rc = peek(e, l)) == 1) {
        l->before = l->current;
        l->current = l->ahead.items[l->at_ahead++];
        l->index0++;
        if (scope == NULL || l->node->defines)
            scope = scope_push(e, l->outer);
        if (scope == NULL)
            return eval_nomem(e);
        scope->n = 0;
        rc = turn(e, l, scope);
        if (rc != 0)
            break;
    }
    return rc == FLOW_BREAK ? 0 : rc;
}

static int loop_start(struct eval *e, const struct node *n, struct scope *outer,
                      struct value iterable, int64_t depth0)
{
    struct scope *saved = e->scope;
    struct loop *l = eval_alloc(e, 1, sizeof *l);
    if (l == NULL)
        return eval_nomem(e);
    l->node = n;
    l->outer = outer;
    l->depth0 = depth0;
    l->index0 = -1;
    int rc = value_items(e, iterable, &l->source, &l->n_source);
    l->length = n->c == NULL ? (int64_t)l->n_source : -1;
    if (rc == 0)
        rc = run(e, l);
    if (rc == 0 && l->index0 < 0 && n->els != NULL) {
        e->scope = outer;
        rc =
            scope_push(e, outer) == NULL ? eval_nomem(e) : exec_body(e, n->els);
    }
    e->scope = saved;
    return rc;
}

int exec_for(struct eval *e, const struct node *n)
{
    struct value iterable;
    int rc = eval_expr(e, n->b, &iterable);
    if (rc != 0)
        return rc;
    e->at = n;
    return loop_start(e, n, e->scope, iterable, 0);
}

int loop_recurse(struct eval *e, struct loop *l, struct value items,
                 struct value *out)
{
    struct buf text, *saved = e->out;
    if (!l->node->flag)
        return eval_fail(e, ERR_INVALID,
                         "the loop is called, but not marked recursive");
    if (e->depth >= e->limits.depth)
        return eval_fail(e, ERR_LIMIT, "loops recurse more than %u deep",
                         e->limits.depth);
    e->depth++;
    buf_init(&text, e->limits.output_bytes);
    e->out = &text;
    int rc = loop_start(e, l->node, l->outer, items, l->depth0 + 1);
    e->out = saved;
    e->depth--;
    if (rc == 0)
        return make_str_buf(e, &text, out);
    buf_deinit(&text);
    return rc;
}
