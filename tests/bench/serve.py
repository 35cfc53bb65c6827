"""Start one server, drive it over HTTP and say how fast it was and what it held in memory.

Knows two servers, lfmd and llama.cpp's llama-server, and asks both the same bytes: prompts are lists of token ids, so
that lengths are exact and no two prompts share a beginning. One thread reads all streams and only looks for event
marks, because the driver runs on the cores that it measures.

    python serve.py lfmd|peer PROGRAM FILE.gguf [--threads N] [--streams 1,8]    # one JSON object

Needs only the standard library.
"""
import argparse
import ctypes
import json
import os
import random
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
CLASS = os.sched_getscheduler(0), os.sched_getparam(0)  # of the servers
KV_BYTES_A_TOKEN = {"8b": 12288, "24b": 20480, "small": 6144}  # f16 keys and values of the attention layers
CTX_TOKENS = 1024     # of one sequence
PREFILL_TOKENS = 512
SHORT_PROMPT = 16
FIRST_ID, LAST_ID = 2048, 60000  # ids that are plain words in our files
EVENT = b"data: {"
# Drawn, not greedy: on random weights the likeliest token repeats, so that the same experts are read from a cache, and
# it may be one without text, which makes no event. Each stream has a seed of its own. Both spellings of the penalty,
# since the servers' defaults differ.
SAMPLING = {"temperature": 1.0, "top_k": 40, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0,
            "repeat_penalty": 1.0}


class Trouble(Exception):
    """One sentence for the person who runs the benchmark."""


def rise():
    """Under chrt the driver goes one above the servers, which stay where it was: threads that spin leave one of their
    own rank no processor for 100 ms, and what it reads then looks as if it had come at once."""
    policy, rank = CLASS
    if policy in (os.SCHED_FIFO, os.SCHED_RR):
        os.sched_setscheduler(0, policy, os.sched_param(rank.sched_priority + 1))


def child():
    os.sched_setscheduler(0, *CLASS)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def command(kind, program, model, port, threads, slots, shape):
    """The same room for both: `slots` sequences of CTX_TOKENS, keys and values in f16."""
    common = [program, "-m", model, "--host", "127.0.0.1", "--port", str(port), "--threads", str(threads),
              "--parallel", str(slots)]
    if kind == "lfmd":
        cache = KV_BYTES_A_TOKEN[shape] * CTX_TOKENS * slots
        return common + ["--ctx-size", str(CTX_TOKENS), "--cache-size", str(cache)]
    return common + ["--ctx-size", str(CTX_TOKENS * slots), "--threads-batch", str(threads), "--no-webui",
                     "--cache-ram", "0", "--no-cache-prompt"]


