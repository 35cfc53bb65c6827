"""make bench-serving: what the scheduler and the prefix cache do for users, lfmd and llama.cpp side by side.

Four scenarios over HTTP, each on both servers in turn with the same file (bench.py makes it), the same threads, the
same token ids and room for the same tokens; several rounds, medians, never both servers at once:

    1  a prompt of 702 tokens that nobody has seen, then another with the same first 670: time to first token
    2  a chat of two turns, a branch of its first answer, a retry of its first turn: prompt tokens computed
    3  four streams decode while a prompt of 4,000 tokens arrives: their gaps, and how long the newcomer waits
    4  16 users at once, 87 tokens in and 32 out: tokens a second over the wall

Prompts are ids, as the family's real templates give them: llama.cpp keeps a state of its own at the start of the last
user message where it knows a bare template, which those are not. Answers are drawn from 256 ids that are one word
each, so that each token is one event, and an answer can be told back as ids.

    python serving.py                        # all, 3 rounds; writes its part of RESULTS.md
    python serving.py --only lfmd --rounds 1 --scenario 3
    python serving.py --quick                # the small model, for trying the harness

Whatever is less than the first only prints; RESULTS.md stays as it was. Needs only the standard library.
"""
import argparse
import datetime
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

import bench
import report_serving
import serve

SLOTS, ROOM_TOKENS, CTX_TOKENS = 16, 32768, 8192
LONG_ROUNDS_OF_PEER = 1  # of scenario 3, where a prompt alone takes llama.cpp a minute or two
SHARED, TAIL, PAIRS = 670, 32, 2
TURN, ANSWER, NEW = 640, 48, 32
STREAMS, LONG, SETTLED, BEFORE = 4, 4000, 8, 64
USERS, USER_PROMPT, USER_TOKENS = 16, 87, 32
WORDS = range(3000, 3256)
FIELDS = {"cache_prompt": True, "logit_bias": {str(i): 100 for i in WORDS}}
COUNTERS = {"queries": "vllm:prefix_cache_queries_total", "hits": "vllm:prefix_cache_hits_total",
            "preemptions": "vllm:num_preemptions_total"}


def command(kind, program, model, port, threads, shape):
    """Sixteen places and ROOM_TOKENS of f16 keys and values for both; all else as their makers set it."""
    common = [program, "-m", model, "--host", "127.0.0.1", "--port", str(port), "--threads", str(threads),
              "--parallel", str(SLOTS)]
    if kind == "lfmd":
        cache = serve.KV_BYTES_A_TOKEN[shape] * ROOM_TOKENS
        return common + ["--ctx-size", str(CTX_TOKENS), "--cache-size", str(cache)]
    return common + ["--ctx-size", str(ROOM_TOKENS), "--kv-unified", "--threads-batch", str(threads), "--no-webui"]


class Reply:
    """What came of one request that has ended."""

    def __init__(self, stream, n_prompt):
        self.times = stream.tokens()
        self.ttft = self.times[0] - stream.start
        text = stream.raw.decode("utf-8", "replace")
        counted = [int(x) for x in re.findall(r'"prompt_tokens":\s*(\d+)', text)]
        if not counted or counted[-1] != n_prompt:
            raise serve.Trouble(f"the server counted {counted} prompt tokens, expected {n_prompt}")
        cached = re.findall(r'"cached_tokens":\s*(\d+)', text)
        self.cached = int(cached[-1]) if cached else 0
        self.computed = n_prompt - self.cached
        words = "".join(re.findall(r'"text":\s*"((?:[^"\\]|\\.)*)"', text))
        self.ids = [int(x) for x in re.findall(r"word(\d+)", words)]


class Driver:
    """Asks one running server, and adds up what usage says was cached."""

    def __init__(self, kind, port, scenario):
        self.kind, self.port = kind, port
        self.prompts = serve.Prompts(100 + scenario)
        self.cached = 0

    def open(self, prompt, max_tokens):
        return serve.Stream(self.port, prompt, max_tokens, **FIELDS)

    def ask_all(self, prompts, max_tokens):
        streams = serve.run_streams(self.port, prompts, max_tokens, **FIELDS)
        replies = [Reply(s, len(p)) for s, p in zip(streams, prompts)]
        self.cached += sum(r.cached for r in replies)
        return replies

    def ask(self, prompt, max_tokens=1):
        return self.ask_all([prompt], max_tokens)[0]

    def counters(self):
        """The counters of /metrics; of llama-server, whose names are others, none."""
        if self.kind != "lfmd":
            return {}
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        out = {}
        for name, metric in COUNTERS.items():
            values = re.findall(rf"^{re.escape(metric)}(?:{{[^}}]*}})?\s+(\S+)", text, re.M)
            if not values:
                raise serve.Trouble(f"/metrics has no {metric}")
            out[name] = sum(float(v) for v in values)
        return out


