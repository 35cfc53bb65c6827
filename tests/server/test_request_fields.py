"""What a request may ask beside OpenAI's first page: words and tokens barred,
loops noticed, prompts scored and cut, the best of several, names."""
import json
import math

import httpx
import pytest

from conftest_daemon import CHECKPOINTS

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"
HI = [{"role": "user", "content": "Tell me about the sea."}]
# Nothing but the logits decides.
PLAIN = {"temperature": 0, "repetition_penalty": 1.0, "ignore_eos": True}


def ask(d, path, **fields):
    base = {"messages": HI} if path == CHAT else {"prompt": "The sea"}
    r = d.post(path, {**base, **PLAIN, **fields})
    assert r.status_code == 200, r.text
    return r.json()


def stream(d, path, **fields):
    base = {"messages": HI} if path == CHAT else {"prompt": "The sea"}
    r = d.post(path, {**base, **PLAIN, **fields, "stream": True})
    assert r.status_code == 200, r.text
    lines = [s[6:] for s in r.text.split("\n") if s.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(s) for s in lines[:-1]]


def refuse(d, path, param, **fields):
    base = {"messages": HI} if path == CHAT else {"prompt": "The sea"}
    r = d.post(path, {**base, **PLAIN, **fields})
    assert r.status_code == 400, r.text
    assert r.json()["error"]["param"] == param, r.text


def ids_of(answer, i=0):
    return answer["choices"][i]["token_ids"]


def pieces(d, text):
    r = d.post("/tokenize", {"content": text, "add_special": False})
    return r.json()["tokens"]


def holds(ids, part):
    return any(ids[i:i + len(part)] == part for i in range(len(ids)))


def words_of(d, ids, n):
    """Texts that are, as tokens, n neighbours of `ids`."""
    for i in range(len(ids) - n + 1):
        part = ids[i:i + n]
        text = d.post("/detokenize", {"tokens": part}).json()["content"]
        plain = text.removeprefix(" ")
        if plain and plain == plain.strip() and pieces(d, text) == part:
            yield text


@pytest.mark.parametrize("path", [CHAT, COMPLETION])
def test_bad_words_do_not_come(demo, path):
    """Words of one to three tokens that greedy decoding says are barred one
    after the other; until the barred token is due nothing changes."""
    fields = {"max_tokens": 24, "return_token_ids": True}
    barred = []
    free = ids_of(ask(demo, path, **fields))
    for n in (1, 2, 3, 2, 1):
        word = next(words_of(demo, free, n))
        assert holds(free, pieces(demo, word))
        barred.append(word)
        bound = ids_of(ask(demo, path, **fields, bad_words=barred))
        for w in barred:
            for form in (w.strip(), " " + w.strip()):
                assert not holds(bound, pieces(demo, form)), form
        first = next(i for i, (a, b) in enumerate(zip(free, bound)) if a != b)
        forms = [pieces(demo, word.strip()), pieces(demo, " " + word.strip())]
        assert any(free[first + 1 - len(f):first + 1] == f for f in forms)
        free = bound


def test_a_bad_token_is_replaced_by_the_next_likeliest(demo):
    free = ask(demo, COMPLETION, max_tokens=1, logprobs=20,
               return_token_ids=True, return_tokens_as_token_ids=True)
    top = [int(k.removeprefix("token_id:")) for k in
           free["choices"][0]["logprobs"]["top_logprobs"][0]]
    assert ids_of(free)[0] == top[0]
    taken = top[:1]
    for expected in top[1:5]:
        bound = ask(demo, COMPLETION, max_tokens=1, return_token_ids=True,
                    logit_bias=[[t, False] for t in taken])
        assert ids_of(bound) == [expected]
        taken.append(expected)


