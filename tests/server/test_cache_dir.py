"""--cache-dir: what one process computed, the next need not, and whatever lies
there keeps no daemon from serving."""
import os
import re
import signal
import stat
import time

import pytest

from test_life import run
from test_prefix import ask, chat, text, usage

BODY = chat("Where is the bridge?")
NEXT = chat("Where is the bridge?", "Behind the mill.", "And the bakery?")


def only_file(folder):
    names = os.listdir(folder)
    assert len(names) == 1 and re.fullmatch(r"prefix-[0-9a-f]{16}\.lfmd",
                                            names[0]), names
    return folder / names[0]


def wait_for(d, pattern, seconds=20):
    end = time.monotonic() + seconds
    while not re.search(pattern, d.log()):
        assert time.monotonic() < end, d.log()
        time.sleep(0.02)


def fill(start, folder, *args):
    """A process that leaves a file behind; its answers."""
    d = start("--cache-dir", str(folder), *args)
    answers = [ask(d, b) for b in (BODY, NEXT)]
    assert usage(answers[0])[1] == 0
    assert d.stop() == 0, d.log()
    return answers


def check_warm(start, folder, want, *args):
    d = start("--cache-dir", str(folder), *args)
    got = [ask(d, b) for b in (BODY, NEXT)]
    assert [text(a) for a in got] == [text(a) for a in want]
    for answer in got:
        n, cached = usage(answer)
        assert n - 1 - 64 <= cached < n
    d.wait_idle()
    return d


def check_cold(start, folder, want, said, *args):
    d = start("--cache-dir", str(folder), *args)
    got = [ask(d, b) for b in (BODY, NEXT)]
    assert [text(a) for a in got] == [text(a) for a in want]
    assert usage(got[0])[1] == 0
    assert re.search(said, d.log()), d.log()
    assert d.stop() == 0


