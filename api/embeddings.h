/* embeddings.h -- one call of /v1/embeddings in flight.
 *
 *     request --pool--> jobs --engine--> tables --pool--> one object
 *
 * An input is a job without a reply.  Of many only some are in the engine at a
 * time, so that a call takes neither the queue nor its key's share for itself;
 * it is refused for want of a place only before the first is in.  What comes
 * back may be megabytes of numbers, so the pool writes them.
 *
 * It ends in exactly one of: the answer, an error, or nothing because the
 * client left; in every case its jobs are cancelled and everything is freed.
 *
 * Loop thread, but for what the pool does. */
#ifndef LFMD_API_EMBEDDINGS_H
#define LFMD_API_EMBEDDINGS_H

#include <stdint.h>

struct api;

/* Jobs of the tenant's calls that have not ended. */
uint32_t embeddings_jobs_of(const struct api *api, uint64_t tenant);

/* Calls that found no place for their next input look for one again. */
void embeddings_go_on_all(struct api *api);

/* Ends every call that the pool does not have; see api_cut. */
void embeddings_cut_all(struct api *api);

#endif
