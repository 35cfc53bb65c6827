/* qmatmul_avx512vnni.c -- quantised products, 16 rows an instruction.
 *
 * One zmm of a panel holds 4 values along k of 16 rows; vpdpbusd multiplies
 * them by 4 activations, broadcast from memory, into 16 integer sums.  A block
 * is unpacked into 8 registers once for up to 8 tokens; its two halves are two
 * chains of four, which is what the two scales of the activations need and what
 * hides the instruction's latency when there is one token only.  The zero point
 * costs nothing: the integer sum starts at -zero * (sum of the activations). */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include "model/kernels/qmatmul_formats.h"
#include "model/kernels/qmatmul_panels.h"
#include "model/kernels/simd_avx2.h"
#include "model/kernels/widen.h"

#define GROUPS 8u
#define MAX_TOKENS 8u
#define SUPER_BLOCKS (PANEL_SUPER / PANEL_BLOCK)
#define LINE_BYTES 64u

/* Returns the sum of q. */
ALWAYS_INLINE int32_t quantize_half(struct q8_block *dst, uint32_t h,
                                    const float *x)
{
    __m512 v = _mm512_loadu_ps(x);
    /* As integers, or the maximum would pass over a NaN. */
    __m512i sizes = _mm512_castps_si512(_mm512_abs_ps(v));
    float max = float_from_bits(_mm512_reduce_max_epu32(sizes));
    float inverse = max >= Q8_TINY ? 127.0f / max : 0;
    __m512i q;
    int32_t sum;

    v = _mm512_mul_ps(v, _mm512_set1_ps(inverse));
    /* min returns its second operand when one is NaN */
    v = _mm512_min_ps(v, _mm512_set1_ps(127.0f));
    q = _mm512_cvtps_epi32(_mm512_max_ps(_mm512_set1_ps(-127.0f), v));
    sum = _mm512_reduce_add_epi32(q);
    _mm_storeu_si128((void *)(dst->q + 16 * h), _mm512_cvtepi32_epi8(q));
    dst->scale[h] = max / 127.0f;
    dst->neg8sum[h] = -8 * sum;
    return sum;
}

DEFINE_QUANTIZE

/* The 8 groups of a block as bytes q >= 0. */
ALWAYS_INLINE void unpack(__m512i w[GROUPS], const uint8_t *block,
                          uint32_t bits)
{
    const __m512i low4 = _mm512_set1_epi8(15);
    const __m512i bits45 = _mm512_set1_epi8(0x30);

    if (bits == 8) {
        UNROLL
        for (uint32_t g = 0; g < GROUPS; g++)
            w[g] = _mm512_loadu_si512(block + g * 64);
        return;
    }
    UNROLL
    for (uint32_t g = 0; g < GROUPS / 2; g++) {
        __m512i pair = _mm512_loadu_si512(block + g * 64);

        w[g] = _mm512_and_si512(pair, low4);
        w[g + 4] = _mm512_and_si512(_mm512_srli_epi16(pair, 4), low4);
    }
    if (bits == 4)
        return;
    UNROLL
    for (uint32_t h = 0; h < 2; h++) {
        __m512i high = _mm512_loadu_si512(block + 256 + h * 64);
        __m512i b01 = _mm512_slli_epi16(high, 4);
        __m512i b23 = _mm512_slli_epi16(high, 2);
        __m512i b67 = _mm512_srli_epi16(high, 2);

        /* 0xf8: a | (b & c) */
        w[2 * h] = _mm512_ternarylogic_epi32(w[2 * h], b01, bits45, 0xf8);
        w[2 * h + 4] =
            _mm512_ternarylogic_epi32(w[2 * h + 4], b23, bits45, 0xf8);
        w[2 * h + 1] =
            _mm512_ternarylogic_epi32(w[2 * h + 1], high, bits45, 0xf8);
        w[2 * h + 5] =
            _mm512_ternarylogic_epi32(w[2 * h + 5], b67, bits45, 0xf8);
    }
}

/* What a block's integers are multiplied by, and what is subtracted. */
struct scales {
    __m512 s[2]; /* of the halves; equal but in K6 */
    __m512 m;
};

ALWAYS_INLINE __m512 load_halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

ALWAYS_INLINE __m512 load_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p)));
}

ALWAYS_INLINE __m512 load_signed_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}

ALWAYS_INLINE struct scales load_scales(const uint8_t *scales,
                                        enum panel_scales kind, uint32_t b)
{
    struct scales out = {.m = _mm512_setzero_ps()};
    uint32_t in = b % SUPER_BLOCKS * 32;

    switch (kind) {
    case SCALES_D:
        out.s[0] = out.s[1] = load_halves(scales + (size_t)b * 32);
        break;
    case SCALES_DM:
        scales += (size_t)b * 64;
        out.s[0] = out.s[1] = load_halves(scales);
        out.m = _mm512_sub_ps(out.m, load_halves(scales + 32));
        break;
    case SCALES_K:
        scales += (size_t)(b / SUPER_BLOCKS) * 320;
        out.s[0] = out.s[1] =
            _mm512_mul_ps(load_halves(scales), load_bytes(scales + 64 + in));
        out.m = _mm512_mul_ps(load_halves(scales + 32),
                              load_bytes(scales + 80 + in));
        break;
    case SCALES_K6:
        scales += (size_t)(b / SUPER_BLOCKS) * 288;
        out.s[0] = _mm512_mul_ps(load_halves(scales),
                                 load_signed_bytes(scales + 32 + in));
        out.s[1] = _mm512_mul_ps(load_halves(scales),
                                 load_signed_bytes(scales + 48 + in));
        break;
    }
    return out;
}

