/* json.h -- JSON that arrives: bounded before it is built, read with types.
 *
 * jansson builds the tree; a scan in front of it bounds depth and size first,
 * because jansson 2.14 recurses when it frees, compares or copies.  Getters
 * name the path of what is wrong: "messages[3].role must be a string, not 7".
 *
 * Whoever handles json_t includes this header, never <jansson.h>.
 * Pure functions; a tree belongs to one thread at a time. */
#ifndef LFMD_MODEL_BASE_JSON_H
#define LFMD_MODEL_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/err.h"

#define JSON_DEPTH_DEFAULT 64u
#define JSON_NODES_DEFAULT 1000000u

/* Parses the whole of `text`: any JSON value, valid UTF-8, no duplicate keys,
 * at most `depth` levels and `nodes` values.  *out is a new reference.  The
 * error's param is the member of the outermost object it lies in, if any. */
int json_parse(json_t **out, const char *text, size_t n, uint32_t depth,
               uint32_t nodes, struct err *err);

/* Reads and parses a regular file of at most `max_bytes`; errors name it. */
int json_parse_file(json_t **out, const char *path, size_t max_bytes,
                    uint32_t nodes, struct err *err);

/* Typed getters.  1: found, *out set; 0: absent or null, *out untouched;
 * negative: wrong type, the error names `path`.`key` (`path` may be ""). */
int json_get_bool(const json_t *obj, const char *key, bool *out,
                  const char *path, struct err *err);
int json_get_int(const json_t *obj, const char *key, int64_t *out,
                 const char *path, struct err *err);
/* As json_get_int, and low <= value <= high. */
int json_get_range(const json_t *obj, const char *key, int64_t *out,
                   int64_t low, int64_t high, const char *path,
                   struct err *err);
int json_get_number(const json_t *obj, const char *key, double *out,
                    const char *path, struct err *err);
/* A name or a word: one that holds a NUL, and would be cut there, is refused.
 * Borrowed from `obj`. */
int json_get_string(const json_t *obj, const char *key, const char **out,
                    const char *path, struct err *err);
/* Any text, *n bytes: NULs may be among them. */
int json_get_text(const json_t *obj, const char *key, const char **out,
                  size_t *n, const char *path, struct err *err);
int json_get_array(const json_t *obj, const char *key, json_t **out,
                   const char *path, struct err *err);
int json_get_object(const json_t *obj, const char *key, json_t **out,
                    const char *path, struct err *err);

/* A shallow copy of an object with all its members; NULL if memory is short. */
json_t *json_copy_object(const json_t *v);

/* "a string", "an object", "7": for messages; writes into `out`. */
const char *json_describe(const json_t *v, char out[64]);

/* Appends `s` as a JSON string with its quotes; bytes must be UTF-8. */
void json_quote(struct buf *b, const char *s, size_t n);
void json_escape(struct buf *b, const char *s, size_t n); /* without them */

/* Appends `v` compactly (", " and ": " when `spaced`), keys in their order. */
void json_write(struct buf *b, const json_t *v, bool spaced);

#endif
