/* generation_gguf.c -- the recommended sampling that a GGUF file carries.
 *
 * The keys general.sampling.* (llama.cpp, gguf-py/gguf/constants.py) become the
 * fields of a generation_config.json and are read as one: see generation.h. */
#include "model/weights/generation.h"

#include <string.h>

#include "model/weights/gguf.h"

static const struct {
    const char *key, *field;
} floats[] = {
    {"general.sampling.temp", "temperature"},
    {"general.sampling.top_p", "top_p"},
    {"general.sampling.min_p", "min_p"},
    {"general.sampling.penalty_repeat", "repetition_penalty"},
};

static int read_keys(json_t *config, const struct gguf *g, struct err *err)
{
    static const char top_k[] = "general.sampling.top_k";
    double value = 0;
    int found = 0;
    for (size_t i = 0; i < sizeof floats / sizeof *floats && found >= 0; i++) {
        found = gguf_f64(g, floats[i].key, &value, err);
        if (found == 1)
            (void)json_object_set_new(config, floats[i].field,
                                      json_real(value));
    }
    if (found >= 0)
        found = gguf_f64(g, top_k, &value, err);
    if (found == 1 && !(value >= -1 && value <= INT32_MAX))
        return err_set(err, ERR_FORMAT,
                       "key %s is %g, but must be from -1 to %d", top_k, value,
                       INT32_MAX);
    if (found == 1)
        (void)json_object_set_new(config, "top_k",
                                  json_integer((json_int_t)value));
    return found < 0 ? found : 0;
}

/* The refused field goes by the name of its key. */
static void name_key(struct err *err)
{
    for (size_t i = 0; err != NULL && i < sizeof floats / sizeof *floats; i++)
        if (strcmp(err->param, floats[i].field) == 0) {
            err_wrap(err, "%s", floats[i].key);
            return;
        }
}

int generation_from_gguf(struct generation_defaults *g, const struct gguf *file,
                         struct err *err)
{
    json_t *config = json_object();
    *g = (struct generation_defaults){0};
    int rc = config != NULL ? read_keys(config, file, err)
                            : err_nomem(err, "the sampling defaults");
    if (rc == 0 && json_object_size(config) > 0) {
        rc = generation_parse(g, config, err);
        if (rc != 0)
            name_key(err);
    }
    json_decref(config);
    return hparams_file_error(rc, gguf_file_name(file), err);
}
