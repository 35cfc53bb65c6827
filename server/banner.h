/* banner.h -- what a person at the terminal sees while the daemon starts.
 *
 * Everything goes to stderr: a bar that redraws itself on a terminal, a line
 * per 10 % elsewhere, and at the end what is served, how, and a curl line to
 * paste. */
#ifndef LFMD_SERVER_BANNER_H
#define LFMD_SERVER_BANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon_options;
struct engine;
struct model;

/* From the loading thread; `before` and `now` are thousandths. */
void banner_progress(unsigned before, unsigned now, size_t done, size_t total);
void banner_progress_end(void);

/* Loop thread, once. */
void banner_ready(const struct model *m, const struct engine *e,
                  const struct daemon_options *o, uint16_t port, bool demo);

#endif
