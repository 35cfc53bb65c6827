"""A pytest plugin that lets llama-server's own tests run against lfmd.

Their files stay as they are.  What this changes, and why:

- the server they start is llama_shim.py, on a free port; in the place of
  stories260K stands the demo model, or where long answers are wanted, which it
  does not give, a checkpoint with random weights (RANDOM);
- what that model would say cannot be asked of another one, so a regular
  expression that stands for its words (TEXTS) matches anything;
- flags that are a request's business in lfmd (--temp, --seed, --n-predict,
  --reasoning, --verbose) become fields of each request (as_request);
- where llama-server and OpenAI differ lfmd does as OpenAI does, and the answer
  is put in llama-server's words before the test sees it (as_llama): the first
  delta's content is "" and not null, system_fingerprint is a version without
  the "b" of a build number, a prompt too long is an invalid_request_error with
  a code; and POST /completions is OpenAI's, theirs is /completion.

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


RANDOM = {"test_completion.py", "test_ctx_shift.py",
          "test_chat_completion_stream"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def as_llama(body, first):
    if not isinstance(body, dict):
        return body
    if "system_fingerprint" in body:
        body["system_fingerprint"] = "b" + body["system_fingerprint"]
    for choice in body.get("choices", []) if first else []:
        if choice.get("delta", {}).get("content") == "":
            choice["delta"]["content"] = None
    error = body.get("error")
    if isinstance(error, dict) and error.get("code") == "context_length_exceeded":
        error["type"] = "exceed_context_size_error"
    return body


def as_request(server, path, data):
    """The path and the body, with what the server was started with."""
    if path == "/completions":
        path = "/completion"
    if not isinstance(data, dict):
        return path, data
    given = {}
    if path.endswith(("/completion", "/completions")):
        given = {"temperature": server.temperature, "seed": server.seed}
        length = "n_predict" if path == "/completion" else "max_tokens"
        limits = {"n_predict", "max_tokens", "max_completion_tokens"}
        if server.n_predict and not limits & set(data):
            given[length] = server.n_predict
            if server.n_predict < 0 and length == "max_tokens":
                del given[length]
    if "messages" in data:
        given["chat_template_kwargs"] = {
            "enable_thinking": server.reasoning != "off"}
        if server.debug:
            given["verbose"] = True
    return path, {**given, **data}


def adapt(utils):
    match, stream = utils.match_regex, utils.ServerProcess.make_stream_request
    request = utils.ServerProcess.make_request

    def match_regex(regex, text):
        return regex in TEXTS or match(regex, text)

    def make_stream_request(self, method, path, data=None, *args, **kw):
        path, data = as_request(self, path, data)
        try:
            for i, chunk in enumerate(stream(self, method, path, data, *args,
                                             **kw)):
                yield as_llama(chunk, i == 0)
        except utils.ServerError as e:
            as_llama(e.body, False)
            raise

    def make_request(self, method, path, data=None, *args, **kw):
        path, data = as_request(self, path, data)
        result = request(self, method, path, data, *args, **kw)
        as_llama(result.body, False)
        return result

    utils.match_regex = match_regex
    utils.ServerProcess.make_stream_request = make_stream_request
    utils.ServerProcess.make_request = make_request
    utils.ServerPreset.load_all = staticmethod(lambda: None)


def read_skips(path):
    skips = {}
    for line in path.read_text().splitlines():
        name, colon, reason = line.partition(": ")
        if colon and not line.startswith("#"):
            strict = not name.startswith("? ")
            skips[name.removeprefix("? ")] = (reason, strict)
    return skips


def pytest_configure(config):
    os.environ["PORT"] = str(free_port())
    os.environ["LLAMA_SERVER_BIN_PATH"] = str(HERE / "llama_shim.py")
    import utils
    adapt(utils)


@pytest.fixture(autouse=True)
def model(request):
    names = {request.path.name, request.node.originalname}
    which = "LFMD_PEER_RANDOM" if names & RANDOM else "LFMD_PEER_DEMO"
    os.environ["LFMD_PEER_MODEL"] = os.environ[which]


def pytest_collection_modifyitems(items):
    """A listed file is not run.  A listed test is, and must fail."""
    skips = read_skips(HERE / "llama_skips.txt")
    used = set()
    for item in items:
        file = Path(item.fspath).name
        for name in (f"{file}::{item.originalname}", file):
            if name not in skips:
                continue
            reason, strict = skips[name]
            used.add(name)
            item.add_marker(pytest.mark.skip(reason=reason) if name == file else
                            pytest.mark.xfail(reason=reason, strict=strict))
            break
    unused = set(skips) - used
    if unused:
        raise pytest.UsageError(f"listed, but no such test: {sorted(unused)}")


def pytest_terminal_summary(terminalreporter):
    """How many functions pass in every case."""
    stats, names = terminalreporter.stats, {}
    for outcome in ("passed", "xpassed", "failed", "xfailed", "error"):
        for report in stats.get(outcome, []):
            name = report.nodeid.partition("[")[0]
            names.setdefault(name, set()).add(outcome)
    whole = sum(outcomes == {"passed"} for outcomes in names.values())
    terminalreporter.write_line(f"{whole} functions pass in every case")
