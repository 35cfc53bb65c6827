"""Fixtures are in conftest_daemon.py, which tests/deploy shares."""
from conftest_daemon import *  # noqa: F401,F403
