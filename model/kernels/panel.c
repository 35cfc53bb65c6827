/* panel.c -- from rows of file blocks to panels, and one row back.
 *
 * A file block is first spread into 32 plain integers per row and then laid out
 * by one rule for all formats: so a new file format is one `spread` function.
 *
 * Any thread. */
#include "model/kernels/panel.h"

#include <assert.h>
#include <string.h>

#include "model/kernels/qmatmul_formats.h"
#include "model/kernels/widen.h"

#define ROWS PANEL_ROWS
#define BLOCK PANEL_BLOCK
#define SUPER_BLOCKS 8u

/* ---- sizes ------------------------------------------------------------- */

#define FORMAT(name, suffix, bits, scales, zero) \
    [DTYPE_##name] = {bits, scales, zero},

static const struct panel_format formats[N_DTYPES] = {PANEL_FORMATS(FORMAT)};

struct panel_format panel_format(enum dtype t)
{
    assert(dtype_is_quantised(t));
    return formats[t];
}

size_t panel_block_bytes(enum dtype t)
{
    return (size_t)ROWS * BLOCK * formats[t].bits / 8;
}

/* Of one block, or of one super block. */
static size_t scale_unit_bytes(enum panel_scales s)
{
    static const size_t bytes[] = {
        [SCALES_D] = 2 * ROWS,
        [SCALES_DM] = 4 * ROWS,
        [SCALES_K] = 4 * ROWS + SUPER_BLOCKS * 2 * ROWS,
        [SCALES_K6] = 2 * ROWS + SUPER_BLOCKS * 2 * ROWS,
    };
    return bytes[s];
}

size_t panel_scale_bytes(enum dtype t, uint32_t cols)
{
    enum panel_scales s = formats[t].scales;
    size_t units = cols / (s >= SCALES_K ? PANEL_SUPER : BLOCK);
    return (units * scale_unit_bytes(s) + 63) / 64 * 64;
}

size_t panel_bytes(enum dtype t, uint32_t cols)
{
    return panel_scale_bytes(t, cols) + cols / BLOCK * panel_block_bytes(t);
}

size_t panel_matrix_bytes(enum dtype t, uint32_t rows, uint32_t cols)
{
    size_t n;
    if (__builtin_mul_overflow(panel_bytes(t, cols), panel_count(rows), &n))
        return 0;
    return n;
}

/* ---- one block of one row ---------------------------------------------- */

/* 32 values as they come, 8 in a word, the first lowest: w = d * (q - zero), or
 * with two numbers.  Words, because loading is as fast as this is. */
struct spread {
    uint64_t q[BLOCK / 8];
};

#define EACH_BYTE(x) (0x0101010101010101u * (uint64_t)(x))

static uint16_t load_half(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static void spread_nibbles(struct spread *s, const uint8_t *qs)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t both = load_word(qs + (size_t)8 * i);
        s->q[i] = both & EACH_BYTE(15);
        s->q[i + 2] = both >> 4 & EACH_BYTE(15);
    }
}

/* Bit i of the byte becomes bit 4 of byte i: one of its bits is left in each
 * copy, and carries into bit 7 where it is set. */
static uint64_t fifth_bits(uint8_t bits)
{
    uint64_t one_each = EACH_BYTE(bits) & 0x8040201008040201u;
    return (one_each + EACH_BYTE(0x7F)) >> 3 & EACH_BYTE(16);
}

static void add_fifth_bits(struct spread *s, const uint8_t *qh)
{
    for (uint32_t i = 0; i < 4; i++)
        s->q[i] |= fifth_bits(qh[i]);
}

/* Blocks of 32 with their own d, and m where the format has one. */
static void spread_small(struct spread *s, enum dtype t, const uint8_t *block)
{
    switch (t) {
    case DTYPE_Q4_0:
        spread_nibbles(s, block + 2);
        break;
    case DTYPE_Q4_1:
        spread_nibbles(s, block + 4);
        break;
    case DTYPE_Q5_0:
        spread_nibbles(s, block + 6);
        add_fifth_bits(s, block + 2);
        break;
    case DTYPE_Q5_1:
        spread_nibbles(s, block + 8);
        add_fifth_bits(s, block + 4);
        break;
    default: /* DTYPE_Q8_0 */
        for (uint32_t i = 0; i < 4; i++)
            s->q[i] = load_word(block + 2 + (size_t)8 * i) ^ EACH_BYTE(0x80);
    }
}

