"""The openai package's chat completions against the bundled model, by its own
helpers: parsed answers, accumulated streams, tools in a loop, logprobs, several
choices, embeddings, and its retries."""
import asyncio
import json

import openai
import pydantic
import pytest
from asked import BOTH, HELLO, PARIS, SUNNY, TIME, WEATHER, Pick

EXACT = {"model": "demo", "temperature": 0}


class get_weather(pydantic.BaseModel):
    """Get the weather of a city."""
    city: str = pydantic.Field(max_length=12)


@pytest.fixture(scope="module")
def chat(demo):
    return demo.client().chat.completions


def names_of(message):
    return [c.function.name for c in message.tool_calls or []]


def test_an_answer_is_of_the_package_s_types(chat):
    r = chat.create(**EXACT, messages=HELLO)
    type(r).model_validate(r.model_dump(warnings="error"), strict=False)
    assert r.choices[0].finish_reason == "stop" and r._request_id
    for chunk in chat.create(**EXACT, messages=HELLO, stream=True):
        type(chunk).model_validate(chunk.model_dump(warnings="error"),
                                   strict=False)


def test_answers_are_parsed(chat):
    r = chat.parse(**EXACT, messages=HELLO, response_format=Pick, n=2)
    assert [type(c.message.parsed) for c in r.choices] == [Pick, Pick]
    with pytest.raises(openai.LengthFinishReasonError):
        chat.parse(**EXACT, messages=HELLO, response_format=Pick, max_tokens=2)


def test_arguments_are_parsed(chat):
    r = chat.parse(**EXACT, messages=BOTH,
                   tools=[openai.pydantic_function_tool(get_weather)])
    assert [c.function.parsed_arguments for c in r.choices[0].message.tool_calls
            ] == [get_weather(city="Paris"), get_weather(city="Rome")]


def test_a_stream_s_events_add_up(chat):
    with chat.stream(**EXACT, messages=HELLO, logprobs=True, top_logprobs=2,
                     stream_options={"include_usage": True}) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    whole = chat.create(**EXACT, messages=HELLO, logprobs=True, top_logprobs=2)
    said = "".join(e.delta for e in events if e.type == "content.delta")
    assert said == final.choices[0].message.content
    assert final.choices[0].message.role == "assistant"
    assert said == whole.choices[0].message.content
    assert final.usage.total_tokens == whole.usage.total_tokens
    assert final.choices[0].logprobs.content == whole.choices[0].logprobs.content
    done = [e for e in events if e.type == "content.done"]
    assert [e.content for e in done] == [said]


def test_a_stream_is_parsed(chat):
    with chat.stream(**EXACT, messages=HELLO, response_format=Pick) as stream:
        parsed = [e.parsed for e in stream if e.type == "content.done"]
        assert stream.get_final_completion().choices[0].message.parsed == parsed[0]
    assert isinstance(parsed[0], Pick)


def test_calls_are_streamed_and_parsed(chat):
    with chat.stream(**EXACT, messages=BOTH,
                     tools=[openai.pydantic_function_tool(get_weather)]) as s:
        done = [e for e in s if e.type == "tool_calls.function.arguments.done"]
        calls = s.get_final_completion().choices[0].message.tool_calls
    assert [e.index for e in done] == [0, 1]
    assert [e.parsed_arguments.city for e in done] == ["Paris", "Rome"]
    assert [c.function.arguments for c in calls] == [e.arguments for e in done]
    assert len({c.id for c in calls}) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice,names", [
    ("none", []), ("auto", []), ("required", ["get_weather", "get_time"]),
    ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ({"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [{"type": "function",
                                       "function": {"name": "get_time"}}]}},
     ["get_time"])], ids=["none", "auto", "required", "named", "allowed"])
def test_every_choice_of_tools(chat, choice, names, stream):
    # Nothing in "Hello!" asks for a tool: a call is there because it must be.
    ask = dict(**EXACT, messages=HELLO, tools=[WEATHER, TIME],
               tool_choice=choice, parallel_tool_calls=False)
    if stream:
        with chat.stream(**ask) as s:
            r = s.until_done().get_final_completion()
    else:
        r = chat.create(**ask)
    said = names_of(r.choices[0].message)
    assert len(said) == bool(names) and set(said) <= set(names)
    for call in r.choices[0].message.tool_calls or []:
        assert list(json.loads(call.function.arguments)) == ["city"]
    assert bool(r.choices[0].message.content) != bool(names)


