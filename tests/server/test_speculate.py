"""Guessing ahead changes how long an answer takes and nothing that it says."""
import json

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

TEXT = "The fox went to the river, and the owl went to the mountain. " * 6
GREEDY = {"temperature": 0, "repetition_penalty": 1.0, "max_tokens": 160,
          "ignore_eos": True}
CHANCE = {**GREEDY, "temperature": 1.0, "top_p": 0.9, "seed": 7}
AHEAD = {"speculative.n_max": 16}


def chat(**kw):
    return {"messages": [{"role": "user", "content": TEXT}], **GREEDY, **kw}


def ask(d, body):
    r = d.post("/v1/chat/completions", body)
    assert r.status_code == 200, r.text
    answer = r.json()
    usage = {k: answer["usage"][k]
             for k in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return answer["choices"], usage


def drafts(d):
    """How many, of how many tokens, of which so many were right, by place."""
    found = {}
    for f in text_string_to_metric_families(httpx.get(d.url + "/metrics").text):
        for s in f.samples:
            if s.name.startswith("vllm:spec_decode_num_"):
                name = s.name.removeprefix("vllm:spec_decode_num_")
                found.setdefault(name, []).append(
                    (s.labels.get("position"), s.value))
    def one(name):
        (_, n), = found[name]
        return n
    places = found["accepted_tokens_per_pos_total"]
    assert [p for p, _ in places] == [str(i) for i in range(16)]
    by_place = [n for _, n in places]
    assert by_place == sorted(by_place, reverse=True)
    assert sum(by_place) == one("accepted_tokens_total")
    return one("drafts_total"), one("draft_tokens_total"), sum(by_place)


@pytest.mark.parametrize("how", [
    {}, CHANCE, {"n": 3, **CHANCE}, {"stop": ["owl"]}, {"min_tokens": 20},
    {"logprobs": True, "top_logprobs": 3}, {"presence_penalty": 0.5}])
def test_an_answer_is_the_same(demo, how):
    before = drafts(demo)
    want = ask(demo, chat(**how))
    assert drafts(demo) == before  # off unless asked for
    assert ask(demo, chat(**how, **AHEAD)) == want
    assert ask(demo, chat(**how, **{"speculative.n_max": 1})) == want


KEYS = ["identifier", "given_name", "family_name", "street_address",
        "postal_code", "telephone_number"]
FORCED = {"response_format": {"type": "json_schema", "json_schema": {
    "name": "person", "schema": {
        "type": "object", "required": KEYS, "additionalProperties": False,
        "properties": {k: {"type": "string", "maxLength": 6} for k in KEYS}}}},
    "structured_outputs": {"disable_any_whitespace": True}}


@pytest.mark.parametrize("how", [{}, {**CHANCE, "n": 3}])
def test_what_is_forced_is_drafted_unless_that_is_refused(demo, how):
    body = {**chat(**how, **FORCED), "ignore_eos": False}
    before = drafts(demo)
    want = ask(demo, {**body, "speculative.n_max": 0})
    assert drafts(demo) == before
    assert all(json.loads(c["message"]["content"]).keys() == set(KEYS)
               for c in want[0])
    assert ask(demo, body) == want
    assert drafts(demo)[0] > before[0]


def test_drafts_are_counted_and_many_are_right(demo):
    before = drafts(demo)
    _, usage = ask(demo, chat(**AHEAD))
    assert usage["completion_tokens"] == GREEDY["max_tokens"]
    n, tokens, right = (b - a for a, b in zip(before, drafts(demo)))
    assert 0 < n <= tokens and 0 < right <= tokens
    assert n + right <= GREEDY["max_tokens"]


def test_a_stream_is_the_same_too(demo):
    def stream(body):
        with httpx.stream("POST", demo.url + "/v1/chat/completions",
                          timeout=60, json={
                              **body, "stream": True, "return_token_ids": True,
                              "stream_options": {"include_usage": True}}) as r:
            events = [json.loads(line[6:]) for line in r.iter_lines()
                      if line.startswith("data: {")]
        usage = events[-1]["usage"]
        choices = [c for e in events for c in e["choices"]]
        ends = [c["finish_reason"] for c in choices if c["finish_reason"]]
        return ("".join(c["delta"].get("content") or "" for c in choices), ends,
                usage["prompt_tokens"], usage["completion_tokens"])
    want = stream(chat())
    assert want[1:] == (["length"], want[2], GREEDY["max_tokens"])
    assert stream(chat(**AHEAD)) == want


def test_the_server_may_guess_for_all_and_a_request_not(start):
    d = start("--draft-max", "8", "--parallel", "2")
    want = ask(d, chat(**{"speculative.n_max": 0}))
    assert drafts(d)[0] == 0
    assert ask(d, chat()) == want
    assert drafts(d)[0] > 0
    d.wait_idle()
    assert d.stop() == 0


@pytest.mark.parametrize("value", [-1, 17, 1.5, "4", True, [1]])
def test_what_is_no_number_of_tokens_is_refused(demo, value):
    for path, body in (("/v1/chat/completions", chat()),
                       ("/v1/completions", {"prompt": "x", "max_tokens": 1})):
        r = demo.post(path, {**body, "speculative.n_max": value})
        assert r.status_code == 400
        assert r.json()["error"]["param"] == "speculative.n_max"