def test_words_are_biased_as_in_llama_server(demo):
    """Its four ways: ids or texts, in a map or in pairs."""
    body = {"prompt": "The sea", "n_predict": 40, **PLAIN}
    free = demo.post("/completion", body).json()["content"]
    words = sorted({w for w in free.split() if w.isalpha()})
    assert len(words) > 3
    tokens = pieces(demo, " " + " ".join(words) + " ")
    for keys in (tokens, [" " + w + " " for w in words]):
        for bias in ([[k, -100] for k in keys], {str(k): -100 for k in keys}):
            r = demo.post("/completion", {**body, "logit_bias": bias})
            assert r.status_code == 200, r.text
            said = r.json()["content"]
            assert not any(f" {w} " in said for w in words), said
    refuse(demo, COMPLETION, "logit_bias", logit_bias={" the ": -100})


@pytest.mark.parametrize("path", [CHAT, COMPLETION])
def test_only_allowed_tokens_come(demo, path):
    allowed = list(range(40, 2000, 7))
    for temperature in (0, 1.5):
        a = ask(demo, path, max_tokens=40, return_token_ids=True,
                temperature=temperature, allowed_token_ids=allowed)
        assert len(ids_of(a)) == 40
        assert set(ids_of(a)) <= set(allowed)
    a = ask(demo, path, max_tokens=5, allowed_token_ids=[77],
            return_token_ids=True)
    assert ids_of(a) == [77] * 5


def test_a_request_that_allows_nothing_is_wrong(demo):
    r = demo.post(COMPLETION, {"prompt": "x", "allowed_token_ids": [7],
                               "bad_words": ["<|im_end|>"]})
    assert r.status_code == 400 and "bad_words" in r.text
    # In a stream the headers are out already.
    said = ""
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream(
            "POST", demo.url + COMPLETION, timeout=60,
            json={"prompt": "x", "allowed_token_ids": [7], "stream": True,
                  "bad_words": ["<|im_end|>"]}) as r:
        assert r.status_code == 200
        for part in r.iter_text():
            said += part
    assert '"invalid_request_error"' in said and "[DONE]" not in said
    demo.wait_idle()


def test_allowed_tokens_and_a_form_are_both_kept(demo):
    words = [w for w in ("the", "and", "it", "he", "in", "on", "sea", "not")
             if len(pieces(demo, w)) == 1][:3]
    assert len(words) == 3
    for word in words:
        a = ask(demo, COMPLETION, max_tokens=8,
                allowed_token_ids=pieces(demo, word) + [7],
                structured_outputs={"choice": words})
        assert a["choices"][0]["text"] == word


def test_top_p_zero_is_greedy(demo):
    greedy = ask(demo, COMPLETION, max_tokens=20)
    narrow = ask(demo, COMPLETION, max_tokens=20, temperature=1, top_p=0)
    assert narrow["choices"][0]["text"] == greedy["choices"][0]["text"]


def test_a_loop_ends_the_reply(demo):
    """One token only, so that two of them stand there three times at six."""
    fields = {"max_tokens": 50, "return_token_ids": True,
              "allowed_token_ids": pieces(demo, "a")[:1],
              "repetition_detection": {"max_pattern_size": 4,
                                       "min_pattern_size": 2, "min_count": 3}}
    for path in (CHAT, COMPLETION):
        a = ask(demo, path, **fields)
        choice = a["choices"][0]
        assert choice["finish_reason"] == "repetition"
        assert choice["stop_reason"] == "repetition_detected"
        assert len(ids_of(a)) == a["usage"]["completion_tokens"] == 6
        later = ask(demo, path, **fields, min_tokens=15)
        assert len(ids_of(later)) == 15
        chunks = stream(demo, path, **fields)
        reasons = [c["finish_reason"] for x in chunks for c in x["choices"]]
        assert [r for r in reasons if r] == ["repetition"]


def test_penalties_see_the_last_tokens_only(demo):
    free = ask(demo, COMPLETION, max_tokens=30)["choices"][0]["text"]
    for window, same in ((0, True), (64, False), (-1, False)):
        a = ask(demo, COMPLETION, max_tokens=30, repetition_penalty=1.8,
                presence_penalty=1, frequency_penalty=1, repeat_last_n=window)
        assert (a["choices"][0]["text"] == free) == same