/* Block b of a super block. */
static void spread_k(struct spread *s, enum dtype t, const uint8_t *super,
                     uint32_t b)
{
    bool five = t == DTYPE_Q5_K;
    const uint8_t *qh = super + 16;
    const uint8_t *qs = super + (five ? 48 : 16) + (size_t)b / 2 * 32;
    for (uint32_t i = 0; i < 4; i++) {
        size_t at = (size_t)8 * i;
        s->q[i] = load_word(qs + at) >> b % 2 * 4 & EACH_BYTE(15);
        if (five)
            s->q[i] |= (load_word(qh + at) >> b & EACH_BYTE(1)) << 4;
    }
}

static void spread_k6(struct spread *s, const uint8_t *super, uint32_t b)
{
    const uint8_t *ql = super + (size_t)b / 4 * 64 + b % 2 * 32;
    const uint8_t *qh = super + 128 + (size_t)b / 4 * 32;
    for (uint32_t i = 0; i < 4; i++) {
        size_t at = (size_t)8 * i;
        uint64_t low = load_word(ql + at) >> b % 4 / 2 * 4 & EACH_BYTE(15);
        uint64_t high = load_word(qh + at) >> b % 4 * 2 & EACH_BYTE(3);
        s->q[i] = low | high << 4;
    }
}

/* The 6-bit scale and minimum of block b, packed into 12 bytes. */
static void unpack_k_scale(const uint8_t *s, uint32_t b, uint8_t *sc,
                           uint8_t *m)
{
    if (b < 4) {
        *sc = s[b] & 63;
        *m = s[b + 4] & 63;
    } else {
        *sc = (uint8_t)((s[b + 4] & 15) | s[b - 4] >> 6 << 4);
        *m = (uint8_t)(s[b + 4] >> 4 | s[b] >> 6 << 4);
    }
}

/* ---- laying out -------------------------------------------------------- */

/* Two groups, 4 bytes each, of row r. */
static void put_groups(uint8_t *block, uint32_t group, uint32_t r,
                       uint64_t both)
{
    uint32_t first = (uint32_t)both, second = (uint32_t)(both >> 32);
    uint8_t *at = block + (size_t)group * ROWS * 4 + (size_t)r * 4;
    memcpy(at, &first, sizeof first);
    memcpy(at + (size_t)ROWS * 4, &second, sizeof second);
}

/* Row r of one block of 16 rows. */
static void lay(uint8_t *block, uint32_t bits, uint32_t r,
                const struct spread *s)
{
    const uint64_t *q = s->q;
    if (bits == 8) {
        for (uint32_t i = 0; i < 4; i++)
            put_groups(block, 2 * i, r, q[i]);
        return;
    }
    for (uint32_t i = 0; i < 2; i++)
        put_groups(block, 2 * i, r,
                   (q[i] & EACH_BYTE(15)) | (q[i + 2] & EACH_BYTE(15)) << 4);
    if (bits != 6)
        return;
    block += (size_t)4 * ROWS * 4;
    for (uint32_t h = 0; h < 2; h++) {
        uint64_t low = q[h] >> 4 & EACH_BYTE(3);
        uint64_t high = q[h + 2] >> 4 & EACH_BYTE(3);
        uint64_t both = low | high << 2;
        uint32_t word = (uint32_t)(both | both >> 32 << 4);
        memcpy(block + (size_t)h * ROWS * 4 + (size_t)r * 4, &word,
               sizeof word);
    }
}

static void put_half(uint8_t *at, uint32_t r, uint16_t half)
{
    at[2 * r] = (uint8_t)half;
    at[2 * r + 1] = (uint8_t)(half >> 8);
}

/* One row into its panel. */
static void pack_small_row(uint8_t *scales, uint8_t *blocks, enum dtype t,
                           uint32_t r, const uint8_t *src, uint32_t n_blocks)
{
    struct panel_format f = formats[t];
    size_t unit = scale_unit_bytes(f.scales);
    for (uint32_t b = 0; b < n_blocks; b++) {
        struct spread s;
        spread_small(&s, t, src);
        lay(blocks + b * panel_block_bytes(t), f.bits, r, &s);
        put_half(scales + b * unit, r, load_half(src));
        if (f.scales == SCALES_DM)
            put_half(scales + b * unit + 2 * ROWS, r, load_half(src + 2));
        src += dtype_block_bytes(t);
    }
}

