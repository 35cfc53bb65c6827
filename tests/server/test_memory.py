"""The address space is limited under a running daemon: whatever it answers
then, it is never wrong about the request, and it lives."""
import concurrent.futures
import json
import os
import resource
import time

import httpx
import pytest

SECONDS = 5
TOOLS = [{"type": "function", "function": {
    "name": f"f{i}", "description": "x" * 50,
    "parameters": {"type": "object", "properties": {
        "a": {"type": "string"}}}}} for i in range(20)]
TELL = [{"role": "user", "content": "Tell me a story"}]
CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
REQUESTS = [
    (CHAT, {"messages": TELL, "max_tokens": 16, "stream": True,
            "logprobs": True, "top_logprobs": 5}),
    (CHAT, {"messages": TELL, "max_tokens": 8, "tools": TOOLS, "n": 3}),
    (CHAT, {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "a\u00e9\"\\\n"}] * 80}], "max_tokens": 2}),
    (COMPLETE, {"prompt": ["once", "a" * 200], "max_tokens": 4, "echo": True,
                "logprobs": 3}),
    ("/tokenize", {"content": "word " * 20000}),
    ("/detokenize", {"tokens": [65, 66, 67] * 20000}),
]


def virtual_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[0]) * resource.getpagesize()


def ask_until(d, end, first):
    """Statuses of answers; 0 is a connection that was closed."""
    seen = []
    with httpx.Client(timeout=30) as client:
        for i in range(first, 10**6):
            if time.monotonic() > end:
                return seen
            path, body = REQUESTS[i % len(REQUESTS)]
            try:
                r = client.post(d.url + path, content=json.dumps(body))
                seen.append((r.status_code, r.text[:300]))
            except httpx.TransportError:
                seen.append((0, ""))


@pytest.mark.skipif("san-" in os.environ.get("LFMD_BINARY", ""),
                    reason="a sanitizer ends the process itself when its own "
                           "mmap fails")
def test_no_request_kills_the_daemon_when_memory_is_short(start):
    d = start()
    pid = d.process.pid
    base = virtual_bytes(pid)
    end = time.monotonic() + SECONDS
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask_until, d, end, i) for i in range(3)]
        step = 0
        while time.monotonic() < end:
            extra = (1 << 12) << (step * 5 % 12)  # 4 KiB to 8 MiB
            resource.prlimit(pid, resource.RLIMIT_AS, (base + extra, -1))
            time.sleep(0.1)
            step += 1
        seen = sum((a.result() for a in asked), [])
    assert d.process.poll() is None, d.log()
    resource.prlimit(pid, resource.RLIMIT_AS, (-1, -1))
    assert {s for s, _ in seen} <= {0, 200, 500, 503}, seen
    for path, body in REQUESTS:
        assert d.post(path, body).status_code == 200
    d.wait_idle()
    assert d.stop() == 0, d.log()