def shared_system(d):
    """Scenario 1. The ratio is of each pair, and the median of the pairs."""
    cold, hit, computed = [], [], []
    for _ in range(PAIRS):
        system = d.prompts.next(SHARED)
        cold.append(d.ask(system + d.prompts.next(TAIL)).ttft)
        second = d.ask(system + d.prompts.next(TAIL))
        hit.append(second.ttft)
        computed.append(second.computed)
    return {"cold_s": statistics.median(cold), "hit_s": statistics.median(hit), "hit_computed": max(computed),
            "hit_ratio": statistics.median(h / c for h, c in zip(hit, cold))}


def chat(d):
    """Scenario 2. What is new: all that no earlier request had or was answered."""
    first = d.prompts.next(TURN)
    answer = d.ask(first, ANSWER)
    if len(answer.ids) != ANSWER:
        raise serve.Trouble(f"an answer of {ANSWER} tokens has {len(answer.ids)} words, expected one each")
    out = {"first_s": answer.ttft}
    requests = {"turn": first + answer.ids + d.prompts.next(NEW),
                "branch": first + answer.ids[:ANSWER // 2] + d.prompts.next(NEW),
                "retry": first}
    for name, prompt in requests.items():
        reply = d.ask(prompt)
        out[f"{name}_s"] = reply.ttft
        out[f"{name}_beyond"] = reply.computed - (0 if name == "retry" else NEW)
    return out


def gaps(streams, begin, end):
    """(seconds between tokens, when that began) of all streams, each gap that reaches into begin..end; sorted."""
    return sorted((b - a, a) for s in streams for a, b in zip(s.stamps, s.stamps[1:]) if b > begin and a < end)


def arrival(d):
    """Scenario 3."""
    alone = d.ask(d.prompts.next(LONG))
    prompt = d.prompts.next(LONG)
    streams = [d.open(d.prompts.next(serve.SHORT_PROMPT), CTX_TOKENS // 2) for _ in range(STREAMS)]
    try:
        serve.pump(streams, until=lambda: all(len(s.stamps) > SETTLED for s in streams))
        begin = time.monotonic()
        enough = [len(s.stamps) + BEFORE for s in streams]
        serve.pump(streams, until=lambda: all(len(s.stamps) >= n for s, n in zip(streams, enough)))
        newcomer = d.open(prompt, 1)
        streams.append(newcomer)
        serve.pump(streams, until=lambda: newcomer.ended)
        reply = Reply(newcomer, LONG)
        d.cached += reply.cached
        first = reply.times[0]
        running = streams[:STREAMS]
        seen = [len(s.stamps) for s in running]  # each gap of the wait is let come to its end
        serve.pump(running, until=lambda: all(len(s.stamps) > n for s, n in zip(running, seen)))
        if any(s.ended for s in running):
            raise serve.Trouble(f"a stream of {CTX_TOKENS // 2} tokens ended before the newcomer began")
    finally:
        for s in streams:
            s.sock.close()
    before = statistics.median(gap for gap, _ in gaps(running, begin, newcomer.start))
    if before == 0:
        raise serve.Trouble("half of the tokens came together with the one before, so that gaps cannot be told: the "
                            "driver did not get to run; a real-time class makes it wait for threads that spin")
    during, starts = zip(*gaps(running, newcomer.start, first))
    got = sum(1 for s in running for at in s.stamps if newcomer.start < at <= first)
    share = got / STREAMS * before
    waited, limit = first - newcomer.start, 1.5 * alone.ttft + share
    return {"gap_before_ms": 1e3 * before, "gap_during_ms": 1e3 * statistics.median(during),
            "gap_max_ms": 1e3 * during[-1], "gap_max_at_s": starts[-1] - newcomer.start,
            "gap_p99_ms": 1e3 * during[int(0.99 * len(during))], "gap_ratio": during[-1] / before,
            "gap_ratio_during": during[-1] / statistics.median(during), "alone_s": alone.ttft, "newcomer_s": waited,
            "newcomer_ratio": waited / limit, "share_s": share, "wait_tokens": got, "limit_s": limit}


def crowd(d):
    """Scenario 4."""
    begin = time.monotonic()
    replies = d.ask_all([d.prompts.next(USER_PROMPT) for _ in range(USERS)], USER_TOKENS)
    wall = max(r.times[-1] for r in replies) - begin
    return {"wall_s": wall, "crowd_tok_s": USERS * USER_TOKENS / wall,
            "crowd_ttft_s": statistics.mean(r.ttft for r in replies)}


SCENARIOS = {1: shared_system, 2: chat, 3: arrival, 4: crowd}


def measure(kind, argv, port, log, scenarios):
    """One start of one server, and the scenarios on it."""
    out = {}
    with serve.Server(argv, port, log) as server:
        server.first_answer()
        Driver(kind, port, 0).ask(serve.Prompts(1).next(512), 8)  # pages are touched, threads have run
        for number in scenarios:
            d = Driver(kind, port, number)
            before = d.counters()
            out.update(SCENARIOS[number](d))
            after = d.counters()
            out.update({f"metrics_{number}_{k}": after[k] - before[k] for k in after})
            out[f"usage_{number}_cached"] = d.cached
            time.sleep(1)  # streams that were left are gone from the server
    return out


def one_round(result, kind, program, path, log, scenarios):
    port = serve.free_port()
    argv = command(kind, program, path, port, result["threads"], result["shape"])
    shown = [os.path.basename(argv[0])] + argv[1:]
    shown[shown.index(path)], shown[shown.index("--port") + 1] = os.path.basename(path), "PORT"
    result["commands"][kind] = " ".join(shown)
    try:
        got = measure(kind, argv, port, log, scenarios)
    except (serve.Trouble, OSError) as trouble:
        bench.say(f"{kind}: {trouble}")
        result["troubles"].append(f"{kind}: {trouble}")
        return
    result["rounds"][kind].append(got)
    bench.say("   " + "  ".join(f"{k} {v:.3g}" for k, v in got.items()))


def run(args, cache, out):
    threads = args.threads or len(os.sched_getaffinity(0))
    shape = "small" if args.quick else "8b"
    kinds = [args.only] if args.only else ["lfmd", "peer"]
    programs = {"lfmd": os.path.join(bench.BUILD, "lfmd")}
    if "peer" in kinds:
        programs["peer"] = os.path.join(bench.peer(cache), "llama-server")
    path, size, _ = bench.model_file(cache, bench.python(cache), shape, "q4_0")
    need = bench.memory_needed("q4_0", size)
    if bench.available_bytes() < need:
        raise serve.Trouble(f"{bench.available_bytes() / 1e9:.1f} GB of memory are available, expected {need / 1e9:.1f}")
    result = {
        "shape": shape, "threads": threads, "file": os.path.basename(path), "bytes": size, "troubles": [],
        "command": " ".join(["make bench-serving"] + [f'ARGS="{" ".join(sys.argv[1:])}"'] * (len(sys.argv) > 1)),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": bench.ask("git", "describe", "--always", "--dirty"), "machine": bench.machine(threads),
        "peer_version": " ".join(bench.ask(programs["peer"], "--version").split()) if "peer" in programs else "",
        "commands": {}, "rounds": {kind: [] for kind in kinds},
    }
    serve.warm(path)
    serve.rise()
    for number in range(args.rounds):
        for kind in kinds if number % 2 == 0 else kinds[::-1]:
            scenarios = [args.scenario] if args.scenario else list(SCENARIOS)
            if kind == "peer" and number >= LONG_ROUNDS_OF_PEER and 3 in scenarios:
                scenarios.remove(3)
            bench.say(f"round {number + 1} of {args.rounds}: {kind}, scenarios {scenarios}")
            one_round(result, kind, programs[kind], path, os.path.join(cache, f"serving-{kind}.log"), scenarios)
            with open(out + ".partial", "w", encoding="utf-8") as f:
                json.dump(result, f, indent=1)
            os.replace(out + ".partial", out)


def main():
    parser = argparse.ArgumentParser(description="Scheduler and prefix cache beside llama.cpp's.")
    parser.add_argument("--quick", action="store_true", help="the small model")
    parser.add_argument("--only", choices=("lfmd", "peer"))
    parser.add_argument("--scenario", type=int, choices=SCENARIOS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of both servers; default: the CPUs we may use")
    parser.add_argument("--report", action="store_true", help="only write RESULTS.md from the last whole run")
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by SIGTERM"))
    cache = bench.cache_dir()
    os.makedirs(cache, exist_ok=True)
    whole = args.report or not (args.quick or args.only or args.scenario or args.rounds < 3)
    out = os.path.join(cache, "results-serving.json" if whole else "results-serving-part.json")
    try:
        if not args.report:
            run(args, cache, out)
        print(report_serving.write(out, os.path.join(bench.HERE, "RESULTS.md") if whole else None))
    except (serve.Trouble, subprocess.CalledProcessError) as trouble:
        sys.exit(f"bench: {trouble}")


if __name__ == "__main__":
    main()
