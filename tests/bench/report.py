"""From the figures of bench.py, quality.py and serving.py to the tables that people read.

Medians over the rounds; a ratio is above 1 where lfmd is better. The spread beside a figure is half of what lies
between the slowest and the fastest round, in per cent of the median. What stands between the two marks of RESULTS.md
was written by a person and is kept; the part of serving.py has marks of its own, so that neither benchmark touches
what the other wrote.
"""
import json
import os
import statistics

BEGIN, END = "<!-- written by hand: begin -->", "<!-- written by hand: end -->"
BEGIN_SERVING, END_SERVING = "<!-- make bench-serving: begin -->", "<!-- make bench-serving: end -->"
BY_HAND = "## What stands in the way\n\nNothing has been written yet."

FOUR_BIT = {"decode_1": (1.2, 1.4), "decode_8": (1.8, 2.5), "decode_16": (2.5, 4.0), "decode_32": (2.5, 4.0),
            "prefill": (2.0, 3.0)}
WIDE = {"decode_1": (1.1, 1.3), "decode_8": (1.1, 1.3), "decode_16": (1.1, 1.3), "decode_32": (1.1, 1.3),
        "prefill": (1.3, 2.0)}
NAMES = {"prefill": "prefill, 512 tokens", "decode_1": "decode, 1 stream"}


def targets(quant):
    return FOUR_BIT if quant.startswith("q4") else WIDE


def median(rounds, key):
    values = [r[key] for r in rounds if key in r]
    return statistics.median(values) if values else None


def spread(rounds, key):
    values = [r[key] for r in rounds if key in r]
    if len(values) < 2:
        return ""
    return f" ±{50 * (max(values) - min(values)) / statistics.median(values):.0f}%"


def figure(rounds, key, unit):
    value = median(rounds, key)
    if value is None:
        return "-"
    digits = 2 if value < 10 else 1
    return f"{value:.{digits}f} {unit}{spread(rounds, key)}"


def verdict(ratio, least, aim):
    if ratio is None:
        return "not measured"
    if ratio >= aim:
        return "aim met"
    if ratio >= least:
        return "met"
    return f"short by {100 * (1 - ratio / least):.0f} %"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def speed_rows(entry, quant):
    ours, theirs = entry["rounds"]["lfmd"], entry["rounds"]["peer"]
    keys = sorted({k for r in ours + theirs for k in r if k.startswith("decode_")}, key=lambda k: int(k[7:]))
    for key in keys + ["prefill"]:
        a, b = median(ours, key), median(theirs, key)
        ratio = a / b if a and b else None
        least, aim = targets(quant)[key]
        name = NAMES.get(key, f"decode, {key[7:]} streams")
        yield row(name, figure(ours, key, "tok/s"), figure(theirs, key, "tok/s"), f"{ratio:.2f}x" if ratio else "-",
                  f"{least:g}x / {aim:g}x", verdict(ratio, least, aim))


def start_row(entry):
    ours, theirs = entry["rounds"]["lfmd"], entry["rounds"]["peer"]
    a, b = median(ours, "first_answer_s"), median(theirs, "first_answer_s")
    ratio = b / a if a and b else None
    return row("start to first answer", figure(ours, "first_answer_s", "s"), figure(theirs, "first_answer_s", "s"),
               f"{ratio:.2f}x" if ratio else "-", "1x / 2x", verdict(ratio, 1.0, 2.0))


def gigabytes(rounds, key):
    values = [r["peak"][key] for r in rounds]
    return statistics.median(values) / 1e9 if values else None


def memory_rows(entry, kv_bytes):
    ours, theirs = entry["rounds"]["lfmd"], entry["rounds"]["peer"]
    limit = (entry["bytes"] + kv_bytes) * 1.1 / 1e9
    names = {"VmHWM": "peak resident memory", "RssAnon": "of it anonymous, at the end",
             "RssFile": "of it file pages, at the end"}
    for key, name in names.items():
        a, b = gigabytes(ours, key), gigabytes(theirs, key)
        is_peak = key == "VmHWM"
        says = "not measured" if a is None else "met" if a <= limit else f"over by {100 * (a / limit - 1):.0f} %"
        yield row(name, *(f"{x:.2f} GB" if x is not None else "-" for x in (a, b)),
                  f"{b / a:.2f}x" if a and b else "-", f"{limit:.2f} GB" if is_peak else "", says if is_peak else "")


def bandwidth_line(entry, machine):
    speed, limit = median(entry["rounds"]["lfmd"], "decode_1"), machine["read_gb_s"]
    if not speed or not limit:
        return ""
    rate = speed * entry["bytes_a_token"] / 1e9
    return (f"One stream of lfmd reads {entry['bytes_a_token'] / 1e9:.2f} GB a token, so {rate:.1f} GB/s: "
            f"{100 * rate / limit:.0f} % of the {limit:.1f} GB/s that this machine reads.\n")


