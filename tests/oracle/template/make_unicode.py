"""Writes model/template/unicode_class.c and unicode_case.c, argument: that
folder, from Python's unicodedata."""
import sys


def ranges(test):
    out = []
    for cp in range(0x110000):
        if 0xD800 <= cp < 0xE000 or not test(chr(cp)):
            continue
        if out and out[-1][1] == cp - 1:
            out[-1][1] = cp
        else:
            out.append([cp, cp])
    return out


def cases(fn):
    """Runs of (first, last, step, delta), and mappings to several."""
    runs, special = [], []
    for cp in range(0x110000):
        if 0xD800 <= cp < 0xE000:
            continue
        to = fn(chr(cp))
        if to == chr(cp):
            continue
        if len(to) > 1:
            special.append((cp, [ord(c) for c in to]))
            continue
        delta = ord(to) - cp
        if runs and runs[-1][3] == delta and cp > runs[-1][1]:
            first, last, step, _ = runs[-1]
            gap = cp - last
            if gap <= 2 and (step == gap or first == last):
                runs[-1][1], runs[-1][2] = cp, gap
                continue
        runs.append([cp, cp, 1, delta])
    return runs, special


def emit(lines, items):
    row = "   "
    for item in items:
        if len(row) + len(item) + 1 > 79:
            lines.append(row)
            row = "   "
        row += " " + item
    lines.append(row)
    lines.append("};")
    lines.append("")


def head(name):
    return [
        f"/* {name} -- made by tests/oracle/template/make_unicode.py from",
        " * Python's unicodedata; do not edit. */",
        '#include "model/template/unicode.h"',
        "",
    ]


def save(folder, name, out):
    with open(f"{folder}/{name}", "w") as f:
        f.write("\n".join(out) + "\n")


def main(folder):
    out = head("unicode_class.c")
    classes = [
        ("alpha", str.isalpha),
        ("digit", str.isdigit),
        ("numeric", str.isnumeric),
        ("upper", str.isupper),
        ("lower", str.islower),
        ("cased", lambda c: c.isupper() or c.islower() or c.istitle()),
        ("printable", str.isprintable),
    ]
    sizes = []
    for name, test in classes:
        rs = ranges(test)
        out.append(f"static const struct unicode_range {name}[] = {{")
        emit(out, [f"{{{a}, {b}}}," for a, b in rs])
        sizes.append((name, len(rs)))
    out.append("const struct unicode_class unicode_classes[] = {")
    for name, n in sizes:
        out.append(f"    {{{name}, {n}}},")
    out.append("};")
    save(folder, "unicode_class.c", out)
    out = head("unicode_case.c")
    table = []
    for name, fn in (("to_upper", str.upper), ("to_lower", str.lower),
                     ("to_title", lambda c: c.title())):
        runs, special = cases(fn)
        out.append(f"static const struct unicode_run {name}[] = {{")
        emit(out, ["{%d, %d, %d, %d}," % tuple(r) for r in runs])
        out.append(f"static const struct unicode_many {name}_many[] = {{")
        emit(out, ["{%#x, {%s}}," % (cp, ", ".join("%#x" % c for c in to))
                   for cp, to in special])
        table.append((name, len(runs), len(special)))
    out.append("const struct unicode_case unicode_cases[] = {")
    for name, n, m in table:
        out.append(f"    {{{name}, {n}, {name}_many, {m}}},")
    out.append("};")
    save(folder, "unicode_case.c", out)


main(sys.argv[1])
