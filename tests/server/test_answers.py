"""What is really sent is what the document says, and nothing beside it: every
member, every status, streams chunk by chunk."""
import json

import httpx
import pytest

import document

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
TOOLS = [{"type": "function", "function": {
    "name": "get_time", "parameters": {"type": "object"}}}]
CALL = {"messages": [{"role": "user", "content": "What time is it?"}],
        "tools": TOOLS, "max_tokens": 60, "temperature": 0}
CHATS = {
    "plain": CHAT, "two": {**CHAT, "n": 2}, "ids": {
        **CHAT, "return_token_ids": True},
    "logprobs": {**CHAT, "logprobs": True, "top_logprobs": 3},
    "stop": {**CHAT, "max_tokens": 60, "stop": ["e", "a"]},
    "stop id": {**CHAT, "max_tokens": 400, "stop_token_ids": list(range(64)),
                "temperature": 1},
    "tools": CALL, "thoughts": {**CHAT, "max_tokens": 120, "messages": [
        {"role": "user", "content": "Think: what is 2 + 3?"}]},
    "json": {**CHAT, "max_tokens": 60,
             "response_format": {"type": "json_object"}},
    "usage": {**CHAT, "stream_options": {"include_usage": True}},
    "every usage": {**CHAT, "n": 2, "stream_options": {
        "include_usage": True, "continuous_usage_stats": True}},
}
COMPLETIONS = {
    "plain": {"prompt": "Hi"}, "many": {"prompt": ["Hi", [1, 2, 3]], "n": 2},
    "echo": {"prompt": "Hi there", "echo": True, "logprobs": 2},
    "nothing new": {"prompt": "Hi there", "echo": True, "logprobs": 0,
                    "max_tokens": 0},
    "ids": {"prompt": "Hi", "return_token_ids": True, "logprobs": 1,
            "return_tokens_as_token_ids": True},
    "usage": {"prompt": "Hi", "stop": "e",
              "stream_options": {"include_usage": True}},
}


RESPONSES = {
    "plain": {"input": "Hi", "instructions": "Be kind.", "metadata": {"a": "b"}},
    "cut": {"input": "Hi", "max_output_tokens": 2, "timings_per_token": True},
    "thoughts": {"input": "What is 25 + 17?", "instructions": "Think first.",
                 "temperature": 0, "top_logprobs": 2},
    "call": {"input": "What is the weather in Paris?", "temperature": 0,
             "tools": [{"type": "function", "name": "get_weather",
                        "parameters": {"type": "object", "properties": {
                            "city": {"type": "string"}}}}]},
    "json": {"input": "Hi", "max_output_tokens": 60,
             "text": {"format": {"type": "json_object"}}},
}


def check(path, method, status, value, kind="application/json"):
    errors = [f"{e.json_path}: {e.message[:200]}" for e in
              document.answers(path, method, status, kind).iter_errors(value)]
    assert errors == [], (path, errors)


def stream(d, path, body):
    r = d.post(path, {**body, "stream": True})
    assert r.status_code == 200
    assert r.headers["content-type"].startswith("text/event-stream")
    events = [e[6:] for e in r.text.split("\n\n") if e.startswith("data: ")]
    assert events.pop() == "[DONE]"
    return [json.loads(e) for e in events]


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("path", ["/v1/chat/completions"])
def test_chats(demo, path, name):
    whole = demo.post(path, CHATS[name])
    assert whole.status_code == 200, whole.text
    check(path, "post", 200, whole.json())
    for chunk in stream(demo, path, CHATS[name]):
        check(path, "post", 200, chunk, "text/event-stream")


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(demo, name):
    path = "/v1/responses"
    whole = demo.post(path, RESPONSES[name])
    assert whole.status_code == 200, whole.text
    check(path, "post", 200, whole.json())
    said = demo.post(path, {**RESPONSES[name], "stream": True})
    events = [json.loads(e.split("\ndata: ")[1])
              for e in said.text.split("\n\n")[:-1] if e.startswith("event")]
    assert len(events) > 5
    for event in events:
        check(path, "post", 200, event, "text/event-stream")


@pytest.mark.parametrize("name", COMPLETIONS)
def test_completions(demo, name):
    path = "/v1/completions"
    whole = demo.post(path, COMPLETIONS[name])
    assert whole.status_code == 200, whole.text
    check(path, "post", 200, whole.json())
    for chunk in stream(demo, path, COMPLETIONS[name]):
        check(path, "post", 200, chunk, "text/event-stream")


@pytest.mark.parametrize("body", [
    {"prompt": "Hi"}, {"prompt": ["Hi", [1, 2]], "n_probs": 2},
    {"prompt": "Hi", "return_tokens": True, "timings_per_token": True,
     "stop": ["e"]}])
