/* tokenizer_pipeline.c -- what tokenizer.json says happens around the model:
 * nothing before, pieces by pattern and bytes, BOS after, bytes back to text.
 *
 * Accepted is what byte-level tokenizers use; all else is refused by name,
 * because a tokenizer that is nearly right is wrong without anyone seeing it.
 * Facts: `tokenizers` 0.23, src/pre_tokenizers and src/processors. */
#include <string.h>

#include "model/text/pattern.h"
#include "model/text/tokenizer_parts.h"

/* ByteLevel's own pattern, used unless "use_regex" is false. */
static const char gpt2_pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
    "|\\s+(?!\\S)|\\s+";

static int refuse(struct err *err, const char *path, const char *found,
                  const char *expected)
{
    return err_set(err, ERR_UNSUPPORTED, "%s is %.60s, expected %s", path,
                   found, expected);
}

static int get_type(const json_t *v, const char **type, const char *path,
                    struct err *err)
{
    int found = json_get_string(v, "type", type, path, err);
    if (found < 0)
        return found;
    return found ? 0 : err_set(err, ERR_FORMAT, "%s has no type", path);
}

int tokenizer_add_pattern(struct tokenizer *t, const char *pattern, size_t n,
                          bool literal, const char *path, struct err *err)
{
    struct buf b = {0};
    int rc = 0;
    if (literal)
        pattern_literal(pattern, n, &b);
    else
        rc = pattern_translate(pattern, n, &b, err);
    if (rc == 0 && !buf_ok(&b))
        rc = err_nomem(err, "a pattern");
    if (rc == 0)
        rc = pretoken_add_split(t->pretoken, buf_str(&b), b.len, err);
    buf_deinit(&b);
    return rc == 0 ? 0 : err_wrap(err, "%s", path);
}

/* "invert" makes no difference to Isolated: matches and gaps both stay. */
static int add_split(struct tokenizer *t, const json_t *v, const char *path,
                     struct err *err)
{
    const char *behavior = "missing", *text;
    json_t *pattern = NULL;
    int rc = json_get_string(v, "behavior", &behavior, path, err);
    if (rc >= 0 && strcmp(behavior, "Isolated") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s.behavior is %.60s, expected Isolated", path,
                       behavior);
    if (rc >= 0)
        rc = json_get_object(v, "pattern", &pattern, path, err);
    if (rc < 0)
        return rc;
    bool literal = json_object_get(pattern, "String") != NULL;
    const char *key = literal ? "String" : "Regex";
    rc = json_get_string(pattern, key, &text, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_set(err, ERR_FORMAT,
                       "%s.pattern holds neither Regex nor String", path);
    return tokenizer_add_pattern(
        t, text, json_string_length(json_object_get(pattern, key)), literal,
        path, err);
}

static int add_byte_level(struct tokenizer *t, const json_t *v,
                          const char *path, struct err *err)
{
    bool prefix = true, regex = true;
    int rc = json_get_bool(v, "add_prefix_space", &prefix, path, err);
    if (rc >= 0)
        rc = json_get_bool(v, "use_regex", &regex, path, err);
    if (rc < 0)
        return rc;
    rc = prefix ? pretoken_add_prefix_space(t->pretoken, err) : 0;
    if (rc == 0 && regex)
        rc = tokenizer_add_pattern(t, gpt2_pattern, sizeof gpt2_pattern - 1,
                                   false, path, err);
    return rc;
}

static int add_digits(struct tokenizer *t, const json_t *v, const char *path,
                      struct err *err)
{
    bool individual = false;
    int rc = json_get_bool(v, "individual_digits", &individual, path, err);
    if (rc < 0)
        return rc;
    return tokenizer_add_pattern(t, "\\p{N}+", individual ? 5 : 6, false, path,
                                 err);
}

static int add_stage(struct tokenizer *t, const json_t *v, const char *path,
                     bool *byte_level, struct err *err)
{
    const char *type;
    int rc = get_type(v, &type, path, err);
    if (rc != 0)
        return rc;
    if (*byte_level)
        return refuse(err, path, type, "nothing behind ByteLevel");
    if (strcmp(type, "Split") == 0)
        return add_split(t, v, path, err);
    if (strcmp(type, "Digits") == 0)
        return add_digits(t, v, path, err);
    if (strcmp(type, "ByteLevel") != 0)
        return refuse(err, path, type, "Split, Digits or ByteLevel");
    *byte_level = true;
    return add_byte_level(t, v, path, err);
}

static int read_pre_tokenizer(struct tokenizer *t, const json_t *root,
                              struct err *err)
{
    json_t *v = NULL, *list = NULL;
    const char *type;
    bool byte_level = false;
    int rc = json_get_object(root, "pre_tokenizer", &v, "", err);
    if (rc < 0)
        return rc;
    if (v == NULL)
        return refuse(err, "pre_tokenizer", "missing", "a ByteLevel");
    rc = get_type(v, &type, "pre_tokenizer", err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "Sequence") == 0) {
        rc = json_get_array(v, "pretokenizers", &list, "pre_tokenizer", err);
        if (rc < 0)
            return rc;
        rc = 0;
        for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
            char path[64];
            snprintf(path, sizeof path, "pre_tokenizer.pretokenizers[%zu]", i);
            rc = add_stage(t, json_array_get(list, i), path, &byte_level, err);
        }
    } else {
        rc = add_stage(t, v, "pre_tokenizer", &byte_level, err);
    }
    if (rc == 0 && !byte_level)
        rc = refuse(err, "pre_tokenizer", type, "one that ends in ByteLevel");
    return rc;
}

