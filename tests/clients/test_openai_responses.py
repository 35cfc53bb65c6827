"""The openai package's responses against the bundled model: created, streamed,
parsed into pydantic, tools, and the exception each error becomes."""
import asyncio
import json
import typing

import openai
import pydantic
import pytest

EXACT = {"model": "demo", "temperature": 0,
         "extra_body": {"repetition_penalty": 1.0}}
ASK_WEATHER = "What is the weather in Paris?"
WEATHER = {"type": "function", "name": "get_weather",
           "description": "Get the weather of a city.", "strict": True,
           "parameters": {"type": "object",
                          "properties": {"city": {"type": "string"}},
                          "required": ["city"],
                          "additionalProperties": False}}


class Pick(pydantic.BaseModel):
    color: typing.Literal["red", "blue"]
    amount: typing.Literal[1, 2, 3]


@pytest.fixture(scope="module")
def client(demo):
    return demo.client()


def test_a_response(client):
    r = client.responses.create(**EXACT, input="Hello!", instructions="Be kind.",
                                metadata={"a": "b"}, max_output_tokens=60)
    assert r.status == "completed" and r.output_text
    assert r.id.startswith("resp_") and r.output[0].id.startswith("msg_")
    assert r.metadata == {"a": "b"} and r.max_output_tokens == 60
    assert r.usage.total_tokens == r.usage.input_tokens + r.usage.output_tokens
    # Strictly what the package's types say, not only near enough to read.
    type(r).model_validate(r.model_dump(warnings="error"), strict=False)


def test_every_event_is_of_its_type(client):
    kinds, said = [], ""
    for e in client.responses.create(**EXACT, input="Hello!", stream=True):
        kinds.append(e.type)
        type(e).model_validate(e.model_dump(warnings="error"), strict=False)
        if e.type == "response.output_text.delta":
            said += e.delta
        last = e
    assert kinds[0] == "response.created"
    assert last.type == "response.completed"
    assert last.response.output_text == said


def test_thoughts(client):
    with client.responses.stream(
            **EXACT, instructions="Think first.",
            input="What is 25 + 17?") as stream:
        thought = "".join(e.delta for e in stream
                          if e.type == "response.reasoning_text.delta")
        r = stream.get_final_response()
    assert r.output[0].type == "reasoning"
    assert r.output[0].content[0].text == thought != ""
    assert "42" in r.output_text


def test_what_is_parsed_is_of_the_class(client):
    for _ in range(2):
        r = client.responses.parse(**EXACT, input="Which one?",
                                   text_format=Pick)
        assert isinstance(r.output_parsed, Pick)
    with client.responses.stream(**EXACT, input="Which one?",
                                 text_format=Pick) as stream:
        stream.until_done()
        assert stream.get_final_response().output_parsed == r.output_parsed


def test_a_tool_is_called_and_answered(client):
    items = [{"role": "user", "content": ASK_WEATHER}]
    r = client.responses.create(**EXACT, input=items, tools=[WEATHER])
    call = r.output[0]
    assert call.type == "function_call" and call.name == "get_weather"
    assert json.loads(call.arguments) == {"city": "Paris"}
    items += r.output
    items.append({"type": "function_call_output", "call_id": call.call_id,
                  "output": json.dumps({"city": "Paris", "weather": "sunny",
                                        "celsius": 21})})
    r = client.responses.create(**EXACT, input=items, tools=[WEATHER])
    assert "Paris" in r.output_text


def test_arguments_are_parsed_into_a_class(client):
    class get_weather(pydantic.BaseModel):
        """Get the weather of a city."""
        city: str

    r = client.responses.parse(
        **EXACT, input=ASK_WEATHER,
        tools=[openai.pydantic_function_tool(get_weather)["function"]
               | {"type": "function"}])
    assert json.loads(r.output[0].arguments) == {"city": "Paris"}


def test_calls_are_streamed(client):
    with client.responses.stream(
            **EXACT, input="What is the weather in Paris and Rome?",
            tools=[WEATHER]) as stream:
        args = {}
        for e in stream:
            if e.type == "response.function_call_arguments.delta":
                args[e.output_index] = args.get(e.output_index, "") + e.delta
        r = stream.get_final_response()
    assert [json.loads(a)["city"] for a in args.values()] == ["Paris", "Rome"]
    assert [c.arguments for c in r.output] == list(args.values())


def test_a_conversation_is_sent_whole(client):
    items = [{"role": "user", "content": "My name is Ada."}]
    r = client.responses.create(**EXACT, input=items, store=False)
    items += r.output
    items.append({"role": "user", "content": "What is my name?"})
    r = client.responses.create(**EXACT, input=items, store=False)
    assert "Ada" in r.output_text


def test_many_at_once(demo):
    async def one(client, i):
        stream = await client.responses.create(**EXACT, input="Hello!",
                                               stream=True)
        return "".join([e.delta async for e in stream
                        if e.type == "response.output_text.delta"])

    async def all_of_them():
        async with demo.async_client() as client:
            return await asyncio.gather(*(one(client, i) for i in range(8)))

    said = asyncio.run(all_of_them())
    assert len(set(said)) == 1 and said[0]


def test_logprobs(client):
    r = client.responses.create(**EXACT, input="Hello!", top_logprobs=2,
                                include=["message.output_text.logprobs"])
    probs = r.output[0].content[0].logprobs
    assert "".join(p.token for p in probs) == r.output_text
    assert all(len(p.top_logprobs) == 2 for p in probs)


def test_a_cut_reply_is_incomplete(client):
    r = client.responses.create(**EXACT, input="Tell me a story about a fox.",
                                max_output_tokens=5)
    assert r.status == "incomplete"
    assert r.incomplete_details.reason == "max_output_tokens"


def test_errors_are_exceptions(client):
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(**EXACT, input="x", tools=[
            {"type": "web_search"}])
    assert e.value.param == "tools[0].type"
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(**EXACT, input="x",
                                previous_response_id="resp_1")
    assert "stateless" in e.value.message
