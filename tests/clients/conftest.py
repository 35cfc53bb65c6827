"""The same daemons as tests/server."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "server"))
from conftest_daemon import *  # noqa: E402,F401,F403
