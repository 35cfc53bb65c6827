"""The anthropic package against the bundled model: messages, streams, tools,
structured output, counting, and the exception each error becomes."""
import asyncio

import anthropic
import pydantic
import pytest

GREEDY = {"model": "demo", "max_tokens": 80,
          "extra_body": {"temperature": 0, "repetition_penalty": 1.0}}
HELLO = [{"role": "user", "content": "Hello!"}]
STORY = [{"role": "user", "content": "Tell me a story about a fox named Ada."}]
SUM = [{"role": "user", "content": "What is 25 + 17?"}]
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"name": "get_weather", "description": "Get the weather of a city.",
           "input_schema": {"type": "object",
                            "properties": {"city": {"type": "string"}},
                            "required": ["city"]}}


def client_of(daemon, key="none", cls=anthropic.Anthropic):
    return cls(base_url=daemon.url, api_key=key, max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def client(demo):
    return client_of(demo)


def test_a_message(client):
    m = client.messages.create(messages=HELLO, **GREEDY)
    assert isinstance(m, anthropic.types.Message) and m.id.startswith("msg_")
    assert m.content[0].type == "text" and "demo model" in m.content[0].text
    assert (m.stop_reason, m.model, m.role) == ("end_turn", "demo", "assistant")
    assert m.usage.input_tokens > 0 and m.usage.output_tokens > 0
    assert m._request_id.startswith("req_")


def test_a_conversation_with_a_system_prompt(client):
    m = client.messages.create(
        system=[{"type": "text", "text": "You are a helpful assistant.",
                 "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": "My name is Fiona."},
                  {"role": "assistant", "content": "Nice to meet you, Fiona!"},
                  {"role": "user", "content": "What is my name?"}], **GREEDY)
    assert "Fiona" in m.content[0].text


def test_the_streaming_helper(client):
    whole = client.messages.create(messages=STORY, **GREEDY)
    with client.messages.stream(messages=STORY, **GREEDY) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    assert text == final.content[0].text == whole.content[0].text
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_raw_events(client):
    kinds = [e.type for e in client.messages.create(messages=HELLO, stream=True,
                                                    **GREEDY)]
    n_deltas = kinds.count("content_block_delta")
    assert kinds == ["message_start", "content_block_start",
                     *["content_block_delta"] * n_deltas, "content_block_stop",
                     "message_delta", "message_stop"]


def test_the_async_client_streams_in_parallel(demo):
    async def one(c, messages):
        async with c.messages.stream(messages=messages, **GREEDY) as s:
            return (await s.get_final_message()).content[0].text

    async def both():
        async with client_of(demo, cls=anthropic.AsyncAnthropic) as c:
            return await asyncio.gather(one(c, HELLO), one(c, SUM))
    hello, total = asyncio.run(both())
    assert "Hello" in hello and "25 + 17" in total


def test_thinking(client):
    asked = {"system": "Think first.", "messages": SUM,
             "thinking": {"type": "adaptive"}, **GREEDY}
    thought, text = client.messages.create(**asked).content
    assert thought.type == "thinking" and thought.thinking
    assert text.type == "text" and "42" in text.text
    seen = {"thinking": "", "text": ""}
    with client.messages.stream(**asked) as s:
        for e in s:
            if e.type in seen:
                seen[e.type] += getattr(e, e.type)
    assert seen == {"thinking": thought.thinking, "text": text.text}
    # The blocks can be sent back as they came.
    m = client.messages.create(
        messages=[*SUM, {"role": "assistant", "content": [thought, text]},
                  {"role": "user", "content": "Thanks!"}], **GREEDY)
    assert m.content


def test_tools_by_hand(client):
    first = client.messages.create(messages=PARIS, tools=[WEATHER], **GREEDY)
    assert first.stop_reason == "tool_use"
    call = first.content[0]
    assert isinstance(call, anthropic.types.ToolUseBlock)
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    with client.messages.stream(messages=PARIS, tools=[WEATHER],
                                **GREEDY) as s:
        streamed = s.get_final_message().content[0]
    assert (streamed.name, streamed.input) == (call.name, call.input)
    m = client.messages.create(tools=[WEATHER], messages=[
        *PARIS, {"role": "assistant", "content": first.content},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call.id,
             "content": '{"temp": 18, "sky": "sunny"}'}]}], **GREEDY)
    assert m.stop_reason == "end_turn" and "18" in m.content[0].text


def test_the_tool_runner(client):
    asked = []

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """Get the weather of a city.

        Args:
            city: its name
        """
        asked.append(city)
        return '{"temp": 18, "sky": "sunny"}'

    last = client.beta.messages.tool_runner(
        messages=PARIS, tools=[get_weather], max_iterations=3,
        **GREEDY).until_done()
    assert asked == ["Paris"] and last.stop_reason == "end_turn"
    assert "18" in last.content[0].text


def test_structured_output(client):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    m = client.messages.parse(
        messages=[{"role": "user", "content": "Ada is 36 years old. Reply with "
                   "a JSON object with the keys name and age."}],
        output_format=Person, **GREEDY)
    assert m.parsed_output == Person(name="Ada", age=36)


def test_stop_sequences(client):
    m = client.messages.create(messages=STORY, stop_sequences=["lived"],
                               **GREEDY)
    assert (m.stop_reason, m.stop_sequence) == ("stop_sequence", "lived")
    assert "lived" not in m.content[0].text


def test_counting(client):
    n = client.messages.count_tokens(model="demo", messages=PARIS,
                                     tools=[WEATHER], system="Be brief.")
    m = client.messages.create(messages=PARIS, tools=[WEATHER],
                               system="Be brief.", **GREEDY)
    assert n.input_tokens == m.usage.input_tokens + \
        m.usage.cache_read_input_tokens


def test_errors_are_typed(client, start):
    with pytest.raises(anthropic.BadRequestError) as e:
        client.messages.create(messages=[{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "x"}}]}],
            **GREEDY)
    assert e.value.type == "invalid_request_error"
    assert "messages[0].content[0].type" in str(e.value)
    assert e.value.request_id.startswith("req_")
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        client.messages.create(messages=[
            {"role": "user", "content": "word " * 8000}], **GREEDY)
    d = start("--api-key", "secret", "--strict-model-name")
    with pytest.raises(anthropic.AuthenticationError) as e:
        client_of(d, "wrong").messages.create(messages=HELLO, **GREEDY)
    assert e.value.type == "authentication_error"
    good = client_of(d, "secret")
    assert good.messages.create(messages=HELLO, **GREEDY).content
    with pytest.raises(anthropic.NotFoundError) as e:
        good.messages.count_tokens(messages=HELLO, model="other")
    assert e.value.type == "not_found_error"


def test_an_error_in_a_stream_is_raised(start):
    d = start("--drain-timeout", "0")
    long = {**GREEDY, "max_tokens": 4000,
            "extra_body": {"temperature": 0, "ignore_eos": True}}
    with pytest.raises(anthropic.APIStatusError) as e:
        with client_of(d).messages.stream(messages=STORY, **long) as s:
            for i, _ in enumerate(s.text_stream):
                if i == 0:
                    d.process.terminate()
    assert e.value.type == "overloaded_error"
    assert d.stop() == 0
