/* tenant.h -- whose a call is, and how much of the machine its owner has.
 *
 * A tenant is who presents a key, as a hash; without keys all are tenant 0.
 * Jobs are counted by looking at all calls, which leaves no count that could be
 * wrong.  Loop thread. */
#ifndef LFMD_API_TENANT_H
#define LFMD_API_TENANT_H

#include <stdint.h>

#include "model/base/err.h"

struct api;
struct exchange;

/* In the handler: it reads headers. */
uint64_t tenant_of(const struct api *api, const struct exchange *ex);

/* The cache_salt of a tenant's job whose request asks for that one, 0 for none.
 * Clients with keys of their own do not learn from the time to the first token
 * what others have asked, whatever salt they guess. */
uint64_t tenant_salt(uint64_t tenant, uint64_t asked);

/* 0, or -ERR_BUSY when with `n_new` jobs more it would have more than
 * max_per_key; *n_own is then how many it has. */
int tenant_check(const struct api *api, uint64_t tenant, uint32_t n_new,
                 uint32_t *n_own, struct err *err);

/* Where only time helps against `err`, the seconds until it may have; else 0.
 * `n_own` is what tenant_check said, or 0. */
uint32_t tenant_retry_s(const struct api *api, uint32_t n_own,
                        const struct err *err);

#endif
