"""POST /v1/messages and count_tokens, Anthropic's protocol, over plain HTTP on
the bundled model: the replies are the chat's, in blocks and events."""
import json

import httpx
import pytest

URL = "/v1/messages"
COUNT = URL + "/count_tokens"
HELLO = [{"role": "user", "content": "Hello!"}]
STORY = [{"role": "user", "content": "Tell me a story about a fox named Ada."}]
THINK = {"system": "Think first.",
         "messages": [{"role": "user", "content": "What is 25 + 17?"}]}
WEATHER = {"name": "get_weather", "description": "Get the weather of a city.",
           "input_schema": {"type": "object",
                            "properties": {"city": {"type": "string"}},
                            "required": ["city"]}}
PARIS = {"tools": [WEATHER], "messages": [
    {"role": "user", "content": "What is the weather in Paris?"}]}


def body_of(**kw):
    return {"model": "demo", "max_tokens": 80, "temperature": 0,
            "repetition_penalty": 1.0, **kw}


def ask(d, status=200, path=URL, **kw):
    r = d.post(path, body_of(**kw))
    assert r.status_code == status, r.text
    return r.json()


def events_of(text):
    """The events of a stream, each under its own name and nothing between."""
    out = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == "event: " + event["type"]
        out.append(event)
    return out


