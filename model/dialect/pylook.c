/* pylook.c -- see pylook.h. */
#include "model/dialect/pylook.h"

#include <string.h>

#include "model/dialect/pyliteral.h"

enum phase {
    AFTER,     /* behind a value in frame `depth` */
    ITEM,      /* behind a comma there */
    WORD,      /* in a word that may be a value */
    PARAMETER, /* in a parameter's name, behind it, behind its '=' */
    ASSIGN,
    ASSIGNED,
    AFTER_CALL, /* behind a call, and from here on behind all brackets */
    NEXT_CALL,  /* behind a comma there */
    NAME,       /* in a function's name, behind it */
    OPENING,
    AFTER_LIST /* behind all calls */
};

char pyframe_close(enum pyframe_kind kind)
{
    static const char close[] = {
        [PYFRAME_CALL] = ')',  [PYFRAME_OBJECT] = '}', [PYFRAME_LIST] = ']',
        [PYFRAME_TUPLE] = ')', [PYFRAME_PAREN] = ')',  [PYFRAME_DICT] = '}',
        [PYFRAME_SET] = '}',   [PYFRAME_BRACE] = '}',
    };
    return close[kind];
}

bool pyframe_undecided(enum pyframe_kind kind)
{
    return kind == PYFRAME_PAREN || kind == PYFRAME_BRACE;
}

void pylook_start(struct pylook *l, uint32_t depth, enum pylook_place place)
{
    *l = (struct pylook){.phase = AFTER, .depth = depth, .place = place};
}

static enum pylook_answer go(struct pylook *l, enum phase phase)
{
    l->phase = (uint8_t)phase;
    return PYLOOK_MORE;
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* A closing bracket, if it is the one of the innermost frame. */
static enum pylook_answer close_frame(struct pylook *l,
                                      const struct pyframe *frames, char c)
{
    if (c != pyframe_close(frames[l->depth - 1].kind))
        return PYLOOK_NO;
    l->place = PYLOOK_VALUE;
    return go(l, --l->depth == 0 ? AFTER_CALL : AFTER);
}

static enum pylook_answer after(struct pylook *l, const struct pyframe *frames,
                                char c)
{
    if (c == ':' && l->place != PYLOOK_VALUE)
        return PYLOOK_YES;
    if (l->place == PYLOOK_KEY)
        return PYLOOK_NO;
    return c == ',' ? go(l, ITEM) : close_frame(l, frames, c);
}

static enum pylook_answer item(struct pylook *l, const struct pyframe *frames,
                               char c)
{
    enum pyframe_kind kind = frames[l->depth - 1].kind;
    if (c == pyframe_close(kind))
        return close_frame(l, frames, c);
    if (kind == PYFRAME_CALL)
        return pyliteral_is_name(c, false) ? go(l, PARAMETER) : PYLOOK_NO;
    if (c == '"' || c == '\'')
        return PYLOOK_YES;
    if (kind == PYFRAME_OBJECT)
        return PYLOOK_NO;
    if ((c >= '0' && c <= '9') || is_one_of(c, "+-.") ||
        (kind != PYFRAME_DICT && is_one_of(c, "[({")))
        return PYLOOK_YES;
    if (!pyliteral_is_scalar(c))
        return PYLOOK_NO;
    l->word[l->n_word++] = c;
    return go(l, WORD);
}

static enum pylook_answer word(struct pylook *l, char c)
{
    if (!pyliteral_is_scalar(c)) {
        bool quote = c == '"' || c == '\'';
        bool value = quote
                         ? pyliteral_is_prefix(l->word, l->n_word)
                         : pyliteral_is_constant(l->word, l->n_word) &&
                               (pyliteral_is_space(c) || is_one_of(c, ",:)]}"));
        return value ? PYLOOK_YES : PYLOOK_NO;
    }
    if (l->n_word == PYLOOK_WORD_MAX)
        return PYLOOK_NO;
    l->word[l->n_word++] = c;
    return PYLOOK_MORE;
}

/* Behind the call's own bracket. */
static enum pylook_answer outside(struct pylook *l, char c)
{
    switch (l->phase) {
    case AFTER_CALL:
        return c == ','   ? go(l, NEXT_CALL)
               : c == ']' ? go(l, AFTER_LIST)
                          : PYLOOK_NO;
    case NEXT_CALL:
        return c == '{'                     ? PYLOOK_YES
               : c == ']'                   ? go(l, AFTER_LIST)
               : pyliteral_is_name(c, true) ? go(l, NAME)
                                            : PYLOOK_NO;
    case OPENING:
        return c == '(' ? PYLOOK_YES : PYLOOK_NO;
    default: /* AFTER_LIST: prose, if the list was not in a string itself */
        return is_one_of(c, "\"')]},") ? PYLOOK_NO : PYLOOK_YES;
    }
}

enum pylook_answer pylook_byte(struct pylook *l, const struct pyframe *frames,
                               char c)
{
    if (l->phase == WORD)
        return word(l, c);
    if (l->phase == ASSIGNED)
        return c == '=' ? PYLOOK_NO : PYLOOK_YES;
    if (l->phase == PARAMETER && pyliteral_is_name(c, false))
        return PYLOOK_MORE;
    if (l->phase == NAME && pyliteral_is_name(c, true))
        return PYLOOK_MORE;
    if (l->phase == PARAMETER)
        l->phase = ASSIGN;
    if (l->phase == NAME)
        l->phase = OPENING;
    if (pyliteral_is_space(c))
        return PYLOOK_MORE;
    if (l->phase == AFTER)
        return after(l, frames, c);
    if (l->phase == ITEM)
        return item(l, frames, c);
    if (l->phase == ASSIGN)
        return c == '=' ? go(l, ASSIGNED) : PYLOOK_NO;
    return outside(l, c);
}

enum pylook_answer pylook_end(const struct pylook *l, bool cut)
{
    return !cut || l->depth == 0 ? PYLOOK_YES : PYLOOK_MORE;
}
