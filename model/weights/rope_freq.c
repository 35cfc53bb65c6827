/* rope_freq.c -- see rope_freq.h; each scaling is one function, with the name
 * it has in modeling_rope_utils.py. */
#include "model/weights/rope_freq.h"

#include <math.h>
#include <string.h>

#define DEFAULT_THETA 1000000.0 /* Lfm2MoeConfig.default_theta */
#define PI 3.14159265358979323846

struct scaling {
    const json_t *obj; /* borrowed, or NULL: no such object in the file */
    const char *path;  /* what it is called there */
    uint32_t head_dim, max_positions;
    double theta, factor, original;
};

/* A number that must be there, and in (0, high]. */
static int need(const struct scaling *s, const char *key, double *out,
                double high, struct err *err)
{
    int found = json_get_number(s->obj, key, out, s->path, err);
    if (found < 0)
        return found;
    if (found == 0)
        return err_set(err, ERR_FORMAT, "%s.%s is missing", s->path, key);
    if (!(*out > 0 && *out <= high))
        return err_set(err, ERR_FORMAT,
                       "%s.%s is %g, but must be above 0 and at most %g",
                       s->path, key, *out, high);
    return 0;
}

static int maybe(const struct scaling *s, const char *key, double *out,
                 struct err *err)
{
    int found = json_get_number(s->obj, key, out, s->path, err);
    if (found == 1 && !(*out >= 0 && *out <= 1e6))
        return err_set(err, ERR_FORMAT,
                       "%s.%s is %g, but must be from 0 to 1e6", s->path, key,
                       *out);
    return found < 0 ? found : 0;
}

static void unscaled(const struct scaling *s, float *inv_freq)
{
    for (uint32_t i = 0; i < s->head_dim / 2; i++) {
        float e = (float)(2 * i) / (float)s->head_dim;
        inv_freq[i] = 1.0f / powf((float)s->theta, e);
    }
}

static int linear(const struct scaling *s, struct rope_freq *out,
                  struct err *err)
{
    double factor = 0;
    int rc = need(s, "factor", &factor, 1e6, err);
    if (rc != 0)
        return rc;
    unscaled(s, out->inv_freq);
    for (uint32_t i = 0; i < s->head_dim / 2; i++)
        out->inv_freq[i] /= (float)factor;
    return 0;
}

/* It stretches only beyond max_position_embeddings, where no sequence goes. */
static int dynamic(const struct scaling *s, struct rope_freq *out,
                   struct err *err)
{
    double factor = 0;
    int rc = need(s, "factor", &factor, 1e6, err);
    if (rc == 0)
        unscaled(s, out->inv_freq);
    return rc;
}

static int llama3(const struct scaling *s, struct rope_freq *out,
                  struct err *err)
{
    double factor = 0, low = 0, high = 0;
    int rc = need(s, "factor", &factor, 1e6, err);
    if (rc == 0)
        rc = need(s, "low_freq_factor", &low, 1e6, err);
    if (rc == 0)
        rc = need(s, "high_freq_factor", &high, 1e6, err);
    if (rc != 0)
        return rc;
    if (high <= low)
        return err_set(err, ERR_FORMAT,
                       "%s.high_freq_factor is %g, but must be above "
                       "low_freq_factor, which is %g",
                       s->path, high, low);
    unscaled(s, out->inv_freq);
    float low_wavelen = (float)(s->original / low);
    float high_wavelen = (float)(s->original / high);
    for (uint32_t i = 0; i < s->head_dim / 2; i++) {
        float f = out->inv_freq[i];
        float wavelen = (float)(2 * PI) / f;
        if (wavelen > low_wavelen) {
            f /= (float)factor;
        } else if (!(wavelen < high_wavelen)) {
            float smooth = ((float)s->original / wavelen - (float)low) /
                           (float)(high - low);
            f = (1 - smooth) * f / (float)factor + smooth * f;
        }
        out->inv_freq[i] = f;
    }
    return 0;
}

