/* pycall_state.h -- between the files of pycall: the machine's states, and what
 * its steps have in common.
 *
 * A step returns true when it has moved the machine, false when there is no
 * more to read or the block has failed. */
#ifndef LFMD_MODEL_DIALECT_PYCALL_STATE_H
#define LFMD_MODEL_DIALECT_PYCALL_STATE_H

#include "model/dialect/pycall.h"

enum state {
    LIST_HEAD, /* before the block's bracket, if it has one */
    CALL_HEAD, /* before a call */
    OPENING,   /* behind its name */
    PARAMETER, /* before a parameter's name */
    EQUALS,    /* behind it */
    VALUE,
    STRING,
    LOOKING, /* behind a quote that may be a string's end */
    AFTER_VALUE,
    ITEM, /* before an element, or the closing bracket */
    KEY,  /* before a key, or the closing bracket */
    COLON,
    FIRST, /* behind { : of a set, of a dictionary, or its closing bracket */
    AFTER_FIRST,
    AFTER_CALL,
    AFTER_LIST,
    FAILED
};

/* What a string or word is for. */
enum role { ROLE_VALUE, ROLE_KEY, ROLE_FIRST, ROLE_NAME, ROLE_ARGS };

/* What the member of a {"name": ...} object at hand is for. */
enum slot { SLOT_NAME, SLOT_ARGS, SLOT_OTHER };

/* Closes what was told of the call at hand; the rest of the block is no call.
 * Always false. */
bool pycall_fail(struct pycall *r);

/* What was read so far may be told: closing brackets would make it whole. */
void pycall_settle(struct pycall *r);

/* The innermost frame has one more value. */
bool pycall_value_read(struct pycall *r);

/* A quote is at the cursor.  False: it is not known how many there are. */
bool pycall_open_string(struct pycall *r, enum role role);

/* The steps STRING and LOOKING. */
bool pycall_string(struct pycall *r);
bool pycall_look(struct pycall *r);

static inline bool pycall_go(struct pycall *r, enum state state)
{
    r->state = (uint8_t)state;
    return true;
}

/* The tape's byte; NUL behind its end. */
static inline char pycall_byte(const struct pycall *r, size_t i)
{
    return i < r->tape.len ? r->tape.data[i] : '\0';
}

static inline struct pyframe *pycall_top(struct pycall *r)
{
    return &r->frames[r->depth - 1];
}

/* The call at hand is a {"name": ...} object. */
static inline bool pycall_is_json(const struct pycall *r)
{
    return r->frames[0].kind == PYFRAME_OBJECT;
}

#endif
