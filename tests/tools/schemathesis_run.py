#!/usr/bin/env python3
"""make test-schemathesis: a daemon, and requests that schemathesis makes up
from its /openapi.json: the argument says how many for each operation.

That what a schema allows is accepted is not asked here: schemathesis cannot
read x-refusal, tests/server/test_matrix.py can.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/server"))
from conftest_daemon import Daemon  # noqa: E402


def main():
    cases = sys.argv[1] if len(sys.argv) > 1 else "100"
    d = Daemon()
    try:
        code = subprocess.run(
            [pathlib.Path(sys.executable).parent / "schemathesis", "run",
             d.url + "/openapi.json", "--phases", "examples,coverage,fuzzing",
             "--max-examples", cases, "--request-timeout", "60",
             "--exclude-checks", "positive_data_acceptance",
             "--generation-database", "none"], cwd=ROOT / "build").returncode
        d.wait_idle()
    finally:
        stopped = d.stop()
    return code or stopped


if __name__ == "__main__":
    sys.exit(main())