def test_lengths_have_three_names(demo):
    def n(**kw):
        return ask(demo, CHAT, **kw)["usage"]["completion_tokens"]
    assert n(n_predict=3) == 3
    assert n(n_predict=3, max_tokens=4) == 4
    assert n(n_predict=3, max_tokens=4, max_completion_tokens=5) == 5
    a = ask(demo, COMPLETION, n_predict=-1, stop=["e"])
    assert a["choices"][0]["finish_reason"] == "stop"


# --- prompts ---------------------------------------------------------------

@pytest.fixture(scope="module")
def cases(oracle_name):
    golden = json.loads((CHECKPOINTS / oracle_name / "golden.json").read_text())
    return golden["cases"]


def check_prompt_logprobs(lists, prompt, n_top):
    assert len(lists) == len(prompt) and lists[0] is None
    for token, entry in zip(prompt[1:], lists[1:]):
        own = entry[str(token)]
        assert next(iter(entry)) == str(token)
        assert len(entry) == n_top + (own["rank"] > n_top)
        ranks = {e["rank"]: e["logprob"] for e in entry.values()}
        assert set(range(1, n_top + 1)) <= set(ranks)
        ordered = [ranks[r] for r in sorted(ranks)]
        assert ordered == sorted(ordered, reverse=True)
        assert all(isinstance(e["decoded_token"], str) for e in entry.values())


def test_prompt_logprobs_are_those_of_hugging_face(oracle, cases):
    for case in cases:
        prompt = case["prompt"]
        a = ask(oracle, COMPLETION, prompt=prompt, max_tokens=1,
                prompt_logprobs=3)
        lists = a["choices"][0]["prompt_logprobs"]
        check_prompt_logprobs(lists, prompt, 3)
        for token, entry, want in zip(prompt[1:], lists[1:],
                                      case["prompt_logprobs"][1:]):
            assert abs(entry[str(token)]["logprob"] - want) <= 1e-3


def test_prompt_logprobs_beside_echo(demo):
    ids = pieces(demo, "The sea is wide and the sky is blue.")
    a = ask(demo, COMPLETION, prompt=ids, max_tokens=2, echo=True, logprobs=1,
            prompt_logprobs=4, return_token_ids=True)
    choice = a["choices"][0]
    check_prompt_logprobs(choice["prompt_logprobs"], ids, 4)
    lp = choice["logprobs"]
    assert len(lp["tokens"]) == len(ids) + 2
    assert all(len(t) <= 2 for t in lp["top_logprobs"][1:])
    for token, entry, value in zip(ids[1:], choice["prompt_logprobs"][1:],
                                   lp["token_logprobs"][1:]):
        assert entry[str(token)]["logprob"] == value


def test_prompt_logprobs_of_many_and_of_chat(demo):
    ids = pieces(demo, "The sea is wide.")
    a = ask(demo, COMPLETION, prompt=[ids, ids[:3], ids[:1]], n=2, max_tokens=1,
            prompt_logprobs=0)
    for choice, length in zip(a["choices"], [len(ids)] * 2 + [3] * 2 + [1] * 2):
        assert len(choice["prompt_logprobs"]) == length
        assert all(len(e) == 1 for e in choice["prompt_logprobs"][1:])
    a = ask(demo, CHAT, max_tokens=1, n=2, prompt_logprobs=1,
            return_token_ids=True)
    check_prompt_logprobs(a["prompt_logprobs"], a["prompt_token_ids"], 1)
    assert all("prompt_logprobs" not in c for c in a["choices"])
    a = ask(demo, COMPLETION, max_tokens=0, prompt=ids, prompt_logprobs=1)
    assert a["usage"]["completion_tokens"] == 0
    check_prompt_logprobs(a["choices"][0]["prompt_logprobs"], ids, 1)
    for path in (CHAT, COMPLETION):
        refuse(demo, path, "prompt_logprobs", prompt_logprobs=1, stream=True)
        refuse(demo, path, "prompt_logprobs", prompt_logprobs=-1)
    assert ask(demo, CHAT, max_tokens=1)["prompt_logprobs"] is None


