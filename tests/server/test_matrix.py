"""Every field that the document knows, on every endpoint that takes it, with
every kind of wrong value: what the field's schema forbids is a 400 that names
the field, what it allows is a 200 (or, where x-refusal says why, a 400); never
a 5xx, a hang, a dead daemon or one that grows."""
import http.client
import json
import pathlib
import re

import httpx
import pytest

import document
from conftest_daemon import BINARY, ROOT

DEEP = {}
for _ in range(50):
    DEEP = {"a": DEEP, "b": [1]}
VALUES = [None, True, False, -1, 0, 0.5, 1, 2, 3, 1.0, 1e308, -1e308, 2**31 - 1,
          2**31, -2**31 - 1, 2**63 - 1, -2**63, "", "x", "1", "-1", "NaN",
          "true", "null", "auto", "none", "\u0000", "a\u0000b", "\U0010ffff",
          "x" * 2000, "x" * 65536, [], [1], [0], [-1], [2**40], [[]], [[1]],
          ["a", 1], ["x"], [None], [True], [""], [{}], {}, {"a": 1},
          {"1": 1}, {"1": "x"}, {"1": 1e9}, {"-1": 1}, {"99999999": 1},
          {"type": "text"}, {"type": "function"}, {"type": 7},
          {"include_usage": 7}, [{"type": "function"}], [{"role": "user"}],
          [{"type": "function", "function": {"name": 7}}], DEEP]
# What no JSON reader should take, or ours does not: always a 400.
NO_JSON = ['"\\ud800"', '"\\udc00x"', "1e400", "-1e400", "9223372036854775808",
           "-9223372036854775809", "1" + "0" * 5000, "NaN", "-Infinity", "01",
           "+1", ".5", "'x'", '"\\x41"', '"\n"', "[1,]", '{"a":1,"a":2}',
           "[" * 80 + "]" * 80, '{"a":' * 80 + "1" + "}" * 80, "tru"]
# The same field by another name.
NAMES = {"max_completion_tokens": {"max_tokens"},
         "n_predict": {"max_tokens", "min_tokens"}, "n_cmpl": {"n"},
         "messages": {"input"}, "return_tokens": {"return_token_ids"}}
LENGTHS = {"max_tokens", "n_predict", "max_output_tokens"}
SANITIZED = "/san-" in BINARY
REQUESTS = list(document.requests())
SHORT = {"/chat/completions", "/completions", "/v1/tokenize", "/v1/detokenize",
         "/chat/completions/input_tokens", "/responses",
         "/responses/input_tokens", "/embeddings"}  # the same handlers by other paths
CASES = [(path, key) for path, schema, body in REQUESTS if path not in SHORT
         for key in sorted(document.members(schema, body))]


CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


@pytest.fixture(scope="module")
def d(start):
    d = start()
    assert d.post("/v1/chat/completions", CHAT).status_code == 200
    d.born = resident(d)
    return d


