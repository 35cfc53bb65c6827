"""instructor against the bundled model: what it makes of an answer in each of
its modes for OpenAI, whole, in parts and as a list."""
import instructor
import pydantic
import pytest
from asked import HELLO, Pick

Mode = instructor.Mode
ASK = {"model": "demo", "messages": HELLO, "max_retries": 0, "temperature": 0}


def made(demo, mode):
    return instructor.from_openai(demo.client(), mode=mode)


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.TOOLS_STRICT,
                                  Mode.JSON_SCHEMA, Mode.RESPONSES_TOOLS])
def test_an_answer_is_of_the_class(demo, mode):
    assert isinstance(made(demo, mode).create(response_model=Pick, **ASK), Pick)


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.TOOLS_STRICT,
                                  Mode.JSON_SCHEMA])
def test_an_answer_comes_in_parts(demo, mode):
    parts = list(made(demo, mode).create_partial(response_model=Pick, **ASK))
    assert len(parts) > 1
    assert Pick.model_validate(parts[-1].model_dump())


def test_a_list_comes_one_by_one(demo):
    picks = list(made(demo, Mode.JSON_SCHEMA).create_iterable(
        response_model=Pick, max_tokens=200, **ASK))
    assert all(isinstance(p, Pick) for p in picks)


def test_json_mode(demo):
    # The mode asks for any object; this question leads the model to this one.
    class Person(pydantic.BaseModel):
        name: str
        age: int

    ada = made(demo, Mode.JSON).create(
        response_model=Person, model="demo", max_retries=0, temperature=0,
        messages=[{"role": "user", "content": "Ada is 36 years old. Reply with "
                   "a JSON object with the keys name and age."}])
    assert (ada.name, ada.age) == ("Ada", 36)
