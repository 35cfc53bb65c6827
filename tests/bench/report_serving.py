"""From the figures of serving.py to the table of issue 5's bars, between marks of its own in RESULTS.md.

Medians over the rounds, ± half the range. A verdict is on lfmd; the peer's figure stands beside it.
"""
import os

from report import BEGIN_SERVING, END, END_SERVING, load, median, place_lines, row, spread

WHAT = """\
Every request is streamed over HTTP, its prompt is token ids, the same for both; both have 16 places and room for 32,768
tokens. The peer's prompt caches are on, as it has them by default. "Largest gap": over all four streams, of every
gap that reaches into the newcomer's wait; the median before is of the 64 tokens of each stream just before it came.
The newcomer's bar: 1.5 x its TTFT alone (as many other tokens, same round) + what the four streams received meanwhile,
a quarter of it, x the median gap before. ± needs two rounds."""
BEYOND = {"turn": "next turn of a chat", "branch": "a branch of its first answer", "retry": "a retry of its first turn"}


def figure(rounds, key, unit, digits):
    value = median(rounds, key)
    return "-" if value is None else f"{value:.{digits}f}{unit}{spread(rounds, key)}"


def at_most(value, bar):
    if value is None:
        return "not measured"
    return "met" if value <= bar else f"over by {100 * (value / bar - 1):.0f} %"


class Table:
    """Rows of what was measured; a scenario that was not run has none."""

    def __init__(self, result):
        self.ours, self.theirs = result["rounds"].get("lfmd", []), result["rounds"].get("peer", [])

    def has(self, key):
        return any(key in r for r in self.ours + self.theirs)

    def line(self, name, key, unit="", digits=2, bar="", verdict=""):
        return row(name, bar, figure(self.ours, key, unit, digits), figure(self.theirs, key, unit, digits), verdict)

    def shared(self):
        yield self.line("**1** TTFT of 702 tokens, cold", "cold_s", " s")
        yield self.line("TTFT, 670 of 702 tokens known", "hit_s", " s")
        yield self.line("the second by the first", "hit_ratio", "", 3, "at most 1/12 (0.083)",
                        at_most(median(self.ours, "hit_ratio"), 1 / 12))
        yield self.line("prompt tokens computed of 702", "hit_computed", "", 0)

    def chat(self):
        yield self.line("**2** TTFT of 640 tokens, first turn", "first_s", " s")
        for name, words in BEYOND.items():
            yield self.line(f"{words}: computed beyond the new", f"{name}_beyond", "", 0, "at most 64",
                            at_most(median(self.ours, f"{name}_beyond"), 64))
            yield self.line(f"{words}: TTFT", f"{name}_s", " s")

    def arrival(self):
        yield self.line("**3** median gap of 4 streams, before", "gap_before_ms", " ms", 1)
        yield self.line("median gap while 4,000 tokens arrive", "gap_during_ms", " ms", 1)
        yield self.line("of a hundred gaps meanwhile, the largest (p99)", "gap_p99_ms", " ms", 1)
        yield self.line("largest gap meanwhile", "gap_max_ms", " ms", 1)
        yield self.line("it began so long after the request", "gap_max_at_s", " s")
        yield self.line("largest gap by the median before", "gap_ratio", "x", 2, "at most 4x",
                        at_most(median(self.ours, "gap_ratio"), 4))
        yield self.line("largest gap by the median meanwhile", "gap_ratio_during", "x")
        yield self.line("TTFT of 4,000 tokens alone", "alone_s", " s")
        yield self.line("TTFT of 4,000 tokens, newcomer", "newcomer_s", " s")
        yield self.line("tokens the streams received meanwhile", "wait_tokens", "", 0)
        yield self.line("the decodes' share of the wait", "share_s", " s")
        yield self.line("1.5 x alone + the decodes' share", "limit_s", " s")
        yield self.line("the wait by that", "newcomer_ratio", "x", 2, "at most 1x",
                        at_most(median(self.ours, "newcomer_ratio"), 1))

    def crowd(self):
        ours, theirs = median(self.ours, "crowd_tok_s"), median(self.theirs, "crowd_tok_s")
        ratio = ours / theirs if ours and theirs else None
        verdict = ("not measured" if ratio is None else f"{ratio:.2f}x, met" if ratio >= 2 else
                   f"{ratio:.2f}x, short by {100 * (1 - ratio / 2):.0f} %")
        yield self.line("**4** 16 x (87 + 32 tokens): wall", "wall_s", " s")
        yield self.line("generated tokens/s over the wall", "crowd_tok_s", "", 1, "2x the peer's", verdict)
        yield self.line("mean TTFT", "crowd_ttft_s", " s")

    def rows(self):
        yield row("", "bar", "lfmd", "llama.cpp", "")
        yield row(*["---"] * 5)
        for key, part in (("cold_s", self.shared), ("first_s", self.chat), ("alone_s", self.arrival),
                          ("wall_s", self.crowd)):
            if self.has(key):
                yield from part()
        yield ""

    def cross_check(self):
        """/metrics of lfmd beside what usage told, over all rounds."""
        for n in (1, 2, 3, 4):
            def total(key):
                return sum(r.get(key, 0) for r in self.ours)
            if not self.has(f"metrics_{n}_queries"):
                continue
            hits, usage = total(f"metrics_{n}_hits"), total(f"usage_{n}_cached")
            yield (f"* Scenario {n}, lfmd's /metrics over all rounds: {hits:.0f} of {total(f'metrics_{n}_queries'):.0f} "
                   f"queried tokens were hits, {total(f'metrics_{n}_preemptions'):.0f} preemptions; usage told "
                   f"{usage:.0f} cached{'' if hits == usage else ': they DIFFER'}.")
        yield ""


def render(result):
    table = Table(result)
    peer_long = sum("alone_s" in r for r in table.theirs)
    lines = ["## The scheduler and the prefix cache\n", f"Written by `{result['command']}`. {WHAT}\n", row("", ""),
             row("---", "---"), row("date", result["date"]), *place_lines(result),
             row("file", f"{result['file']}, {result['bytes'] / 1e9:.2f} GB")]
    lines += [row(f"{kind} as started", f"`{words}`") for kind, words in result["commands"].items()]
    lines += [row("rounds", f"lfmd {len(table.ours)}, peer {len(table.theirs)}, scenario 3 of the peer {peer_long}"),
              "", *table.rows(), *table.cross_check()]
    lines += ["* " + " ".join(t.split()) for t in dict.fromkeys(result["troubles"])]
    return "\n".join(lines).strip()


def put(path, section):
    """Our part into RESULTS.md; where it has none yet, behind what was written by hand."""
    text = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            text = f.read()
    block = f"{BEGIN_SERVING}\n\n{section}\n\n{END_SERVING}"
    if BEGIN_SERVING in text and END_SERVING in text:
        before, rest = text.split(BEGIN_SERVING, 1)
        text = before + block + rest.split(END_SERVING, 1)[1]
    elif END in text:
        before, rest = text.split(END, 1)
        text = f"{before}{END}\n\n{block}{rest}"
    else:
        text = f"{text}\n{block}\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def write(results, path):
    """The table of the figures in the file `results`; into `path` unless it is None.  Returns the text."""
    result = load(results)
    if result is None:
        return f"there are no results in {results}"
    section = render(result)
    if path:
        put(path, section)
    return section
