"""Two more clients, for what others do not do: llm's command line, and
smolagents with its messages of parts, stop sequences and required calls."""
import json
import os
import pathlib
import subprocess
import sys

import pytest
import smolagents
from asked import Pick
from smolagents.models import ChatMessage, MessageRole

LLM = pathlib.Path(sys.executable).with_name("llm")


@pytest.fixture
def llm(demo, tmp_path):
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([{
        "model_id": "lfmd", "model_name": "demo", "api_base": demo.url + "/v1",
        "supports_tools": True, "supports_schema": True}]))

    def go(*args):
        p = subprocess.run(
            [LLM, "prompt", "-m", "lfmd", "-o", "temperature", "0", *args],
            env={**os.environ, "LLM_USER_PATH": str(tmp_path),
                 "OPENAI_API_KEY": "none"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=50)
        assert p.returncode == 0, p.stderr
        return p.stdout.strip()
    return go


def test_llm(llm):
    assert llm("Hello!") == llm("Hello!", "--no-stream") != ""
    Pick.model_validate_json(llm("Hello!", "--schema",
                                 json.dumps(Pick.model_json_schema())))
    said = llm("What is the weather in Paris?", "--functions",
               "def get_weather(city: str) -> str:\n"
               "    'Get the weather of a city.'\n"
               "    return '{\"city\": \"Paris\", \"weather\": \"sunny\", "
               "\"celsius\": 21}'\n")
    assert "Paris" in said and "21" in said


@smolagents.tool
def get_weather(city: str) -> str:
    """Get the weather of a city.

    Args:
        city: The city.
    """
    return city


def test_smolagents(demo):
    model = smolagents.OpenAIServerModel("demo", api_base=demo.url + "/v1",
                                         api_key="none", temperature=0)
    hello = [ChatMessage(MessageRole.USER,
                         [{"type": "text", "text": "Hello!"}])]
    whole = model.generate(hello).content
    assert whole and "".join(
        d.content or "" for d in model.generate_stream(hello)) == whole
    assert model.generate(hello, stop_sequences=["model"]).content == (
        whole.split("model")[0])
    ask = [ChatMessage(MessageRole.USER, [
        {"type": "text", "text": "What is the weather in Paris?"}])]
    calls = model.generate(ask, tools_to_call_from=[get_weather]).tool_calls
    assert [(c.function.name, c.function.arguments) for c in calls] == [
        ("get_weather", '{"city": "Paris"}')]
