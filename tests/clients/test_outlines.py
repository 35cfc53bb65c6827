"""outlines against the bundled model: every type it can send as vLLM's
structured_outputs, and the schema it sends as OpenAI's response_format."""
import json
import re
import typing

import outlines
import pytest
from asked import Pick
from outlines.types import CFG, JsonSchema, Regex

GBNF = 'root ::= greeting " " [a-z]{1,8}\ngreeting ::= "hello" | "bye"\n'
SCHEMA = JsonSchema(json.dumps({
    "type": "object", "properties": {"a": {"type": "integer", "minimum": 0,
                                           "maximum": 99}},
    "required": ["a"], "additionalProperties": False}))


def number(text):
    return -1 < int(text) < 100


@pytest.fixture(scope="module")
def vllm(demo):
    return outlines.from_vllm(demo.client(), "demo")


@pytest.mark.parametrize("kind,holds", [
    (Pick, Pick.model_validate_json),
    (SCHEMA, lambda s: number(json.loads(s)["a"])),
    (Regex("[0-9]{3}-[a-f]{2}"),
     lambda s: re.fullmatch("[0-9]{3}-[a-f]{2}", s)),
    (typing.Literal["yes", "no"], lambda s: s in ("yes", "no")),
    (CFG(GBNF), lambda s: re.fullmatch("(hello|bye) [a-z]{1,8}", s)),
], ids=["pydantic", "schema", "regex", "choice", "grammar"])
def test_an_answer_is_of_its_type(vllm, kind, holds):
    whole = vllm("Hello!", kind, max_tokens=60, temperature=0)
    assert holds(whole)
    assert "".join(vllm.stream("Hello!", kind, max_tokens=60,
                               temperature=0)) == whole


def test_openai_s_way(demo):
    model = outlines.from_openai(demo.client(), "demo")
    assert Pick.model_validate_json(model("Hello!", Pick, max_tokens=60))
    assert number(json.loads(model("Hello!", SCHEMA, max_tokens=60))["a"])
    assert model("Hello!", max_tokens=60)
