/* turn.h -- one call in flight: from the request to the last byte.
 *
 * A turn owns what one HTTP request needs: the parsed request, its jobs (one a
 * prompt), the choices of each, and what has been said so far.
 *
 *     request --pool--> jobs --engine--> events --> chunks or one object
 *
 * It ends in exactly one of: a whole answer, an error, a complete stream, a
 * stream with an error event and no [DONE], or nothing because the client left;
 * in every case its jobs are cancelled and everything is freed.
 *
 * Loop thread, but for the preparation, which the pool does. */
#ifndef LFMD_API_TURN_H
#define LFMD_API_TURN_H

#include <stdint.h>

struct api;
struct exchange;
struct turn_form;

/* Takes over the exchange: everything from here on happens by itself. */
void turn_begin(struct api *api, struct exchange *ex,
                const struct turn_form *form);

/* Jobs of the tenant's turns that have not ended. */
uint32_t turn_jobs_of(const struct api *api, uint64_t tenant);

/* Sends a ping on every stream that has been silent for ping_ms. */
void turn_ping_all(struct api *api);

/* Ends every turn that has a job running; see api_cut. */
void turn_cut_all(struct api *api);

#endif
