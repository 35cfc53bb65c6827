/* prepare_words.c -- see prepare_words.h. */
#include "api/prompt/prepare_words.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/text/tokenizer.h"
#include "server/engine/job.h"

/* Words may be many tokens each; every draw looks at all of them. */
#define BIASES_MAX (4 * SAMPLING_BIAS_MAX)

static const char *skip_space(const char *s)
{
    const char *rest = s + strspn(s, " \t\r\n\f\v");
    return *rest != '\0' ? rest : s;
}

/* The tokens of a bad word, in the job's arena. */
static int add_word(struct bad_word *out, struct job *job,
                    const struct tokenizer *t, const char *word,
                    struct err *err)
{
    token_id *ids;
    size_t n;
    int rc = tokenizer_encode(t, word, strlen(word), TOKENIZE_SPECIAL, &ids, &n,
                              err);
    if (rc != 0)
        return rc;
    if (n == 0) {
        mem_free(ids);
        return err_field(err, "bad_words", "\"%.40s\" has no tokens", word);
    }
    out->ids = arena_dup(job->arena, ids, n * sizeof *ids);
    out->n = (uint32_t)n;
    mem_free(ids);
    return out->ids != NULL ? 0 : err_nomem(err, "bad_words");
}

/* Whoever bars `a` bars `b` with it. */
static bool is_end_of(const struct bad_word *a, const struct bad_word *b)
{
    return a->n <= b->n &&
           memcmp(a->ids, b->ids + b->n - a->n, a->n * sizeof *a->ids) == 0;
}

static int set_bad_words(struct job *job, const struct tokenizer *t,
                         const struct sampling_fields *f, struct err *err)
{
    struct bad_word *words =
        arena_calloc(job->arena, 2 * (size_t)f->n_bad_words, sizeof *words);
    uint32_t n = 0;
    if (words == NULL)
        return err_nomem(err, "bad_words");
    for (uint32_t i = 0; i < f->n_bad_words; i++) {
        const char *word = skip_space(f->bad_words[i]);
        char spaced[SAMPLING_WORD_BYTES_MAX + 2] = " ";
        strcat(spaced, word);
        int rc = add_word(&words[n], job, t, word, err);
        if (rc == 0)
            rc = add_word(&words[n + 1], job, t, spaced, err);
        if (rc != 0)
            return rc;
        n += is_end_of(&words[n], &words[n + 1]) ? 1 : 2;
    }
    job->params.bad_words = words;
    job->params.n_bad_words = n;
    return 0;
}

/* llama-server's: the bias is that of every token of the word. */
static int add_biases(struct logit_bias *bias, uint32_t *n,
                      const struct tokenizer *t, const struct word_bias *word,
                      struct err *err)
{
    token_id *ids;
    size_t n_ids;
    int rc = tokenizer_encode(t, word->word, strlen(word->word), 0, &ids,
                              &n_ids, err);
    if (rc == 0 && n_ids > BIASES_MAX - *n)
        rc = err_field(err, "logit_bias",
                       "logit_bias names more than %u tokens", BIASES_MAX);
    for (size_t i = 0; rc == 0 && i < n_ids; i++)
        bias[(*n)++] = (struct logit_bias){ids[i], word->bias};
    mem_free(ids);
    return rc;
}

static int set_biases(struct job *job, const struct tokenizer *t,
                      const struct sampling_fields *f, struct err *err)
{
    const size_t most = f->n_word_bias > 0 ? BIASES_MAX : f->n_bias;
    struct logit_bias *bias = arena_calloc(job->arena, most, sizeof *bias);
    uint32_t n = f->n_bias;
    if (bias == NULL)
        return err_nomem(err, "logit_bias");
    if (n > 0)
        memcpy(bias, f->bias, n * sizeof *bias);
    for (uint32_t i = 0; i < f->n_word_bias; i++) {
        int rc = add_biases(bias, &n, t, &f->word_bias[i], err);
        if (rc != 0)
            return rc;
    }
    job->params.bias = bias;
    job->params.n_bias = n;
    return 0;
}

int prepare_words(struct job *job, const struct tokenizer *t,
                  const struct sampling_fields *f, uint32_t n_vocab,
                  struct err *err)
{
    int rc = set_biases(job, t, f, err);
    if (rc == 0 && f->n_bad_words > 0)
        rc = set_bad_words(job, t, f, err);
    if (rc != 0 || f->allowed == NULL)
        return rc;
    job->params.allowed = arena_dup(job->arena, f->allowed,
                                    (n_vocab + 31) / 32 * sizeof *f->allowed);
    return job->params.allowed != NULL ? 0
                                       : err_nomem(err, "allowed_token_ids");
}
