"""POST /v1/responses from outside: items in and out, events that add up to the
whole answer, and the 400s of a server that remembers nothing."""
import json
import re

import httpx
import jsonschema
import openai
import pytest

WEATHER = {"type": "function", "name": "get_weather",
           "description": "Get the weather of a city.",
           "parameters": {"type": "object",
                          "properties": {"city": {"type": "string"}},
                          "required": ["city"]}}
ASK_WEATHER = "What is the weather in Paris?"
THINK = {"instructions": "Think first.", "input": "What is 25 + 17?"}
PERSON = {"type": "object",
          "properties": {"name": {"type": "string", "maxLength": 12},
                         "age": {"type": "integer", "minimum": 0,
                                 "maximum": 150}},
          "required": ["name", "age"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "name": "person", "strict": True,
          "schema": PERSON}
EXACT = {"temperature": 0, "repetition_penalty": 1.0}


def ask(d, **kw):
    r = d.post("/v1/responses", {**EXACT, **kw})
    assert r.status_code == 200, r.text
    return r.json()


def events_of(d, **kw):
    """[(name, data)]; that both agree and are numbered is checked here."""
    with httpx.stream("POST", d.url + "/v1/responses", timeout=60,
                      json={**EXACT, **kw, "stream": True}) as r:
        assert r.status_code == 200
        assert r.headers["content-type"].startswith("text/event-stream")
        text = r.read().decode()
    events = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        assert name.startswith("event: ") and data.startswith("data: ")
        events.append((name[7:], json.loads(data[6:])))
        assert events[-1][0] == events[-1][1]["type"]
    assert [e["sequence_number"] for _, e in events] == list(
        range(len(events)))
    return events


def same(response):
    """A response without what is new each time."""
    text = json.dumps({k: v for k, v in response.items()
                       if k not in ("id", "created_at", "completed_at")})
    text = re.sub(r'"(msg_|rs_|fc_|call_)[A-Za-z0-9]+"', r'"\1"', text)
    response = json.loads(text)
    if response["usage"]:
        response["usage"]["input_tokens_details"] = None
    return response


def add_up(events):
    """The output, from the parts of the stream alone."""
    items, opened = {}, set()
    for name, e in events:
        i = e.get("output_index")
        if name == "response.output_item.added":
            assert i == len(items) and e["item"]["status"] == "in_progress"
            items[i] = e["item"]
            opened.add(i)
        elif name == "response.content_part.added":
            assert e["content_index"] == len(items[i]["content"])
            items[i]["content"].append(e["part"])
        elif name in ("response.output_text.delta",
                      "response.reasoning_text.delta"):
            part = items[i]["content"][e["content_index"]]
            assert e["item_id"] == items[i]["id"] and e["delta"]
            part["text"] += e["delta"]
            part.get("logprobs", []).extend(e.get("logprobs", []))
        elif name == "response.function_call_arguments.delta":
            items[i]["arguments"] += e["delta"]
        elif name in ("response.output_text.done",
                      "response.reasoning_text.done"):
            part = items[i]["content"][e["content_index"]]
            assert e["text"] == part["text"]
            assert e.get("logprobs") == part.get("logprobs")
        elif name == "response.function_call_arguments.done":
            assert e["arguments"] == items[i]["arguments"]
            json.loads(e["arguments"])
        elif name == "response.content_part.done":
            assert e["part"] == items[i]["content"][e["content_index"]]
        elif name == "response.output_item.done":
            opened.remove(i)
            items[i]["status"] = e["item"]["status"]
            assert e["item"] == items[i]
    assert not opened
    return [items[i] for i in sorted(items)]


CASES = {
    "text": {"input": "Hello!"},
    "logprobs": {"input": "Hello!", "top_logprobs": 2,
                 "include": ["message.output_text.logprobs"]},
    "call": {"input": ASK_WEATHER, "tools": [WEATHER]},
    "calls": {"input": "What is the weather in Paris and Rome?",
              "tools": [WEATHER]},
    "thought": THINK,
    "thought and logprobs": {**THINK, "include": [
        "message.output_text.logprobs"]},
    "cut": {"input": "Tell me a story about a fox named Ada in the forest.",
            "max_output_tokens": 9},
    "cut thought": {**THINK, "max_output_tokens": 3},
    "schema": {"input": "Who are you?", "text": {"format": FORMAT}},
    "echoes": {"input": "Hello!", "instructions": "Be kind.",
               "metadata": {"a": "b"}, "user": "u", "store": True},
}


@pytest.mark.parametrize("case", CASES)
def test_a_stream_adds_up_to_the_whole_answer(demo, case):
    whole = ask(demo, **CASES[case])
    events = events_of(demo, **CASES[case])
    assert [n for n, _ in events[:2]] == ["response.created",
                                          "response.in_progress"]
    last, final = events[-1]
    assert last == "response." + final["response"]["status"]
    assert same(final["response"]) == same(whole)
    assert add_up(events) == final["response"]["output"]
    for _, e in events[:2]:
        begun = e["response"]
        assert begun["status"] == "in_progress" and begun["output"] == []
        assert begun["id"] == final["response"]["id"]
        assert begun["usage"] is None
    ids = [item["id"] for item in final["response"]["output"]]
    assert len(set(ids)) == len(ids)


def test_what_a_response_says_of_itself(demo):
    r = ask(demo, input="Hello!", metadata={"a": "b"}, store=True, top_p=0.5,
            max_output_tokens=60, tools=[WEATHER], user="u")
    assert r["id"].startswith("resp_") and r["object"] == "response"
    assert r["status"] == "completed" and r["error"] is None
    assert r["incomplete_details"] is None
    assert r["completed_at"] >= r["created_at"]
    assert r["store"] is False and r["background"] is False
    assert r["previous_response_id"] is None
    assert (r["temperature"], r["top_p"], r["max_output_tokens"]) == (
        0, 0.5, 60)
    assert r["metadata"] == {"a": "b"} and r["user"] == "u"
    assert r["tools"] == [{**WEATHER, "strict": False}]
    assert r["tool_choice"] == "auto" and r["truncation"] == "disabled"
    u = r["usage"]
    assert u["total_tokens"] == u["input_tokens"] + u["output_tokens"]
    message, = r["output"]
    assert message["id"].startswith("msg_")
    assert message["role"] == "assistant"


def test_it_is_the_chat_that_answers(demo):
    """The same words, and the same tokens of the same prompt."""
    chat = demo.post("/v1/chat/completions", {
        **EXACT, "tools": [{"type": "function", "function": {
            k: v for k, v in WEATHER.items() if k != "type"}}],
        "messages": [{"role": "system", "content": "Be kind."},
                     {"role": "user", "content": ASK_WEATHER}]}).json()
    r = ask(demo, instructions="Be kind.", input=ASK_WEATHER, tools=[WEATHER])
    call, = r["output"]
    said, = chat["choices"][0]["message"]["tool_calls"]
    assert call["name"] == said["function"]["name"]
    assert call["arguments"] == said["function"]["arguments"]
    assert r["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]
    assert r["usage"]["output_tokens"] == chat["usage"]["completion_tokens"]


def test_a_call_and_its_result_go_back_in(demo):
    first = ask(demo, input=ASK_WEATHER, tools=[WEATHER])
    call, = first["output"]
    assert call["type"] == "function_call" and call["status"] == "completed"
    assert call["id"].startswith("fc_") and call["call_id"].startswith("call_")
    assert json.loads(call["arguments"]) == {"city": "Paris"}
    result = json.dumps({"city": "Paris", "weather": "sunny", "celsius": 21})
    second = ask(demo, tools=[WEATHER], input=[
        {"role": "user", "content": ASK_WEATHER}, call,
        {"type": "function_call_output", "call_id": call["call_id"],
         "output": result}])
    message = second["output"][-1]
    assert message["type"] == "message"
    assert "Paris" in message["content"][0]["text"]
    # What the model wrote is in the cache, word for word.
    assert second["usage"]["input_tokens_details"]["cached_tokens"] > 0


def test_thoughts_are_items_and_go_back_in(demo):
    r = ask(demo, **THINK)
    thought, message = r["output"]
    assert thought["type"] == "reasoning" and thought["summary"] == []
    assert thought["id"].startswith("rs_")
    assert thought["content"][0]["type"] == "reasoning_text"
    assert "42" in message["content"][0]["text"]
    u = r["usage"]
    assert 0 < u["output_tokens_details"]["reasoning_tokens"] \
        < u["output_tokens"]
    again = ask(demo, instructions=THINK["instructions"], input=[
        {"role": "user", "content": THINK["input"]}, *r["output"],
        {"role": "user", "content": "Hello!"}])
    assert again["output"]


def test_a_reply_that_is_cut_is_incomplete(demo):
    r = ask(demo, **CASES["cut"])
    assert r["status"] == "incomplete" and r["completed_at"] is None
    assert r["incomplete_details"] == {"reason": "max_output_tokens"}
    assert r["usage"]["output_tokens"] == 9
    assert r["output"][0]["status"] == "incomplete"
    r = ask(demo, **CASES["cut thought"])
    assert [i["type"] for i in r["output"]] == ["reasoning"]
    assert r["output"][0]["status"] == "incomplete"


def test_a_format_binds_the_text(demo):
    for seed in range(5):
        r = ask(demo, input="Who are you?", text={"format": FORMAT},
                temperature=1.5, seed=seed, max_output_tokens=200)
        assert r["status"] == "completed"
        jsonschema.validate(json.loads(
            r["output"][-1]["content"][0]["text"]), PERSON)
        assert r["text"]["format"] == FORMAT
    r = ask(demo, input="Who are you?", max_output_tokens=10,
            text={"format": {"type": "json_object"}})
    assert r["output"][-1]["content"][0]["text"].startswith("{")


def test_logprobs_are_the_texts_own(demo):
    r = ask(demo, **CASES["thought and logprobs"])
    thought, message = r["output"]
    assert "logprobs" not in thought["content"][0]
    part = message["content"][0]
    told = b"".join(bytes(p["bytes"]) for p in part["logprobs"]).decode()
    assert part["text"] in told
    assert thought["content"][0]["text"] not in told
    plain = ask(demo, **THINK)
    assert plain["output"][-1]["content"][0]["logprobs"] == []


def test_hidden_thoughts_are_hidden_from_logprobs(demo):
    kw = {**THINK, "include": ["message.output_text.logprobs"]}
    open_, hidden = ask(demo, **kw), ask(demo, **kw, include_reasoning=False)
    message, = hidden["output"]
    assert message["content"] == open_["output"][-1]["content"]
    assert message["content"][0]["logprobs"]
    assert hidden["usage"]["output_tokens"] == open_["usage"]["output_tokens"]


def test_without_the_prefix_too(demo):
    assert demo.post("/responses", {"input": "Hi"}).status_code == 200


@pytest.mark.parametrize("fields, param, word", [
    ({"previous_response_id": "resp_1"}, "previous_response_id", "stateless"),
    ({"conversation": "conv_1"}, "conversation", "stateless"),
    ({"background": True}, "background", "stateless"),
    ({"prompt": {"id": "p"}}, "prompt", "stateless"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type",
     "stateless"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "web_search"),
    ({"input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "x"}]}]},
     "input[0].content[0].type", "images"),
    ({"text": {"format": {**FORMAT, "schema": {
        "type": "object", "properties": {"a": {"not": {"type": "null"}}}}}}},
     "text.format.schema", "not"),
    ({"text": {"format": {"type": "json_schema", "name": "test"}}},
     "text.format.schema", "missing"),
    ({"input": "word " * 9000}, "input", ""),
])
def test_what_cannot_be_done_is_named(demo, fields, param, word):
    r = demo.post("/v1/responses", {"input": "Hi", **fields})
    assert r.status_code == 400, r.text
    e = r.json()["error"]
    assert e["param"] == param and e["type"] == "invalid_request_error"
    assert word in e["message"]


def test_a_long_conversation_is_cut_where_that_is_asked(demo):
    items = [{"role": "user", "content": f"Tell me the number {i}, please. "
              + "It is for my list. " * 5} for i in range(200)]
    r = demo.post("/v1/responses", {"input": items})
    assert r.status_code == 400
    assert r.json()["error"]["code"] == "context_length_exceeded"
    r = ask(demo, input=items, truncation="auto", max_output_tokens=20)
    assert 2048 < r["usage"]["input_tokens"] <= 4096 - 20
    assert r["truncation"] == "auto"


@pytest.mark.parametrize("case", ["text", "calls", "thought", "schema"])
def test_a_prompt_is_counted_as_usage_counts_it(demo, case):
    n = ask(demo, **CASES[case])["usage"]["input_tokens"]
    for path in ("/v1/responses/input_tokens", "/responses/input_tokens"):
        r = demo.post(path, CASES[case])
        assert r.json() == {"object": "response.input_tokens",
                            "input_tokens": n}
    client = demo.client()
    assert client.responses.input_tokens.count(
        input=CASES[case]["input"], tools=CASES[case].get("tools", []),
        instructions=CASES[case].get("instructions")).input_tokens == n


def test_what_cannot_be_counted_is_named(demo):
    for body, param in (({}, "input"), ({"input": [{}]}, "input[0].role"),
                        ({"input": "x", "tools": 7}, "tools")):
        r = demo.post("/v1/responses/input_tokens", body)
        assert r.status_code == 400 and r.json()["error"]["param"] == param
    r = demo.post("/v1/responses/input_tokens", {"input": "word " * 9000})
    assert r.json()["input_tokens"] > 9000
    r = demo.post("/v1/responses/input_tokens", {
        "input": [{"role": "user", "content": "word " * 99}] * 99,
        "truncation": "auto"})
    assert r.json()["input_tokens"] < 4096


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/resp_1", 404), ("DELETE", "/resp_1", 404),
    ("GET", "/resp_1/input_items", 404), ("POST", "/resp_1/cancel", 405),
    ("POST", "/compact", 405), ("GET", "", 405), ("GET", "/input_tokens", 405)])
def test_no_response_is_kept(demo, method, path, status):
    r = httpx.request(method, f"{demo.url}/v1/responses{path}", timeout=30)
    assert r.status_code == status and r.json()["error"]["message"]
    if status == 404:
        assert "stateless" in r.json()["error"]["message"]


def test_a_model_by_another_name_is_not_found(start):
    d = start("--strict-model-name")
    r = d.post("/v1/responses", {"input": "Hi", "model": "other"})
    assert r.status_code == 404
    assert r.json()["error"]["code"] == "model_not_found"


# --- every field with every kind of wrong value ------------------------------

FIELDS = """input instructions tools tool_choice parallel_tool_calls text
max_output_tokens max_tool_calls temperature top_p top_logprobs include stream
stream_options reasoning truncation store previous_response_id conversation
background prompt metadata user service_tier safety_identifier prompt_cache_key
model top_k seed stop""".split()
VALUES = [None, True, False, -1, 0, 0.5, 3, 1e308, 2**63 - 1, "", "x", "auto",
          "x" * 65536, "\u0000", [], [1], [[]], ["a", 1], [None], {},
          {"a": 1}, {"type": "text"}, {"format": 7}, {"format": {"type": 1}},
          {"format": {"type": "json_schema", "schema": []}},
          {"effort": {}}, {"effort": "x" * 999}, {"type": "function"},
          {"type": "allowed_tools", "tools": [None]},
          [{"type": "function"}], [{"type": "function", "name": 7}],
          [{"type": "function", "name": "f", "parameters": []}],
          [{"role": "user"}], [{"role": "user", "content": {}}],
          [{"role": "user", "content": [{"type": "input_text", "text": 1}]}],
          [{"type": "function_call", "call_id": {}, "name": "x"}],
          [{"type": "function_call", "call_id": "x", "name": "x",
            "arguments": "[" * 80}],
          [{"type": "reasoning", "content": [1]}],
          [{"type": "function_call_output", "call_id": "x", "output": 7}],
          {str(i): "x" for i in range(17)}, {"x" * 100: "x"}]
RAW = ['"\\ud800"', "1e400", "18446744073709551616", "[" * 80 + "]" * 80]


def bodies(field):
    base = {"input": "Hi", "max_output_tokens": 1}
    for v in VALUES:
        yield json.dumps({**base, field: v})
    rest = {k: v for k, v in base.items() if k != field}
    for v in RAW:
        yield json.dumps(rest)[:-1] + f', "{field}": {v}}}'


@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_value_is_a_400_that_names_it(demo, field):
    with httpx.Client(timeout=30) as c:
        for body in bodies(field):
            r = c.post(demo.url + "/v1/responses", content=body)
            assert r.status_code in (200, 400), (r.status_code, body[:200])
            if r.status_code == 200:
                continue
            e = r.json()["error"]
            assert e["type"] == "invalid_request_error" and e["message"]
            if e["code"] == "context_length_exceeded":
                assert e["param"] == "input"
            elif not e["message"].startswith(("not valid JSON", "JSON ")):
                assert (e["param"] or "").startswith((field, "tool")), (
                    e, body[:200])


def test_afterwards_it_still_answers(demo):
    demo.wait_idle()
    assert ask(demo, input="Hi")["output"]


# --- openai-python ------------------------------------------------------------

def test_openai_python_reads_it(demo):
    client = demo.client()
    r = client.responses.create(model="demo", input="Hello!", temperature=0)
    assert r.output_text and r.status == "completed"
    assert r.usage.output_tokens_details.reasoning_tokens == 0
    with client.responses.stream(model="demo", input="Hello!",
                                 temperature=0) as stream:
        said = "".join(e.delta for e in stream
                       if e.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == said == r.output_text
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model="demo", input="x",
                                previous_response_id="resp_1")
    assert e.value.param == "previous_response_id"