def test_a_loop_over_a_tool(chat):
    messages = list(PARIS)
    for turn in range(3):
        r = chat.create(**EXACT, messages=messages, tools=[WEATHER])
        message = r.choices[0].message
        messages.append(message)
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            messages.append({"role": "tool", "tool_call_id": call.id,
                             "content": json.dumps(SUNNY)})
    assert turn == 1 and "21" in message.content


def test_choices_of_a_stream_are_apart(chat):
    ask = dict(model="demo", messages=HELLO, n=3, seed=5, temperature=0.8)
    with chat.stream(**ask) as stream:
        final = stream.until_done().get_final_completion()
    whole = chat.create(**ask)
    assert [(c.index, c.message.content) for c in final.choices] == [
        (c.index, c.message.content) for c in whole.choices]
    assert len(whole.choices) == 3


def test_embeddings_come_in_both_encodings(demo):
    client = demo.client()
    ask = dict(model="demo", input=["red", "blue"])
    # The package asks for base64 and decodes it itself.
    packed = client.embeddings.create(**ask).data
    plain = client.embeddings.create(**ask, encoding_format="float").data
    assert [e.index for e in packed] == [0, 1]
    for a, b in zip(packed, plain):
        assert len(a.embedding) == 192
        assert a.embedding == pytest.approx(b.embedding, abs=1e-6)


def test_completions_have_their_logprobs(demo):
    r = demo.client().completions.create(**EXACT, prompt=["One, two", "Red"],
                                         max_tokens=4, logprobs=2, echo=True)
    for choice, prompt in zip(r.choices, ("One, two", "Red")):
        probs = choice.logprobs
        assert choice.text.startswith(prompt)
        # The first token is the one that begins every text and is not in it.
        assert "".join(probs.tokens[1:]) == choice.text
        assert probs.text_offset[0] == 0 and probs.token_logprobs[0] is None
        assert all(p <= 0 for p in probs.token_logprobs[1:])


def test_models_are_listed(demo):
    client = demo.client()
    names = [m.id for m in client.models.list()]
    assert names == ["demo"] and client.models.retrieve("demo").id == "demo"


def test_what_is_refused_for_now_is_tried_again(start):
    d = start("--api-key", "k", "--max-per-key", "1")
    client = d.client(api_key="k")
    long = dict(model="demo", messages=HELLO, stream=True,
                extra_body={"ignore_eos": True})
    held = client.chat.completions.create(**long, max_tokens=4000)
    next(iter(held))
    with pytest.raises(openai.RateLimitError) as e:
        client.chat.completions.create(**EXACT, messages=HELLO)
    assert float(e.value.response.headers["retry-after"]) > 0

    # The first answer of 429 ends what stands in the way; a retry gets through.
    codes = []

    def saw(response):
        codes.append(response.status_code)
        if response.status_code == 429:
            held.close()

    patient = openai.OpenAI(
        base_url=d.url + "/v1", api_key="k", max_retries=10,
        http_client=openai.DefaultHttpxClient(event_hooks={"response": [saw]}))
    assert patient.chat.completions.create(**EXACT, messages=HELLO).choices
    assert codes[0] == 429 and codes[-1] == 200
    d.stop()


def test_errors_are_exceptions_that_name_the_field(chat, start):
    with pytest.raises(openai.BadRequestError) as e:
        chat.create(**{**EXACT, "temperature": 9}, messages=HELLO)
    assert e.value.param == "temperature" and e.value.request_id
    with pytest.raises(openai.BadRequestError) as e:
        chat.create(**EXACT, messages=HELLO * 2000)
    assert e.value.code == "context_length_exceeded"
    d = start("--api-key", "k", "--strict-model-name")
    with pytest.raises(openai.AuthenticationError):
        d.client(api_key="other").models.list()
    with pytest.raises(openai.NotFoundError):
        d.client(api_key="k").chat.completions.create(model="other",
                                                      messages=HELLO)
    d.stop()


def test_many_async_streams(demo):
    async def one(client):
        async with client.chat.completions.stream(
                **EXACT, messages=PARIS, tools=[WEATHER]) as stream:
            r = await stream.get_final_completion()
        return r.choices[0].message.tool_calls[0].function.arguments

    async def all_of_them():
        async with demo.async_client() as client:
            return await asyncio.gather(*(one(client) for _ in range(16)))

    assert {json.loads(a)["city"] for a in asyncio.run(all_of_them())} == {
        "Paris"}
