"""Slow, silent and vanishing clients; many at once; the way down."""
import json
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from demo import (BINARY, WAIT, Demo, body, dechunk, get, head, n_answers,
                  post, read_all, read_until, reset, running, status)

NOTICED = 0.25  # seconds from hang-up to on_gone


@pytest.fixture()
def demo():
    with running() as d:
        yield d


def leave(s, how):
    if how == "fin":
        s.close()
    elif how == "rst":
        reset(s)
    else:
        s.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("how", ["fin", "rst", "half-close"])
@pytest.mark.parametrize("request_", [
    post("/delay?ms=60000", b"x"), get("/sse?n=9&ms=60000"),
    get("/sse?n=100000&ms=1"),
], ids=["waiting", "silent stream", "busy stream"])
def test_a_client_that_leaves_is_noticed(demo, how, request_):
    s = demo.connect()
    s.sendall(request_)
    demo.until(lambda st: st["exchanges"] == 2)
    time.sleep(0.02)
    leave(s, how)
    took = demo.until(lambda st: st["told_gone"] == 1)
    assert took < NOTICED
    demo.until(lambda st: st["exchanges"] == 1 and st["connections"] <= 2)
    s.close()


def test_a_client_that_leaves_during_its_body_is_forgotten(demo):
    s = demo.connect()
    s.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
    demo.until(lambda st: st["exchanges"] == 2)
    s.close()
    demo.until(lambda st: st["exchanges"] == 1)
    assert demo.stats()["told_gone"] == 0


def test_many_hangups_leave_nothing_behind(demo):
    for i in range(60):
        s = demo.connect()
        s.sendall((post("/delay?ms=60000"), get("/sse?n=99&ms=1"))[i % 2])
        if i % 3:
            time.sleep(0.005)
        leave(s, ("fin", "rst", "half-close")[i % 3])
        s.close()
    demo.until(lambda st: st["exchanges"] == 1 and st["connections"] == 1)
    fds = len(list(pathlib.Path(f"/proc/{demo.process.pid}/fd").iterdir()))
    assert fds < 40


def test_deadlines_cut_drippers_and_spare_those_who_wait():
    with running("header_ms=300", "body_ms=300") as d:
        waiting = d.connect()
        waiting.sendall(post("/delay?ms=900"))
        idle = [d.connect() for _ in range(10)]
        began = time.monotonic()
        dripper = d.connect()
        body_dripper = d.connect()
        body_dripper.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                             b"Content-Length: 1000\r\n\r\n")
        closed = {}
        while len(closed) < 2 and time.monotonic() - began < WAIT:
            for name, s in (("header", dripper), ("body", body_dripper)):
                if name in closed:
                    continue
                try:
                    s.sendall(b"A")
                    s.setblocking(False)
                    if s.recv(100) == b"":
                        closed[name] = time.monotonic() - began
                except BlockingIOError:
                    s.setblocking(True)
                except (BrokenPipeError, ConnectionResetError):
                    closed[name] = time.monotonic() - began
            time.sleep(0.02)
        assert all(0.25 < t < 0.8 for t in closed.values()), closed
        for s in idle:
            assert read_all(s) == b""
        assert body(read_all(waiting)) == b"late"
        assert d.stats()["deadlines"] == 12


def test_a_request_that_never_ends_is_told_so():
    parts = {
        "headers": b"POST /echo HTTP/1.1\r\nHost: x\r\nA: b",
        "body": b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                b"Content-Length: 10\r\n\r\nhel",
        "chunks": b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "continue": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
                    b"X-Request-Id: abc-1\r\nExpect: 100-continue\r\n\r\n",
    }
    with running("header_ms=200", "body_ms=200") as d:
        for name, part in parts.items():
            data = d.ask(part)
            if name == "continue":
                first, data = data.split(b"\r\n\r\n", 1)
                assert first == b"HTTP/1.1 100 Continue"
                assert "x-request-id: abc-1" in head(data)
            assert status(data) == 408 and n_answers(data) == 1, name
            assert "connection: close" in head(data)
            assert json.loads(body(data))["error"]["code"] == 408
            assert int(head(data).split("content-length: ")[1].split()[0]
                       ) == len(body(data))
        assert d.ask(b"POST /echo HT") == b""
        assert d.stats()["deadlines"] == 5
        d.until(lambda s: s["connections"] == 1)


