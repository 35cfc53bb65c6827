/* test_oracle.c -- the sampler draws from Hugging Face's distribution.
 *
 * tests/oracle/sample/golden.txt holds, per case, what transformers' own
 * processors leave of some logits (make.py there).  Tokens they remove must
 * never be drawn, those they keep as often as they say. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/sample/sampler.h"

#define N_VOCAB 96
#define N_PROMPT 12
#define N_OUTPUT 7
#define DRAWS 4000
#define GOLDEN "tests/oracle/sample/golden.txt"

struct golden {
    struct sample_params params;
    token_id prompt[N_PROMPT], output[N_OUTPUT];
    float logits[N_VOCAB];
    double probs[N_VOCAB];
};

static double next_number(FILE *f)
{
    char word[64];
    assert_int_equal(fscanf(f, "%63s", word), 1);
    return strtod(word, NULL);
}

/* False at the end of the file. */
static bool read_case(FILE *f, struct golden *g)
{
    char word[8];
    if (fscanf(f, "%7s", word) != 1)
        return false;
    assert_string_equal(word, "case");
    g->params = sample_params_neutral();
    g->params.temperature = (float)next_number(f);
    g->params.top_k = (int32_t)next_number(f);
    g->params.top_p = (float)next_number(f);
    g->params.min_p = (float)next_number(f);
    g->params.repetition_penalty = (float)next_number(f);
    for (int i = 0; i < N_PROMPT; i++)
        g->prompt[i] = (token_id)next_number(f);
    for (int i = 0; i < N_OUTPUT; i++)
        g->output[i] = (token_id)next_number(f);
    for (int i = 0; i < N_VOCAB; i++)
        g->logits[i] = (float)next_number(f);
    for (int i = 0; i < N_VOCAB; i++)
        g->probs[i] = next_number(f);
    return true;
}

static void draw_many(struct sampler *s, struct golden *g, uint32_t *seen)
{
    memset(seen, 0, N_VOCAB * sizeof *seen);
    for (uint32_t d = 0; d < DRAWS; d++) {
        float logits[N_VOCAB];
        struct sampled got;
        memcpy(logits, g->logits, sizeof logits);
        g->params.seed = d;
        const struct sample_context c = {
            .params = &g->params,
            .prompt = g->prompt,
            .n_prompt = N_PROMPT,
            .output = g->output,
            .n_output = N_OUTPUT,
        };
        assert_int_equal(sampler_draw(s, logits, &c, &got, NULL), 0);
        seen[got.token]++;
    }
}

TEST(draws_from_the_distribution_of_hugging_face)
{
    UNUSED_STATE;
    static struct golden g;
    uint32_t seen[N_VOCAB], n_cases = 0;
    struct sampler *s;
    FILE *f = fopen(GOLDEN, "r");
    if (f == NULL)
        fail_msg("%s is not there; run from the root", GOLDEN);
    assert_int_equal(sampler_new(&s, N_VOCAB, NULL), 0);
    for (int c = fgetc(f); c != '\n' && c != EOF;)
        c = fgetc(f); /* which transformers it was */
    for (; read_case(f, &g); n_cases++) {
        double chi2 = 0, pooled = 0, pooled_seen = 0;
        int freedom = -1;
        draw_many(s, &g, seen);
        for (int i = 0; i < N_VOCAB; i++) {
            double e = g.probs[i] * DRAWS;
            if (!(g.probs[i] > 0) && seen[i] > 0)
                fail_msg("case %u: token %d was removed", n_cases, i);
            if (e < 8) { /* too few for the test by themselves */
                pooled += e;
                pooled_seen += seen[i];
                continue;
            }
            chi2 += ((double)seen[i] - e) * ((double)seen[i] - e) / e;
            freedom++;
        }
        if (pooled >= 8) {
            chi2 += (pooled_seen - pooled) * (pooled_seen - pooled) / pooled;
            freedom++;
        }
        /* Mean n, variance 2n: five deviations, and a little for small n. */
        if (chi2 > freedom + 5 * sqrt(2.0 * freedom + 1))
            fail_msg("case %u: chi-square is %g of %d", n_cases, chi2, freedom);
    }
    assert_int_equal(n_cases, 36);
    (void)fclose(f);
    sampler_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_from_the_distribution_of_hugging_face),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
