"""Thoughts: told apart, cut to a budget, kept from coming; and messages that
go on.  On the demo model, which thinks when its system message says so, and on
templates that open the thought or show past ones."""
import json

import pytest

THINK = [{"role": "system", "content": "Think first."},
         {"role": "user", "content": "What is 25 + 17?"}]
TALK = [{"role": "user", "content": "Hello! Who are you?"}]
END = 15  # </think>
FORMAT = {"type": "json_schema", "json_schema": {"schema": {
    "type": "object", "properties": {"sum": {"type": "integer"}},
    "required": ["sum"], "additionalProperties": False}}}
OPENS = """{%- for m in messages -%}
{{- "<|im_start|>" + m.role + "\\n" -}}
{%- if m.thinking is defined -%}{{- "<think>" + m.thinking + "</think>" -}}{%- endif -%}
{{- m.content + "<|im_end|>\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|im_start|>assistant\\n" + opening -}}{%- endif -%}
"""


def ask(d, messages=THINK, status=200, **kw):
    body = {"messages": messages, "max_tokens": 120, "temperature": 0, **kw}
    r = d.post("/v1/chat/completions", body)
    assert r.status_code == status, r.text
    return r.json()


def thought_tokens(reply):
    return reply["usage"]["completion_tokens_details"]["reasoning_tokens"]


def streamed(d, messages=THINK, **kw):
    """The message that the chunks of the first choice make, and the usage."""
    out, usage = {}, None
    body = {"messages": messages, "max_tokens": 120, "temperature": 0,
            "stream": True, "stream_options": {"include_usage": True}, **kw}
    r = d.post("/v1/chat/completions", body)
    assert r.status_code == 200, r.text
    for line in r.text.splitlines():
        if not line.startswith("data: {"):
            continue
        chunk = json.loads(line[6:])
        usage = chunk.get("usage") or usage
        for c in chunk["choices"]:
            for k, v in c["delta"].items():
                if c["index"] == 0 and k != "role":
                    out[k] = out.get(k, "") + v
    return out, usage


@pytest.fixture(scope="module")
def with_template(start, tmp_path_factory):
    """with_template("<think>") -> a daemon whose prompts end so."""
    running = {}

    def get(opening):
        if opening not in running:
            f = tmp_path_factory.mktemp("template") / "t.jinja"
            f.write_text(OPENS.replace("opening", json.dumps(opening)))
            running[opening] = start("--chat-template-file", str(f))
        return running[opening]
    return get


# --- out and in -------------------------------------------------------------


def test_both_names_say_the_same_streamed_or_not(demo):
    whole = ask(demo)
    m = whole["choices"][0]["message"]
    assert m["reasoning"] == m["reasoning_content"] != ""
    assert "42" in m["content"] and "think>" not in m["content"]
    told, usage = streamed(demo)
    assert told["reasoning"] == told["reasoning_content"] == m["reasoning"]
    assert told["content"] == m["content"]
    for k in ("completion_tokens", "completion_tokens_details"):
        assert usage[k] == whole["usage"][k]


def test_thoughts_and_their_markers_are_counted(demo):
    r = ask(demo, return_token_ids=True)
    ids = r["choices"][0]["token_ids"]
    assert thought_tokens(r) == ids.index(END) + 1
    assert thought_tokens(ask(demo, TALK)) == 0
    three = ask(demo, n=3, temperature=1.2, seed=3, return_token_ids=True)
    assert thought_tokens(three) == sum(
        c["token_ids"].index(END) + 1 if END in c["token_ids"] else
        len(c["token_ids"]) if "reasoning" in c["message"] else 0
        for c in three["choices"])


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_past_thoughts_come_in_by_either_name(with_template, name):
    d = with_template("")
    past = [*TALK, {"role": "assistant", "content": "Hi.", name: "Hm."},
            {"role": "user", "content": "Bye"}]
    prompt = d.post("/apply-template", {"messages": past}).json()["prompt"]
    assert "<think>Hm.</think>Hi.<|im_end|>" in prompt
    for wrong in (7, ["x"], {}):
        past[1][name] = wrong
        e = ask(d, past, status=400)["error"]
        assert e["param"] == f"messages[1].{name}"


@pytest.mark.parametrize("fields", [{"include_reasoning": False},
                                    {"include_reasoning": False,
                                     "separate_reasoning": False}])
def test_thoughts_can_be_hidden(demo, fields):
    plain, hidden = ask(demo), ask(demo, **fields)
    m = hidden["choices"][0]["message"]
    assert "reasoning" not in m and "reasoning_content" not in m
    assert m["content"] == plain["choices"][0]["message"]["content"]
    assert thought_tokens(hidden) == thought_tokens(plain)
    told, _ = streamed(demo, **fields)
    assert told == {"content": m["content"]}


@pytest.mark.parametrize("fields", [{"separate_reasoning": False},
                                    {"reasoning_format": "none"}])
