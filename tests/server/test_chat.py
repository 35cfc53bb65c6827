"""Chat through openai-python, on the bundled model: what it says is checked
against Hugging Face's greedy replies (model/demo/golden.json)."""
import asyncio
import json

import openai
import pytest

GREEDY = {"temperature": 0, "extra_body": {"repetition_penalty": 1.0}}
WEATHER = [{"type": "function", "function": {
    "name": "get_weather", "description": "Get the weather of a city.",
    "parameters": {"type": "object",
                   "properties": {"city": {"type": "string"}},
                   "required": ["city"]}}}]


def ask(client, text, **kw):
    return client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": text}],
        **{**GREEDY, **kw})


def visible(completion):
    """A golden completion as content: markers and thoughts are elsewhere."""
    text = completion.removesuffix("<|im_end|>")
    return text


def test_every_golden_chat_is_reproduced(demo, demo_golden):
    n = 0
    for case in demo_golden["cases"]:
        if "<|tool_call" in case["completion"] or "<think>" in case["completion"]:
            continue
        kw = {"tools": case["tools"]} if case["tools"] else {}
        r = demo.client().chat.completions.create(
            model="x", messages=case["messages"], max_tokens=64, **GREEDY, **kw)
        assert r.choices[0].message.content == visible(case["completion"])
        assert r.usage.prompt_tokens == len(case["ids"])
        assert r.usage.completion_tokens == len(case["completion_ids"])
        assert r.choices[0].finish_reason == (
            "stop" if case["finished"] else "length")
        n += 1
    assert n >= 3


def test_the_template_is_rendered_as_hugging_face_does(demo, demo_golden):
    for case in demo_golden["cases"]:
        body = {"messages": case["messages"],
                "add_generation_prompt": case["add_generation_prompt"]}
        if case["tools"]:
            body["tools"] = case["tools"]
        r = demo.post("/apply-template", body)
        assert r.json()["prompt"] == case["text"]
        r = demo.post("/tokenize", body)
        assert r.json()["tokens"] == case["ids"]


def test_a_stream_says_what_the_whole_answer_says(demo):
    whole = ask(demo.client(), "Tell me a story about a fox named Ada.",
                max_tokens=60)
    parts, finish, usage = [], [], None
    for chunk in ask(demo.client(), "Tell me a story about a fox named Ada.",
                     max_tokens=60, stream=True,
                     stream_options={"include_usage": True}):
        if chunk.usage:
            assert chunk.choices == []
            usage = chunk.usage
        for c in chunk.choices:
            parts.append(c.delta.content or "")
            if c.finish_reason:
                finish.append(c.finish_reason)
    assert "".join(parts) == whole.choices[0].message.content
    assert finish == [whole.choices[0].finish_reason]
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert len(parts) > 10


def test_the_async_client_streams_too(demo):
    async def go():
        out = []
        stream = await demo.async_client().chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "Hello!"}],
            stream=True, **GREEDY)
        async for chunk in stream:
            out.append(chunk.choices[0].delta.content or "")
        return "".join(out)
    assert asyncio.run(go()) == ask(demo.client(),
                                    "Hello!").choices[0].message.content


def test_a_tool_call_comes_as_tool_calls(demo):
    r = ask(demo.client(), "What is the weather in Paris?", tools=WEATHER)
    call = r.choices[0].message.tool_calls[0]
    assert r.choices[0].finish_reason == "tool_calls"
    assert r.choices[0].message.content is None
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert call.id.startswith("call_")

    names, args = {}, {}
    for chunk in ask(demo.client(), "What is the weather in Paris and Rome?",
                     tools=WEATHER, stream=True):
        for c in chunk.choices[0].delta.tool_calls or []:
            names[c.index] = names.get(c.index, "") + (c.function.name or "")
            args[c.index] = args.get(c.index, "") + (c.function.arguments or "")
    assert list(names.values()) == ["get_weather"] * 2
    assert [json.loads(a)["city"] for a in args.values()] == ["Paris", "Rome"]


