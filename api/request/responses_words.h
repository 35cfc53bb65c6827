/* responses_words.h -- the words of the responses protocol: those a field may
 * hold, and those of a client that an error message repeats.  Pool thread;
 * pure. */
#ifndef LFMD_API_REQUEST_RESPONSES_WORDS_H
#define LFMD_API_REQUEST_RESPONSES_WORDS_H

#include "model/base/err.h"
#include "model/base/json.h"

/* A string that is one of `words`, which NULL ends.  1: found, *out set; 0:
 * absent or null, *out untouched; negative: the error names `path`.`key` and
 * what it may be. */
int responses_word(const json_t *obj, const char *key, const char **out,
                   const char *const *words, const char *path, struct err *err);

/* `s` if it is a plain short name; else something that can be printed instead
 * of it: what a client sends may be long, or hold anything. */
const char *responses_name(const char *s);

#endif
