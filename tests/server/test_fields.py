"""Every field of a request with every kind of wrong value: 200 or a 400 that
names the field, never a 5xx, never a dead server."""
import json

import httpx
import pytest

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
COMPLETION = {"prompt": "Hi", "max_tokens": 1}
SHARED = """temperature top_p top_k min_p repetition_penalty repeat_penalty
presence_penalty frequency_penalty logit_bias seed stop stop_token_ids
max_tokens min_tokens ignore_eos n stream stream_options skip_special_tokens
include_stop_str_in_output return_token_ids priority cache_salt cache_prompt model user
metadata response_format""".split()
OF_CHAT = """messages max_completion_tokens logprobs top_logprobs tools
tool_choice parallel_tool_calls chat_template_kwargs reasoning_effort
add_generation_prompt continue_final_message echo include_reasoning
separate_reasoning reasoning_format thinking_token_budget
reasoning_budget_tokens thinking_budget_tokens""".split()
OF_COMPLETION = """prompt echo logprobs suffix best_of
return_tokens_as_token_ids""".split()
VALUES = [None, True, False, -1, 0, 0.5, 3, 1e308, -1e308, 2**31, 2**63 - 1,
          "", "x", "auto", "none", "x" * 65536, "\u0000", [], [1], [[]],
          ["a", 1], [None], {}, {"a": 1}, {"type": "text"}, {"1": 1},
          {"include_usage": 7}, [{"type": "function"}], [{"role": "user"}],
          [{"type": "function", "function": {"name": 7}}]]
# As text, since Python would not write them.
RAW = ['"\\ud800"', "1e400", "-0", "1E2", "18446744073709551616",
       "[" * 80 + "]" * 80]


def bodies(base, field):
    for v in VALUES:
        yield json.dumps({**base, field: v})
    head = json.dumps({k: v for k, v in base.items() if k != field})[:-1]
    for v in RAW:
        yield head + (", " if head != "{" else "") + f'"{field}": {v}}}'


def check(r, field, body):
    assert r.status_code in (200, 400, 413), (r.status_code, body[:200])
    if r.status_code != 400:
        return
    e = r.json()["error"]
    assert e["type"] == "invalid_request_error" and e["message"], body[:200]
    aliases = {"repeat_penalty": "repetition_penalty",
               "max_completion_tokens": "max_tokens"}
    if e["code"] == "context_length_exceeded":
        return
    if e["message"].startswith(("not valid JSON", "JSON ")):
        return
    assert e["param"] and e["param"].startswith(
        (field, aliases.get(field, field), "top_logprobs", "messages",
         "max_tokens", "tools", "n")), (e, body[:200])


@pytest.mark.parametrize("field", sorted(set(SHARED + OF_CHAT)))
def test_chat(demo, field):
    with httpx.Client(timeout=30) as c:
        for body in bodies(CHAT, field):
            r = c.post(demo.url + "/v1/chat/completions", content=body)
            check(r, field, body)


@pytest.mark.parametrize("field", sorted(set(SHARED + OF_COMPLETION)))
def test_completion(demo, field):
    with httpx.Client(timeout=30) as c:
        for body in bodies(COMPLETION, field):
            r = c.post(demo.url + "/v1/completions", content=body)
            check(r, field, body)


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize",
                                  "/apply-template"])
def test_the_small_endpoints(demo, path):
    fields = ["content", "prompt", "messages", "tokens", "add_special",
              "add_special_tokens", "parse_special", "with_pieces",
              "return_token_strs"]
    base = {"content": "Hi"} if path == "/tokenize" else {}
    with httpx.Client(timeout=30) as c:
        for field in fields:
            for body in bodies(base, field):
                r = c.post(demo.url + path, content=body)
                assert r.status_code in (200, 400, 413), body[:200]


def test_afterwards_it_still_answers(demo):
    demo.wait_idle()
    assert demo.post("/v1/chat/completions", CHAT).status_code == 200
