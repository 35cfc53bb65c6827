"""Node's clients against the bundled model: each script of node/ does its jobs
and says what it got; what that must be is said here."""
import json
import pathlib
import subprocess

import pytest
from asked import Pick

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "build/clients-node"  # where npm has installed what they need


@pytest.fixture(scope="module")
def run(demo):
    def go(script):
        p = subprocess.run(["node", SCRIPTS / script, demo.url],
                           capture_output=True, text=True, timeout=55)
        assert p.returncode == 0, p.stderr[-3000:]
        return json.loads(p.stdout)
    return go


def test_openai_node(run):
    r = run("openai_node.mjs")
    assert r["whole"] == r["streamed"] == r["deltas"] != ""
    assert r["usage"][0] == r["usage"][1] > 0
    Pick.model_validate(r["parsed"])
    Pick.model_validate(r["response"])
    assert r["called"] == [{"city": "Paris"}, {"city": "Rome"}]
    assert r["forced"] == [["city"]]
    for loop in r["loops"]:
        assert "21" in loop["said"]
        assert loop["roles"] == ["user", "assistant", "tool", "assistant"]
    assert r["events"][0] == "response.created"
    assert r["events"][-1] == "response.completed"
    assert r["embeddings"] == [192, 192] and r["models"] == ["demo"]
    refused = r["refused"]
    assert refused.pop("request").startswith("req_")
    assert refused == {"name": "BadRequestError", "status": 400,
                       "param": "top_p"}


def test_ai_sdk(run):
    r = run("ai_sdk.mjs")
    assert r["whole"] == r["deltas"] != "" and r["finish"] == "stop"
    assert r["usage"][0] == r["usage"][1] > 0
    assert r["loop"]["steps"] == 2 and "21" in r["loop"]["said"]
    assert r["loop"]["input"] == [{"city": "Paris"}]
    assert r["run"]["input"] == [{"city": "Paris"}, {"city": "Rome"}]
    parts = r["run"]["parts"]
    assert [p for p in parts if p in ("tool-call", "tool-result", "finish")] == [
        "tool-call"] * 2 + ["tool-result"] * 2 + ["finish"]
    assert parts.count("tool-input-delta") > 2 and "error" not in parts
    assert r["choices"]["none"] == []
    for forced in (r["choices"]["required"], r["choices"]["named"]):
        assert forced and all(keys == ["city"] for keys in forced)
    Pick.model_validate(r["object"])
    Pick.model_validate(r["streamed"])
    assert r["partial"] > 1
    assert r["thought"]["reasoning"] and "42" in r["thought"]["said"]
    assert r["embeddings"] == [192, 192]
    assert r["refused"]["status"] == 400 and "top_p" in r["refused"]["message"]


def test_langchain_js(run):
    r = run("langchain.mjs")
    assert r["whole"] == r["deltas"] != "" and r["tokens"] > 0
    assert r["input"] == [{"city": "Paris"}, {"city": "Rome"}]
    assert "Paris" in r["last"] and "Rome" in r["last"]
    assert r["forced"] == [["city"]]
    for pick in r["picks"].values():
        Pick.model_validate(pick)