def test_a_call_is_told_while_it_is_written(demo):
    def deltas(**kw):
        return [(c.function.name, c.function.arguments or "") for chunk in
                ask(demo.client(), "What is the weather in Paris?",
                    tools=WEATHER, stream=True, **kw)
                for c in chunk.choices[0].delta.tool_calls or []]
    pieces = deltas()
    assert [name for name, _ in pieces if name] == ["get_weather"]
    assert pieces[0][0] == "get_weather"
    assert len([a for _, a in pieces if a]) > 1
    whole = "".join(a for _, a in pieces)
    assert json.loads(whole) == {"city": "Paris"}

    # Cut at any token: a prefix of the same, told as text or as a call.
    said = set()
    for n in range(1, 40):
        r = ask(demo.client(), "What is the weather in Paris?", tools=WEATHER,
                max_tokens=n)
        c = r.choices[0]
        calls = c.message.tool_calls or []
        for call in calls:
            assert whole.startswith(call.function.arguments)
            said.add(call.function.arguments)
        if c.finish_reason != "length":
            break
        assert "".join(a for _, a in deltas(max_tokens=n)) == "".join(
            call.function.arguments for call in calls)
    assert c.finish_reason == "tool_calls" and len(said) > 1


def test_the_answer_after_a_tool_result(demo):
    first = ask(demo.client(), "What is the weather in Paris?", tools=WEATHER)
    message = first.choices[0].message
    r = demo.client().chat.completions.create(
        model="demo", tools=WEATHER, messages=[
            {"role": "user", "content": "What is the weather in Paris?"},
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": message.tool_calls[0].id,
             "content": '{"temperature": 21, "condition": "sunny"}'}], **GREEDY)
    assert r.choices[0].finish_reason == "stop"
    assert "sunny" in r.choices[0].message.content


def test_thinking_goes_to_reasoning_content(demo):
    messages = [{"role": "system", "content": "Think first."},
                {"role": "user", "content": "What is 25 + 17?"}]
    r = demo.client().chat.completions.create(model="demo", messages=messages,
                                              **GREEDY)
    m = r.choices[0].message
    assert m.reasoning_content and "<think>" not in m.reasoning_content
    assert "42" in m.content and "think>" not in m.content
    text, thoughts = "", ""
    for chunk in demo.client().chat.completions.create(
            model="demo", messages=messages, stream=True, **GREEDY):
        d = chunk.choices[0].delta
        text += d.content or ""
        thoughts += getattr(d, "reasoning_content", None) or ""
    assert (text, thoughts) == (m.content, m.reasoning_content)


def test_logprobs_describe_every_token(demo):
    r = ask(demo.client(), "Hello!", logprobs=True, top_logprobs=3)
    tokens = r.choices[0].logprobs.content
    assert len(tokens) == r.usage.completion_tokens - 1
    assert "".join(t.token for t in tokens) == r.choices[0].message.content
    for t in tokens:
        assert len(t.top_logprobs) == 3
        assert t.top_logprobs[0].logprob == t.logprob <= 0
        assert bytes(t.bytes).decode(errors="replace") == t.token


def test_a_seed_repeats_and_another_differs(demo):
    def draw(seed):
        return ask(demo.client(), "Tell me a story about a fox.", seed=seed,
                   temperature=1.5, max_tokens=40).choices[0].message.content
    assert draw(7) == draw(7)
    assert len({draw(s) for s in range(4)}) > 1


def test_choices_are_streamed_in_order_and_add_up(demo):
    kw = dict(n=4, temperature=1.2, seed=3, max_tokens=20)
    whole = ask(demo.client(), "Tell me a story.", **kw)
    texts, order = {}, []
    for chunk in ask(demo.client(), "Tell me a story.", stream=True, **kw):
        for c in chunk.choices:
            if c.index not in texts:
                order.append(c.index)
            texts[c.index] = texts.get(c.index, "") + (c.delta.content or "")
    assert order == [0, 1, 2, 3]
    assert [texts[i] for i in range(4)] == [
        c.message.content for c in whole.choices]
    assert len(set(texts.values())) > 1