def test_scores_without_end_are_refused(demo):
    """2^21 numbers are what an answer may hold of prompts."""
    refuse(demo, COMPLETION, "prompt", prompt=[[30] * 1600] * 64, max_tokens=1,
           prompt_logprobs=20)
    refuse(demo, COMPLETION, "prompt", prompt=[[30] * 1600] * 8, max_tokens=1,
           echo=True, logprobs=20, n=8)
    ids = [30, 31] * 600
    a = ask(demo, COMPLETION, prompt=ids, max_tokens=1, prompt_logprobs=20, n=2)
    lists = [c["prompt_logprobs"] for c in a["choices"]]
    check_prompt_logprobs(lists[0], ids, 20)
    assert lists[0] == lists[1]


def test_a_prompt_is_cut(demo):
    ids = list(range(20, 28))
    for side, want in (("right", ids[:4]), ("left", ids[-4:])):
        a = ask(demo, COMPLETION, prompt=ids, max_tokens=1, echo=True,
                truncate_prompt_tokens=4, truncation_side=side,
                return_token_ids=True)
        assert a["choices"][0]["prompt_token_ids"] == want
        assert a["usage"]["prompt_tokens"] == 4
        whole = ask(demo, COMPLETION, prompt=want, max_tokens=1, echo=True)
        assert whole["choices"][0]["text"] == a["choices"][0]["text"]
    full = ask(demo, CHAT, max_tokens=1, return_token_ids=True)
    cut = ask(demo, CHAT, max_tokens=1, return_token_ids=True,
              truncate_prompt_tokens=5)
    assert cut["prompt_token_ids"] == full["prompt_token_ids"][-5:]
    ctx = demo.client().models.list().data[0].model_extra["max_model_len"]
    long = [30] * (ctx + 100)
    r = demo.post(COMPLETION, {"prompt": long, "max_tokens": 3})
    assert r.status_code == 400
    a = ask(demo, COMPLETION, prompt=long, max_tokens=3,
            truncate_prompt_tokens=-1)
    assert a["usage"]["prompt_tokens"] == ctx - 3


# --- several replies ---------------------------------------------------------

def test_the_best_of_several_by_logprob_a_token(demo):
    fields = {"prompt": ["The sea", "A bird"], "max_tokens": 12, "seed": 5,
              "temperature": 1.3, "ignore_eos": False, "logprobs": 0}
    everything = ask(demo, COMPLETION, n=8, **fields)
    best = ask(demo, COMPLETION, n=2, best_of=8, **fields)
    assert [c["index"] for c in best["choices"]] == [0, 1, 2, 3]
    assert best["usage"] == everything["usage"]
    ended = []
    for p in (0, 1):
        drawn = everything["choices"][8 * p:8 * p + 8]
        ended += [c["finish_reason"] for c in drawn]
        drawn.sort(key=lambda c: -sum(c["logprobs"]["token_logprobs"])
                   / len(c["logprobs"]["token_logprobs"]))
        got = best["choices"][2 * p:2 * p + 2]
        assert [c["text"] for c in got] == [c["text"] for c in drawn[:2]]
    assert set(ended) == {"stop", "length"}
    plain = ask(demo, COMPLETION, best_of=3, max_tokens=4, temperature=1)
    assert len(plain["choices"]) == 1
    assert plain["choices"][0]["logprobs"] is None
    refuse(demo, COMPLETION, "best_of", best_of=1, n=2)
    refuse(demo, COMPLETION, "best_of", best_of=9)
    refuse(demo, COMPLETION, "best_of", best_of=2, stream=True)