@pytest.mark.parametrize("kind", ["f16", "q8"])
def test_the_next_process_goes_on_where_the_last_one_was(start, tmp_path, kind):
    folder = tmp_path / "kv"
    want = fill(start, folder, "--cache-type", kind)
    file = only_file(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    d = check_warm(start, folder, want, "--cache-type", kind)
    assert d.stop() == 0
    assert only_file(folder) == file
    other = "f16" if kind == "q8" else "q8"
    d = start("--cache-dir", str(folder), "--cache-type", other)
    assert usage(ask(d, BODY))[1] == 0
    assert d.stop() == 0
    assert len(os.listdir(folder)) == 2


def test_a_signal_saves_while_it_serves(start, tmp_path):
    d = start("--cache-dir", str(tmp_path))
    want = [ask(d, b) for b in (BODY, NEXT)]
    d.process.send_signal(signal.SIGUSR1)
    wait_for(d, r"saved \d+ blocks")
    assert text(ask(d, BODY)) == text(want[0])
    d.wait_idle()
    d.process.kill()
    d.process.wait()
    d = check_warm(start, tmp_path, want)
    d.process.send_signal(signal.SIGUSR1)
    wait_for(d, r"saved \d+ blocks")
    assert d.stop() == 0


def test_a_signal_without_a_directory_harms_nobody(start):
    d = start()
    d.process.send_signal(signal.SIGUSR1)
    wait_for(d, "no --cache-dir")
    assert d.health()["running"] == 0
    assert d.stop() == 0


def test_signals_until_the_end_do_not_change_it(start, tmp_path):
    d = start("--cache-dir", str(tmp_path))
    ask(d, BODY)
    d.process.send_signal(signal.SIGTERM)
    while d.process.poll() is None:
        d.process.send_signal(signal.SIGUSR1)
        d.process.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    assert d.process.returncode == 0, d.log()
    only_file(tmp_path)


@pytest.mark.parametrize("obstacle", [
    os.mkdir, os.mkfifo, lambda p: os.symlink("/dev/zero", p),
    lambda p: os.symlink(p, p)])
def test_what_is_no_file_is_a_warning(start, tmp_path, obstacle):
    want = fill(start, tmp_path)
    file = only_file(tmp_path)
    file.unlink()
    obstacle(file)
    check_cold(start, tmp_path, want,
               "(no file|symbolic links).*; the prefix cache starts empty")


def test_tenants_stay_apart(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("one\ntwo\n")
    folder = tmp_path / "kv"
    args = ["--cache-dir", str(folder), "--api-key-file", str(keys)]
    d = start(*args)
    ask(d, BODY, "one")
    assert d.stop() == 0
    d = start(*args)
    assert usage(ask(d, BODY, "two"))[1] == 0
    n, cached = usage(ask(d, BODY, "one"))
    assert n - 65 <= cached < n
    assert d.stop() == 0


def test_a_smaller_cache_keeps_what_was_used_last(start, tmp_path):
    d = start("--cache-dir", str(tmp_path))
    for i in range(8):
        ask(d, chat(f"{i} is my number", cache_salt=str(i)))
    assert d.stop() == 0
    d = start("--cache-dir", str(tmp_path), "--cache-size", "1M",
              "--ctx-size", "512")
    assert "no room" in d.log()
    n, cached = usage(ask(d, chat("7 is my number", cache_salt="7")))
    assert n - 65 <= cached < n
    assert usage(ask(d, chat("0 is my number", cache_salt="0")))[1] == 0
    assert d.stop() == 0


@pytest.mark.parametrize("damage, said", [
    (lambda b: b[:-1], "is damaged"),
    (lambda b: b[:40], "became shorter"),
    (lambda b: b"", "became shorter"),
    (lambda b: b + b"x", "is damaged"),
    (lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], "record 1 does not"),
    (lambda b: b[:-9000] + bytes(8) + b[-8992:], "record .* does not"),
    (lambda b: b"x" * len(b), "is no saved prefix cache"),
])
def test_a_damaged_file_is_a_warning(start, tmp_path, damage, said):
    want = fill(start, tmp_path)
    file = only_file(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    check_cold(start, tmp_path, want, said + ".*; the prefix cache starts empty")
    check_warm(start, tmp_path, want).stop()  # it was written anew


def test_a_file_of_others_is_a_warning(start, tmp_path):
    want = fill(start, tmp_path)
    file = only_file(tmp_path)
    other = fill(start, tmp_path, "--isa", "ref")
    (name,) = set(os.listdir(tmp_path)) - {file.name}
    (tmp_path / name).rename(file)
    check_cold(start, tmp_path, want, "of another model, version or setting")
    assert len(other) == 2


def test_without_the_prefix_cache_nothing_is_touched(start, tmp_path):
    want = fill(start, tmp_path)
    before = only_file(tmp_path).read_bytes()
    d = start("--cache-dir", str(tmp_path), "--prefix-cache=false")
    assert usage(ask(d, BODY))[1] == 0
    assert d.stop() == 0
    assert only_file(tmp_path).read_bytes() == before
    check_warm(start, tmp_path, want).stop()


@pytest.mark.parametrize("obstacle", [os.mkdir, os.mkfifo])
def test_a_save_that_fails_leaves_the_old_file(start, tmp_path, obstacle):
    folder = tmp_path / "kv"
    want = fill(start, folder)
    before = only_file(folder).read_bytes()
    d = start("--cache-dir", str(folder))
    ask(d, chat("Something new"))
    part = folder / (only_file(folder).name + ".part")
    obstacle(part)  # it cannot be written, and must not be waited for
    assert d.stop(10) == 0, d.log()
    assert "the prefix cache is not saved" in d.log()
    part.rmdir() if part.is_dir() else part.unlink()
    assert only_file(folder).read_bytes() == before
    check_warm(start, folder, want).stop()


@pytest.mark.parametrize("where, said", [
    ("missing/deeper", "cannot make the directory"),
    ("file", "is no directory"),
    ("x" * 5000, "characters"),
])
def test_a_directory_that_cannot_be_is_an_error_at_start(tmp_path, where, said):
    (tmp_path / "file").write_text("")
    r = run("--port", "0", "--cache-dir", str(tmp_path / where))
    assert r.returncode == 1
    last = r.stderr.strip().splitlines()[-1]
    assert last.startswith("lfmd: cache-dir: ") and said in last, r.stderr
