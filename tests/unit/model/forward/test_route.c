/* Routing against the slow reading of Lfm2MoeTopKRouter: sort everything. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/forward/route.h"
#include "model/weights/hparams.h"

enum { MAX_EXPERTS = 64, MAX_USED = 8, MAX_TOKENS = 50 };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static float random_float(uint32_t *state)
{
    return (float)(next_random(state) % 2000) / 500.0f - 2.0f;
}

/* Marks the winners one by one: the best left, the lowest index on a tie. */
static void naive(const struct hparams *hp, const float *logits,
                  const float *bias, bool *won, float *weights)
{
    float score[MAX_EXPERTS], sum = 0;
    for (uint32_t e = 0; e < hp->n_experts; e++) {
        score[e] = 1.0f / (1.0f + expf(-logits[e]));
        won[e] = false;
    }
    for (uint32_t j = 0; j < hp->n_experts_used; j++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t e = 0; e < hp->n_experts; e++) {
            float here = score[e] + (bias ? bias[e] : 0.0f);
            if (!won[e] && (best == UINT32_MAX ||
                            here > score[best] + (bias ? bias[best] : 0.0f)))
                best = e;
        }
        won[best] = true;
        sum += score[best];
    }
    for (uint32_t e = 0; e < hp->n_experts; e++)
        weights[e] =
            (hp->norm_topk_prob ? score[e] / (sum + 1e-6f) : score[e]) *
            hp->routed_scaling;
}

static void check_one(const struct hparams *hp, const float *logits,
                      const float *bias)
{
    bool won[MAX_EXPERTS];
    float want[MAX_EXPERTS], scores[MAX_EXPERTS], got[MAX_USED];
    uint32_t experts[MAX_USED];
    naive(hp, logits, bias, won, want);
    memcpy(scores, logits, hp->n_experts * sizeof *logits);
    route_token(hp, scores, bias, experts, got);
    for (uint32_t j = 0; j < hp->n_experts_used; j++) {
        assert_true(won[experts[j]]);
        if (j > 0)
            assert_true(experts[j] > experts[j - 1]);
        assert_true(fabsf(got[j] - want[experts[j]]) <= 1e-6f);
    }
}

TEST(routing_agrees_with_sorting_everything)
{
    UNUSED_STATE;
    uint32_t random = 11;
    for (int turn = 0; turn < 5000; turn++) {
        struct hparams hp = {
            .n_experts = 1 + next_random(&random) % MAX_EXPERTS,
            .norm_topk_prob = next_random(&random) % 2,
            .routed_scaling = turn % 3 ? 1.0f : 2.5f,
        };
        uint32_t most = hp.n_experts < MAX_USED ? hp.n_experts : MAX_USED;
        hp.n_experts_used = 1 + next_random(&random) % most;
        float logits[MAX_EXPERTS], bias[MAX_EXPERTS];
        for (uint32_t e = 0; e < hp.n_experts; e++) {
            logits[e] = random_float(&random);
            bias[e] = random_float(&random);
        }
        check_one(&hp, logits, turn % 2 ? bias : NULL);
    }
}

TEST(on_a_tie_the_lower_expert_wins)
{
    UNUSED_STATE;
    const struct hparams hp = {
        .n_experts = 6, .n_experts_used = 2, .routed_scaling = 1.0f};
    float logits[6] = {0, 1, 1, 0, 1, 1}, weights[2];
    uint32_t experts[2];
    route_token(&hp, logits, NULL, experts, weights);
    assert_int_equal(experts[0], 1);
    assert_int_equal(experts[1], 2);
}

TEST(the_bias_chooses_but_does_not_weigh)
{
    UNUSED_STATE;
    const struct hparams hp = {.n_experts = 3,
                               .n_experts_used = 1,
                               .norm_topk_prob = false,
                               .routed_scaling = 1.0f};
    float logits[3] = {5, 0, -1}, weights[1];
    const float bias[3] = {0, 0, 9};
    uint32_t experts[1];
    route_token(&hp, logits, bias, experts, weights);
    assert_int_equal(experts[0], 2);
    assert_true(fabsf(weights[0] - 0.26894143f) < 1e-6f);
}

TEST(not_a_number_still_names_experts_that_exist)
{
    UNUSED_STATE;
    const struct hparams hp = {
        .n_experts = 5, .n_experts_used = 3, .routed_scaling = 1.0f};
    float logits[5] = {NAN, NAN, NAN, NAN, NAN}, weights[3];
    uint32_t experts[3];
    route_token(&hp, logits, NULL, experts, weights);
    for (int j = 0; j < 3; j++)
        assert_in_range(experts[j], 0, 4);
}

TEST(grouping_gives_every_visit_one_row_in_its_expert)
{
    UNUSED_STATE;
    enum { N = 7, USED = 3 };
    uint32_t experts[MAX_TOKENS * USED], row_of[MAX_TOKENS * USED];
    uint32_t token_of[MAX_TOKENS * USED], first[N + 1], random = 5;
    struct routing r = {.experts = experts,
                        .first = first,
                        .row_of = row_of,
                        .token_of = token_of,
                        .n_experts = N,
                        .n_used = USED};
    for (uint32_t n = 1; n <= MAX_TOKENS; n++) {
        for (uint32_t v = 0; v < n * USED; v++)
            experts[v] = next_random(&random) % (n % 2 ? N : 2);
        route_group(&r, n);
        assert_int_equal(first[0], 0);
        assert_int_equal(first[N], n * USED);
        bool used[MAX_TOKENS * USED] = {false};
        for (uint32_t v = 0; v < n * USED; v++) {
            uint32_t row = row_of[v];
            assert_in_range(row, first[experts[v]], first[experts[v] + 1] - 1);
            assert_int_equal(token_of[row], v / USED);
            assert_false(used[row]);
            used[row] = true;
        }
        for (uint32_t e = 0; e < N; e++)
            for (uint32_t row = first[e] + 1; row < first[e + 1]; row++)
                assert_true(token_of[row] >= token_of[row - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routing_agrees_with_sorting_everything),
        cmocka_unit_test(on_a_tie_the_lower_expert_wins),
        cmocka_unit_test(the_bias_chooses_but_does_not_weigh),
        cmocka_unit_test(not_a_number_still_names_experts_that_exist),
        cmocka_unit_test(grouping_gives_every_visit_one_row_in_its_expert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
