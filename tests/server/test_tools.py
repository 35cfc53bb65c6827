"""Calls that must come, come: whatever the model would have said, by chance as
hot as it may be.  What a call may look like: tests/unit/model/dialect and
test_grammar.py."""
import concurrent.futures
import json
import pathlib

import httpx
import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def tool(name, properties, required=(), **more):
    return {"type": "function", "function": {
        "name": name, "description": "A tool.", **more,
        "parameters": {"type": "object", "properties": properties,
                       "required": list(required),
                       "additionalProperties": False}}}


WEATHER = tool("get_weather", {
    "city": {"type": "string", "maxLength": 20},
    "days": {"type": "integer", "minimum": 1, "maximum": 7},
    "unit": {"enum": ["C", "F", "it's"]}}, ["city"])
TIMER = tool("set.timer", {
    "at": {"type": "object", "properties": {
        "h": {"type": "integer", "minimum": 0, "maximum": 23},
        "zone": {"anyOf": [{"$ref": "#/$defs/zone"}, {"type": "null"}]}},
        "required": ["h", "zone"], "additionalProperties": False},
    "on": {"type": "boolean"},
    "tags": {"type": "array", "maxItems": 3,
             "items": {"type": "string", "pattern": "^[a-z']{1,6}$"}}},
    ["at", "tags"], strict=True)
TIMER["function"]["parameters"]["$defs"] = {
    "zone": {"type": "string", "enum": ["Europe/Paris", "UTC"]}}
ODD = tool("odd/name", {"$top": {"type": "number", "exclusiveMinimum": 0.5}},
           ["$top"])
TOOLS = [WEATHER, TIMER, ODD]
BY_NAME = {t["function"]["name"]: t["function"] for t in TOOLS}
HOT = {"temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0,
       "repetition_penalty": 1.0, "max_tokens": 400}
ASK = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
THINK = [{"role": "system", "content": "Think first."},
         {"role": "user", "content": "What is 25 + 17?"}]
NAMED = {"type": "function", "function": {"name": "set.timer"}}


def allowed(mode, *tools):
    return {"type": "allowed_tools",
            "allowed_tools": {"mode": mode, "tools": list(tools)}}


def say(d, **kw):
    r = d.post("/v1/chat/completions",
               {"messages": ASK, "tools": TOOLS, **HOT, **kw})
    assert r.status_code == 200, r.text
    return r.json()


def check_calls(message, names=BY_NAME):
    calls = message.get("tool_calls") or []
    for call in calls:
        f = call["function"]
        assert f["name"] in names, calls
        jsonschema.validate(json.loads(f["arguments"]),
                            BY_NAME[f["name"]]["parameters"])
    return calls


@pytest.mark.parametrize("choice,names,single", [
    ("required", BY_NAME, False),
    (NAMED, ["set.timer"], True),
    (allowed("required", WEATHER, ODD), ["get_weather", "odd/name"], False),
])
@pytest.mark.parametrize("messages", [ASK, THINK])
def test_a_call_that_must_come_comes(demo, choice, names, single, messages):
    finished = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(
            lambda seed: say(demo, tool_choice=choice, messages=messages,
                             seed=seed, n=1 + seed % 3), range(12)))
    for r in replies:
        for c in r["choices"]:
            if c["finish_reason"] == "length":
                continue  # it thought, or said, too much
            assert c["finish_reason"] == "tool_calls", c
            assert not c["message"]["content"], c
            calls = check_calls(c["message"], names)
            assert len(calls) == 1 if single else calls, c
            finished += 1
    assert finished >= 15


def test_one_call_where_one_is_wanted(demo):
    for seed in range(10):
        r = say(demo, tool_choice="required", parallel_tool_calls=False,
                seed=seed)
        if r["choices"][0]["finish_reason"] != "length":
            assert len(check_calls(r["choices"][0]["message"])) == 1
    r = say(demo, parallel_tool_calls=False, temperature=0, tools=[WEATHER])
    assert len(check_calls(r["choices"][0]["message"])) == 1
    r = say(demo, temperature=0, tools=[WEATHER])
    assert len(check_calls(r["choices"][0]["message"])) == 2


