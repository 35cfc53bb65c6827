/* openapi.h -- the document of /openapi.json, as made from api/openapi.json. */
#ifndef LFMD_API_OPENAPI_H
#define LFMD_API_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[]; /* [openapi_n], ASCII */
extern const size_t openapi_n;

#endif
