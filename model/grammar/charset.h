/* charset.h -- sets of characters, and the bytes that spell them.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_CHARSET_H
#define LFMD_MODEL_GRAMMAR_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/grammar/builder.h"

#define CHAR_MAX_VALUE 0x10FFFFu

struct char_range {
    uint32_t lo, hi;
};

struct charset {
    struct char_range *ranges; /* ascending and apart after charset_settle */
    uint32_t n, cap;
};

/* A general category ("Lu"); "" ends the list. */
struct char_category {
    const char *name;
    const struct char_range *ranges;
    uint32_t n;
};
extern const struct char_category char_categories[];

/* How characters are spelt. */
enum char_form {
    CHAR_UTF8,
    /* Inside a JSON string, each character in one way: as it is, or \" \\ \b
     * \f \n \r \t, or \u00xx in lower case for the other controls.  So texts
     * can be compared by their spelling. */
    CHAR_JSON,
    /* The same for a string of a Python literal, which JSON's readers must be
     * able to hold as a key too: no NUL.  In single quotes those are escaped,
     * and the double ones are not. */
    CHAR_DOUBLE,
    CHAR_SINGLE
};

void charset_add(struct grammar_builder *b, struct charset *s, uint32_t lo,
                 uint32_t hi);
void charset_add_set(struct grammar_builder *b, struct charset *s,
                     const struct charset *other);
/* All categories whose name begins so; false when there is none. */
bool charset_add_category(struct grammar_builder *b, struct charset *s,
                          const char *prefix);
/* Sorts, joins. */
void charset_settle(struct charset *s);
/* Everything else; settles. */
void charset_invert(struct grammar_builder *b, struct charset *s);
void charset_deinit(struct grammar_builder *b, struct charset *s);

/* One character of the set; settles it. */
gexpr charset_expr(struct grammar_builder *b, struct charset *s,
                   enum char_form form);
/* Any character. */
gexpr charset_any(struct grammar_builder *b, enum char_form form);
/* These characters, one after another; `text` is UTF-8. */
gexpr charset_text(struct grammar_builder *b, const char *text, size_t n,
                   enum char_form form);

#endif