@pytest.mark.parametrize("how", [
    {"tools": TOOLS}, {"tool_choice": allowed("auto", WEATHER)}])
def test_calls_of_its_own_are_held_too(demo, how):
    """What the model would rather say than call is its own affair."""
    called = 0
    for seed in range(30):
        r = say(demo, seed=seed, **{**HOT, "temperature": 0.9}, **how)
        c = r["choices"][0]
        calls = check_calls(c["message"])
        assert bool(calls) == (c["finish_reason"] == "tool_calls") or \
            c["finish_reason"] == "length"
        if "tool_choice" in how:
            assert all(x["function"]["name"] == "get_weather" for x in calls)
        called += bool(calls)
    assert called > 10


def streamed(d, **kw):
    calls, text, finish = {}, {}, {}
    body = {"messages": ASK, "tools": TOOLS, **HOT, "stream": True, **kw}
    with httpx.stream("POST", d.url + "/v1/chat/completions", json=body,
                      timeout=60) as r:
        assert r.status_code == 200
        for line in r.iter_lines():
            if not line.startswith("data: {"):
                continue
            for c in json.loads(line[6:])["choices"]:
                i = c["index"]
                text[i] = text.get(i, "") + (c["delta"].get("content") or "")
                for t in c["delta"].get("tool_calls") or []:
                    f = t["function"]
                    if "id" in t:
                        assert t["index"] == len(calls.setdefault(i, []))
                        calls[i].append([f["name"], ""])
                    calls[i][t["index"]][1] += f.get("arguments") or ""
                if c["finish_reason"]:
                    finish[i] = c["finish_reason"]
    return calls, text, finish


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_streamed_it_is_the_same(demo, choice):
    for seed in range(6):
        kw = {"tool_choice": choice, "seed": seed, "n": 2}
        calls, text, finish = streamed(demo, **kw)
        for c in say(demo, **kw)["choices"]:
            i = c["index"]
            told = [[t["function"]["name"], t["function"]["arguments"]]
                    for t in c["message"].get("tool_calls") or []]
            assert calls.get(i, []) == told
            assert text.get(i, "") == (c["message"]["content"] or "")
            assert finish[i] == c["finish_reason"]


def test_its_end_is_its_own(demo):
    """Neither min_tokens nor a missing end of text drags a call out, and no
    stop string cuts it."""
    for more in ({"min_tokens": 300}, {"ignore_eos": True},
                 {"stop": ["(", ",", "zone", "<|"]}, {"response_format": {
                     "type": "json_object"}}):
        r = say(demo, tool_choice=NAMED, temperature=0, **more)
        c = r["choices"][0]
        assert c["finish_reason"] == "tool_calls", (more, c)
        assert len(check_calls(c["message"])) == 1
        assert r["usage"]["completion_tokens"] < 200
    c = say(demo, tool_choice=NAMED, max_tokens=5)["choices"][0]
    assert c["finish_reason"] == "length"
    assert not c["message"].get("tool_calls")


BAD = tool("bad", {"x": {"not": {"type": "string"}}}, ["x"], strict=True)


@pytest.mark.parametrize("tools,choice,param,keyword", [
    ([WEATHER, BAD], "auto", "tools[1].function.parameters", "not"),
    ([WEATHER, BAD], "required", "tools[1].function.parameters", "not"),
    ([WEATHER, BAD], allowed("auto", BAD), "tools[1].function.parameters",
     "not"),
    ([tool("u", {"x": {"enum": []}}, ["x"], strict=True)], "required", "tools",
     "no finite text"),
    ([tool("s", {}, strict="yes")], "auto", "tools[0].function.strict",
     "strict"),
])
def test_what_cannot_be_honoured_is_named(demo, tools, choice, param, keyword):
    r = demo.post("/v1/chat/completions",
                  {"messages": ASK, "tools": tools, "tool_choice": choice})
    assert r.status_code == 400, r.text
    assert r.json()["error"]["param"] == param
    assert keyword in r.json()["error"]["message"]


