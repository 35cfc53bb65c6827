/* template.c -- compile and render; see template.h. */
#include "model/template/template.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/base/arena.h"
#include "model/base/utf8.h"
#include "model/template/eval.h"
#include "model/template/lexer.h"
#include "model/template/parser.h"

#define SOURCE_BYTES ((size_t)1 << 20)

struct template
{
    struct arena *arena; /* owned; the tree lives in it */
    struct ast ast;
};

const struct template_limits template_default_limits = {
    .steps = 20000000,
    .depth = 64,
    .output_bytes = (size_t)4 << 20,
    .memory_bytes = (size_t)64 << 20,
};

int template_compile(struct template **out, const char *src, size_t n,
                     struct err *err)
{
    struct token *tokens;
    int rc;
    *out = NULL;
    if (n > SOURCE_BYTES)
        return err_set(err, ERR_LIMIT,
                       "the template has %zu bytes, more than %zu", n,
                       SOURCE_BYTES);
    if (!utf8_valid(src, n))
        return err_set(err, ERR_FORMAT, "the template is not valid UTF-8");
    struct template *t = mem_calloc(1, sizeof *t);
    if (t == NULL || (t->arena = arena_new(0)) == NULL) {
        mem_free(t);
        return err_nomem(err, "the template");
    }
    rc = lexer_run(t->arena, src, n, &tokens, err);
    if (rc == 0)
        rc = parser_run(t->arena, tokens, &t->ast, err);
    if (rc != 0) {
        template_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void template_free(struct template *t)
{
    if (t == NULL)
        return;
    arena_free(t->arena);
    mem_free(t);
}

/* What each name of the template means where nothing was set. */
static int bind_globals(struct eval *e, const json_t *context)
{
    e->globals = eval_alloc(e, e->ast->n_names, sizeof *e->globals);
    if (e->globals == NULL)
        return eval_nomem(e);
    for (uint32_t i = 0; i < e->ast->n_names; i++) {
        const struct str *name = e->ast->names[i];
        const json_t *j = json_object_getn(context, name->s, name->n);
        if (j != NULL) {
            int rc = value_from_json(e, j, 0, &e->globals[i]);
            if (rc != 0)
                return rc;
            continue;
        }
        const struct builtin *b = builtin_global(name);
        e->globals[i] = value_undefined(name);
        if (b != NULL) {
            struct function *f = eval_alloc(e, 1, sizeof *f);
            if (f == NULL)
                return eval_nomem(e);
            f->builtin = b;
            e->globals[i] =
                (struct value){.kind = VALUE_FUNCTION, .u.function = f};
        }
    }
    return 0;
}

static int render(struct eval *e, const json_t *context, struct buf *out)
{
    struct buf text;
    buf_init(&text, e->limits.output_bytes);
    e->out = &text;
    int rc = bind_globals(e, context);
    if (rc == 0) {
        e->top = scope_push(e, NULL);
        rc = e->top == NULL ? eval_nomem(e) : exec_body(e, e->ast->body);
    }
    if (rc == 0) {
        size_t before = out->len;
        buf_put(out, buf_str(&text), text.len);
        if (!buf_ok(out) || out->len != before + text.len)
            rc = err_nomem(e->err, "the rendered prompt");
    }
    buf_deinit(&text);
    return rc;
}

int template_render(const struct template *t, json_t *context,
                    const struct template_limits *limits, struct buf *out,
                    struct err *err)
{
    struct eval e = {.ast = &t->ast, .err = err};
    e.limits = limits != NULL ? *limits : template_default_limits;
    e.steps = e.limits.steps;
    e.n_failed_before = mem_n_failed();
    if (!json_is_object(context))
        return err_set(err, ERR_INVALID,
                       "the variables of a template must be an object");
    e.arena = arena_new(e.limits.memory_bytes);
    if (e.arena == NULL)
        return err_nomem(err, "rendering a template");
    int rc = render(&e, context, out);
    arena_free(e.arena);
    return rc;
}

bool template_mentions(const struct template *t, const char *name)
{
    for (uint32_t i = 0; i < t->ast.n_mentions; i++)
        if (str_is(t->ast.mentions[i], name))
            return true;
    return false;
}
