/* schema_array.c -- arrays: first items each with a schema, then others. */
#include "model/base/alloc.h"
#include "model/grammar/schema_private.h"

#define MAX_FIRST 100u

struct items {
    const json_t *first; /* list of schemas, or NULL */
    const json_t *rest;  /* schema of the others */
    const char *first_key, *rest_key;
    uint32_t n_first, min, max;
};

static struct items items_of(struct schema *s, const json_t *node)
{
    struct items it = {.first = json_object_get(node, "prefixItems"),
                       .rest = json_object_get(node, "items"),
                       .first_key = "prefixItems",
                       .rest_key = "items"};
    if (json_is_array(it.rest)) { /* as drafts up to 2019-09 wrote it */
        it.first = it.rest;
        it.first_key = "items";
        it.rest = json_object_get(node, "additionalItems");
        it.rest_key = "additionalItems";
    }
    it.n_first = (uint32_t)json_array_size(it.first);
    it.min = schema_count(s, node, "minItems", 0);
    it.max = schema_count(s, node, "maxItems", GRAMMAR_NO_MAX);
    /* Where the first are listed and nothing is said of others, there are
     * others only if there must be. */
    if (it.rest == NULL)
        it.rest =
            it.n_first > 0 && it.min <= it.n_first ? json_false() : json_true();
    if (json_is_false(it.rest) && it.max > it.n_first)
        it.max = it.n_first;
    return it;
}

/* min..max of x with commas between; `lead` if one stands before the first. */
static gexpr run_of(struct schema *s, gexpr x, uint32_t min, uint32_t max,
                    bool lead)
{
    struct grammar_builder *b = s->b;
    if (max == 0)
        return grammar_empty(b);
    if (!lead && max == GRAMMAR_NO_MAX && min <= 1) {
        struct grammar_item item = {x, min == 0, true};
        return grammar_list(b, &item, 1, schema_comma(s));
    }
    x = schema_share(s, x, "item");
    gexpr more = grammar_seq2(b, schema_comma(s), x);
    if (lead)
        return grammar_repeat(b, more, min, max);
    gexpr all =
        grammar_seq2(b, x,
                     grammar_repeat(b, more, min > 0 ? min - 1 : 0,
                                    max == GRAMMAR_NO_MAX ? max : max - 1));
    return min == 0 ? grammar_optional(b, all) : all;
}

/* Item i of the first ones and all after it, from the last to the first. */
static gexpr first_items(struct schema *s, const struct items *it)
{
    struct grammar_builder *b = s->b;
    uint32_t n = it->n_first < it->max ? it->n_first : it->max;
    gexpr tail = grammar_empty(b);
    if (it->max > n) {
        gexpr x = schema_at(s, it->rest, it->rest_key, -1);
        tail = run_of(s, x, it->min > n ? it->min - n : 0,
                      it->max == GRAMMAR_NO_MAX ? it->max : it->max - n, true);
    }
    for (uint32_t i = n; i-- > 0;) {
        gexpr x =
            schema_at(s, json_array_get(it->first, i), it->first_key, (long)i);
        if (i > 0)
            x = grammar_seq2(b, schema_comma(s), x);
        tail = grammar_seq2(b, x, tail);
        if (i >= it->min)
            tail = grammar_optional(b, tail);
    }
    return tail;
}

gexpr schema_array(struct schema *s, const json_t *node)
{
    struct grammar_builder *b = s->b;
    struct items it = items_of(s, node);
    if (json_is_true(json_object_get(node, "uniqueItems")) && it.max > 1)
        schema_refuse(s, ERR_UNSUPPORTED, "uniqueItems",
                      "is not supported for more than one item");
    if (it.n_first > MAX_FIRST)
        schema_refuse(s, ERR_LIMIT, it.first_key,
                      "has %u schemas, more than the %u allowed", it.n_first,
                      MAX_FIRST);
    if (it.min > GRAMMAR_MAX_REPEAT ||
        (it.max > GRAMMAR_MAX_REPEAT && it.max != GRAMMAR_NO_MAX))
        schema_refuse(s, ERR_LIMIT,
                      it.min > GRAMMAR_MAX_REPEAT ? "minItems" : "maxItems",
                      "is more than the %u allowed", GRAMMAR_MAX_REPEAT);
    if (schema_failed(s))
        return GEXPR_NONE;
    if (it.min > it.max)
        return grammar_never(b);
    gexpr inside;
    if (it.n_first > 0)
        inside = first_items(s, &it);
    else if (it.max == 0)
        inside = grammar_empty(b);
    else
        inside = run_of(s, schema_at(s, it.rest, it.rest_key, -1), it.min,
                        it.max, false);
    gexpr array[] = {grammar_text(b, "["), schema_blank(s), inside,
                     schema_blank(s), grammar_text(b, "]")};
    return schema_container(s, grammar_seq(b, array, 5));
}
