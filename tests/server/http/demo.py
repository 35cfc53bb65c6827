"""The demo server as a process, and a client that is only a socket.

The binary is in $LFMD_BUILD, the release build unless said otherwise; or it is
$LFMD_DEMO_SERVER.  Every wait here has a limit, so a server that hangs fails a
test and never the run.
"""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("LFMD_BUILD", ROOT / "build/release"))
BINARY = os.environ.get(
    "LFMD_DEMO_SERVER", str(BUILD / "tests/server/http/demo_server")
)
WAIT = 5.0  # seconds until a silent server counts as hung


class Demo:
    def __init__(self, *settings, command=(BINARY,)):
        self.errors = tempfile.TemporaryFile()  # a pipe would fill up
        self.process = subprocess.Popen(
            [*command, *settings], stdout=subprocess.PIPE, stderr=self.errors
        )
        line = self.process.stdout.readline().split()
        assert line, self.read_log()
        self.port = int(line[1])

    def connect(self, timeout=WAIT):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def ask(self, payload, timeout=WAIT):
        """Sends bytes, returns all that comes until the server closes."""
        with self.connect(timeout) as s:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(payload)
            return read_all(s, timeout)

    def stats(self):
        return json.loads(body(self.ask(get("/stats"))))

    def until(self, condition, limit=WAIT):
        """Waits for condition(stats); returns how many seconds it took."""
        began = time.monotonic()
        while True:
            stats = self.stats()
            if condition(stats):
                return time.monotonic() - began
            assert time.monotonic() - began < limit, stats
            time.sleep(0.01)

    def stop(self, signo=signal.SIGTERM, limit=WAIT):
        self.process.send_signal(signo)
        return self.leave(limit)

    def leave(self, limit=WAIT):
        try:
            self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.log = self.read_log()
        return self.process.returncode

    def read_log(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        ticks = fields.rsplit(")", 1)[1].split()
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(*settings, command=(BINARY,)):
    demo = Demo(*settings, command=command)
    try:
        yield demo
    except BaseException:
        demo.process.kill()
        demo.process.wait(WAIT)
        raise
    code = demo.stop(signal.SIGINT)
    assert code == 0, f"exit {code}: {demo.log[-2000:]}"


def read_all(s, timeout=WAIT):
    """All bytes until the peer closes; a reset ends them too."""
    data = b""
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        assert left > 0, f"the server keeps the socket open after {data[:300]!r}"
        s.settimeout(left)
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return data
        except socket.timeout:
            continue
        if not piece:
            return data
        data += piece


def read_until(s, mark, timeout=WAIT):
    data = b""
    s.settimeout(timeout)
    while mark not in data:
        piece = s.recv(65536)
        assert piece, f"closed before {mark!r}: {data[-300:]!r}"
        data += piece
    return data


def get(path, *headers, method="GET", version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


def post(path, payload=b"", *headers):
    lines = [f"POST {path} HTTP/1.1", "Host: x",
             f"Content-Length: {len(payload)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + payload


def status(data):
    assert data.startswith(b"HTTP/1."), data[:200]
    return int(data.split(b" ", 2)[1])


def n_answers(data):
    return len(re.findall(rb"HTTP/1\.[01] \d{3} ", data))


def head(data):
    return data.split(b"\r\n\r\n", 1)[0].decode("latin-1").lower()


def body(data):
    return data.split(b"\r\n\r\n", 1)[1]


def dechunk(data):
    """The chunked body of an answer, and whether its terminating chunk came."""
    rest, out = body(data), b""
    while True:
        line, sep, rest = rest.partition(b"\r\n")
        if not sep:
            return out, False
        size = int(line, 16)
        if size == 0:
            return out, rest.startswith(b"\r\n")
        out, rest = out + rest[:size], rest[size + 2:]


def reset(s):
    """Closes with RST instead of FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