def test_a_stop_string_never_leaks(demo):
    full = ask(demo.client(), "Hello!").choices[0].message.content
    for cut in range(1, len(full) - 3):
        stop = full[cut:cut + 3]
        got = ask(demo.client(), "Hello!", stop=[stop]).choices[0]
        assert got.message.content == full[:full.index(stop)]
        assert got.finish_reason == "stop"
    streamed = "".join(
        c.choices[0].delta.content or ""
        for c in ask(demo.client(), "Hello!", stop=[full[10:20]], stream=True))
    assert streamed == full[:10]


def test_min_tokens_ignore_eos_and_limits(demo):
    r = ask(demo.client(), "Hello!", max_tokens=50,
            extra_body={"repetition_penalty": 1.0, "ignore_eos": True})
    assert r.usage.completion_tokens == 50
    assert r.choices[0].finish_reason == "length"
    r = ask(demo.client(), "Hello!", max_completion_tokens=5)
    assert r.usage.completion_tokens == 5
    r = ask(demo.client(), "Hello!", max_tokens=60,
            extra_body={"repetition_penalty": 1.0, "min_tokens": 40})
    assert r.usage.completion_tokens >= 40


def test_logit_bias_can_force_a_token(demo):
    r = ask(demo.client(), "Hello!", max_tokens=3, logit_bias={"300": 100})
    ids = demo.post("/detokenize", {"tokens": [300] * 3}).json()["content"]
    assert r.choices[0].message.content == ids


def test_repetition_penalty_changes_a_repeating_answer(demo):
    kw = dict(max_tokens=60)
    plain = ask(demo.client(), "Hello!", **kw,
                extra_body={"ignore_eos": True, "repetition_penalty": 1.0})
    other = ask(demo.client(), "Hello!", **kw,
                extra_body={"ignore_eos": True, "repetition_penalty": 1.8})
    assert plain.choices[0].message.content != other.choices[0].message.content


def test_content_parts_are_the_same_as_a_string(demo):
    a = ask(demo.client(), "Hello!")
    b = demo.client().chat.completions.create(
        model="demo", messages=[{"role": "user", "content": [
            {"type": "text", "text": "Hello!"}]}], **GREEDY)
    assert a.choices[0].message.content == b.choices[0].message.content
    assert a.usage.prompt_tokens == b.usage.prompt_tokens


def test_top_p_0_keeps_the_likeliest_token_alone(demo):
    greedy = ask(demo.client(), "Hello!")
    narrow = ask(demo.client(), "Hello!", temperature=1, top_p=0)
    assert narrow.choices[0].message.content == \
        greedy.choices[0].message.content


def test_what_is_wrong_is_a_400_that_names_it(demo):
    for kw, param in [({"temperature": 3}, "temperature"),
                      ({"n": 9}, "n"),
                      ({"top_p": -0.1}, "top_p"),
                      ({"stop": [1]}, "stop"),
                      ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
                      ({"messages": []}, "messages"),
                      ({"max_tokens": -1}, "max_tokens"),
                      ({"logit_bias": {"999999": 1}}, "logit_bias")]:
        body = {"messages": [{"role": "user", "content": "x"}], **kw}
        r = demo.post("/v1/chat/completions", {**body, "stream": True})
        assert r.status_code == 400, kw
        e = r.json()["error"]
        assert e["type"] == "invalid_request_error"
        assert e["param"].startswith(param), e
    with pytest.raises(openai.BadRequestError) as e:
        ask(demo.client(), "x " * 5000)
    assert e.value.code == "context_length_exceeded"
    # The words by which litellm and pydantic-ai know it.
    assert "this model's maximum context length is 4096 tokens" in str(e.value)
    with pytest.raises(openai.NotFoundError):
        demo.client().models.retrieve("no-such-model")


def test_the_model_is_listed(demo):
    models = demo.client().models.list().data
    assert [m.id for m in models] == ["demo"]
    assert demo.client().models.retrieve("demo").id == "demo"


def test_unknown_fields_and_nulls_are_ignored(demo):
    r = demo.post("/v1/chat/completions", {
        "messages": [{"role": "user", "content": "Hello!"}], "user": "u",
        "stop": None, "seed": None, "tools": None, "made_up": {"a": 1},
        "max_tokens": 4, "stream_options": {"include_usage": True}})
    assert r.status_code == 200
