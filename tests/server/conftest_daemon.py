"""Starts daemons for the tests: on 127.0.0.1, on ports the system gives, each
stopped by its process id."""
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import httpx
import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LFMD_BINARY", str(ROOT / "build/release/lfmd"))
CHECKPOINTS = ROOT / "tests/oracle/checkpoints"
DEMO = ROOT / "model/demo"


class Daemon:
    """One running lfmd; `port` is known once it listens and serves."""

    def __init__(self, *args, env=None, wait=True, timeout=120):
        self.lines = []
        self.port = None
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            [BINARY, "--port", "0", *args], stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if wait:
            assert self._ready.wait(timeout), self.log()
            assert self.port, self.log()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            m = re.search(r"listening on http://[^:]+:(\d+)/", line)
            if m:
                self.port = int(m.group(1))
                self._ready.set()
        self._ready.set()

    def log(self):
        return "".join(self.lines)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, **kw):
        return openai.OpenAI(base_url=self.url + "/v1", max_retries=0,
                             api_key=kw.pop("api_key", "none"), timeout=120,
                             **kw)

    def async_client(self):
        return openai.AsyncOpenAI(base_url=self.url + "/v1", api_key="none",
                                  max_retries=0, timeout=240)

    def post(self, path, body, **kw):
        return httpx.post(self.url + path, json=body, timeout=120, **kw)

    def health(self):
        return httpx.get(self.url + "/health", timeout=10).json()

    def wait_idle(self, seconds=10):
        """Nothing runs or waits and every cache block is back."""
        end = time.monotonic() + seconds
        while True:
            h = self.health()
            idle = (h["running"] == 0 and h["waiting"] == 0
                    and h["free_blocks"] == h["total_blocks"])
            if idle:
                return
            assert time.monotonic() < end, h
            time.sleep(0.02)

    def stop(self, seconds=40):
        """SIGTERM, and the exit status; a daemon that hangs fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not stop: " + self.log())
        self._reader.join(5)
        return code


@pytest.fixture(scope="session")
def demo():
    d = Daemon()
    yield d
    assert d.stop() == 0, d.log()


@pytest.fixture(scope="session")
def oracle_name():
    names = sorted(p.parent.name for p in CHECKPOINTS.glob("*/golden.json"))
    assert names
    return names[0]


@pytest.fixture(scope="session")
def oracle(oracle_name):
    # float32 goldens to 1e-3 need float32 keys and values
    d = Daemon("--model", str(CHECKPOINTS / oracle_name), "--cache-type", "f32")
    yield d
    assert d.stop() == 0, d.log()


@pytest.fixture(scope="session")
def demo_golden():
    return json.loads((DEMO / "golden.json").read_text())


@pytest.fixture(scope="session")
def start():
    """start(*args) -> Daemon, for tests that need their own."""
    running = []

    def make(*args, **kw):
        d = Daemon(*args, **kw)
        running.append(d)
        return d
    yield make
    for d in running:
        if d.process.poll() is None:
            d.stop()
