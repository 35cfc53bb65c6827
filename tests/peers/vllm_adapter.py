"""A pytest plugin that lets vLLM's own entrypoint tests run against lfmd.

Their files stay as they are.  They import vLLM and torch, but what they need of
them to speak to a server is little: this stands in for it.

- tests.utils.RemoteOpenAIServer starts lfmd, on a checkpoint of ours in the
  place of the named one, and hands out OpenAI clients;
- vllm.tokenizers.get_tokenizer is that checkpoint's tokenizer;
- everything else in vllm and torch is an empty object, so a test that really
  needs them fails and is listed.

vllm_tests.txt lists what is run, and with its reason what cannot hold here,
which is run too and must fail.
"""
import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
import threading
import types
from pathlib import Path
from unittest.mock import MagicMock

import openai
import pytest

HERE = Path(__file__).resolve().parent
MODEL = os.environ["LFMD_PEER_MODEL"]
KEPT = {"--max-model-len": "--ctx-size", "--max-num-seqs": "--parallel",
        "--served-model-name": "--alias", "--api-key": "--api-key"}


class RemoteOpenAIServer:
    DUMMY_API_KEY = "token-abc123"

    def __init__(self, model, vllm_serve_args, **_):
        args = ["--model", MODEL, "--port", "0", "--log-level", "info",
                "--alias", model]
        given = [str(a) for a in vllm_serve_args]
        for flag, value in zip(given, given[1:]):
            if flag in KEPT:
                args += [KEPT[flag], value]
        self.process = subprocess.Popen(
            [os.environ["LFMD_PEER_BINARY"], *args], stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True)
        self.url_root = self._address()
        self.host, self.port = self.url_root.rpartition("/")[2].split(":")

    def _address(self):
        """From the banner; what is logged after that nobody reads."""
        for line in self.process.stderr:
            if line.startswith("listening on http://127.0.0.1:"):
                break
        else:
            raise RuntimeError("lfmd did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return line.split()[2].removesuffix("/v1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def url_for(self, *parts):
        return "/".join([self.url_root, *parts])

    def get_client(self, **kw):
        return openai.OpenAI(base_url=self.url_for("v1"),
                             api_key=self.DUMMY_API_KEY, max_retries=0,
                             **{"timeout": 60, **kw})

    def get_async_client(self, **kw):
        return openai.AsyncOpenAI(base_url=self.url_for("v1"),
                                  api_key=self.DUMMY_API_KEY, max_retries=0,
                                  **{"timeout": 60, **kw})

    def get_client_anthropic(self, **kw):
        import anthropic
        return anthropic.Anthropic(base_url=self.url_for(), max_retries=0,
                                   api_key=self.DUMMY_API_KEY, **kw)

    get_async_client_anthropic = None


class Hollow(types.ModuleType):
    """A module that has every name."""
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = MagicMock(name=f"{self.__name__}.{name}")
        if name.endswith(("Error", "Exception")):
            value = type(name, (Exception,), {})
        setattr(self, name, value)
        return value


class HollowFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    ROOTS = {"vllm", "torch", "pybase64", "schemathesis", "hypothesis",
             "fastapi", "openai_harmony", "mcp"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.ROOTS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Hollow(spec.name)

    def exec_module(self, module):
        pass


def get_tokenizer(*_, **__):
    from transformers import AutoTokenizer
    return AutoTokenizer.from_pretrained(MODEL)


def read_list():
    """{name: None to pass, or (reason, strict) to fail}"""
    names = {}
    for line in (HERE / "vllm_tests.txt").read_text().splitlines():
        if line.startswith(("- ", "? ")):
            name, _, reason = line[2:].partition(": ")
            names[name] = (reason, line[0] == "-")
        elif line and not line.startswith("#"):
            names[line] = None
    return names


def stand_in():
    """Before pytest reads their conftest files."""
    sys.meta_path.append(HollowFinder())
    utils = types.ModuleType("tests.utils")
    utils.RemoteOpenAIServer = RemoteOpenAIServer
    utils.ROCM_EXTRA_ARGS, utils.ROCM_ENV_OVERRIDES = [], {}
    utils.multi_gpu_only = lambda **_: pytest.mark.skip(reason="two GPUs")
    utils.requires_fp8 = pytest.mark.skip(reason="a GPU")
    sys.modules["tests.utils"] = utils
    import vllm.tokenizers
    vllm.tokenizers.get_tokenizer = get_tokenizer


stand_in()


def pytest_collection_modifyitems(items):
    names, keep, seen = read_list(), [], set()
    for item in items:
        name = f"{Path(item.fspath).name}::{item.originalname}"
        if name not in names:
            continue
        seen.add(name)
        keep.append(item)
        if names[name] is not None:
            reason, strict = names[name]
            item.add_marker(pytest.mark.xfail(reason=reason, strict=strict))
    missing = set(names) - seen
    if missing:
        raise pytest.UsageError(f"listed, but no such test: {sorted(missing)}")
    items[:] = keep


from llama_adapter import pytest_terminal_summary  # noqa: E402,F401
