"""POST /completion, llama-server's own shape, on the demo model."""
import json

import httpx
import pytest


def post(d, body):
    return httpx.post(d.url + "/completion", json=body, timeout=60)


def ids_of(d, text):
    r = httpx.post(d.url + "/tokenize", json={"content": text,
                                              "add_special": True})
    return r.json()["tokens"]


def context_of(d):
    return httpx.get(d.url + "/v1/models").json()["data"][0]["max_model_len"]


def stream(d, body):
    with httpx.stream("POST", d.url + "/completion", timeout=60,
                      json={**body, "stream": True}) as r:
        assert r.status_code == 200
        lines = [line for line in r.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line[6:]) for line in lines]


BODY = {"prompt": "Hello", "n_predict": 12, "temperature": 0, "seed": 3}


def test_a_whole_answer_has_what_llama_server_tells(demo):
    r = post(demo, {**BODY, "stop": ["zzz"]}).json()
    assert r["stop"] is True and r["stop_type"] in ("limit", "eos")
    assert r["tokens"] == [] and r["tokens_predicted"] <= 12
    assert r["tokens_evaluated"] == len(ids_of(demo, "Hello"))
    assert r["prompt"].endswith("Hello") and r["truncated"] is False
    assert r["has_new_line"] == ("\n" in r["content"])
    s = r["generation_settings"]
    assert s["n_predict"] == 12 and s["seed"] == 3 and s["stop"] == ["zzz"]
    t = r["timings"]
    assert t["cache_n"] + t["prompt_n"] == r["tokens_evaluated"]
    assert t["predicted_n"] == r["tokens_predicted"]
    assert t["prompt_ms"] > 0