def test_a_bad_schema_harms_only_the_strict(demo):
    loose = tool("bad", {"x": {"not": {"type": "string"}},
                         "n": {"type": "integer"}}, ["x", "n"])
    for seed in range(5):
        c = say(demo, tools=[loose], tool_choice="required",
                seed=seed)["choices"][0]
        if c["finish_reason"] == "length":
            continue
        for call in c["message"]["tool_calls"]:
            args = json.loads(call["function"]["arguments"])
            assert set(args) == {"x", "n"} and isinstance(args["n"], int)
    # Nobody is held, nobody is hurt: auto, and other tools are chosen.
    say(demo, tools=[WEATHER, BAD], tool_choice={
        "type": "function", "function": {"name": "get_weather"}})
    say(demo, tools=[WEATHER, BAD], tool_choice="none")


def history(*calls):
    return [{"role": "user", "content": "Go."},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": f"c{i}", "type": "function",
                 "function": {"name": n, "arguments": json.dumps(a)}}
                for i, (n, a) in enumerate(calls)]},
            *({"role": "tool", "tool_call_id": f"c{i}", "content": c}
              for i, c in enumerate(["ok", None])),
            {"role": "user", "content": "And?"}]


def shown(d, messages):
    r = d.post("/apply-template", {"messages": messages})
    assert r.status_code == 200, r.text
    return r.json()["prompt"]


def test_past_calls_where_a_template_has_no_branch_for_them(start, tmp_path):
    """As LFM2-8B-A1B's, which shows neither calls nor the want of content."""
    oracle = json.loads((ROOT / "tests/oracle/template/chats.json").read_text())
    lfm2 = oracle["templates"][1]
    assert "tool_response" in lfm2 and "tool_calls" not in lfm2
    (tmp_path / "t.jinja").write_text(lfm2)
    d = start("--chat-template-file", str(tmp_path / "t.jinja"))
    turn = "<|im_start|>{}\n{}<|im_end|>\n".format
    rest = (turn("tool", "<|tool_response_start|>ok<|tool_response_end|>")
            + turn("tool", "<|tool_response_start|><|tool_response_end|>")
            + turn("user", "And?") + "<|im_start|>assistant\n")
    for calls, block in [
        ([("f", {"a": "it's", "b": [1, None, True]}), ("g.h", {})],
         "[f(a=\"it's\", b=[1, None, True]), g.h()]"),
        ([("f", {"a": 1}), ("g h", {"b": None})],
         '[{"name": "f", "arguments": {"a": 1}}, '
         '{"name": "g h", "arguments": {"b": null}}]'),
        ([("f", {"$a": "x\n"})],
         '[{"name": "f", "arguments": {"$a": "x\\n"}}]'),
    ]:
        assert shown(d, history(*calls)) == (
            "<|startoftext|>" + turn("user", "Go.")
            + turn("assistant", f"<|tool_call_start|>{block}<|tool_call_end|>")
            + rest)


def test_past_calls_where_it_has_one(demo):
    assert ("<|im_start|>assistant\n<|tool_call_start|>[f(a='it\\'s', n=2), "
            "g()]<|tool_call_end|><|im_end|>\n<|im_start|>tool\n"
            ) in shown(demo, history(("f", {"a": "it's", "n": 2}), ("g", {})))


@pytest.mark.parametrize("arguments", ["{", "[1]", "1", '{"a":1,"a":2}', 5])
def test_arguments_that_are_none_are_named(demo, arguments):
    messages = history(("f", {}))
    messages[1]["tool_calls"][0]["function"]["arguments"] = arguments
    r = demo.post("/v1/chat/completions", {"messages": messages})
    assert r.status_code == 400
    assert r.json()["error"]["param"] == \
        "messages[1].tool_calls[0].function.arguments"