def test_several_prompts_and_replies_in_one_stream(demo):
    fields = {"prompt": ["The sea", [30, 31, 32], "A"], "n": 2, "seed": 3,
              "max_tokens": 9, "temperature": 1, "logprobs": 1, "echo": True,
              "return_token_ids": True}
    whole = ask(demo, COMPLETION, **fields)
    chunks = stream(demo, COMPLETION, **fields,
                    stream_options={"include_usage": True,
                                    "continuous_usage_stats": True})
    assert all(c["usage"]["prompt_tokens"] > 0 for c in chunks)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == whole["usage"]
    seen = []
    got = {}
    for c in (c for chunk in chunks for c in chunk["choices"]):
        if c["index"] not in got:
            seen.append(c["index"])
            got[c["index"]] = {"text": "", "ids": [], "values": [], "at": [],
                               "prompt": c["prompt_token_ids"], "reasons": []}
        g = got[c["index"]]
        g["text"] += c["text"]
        g["ids"] += c["token_ids"]
        g["values"] += c["logprobs"]["token_logprobs"]
        g["at"] += c["logprobs"]["text_offset"]
        if c["finish_reason"]:
            g["reasons"].append(c["finish_reason"])
    assert seen == list(range(6))
    for c in whole["choices"]:
        g = got[c["index"]]
        assert g["text"] == c["text"] and g["ids"] == c["token_ids"]
        assert g["values"] == c["logprobs"]["token_logprobs"]
        assert g["at"] == c["logprobs"]["text_offset"]
        assert g["prompt"] == c["prompt_token_ids"]
        assert g["reasons"] == [c["finish_reason"]]


def test_usage_of_a_stream_comes_only_when_asked(demo):
    for options, parts in (({}, False), ({"continuous_usage_stats": True}, False),
                           ({"include_usage": True}, True)):
        chunks = stream(demo, CHAT, max_tokens=3, stream_options=options)
        assert any(c.get("usage") for c in chunks) == parts
    refuse(demo, CHAT, "stream_options.include_usage", stream=True,
           stream_options={"include_usage": 1})
    refuse(demo, CHAT, "stream_options", stream_options=[])


def test_offsets_do_not_lag_where_text_is_held_back(demo):
    fields = {"max_tokens": 20, "logprobs": 0, "stop": ["\n\n\n\n", "zzzzzz"],
              "skip_special_tokens": False}
    whole = ask(demo, COMPLETION, **fields)["choices"][0]["logprobs"]
    at = [o for c in stream(demo, COMPLETION, **fields) for x in c["choices"]
          for o in x["logprobs"]["text_offset"]]
    assert at == whole["text_offset"]
    lengths = [len(t) for t in whole["tokens"]]
    assert at == [sum(lengths[:i]) for i in range(len(lengths))]


def test_a_harness_reads_loglikelihoods(demo):
    """lm-eval's local-completions: the sum over a continuation, and whether
    greedy decoding would say it."""
    context = pieces(demo, "The sea is")
    greedy = ids_of(ask(demo, COMPLETION, prompt=context, max_tokens=4,
                        return_token_ids=True))
    other = [t + 1 if t + 1 not in greedy else t + 2 for t in greedy]
    r = ask(demo, COMPLETION, prompt=[context + greedy, context + other],
            max_tokens=1, logprobs=1, echo=True, seed=1234)
    sums = []
    for c, said in zip(sorted(r["choices"], key=lambda c: c["index"]),
                       (greedy, other)):
        lp = c["logprobs"]
        values = lp["token_logprobs"][len(context):-1]
        tops = lp["top_logprobs"][len(context):-1]
        assert len(values) == len(said)
        assert all(v in t.values() for v, t in zip(values, tops))
        is_greedy = all(v == max(t.values()) for v, t in zip(values, tops))
        assert is_greedy == (said is greedy)
        sums.append(math.fsum(values))
    assert sums[0] > sums[1]


