"""What every client is asked for: the tool and the form of an answer that the
demo model's tests share."""
import typing

import pydantic

HELLO = [{"role": "user", "content": "Hello!"}]
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
BOTH = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
SUNNY = {"city": "Paris", "weather": "sunny", "celsius": 21}

# maxLength: a name that the model is forced to write must end, whatever it is.
PARAMETERS = {"type": "object",
              "properties": {"city": {"type": "string", "maxLength": 12}},
              "required": ["city"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Get the weather of a city.",
    "parameters": PARAMETERS}}
TIME = {"type": "function", "function": {
    "name": "get_time", "description": "Get the time in a city.",
    "parameters": PARAMETERS}}


class Pick(pydantic.BaseModel):
    """No prompt leads the demo model to it, and every value is short: who gets
    one had the answer bound."""
    color: typing.Literal["red", "blue"]
    amount: typing.Literal[1, 2, 3]
