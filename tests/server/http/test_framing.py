"""Requests that two readers could understand differently, sizes, methods.

Whatever is refused is answered once and the connection closed.
"""
import json

import pytest

from demo import (body, dechunk, get, head, n_answers, post, read_all,
                  read_until, running, status)

SMUGGLED = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def demo():
    with running("max_body=100000", "header_ms=800", "body_ms=800") as d:
        yield d


@pytest.fixture(scope="module")
def kept():
    with running("keepalive=1", "header_ms=800", "body_ms=800") as d:
        yield d


def request(*lines, version="HTTP/1.1", payload=b""):
    top = [f"POST /echo {version}".encode(), *lines, b"", b""]
    return b"\r\n".join(top) + payload


HOST = b"Host: x"
CHUNKED = b"Transfer-Encoding: chunked"
EMPTY = b"0\r\n\r\n"
SMUGGLING = {
    "length and chunked": request(HOST, b"Content-Length: 4", CHUNKED,
                                  payload=EMPTY),
    "chunked and length": request(HOST, CHUNKED, b"Content-Length: 4",
                                  payload=EMPTY),
    "two lengths": request(HOST, b"Content-Length: 0",
                           b"Content-Length: 33"),
    "two equal lengths": request(HOST, b"Content-Length: 0",
                                 b"Content-Length: 0"),
    "length, space, colon": request(HOST, b"Content-Length : 31"),
    "chunked on 1.0": request(HOST, CHUNKED, b"Connection: keep-alive",
                              version="HTTP/1.0", payload=EMPTY),
    "nul before a name": request(HOST, b"\0Content-Length: 31"),
    "nul in a name": request(HOST, b"Content\0-Length: 31"),
    "folded chunked": request(HOST, b"Transfer-Encoding:\r\n chunked",
                              payload=EMPTY),
    "folded value": request(HOST, b"X-A: one\r\n two", payload=EMPTY),
    "xchunked": request(HOST, b"Transfer-Encoding: xchunked", payload=EMPTY),
    "gzip, chunked": request(HOST, b"Transfer-Encoding: gzip, chunked",
                             payload=EMPTY),
    "chunked, chunked": request(HOST, CHUNKED, CHUNKED, payload=EMPTY),
    "identity": request(HOST, b"Transfer-Encoding: identity", payload=EMPTY),
    "vertical tab": request(HOST, b"Transfer-Encoding: \x0bchunked",
                            payload=EMPTY),
    "length +5": request(HOST, b"Content-Length: +5", payload=b"hello"),
    "length -1": request(HOST, b"Content-Length: -1"),
    "length 0x5": request(HOST, b"Content-Length: 0x5", payload=b"hello"),
    "length 5, 5": request(HOST, b"Content-Length: 5, 5", payload=b"hello"),
    "length 2^31": request(HOST, b"Content-Length: 2147483648"),
    "length 2^32": request(HOST, b"Content-Length: 4294967296"),
    "length 2^63": request(HOST, b"Content-Length: 9223372036854775808"),
    "length 2^64": request(HOST, b"Content-Length: 18446744073709551616"),
    "length empty": request(HOST, b"Content-Length:"),
    "chunk 0x5": request(HOST, CHUNKED, payload=b"0x5\r\nhello\r\n" + EMPTY),
    "chunk -1": request(HOST, CHUNKED, payload=b"-1\r\nhello\r\n" + EMPTY),
    "chunk -2": request(HOST, CHUNKED, payload=b"-2\r\nhello\r\n" + EMPTY),
    "chunk F*16": request(HOST, CHUNKED, payload=b"F" * 16 + b"\r\nhello"),
    "chunk F*17": request(HOST, CHUNKED, payload=b"F" * 17 + b"\r\nhello"),
    "two hosts": request(HOST, b"Host: y", b"Content-Length: 0"),
    "no host": request(b"Content-Length: 0"),
    "name with space": request(HOST, b"X A: 1", b"Content-Length: 0"),
    "name with ctl": request(HOST, b"X\x01: 1", b"Content-Length: 0"),
    "no colon": request(HOST, b"nonsense", b"Content-Length: 0"),
    "version 1.9": request(HOST, b"Content-Length: 0", version="HTTP/1.9"),
    "version 2.0": request(HOST, b"Content-Length: 0", version="HTTP/2.0"),
    "no version": b"GET /health\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_an_ambiguous_request_gets_one_answer_at_most(demo, name):
    data = demo.ask(SMUGGLING[name] + SMUGGLED)
    # libmicrohttpd 0.9.75 sends its own 400 with the header block twice.
    assert n_answers(data) <= 1 or b"<html>" in data, data
    assert data == b"" or status(data) >= 400 or name in (
        "nul before a name", "folded chunked", "folded value"), data[:200]


# 0.9.75 has eaten the header's end or glued the name before we see it; only
# Connection: close helps, which is the default.
INVISIBLE = {"nul before a name", "folded chunked", "folded value"}


@pytest.mark.parametrize("name", sorted(set(SMUGGLING) - INVISIBLE))
def test_keepalive_does_not_let_it_through(kept, name):
    data = kept.ask(SMUGGLING[name] + SMUGGLED)
    assert n_answers(data) <= 1 or b"<html>" in data, data


def test_pipelined_requests_get_one_answer_and_a_close(demo):
    data = demo.ask(SMUGGLED * 10)
    assert n_answers(data) == 1 and "connection: close" in head(data)


def test_keepalive_serves_pipelined_requests_in_order(kept):
    with kept.connect() as s:
        s.sendall(b"".join(post("/echo", b"%03d" % i) for i in range(10)))
        data = read_until(s, b"009")
    assert n_answers(data) == 10
    assert [b"%03d" % i in data for i in range(10)] == [True] * 10


def test_keepalive_closes_after_an_error(kept):
    data = kept.ask(get("/nope") + SMUGGLED)
    assert n_answers(data) == 1 and status(data) == 404


@pytest.mark.parametrize("case", [
    ("/health", 200), ("/health?x=%00", 200), ("/health%00", 404),
    ("/%68ealth", 404), ("/health/../health", 404), ("//health", 404),
    ("/health%0d%0aX:1", 404), ("http://x/health", 404), ("*", 404),
    ("/h\xe4lth", 404), ("/tail/a/b", 200), ("/tail/", 404),
    ("/tail/" + "a" * 8186, 200), ("/tail/" + "a" * 8187, 414),
    ("/health?" + "a" * 8184, 200), ("/health?" + "a" * 8185, 414),
])
def test_targets(demo, case):
    target, expected = case
    raw = b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    data = demo.ask(raw)
    assert status(data) == expected
    assert n_answers(data) == 1


def test_a_target_with_spaces_is_not_found(demo):
    data = demo.ask(b"GET /health /x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status(data) in (400, 404)


@pytest.mark.parametrize("n,expected", [(99, 200), (100, 431), (1000, 431)])
def test_number_of_headers(demo, n, expected):
    assert status(demo.ask(get("/health", *["A: b"] * n))) == expected


@pytest.mark.parametrize("n,expected", [(32000, 200), (32800, 431),
                                        (60000, 431)])
def test_a_huge_header_is_refused_in_our_words(demo, n, expected):
    data = demo.ask(get("/health", "A: " + "b" * n))
    assert status(data) == expected and n_answers(data) == 1
    if expected != 200:
        assert "application/json" in head(data)
        assert json.loads(body(data))["error"]["code"] == 431


def test_a_header_beyond_the_pool_is_refused(demo):
    data = demo.ask(get("/health", "A: " + "b" * 100000))
    assert status(data) in (413, 431) and n_answers(data) == 1


def test_an_endless_header_is_refused_and_not_kept(demo):
    data = demo.ask(b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 4000000)
    assert data == b"" or status(data) in (400, 413, 431)


@pytest.mark.parametrize("n,expected", [(99999, 200), (100000, 200),
                                        (100001, 413), (4000000, 413)])
def test_body_sizes_by_length(demo, n, expected):
    data = demo.ask(post("/echo", b"a" * n))
    # A reset may overtake the refusal of a body still being sent.
    assert data == b"" and n == 4000000 or status(data) == expected
    if expected == 200:
        assert body(data) == b"a" * n


def test_too_long_a_body_is_refused_before_it_is_sent(demo):
    with demo.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                  b"Content-Length: 100001\r\n\r\n")
        assert status(read_all(s)) == 413


def chunked(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + EMPTY


@pytest.mark.parametrize("n,expected", [(100000, 200), (100001, 413),
                                        (190000, 413)])
def test_body_sizes_chunked(demo, n, expected):
    data = demo.ask(request(HOST, CHUNKED, payload=chunked(b"a" * n)))
    assert status(data) == expected


def test_a_chunked_body_far_beyond_the_limit_is_cut(demo):
    data = demo.ask(request(HOST, CHUNKED, payload=chunked(b"a" * 4000000)))
    assert data == b"" or status(data) == 413


def test_many_tiny_chunks(demo):
    began = demo.cpu()
    data = demo.ask(request(HOST, CHUNKED, payload=chunked(*[b"a"] * 50000)))
    assert status(data) == 200 and body(data) == b"a" * 50000
    assert demo.cpu() - began < 1.0


def test_trailers_are_ignored(demo):
    data = demo.ask(request(HOST, CHUNKED, payload=b"5\r\nhello\r\n0\r\n"
                                                   b"X: y\r\n\r\n"))
    assert status(data) == 200 and body(data) == b"hello"


def test_chunk_extensions_are_ignored_or_refused(demo):
    data = demo.ask(request(HOST, CHUNKED,
                            payload=b"5;a=b\r\nhello\r\n" + EMPTY))
    # libmicrohttpd 1.0.1 refuses them at its strict level.
    assert status(data) == 400 or body(data) == b"hello"


def test_a_body_in_single_bytes(demo):
    with demo.connect() as s:
        for c in post("/echo", b"hello"):
            s.sendall(bytes([c]))
        data = read_all(s)
    assert status(data) == 200 and body(data) == b"hello"


def test_a_body_is_read_on_the_pool(demo):
    assert body(demo.ask(post("/sum", b"\x01" * 5000))) == b"5000"


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_a_truncated_request_gets_no_success(demo, cut):
    whole = post("/echo", b"hello")
    with demo.connect() as s:
        s.sendall(whole[:min(cut, len(whole) - 1)])
        s.shutdown(1)
        data = read_all(s)
    assert data == b"" or status(data) >= 400


def test_every_byte_in_every_place(demo):
    for place in (b"G%sET /health HTTP/1.1\r\nHost: x\r\n\r\n",
                  b"GET /hea%slth HTTP/1.1\r\nHost: x\r\n\r\n",
                  b"GET /health HTTP/1.1\r\nHost: x\r\nA%sB: c\r\n\r\n",
                  b"GET /health HTTP/1.1\r\nHost: x\r\nA: b%sc\r\n\r\n"):
        for byte in range(256):
            raw = place % bytes([byte])
            with demo.connect() as s:
                s.sendall(raw)
                s.settimeout(0.05)
                try:
                    data = s.recv(65536)
                except (TimeoutError, ConnectionResetError):
                    continue  # incomplete: closed at its deadline
            assert data == b"" or data.startswith(b"HTTP/1."), raw


def test_expect_continue(demo):
    lines = b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    with demo.connect() as s:
        s.sendall(lines + b"Content-Length: 5\r\n\r\n")
        assert read_until(s, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"hello")
        data = read_all(s)
    assert n_answers(data) == 1 and body(data) == b"hello"


@pytest.mark.parametrize("extra,expected", [
    (b"Content-Length: 100001\r\n", 413),
    (b"Content-Length: 5\r\nAuthorization: Bearer bad\r\n", 401),
    (b"Content-Length: 5\r\nContent-Encoding: gzip\r\n", 415),
])
def test_expect_continue_refused_is_never_continued(demo, extra, expected):
    data = demo.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                    b"Expect: 100-continue\r\n" + extra + b"\r\n")
    assert status(data) == expected and n_answers(data) == 1


def test_an_unknown_expectation_fails(demo):
    assert status(demo.ask(get("/health", "Expect: magic"))) == 417


def test_a_refusal_at_the_gate_does_not_read_the_body(demo):
    with demo.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n"
                  b"Authorization: Bearer bad\r\n\r\n")
        assert status(read_all(s)) == 401