def test_streamed_and_whole_say_the_same(demo):
    whole = post(demo, {**BODY, "return_tokens": True}).json()
    chunks = stream(demo, BODY)
    assert [c["stop"] for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert "".join(c["content"] for c in chunks) == whole["content"]
    assert sum((c["tokens"] for c in chunks), []) == whole["tokens"]
    assert chunks[-1]["content"] == "" and chunks[-1]["tokens"] == []
    assert chunks[-1]["timings"]["predicted_n"] == whole["tokens_predicted"]
    assert chunks[-1]["has_new_line"] == whole["has_new_line"]
    assert chunks[-1]["generation_settings"]["stream"] is True
    lines = {**BODY, "grammar": 'root ::= "one" "\\n" "two"'}
    assert post(demo, lines).json()["has_new_line"] is True
    assert stream(demo, lines)[-1]["has_new_line"] is True
    assert whole["has_new_line"] is False


def test_prompts_of_every_shape(demo):
    ids = ids_of(demo, "Hello")
    want = post(demo, BODY).json()["content"]
    for prompt in (ids, {"prompt_string": "Hello"}, [ids[0], "Hello"],
                   ids[:1] + ids[1:]):
        assert post(demo, {**BODY, "prompt": prompt}).json()["content"] == want
    r = post(demo, {**BODY, "prompt": [ids, "Hello",
                                       {"prompt_string": "Hello"}]}).json()
    assert [c["index"] for c in r] == [0, 1, 2]
    assert [c["content"] for c in r] == [want] * 3


def test_probabilities_have_ids(demo):
    r = post(demo, {**BODY, "n_probs": 4, "return_tokens": True}).json()
    probs = r["completion_probabilities"]
    assert [p["id"] for p in probs] == r["tokens"][:len(probs)]
    for p in probs:
        assert len(p["top_logprobs"]) == 4 and p["logprob"] <= 0
        assert p["top_logprobs"][0]["id"] == p["id"]  # greedy
    probs = [p for c in stream(demo, {**BODY, "n_probs": 2})[:-1]
             for p in c["completion_probabilities"]]
    assert [p["id"] for p in probs] == r["tokens"][:len(probs)]


def test_a_length_beyond_the_context_is_cut(demo):
    r = post(demo, {"prompt": "a", "n_predict": 1000000, "ignore_eos": True,
                    "temperature": 0}).json()
    assert r["stop_type"] == "limit" and r["truncated"] is True
    assert r["tokens_evaluated"] + r["tokens_predicted"] == context_of(demo)


def test_what_stopped_it_is_named(demo):
    whole = post(demo, {**BODY, "n_predict": 40, "ignore_eos": True}).json()
    word = whole["content"][5:9]
    r = post(demo, {**BODY, "n_predict": 40, "ignore_eos": True,
                    "stop": [word]}).json()
    assert r["stop_type"] == "word" and r["stopping_word"] == word
    assert word not in r["content"]


def test_a_reply_of_nothing_leaves_the_prompt_in_the_cache(demo):
    body = {"prompt": "To be read before anybody asks. " * 12, "n_predict": 0}
    r = post(demo, body).json()
    assert r["content"] == "" and r["tokens_predicted"] == 0
    assert r["timings"]["cache_n"] < r["tokens_evaluated"] // 2
    assert [c["stop"] for c in stream(demo, body)] == [True]
    r = post(demo, {**body, "n_predict": 2}).json()
    assert r["timings"]["cache_n"] > r["tokens_evaluated"] // 2


def test_a_bias_on_what_is_no_number_is_on_its_text(demo):
    free = post(demo, BODY).json()["content"]
    ids = ids_of(demo, "1-2")[1:]

    def settings(key):
        r = post(demo, {**BODY, "logit_bias": {key: -1}}).json()
        return [b["token"] for b in r["generation_settings"]["logit_bias"]]
    assert settings("1-2") == ids and settings("12") == [12]
    assert settings("-") == ids_of(demo, "-")[1:]
    assert post(demo, {**BODY, "logit_bias": {"-1": 1}}).status_code == 400
    assert post(demo, {**BODY, "logit_bias": {}}).json()["content"] == free
    assert post(demo, {**BODY, "echo": True, "logprobs": 2,
                       "prompt_logprobs": 9}).json()["content"] == free


@pytest.mark.parametrize("field,value,param", [
    ("n_predict", -2, "n_predict"),
    ("n_predict", "x", "n_predict"),
    ("n_probs", 21, "n_probs"),
    ("prompt", None, "prompt"),
    ("prompt", 7, "prompt"),
    ("prompt", [], "prompt"),
    ("prompt", {}, "prompt"),
    ("prompt", [{"prompt_string": 5}], "prompt[0].prompt_string"),
    ("prompt", [1, None], "prompt[1]"),
    ("prompt", ["a", 1, 10 ** 9], "prompt[2]"),
    ("prompt", {"prompt_string": "a", "multimodal_data": ["x"]}, "prompt"),
    ("timings_per_token", 3, "timings_per_token"),
    ("return_tokens", "yes", "return_token_ids"),
])
def test_wrong_fields_are_named(demo, field, value, param):
    r = post(demo, {**BODY, field: value})
    assert r.status_code == 400, r.text
    assert r.json()["error"]["param"] == param


def test_timings_on_openai_endpoints(demo):
    messages = [{"role": "user", "content": "Hi"}]
    body = {"messages": messages, "max_tokens": 5, "temperature": 0}
    url = demo.url + "/v1/chat/completions"
    r = httpx.post(url, json=body, timeout=60).json()
    assert r["timings"]["predicted_n"] == r["usage"]["completion_tokens"]
    for extra in ({}, {"timings_per_token": True},
                  {"stream_options": {"include_usage": True}}):
        with httpx.stream("POST", url, timeout=60,
                          json={**body, "stream": True, **extra}) as s:
            chunks = [json.loads(x[6:]) for x in s.iter_lines()
                      if x.startswith("data: {")]
        assert "timings" not in chunks[0]
        assert "timings" in chunks[-1]
        between = ["timings" in c for c in chunks[1:-1]]
        assert all(b == ("timings_per_token" in extra) for b in between)
