/* call_bind.c -- see call_bind.h. */
#include "api/prompt/call_bind.h"

#include "model/dialect/call_grammar.h"
#include "model/grammar/grammar.h"
#include "server/engine/job.h"

bool call_bind_must(const struct chat_request *r)
{
    return r->tools != NULL && (r->tool_choice == TOOL_CHOICE_REQUIRED ||
                                r->tool_choice == TOOL_CHOICE_NAMED);
}

static bool any_strict(const struct chat_request *r)
{
    for (size_t i = 0; i < json_array_size(r->tools); i++)
        if (call_grammar_is_strict(json_array_get(r->tools, i)))
            return true;
    return false;
}

int call_bind(struct job *job, const struct dialect *d,
              const struct chat_request *r, struct err *err)
{
    const bool must = call_bind_must(r), strict = any_strict(r);
    const bool form = r->grammar != NULL; /* a call half said would be text */
    const bool named = must && r->tool_choice == TOOL_CHOICE_NAMED;
    const struct call_options o = {
        .only = named ? r->tool_name : NULL,
        .single = named || !r->parallel_tool_calls,
        .markers = !d->calls,
        .listed = r->listed_tools,
    };
    struct grammar *g;
    if (r->tools == NULL ||
        !(must || strict || form || o.single || r->listed_tools != r->tools))
        return 0;
    if (!must && !d->calls)
        return strict ? err_field(err, "tools",
                                  "tools: a strict tool needs tool_choice "
                                  "required here, for this model has no token "
                                  "that begins a call")
                      : 0;
    int rc = call_grammar_new(&g, r->tools, &o, err);
    if (rc != 0)
        return rc;
    if (must) {
        grammar_unref(job->grammar);
        job->grammar = d->calls ? NULL : g;
    }
    if (!d->calls)
        return 0;
    job->call_grammar = g;
    job->call_start = d->call_start;
    job->call_end = d->call_end;
    job->single_block = must || form || o.single;
    job->must_call = must;
    return 0;
}