def test_methods(demo):
    data = demo.ask(get("/big?n=100", method="HEAD"))
    assert status(data) == 200 and body(data) == b""
    assert "content-length: 108" in head(data)
    data = demo.ask(get("/echo", method="DELETE"))
    assert status(data) == 405
    assert "allow: get, head, post, options" in head(data)
    assert json.loads(body(data))["error"]["code"] == 405
    data = demo.ask(get("/echo", method="OPTIONS"))
    assert status(data) == 204 and "allow: " in head(data)
    assert "access-control" not in head(data)
    assert status(demo.ask(get("/nope", method="OPTIONS"))) == 404
    assert status(demo.ask(get("/echo", method="X" * 100))) == 405


def test_http_1_0_is_answered_and_its_stream_ends_with_the_connection(demo):
    data = demo.ask(b"GET /health HTTP/1.0\r\n\r\n")
    assert status(data) == 200 and body(data) == b"ok"
    data = demo.ask(b"GET /sse?n=3&ms=5 HTTP/1.0\r\n\r\n")
    assert "transfer-encoding" not in head(data)
    assert body(data).endswith(b"data: [DONE]\n\n")
    assert body(data).count(b"data: ") == 4


def test_request_ids(demo):
    data = demo.ask(get("/health", "X-Request-Id: abc-1"))
    assert "\r\nx-request-id: abc-1\r\n" in head(data)
    data = demo.ask(get("/nope", "X-Request-Id: " + "a" * 129))
    assert "\r\nx-request-id: req_" in head(data)
    ids = {head(demo.ask(get("/health"))).split("x-request-id: ")[1][:36]
           for _ in range(5)}
    assert len(ids) == 5