def test_thoughts_can_stay_where_they_were_written(demo, fields):
    m = ask(demo)["choices"][0]["message"]
    inline = ask(demo, **fields)["choices"][0]["message"]
    assert "reasoning" not in inline
    assert inline["content"] == f"<think>{m['reasoning']}</think>" \
        + m["content"]
    told, _ = streamed(demo, **fields)
    assert told == {"content": inline["content"]}


def test_the_legacy_format_is_inline_in_streams_only(demo):
    legacy = {"reasoning_format": "deepseek-legacy"}
    assert ask(demo, **legacy)["choices"] == ask(demo)["choices"]
    told, _ = streamed(demo, **legacy)
    assert told["content"].startswith("<think>") and "reasoning" not in told


# --- how long ---------------------------------------------------------------


@pytest.mark.parametrize("field", ["thinking_token_budget",
                                   "reasoning_budget_tokens",
                                   "thinking_budget_tokens"])
def test_a_thought_is_cut_where_its_budget_ends(demo, field):
    free = ask(demo, return_token_ids=True)["choices"][0]
    n = free["token_ids"].index(END)
    for budget in (0, 1, 5, n - 1):
        r = ask(demo, return_token_ids=True, **{field: budget})
        c = r["choices"][0]
        ids = c["token_ids"]
        assert ids[:budget + 1] == free["token_ids"][:budget + 1]
        if n - 1 > budget:
            assert ids[budget + 1] == END
        assert thought_tokens(r) == budget + 2
        assert c["message"]["content"]
        told, usage = streamed(demo, **{field: budget})
        assert told.get("reasoning") == c["message"].get("reasoning")
        assert told["content"] == c["message"]["content"]
        assert usage["completion_tokens_details"]["reasoning_tokens"] \
            == budget + 2
    for unlimited in (-1, None, 10000):
        assert ask(demo, return_token_ids=True,
                   **{field: unlimited})["choices"][0] == free


def test_a_thought_that_the_template_opened_is_cut_too(with_template):
    d = with_template("<think>")
    for budget in (0, 1, 5):
        r = ask(d, return_token_ids=True, thinking_token_budget=budget, n=3,
                temperature=1.0, seed=5, min_tokens=40, ignore_eos=True,
                logprobs=True, top_logprobs=2)
        for c in r["choices"]:
            assert END in c["token_ids"][:budget + 1]
            assert len(c["logprobs"]["content"]) == len(c["token_ids"])
        assert thought_tokens(r) == sum(c["token_ids"].index(END) + 1
                                        for c in r["choices"])


@pytest.mark.parametrize("opening", ["", "<think>", "<think>\n"])
@pytest.mark.parametrize("fields", [{"thinking_token_budget": 3},
                                    {"thinking_token_budget": 0},
                                    {"reasoning_effort": "none"}])
def test_the_answer_is_bound_behind_the_thought(with_template, opening, fields):
    r = ask(with_template(opening), response_format=FORMAT, **fields)
    c = r["choices"][0]
    assert c["finish_reason"] == "stop"
    assert isinstance(json.loads(c["message"]["content"])["sum"], int)
    if "reasoning_effort" in fields:
        assert thought_tokens(r) == 0
    else:
        assert thought_tokens(r) <= fields["thinking_token_budget"] + 2


def test_guessing_ahead_keeps_to_the_budget(demo):
    for budget in (2, 9, 14):
        a, b = (ask(demo, thinking_token_budget=budget, return_token_ids=True,
                    **{"speculative.n_max": n})["choices"] for n in (0, 16))
        assert a == b


# --- not at all -------------------------------------------------------------


@pytest.mark.parametrize("opening", ["", "<think>", "<think>\n",
                                     "<think>\n\n</think>\n\n"])
@pytest.mark.parametrize("fields", [
    {"reasoning_effort": "none"},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"chat_template_kwargs": {"thinking": False}}])
def test_no_thought_on_any_template(with_template, demo, opening, fields):
    for d in (with_template(opening), demo):
        for seed in range(4):
            r = ask(d, temperature=1.0, seed=seed, return_token_ids=True,
                    **fields)
            c = r["choices"][0]
            assert thought_tokens(r) == 0
            assert 14 not in c["token_ids"]
            assert "reasoning" not in c["message"]
            assert c["message"]["content"] == c["message"]["content"].lstrip()


def test_an_empty_thought_is_written_as_the_template_writes_it(with_template):
    for opening, end in [("", "assistant\n<think></think>"),
                         ("<think>", "assistant\n<think></think>"),
                         ("<think>\n", "assistant\n<think>\n\n</think>\n\n")]:
        r = with_template(opening).post(
            "/apply-template", {"messages": TALK, "reasoning_effort": "none"})
        assert r.json()["prompt"].endswith(end)


