"""The bytes themselves: SSE framing rules, order of chunks, status before
stream."""
import json
import socket

import httpx


def raw(port, body, path="/v1/chat/completions", headers=""):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(60)
    data = json.dumps(body).encode()
    s.sendall((f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
               f"Content-Type: application/json\r\n"
               f"Content-Length: {len(data)}\r\n\r\n").encode() + data)
    out = b""
    while True:
        part = s.recv(65536)
        if not part:
            s.close()
            return out
        out += part


def unchunk(body):
    """Strict: every chunk complete, a terminating one, nothing after it."""
    out, parts = b"", []
    while True:
        size, rest = body.split(b"\r\n", 1)
        n = int(size, 16)
        out += rest[:n]
        parts.append(rest[:n])
        assert rest[n:n + 2] == b"\r\n"
        body = rest[n + 2:]
        if n == 0:
            assert body == b""
            return out, parts


def events(port, body, **kw):
    head, rest = raw(port, {**body, "stream": True}, **kw).split(
        b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200"), head
    headers = head.lower()
    assert b"content-type: text/event-stream" in headers
    assert b"cache-control: no-cache" in headers
    assert b"x-accel-buffering: no" in headers
    assert b"x-request-id: " in headers
    text, parts = unchunk(rest)
    blocks = text.decode("utf-8").split("\n\n")
    assert blocks[-1] == ""
    data = [b for b in blocks[:-1] if not b.startswith(":")]
    assert all(b.startswith("data: ") and "\n" not in b for b in data)
    assert data[-1] == "data: [DONE]"
    assert sum(b == "data: [DONE]" for b in data) == 1
    return [json.loads(b[6:]) for b in data[:-1]], parts


HELLO = {"messages": [{"role": "user", "content": "Hello!"}], "temperature": 0}


def test_the_order_of_chunks(demo):
    chunks, parts = events(demo.port, {**HELLO, "stream_options": {
        "include_usage": True}})
    assert len({c["id"] for c in chunks}) == 1
    assert len({c["created"] for c in chunks}) == 1
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
    first, *middle, finish, usage = chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    for c in middle:
        assert set(c["choices"][0]["delta"]) == {"content"}
        assert c["choices"][0]["finish_reason"] is None
        assert c["usage"] is None
    assert finish["choices"][0]["delta"] == {}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] > 0
    cached = usage["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert 0 <= cached < usage["usage"]["prompt_tokens"]
    # The role comes in the same write as the first token, the end in one.
    assert b'"role"' in parts[0] and b'"content":"H' in parts[0]
    assert b"[DONE]" in parts[-2] and b'"finish_reason":"stop"' in parts[-2]


def test_usage_on_every_chunk_when_asked(demo):
    chunks, _ = events(demo.port, {**HELLO, "stream_options": {
        "include_usage": True, "continuous_usage_stats": True}})
    counts = [c["usage"]["completion_tokens"] for c in chunks]
    assert counts == sorted(counts) and counts[0] >= 1


def test_characters_are_never_cut(demo):
    """Random bytes from a hot model: every event is valid UTF-8 by itself."""
    for seed in range(6):
        chunks, _ = events(demo.port, {
            **HELLO, "temperature": 2, "top_k": 0, "min_p": 0, "seed": seed,
            "max_tokens": 120, "ignore_eos": True})
        for c in chunks:
            for choice in c["choices"]:
                choice["delta"].get("content", "").encode("utf-8")


def test_what_can_be_refused_is_refused_before_the_stream(demo):
    for body, status in [({"messages": []}, 400),
                         ({"messages": [{"role": "user",
                                         "content": "x " * 9000}]}, 400),
                         ({**HELLO, "response_format": {
                             "type": "nonsense"}}, 400)]:
        head = raw(demo.port, {**body, "stream": True})
        assert head.startswith(f"HTTP/1.1 {status}".encode()), head[:300]
        body = json.loads(head.split(b"\r\n\r\n", 1)[1])
        assert set(body["error"]) >= {"message", "type", "param", "code"}


def test_errors_of_http_itself_are_json(demo):
    for method, path, status in [("GET", "/nope", 404),
                                 ("GET", "/v1/chat/completions", 405),
                                 ("DELETE", "/v1/models", 405)]:
        r = httpx.request(method, demo.url + path)
        assert r.status_code == status
        assert r.json()["error"]["message"]
    r = httpx.post(demo.url + "/v1/chat/completions", content=b"{nonsense")
    assert r.status_code == 400
    assert "JSON" in r.json()["error"]["message"]
    r = httpx.post(demo.url + "/v1/chat/completions", content=b"[1]")
    assert r.status_code == 400
    r = httpx.post(demo.url + "/v1/chat/completions",
                   content=b"x" * (5 << 20))
    assert r.status_code == 413
    assert r.json()["error"]["message"]


def test_a_request_id_is_echoed(demo):
    r = httpx.get(demo.url + "/v1/models", headers={"X-Request-Id": "abc-1"})
    assert r.headers["x-request-id"] == "abc-1"