def test_the_token_that_ends_a_reply_has_its_logprob(demo):
    """Without it a harness would take the text's last token for it."""
    ids = pieces(demo, "The sea is")
    free = ask(demo, COMPLETION, prompt=ids, max_tokens=3, echo=True, logprobs=2,
               return_token_ids=True)
    for n in (0, 2):
        stop = ids_of(free)[n]
        fields = {"prompt": ids, "max_tokens": 3, "echo": True, "logprobs": 2,
                  "stop_token_ids": [stop], "return_token_ids": True,
                  "return_tokens_as_token_ids": True}
        a = ask(demo, COMPLETION, **fields)
        c, lp = a["choices"][0], a["choices"][0]["logprobs"]
        assert c["finish_reason"] == "stop" and c["stop_reason"] == stop
        assert lp["tokens"] == [f"token_id:{i}" for i in ids + c["token_ids"]]
        assert c["token_ids"][-1] == stop
        n_all = len(lp["tokens"])
        want = free["choices"][0]["logprobs"]
        assert lp["token_logprobs"] == want["token_logprobs"][:n_all]
        assert len(lp["top_logprobs"][-1]) == 2
        assert lp["text_offset"] == want["text_offset"][:n_all]
        streamed = {"tokens": [], "token_logprobs": [], "ids": []}
        for chunk in stream(demo, COMPLETION, **fields):
            x = chunk["choices"][0]
            streamed["ids"] += x["token_ids"]
            for key in ("tokens", "token_logprobs"):
                streamed[key] += x["logprobs"][key]
        assert streamed["tokens"] == lp["tokens"]
        assert streamed["token_logprobs"] == lp["token_logprobs"]
        assert streamed["ids"] == c["token_ids"]


# --- names -------------------------------------------------------------------

def test_a_request_may_name_its_answer(demo):
    a = ask(demo, CHAT, max_tokens=1, request_id="mine-1")
    assert a["id"] == "chatcmpl-mine-1"
    a = ask(demo, COMPLETION, max_tokens=1, request_id="x" * 128)
    assert a["id"] == "cmpl-" + "x" * 128
    chunks = stream(demo, CHAT, max_tokens=2, request_id="mine-2")
    assert {c["id"] for c in chunks} == {"chatcmpl-mine-2"}
    body = {"messages": HI, "max_tokens": 1}
    r = httpx.post(demo.url + CHAT, json=body, timeout=60,
                   headers={"X-Request-Id": "abc"})
    assert r.json()["id"] == "chatcmpl-abc"
    assert r.headers["x-request-id"] == "abc"
    r = httpx.post(demo.url + CHAT, json={**body, "request_id": "body"},
                   timeout=60, headers={"X-Request-Id": "head"})
    assert r.json()["id"] == "chatcmpl-body"
    r = httpx.post(demo.url + CHAT, json=body, timeout=60,
                   headers={"X-Request-Id": "no good"})
    assert r.json()["id"].startswith("chatcmpl-")
    assert "good" not in r.text and r.headers["x-request-id"] != "no good"
    plain = demo.post(CHAT, body)
    assert plain.headers["x-request-id"].startswith("req_")
    assert len(plain.json()["id"]) == len("chatcmpl-") + 24
    refuse(demo, CHAT, "request_id", request_id="a b")


def test_chat_tokens_as_ids(demo):
    a = ask(demo, CHAT, max_tokens=3, logprobs=True, top_logprobs=2,
            return_tokens_as_token_ids=True, return_token_ids=True)
    content = a["choices"][0]["logprobs"]["content"]
    assert [c["token"] for c in content] == \
        [f"token_id:{i}" for i in ids_of(a)]
    assert all(t["token"].startswith("token_id:")
               for c in content for t in c["top_logprobs"])


def test_beams_are_refused_and_decoration_is_ignored(demo):
    for path in (CHAT, COMPLETION):
        refuse(demo, path, "use_beam_search", use_beam_search=True)
        ask(demo, path, max_tokens=1, use_beam_search=False,
            length_penalty=1.0, spaces_between_special_tokens=False,
            add_special_tokens=True, vllm_xargs={"a": 1})