def file_section(quant, result):
    entry = result["files"][quant]
    ours, theirs = entry["rounds"]["lfmd"], entry["rounds"]["peer"]
    yield f"### {quant}: {entry['bytes'] / 1e9:.2f} GB, rounds {len(ours)} and {len(theirs)}\n"
    if ours or theirs:
        yield row("", "lfmd", "llama.cpp", "ratio", "at least / aim", "")
        yield row(*["---"] * 6)
        yield from speed_rows(entry, quant)
        yield start_row(entry)
        yield from memory_rows(entry, result["kv_bytes"])
        yield ""
        yield bandwidth_line(entry, result["machine"])
    for trouble in dict.fromkeys(entry["troubles"]):
        yield "* " + " ".join(trouble.split()) + "\n"


def divergence(q):
    return f"{q['kl']:.5f} ({q['kl_median']:.5f})"


def quality_verdict(q):
    more = q["lfmd"]["kl"] - q["peer"]["kl"]
    error = q["kl_difference_error"]
    kl = "KL met" if more <= 0 else f"KL over by {more:.5f} ±{error:.5f}"
    less = q["peer"]["agreement"] - q["lfmd"]["agreement"]
    return kl + (", agreement met" if less <= 0 else f", agreement short by {round(less * q['positions'])} positions")


def quality_section(quality):
    if not quality:
        return
    yield "## Quality\n"
    yield quality["text"] + "\n"
    yield row("file, positions", "mean KL (median): lfmd", "llama.cpp", "agreement: lfmd", "llama.cpp", "")
    yield row(*["---"] * 6)
    for name, q in quality["files"].items():
        yield row(f"{name}, {q['positions']}", divergence(q["lfmd"]), divergence(q["peer"]),
                  f"{100 * q['lfmd']['agreement']:.2f} %", f"{100 * q['peer']['agreement']:.2f} %",
                  quality_verdict(q))
    yield ""


def machine_lines(result):
    yield row("", "")
    yield row("---", "---")
    yield row("date", result["date"])
    yield row("command", f"`{result['command']}`")
    yield from place_lines(result)
    plan = ", ".join(f"{n} x {t}" for n, t in result["plan"].items())
    yield row("streams x tokens", f"{plan}; prompts of 16 tokens, top_k 40, over HTTP")
    for line in result.get("kernels_chosen") or []:
        yield row("lfmd says", line.replace("|", "/"))
    yield ""


def place_lines(result):
    """Where it was measured, and what."""
    m = result["machine"]
    yield row("machine", f"{m['cpu']}, {m['cores']} CPUs, {m['memory_bytes'] / 1e9:.0f} GB, {m['system']}")
    yield row("instruction sets", " ".join(m["flags"]))
    yield row("limits", "; ".join(" ".join(x.split()) for x in m["limits"].splitlines()))
    yield row("load before", f"{m['load']:.2f}")
    yield row("lfmd", result["commit"])
    if result["peer_version"]:
        yield row("peer", f"llama.cpp {result['peer_version']}, from llama-cpp-python, built here with GGML_NATIVE")
    yield row("threads", f"{result['threads']} each")


def render(result, quality, by_hand, serving):
    lines = ["# Results: lfmd beside llama.cpp\n",
             f"Written by `{result['command']}`; what each number means is in README.md here. Random weights in the "
             f"shape \"{result['shape']}\". Medians, with half the range of the rounds as ±.\n"]
    lines += machine_lines(result)
    lines += [BEGIN, "", by_hand, "", END, ""]
    lines += [BEGIN_SERVING, "", serving, "", END_SERVING, ""] if serving else []
    lines += ["## Side by side\n"]
    for quant in result["files"]:
        lines += file_section(quant, result)
    lines += quality_section(quality)
    if result.get("kernels"):
        lines += ["## The kernels alone\n"]
        for name, text in result["kernels"].items():
            lines += [f"`{name} --bench`\n", "```", text, "```", ""]
    return "\n".join(lines)


def load(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def kept(path, begin, end, otherwise):
    """What stands between two marks of the file."""
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        return otherwise
    if begin not in text or end not in text:
        return otherwise
    return text.split(begin, 1)[1].split(end, 1)[0].strip()


def write(cache, form, path):
    """The table of the last run of `form`; the full one becomes RESULTS.md.  Returns the text."""
    result = load(os.path.join(cache, f"results-{form}.json"))
    if result is None:
        return f"no results of the {form} form in {cache}"
    text = render(result, load(os.path.join(cache, "quality.json")), kept(path, BEGIN, END, BY_HAND),
                  kept(path, BEGIN_SERVING, END_SERVING, ""))
    if form == "full":
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.rstrip() + "\n")
    return text