def test_deadlines_can_be_turned_off():
    with running("header_ms=0", "body_ms=0", "stall_ms=0", "idle_ms=0") as d:
        with d.connect() as s:
            s.sendall(b"GET /flow?n=1000000 HTTP/1.1\r\n")
            time.sleep(0.3)
            s.sendall(b"Host: x\r\n\r\n")
            time.sleep(0.3)
            text, terminated = dechunk(read_all(s))
            assert terminated and len(text) == 1000000


def slow_client(d):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(WAIT)
    s.connect(("127.0.0.1", d.port))
    return s


def test_a_reader_that_stalls_is_cut():
    with running("stall_ms=400") as d:
        s = slow_client(d)
        s.sendall(get("/flow?n=100000000"))
        took = d.until(lambda st: st["told_gone"] == 1)
        assert took < 2.0
        d.until(lambda st: st["exchanges"] == 1)
        assert d.stats()["stalled"] == 1
        s.close()


def test_a_reader_of_a_big_reply_that_stalls_is_cut():
    with running("stall_ms=300") as d:
        s = slow_client(d)
        s.sendall(get("/big?n=3000"))  # small: fits, and is read in the end
        assert status(read_all(s)) == 200
        s = slow_client(d)
        s.sendall(get("/big?n=8000000"))
        d.until(lambda st: st["exchanges"] == 2)
        d.until(lambda st: st["exchanges"] == 1)
        s.close()


def test_a_queue_beyond_the_hard_limit_is_cut(demo):
    s = slow_client(demo)
    s.sendall(get("/sse?n=100000&ms=1&pad=50000"))
    demo.until(lambda st: st["limit"] == 1 and st["told_gone"] == 1)
    demo.until(lambda st: st["exchanges"] == 1)
    s.close()


def test_the_headers_of_a_stream_do_not_wait_for_its_bytes(demo):
    for request_ in (get("/sse?ms=60000"), get("/sse?ms=60000").replace(
            b"HTTP/1.1", b"HTTP/1.0")):
        with demo.connect() as s:
            began = time.monotonic()
            s.sendall(request_)
            read_until(s, b"\r\n\r\n")
            assert time.monotonic() - began < NOTICED
    with demo.connect() as s:
        s.sendall(get("/sse?ms=60000", method="HEAD"))
        assert b"event-stream" in read_all(s)


def test_few_files_are_no_reason_to_spin():
    limited = ["prlimit", "--nofile=64:64", BINARY]
    with running(command=limited) as d:
        many = [d.connect() for _ in range(100)]
        began = d.cpu()  # a loop that spins would burn all of the 2 s
        time.sleep(2.0)
        assert d.cpu() - began < 0.5
        for s in many:
            s.close()
        d.until(lambda st: st["connections"] == 1)


def test_64_streams_at_once(demo):
    socks = [demo.connect() for _ in range(64)]
    for s in socks:
        s.sendall(get("/sse?n=20&ms=10"))
    for s in socks:
        text, terminated = dechunk(read_all(s))
        assert terminated and text.endswith(b"data: [DONE]\n\n")
        assert text.count(b"data: ") == 21


def test_streams_among_idle_connections(demo):
    idle = [demo.connect() for _ in range(150)]
    test_64_streams_at_once(demo)
    for s in idle:
        s.close()
    demo.until(lambda st: st["connections"] == 1)


def test_idle_costs_nothing(demo):
    waiting = [demo.connect() for _ in range(20)]
    for i, s in enumerate(waiting):
        s.sendall((post("/delay?ms=60000"), get("/sse?n=2&ms=60000"))[i % 2])
    demo.until(lambda st: st["exchanges"] == 21)
    before, cpu = demo.stats()["runs"], demo.cpu()
    time.sleep(2.0)
    assert demo.stats()["runs"] - before < 200
    assert demo.cpu() - cpu < 0.5
    for s in waiting:
        s.close()


def test_the_limit_per_address_refuses_the_rest():
    with running("per_ip=4") as d:
        held = [d.connect() for _ in range(3)]
        assert status(d.ask(get("/health"))) == 200
        held.append(d.connect())
        time.sleep(0.05)
        assert d.ask(get("/health")) == b""
        for s in held:
            s.close()
        time.sleep(0.05)
        assert status(d.ask(get("/health"))) == 200