def resident(d):
    status = pathlib.Path(f"/proc/{d.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) << 10


def post(d, path, text):
    c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
    try:
        c.request("POST", path, text.encode(),
                  {"Content-Type": "application/json"})
        r = c.getresponse()
        return r.status, r.getheader("Content-Type"), r.read()
    finally:
        c.close()


def error(answer, what):
    status, kind, data = answer
    assert (status, kind) == (400, "application/json"), (what, answer)
    e = json.loads(data)["error"]
    assert e["type"] == "invalid_request_error" and e["message"], (what, e)
    return e


def edges(schema):
    """Just inside and just outside of every bound that the schema names."""
    for name, low in (("minimum", True), ("exclusiveMinimum", True),
                      ("maximum", False)):
        for bound in document.keyword(schema, name):
            yield from (bound, bound - 1 if low else bound + 1)
    for bound in document.keyword(schema, "maxLength"):
        yield from ("x" * bound, "x" * (bound + 1))
    for bound in document.keyword(schema, "maxItems"):
        yield from ([1] * (bound + 1), ["x"] * bound, ["x"] * (bound + 1))
    for bound in document.keyword(schema, "maxProperties"):
        yield {str(i): 0 for i in range(bound + 1)}
    for values in document.keyword(schema, "enum"):
        yield from values
        yield from (v + end for v in values if isinstance(v, str)
                    for end in ("\0", "\0x", " ", "x"))


def names(e, path):
    """The param is the field, one of its parents, or something in it; what is
    too long for the context is told of the prompt."""
    top = {path[0], *NAMES.get(path[0], ())}
    if e.get("code") == "context_length_exceeded":
        top |= {"messages", "prompt", "input"}
    return e.get("param") and re.split(r"[.\[]", e["param"])[0] in {
        re.split(r"[.\[]", t)[0] for t in top}


def check(d, path, field, body, schema, valid, answer):
    what = (path, document.spell(field), json.dumps(body)[:300])
    if valid and answer[0] == 200:
        return
    e = error(answer, what)
    assert names(e, field), (what, e)
    assert not valid or "NUL" in e["message"] or any(
        document.keyword(s, "x-refusal") for s in schema), (what, e)


def is_first(path):
    """Those after it share its schema and its parser: a sample is enough."""
    schema = next(s for p, s, _ in REQUESTS if p == path)
    return path == next(p for p, s, _ in REQUESTS if s == schema)


@pytest.mark.parametrize("path,key", CASES)
def test_a_field(d, path, key):
    schema, base = next((s, b) for p, s, b in REQUESTS if p == path)
    base = {k: 1 if k in LENGTHS else v for k, v in base.items()}
    whole = document.validator(schema)
    seen, above, step = set(), {}, 1 if is_first(path) else 5
    for field, sub, body in document.fields(schema, base):
        if field[0] != key:
            continue
        above[field] = sub
        chain = [above[field[:i]] for i in range(1, len(field) + 1)
                 if field[:i] in above]
        for value in [*VALUES, *edges(sub)][::step]:
            wrong = document.put(body, field, value)
            text = json.dumps(wrong)
            if text in seen or len(text) > 4 << 20:
                continue
            seen.add(text)
            check(d, path, field, wrong, chain, whole.is_valid(wrong),
                  post(d, path, text))
        mark = "\u0001here"
        for raw in NO_JSON[::step]:
            text = json.dumps(document.put(body, field, mark)).replace(
                json.dumps(mark), raw)
            e = error(post(d, path, text), (path, text[:300]))
            assert e["param"] == key, (e, text[:300])


@pytest.mark.parametrize("path", [p for p, _, _ in REQUESTS])
def test_what_is_required_is_missed_by_its_name(d, path):
    schema, base = next((s, b) for p, s, b in REQUESTS if p == path)
    for text in ("", " ", "{", "[]", "null", "7", '"x"', "true", "{}]",
                 '{"a":1}{"a":1}', "\ufeff{}", "{'a':1}", "\0", "[" * 100000):
        e = error(post(d, path, text), (path, text))
        assert e.get("param") is None or text == "", e
    for key in document.resolve(schema).get("required", []):
        rest = {k: v for k, v in base.items() if k != key}
        e = error(post(d, path, json.dumps(rest)), (path, rest))
        assert e["param"] == key
    assert post(d, path, json.dumps(base))[0] == 200


def test_what_nobody_knows_is_ignored(d):
    for path, _, base in REQUESTS:
        for value in VALUES:
            body = {**base, "max_tokens": 1, "nobody_knows": value,
                    "x" * 300: 1, "": 2}
            assert post(d, path, json.dumps(body))[0] == 200, (path, value)


def test_every_field_that_is_read_is_in_the_document():
    known = {key for _, schema, body in REQUESTS
             for key in document.members(schema, body)}
    read = set()
    for file in (ROOT / "api").rglob("*.c"):
        read |= set(re.findall(
            r'json_(?:get_\w+|object_get)\(\s*(?:body|root)\s*,\s*"([^"]+)"',
            file.read_text()))
    assert "tools" in read and "echo" in read
    assert read - known == set(), "say what it is in api/openapi.json"


def test_afterwards_it_answers_and_has_not_grown(d):
    d.wait_idle()
    assert d.post("/v1/chat/completions", CHAT).status_code == 200
    big = json.dumps({**CHAT, "x": ["x" * 1000] * 3000})
    for path, _, _ in REQUESTS:
        for _ in range(3):
            assert post(d, path, big)[0] in (200, 400)
    assert SANITIZED or resident(d) - d.born < 100 << 20


def test_the_document_is_a_document(d):
    from openapi_spec_validator import validate
    validate(httpx.get(d.url + "/openapi.json").json())