/* One item of TemplateProcessing.single: {"SpecialToken": {"id": name}}. */
static int put_special(struct tokenizer *t, const json_t *specials,
                       const char *name, bool after, struct err *err)
{
    const char *path = "post_processor.special_tokens";
    const json_t *entry = json_object_get(specials, name);
    json_t *ids = NULL;
    int rc = json_get_array(entry, "ids", &ids, path, err);
    if (rc < 0)
        return rc;
    if (ids == NULL)
        return err_set(err, ERR_FORMAT, "%s has no ids for %.60s", path, name);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= (json_int_t)t->vocab.n_tokens)
            return err_set(err, ERR_FORMAT,
                           "%s gives %.60s an id that is not in the vocabulary",
                           path, name);
        token_id *list = after ? t->after : t->before;
        uint32_t *n = after ? &t->n_after : &t->n_before;
        if (*n == TOKENIZER_MAX_AROUND)
            return err_set(err, ERR_LIMIT,
                           "post_processor.single puts more than %u tokens "
                           "around a text",
                           TOKENIZER_MAX_AROUND);
        list[(*n)++] = (token_id)value;
    }
    return 0;
}

static int read_template(struct tokenizer *t, const json_t *v, struct err *err)
{
    const char *path = "post_processor";
    json_t *single = NULL, *specials = NULL;
    uint32_t n_sequences = 0;
    int rc = json_get_array(v, "single", &single, path, err);
    if (rc >= 0)
        rc = json_get_object(v, "special_tokens", &specials, path, err);
    for (size_t i = 0; rc >= 0 && i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *special = json_object_get(item, "SpecialToken");
        const json_t *sequence = json_object_get(item, "Sequence");
        const char *id = "";
        rc = json_get_string(special != NULL ? special : sequence, "id", &id,
                             "post_processor.single", err);
        if (rc < 0)
            break;
        if (special != NULL)
            rc = put_special(t, specials, id, n_sequences > 0, err);
        else if (strcmp(id, "A") == 0)
            n_sequences++;
        else
            rc = refuse(err, "post_processor.single", "something else",
                        "special tokens and the sequence A");
    }
    if (rc < 0)
        return rc;
    if (n_sequences != 1)
        return err_set(err, ERR_FORMAT,
                       "post_processor.single holds the sequence A %u times, "
                       "expected once",
                       n_sequences);
    return 0;
}

static int read_processor(struct tokenizer *t, const json_t *v,
                          bool *has_template, struct err *err)
{
    const char *type;
    int rc = get_type(v, &type, "post_processor", err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "ByteLevel") == 0)
        return 0; /* it only trims offsets */
    if (strcmp(type, "TemplateProcessing") != 0 || *has_template)
        return refuse(err, "post_processor", type,
                      "ByteLevel and at most one TemplateProcessing");
    *has_template = true;
    return read_template(t, v, err);
}

static int read_post_processor(struct tokenizer *t, const json_t *root,
                               bool *has_template, struct err *err)
{
    json_t *v = NULL, *list = NULL;
    const char *type;
    int rc = json_get_object(root, "post_processor", &v, "", err);
    if (rc <= 0)
        return rc;
    rc = get_type(v, &type, "post_processor", err);
    if (rc != 0)
        return rc;
    if (strcmp(type, "Sequence") != 0)
        return read_processor(t, v, has_template, err);
    rc = json_get_array(v, "processors", &list, "post_processor", err);
    if (rc < 0)
        return rc;
    rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
        rc = read_processor(t, json_array_get(list, i), has_template, err);
    return rc;
}

static int check_decoder(const json_t *root, struct err *err)
{
    json_t *v = NULL;
    const char *type = "missing";
    int rc = json_get_object(root, "decoder", &v, "", err);
    if (rc >= 0 && v != NULL)
        rc = get_type(v, &type, "decoder", err);
    if (rc < 0)
        return rc;
    return strcmp(type, "ByteLevel") == 0
               ? 0
               : refuse(err, "decoder", type, "ByteLevel");
}

static int check_normalizer(const json_t *root, struct err *err)
{
    json_t *v = NULL;
    const char *type;
    int rc = json_get_object(root, "normalizer", &v, "", err);
    if (rc <= 0)
        return rc;
    rc = get_type(v, &type, "normalizer", err);
    return rc != 0 ? rc : refuse(err, "normalizer", type, "null");
}

int tokenizer_pipeline(struct tokenizer *t, const json_t *root,
                       bool *has_template, struct err *err)
{
    *has_template = false;
    int rc = check_normalizer(root, err);
    if (rc == 0)
        rc = check_decoder(root, err);
    if (rc == 0)
        rc = pretoken_new(&t->pretoken, err);
    if (rc == 0)
        rc = read_pre_tokenizer(t, root, err);
    if (rc == 0)
        rc = read_post_processor(t, root, has_template, err);
    return rc;
}