static double mscale(double scale, double m)
{
    return scale <= 1 ? 1.0 : 0.1 * m * log(scale) + 1.0;
}

/* The dimension that turns `n_rotations` times over the original context. */
static double correction_dim(const struct scaling *s, double n_rotations)
{
    return s->head_dim * log(s->original / (n_rotations * 2 * PI)) /
           (2 * log(s->theta));
}

static int yarn_attention(const struct scaling *s, double factor, double *out,
                          struct err *err)
{
    double given = 0, m = 0, m_all = 0;
    int found =
        json_get_number(s->obj, "attention_factor", &given, s->path, err);
    if (found < 0)
        return found;
    if (found == 1) {
        *out = given;
        return need(s, "attention_factor", &given, 1e6, err);
    }
    int rc = maybe(s, "mscale", &m, err);
    if (rc == 0)
        rc = maybe(s, "mscale_all_dim", &m_all, err);
    if (m != 0 && m_all != 0)
        *out = mscale(factor, m) / mscale(factor, m_all);
    else
        *out = mscale(factor, 1);
    return rc;
}

static void yarn_blend(const struct scaling *s, double factor, double low,
                       double high, float *inv_freq)
{
    low = fmax(low, 0);
    high = fmin(high, s->head_dim - 1);
    if (low == high)
        high += 0.001; /* no division by zero */
    for (uint32_t i = 0; i < s->head_dim / 2; i++) {
        float e = (float)(2 * i) / (float)s->head_dim;
        float pos = powf((float)s->theta, e);
        float ramp = ((float)i - (float)low) / (float)(high - low);
        ramp = fminf(fmaxf(ramp, 0), 1);
        float keep = 1 - ramp;
        inv_freq[i] =
            1.0f / ((float)factor * pos) * (1 - keep) + 1.0f / pos * keep;
    }
}

static int yarn(const struct scaling *s, struct rope_freq *out, struct err *err)
{
    double factor = s->max_positions / s->original;
    double fast = 0, slow = 0, attention = 1;
    bool truncate = true;
    int rc = 0;
    if (json_object_get(s->obj, "factor") == NULL)
        rc = err_set(err, ERR_FORMAT, "%s.factor is missing", s->path);
    else if (!json_is_null(json_object_get(s->obj, "factor")))
        rc = need(s, "factor", &factor, 1e6, err);
    if (rc == 0)
        rc = yarn_attention(s, factor, &attention, err);
    if (rc == 0)
        rc = maybe(s, "beta_fast", &fast, err);
    if (rc == 0)
        rc = maybe(s, "beta_slow", &slow, err);
    if (rc == 0 &&
        json_get_bool(s->obj, "truncate", &truncate, s->path, err) < 0)
        rc = -ERR_INVALID;
    if (rc == 0 && s->theta <= 1)
        rc = err_set(err, ERR_FORMAT,
                     "rope_theta is %g, but yarn needs one above 1", s->theta);
    if (rc != 0)
        return rc;
    double low = correction_dim(s, fast != 0 ? fast : 32);
    double high = correction_dim(s, slow != 0 ? slow : 1);
    if (truncate) {
        low = floor(low);
        high = ceil(high);
    }
    yarn_blend(s, factor, low, high, out->inv_freq);
    out->attention_factor = (float)attention;
    return 0;
}