def test_native_completions(demo, body):
    path, body = "/completion", {"n_predict": 6, **body}
    whole = demo.post(path, body)
    assert whole.status_code == 200, whole.text
    check(path, "post", 200, whole.json())
    events = demo.post(path, {**body, "stream": True}).text.split("\n\n")
    for event in events[:-1]:
        check(path, "post", 200, json.loads(event[6:]), "text/event-stream")


@pytest.mark.parametrize("body", [
    {"max_tokens": 8}, {"stop_sequences": ["e"]},
    {"system": "Think first.",
     "messages": [{"role": "user", "content": "What is 25 + 17?"}]},
    {"messages": [{"role": "user", "content": "What is the weather in Rome?"}],
     "tools": [{"name": "get_weather", "input_schema": {
         "type": "object", "properties": {"city": {"type": "string"}}}}]}])
def test_messages(demo, body):
    path = "/v1/messages"
    body = {"max_tokens": 120, "temperature": 0, **CHAT, **body}
    whole = demo.post(path, body)
    assert whole.status_code == 200, whole.text
    check(path, "post", 200, whole.json())
    events = demo.post(path, {**body, "stream": True}).text.split("\n\n")
    for event in events[:-1]:
        check(path, "post", 200, json.loads(event.split("\ndata: ")[1]),
              "text/event-stream")
    r = demo.post(path + "/count_tokens", body)
    check(path + "/count_tokens", "post", 200, r.json())
    for status, wrong in ((400, {}), (400, {**body, "tools": 7})):
        r = demo.post(path, wrong)
        check(path, "post", status, r.json())


@pytest.mark.parametrize("path,body", [
    ("/v1/chat/completions/render", CHAT), ("/apply-template", CHAT),
    ("/v1/chat/completions/input_tokens", CALL), ("/tokenize", CALL),
    ("/v1/completions/render", {"prompt": ["Hi", [1, 2]], "stop": ["x"]}),
    ("/v1/embeddings", {"input": ["Hi", [1, 2]]}),
    ("/v1/embeddings", {"messages": CHAT["messages"], "pooling": "none",
                        "hidden_states": True, "router_logits": True}),
    ("/v1/embeddings", {"input": "Hi", "encoding_format": "base64",
                        "hidden_states": True, "router_logits": True}),
    ("/tokenize", {"content": "Hi \u00e9", "with_pieces": True}),
    ("/v1/tokenize", {"prompt": "Hi \u00e9", "return_token_strs": True}),
    ("/detokenize", {"tokens": [5, 6, 7]}),
    ("/v1/detokenize", {"tokens": []})])
def test_prompts(demo, path, body):
    r = demo.post(path, body)
    assert r.status_code == 200, r.text
    check(path, "post", 200, r.json())


def test_everything_that_can_be_got(demo):
    model = httpx.get(demo.url + "/v1/models").json()["data"][0]["id"]
    n = 0
    for path, item in document.DOC["paths"].items():
        if "200" not in item.get("get", {"responses": {}})["responses"]:
            continue
        r = httpx.get(demo.url + path.replace("{model}", model))
        assert r.status_code == 200, path
        if r.headers["content-type"] == "application/json":
            check(path, "get", 200, r.json())
        else:
            assert path == "/metrics"
        n += 1
    assert n > 10


def test_refusals(demo):
    url = demo.url + "/v1/chat/completions"
    tries = [(400, httpx.post(url, json={})),
             (400, httpx.post(url, content=b"{")),
             (404, httpx.get(demo.url + "/v1/models/none")),
             (404, httpx.get(demo.url + "/nothing")),
             (405, httpx.get(url)),
             (413, httpx.post(url, content=b"x" * (5 << 20))),
             (414, httpx.get(demo.url + "/" + "x" * 9000)),
             (415, httpx.post(url, content=b"{}",
                              headers={"Content-Type": "text/plain"})),
             (415, httpx.post(url, content=b"{}",
                              headers={"Content-Encoding": "gzip"})),
             (417, httpx.post(url, content=b"{}",
                              headers={"Expect": "magic"})),
             (431, httpx.post(url, content=b"{}",
                              headers={"X": "x" * 40000})),
             (404, httpx.get(demo.url + "/v1/responses/resp_1"))]
    for status, r in tries:
        assert r.status_code == status, r.text
        check("/v1/chat/completions", "post", status, r.json())
    assert set(tries[4][1].headers["allow"].split(", ")) == {"POST", "OPTIONS"}


def test_without_a_key(start):
    d = start("--api-key", "sk-secret")
    r = httpx.get(d.url + "/props")
    assert r.status_code == 401 and "bearer" in r.headers[
        "www-authenticate"].lower()
    check("/props", "get", 401, r.json())
