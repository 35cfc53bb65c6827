"""pydantic-ai against the bundled model, by chat and by responses: agents with
a tool, outputs of a type, streams, and each form of tool_choice it sends."""
import asyncio
import json

import pytest
from asked import PARAMETERS, SUNNY, Pick
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.direct import model_request_sync
from pydantic_ai.messages import ModelRequest, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

EXACT = {"temperature": 0}
ASK = "What is the weather in Paris?"


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel],
                ids=["chat", "responses"])
def model(request, demo):
    # One a test: its connections belong to the loop that the test runs.
    return request.param("demo", provider=OpenAIProvider(
        base_url=demo.url + "/v1", api_key="none"))


@pytest.fixture
def asked():
    return []


@pytest.fixture
def agent(model, asked):
    a = Agent(model, model_settings=EXACT)

    @a.tool_plain
    def get_weather(city: str) -> dict:
        """Get the weather of a city."""
        asked.append(city)
        return {**SUNNY, "city": city}
    return a


def test_an_agent_calls_its_tool(agent, asked):
    r = agent.run_sync(ASK)
    assert asked == ["Paris"] and "21" in r.output
    assert r.usage.requests == 2 and r.usage.tool_calls == 1
    assert r.usage.input_tokens > 0 and r.usage.output_tokens > 0


def test_a_conversation_goes_on(model):
    talk = Agent(model, model_settings=EXACT)
    first = talk.run_sync("My name is Ada.")
    second = talk.run_sync("What is my name?",
                           message_history=first.all_messages())
    assert "Ada" in second.output


@pytest.mark.parametrize("output", [Pick, ToolOutput(Pick), NativeOutput(Pick)],
                         ids=["default", "tool", "native"])
def test_an_output_is_of_its_type(model, output):
    bound = Agent(model, output_type=output, model_settings=EXACT)
    assert isinstance(bound.run_sync("Hello!").output, Pick)


def test_streams(agent, model, asked):
    async def text():
        async with agent.run_stream(ASK) as r:
            return [d async for d in r.stream_text(delta=True,
                                                   debounce_by=None)]

    async def picks(kind):
        bound = Agent(model, output_type=kind, model_settings=EXACT)
        async with bound.run_stream("Hello!") as r:
            return [p async for p in r.stream_output(debounce_by=None)]

    async def all_of_them():
        return await text(), await picks(Pick), await picks(NativeOutput(Pick))

    said, by_tool, native = asyncio.run(all_of_them())
    assert asked == ["Paris"] and len(said) > 3 and "21" in "".join(said)
    assert isinstance(by_tool[-1], Pick) and isinstance(native[-1], Pick)


@pytest.mark.parametrize("choice,names", [
    ("none", set()), ("auto", set()), ("required", {"a", "b", "c"}),
    (["b"], {"b"}), (["b", "c"], {"b", "c"})],
    ids=["none", "auto", "required", "named", "allowed"])
def test_every_choice_of_tools(model, choice, names):
    tools = [ToolDefinition(name=n, description=f"Tool {n}.",
                            parameters_json_schema=PARAMETERS) for n in "abc"]
    r = model_request_sync(
        model, [ModelRequest.user_text_prompt("Hello!")],
        model_settings={**EXACT, "tool_choice": choice, "max_tokens": 300},
        model_request_parameters=ModelRequestParameters(
            function_tools=tools, allow_text_output=True))
    calls = [p for p in r.parts if isinstance(p, ToolCallPart)]
    assert bool(calls) == bool(names)
    assert {c.tool_name for c in calls} <= names
    for c in calls:
        assert list(json.loads(c.args)) == ["city"]


def test_thoughts_are_parts(model):
    thinker = Agent(model, instructions="Think first.", model_settings=EXACT)
    r = thinker.run_sync("What is 25 + 17?")
    kinds = [p.part_kind for p in r.all_messages()[-1].parts]
    assert kinds == ["thinking", "text"] and "42" in r.output