ALWAYS_INLINE __m512i broadcast4(const int8_t *q)
{
    int32_t four;

    memcpy(&four, q, sizeof(four));
    return _mm512_set1_epi32(four);
}

/* The integer sums of one half of a block. */
ALWAYS_INLINE __m512i half_dot(const __m512i *w, const struct q8_block *x,
                               uint32_t half, uint32_t zero)
{
    __m512i sum = _mm512_setzero_si512();

    if (zero != 0) {
        sum = _mm512_set1_epi32(x->neg8sum[half]);
        if (zero == 16)
            sum = _mm512_slli_epi32(sum, 1);
        else if (zero == 32)
            sum = _mm512_slli_epi32(sum, 2);
        else if (zero == 128)
            sum = _mm512_slli_epi32(sum, 4);
    }
    UNROLL
    for (uint32_t g = 0; g < GROUPS / 2; g++)
        sum = _mm512_dpbusd_epi32(sum, w[half * 4 + g],
                                  broadcast4(x->q + half * 16 + g * 4));
    return sum;
}

ALWAYS_INLINE __m512 add_block(__m512 acc, const __m512i w[GROUPS],
                               const struct scales *s, const struct q8_block *x,
                               const struct panel_format f)
{
    UNROLL
    for (uint32_t h = 0; h < 2; h++) {
        __m512 scale = _mm512_mul_ps(s->s[h], _mm512_set1_ps(x->scale[h]));
        __m512 dot = _mm512_cvtepi32_ps(half_dot(w, x, h, f.zero));

        acc = _mm512_fmadd_ps(dot, scale, acc);
    }
    if (f.scales == SCALES_DM || f.scales == SCALES_K)
        acc = _mm512_fnmadd_ps(s->m, _mm512_set1_ps(x->sum), acc);
    return acc;
}

/* One panel against `tokens` tokens; f and tokens are constants after inlining.
 * With `fetch` the same place of the next panel is asked for meanwhile. */
ALWAYS_INLINE void tile(__m512 acc[MAX_TOKENS], const uint8_t *panel,
                        size_t scale_bytes,
                        const struct q8_block *const x[MAX_TOKENS],
                        uint32_t n_blocks, const struct panel_format f,
                        uint32_t tokens, bool fetch)
{
    const uint32_t block_bytes = PANEL_ROWS * PANEL_BLOCK / 8 * f.bits;
    const uint8_t *blocks = panel + scale_bytes;
    const uint8_t *next = blocks + (size_t)n_blocks * block_bytes;
    const uint8_t *xs[MAX_TOKENS];

    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        acc[t] = _mm512_setzero_ps();
        xs[t] = (const uint8_t *)x[t];
    }
    for (uint32_t b = 0; b < n_blocks; b++) {
        struct scales s = load_scales(panel, f.scales, b);
        __m512i w[GROUPS];

        if (fetch) {
            UNROLL
            for (uint32_t line = 0; line < block_bytes / LINE_BYTES + 1; line++)
                _mm_prefetch((const char *)next + line * LINE_BYTES,
                             _MM_HINT_T0);
            next += block_bytes + 32;
        }
        unpack(w, blocks, f.bits);
        blocks += block_bytes;
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            acc[t] = add_block(acc[t], w, &s,
                               (const struct q8_block *)(const void *)xs[t], f);
            xs[t] += sizeof(struct q8_block);
        }
    }
}

/* Tokens [t0, t0 + tokens) of one panel of n <= 16 rows. */
ALWAYS_INLINE void tokens_of_panel(const struct job *j, const uint8_t *panel,
                                   float *y, uint32_t t0, uint32_t n,
                                   const struct panel_format f, uint32_t tokens)
{
    const struct q8_block *x[MAX_TOKENS];
    __m512 acc[MAX_TOKENS];
    __mmask16 mask = (__mmask16)((1u << n) - 1);

    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        size_t at = j->rows != NULL ? j->rows[t0 + t] : t0 + t;

        x[t] = j->x + at * j->n_blocks;
    }
    tile(acc, panel, j->scale_bytes, x, j->n_blocks, f, tokens, t0 == 0);
    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(y + (t0 + t) * j->ldy, mask, acc[t]);
}

ALWAYS_INLINE void panel_product(const struct job *j, const uint8_t *panel,
                                 float *y, uint32_t n,
                                 const struct panel_format f)
{
    uint32_t t = 0;

    for (; j->m - t > MAX_TOKENS; t += MAX_TOKENS)
        tokens_of_panel(j, panel, y, t, n, f, MAX_TOKENS);
    /* A tile for each rest: two would unpack the panel twice. */
    switch (j->m - t) {
#define REST(tokens)                                   \
    case tokens:                                       \
        tokens_of_panel(j, panel, y, t, n, f, tokens); \
        break;
        REST(1)
        REST(2)
        REST(3)
        REST(4)
        REST(5)
        REST(6)
        REST(7)
        REST(8)
#undef REST
    }
}

PANEL_FORMATS(DEFINE_FOR)

void qmatmul_fill_avx512vnni(struct kernels *k)
{
    k->quantize = quantize;
    PANEL_FORMATS(FILL_QMATMUL)
}

#else

void qmatmul_fill_avx512vnni(struct kernels *k)
{
    (void)k;
}

#endif
