"""Answers bound to a form are of that form, whatever the model would have said;
what cannot be honoured is refused by name.  What a grammar allows is judged by
tests/unit/model/grammar and test_grammar.py."""
import concurrent.futures
import json
import re

import jsonschema
import pytest

PERSON = {"type": "object",
          "properties": {"name": {"type": "string", "maxLength": 12},
                         "age": {"type": "integer", "minimum": 0,
                                 "maximum": 150},
                         "tags": {"type": "array", "maxItems": 3,
                                  "items": {"enum": ["red", "blue"]}}},
          "required": ["name", "age", "tags"], "additionalProperties": False}
FORMAT = {"type": "json_schema",
          "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
GBNF = 'root ::= greeting " " [a-z]{1,8}\ngreeting ::= "hello" | "bye"\n'
ASK = [{"role": "user", "content": "Who are you?"}]


def say(d, **kw):
    body = {"messages": ASK, "max_tokens": 200, "temperature": 0, **kw}
    r = d.post("/v1/chat/completions", body)
    assert r.status_code == 200, r.text
    return r.json()


def text_of(reply, i=0):
    assert reply["choices"][i]["finish_reason"] == "stop", reply
    return reply["choices"][i]["message"]["content"]


def check_person(text):
    jsonschema.validate(json.loads(text), PERSON)


def test_a_schema_binds_the_answer(demo):
    for seed in range(20):
        check_person(text_of(say(demo, response_format=FORMAT, seed=seed,
                                 temperature=1.5)))


def test_openai_python_parses_what_comes(demo):
    client = demo.client()
    reply = client.chat.completions.create(
        model="demo", messages=ASK, response_format=FORMAT, max_tokens=200)
    check_person(reply.choices[0].message.content)


@pytest.mark.parametrize("fields", [
    {"structured_outputs": {"json": PERSON}},
    {"structured_outputs": {"json": json.dumps(PERSON)}},
    {"guided_json": PERSON},
    {"json_schema": PERSON},
    {"response_format": {"type": "json_object", "schema": PERSON}},
])
def test_every_way_to_name_a_schema(demo, fields):
    check_person(text_of(say(demo, **fields)))


@pytest.mark.parametrize("fields, pattern", [
    ({"guided_regex": r"[0-9]{3}-[a-f]{2}"}, r"[0-9]{3}-[a-f]{2}"),
    ({"regex": r"[0-9]{3}-[a-f]{2}"}, r"[0-9]{3}-[a-f]{2}"),
    ({"ebnf": 'root ::= [0-9] "-" [a-f]'}, r"[0-9]-[a-f]"),
    ({"structured_outputs": {"regex": "x+y"}}, "x+y"),
    ({"guided_choice": ["yes", "no", "perhaps"]}, "yes|no|perhaps"),
    ({"structured_outputs": {"choice": ["é", "ü"]}}, "é|ü"),
    ({"grammar": GBNF}, "(hello|bye) [a-z]{1,8}"),
    ({"guided_grammar": GBNF}, "(hello|bye) [a-z]{1,8}"),
    ({"structured_outputs": {"grammar": GBNF}}, "(hello|bye) [a-z]{1,8}"),
])
def test_patterns_choices_and_grammars(demo, fields, pattern):
    for kw in ({}, {"temperature": 1, "seed": 3, "n": 2}):
        reply = say(demo, logit_bias={}, **fields, **kw)
        for i in range(len(reply["choices"])):
            assert re.fullmatch(pattern, text_of(reply, i)), reply


def test_any_object(demo):
    reply = say(demo, response_format={"type": "json_object"}, seed=2,
                temperature=1, max_tokens=400)
    choice = reply["choices"][0]
    if choice["finish_reason"] == "stop":
        assert isinstance(json.loads(choice["message"]["content"]), dict)


def test_completions_too_and_streamed_is_the_same(demo):
    body = {"prompt": "A person:", "max_tokens": 200, "temperature": 1,
            "seed": 5, "response_format": FORMAT}
    whole = demo.post("/v1/completions", body).json()["choices"][0]["text"]
    check_person(whole)
    r = demo.post("/v1/completions", {**body, "stream": True})
    parts = [json.loads(line[6:]) for line in r.text.splitlines()
             if line.startswith("data: {")]
    assert "".join(p["choices"][0]["text"] for p in parts
                   if p["choices"]) == whole


def test_a_crowd_is_bound_each_to_its_own(demo):
    def one(i):
        word = f"w{i}" * 4
        reply = say(demo, guided_regex=word + "[0-9]{4}", temperature=1,
                    seed=i)
        return re.fullmatch(word + "[0-9]{4}", text_of(reply))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(48)))


