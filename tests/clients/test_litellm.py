"""litellm against the bundled model, by its two ways to an own server."""
import asyncio
import json
import os

import pytest
from asked import BOTH, HELLO, PARIS, SUNNY, WEATHER, Pick

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # not fetched, then
import litellm  # noqa: E402


@pytest.fixture(scope="module", params=["openai/demo", "hosted_vllm/demo"])
def way(request, demo):
    return {"model": request.param, "api_base": demo.url + "/v1",
            "api_key": "none", "num_retries": 0}


@pytest.fixture
def ask(way):
    def go(messages, **kw):
        return litellm.completion(messages=messages,
                                  **{"temperature": 0, **way, **kw})
    return go


def test_a_completion_and_its_stream(ask):
    whole = ask(HELLO)
    chunks = list(ask(HELLO, stream=True,
                      stream_options={"include_usage": True}))
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole.choices[0].message.content != ""
    usage = [c.usage for c in chunks if getattr(c, "usage", None)]
    assert len(usage) == 1
    assert usage[0].total_tokens == whole.usage.total_tokens > 0
    rebuilt = litellm.stream_chunk_builder(chunks, messages=HELLO)
    assert rebuilt.choices[0].message.content == said
    assert rebuilt.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("choice", [
    "required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_that_must_come_comes(ask, choice):
    r = ask(HELLO, tools=[WEATHER], tool_choice=choice, max_tokens=100)
    calls = r.choices[0].message.tool_calls
    assert {c.function.name for c in calls} == {"get_weather"}
    assert all(list(json.loads(c.function.arguments)) == ["city"]
               for c in calls)


def test_streamed_calls_are_put_together(ask):
    r = litellm.stream_chunk_builder(
        list(ask(BOTH, tools=[WEATHER], stream=True)))
    calls = r.choices[0].message.tool_calls
    assert [json.loads(c.function.arguments)["city"] for c in calls] == [
        "Paris", "Rome"]
    assert r.choices[0].finish_reason == "tool_calls"


def test_a_loop_over_a_tool(ask):
    first = ask(PARIS, tools=[WEATHER]).choices[0].message
    answer = ask(PARIS + [first, {
        "role": "tool", "tool_call_id": first.tool_calls[0].id,
        "content": json.dumps(SUNNY)}], tools=[WEATHER])
    assert "21" in answer.choices[0].message.content


def test_answers_of_a_form(ask):
    Pick.model_validate_json(
        ask(HELLO, response_format=Pick).choices[0].message.content)
    r = ask(HELLO, response_format={"type": "json_object", "response_schema":
                                    Pick.model_json_schema()}, max_tokens=200)
    assert isinstance(json.loads(r.choices[0].message.content), dict)


def test_thoughts(ask):
    messages = [{"role": "system", "content": "Think first."},
                {"role": "user", "content": "What is 25 + 17?"}]
    whole = ask(messages).choices[0].message
    assert whole.reasoning_content and "42" in whole.content
    thought = "".join(getattr(c.choices[0].delta, "reasoning_content", None)
                      or "" for c in ask(messages, stream=True))
    assert thought == whole.reasoning_content


def test_embeddings(way):
    r = litellm.embedding(input=["red", "blue"], **way)
    assert [len(e["embedding"]) for e in r.data] == [192, 192]


def test_many_at_once(way):
    async def go():
        return await asyncio.gather(*(
            litellm.acompletion(messages=HELLO, temperature=0, **way)
            for _ in range(8)))
    assert len({r.choices[0].message.content for r in asyncio.run(go())}) == 1


def test_a_wrong_value_is_its_exception(ask):
    with pytest.raises(litellm.BadRequestError, match="top_p"):
        ask(HELLO, top_p=9)
    with pytest.raises(litellm.ContextWindowExceededError):
        ask(HELLO * 2000)