/* Finds the object, the base and the lengths, by transformers' precedence. */
static int read_common(struct scaling *s, const json_t *config, struct err *err)
{
    static const char *const names[] = {"rope_scaling", "rope_parameters"};
    json_t *obj = NULL;
    for (size_t i = 0; i < 2; i++) {
        int found = json_get_object(config, names[i], &obj, "", err);
        if (found < 0)
            return found;
        s->path = names[i];
        if (found == 1 && json_object_size(obj) > 0)
            break;
    }
    s->obj = obj;
    s->theta = DEFAULT_THETA;
    int found = json_get_number(config, "rope_theta", &s->theta, "", err);
    if (found >= 0 && obj != NULL)
        found = json_get_number(obj, "rope_theta", &s->theta, s->path, err);
    if (found < 0)
        return found;
    if (!(s->theta > 0 && s->theta <= 1e30))
        return err_set(err, ERR_FORMAT,
                       "rope_theta is %g, but must be above 0 and at most 1e30",
                       s->theta);
    s->original = s->max_positions;
    const char *key = "original_max_position_embeddings";
    if (obj != NULL &&
        json_get_number(obj, key, &s->original, s->path, err) < 0)
        return -ERR_INVALID;
    if (json_get_number(config, key, &s->original, "", err) < 0)
        return -ERR_INVALID;
    if (!(s->original >= 1 && s->original <= 4e9))
        return err_set(err, ERR_FORMAT, "%s is %g, but must be from 1 to 4e9",
                       key, s->original);
    return 0;
}

/* The model rotates whole heads, one way in all layers.  The unscaled rotation
 * of the class does not read partial_rotary_factor, so neither do we. */
static int refuse_partial(const struct scaling *s, const json_t *config,
                          const char *type, struct err *err)
{
    const char *key = "partial_rotary_factor";
    double part = 1;
    int found = json_get_number(config, key, &part, "", err);
    if (found >= 0 && s->obj != NULL)
        found = json_get_number(s->obj, key, &part, s->path, err);
    if (found < 0)
        return found;
    if (part != 1 && strcmp(type, "default") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "partial_rotary_factor is %g, but Lfm2Moe rotates whole "
                       "heads: it must be 1",
                       part);
    if (s->obj != NULL && (json_object_get(s->obj, "full_attention") != NULL ||
                           json_object_get(s->obj, "conv") != NULL))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s differs by layer type, but Lfm2Moe has one rotation "
                       "for all layers",
                       s->path);
    return 0;
}

static int rope_type(const struct scaling *s, const char **type,
                     struct err *err)
{
    *type = "default";
    if (s->obj == NULL)
        return 0;
    int found = json_get_string(s->obj, "type", type, s->path, err);
    if (found >= 0)
        found = json_get_string(s->obj, "rope_type", type, s->path, err);
    return found < 0 ? found : 0;
}

/* Numbers that are each in bounds may leave the floats together. */
static int check_speeds(const struct scaling *s, const float *inv_freq,
                        struct err *err)
{
    for (uint32_t i = 0; i < s->head_dim / 2; i++)
        if (!isfinite(inv_freq[i]))
            return err_set(err, ERR_FORMAT,
                           "rope_theta, %g, and the scaling beside it give a "
                           "rotation that is not finite",
                           s->theta);
    return 0;
}

int rope_freq_compute(struct rope_freq *out, const json_t *config,
                      uint32_t head_dim, uint32_t max_positions,
                      struct err *err)
{
    struct scaling s = {.head_dim = head_dim, .max_positions = max_positions};
    const char *type = NULL;
    int rc = read_common(&s, config, err);
    if (rc == 0)
        rc = rope_type(&s, &type, err);
    if (rc == 0)
        rc = refuse_partial(&s, config, type, err);
    if (rc != 0)
        return rc;
    out->theta = s.theta;
    out->attention_factor = 1.0f;
    if (strcmp(type, "default") == 0)
        unscaled(&s, out->inv_freq);
    else if (strcmp(type, "linear") == 0)
        rc = linear(&s, out, err);
    else if (strcmp(type, "dynamic") == 0)
        rc = dynamic(&s, out, err);
    else if (strcmp(type, "llama3") == 0)
        rc = llama3(&s, out, err);
    else if (strcmp(type, "yarn") == 0)
        rc = yarn(&s, out, err);
    else
        rc =
            err_set(err, ERR_UNSUPPORTED,
                    "%s.rope_type is \"%.32s\"; lfmd computes default, linear, "
                    "dynamic, llama3 and yarn",
                    s.path, type);
    return rc != 0 ? rc : check_speeds(&s, out->inv_freq, err);
}