def test_max_tokens_cuts_and_says_so(demo):
    reply = say(demo, guided_regex="[a-z]{500}", max_tokens=5)
    assert reply["choices"][0]["finish_reason"] == "length"


def test_min_tokens_and_ignore_eos_do_not_break_the_form(demo):
    for kw in ({"min_tokens": 50}, {"ignore_eos": True}):
        assert text_of(say(demo, guided_choice=["no"], **kw)) == "no"


def test_guesses_change_nothing(demo):
    body = {"response_format": FORMAT, "temperature": 1, "seed": 9}
    assert text_of(say(demo, **body)) == text_of(
        say(demo, **body, **{"speculative.n_max": 8}))


@pytest.mark.parametrize("fields, param, word", [
    ({"response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "schema": {"type": "object", "properties": {
            "a": {"not": {"type": "null"}}}}}}},
     "response_format.json_schema.schema", "not"),
    ({"guided_regex": "(a)\\1"}, "guided_regex", ""),
    ({"guided_regex": "a" * 300000}, "guided_regex", ""),
    ({"grammar": "root ::= root"}, "grammar", ""),
    ({"guided_choice": []}, "guided_choice", ""),
    ({"guided_choice": ["a"], "guided_regex": "a"}, "guided_choice", "both"),
])
@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_what_cannot_be_honoured_is_named(demo, path, fields, param, word):
    r = demo.post("/v1/" + path, {"messages": ASK, "prompt": "a", **fields})
    assert r.status_code == 400, r.text
    assert r.json()["error"]["param"] == param
    assert word in r.json()["error"]["message"]


def test_a_model_with_tools_may_call_instead(demo):
    tool = {"type": "function", "function": {
        "name": "get_weather", "description": "Get the weather of a city.",
        "parameters": {"type": "object",
                       "properties": {"city": {"type": "string"}},
                       "required": ["city"]}}}
    ask = [{"role": "user", "content": "What is the weather in Paris?"}]
    kw = {"tools": [tool], "messages": ask, "repetition_penalty": 1.0}
    choice = say(demo, **kw, response_format=FORMAT)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"city": "Paris"}
    assert text_of(say(demo, **{**kw, "tools": None},
                       guided_choice=["sun", "rain"])) in ("sun", "rain")


@pytest.mark.parametrize("bias", [{}, {"7": 100}])  # <|im_end|>
def test_a_call_that_is_begun_is_a_call(demo, bias):
    """However hot it is: a form was asked for, so a block that is no call, or
    prose behind one, would be an answer without that form."""
    tools = [{"type": "function", "function": {"name": "get_weather"}}]
    ask = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
    for seed in range(8):
        reply = say(demo, messages=ask, tools=tools, guided_choice=["A", "B"],
                    n=4, temperature=2, seed=seed, logit_bias=bias)
        for choice in reply["choices"]:
            m, how = choice["message"], choice["finish_reason"]
            assert m["content"] in ("A", "B") if how == "stop" else \
                m["content"] is None, m
            for call in (m.get("tool_calls") or []) if how != "length" else []:
                assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_stop_ids_in_the_way_of_a_form_are_named(demo):
    body = {"messages": ASK, "guided_regex": "[0-9]", "temperature": 2}
    digits = demo.post("/tokenize", {"content": "0123456789",
                                     "add_special": False}).json()["tokens"]
    assert len(digits) == 10
    r = demo.post("/v1/chat/completions", {**body, "stop_token_ids": digits})
    assert r.status_code == 400, r.text
    assert "stop_token_ids" in r.json()["error"]["message"]
    assert text_of(say(demo, **body, stop_token_ids=digits[1:])) == "0"


def test_a_thought_comes_first_and_is_free(demo):
    ask = [{"role": "system", "content": "Think first."},
           {"role": "user", "content": "What is 25 + 17?"}]
    kw = {"messages": ask, "repetition_penalty": 1.0}
    free = say(demo, **kw)["choices"][0]["message"]
    bound = say(demo, **kw, guided_regex="[0-9]{1,2}")
    assert re.fullmatch("[0-9]{1,2}", text_of(bound))
    assert free.get("reasoning_content") == \
        bound["choices"][0]["message"].get("reasoning_content")
    assert free.get("reasoning_content")
