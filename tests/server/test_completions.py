"""/v1/completions against Hugging Face's numbers on an oracle checkpoint."""
import json

import pytest

from conftest_daemon import CHECKPOINTS

GREEDY = {"temperature": 0, "extra_body": {"repetition_penalty": 1.0}}


@pytest.fixture(scope="module")
def cases(oracle_name):
    golden = json.loads((CHECKPOINTS / oracle_name / "golden.json").read_text())
    return golden["cases"]


def complete(d, prompt, **kw):
    return d.client().completions.create(model="m", prompt=prompt,
                                         **{**GREEDY, **kw})


def test_greedy_tokens_are_those_of_hugging_face(oracle, cases):
    for case in cases:
        n = len(case["greedy"])
        r = complete(oracle, case["prompt"], max_tokens=n, logprobs=1,
                     extra_body={"repetition_penalty": 1.0,
                                 "return_token_ids": True,
                                 "ignore_eos": True})
        c = r.choices[0]
        assert c.token_ids == case["greedy"]
        for got, want in zip(c.logprobs.token_logprobs,
                             case["greedy_logprobs"]):
            assert abs(got - want) <= 1e-3


def test_echo_gives_the_prompts_logprobs(oracle, cases):
    for case in cases:
        r = complete(oracle, case["prompt"], max_tokens=1, echo=True, logprobs=2,
                     extra_body={"repetition_penalty": 1.0, "ignore_eos": True})
        lp = r.choices[0].logprobs
        n = len(case["prompt"])
        assert len(lp.tokens) == n + 1
        assert lp.token_logprobs[0] is None and lp.top_logprobs[0] is None
        for got, want in zip(lp.token_logprobs[1:n], case["prompt_logprobs"][1:]):
            assert abs(got - want) <= 1e-3
        for value, top in zip(lp.token_logprobs[1:], lp.top_logprobs[1:]):
            assert value in top.values()
        assert lp.text_offset == sorted(lp.text_offset)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("prompt", [
    "caf\u00e9 5\u20ac \U0001f600 and on", "<|im_start|>user\nHi<|im_end|>\nso"])
def test_offsets_point_into_the_text(demo, prompt, skip):
    c = complete(demo, prompt, max_tokens=8, echo=True, logprobs=0,
                 extra_body={"skip_special_tokens": skip}).choices[0]
    lp, whole = c.logprobs, 0
    assert lp.text_offset == sorted(lp.text_offset)
    for token, at in list(zip(lp.tokens, lp.text_offset))[1:]:
        if not token.startswith("bytes:") and at < len(c.text):
            assert c.text[at:at + len(token)] == token, (token, at)
            whole += 1
    assert whole > 8


def test_batched_prompts_answer_in_order(oracle, cases):
    prompts = [c["prompt"] for c in cases]
    batch = complete(oracle, prompts, max_tokens=8,
                     extra_body={"repetition_penalty": 1.0, "ignore_eos": True})
    assert [c.index for c in batch.choices] == list(range(len(prompts)))
    for c, p in zip(batch.choices, prompts):
        alone = complete(oracle, p, max_tokens=8, extra_body={
            "repetition_penalty": 1.0, "ignore_eos": True})
        assert alone.choices[0].text == c.text
    assert batch.usage.prompt_tokens == sum(len(p) for p in prompts)


def test_strings_and_streams(oracle):
    r = complete(oracle, ["Hello", "world"], max_tokens=6, n=2, echo=True)
    assert len(r.choices) == 4
    assert r.choices[0].text.startswith("Hello")
    assert r.choices[3].text.startswith("world")
    texts = {}
    for chunk in complete(oracle, ["Hello", "world"], max_tokens=6, n=2,
                          echo=True, stream=True):
        for c in chunk.choices:
            texts[c.index] = texts.get(c.index, "") + c.text
    assert [texts[i] for i in range(4)] == [c.text for c in r.choices]


def test_tokens_as_ids(oracle, cases):
    r = complete(oracle, cases[0]["prompt"], max_tokens=3, logprobs=1, extra_body={
        "repetition_penalty": 1.0, "ignore_eos": True,
        "return_tokens_as_token_ids": True})
    assert r.choices[0].logprobs.tokens == [
        f"token_id:{i}" for i in cases[0]["greedy"][:3]]


def test_max_tokens_zero_with_echo_scores_the_prompt(oracle, cases):
    case = max(cases, key=lambda c: len(c["prompt"]))
    r = oracle.post("/v1/completions", {
        "prompt": case["prompt"], "max_tokens": 0, "echo": True, "logprobs": 0})
    lp = r.json()["choices"][0]["logprobs"]
    assert len(lp["tokens"]) == len(case["prompt"])


def test_bad_prompts(oracle):
    for prompt in [[], "", [[]], [-1], [10**9], [1, "a"], {"a": 1}]:
        r = oracle.post("/v1/completions", {"prompt": prompt})
        if prompt == "" and r.status_code == 200:
            continue  # BOS alone is a prompt
        assert r.status_code == 400, prompt
        assert r.json()["error"]["param"].startswith("prompt")
    r = oracle.post("/v1/completions", {"prompt": "x", "suffix": "y"})
    assert r.status_code == 400
    r = oracle.post("/v1/completions", {})
    assert r.status_code == 400


def test_tokenize_and_back(oracle):
    text = "Hello, world! <|im_end|>\n\u20ac\U0001F600"
    r = oracle.post("/tokenize", {"content": text, "with_pieces": True}).json()
    ids = [t["id"] for t in r["tokens"]]
    assert oracle.post("/detokenize",
                       {"tokens": ids}).json()["content"] == text
    assert r["count"] == len(ids)
    assert oracle.post("/detokenize", {"tokens": [10**8]}).status_code == 400
    assert oracle.post("/tokenize", {}).status_code == 400


def test_one_event_may_be_large(demo):
    """The echo of 3,000 tokens with their logprobs is the first chunk: larger
    than what may wait for a slow reader."""
    body = {"prompt": "word " * 1500, "max_tokens": 2, "echo": True,
            "logprobs": 20, "temperature": 0, "ignore_eos": True}
    whole = demo.post("/v1/completions", body).json()["choices"][0]
    chunks = list(demo.client().completions.create(
        model="m", stream=True, prompt=body["prompt"], max_tokens=2, echo=True,
        logprobs=20, temperature=0, extra_body={"ignore_eos": True}))
    largest = max(len(c.model_dump_json()) for c in chunks)
    assert largest > 262144
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole["text"]
    tokens = sum((c.choices[0].logprobs.tokens for c in chunks
                  if c.choices and c.choices[0].logprobs), [])
    assert tokens == whole["logprobs"]["tokens"]