class Stream:
    """One streamed completion: bytes as they come, and when each event came."""

    def __init__(self, port, prompt, max_tokens, **fields):
        body = json.dumps({
            "model": "bench", "prompt": prompt, "max_tokens": max_tokens, "stream": True,
            **SAMPLING, "seed": sum(prompt), "ignore_eos": True, "cache_prompt": False,
            "stream_options": {"include_usage": True}, **fields}).encode()
        self.raw, self.stamps, self.ended = bytearray(), [], False
        self.start = time.monotonic()
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.sock.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                          b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def read(self):
        """False at the end."""
        try:
            piece = self.sock.recv(65536)
        except ConnectionError:
            piece = b""
        now = time.monotonic()
        fresh = self.raw[-(len(EVENT) - 1):] + piece
        self.raw += piece
        self.stamps += [now] * fresh.count(EVENT)
        self.ended = not piece
        return not self.ended

    def status(self):
        m = re.match(rb"HTTP/1\.1 (\d+)", self.raw)
        return int(m.group(1)) if m else 0

    def n_tokens(self):
        m = re.findall(rb'"completion_tokens":\s*(\d+)', self.raw)
        if self.status() != 200 or not m:
            raise Trouble(f"the server answered {self.raw[:400].decode('utf-8', 'replace')!r}, expected a stream")
        return int(m[-1])

    def tokens(self):
        """When each token came.  Events beyond the last token carry the reason and the usage; a server that joins
        tokens into one event has them counted where the event came."""
        n, events = self.n_tokens(), self.stamps
        if len(events) < 0.8 * n:
            raise Trouble(f"{n} tokens came in {len(events)} events, so their times are unknown; the model draws "
                          "tokens without text (files of make_gguf.py do not)")
        if len(events) >= n:
            return events[:n]
        return [events[i * len(events) // n] for i in range(n)]


def pump(streams, limit_s=600, until=lambda: False):
    """Reads the streams until all have ended or `until` holds."""
    deadline = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        for s in streams:
            if not s.ended:
                selector.register(s.sock, selectors.EVENT_READ, s)
        while selector.get_map() and not until():
            if time.monotonic() > deadline:
                raise Trouble(f"{len(streams)} streams did not come as far as expected within {limit_s} s")
            for key, _ in selector.select(1.0):
                if not key.data.read():
                    selector.unregister(key.fileobj)


def run_streams(port, prompts, max_tokens, limit_s=600, **fields):
    streams = [Stream(port, p, max_tokens, **fields) for p in prompts]
    try:
        pump(streams, limit_s)
    finally:
        for s in streams:
            s.sock.close()
    return streams


class Prompts:
    """Seeded, so both servers get the same; a new list each time, so no cache helps."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def next(self, n):
        return [self.random.randint(FIRST_ID, LAST_ID) for _ in range(n)]


class Server:
    def __init__(self, argv, port, log):
        self.port, self.log = port, log
        self.prompts = Prompts(7)
        with open(log, "wb") as out:
            self.started = time.monotonic()
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=child)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-600:]

    def first_answer(self, limit_s=600):
        """Seconds from exec to the first generated token."""
        prompt = self.prompts.next(8)
        while time.monotonic() - self.started < limit_s:
            if self.child.poll() is not None:
                raise Trouble(f"the server ended with {self.child.returncode}:\n{self.last_words()}")
            try:
                (s,) = run_streams(self.port, [prompt], 1)
                if s.status() not in (0, 503):  # not there yet, or loading
                    return s.tokens()[0] - self.started
            except OSError:
                pass
            time.sleep(0.01)
        raise Trouble(f"the server did not answer within {limit_s} s:\n{self.last_words()}")

    def decode(self, n_streams, n_tokens):
        """Tokens a second of all streams together, while all of them run."""
        prompts = [self.prompts.next(SHORT_PROMPT) for _ in range(n_streams)]
        tokens = [s.tokens() for s in run_streams(self.port, prompts, n_tokens)]
        begin, end = max(t[0] for t in tokens), min(t[-1] for t in tokens)
        within = sum(1 for t in tokens for at in t if begin < at <= end)
        if end <= begin or within < 2 * n_streams:
            raise Trouble(f"{n_streams} streams of {n_tokens} tokens hardly ran together, expected longer ones")
        return within / (end - begin)

    def prefill(self):
        """Tokens of a long prompt a second, by the time to its first token."""
        (s,) = run_streams(self.port, [self.prompts.next(PREFILL_TOKENS)], 1)
        return PREFILL_TOKENS / (s.tokens()[0] - s.start)

    def memory(self):
        """Bytes: the peak resident size so far, and what is anonymous and of files now."""
        with open(f"/proc/{self.child.pid}/status", encoding="ascii") as f:
            kb = dict(re.findall(r"(VmHWM|RssAnon|RssFile):\s*(\d+) kB", f.read()))
        return {name: int(kb[name]) * 1024 for name in ("VmHWM", "RssAnon", "RssFile")}


def warm(path):
    """Puts the file into the page cache."""
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 24):
            pass


def measure(kind, program, model, shape, threads, plan, log, n_prefill=2):
    """Everything about one start of one server. `plan`: {streams: tokens of each}."""
    warm(model)
    port = free_port()
    argv = command(kind, program, model, port, threads, max(plan), shape)
    with Server(argv, port, log) as server:
        out = {"first_answer_s": server.first_answer()}
        out["start"] = server.memory()
        for n_streams, n_tokens in plan.items():
            out[f"decode_{n_streams}"] = server.decode(n_streams, n_tokens)
        out["prefill"] = statistics.median(server.prefill() for _ in range(n_prefill))
        out["peak"] = server.memory()
        return out


def main():
    parser = argparse.ArgumentParser(description="Measure one server.")
    parser.add_argument("kind", choices=("lfmd", "peer"))
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--shape", choices=KV_BYTES_A_TOKEN, default="8b")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--streams", default="1,8")
    parser.add_argument("--tokens", type=int, default=48)
    args = parser.parse_args()
    plan = {int(n): args.tokens for n in args.streams.split(",")}
    try:
        print(json.dumps(measure(args.kind, args.program, args.model, args.shape, args.threads, plan,
                                 "/dev/stderr"), indent=1))
    except Trouble as trouble:
        sys.exit(f"serve: {trouble}")


if __name__ == "__main__":
    main()