def arguments(text):
    """What a reply that was cut in them leaves is no object."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


def assembled(events):
    """The message that a stream of events makes; every rule of theirs holds."""
    first, *middle, last, stop = [e for e in events if e["type"] != "ping"]
    assert first["type"] == "message_start" and stop == {"type": "message_stop"}
    message, opened = first["message"], None
    assert message["content"] == [] and message["stop_reason"] is None
    for e in middle:
        if e["type"] == "content_block_start":
            assert opened is None and e["index"] == len(message["content"])
            opened = e["content_block"]
            message["content"].append(opened)
            deltas, signatures = "", 0
        elif e["type"] == "content_block_delta":
            assert e["index"] == len(message["content"]) - 1 and not signatures
            kind = e["delta"].pop("type")
            (key, text), = e["delta"].items()
            assert (opened["type"], kind, key) in (
                ("text", "text_delta", "text"),
                ("thinking", "thinking_delta", "thinking"),
                ("thinking", "signature_delta", "signature"),
                ("tool_use", "input_json_delta", "partial_json"))
            if kind == "signature_delta":
                signatures += 1
                assert text == ""
            else:
                assert text
                deltas += text
        else:
            assert e == {"type": "content_block_stop",
                         "index": len(message["content"]) - 1}
            if opened["type"] == "tool_use":
                assert opened["input"] == {}
                opened["input"] = arguments(deltas)
                assert opened["input"] or \
                    last["delta"]["stop_reason"] == "max_tokens"
            else:
                assert opened[opened["type"]] == ""
                opened[opened["type"]] = deltas
                assert signatures == (opened["type"] == "thinking")
            opened = None
    assert opened is None and last["type"] == "message_delta"
    assert message["usage"]["output_tokens"] <= last["usage"]["output_tokens"]
    return {**message, **last["delta"], "usage": last["usage"]}


def stream(d, **kw):
    r = d.post(URL, body_of(stream=True, **kw))
    assert r.status_code == 200, r.text
    assert r.headers["content-type"].startswith("text/event-stream")
    return assembled(events_of(r.text))


def same(a, b):
    """Two messages, but for what is drawn at random or was cached between."""
    def plain(m):
        blocks = [{**c, "id": None} if "id" in c else c for c in m["content"]]
        u = m["usage"]
        n_prompt = u["input_tokens"] + u["cache_read_input_tokens"]
        return {**m, "id": None, "content": blocks, "usage": {
            **u, "input_tokens": n_prompt, "cache_read_input_tokens": 0}}
    return plain(a) == plain(b)


# --- what is said -----------------------------------------------------------


def test_a_message_is_the_chats_reply(demo):
    m = ask(demo, messages=HELLO)
    chat = demo.post("/v1/chat/completions", body_of(messages=HELLO)).json()
    assert m["id"].startswith("msg_") and m["type"] == "message"
    assert m["role"] == "assistant" and m["model"] == "demo"
    assert m["content"] == [
        {"type": "text", "text": chat["choices"][0]["message"]["content"]}]
    assert (m["stop_reason"], m["stop_sequence"]) == ("end_turn", None)
    u = m["usage"]
    assert u["output_tokens"] == chat["usage"]["completion_tokens"]
    assert u["input_tokens"] + u["cache_read_input_tokens"] == \
        chat["usage"]["prompt_tokens"]
    assert u["cache_creation_input_tokens"] == 0


@pytest.mark.parametrize("kw", [
    {"messages": HELLO}, {"messages": STORY, "max_tokens": 20}, THINK, PARIS,
    {"messages": STORY, "stop_sequences": ["lived"]},
    {**THINK, "max_tokens": 5}, {**PARIS, "max_tokens": 4},
    {**PARIS, "max_tokens": 6}, {**PARIS, "max_tokens": 7},
    {"messages": [{"role": "user", "content": "Caf\u00e9 \u6771\u4eac?"}]},
], ids=str)
def test_a_stream_says_what_the_message_says(demo, kw):
    whole = ask(demo, **kw)
    assert whole["usage"]["output_tokens"] > 0
    assert same(stream(demo, **kw), whole)


def test_system_blocks_and_text_blocks_are_strings(demo):
    cached = {"cache_control": {"type": "ephemeral"}}
    a = ask(demo, system="You are a helpful assistant.", messages=HELLO)
    b = ask(demo, system=[
        {"type": "text", "text": "You are ", **cached},
        {"type": "text", "text": "a helpful assistant.", **cached}],
        messages=[{"role": "user", "content": [
            {"type": "text", "text": "Hel"},
            {"type": "text", "text": "lo!", **cached}]}])
    assert same(a, b)


def test_a_stop_sequence_is_named_and_not_said(demo):
    m = ask(demo, messages=STORY, stop_sequences=["zzz", "lived"])
    assert (m["stop_reason"], m["stop_sequence"]) == ("stop_sequence", "lived")
    assert "lived" not in m["content"][0]["text"]
    m = ask(demo, messages=STORY, max_tokens=3, stop_sequences=["zzz"])
    assert (m["stop_reason"], m["stop_sequence"]) == ("max_tokens", None)
    assert m["usage"]["output_tokens"] == 3


def test_a_reply_goes_on_from_a_prefill(demo):
    q = {"role": "user", "content": "What is the capital of France?"}
    whole = ask(demo, messages=[q])["content"][0]["text"]
    head = whole[:len(whole) // 2].rstrip()
    for said in (head, [{"type": "text", "text": head}]):
        m = ask(demo, messages=[q, {"role": "assistant", "content": said}])
        assert head + m["content"][0]["text"] == whole


def test_an_answer_is_bound_to_a_schema(demo):
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}},
              "required": ["sum"], "additionalProperties": False}
    form = {"type": "json_schema", "schema": schema}
    for kw in ({"output_config": {"format": form}}, {"output_format": form}):
        m = ask(demo, messages=THINK["messages"], **kw)
        assert m["stop_reason"] == "end_turn"
        assert list(json.loads(m["content"][0]["text"])) == ["sum"]


def test_max_tokens_bound_and_do_not_refuse(start):
    """Claude Code asks for 32000 tokens, whatever the context holds."""
    d = start("--ctx-size", "256")
    m = ask(d, messages=STORY, max_tokens=32000, ignore_eos=True)
    u = m["usage"]
    assert m["stop_reason"] == "model_context_window_exceeded"
    assert u["input_tokens"] + u["cache_read_input_tokens"] + \
        u["output_tokens"] == 256
    assert same(stream(d, messages=STORY, max_tokens=32000, ignore_eos=True), m)
    e = ask(d, 400, messages=[{"role": "user", "content": "word " * 400}])
    assert e["error"]["type"] == "invalid_request_error"
    assert e["error"]["message"].startswith("prompt is too long: ")


# --- thinking ---------------------------------------------------------------


def test_thoughts_are_a_block_of_their_own(demo):
    thought, text = ask(demo, **THINK)["content"]
    assert thought["type"] == "thinking" and thought["signature"] == ""
    assert thought["thinking"] and "think>" not in thought["thinking"]
    assert text["type"] == "text" and "42" in text["text"]


def test_thinking_can_be_cut_hidden_and_kept_from_coming(demo):
    free = ask(demo, **THINK)
    cut = ask(demo, **THINK, thinking={"type": "enabled", "budget_tokens": 4})
    n_free, n_cut = (m["usage"]["output_tokens_details"]["thinking_tokens"]
                     for m in (free, cut))
    assert n_cut < n_free and cut["content"][-1]["type"] == "text"
    off = ask(demo, **THINK, thinking={"type": "disabled"})
    assert [b["type"] for b in off["content"]] == ["text"]
    assert off["usage"]["output_tokens_details"]["thinking_tokens"] == 0
    hidden = ask(demo, **THINK, thinking={"type": "adaptive",
                                          "display": "omitted"})
    assert hidden["content"] == free["content"][1:]


# --- tools ------------------------------------------------------------------


def test_a_call_is_a_block_and_its_result_is_read(demo):
    first = ask(demo, **PARIS)
    call, = first["content"]
    assert first["stop_reason"] == "tool_use"
    assert call["id"].startswith("toolu_") and call["name"] == "get_weather"
    assert call["input"] == {"city": "Paris"}
    history = [*PARIS["messages"],
               {"role": "assistant", "content": first["content"]},
               {"role": "user", "content": [
                   {"type": "tool_result", "tool_use_id": call["id"],
                    "content": [{"type": "text",
                                 "text": '{"temp": 18, "sky": "sunny"}'}]}]}]
    m = ask(demo, tools=[WEATHER], messages=history)
    assert m["stop_reason"] == "end_turn" and "18" in m["content"][0]["text"]
    # The prompt goes on where the first reply ended: the call is replayed in
    # the model's own words, found by its id.
    prompt = first["usage"]["input_tokens"] + \
        first["usage"]["cache_read_input_tokens"]
    assert m["usage"]["cache_read_input_tokens"] > prompt


def test_several_results_and_an_error_in_one_turn(demo):
    use = [{"type": "tool_use", "id": f"t{i}", "name": "get_weather",
            "input": {"city": city}} for i, city in enumerate(("Paris", "Rome"))]
    results = [{"type": "tool_result", "tool_use_id": f"t{i}", "content": text}
               for i, text in enumerate(("18 degrees", "24 degrees"))]
    m = ask(demo, tools=[WEATHER], messages=[
        {"role": "user", "content": "What is the weather in Paris and Rome?"},
        {"role": "assistant", "content": use},
        {"role": "user", "content": results}])
    assert m["content"][0]["type"] == "text"
    ask(demo, tools=[WEATHER], messages=[
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": use[:1]},
        {"role": "user", "content": [
            {"type": "text", "text": "Look:"},
            {**results[0], "is_error": True}]}])


@pytest.mark.parametrize("choice,kinds", [
    ({"type": "none"}, {"text"}),
    ({"type": "auto", "disable_parallel_tool_use": True}, {"tool_use"})])
def test_a_choice_of_tools(demo, choice, kinds):
    m = ask(demo, **PARIS, tool_choice=choice)
    assert {b["type"] for b in m["content"]} == kinds


@pytest.mark.parametrize("choice", [
    {"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=str)
def test_a_call_that_must_come_comes(demo, choice):
    kw = {"tools": [WEATHER], "messages": HELLO, "tool_choice": choice}
    m = ask(demo, **kw)
    assert m["stop_reason"] == "tool_use"
    assert {b["type"] for b in m["content"]} == {"tool_use"}
    assert all(list(b["input"]) == ["city"] for b in m["content"])
    assert same(stream(demo, **kw), m)


def test_a_strict_tool_that_cannot_be_honoured_is_named(demo):
    bad = {**WEATHER, "strict": True, "input_schema": {
        "type": "object", "properties": {"a": {"not": {}}}}}
    e = ask(demo, 400, **{**PARIS, "tools": [WEATHER, bad]})["error"]
    assert e["param"] == "tools[1].input_schema"
    assert "function" not in e["message"]
    for kw in ({}, {"tool_choice": {"type": "any"}}):
        m = ask(demo, **{**PARIS, "tools": [{**WEATHER, "strict": True}], **kw})
        assert m["content"][0]["input"] == {"city": "Paris"}


# --- as Claude Code asks ----------------------------------------------------


def test_a_long_list_of_tools_and_a_stamp_that_changes(demo):
    """Its system prompt begins with a stamp that differs in each request, and
    still the prompts share what follows."""
    def turn(stamp):
        return ask(demo, path=URL + "?beta=true", max_tokens=4, system=[
            {"type": "text", "text": "x-anthropic-billing-header: "
             f"cc_version=2.1.101; cc_entrypoint=cli; cch={stamp};"},
            {"type": "text", "text": "You are a helpful assistant.\n" * 20,
             "cache_control": {"type": "ephemeral"}}],
            tools=[{**WEATHER, "name": f"tool_{i}"} for i in range(24)],
            thinking={"type": "adaptive"}, metadata={"user_id": "x"},
            context_management={"edits": []},
            messages=[{"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>x"
                 "</system-reminder>"},
                {"type": "text", "text": "Hello!",
                 "cache_control": {"type": "ephemeral"}}]}])["usage"]
    turn("a5145")
    again = turn("0f3c9")
    assert again["cache_read_input_tokens"] > 20 * again["input_tokens"]


# --- counting ---------------------------------------------------------------


@pytest.mark.parametrize("kw", [
    {"messages": HELLO}, THINK, PARIS, {**THINK, "thinking": {"type": "disabled"}},
    {"messages": [*HELLO, {"role": "assistant", "content": "Hel"}]}], ids=str)
def test_what_is_counted_is_what_is_used(demo, kw):
    r = demo.post(COUNT, kw)  # neither model nor max_tokens
    assert r.status_code == 200, r.text
    u = ask(demo, **kw)["usage"]
    assert r.json() == {
        "input_tokens": u["input_tokens"] + u["cache_read_input_tokens"]}


# --- errors -----------------------------------------------------------------


def error_of(r, status, type_):
    assert r.status_code == status, r.text
    e = r.json()
    assert e["type"] == "error" and e["error"]["type"] == type_, r.text
    assert e["error"]["message"]
    return e["error"]


def test_errors_speak_anthropic_whoever_finds_them(demo, start):
    post, url = demo.post, demo.url
    for path in (URL, COUNT):
        e = error_of(post(path, {}), 400, "invalid_request_error")
        assert e["param"] == ("max_tokens" if path == URL else "messages")
        error_of(httpx.post(url + path, content="{"), 400,
                 "invalid_request_error")
        r = httpx.get(url + path)
        error_of(r, 405, "invalid_request_error")
        assert r.headers["allow"].startswith("POST")
        error_of(httpx.post(url + path, content="{}",
                            headers={"Content-Type": "text/plain"}),
                 415, "invalid_request_error")
    error_of(post(URL + "/batches", {}), 404, "not_found_error")
    assert "type" not in post("/v1/messagesx", {}).json()  # nobody's
    d = start("--api-key", "secret", "--max-body", "10000",
              "--strict-model-name")
    for path in (URL, COUNT):
        body = body_of(messages=HELLO)
        error_of(d.post(path, body), 401, "authentication_error")
        key = {"x-api-key": "secret", "anthropic-version": "2023-06-01"}
        assert d.post(path, body, headers=key).status_code == 200
        body["model"] = "other"
        e = error_of(d.post(path, body, headers=key), 404, "not_found_error")
        assert e["param"] == "model"
        body["messages"] = STORY * 1000
        error_of(d.post(path, body, headers=key), 413, "request_too_large")


def test_every_answer_names_its_request(demo):
    for body in (body_of(messages=HELLO), {}, body_of(messages=HELLO,
                                                      stream=True)):
        r = demo.post(URL, body)
        assert r.headers["request-id"] == r.headers["x-request-id"]


def test_a_full_queue_is_a_rate_limit(start):
    d = start("--parallel", "1", "--max-queue", "1")
    slow = body_of(messages=STORY, max_tokens=4000, ignore_eos=True,
                   stream=True)
    with httpx.Client(timeout=60) as c:
        with c.stream("POST", d.url + URL, json=slow) as running:
            pieces = running.iter_bytes()  # whoever drops it hangs up
            next(pieces)
            with c.stream("POST", d.url + URL, json=slow):  # accepted: waits
                r = c.post(d.url + URL, json=slow)
                error_of(r, 429, "rate_limit_error")
                assert int(r.headers["retry-after"]) >= 1
    d.wait_idle()


def test_a_stream_that_is_cut_ends_in_an_error_event(start):
    d = start("--drain-timeout", "0")
    body = body_of(messages=STORY, max_tokens=4000, ignore_eos=True,
                   stream=True)
    text = b""
    with httpx.stream("POST", d.url + URL, json=body, timeout=60) as r:
        stopped = False
        try:
            for piece in r.iter_bytes():
                text += piece
                if not stopped:
                    stopped = True
                    d.process.terminate()
        except httpx.RemoteProtocolError:
            pass  # the connection breaks behind the event
    last = events_of(text.decode())[-1]
    assert last["type"] == "error"
    assert last["error"]["type"] == "overloaded_error"
    assert d.stop() == 0


# --- every field with every kind of wrong value -----------------------------


FIELDS = """model messages system max_tokens temperature top_p top_k stream
stop_sequences tools tool_choice thinking output_config output_format metadata
service_tier cache_control container mcp_servers min_p seed cache_salt
chat_template_kwargs""".split()
VALUES = [None, True, False, -1, 0, 0.5, 3, 1e308, 2**31, 2**63 - 1, "", "x",
          "auto", "x" * 65536, "\u0000", [], [1], [[]], ["a", 1], [None], {},
          {"a": 1}, {"type": 7}, {"type": "x"}, {"type": "text"},
          {"type": "any"}, {"type": "enabled"}, {"format": {}}, {"effort": 1},
          [{"type": "text"}], [{"type": "text", "text": 7}], [{"role": "user"}],
          [{"role": "user", "content": 7}], [{"name": "f"}],
          [{"name": "f", "input_schema": {"type": 7}}]]
BLOCKS = ["text", "thinking", "redacted_thinking", "tool_use", "tool_result",
          "image", "document", "search_result", "server_tool_use",
          "web_search_tool_result", "container_upload", "", "x"]
KEYS = "type text thinking id name input tool_use_id content is_error".split()


def check(r, body):
    assert r.status_code in (200, 400), (r.status_code, r.text, body)
    if r.status_code == 200:
        return
    e = error_of(r, 400, "invalid_request_error")
    named = e.get("param")
    assert named or e["message"].startswith(
        ("prompt is too long", "JSON ", "not valid JSON")), e
    if named:
        assert named.split("[")[0].split(".")[0] in FIELDS, e


@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_value_is_a_400_that_names_a_field(demo, field):
    base = {"messages": HELLO, "max_tokens": 1}
    with httpx.Client(timeout=30) as c:
        for v in VALUES:
            body = {**base, field: v}
            check(c.post(demo.url + URL, json=body), body)
            if not isinstance(v, float):
                check(c.post(demo.url + COUNT, json=body), body)


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_a_wrong_block_is_a_400_that_names_its_place(demo, role):
    good = {"text": "t", "thinking": "t", "id": "i", "name": "n", "input": {},
            "tool_use_id": "i", "content": "c", "is_error": False}
    with httpx.Client(timeout=30) as c:
        for type_ in BLOCKS:
            for key in KEYS:
                for v in (None, 7, "x", [], {}, [{"type": "image"}]):
                    block = {"type": type_, **good, key: v}
                    body = {"messages": [{"role": role, "content": [block]},
                                         *HELLO]}
                    r = c.post(demo.url + COUNT, json=body)
                    check(r, body)
                    if r.status_code == 400:
                        assert r.json()["error"]["param"].startswith(
                            "messages[0].content[0]"), r.text


def test_afterwards_it_still_answers(demo):
    demo.wait_idle()
    ask(demo, messages=HELLO)
