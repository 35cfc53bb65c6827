"""openai-agents, which speaks the responses protocol by default, against the
bundled model: a loop over a tool, structured output, streams, handed on
history."""
import asyncio
import json
import typing

import agents
import pydantic
import pytest

ASK = "What is the weather in Paris?"


class Pick(pydantic.BaseModel):
    color: typing.Literal["red", "blue"]


@pytest.fixture
def asked():
    return []


@pytest.fixture
def agent(demo, asked):
    agents.set_tracing_disabled(True)

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return json.dumps({"city": city, "weather": "sunny", "celsius": 21})

    model = agents.OpenAIResponsesModel("demo", demo.async_client())
    return agents.Agent(
        name="weather", model=model, tools=[get_weather],
        model_settings=agents.ModelSettings(
            temperature=0, extra_body={"repetition_penalty": 1.0}))


def test_a_loop_calls_the_tool_and_answers(agent, asked):
    r = agents.Runner.run_sync(agent, ASK, max_turns=3)
    assert asked == ["Paris"]
    assert "Paris" in r.final_output and "21" in r.final_output
    assert r.context_wrapper.usage.requests == 2
    assert r.context_wrapper.usage.output_tokens > 0


def test_calls_in_one_reply(agent, asked):
    r = agents.Runner.run_sync(agent, "What is the weather in Paris and Rome?",
                               max_turns=3)
    assert asked == ["Paris", "Rome"]
    assert "Paris" in r.final_output and "Rome" in r.final_output


def test_a_streamed_loop_says_the_same(agent, asked):
    async def stream():
        run = agents.Runner.run_streamed(agent, ASK, max_turns=3)
        said, names = "", []
        async for e in run.stream_events():
            if e.type == "run_item_stream_event":
                names.append(e.name)
            elif (e.type == "raw_response_event"
                  and e.data.type == "response.output_text.delta"):
                said += e.data.delta
        return said, names, run.final_output

    said, names, final = asyncio.run(stream())
    assert asked == ["Paris"] and said == final
    assert names == ["tool_called", "tool_output", "message_output_created"]
    assert final == agents.Runner.run_sync(agent, ASK).final_output


def test_the_history_goes_back_in(agent):
    first = agents.Runner.run_sync(agent, "My name is Ada.")
    second = agents.Runner.run_sync(
        agent, first.to_input_list() + [
            {"role": "user", "content": "What is my name?"}])
    assert "Ada" in second.final_output


def test_an_output_type_binds_the_answer(agent):
    bound = agent.clone(tools=[], output_type=Pick)
    assert isinstance(agents.Runner.run_sync(bound, "Which?").final_output,
                      Pick)


def test_thoughts_are_kept_apart(agent):
    thinker = agent.clone(tools=[], instructions="Think first.")
    r = agents.Runner.run_sync(thinker, "What is 25 + 17?")
    kinds = [item.type for item in r.new_items]
    assert kinds == ["reasoning_item", "message_output_item"]
    assert "42" in r.final_output and "<think>" not in r.final_output
