/* json_load.h -- jansson's parser, made to fail cleanly when memory is short.
 *
 * jansson 2.14 ignores a failed growth of its token buffer (lex_save in
 * load.c) and goes on with a text that lacks bytes: valid JSON is called
 * invalid, or the copy of a string runs past a lost closing quote.  So its
 * allocator never returns NULL inside a parse: it leaves the parse, and all
 * that the parse allocated is freed.
 *
 * From the start of the process jansson allocates through alloc.h.
 * Any thread. */
#ifndef LFMD_MODEL_BASE_JSON_LOAD_H
#define LFMD_MODEL_BASE_JSON_LOAD_H

#include "model/base/json.h"

/* json_loadb, but *out is NULL with `error` set when the text is wrong, and
 * -ERR_NOMEM is returned when memory was short; else 0. */
int json_load_whole(json_t **out, const char *text, size_t n, size_t flags,
                    json_error_t *error);

#endif
