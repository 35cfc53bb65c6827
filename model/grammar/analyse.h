/* analyse.h -- what is known of a state before any text is seen.
 *
 * Private to model/grammar; used once, by compile.c. */
#ifndef LFMD_MODEL_GRAMMAR_ANALYSE_H
#define LFMD_MODEL_GRAMMAR_ANALYSE_H

#include "model/grammar/automaton.h"

#define NEED_NEVER 255u

/* Fills `need`: how many calls inside calls it takes at least until the rule
 * ends, NEED_NEVER if it never does. */
void analyse_need(struct grammar *g, struct budget *budget);

/* A state whose calls lead back to it before any byte, with the stack grown;
 * DFA_DEAD when there is none. */
uint32_t analyse_left_recursion(const struct grammar *g, struct budget *budget);

/* Fills `plain`. */
void analyse_plain(struct grammar *g, struct budget *budget);

#endif
