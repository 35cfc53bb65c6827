"""Runs the peers' own tests (fetch.py got them) against a binary of lfmd.

    run.py PEERS_DIR LFMD_BINARY [llama | vllm]
"""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "model" / "demo"
RANDOM = HERE.parent / "oracle" / "checkpoints" / "hub-bf16"


def pytest(adapter, folder, tests, env, *args):
    env = {**os.environ, **env, "HF_HUB_OFFLINE": "1",
           "PYTHONPATH": f"{HERE}{os.pathsep}."}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", adapter, "-q", "--timeout=60",
         "-W", "ignore", "--tb=short", "-p", "no:cacheprovider", *args, *tests],
        cwd=folder, env=env).returncode


def llama(peers, binary):
    return pytest("llama_adapter", peers / "llama/tools/server/tests", ["unit"],
                  {"LFMD_PEER_BINARY": binary, "LFMD_PEER_DEMO": str(DEMO),
                   "LFMD_PEER_RANDOM": str(RANDOM)}, "-m", "not slow")


def vllm(peers, binary):
    """Only the files that the list names: the others need vLLM at import."""
    root = peers / "vllm"
    wanted = {line.removeprefix("- ").removeprefix("? ").partition("::")[0]
              for line in (HERE / "vllm_tests.txt").read_text().splitlines()
              if "::" in line and not line.startswith("#")}
    files = sorted(str(p.relative_to(root)) for p in root.rglob("test_*.py")
                   if p.name in wanted)
    return pytest("vllm_adapter", root, files,
                  {"LFMD_PEER_BINARY": binary, "LFMD_PEER_MODEL": str(DEMO)})


if __name__ == "__main__":
    where, lfmd = Path(sys.argv[1]).resolve(), str(Path(sys.argv[2]).resolve())
    suites = {"llama": llama, "vllm": vllm}
    chosen = sys.argv[3:] or list(suites)
    sys.exit(max(suites[name](where, lfmd) for name in chosen))