def test_a_crowd_leaves_room_for_probes():
    with running("max_conn=10") as d:
        held = [d.connect() for _ in range(8)]
        time.sleep(0.05)
        data = d.ask(get("/echo"))
        assert status(data) == 503 and "retry-after: 1" in head(data)
        assert status(d.ask(get("/health"))) == 200
        for s in held:
            s.close()
        d.until(lambda st: st["connections"] == 1)
        assert status(d.ask(get("/echo"))) == 200


def test_connecting_and_leaving_at_once(demo):
    for _ in range(500):
        demo.connect().close()
    demo.until(lambda st: st["connections"] == 1)


def test_an_early_refusal_is_read_by_the_client(demo):
    read = 0
    for _ in range(20):
        data = demo.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\n"
                        b"Content-Length: 8000000\r\n\r\n" + b"a" * 8000000)
        read += data.startswith(b"HTTP/1.1 413")
    assert read >= 18


# -- The way down. ------------------------------------------------------------


def test_drain_lets_streams_finish_and_refuses_new_clients():
    d = Demo()
    streams = [d.connect() for _ in range(10)]
    for s in streams:
        s.sendall(get("/sse?n=20&ms=20"))
    late = d.connect()
    late.sendall(post("/delay?ms=300"))
    silent = d.connect()
    d.until(lambda st: st["exchanges"] == 12)
    d.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    with pytest.raises(ConnectionRefusedError):
        d.connect()
    silent.sendall(get("/echo"))
    assert status(read_all(silent)) == 503
    for s in streams:
        text, terminated = dechunk(read_all(s))
        assert terminated and text.endswith(b"data: [DONE]\n\n")
    assert body(read_all(late)) == b"late"
    assert d.leave() == 0


def test_stop_cuts_what_is_suspended_and_streaming():
    d = Demo()
    streams = [d.connect() for _ in range(10)]
    for s in streams:
        s.sendall(get("/sse?n=100000&ms=5"))
    waiting = [d.connect() for _ in range(10)]
    for s in waiting:
        s.sendall(post("/delay?ms=60000"))
    half = d.connect()
    half.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    d.until(lambda st: st["exchanges"] == 22)
    began = time.monotonic()
    code = d.stop(signal.SIGINT)
    assert code == 0, d.log
    assert time.monotonic() - began < 1.5
    for s in streams:
        _, terminated = dechunk(read_all(s))
        assert not terminated
    for s in [*waiting, half]:
        assert read_all(s) == b""


@pytest.mark.parametrize("round_", range(5))
def test_stop_at_any_moment(round_):
    d = Demo()
    stop = threading.Event()

    def client():
        requests = [get("/sse?n=5&ms=2"), post("/delay?ms=3"), get("/burst"),
                    post("/sum", b"abc"), get("/flow?n=300000")]
        i = 0
        while not stop.is_set():
            try:
                d.ask(requests[i % len(requests)])
            except OSError:
                return
            i += 1

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(0.1 + 0.037 * round_)
    code = d.stop((signal.SIGINT, signal.SIGTERM)[round_ % 2])
    stop.set()
    for t in threads:
        t.join(WAIT)
    assert code == 0, d.log


# -- Where it listens. --------------------------------------------------------


def test_an_address_in_use_is_a_sentence(demo):
    p = subprocess.run([BINARY, f"port={demo.port}"], capture_output=True,
                       timeout=WAIT)
    assert p.returncode == 1
    assert p.stderr.decode().strip() == (
        f"cannot listen on 127.0.0.1:{demo.port}: Address already in use")


def test_other_addresses():
    with running("host=0.0.0.0") as d:
        assert status(d.ask(get("/health"))) == 200
    with running("host=localhost") as d:
        assert d.port > 0
    p = subprocess.run([BINARY, "host=no.such.host.invalid"],
                       capture_output=True, timeout=30)
    assert p.returncode == 1 and b"cannot listen on no.such" in p.stderr


def test_a_unix_socket_replaces_a_stale_one_only(tmp_path):
    path = tmp_path / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    d = Demo(f"host=unix:{path}")
    assert path.stat().st_mode & 0o777 == 0o660
    p = subprocess.run([BINARY, f"host=unix:{path}"], capture_output=True,
                       timeout=WAIT)
    assert p.returncode == 1 and b"Address already in use" in p.stderr
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(WAIT)
    s.connect(str(path))
    s.sendall(get("/sse?n=3&ms=5"))
    text, terminated = dechunk(read_all(s))
    assert terminated and text.endswith(b"data: [DONE]\n\n")
    assert d.stop(signal.SIGINT) == 0
    assert not path.exists()
