/* arith.c -- Python's arithmetic on 64-bit integers, floats, text and lists. */
#include <math.h>

#include "model/template/eval.h"

static int refuse(struct eval *e, struct value a, struct value b)
{
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return eval_undefined(e, a.kind == VALUE_UNDEFINED ? a : b);
    return eval_fail(e, ERR_INVALID, "the operator does not work on %s and %s",
                     value_type_name(a), value_type_name(b));
}

static int overflow(struct eval *e)
{
    return eval_fail(e, ERR_INVALID, "an integer overflows 64 bits");
}

static int by_zero(struct eval *e)
{
    return eval_fail(e, ERR_INVALID, "division by zero");
}

static int int_pow(struct eval *e, int64_t a, int64_t n, struct value *out)
{
    int64_t r = 1;
    if (n < 0) {
        if (a == 0)
            return by_zero(e);
        *out = value_float(pow((double)a, (double)n));
        return 0;
    }
    while (n > 0) {
        if ((n & 1) != 0 && __builtin_mul_overflow(r, a, &r))
            return overflow(e);
        n >>= 1;
        if (n > 0 && __builtin_mul_overflow(a, a, &a))
            return overflow(e);
    }
    *out = value_int(r);
    return 0;
}

static int ints(struct eval *e, enum op op, int64_t a, int64_t b,
                struct value *out)
{
    int64_t r = 0;
    bool bad = false;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
        return by_zero(e);
    switch (op) {
    case OP_ADD:
        bad = __builtin_add_overflow(a, b, &r);
        break;
    case OP_SUB:
        bad = __builtin_sub_overflow(a, b, &r);
        break;
    case OP_MUL:
        bad = __builtin_mul_overflow(a, b, &r);
        break;
    case OP_DIV:
        *out = value_float((double)a / (double)b);
        return 0;
    case OP_FLOORDIV:
        bad = a == INT64_MIN && b == -1;
        if (!bad)
            r = a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case OP_MOD:
        r = b == -1 ? 0 : a % b;
        if (r != 0 && (r < 0) != (b < 0))
            r += b;
        break;
    default:
        return int_pow(e, a, b, out);
    }
    if (bad)
        return overflow(e);
    *out = value_int(r);
    return 0;
}

static double float_mod(double a, double b)
{
    double r = fmod(a, b);
    if (r != 0 && (r < 0) != (b < 0))
        return r + b;
    return r == 0 ? copysign(0.0, b) : r;
}

static int floats(struct eval *e, enum op op, double a, double b,
                  struct value *out)
{
    double r;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
        return by_zero(e);
    switch (op) {
    case OP_ADD:
        r = a + b;
        break;
    case OP_SUB:
        r = a - b;
        break;
    case OP_MUL:
        r = a * b;
        break;
    case OP_DIV:
        r = a / b;
        break;
    case OP_FLOORDIV: {
        double mod = float_mod(a, b), q = (a - mod) / b, f = floor(q);
        r = q - f > 0.5 ? f + 1 : f;
        break;
    }
    case OP_MOD:
        r = float_mod(a, b);
        break;
    default:
        if (a == 0 && b < 0)
            return by_zero(e);
        if (a < 0 && floor(b) != b && isfinite(a) && isfinite(b))
            return eval_fail(e, ERR_INVALID, "the power is not a real number");
        r = pow(a, b);
        if (isinf(r) && isfinite(a) && isfinite(b))
            return eval_fail(e, ERR_INVALID, "a float overflows");
    }
    *out = value_float(r);
    return 0;
}

/* text * n and list * n. */
static int repeat(struct eval *e, struct value v, int64_t times,
                  struct value *out)
{
    size_t unit =
        v.kind == VALUE_STR ? v.u.str->n : v.u.seq->n * sizeof(struct value);
    size_t bytes;
    if (times < 0 || unit == 0)
        times = 0;
    if (__builtin_mul_overflow(unit, (size_t)times, &bytes) ||
        bytes > e->limits.memory_bytes)
        return eval_nomem(e);
    int rc = eval_steps(e, bytes);
    if (rc != 0)
        return rc;
    if (v.kind == VALUE_STR) {
        struct buf b;
        buf_init(&b, 0);
        for (int64_t i = 0; i < times && buf_ok(&b); i++)
            buf_put(&b, v.u.str->s, v.u.str->n);
        return make_str_buf(e, &b, out);
    }
    struct list l = {0};
    for (int64_t i = 0; i < times; i++)
        for (size_t k = 0; k < v.u.seq->n; k++)
            if ((rc = list_add(e, &l, v.u.seq->items[k])) != 0)
                return rc;
    return make_seq(e, l.items, l.n, (enum seq_kind)v.sub, out);
}

static bool repeats(struct value v)
{
    return v.kind == VALUE_STR || (v.kind == VALUE_SEQ && v.sub <= SEQ_TUPLE);
}

int eval_binary(struct eval *e, enum op op, struct value a, struct value b,
                struct value *out)
{
    int64_t i, j;
    double f, g;
    bool ia = value_as_int(a, &i), ib = value_as_int(b, &j);
    if (ia && ib)
        return ints(e, op, i, j, out);
    if (value_as_float(a, &f) && value_as_float(b, &g))
        return floats(e, op, f, g, out);
    if (op == OP_ADD && a.kind == VALUE_STR && b.kind == VALUE_STR)
        return value_join(e, a, b, out);
    if (op == OP_ADD && repeats(a) && a.kind == b.kind && a.sub == b.sub)
        return seq_concat(e, a.u.seq, b.u.seq, (enum seq_kind)a.sub, out);
    if (op == OP_MUL && repeats(a) && ib)
        return repeat(e, a, j, out);
    if (op == OP_MUL && repeats(b) && ia)
        return repeat(e, b, i, out);
    if (op == OP_MOD && a.kind == VALUE_STR)
        return format_percent(e, a.u.str, b, out);
    return refuse(e, a, b);
}