def test_other_efforts_are_left_to_the_template(demo):
    plain = ask(demo)["choices"]
    for effort in ("minimal", "low", "medium", "high", "xhigh", "max"):
        assert ask(demo, reasoning_effort=effort)["choices"] == plain
    e = ask(demo, status=400, chat_template_kwargs={"enable_thinking": "no"})
    assert e["error"]["param"] == "chat_template_kwargs.enable_thinking"


# --- going on ---------------------------------------------------------------


def cuts(d, messages, kw):
    """Where the reply can be cut so that its beginning, as text, is the same
    tokens again: the message so far, and the reply's whole."""
    whole = ask(d, messages, return_token_ids=True, **kw)
    c = whole["choices"][0]
    text = c["message"]["content"]
    ids, prompt = c["token_ids"], whole["prompt_token_ids"]
    for k in range(1, len(ids) - 1):
        begun = d.post("/detokenize", {"tokens": ids[:k]}).json()["content"]
        again = d.post("/tokenize", {"content": begun}).json()["tokens"]
        if again == ids[:k]:
            yield begun, text, prompt + ids[:k]


@pytest.mark.parametrize("fields", [{}, {"continue_final_message": True},
                                    {"continue_final_message": True,
                                     "add_generation_prompt": False}])
def test_a_message_goes_on_as_if_it_had_never_stopped(demo, fields):
    n = 0
    for begun, text, prompt in cuts(demo, TALK, {}):
        messages = [*TALK, {"role": "assistant", "content": begun}]
        r = ask(demo, messages, return_token_ids=True, **fields)
        assert r["prompt_token_ids"] == prompt
        assert begun + r["choices"][0]["message"]["content"] == text
        told, _ = streamed(demo, messages, **fields)
        assert begun + told["content"] == text
        n += 1
    assert n > 3


def test_echo_says_the_beginning_again(demo):
    begun, text, _ = next(cuts(demo, TALK, {}))
    messages = [*TALK, {"role": "assistant", "content": begun}]
    r = ask(demo, messages, echo=True, n=2)
    for c in r["choices"]:
        assert c["message"]["content"] == text
    told, _ = streamed(demo, messages, echo=True)
    assert told["content"] == text
    assert ask(demo, TALK, echo=True)["choices"][0]["message"]["content"] \
        == text


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_thought_goes_on_too(demo, name):
    m = ask(demo)["choices"][0]["message"]
    head, rest = m["reasoning"][:6], m["reasoning"][6:]
    messages = [*THINK, {"role": "assistant", "content": "", name: head}]
    prompt = demo.post("/apply-template", {"messages": messages}).json()
    assert prompt["prompt"].endswith("<|im_start|>assistant\n<think>" + head)
    n = 0
    for k in range(2, len(m["reasoning"])):
        if m["reasoning"][k] != " ":
            continue
        head, rest = m["reasoning"][:k], m["reasoning"][k:]
        messages[-1][name] = head
        got = ask(demo, messages)["choices"][0]["message"]
        assert got["reasoning"] == rest
        assert got["content"] == m["content"]
        n += 1
    assert n > 3


def test_a_thought_inside_the_content_goes_on_as_one(demo):
    m = ask(demo)["choices"][0]["message"]
    k = m["reasoning"].index(" ")
    begun = "<think>" + m["reasoning"][:k]
    r = ask(demo, [*THINK, {"role": "assistant", "content": begun}])
    got = r["choices"][0]["message"]
    assert got["reasoning"] == m["reasoning"][k:]
    assert got["content"] == m["content"]
    closed = f"<think>{m['reasoning']}</think>"
    r = ask(demo, [*THINK, {"role": "assistant", "content": closed}])
    assert r["choices"][0]["message"]["content"] == m["content"]
    assert thought_tokens(r) == 0


def test_what_cannot_go_on_is_refused(demo):
    said = {"role": "assistant", "content": "I"}
    call = {"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f"}}]}
    for messages, fields, param in [
            (TALK, {"continue_final_message": True}, "continue_final_message"),
            ([*TALK, call], {"continue_final_message": True},
             "continue_final_message"),
            ([*TALK, said], {"continue_final_message": True,
                             "add_generation_prompt": True},
             "continue_final_message"),
            ([*TALK, said, said], {}, "messages"),
            ([*TALK, said], {"echo": "yes"}, "echo")]:
        e = ask(demo, messages, status=400, **fields)["error"]
        assert e["param"] == param
        assert e["type"] == "invalid_request_error"


def test_a_new_turn_is_there_for_who_asks_for_it(demo):
    messages = [*TALK, {"role": "assistant", "content": "I am"}]
    for fields in ({"continue_final_message": False},
                   {"add_generation_prompt": True}):
        prompt = demo.post("/apply-template",
                           {"messages": messages, **fields}).json()["prompt"]
        assert prompt.endswith("I am<|im_end|>\n<|im_start|>assistant\n")
