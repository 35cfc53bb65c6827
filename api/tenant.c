/* tenant.c -- see tenant.h. */
#include "api/tenant.h"

#include <string.h>

#include "api/api_state.h"
#include "api/embeddings.h"
#include "api/turn.h"
#include "model/base/hash.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

#define KEY_SEED 2u /* no salt is a key: see SALT_SEED (prepare.c) */
#define SHARED_SEED 3u

uint64_t tenant_of(const struct api *api, const struct exchange *ex)
{
    if (!auth_required(api->auth))
        return 0;
    const char *key = auth_presented(exchange_header(ex, "Authorization"),
                                     exchange_header(ex, "X-Api-Key"));
    return key != NULL ? hash_bytes(key, strlen(key), KEY_SEED) : 0;
}

uint64_t tenant_salt(uint64_t tenant, uint64_t asked)
{
    const uint64_t both[] = {tenant, asked};
    if (tenant == 0 || asked == 0)
        return tenant + asked;
    return hash_bytes(both, sizeof both, SHARED_SEED);
}

int tenant_check(const struct api *api, uint64_t tenant, uint32_t n_new,
                 uint32_t *n_own, struct err *err)
{
    const uint32_t most = api->options->max_per_key;
    if (most == 0)
        return 0;
    uint32_t n = turn_jobs_of(api, tenant) + embeddings_jobs_of(api, tenant);
    if (n + n_new <= most)
        return 0;
    *n_own = n;
    return err_set(err, ERR_BUSY,
                   "%u requests of this key are being served or wait, no more "
                   "than %u are taken (max-per-key)",
                   n, most);
}

/* The engine knows how much time. */
uint32_t tenant_retry_s(const struct api *api, uint32_t n_own,
                        const struct err *err)
{
    if (n_own > 0)
        return engine_retry_own_s(api->engine, n_own);
    bool is_full = err->class_ == ERR_BUSY;
    bool is_late = err->class_ == ERR_UNAVAILABLE && api->phase == API_SERVING;
    return is_full || is_late ? engine_retry_s(api->engine) : 0;
}