static void pack_super_row(uint8_t *scales, uint8_t *blocks, enum dtype t,
                           uint32_t r, const uint8_t *src, uint32_t n_blocks)
{
    struct panel_format f = formats[t];
    bool k6 = f.scales == SCALES_K6;
    size_t unit = scale_unit_bytes(f.scales);
    for (uint32_t b = 0; b < n_blocks; b++) {
        const uint8_t *super = src + b / SUPER_BLOCKS * dtype_block_bytes(t);
        uint8_t *at = scales + b / SUPER_BLOCKS * unit;
        uint8_t *own = at + (k6 ? 2 : 4) * ROWS;
        uint32_t in = b % SUPER_BLOCKS;
        struct spread s;
        own += (size_t)in * 2 * ROWS;
        if (k6) {
            spread_k6(&s, super, in);
            put_half(at, r, load_half(super + 208));
            own[r] = super[192 + in * 2];
            own[ROWS + r] = super[192 + in * 2 + 1];
        } else {
            spread_k(&s, t, super, in);
            put_half(at, r, load_half(super));
            put_half(at + 2 * ROWS, r, load_half(super + 2));
            unpack_k_scale(super + 4, in, &own[r], &own[ROWS + r]);
        }
        lay(blocks + b * panel_block_bytes(t), f.bits, r, &s);
    }
}

void panel_pack(void *dst, const void *src, enum dtype t, uint32_t rows,
                uint32_t cols, uint32_t p0, uint32_t p1)
{
    size_t row_bytes =
        (size_t)cols / dtype_block_values(t) * dtype_block_bytes(t);
    size_t each = panel_bytes(t, cols);
    for (uint32_t p = p0; p < p1; p++) {
        uint8_t *scales = (uint8_t *)dst + p * each;
        uint8_t *blocks = scales + panel_scale_bytes(t, cols);
        uint32_t row = p * ROWS;
        uint32_t n = rows - row < ROWS ? rows - row : ROWS;
        memset(scales, 0, n < ROWS ? each : panel_scale_bytes(t, cols));
        for (uint32_t r = 0; r < n; r++) {
            const uint8_t *at = (const uint8_t *)src + (row + r) * row_bytes;
            if (formats[t].scales >= SCALES_K)
                pack_super_row(scales, blocks, t, r, at, cols / BLOCK);
            else
                pack_small_row(scales, blocks, t, r, at, cols / BLOCK);
        }
    }
}

/* ---- one row back ------------------------------------------------------ */

static uint8_t q_at(const uint8_t *block, uint32_t bits, uint32_t r, uint32_t k)
{
    uint32_t g = k / 4, at = r * 4 + k % 4;
    if (bits == 8)
        return block[g * ROWS * 4 + at];
    unsigned q = (unsigned)block[g % 4 * ROWS * 4 + at] >> g / 4 * 4 & 15;
    const uint8_t *high = block + 4 * ROWS * 4 + g % 4 / 2 * ROWS * 4;
    if (bits == 6)
        q |= ((unsigned)high[at] >> (g % 2 * 4 + g / 4 * 2) & 3) << 4;
    return (uint8_t)q;
}

static float half_at(const uint8_t *p, uint32_t r)
{
    return f16_widen(load_half(p + 2 * r));
}

static void read_scales(struct panel_values *v, const uint8_t *scales,
                        enum panel_scales kind, uint32_t b, uint32_t r)
{
    bool super = kind >= SCALES_K;
    const uint8_t *at =
        scales + scale_unit_bytes(kind) * (super ? b / SUPER_BLOCKS : b);
    const uint8_t *own = at + (size_t)(b % SUPER_BLOCKS) * 2 * ROWS + r;
    v->s[0] = v->s[1] = half_at(at, r);
    v->m = 0;
    if (kind == SCALES_DM) {
        v->m = -half_at(at + 2 * ROWS, r);
    } else if (kind == SCALES_K) {
        own += 4 * ROWS;
        v->m = half_at(at + 2 * ROWS, r) * (float)own[ROWS];
        v->s[0] = v->s[1] *= (float)own[0];
    } else if (kind == SCALES_K6) {
        own += 2 * ROWS;
        v->s[0] *= (float)(int8_t)own[0];
        v->s[1] *= (float)(int8_t)own[ROWS];
    }
}

void panel_read(struct panel_values *v, const void *panel, enum dtype t,
                uint32_t cols, uint32_t r, uint32_t b)
{
    struct panel_format f = formats[t];
    const uint8_t *block = (const uint8_t *)panel + panel_scale_bytes(t, cols) +
                           b * panel_block_bytes(t);
    read_scales(v, panel, f.scales, b, r);
    for (uint32_t k = 0; k < BLOCK; k++)
        v->q[k] = (int16_t)(q_at(block, f.bits, r, k) - (int)f.zero);
}

void panel_row(float *dst, struct matrix w, uint32_t r)
{
    const void *panel = panel_at(w, r / ROWS * ROWS);
    for (uint32_t b = 0; b < w.cols / BLOCK; b++, dst += BLOCK) {
        struct panel_values v;
        panel_read(&v, panel, w.dtype, w.cols, r % ROWS, b);
        for (uint32_t k = 0; k < BLOCK; k++)
            dst[k] = v.s[k / 16] * (float)v.q[k] - v.m;
    }
}
