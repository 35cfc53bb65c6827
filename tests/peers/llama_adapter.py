"""A pytest plugin that lets llama-server's own tests run against lfmd.

Their files stay as they are.  What this changes, and why:

- the server they start is llama_shim.py, on a free port, on a checkpoint with
  random weights in the place of stories260K;
- what that model would say cannot be asked of another one, so a regular
  expression that stands for its words (TEXTS) matches anything;
- where llama-server and OpenAI differ, lfmd does as OpenAI does, and the answer
  is put in llama-server's words before the test sees it (see_as_llama): the
  first delta's content is "" and not null, and system_fingerprint is a version
  without the "b" of a build number.

Tests that cannot hold here are listed with their reason in llama_skips.txt; one
that is listed and passes is an error, so the list stays true.
"""
import os
import socket
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TEXTS = {
    "(Suddenly)+", "(Aside|she|felter|alonger)+", "(going|bed)+",
    "(princesses|everyone|kids|Anna|forest)+", "(\\{|John)+", "[ -3000 ]",
    "(Suddenly)+|\\{ \" Sarax.", "But she couldn't", "^ blue", "Whillicter",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def see_as_llama(chunk, first):
    if isinstance(chunk, dict) and "system_fingerprint" in chunk:
        chunk["system_fingerprint"] = "b" + chunk["system_fingerprint"]
    for choice in chunk.get("choices", []) if first else []:
        if choice.get("delta", {}).get("content") == "":
            choice["delta"]["content"] = None
    return chunk


def adapt(utils):
    match, stream = utils.match_regex, utils.ServerProcess.make_stream_request
    request = utils.ServerProcess.make_request

    def match_regex(regex, text):
        return regex in TEXTS or match(regex, text)

    def make_stream_request(self, *args, **kw):
        for i, chunk in enumerate(stream(self, *args, **kw)):
            yield see_as_llama(chunk, i == 0)

    def make_request(self, *args, **kw):
        result = request(self, *args, **kw)
        if isinstance(result.body, dict):
            see_as_llama(result.body, False)
        return result

    utils.match_regex = match_regex
    utils.ServerProcess.make_stream_request = make_stream_request
    utils.ServerProcess.make_request = make_request
    utils.ServerPreset.load_all = staticmethod(lambda: None)


def read_skips(path):
    skips = {}
    for line in path.read_text().splitlines():
        name, colon, reason = line.partition(":")
        if colon and not line.startswith("#"):
            skips[name.strip()] = reason.strip()
    return skips


def pytest_configure(config):
    os.environ["PORT"] = str(free_port())
    os.environ["LLAMA_SERVER_BIN_PATH"] = str(HERE / "llama_shim.py")
    import utils
    adapt(utils)


def pytest_collection_modifyitems(items):
    """A listed file is not run.  A listed test, or one of its cases, is, and
    must fail."""
    skips = read_skips(HERE / "llama_skips.txt")
    used = set()
    for item in items:
        file = Path(item.fspath).name
        for name in (f"{file}::{item.name}", f"{file}::{item.originalname}",
                     file):
            if name in skips:
                mark = pytest.mark.skip if name == file else pytest.mark.xfail
                kw = {} if name == file else {"strict": True}
                item.add_marker(mark(reason=skips[name], **kw))
                used.add(name)
                break
    unused = set(skips) - used
    if unused and not os.environ.get("LFMD_PEER_SOME"):
        raise pytest.UsageError(f"listed, but no such test: {sorted(unused)}")
