/* banner.c -- see banner.h. */
#include "server/banner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/prompt/prepare.h"
#include "model/base/buf.h"
#include "model/kernels/gemm_blas.h"
#include "model/model.h"
#include "server/daemon.h"
#include "server/engine/engine.h"
#include "server/engine/engine_options.h"
#include "server/http/http_options.h"

#define BAR_CELLS 30

void banner_progress(unsigned before, unsigned now, size_t done, size_t total)
{
    double gb = 1e9;
    if (isatty(STDERR_FILENO)) {
        char bar[BAR_CELLS + 1];
        size_t full = now * BAR_CELLS / 1000;
        memset(bar, '.', BAR_CELLS);
        memset(bar, '#', full < BAR_CELLS ? full : BAR_CELLS);
        bar[BAR_CELLS] = '\0';
        fprintf(stderr, "\rloading [%s] %3u %%  %.2f of %.2f GB", bar, now / 10,
                (double)done / gb, (double)total / gb);
    } else if (now / 100 != before / 100) {
        fprintf(stderr, "loading: %u %% of %.2f GB\n", now / 10,
                (double)total / gb);
    }
}

void banner_progress_end(void)
{
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
}

static void print_address(const char *host, uint16_t port, const char *model)
{
    const char *reach = strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host;
    if (strncmp(host, "unix:", 5) == 0) {
        fprintf(stderr,
                "listening on %s\n\n"
                "  curl -N --unix-socket %s http://localhost/v1/chat/"
                "completions \\\n",
                host, host + 5);
    } else {
        bool v6 = strchr(reach, ':') != NULL;
        fprintf(stderr,
                "listening on http://%s%s%s:%u/v1\n\n"
                "  curl -N http://%s%s%s:%u/v1/chat/completions \\\n",
                v6 ? "[" : "", reach, v6 ? "]" : "", port, v6 ? "[" : "", reach,
                v6 ? "]" : "", port);
    }
    fprintf(stderr,
            "    -H 'Content-Type: application/json' \\\n"
            "    -d '{\"model\": \"%s\", \"stream\": true, \"messages\": "
            "[{\"role\": \"user\", \"content\": \"Hello!\"}]}'\n\n",
            model);
}

/* The type of nearly all weights: the experts', or where there are none the
 * dense layers'. */
static const char *bulk_type(const struct model *m)
{
    const struct layer_weights *last = &m->weights->layers[m->hp.n_layers - 1];
    bool dense = last->ew1 == NULL;
    return dtype_name(dense ? last->w1.dtype : last->ew1[0].dtype);
}

void banner_ready(const struct model *m, const struct engine *e,
                  const struct daemon_options *o, uint16_t port, bool demo)
{
    struct engine_stats stats = engine_stats(e);
    struct buf defaults = {0};
    const char *name = prepare_served_name(m, o->api);
    prepare_describe_defaults(&defaults, m);
    fprintf(stderr, "lfmd %s\n", o->version);
    if (demo)
        fprintf(stderr,
                "No --model was given: serving the bundled demo model, a toy "
                "with 3.5 million\nparameters. For real work: lfmd --model "
                "MODEL.gguf\n");
    fprintf(stderr,
            "model    %s: %.3g billion parameters in %s, %.2f GB\n"
            "compute  %u threads, %s kernels, OpenBLAS %s\n"
            "memory   %s\n"
            "context  %u tokens a request; cache for %u tokens, "
            "%u at once\n"
            "sampling %s\n",
            name, (double)m->weights->n_params / 1e9, bulk_type(m),
            (double)m->weights->bytes / 1e9, forward_n_threads(m->forward),
            m->kernels->name, gemm_core_name(), m->memory,
            engine_context_tokens(e), stats.total_blocks * KV_BLOCK_TOKENS,
            o->engine->max_sequences, buf_str(&defaults));
    print_address(o->http->host, port, name);
    buf_deinit(&defaults);
}
