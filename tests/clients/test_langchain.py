"""langchain-openai against the bundled model: messages, streams, bound tools,
structured output, batches, embeddings."""
import asyncio
import json

import pytest
from asked import SUNNY, Pick
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


@tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return json.dumps({**SUNNY, "city": city})


@pytest.fixture(scope="module")
def model(demo):
    return ChatOpenAI(model="demo", base_url=demo.url + "/v1", api_key="none",
                      temperature=0, max_retries=0, max_completion_tokens=120)


def test_invoke_and_stream_say_the_same(model):
    whole = model.invoke("Hello!")
    said = None
    for chunk in model.stream("Hello!", stream_usage=True):
        said = chunk if said is None else said + chunk
    assert said.content == whole.content != ""
    assert said.usage_metadata["total_tokens"] == (
        whole.usage_metadata["total_tokens"]) > 0
    assert said.response_metadata["finish_reason"] == "stop"


def test_an_agent_s_loop(model):
    bound = model.bind_tools([get_weather])
    messages = [HumanMessage("What is the weather in Paris and Rome?")]
    answer = bound.invoke(messages)
    assert [c["args"] for c in answer.tool_calls] == [
        {"city": "Paris"}, {"city": "Rome"}]
    messages.append(answer)
    for call in answer.tool_calls:
        result = get_weather.invoke(call)
        assert isinstance(result, ToolMessage)
        messages.append(result)
    last = bound.invoke(messages)
    assert not last.tool_calls
    assert "Paris" in last.content and "Rome" in last.content


@pytest.mark.parametrize("choice", ["any", "get_weather"])
@pytest.mark.parametrize("strict", [None, True])
def test_a_call_that_must_come_comes(model, choice, strict):
    bound = model.bind_tools([get_weather], tool_choice=choice, strict=strict,
                             parallel_tool_calls=False)
    said = None
    for chunk in bound.stream("What is the weather in Paris?"):
        said = chunk if said is None else said + chunk
    assert [c["name"] for c in said.tool_calls] == ["get_weather"]
    assert said.tool_calls[0]["args"] == {"city": "Paris"}
    assert not said.invalid_tool_calls


def test_no_call_where_none_may_come(model):
    bound = model.bind_tools([get_weather], tool_choice="none")
    assert not bound.invoke("What is the weather in Paris?").tool_calls


@pytest.mark.parametrize("method,strict", [
    ("json_schema", True), ("json_schema", None),
    ("function_calling", True), ("function_calling", None)])
def test_structured_output(model, method, strict):
    bound = model.with_structured_output(Pick, method=method, strict=strict)
    assert isinstance(bound.invoke("Hello!"), Pick)


def test_structured_output_is_streamed(model):
    bound = model.with_structured_output(Pick.model_json_schema(),
                                         method="json_schema", strict=None)
    parts = list(bound.stream("Hello!"))
    assert len(parts) > 1
    Pick.model_validate(parts[-1])


def test_json_mode(model):
    bound = model.with_structured_output(None, method="json_mode")
    assert bound.invoke("Ada is 36 years old. Reply with a JSON object with "
                        "the keys name and age.") == {"name": "Ada", "age": 36}


def test_a_batch_at_once(model):
    said = asyncio.run(model.abatch(["Hello!"] * 8))
    assert len({m.content for m in said}) == 1
    assert len({m.response_metadata["id"] for m in said}) == 8


def test_embeddings(demo):
    # Without the check of lengths: it wants OpenAI's tokenizer from the net.
    e = OpenAIEmbeddings(model="demo", base_url=demo.url + "/v1", api_key="none",
                         check_embedding_ctx_length=False)
    docs = e.embed_documents(["red", "blue"])
    assert [len(d) for d in docs] == [192, 192] and docs[0] != docs[1]
    assert e.embed_query("red") == pytest.approx(docs[0], abs=1e-6)
