/* generation.c -- see generation.h. */
#include "model/weights/generation.h"

#include <errno.h>
#include <unistd.h>

#define MAX_BYTES (1u << 20)
#define MAX_NODES 10000u

/* A number in [low, high]; `open` excludes low itself. */
static int number(const json_t *config, const char *key, bool *has, float *out,
                  double low, double high, bool open, struct err *err)
{
    double value = 0;
    int found = json_get_number(config, key, &value, "", err);
    if (found <= 0)
        return found;
    if (!(value >= low && value <= high) || (open && value == low))
        return err_field(err, key, "%s is %g, but must be %s %g and at most %g",
                         key, value, open ? "above" : "at least", low, high);
    *has = true;
    *out = (float)value;
    return 0;
}

static int read_top_k(struct generation_defaults *g, const json_t *config,
                      struct err *err)
{
    int64_t value = 0;
    int found = json_get_range(config, "top_k", &value, -1, INT32_MAX, "", err);
    if (found <= 0)
        return found;
    if (value == -1) /* as vLLM says that there is no limit */
        value = 0;
    g->has_top_k = true;
    g->top_k = (int32_t)value;
    return 0;
}

int generation_parse(struct generation_defaults *g, const json_t *config,
                     struct err *err)
{
    char text[64];
    *g = (struct generation_defaults){.found = true};
    if (!json_is_object(config))
        return err_set(err, ERR_FORMAT, "must be an object, not %s",
                       json_describe(config, text));
    bool sample = true;
    int rc = json_get_bool(config, "do_sample", &sample, "", err);
    g->greedy = !sample;
    if (rc >= 0)
        rc = number(config, "temperature", &g->has_temperature, &g->temperature,
                    0, 100, false, err);
    if (rc >= 0)
        rc = number(config, "top_p", &g->has_top_p, &g->top_p, 0, 1, true, err);
    if (rc >= 0)
        rc =
            number(config, "min_p", &g->has_min_p, &g->min_p, 0, 1, false, err);
    if (rc >= 0)
        rc = number(config, "repetition_penalty", &g->has_repetition_penalty,
                    &g->repetition_penalty, 0, 100, true, err);
    if (rc >= 0)
        rc = read_top_k(g, config, err);
    if (rc >= 0)
        rc = hparams_token_list(config, "eos_token_id", g->eos, &g->n_eos, err);
    return rc < 0 ? rc : 0;
}

int generation_load(struct generation_defaults *g, const char *dir,
                    struct err *err)
{
    struct buf path = {0};
    json_t *config = NULL;
    *g = (struct generation_defaults){0};
    buf_printf(&path, "%s/generation_config.json", dir);
    int rc = 0;
    if (!buf_ok(&path)) {
        rc = err_nomem(err, "a path");
    } else if (access(buf_str(&path), F_OK) == 0 || errno != ENOENT) {
        rc =
            json_parse_file(&config, buf_str(&path), MAX_BYTES, MAX_NODES, err);
        if (rc == 0)
            rc = hparams_file_error(generation_parse(g, config, err),
                                    buf_str(&path), err);
    }
    json_decref(config);
    buf_deinit(&path);
    return rc;
}