def test_errors_do_not_quote_the_request(demo):
    data = demo.ask(get("/secret-canary", "X: secret-canary"))
    assert b"canary" not in data


def test_a_stream_always_ends_with_the_terminating_chunk(demo):
    for path in ["/burst", "/sse?n=1&ms=0", "/sse?n=3&ms=1"] * 20:
        text, terminated = dechunk(demo.ask(get(path)))
        assert terminated and text.endswith(b"data: [DONE]\n\n")


def test_a_broken_stream_has_no_terminating_chunk(demo):
    text, terminated = dechunk(demo.ask(get("/sse-break?n=3&ms=1")))
    assert text.count(b"data: ") == 3 and not terminated


def test_large_answers_arrive_whole(demo):
    data = demo.ask(get("/big?n=3000000"))
    assert len(json.loads(body(data))["x"]) == 3000000
    text, terminated = dechunk(demo.ask(get("/flow?n=3000000")))
    assert len(text) == 3000000 and terminated


def test_cors():
    with running("cors=https://a.org, https://b.org") as d:
        data = d.ask(get("/health", "Origin: https://b.org"))
        assert "access-control-allow-origin: https://b.org" in head(data)
        assert "vary: origin" in head(data)
        data = d.ask(get("/health", "Origin: https://evil.org"))
        assert "allow-origin" not in head(data)
        data = d.ask(get("/echo", "Origin: https://a.org",
                         "Access-Control-Request-Method: POST",
                         "Access-Control-Request-Headers: authorization",
                         "Authorization: Bearer bad", method="OPTIONS"))
        assert status(data) == 204
        assert "access-control-allow-headers: authorization" in head(data)
        assert "access-control-allow-methods: get, head, post" in head(data)
    with running("cors=*") as d:
        assert "access-control-allow-origin: *" in head(d.ask(get("/nope")))


def test_foreign_hosts_are_refused_when_hosts_are_named():
    with running("allow_host=x") as d:
        assert status(d.ask(get("/health"))) == 200
        data = d.ask(b"GET /health HTTP/1.1\r\nHost: evil.org\r\n\r\n")
        assert status(data) == 403
