/* ids.h -- names for answers and calls: "chatcmpl-" and 24 random letters or
 * digits.  From the kernel's random source, so they cannot be guessed and do
 * not repeat across replicas.  Any thread. */
#ifndef LFMD_API_BASE_IDS_H
#define LFMD_API_BASE_IDS_H

#include <stdint.h>

#define IDS_BYTES 48 /* the longest id and its NUL */

#define IDS_CHAT "chatcmpl-"
#define IDS_COMPLETION "cmpl-"
#define IDS_CALL "call_"
#define IDS_REQUEST "req_"
#define IDS_MESSAGE "msg_"
#define IDS_TOOL_USE "toolu_"

/* Writes `prefix` (at most 16 bytes) and 24 characters of [A-Za-z0-9]. */
void ids_new(char out[IDS_BYTES], const char *prefix);

/* 64 random bits; also the seed of a request that names none. */
uint64_t ids_random(void);

#endif
