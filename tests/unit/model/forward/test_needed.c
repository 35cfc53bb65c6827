/* What each layer has to be given of a slice, and rows that move together. */
#include "tests/lib/test.h"

#include "model/forward/needed.h"
#include "model/weights/hparams.h"

enum { MAX_LAYERS = 12 };

/* Layers from their letters: c a convolution, a attention. */
static void make(struct hparams *hp, enum layer_kind *kinds,
                 const char *letters, uint32_t conv_width)
{
    *hp = (struct hparams){.kinds = kinds, .conv_width = conv_width};
    for (; letters[hp->n_layers] != '\0'; hp->n_layers++)
        kinds[hp->n_layers] =
            letters[hp->n_layers] == 'a' ? LAYER_ATTENTION : LAYER_CONV;
}

TEST(a_layer_is_given_what_the_layers_from_it_on_look_at)
{
    UNUSED_STATE;
    static const struct {
        const char *layers;
        uint32_t conv_width, n_tokens, n_logits, n_replay;
        uint32_t needed[MAX_LAYERS + 1]; /* layer by layer, then the head */
    } cases[] = {
        {"ccacc", 3, 512, 1, 0, {512, 512, 512, 5, 3, 1}},
        {"ccacc", 3, 512, 0, 0, {512, 512, 512, 4, 2, 0}},
        {"ccacc", 3, 512, 512, 0, {512, 512, 512, 512, 512, 512}},
        {"ccacc", 3, 68, 1, 36, {36, 34, 32, 5, 3, 1}},
        {"ccacc", 3, 36, 1, 35, {9, 7, 5, 5, 3, 1}},
        {"ccacc", 3, 36, 0, 36, {8, 6, 4, 4, 2, 0}},
        {"ccacc", 3, 4, 1, 0, {4, 4, 4, 4, 3, 1}},
        {"ccacc", 3, 1, 1, 0, {1, 1, 1, 1, 1, 1}},
        {"ccacc", 3, 1, 0, 0, {1, 1, 1, 1, 1, 0}},
        {"ccacc", 3, 2, 0, 2, {2, 2, 2, 2, 2, 0}},
        {"acca", 2, 20, 1, 0, {20, 20, 20, 20, 1}},
        {"acca", 2, 20, 1, 18, {4, 4, 3, 2, 1}},
        {"acca", 2, 20, 4, 18, {6, 6, 5, 4, 4}},
        {"aaa", 3, 20, 1, 0, {20, 20, 20, 1}},
        {"aaa", 3, 20, 0, 20, {0, 0, 0, 0}},
        {"ccc", 5, 20, 1, 0, {13, 9, 5, 1}},
        {"ccc", 5, 3, 1, 0, {3, 3, 3, 1}},
        {"ccc", 1, 20, 1, 0, {1, 1, 1, 1}},
        {"ccc", 1, 20, 0, 0, {0, 0, 0, 0}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct need needs[MAX_LAYERS + 1];
        enum layer_kind kinds[MAX_LAYERS];
        struct hparams hp;
        make(&hp, kinds, cases[c].layers, cases[c].conv_width);
        needed_init(needs, &hp);
        const struct batch_slice slice = {.n_tokens = cases[c].n_tokens,
                                          .n_logits = cases[c].n_logits,
                                          .n_replay = cases[c].n_replay};
        for (uint32_t i = 0; i <= hp.n_layers; i++)
            if (needed_tokens(&needs[i], &slice) != cases[c].needed[i])
                fail_msg("case %zu: layer %u is given %u, expected %u", c,
                         (unsigned)i,
                         (unsigned)needed_tokens(&needs[i], &slice),
                         (unsigned)cases[c].needed[i]);
        /* A row of the last state is as much as one of logits. */
        struct batch_slice states = slice;
        states.n_states = slice.n_logits;
        states.n_logits = slice.n_logits / 2;
        for (uint32_t i = 0; i <= hp.n_layers; i++)
            assert_int_equal(needed_tokens(&needs[i], &states),
                             cases[c].needed[i]);
    }
}

/* Layer i of the slice, from what must come out of it. */
static uint32_t one_layer_down(const struct hparams *hp, uint32_t i,
                               const struct batch_slice *s, uint32_t out)
{
    uint32_t n = hp->kinds[i] == LAYER_CONV        ? out + hp->conv_width - 1
                 : out > s->n_tokens - s->n_replay ? out
                                                   : s->n_tokens - s->n_replay;
    return n < s->n_tokens ? n : s->n_tokens;
}

TEST(every_short_model_needs_what_a_walk_from_its_end_finds)
{
    UNUSED_STATE;
    for (uint32_t bits = 0; bits < 1u << 8; bits++) {
        struct need needs[9];
        enum layer_kind kinds[8];
        struct hparams hp = {
            .n_layers = 8, .kinds = kinds, .conv_width = 1 + bits % 5};
        for (uint32_t i = 0; i < 8; i++)
            kinds[i] = (bits >> i & 1) != 0 ? LAYER_ATTENTION : LAYER_CONV;
        needed_init(needs, &hp);
        for (uint32_t k = 0; k < 12 * 12; k++) {
            const struct batch_slice slice = {
                .n_tokens = 11, .n_logits = k % 12, .n_replay = k / 12};
            uint32_t n = slice.n_logits;
            for (uint32_t i = 8; i-- > 0;) {
                n = one_layer_down(&hp, i, &slice, n);
                assert_int_equal(needed_tokens(&needs[i], &slice), n);
            }
        }
    }
}

TEST(kept_rows_lie_end_to_end_and_those_of_the_last_slice_never_move)
{
    UNUSED_STATE;
    static const struct span from[] = {{0, 3}, {3, 1}, {4, 4}, {8, 2}};
    static const struct span to[] = {{0, 2}, {2, 0}, {2, 4}, {6, 1}};
    static const uint16_t kept[][2] = {{11, 21}, {12, 22}, {14, 24}, {15, 25},
                                       {16, 26}, {17, 27}, {19, 29}};
    uint16_t rows[10][2];
    for (uint16_t i = 0; i < 10; i++) {
        rows[i][0] = (uint16_t)(10 + i);
        rows[i][1] = (uint16_t)(20 + i);
    }
    void *now = spans_pack(rows, sizeof rows[0], from, to, 4);
    assert_ptr_equal(now, rows[3]);
    assert_memory_equal(now, kept, sizeof kept);

    const struct span none[] = {{0, 0}};
    const struct span all[] = {{0, 7}};
    assert_ptr_equal(spans_pack(now, sizeof rows[0], all, all, 1), now);
    assert_ptr_equal(spans_pack(now, sizeof rows[0], all, none, 1), rows + 10);
}

TEST(spans_of_a_batch_lie_end_to_end)
{
    UNUSED_STATE;
    struct need needs[3];
    enum layer_kind kinds[2];
    struct hparams hp;
    make(&hp, kinds, "ac", 3);
    needed_init(needs, &hp);
    struct batch_slice slices[] = {{.n_tokens = 1, .n_logits = 1},
                                   {.first = 1, .n_tokens = 9},
                                   {.first = 10, .n_tokens = 5, .n_logits = 1}};
    const struct batch batch = {
        .slices = slices, .n_slices = 3, .n_tokens = 15};
    struct span spans[3];
    assert_int_equal(spans_set(spans, &needs[0], &batch), 15);
    assert_int_equal(spans_set(spans, &needs[1], &batch), 1 + 2 + 3);
    assert_int_equal(spans[1].first, 1);
    assert_int_equal(spans[1].n_tokens, 2);
    assert_int_equal(spans[2].first, 3);
    assert_int_equal(spans_set(spans, &needs[2], &batch), 2);
    assert_int_equal(spans[1].n_tokens, 0);
    assert_int_equal(spans[2].first, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_is_given_what_the_layers_from_it_on_look_at),
        cmocka_unit_test(
            every_short_model_needs_what_a_walk_from_its_end_finds),
        cmocka_unit_test(
            kept_rows_lie_end_to_end_and_those_of_the_last_slice_never_move),
        cmocka_unit_test(spans_of_a_batch_lie_end_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
