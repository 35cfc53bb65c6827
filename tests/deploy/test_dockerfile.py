"""The Dockerfile without a container engine: its build stage's commands in
order, on this machine, and a linter over the file."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def test_the_linter_has_nothing_to_say():
    hadolint = pathlib.Path(sys.executable).parent / "hadolint"
    r = subprocess.run([hadolint, "--failure-threshold", "warning",
                        ROOT / "Dockerfile"], capture_output=True,
                       text=True)
    assert r.returncode == 0, r.stdout + r.stderr


def test_the_image_is_slim_unprivileged_and_watched():
    run = TEXT.split("FROM ")[-1]
    assert "-slim" in run.splitlines()[0]
    assert re.search(r"^USER \d+", run, re.M)
    assert "STOPSIGNAL SIGTERM" in run
    assert re.search(r"^HEALTHCHECK .*\n.*lfmd\", \"healthcheck\"", run, re.M)
    assert re.search(r'^ENTRYPOINT \["/usr/bin/lfmd"\]', run, re.M)
    assert "build-essential" not in run and "-dev" not in run


def build_commands():
    stage = TEXT.split(" AS build", 1)[1].split("\nFROM ", 1)[0]
    joined = re.sub(r"\\\n\s*", "", stage)
    return [line[4:] for line in joined.splitlines()
            if line.startswith("RUN ")]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("apt-get"),
                    reason="the build stage runs as root on Debian")
def test_the_build_stage_builds(tmp_path):
    source, out = tmp_path / "src", tmp_path / "out"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True,
                           capture_output=True).stdout.decode().split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    commands = build_commands()
    assert len(commands) >= 3
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    for command in commands:
        # The machine's own package lists are not an image's to delete.
        command = command.replace("/out", str(out)).replace(
            " && rm -rf /var/lib/apt/lists/*", "")
        r = subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=source, env=env,
                           capture_output=True, text=True, timeout=280)
        assert r.returncode == 0, command + r.stdout[-2000:] + r.stderr[-2000:]
    packages = (out / "usr/share/lfmd/packages").read_text().split()
    assert any(p.startswith("libmicrohttpd") for p in packages)
    assert any("openblas" in p for p in packages)
    binary = out / "usr/bin/lfmd"
    assert subprocess.run([binary, "--version"], capture_output=True).stdout
    assert (out / "usr/share/lfmd/demo/model.safetensors").exists()
