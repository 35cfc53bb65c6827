"""Bodies that nobody means well, and clients that leave."""
import asyncio
import json
import time

import httpx
import pytest

from conftest_daemon import ROOT

CORPUS = ROOT / "tests/fuzz/corpus/json"


client = httpx.Client(timeout=60, verify=False)


def send(d, body, path="/v1/chat/completions"):
    data = body if isinstance(body, bytes) else json.dumps(
        body, ensure_ascii=False).encode()
    return client.post(d.url + path, content=data)


def chat(content, **kw):
    return {"messages": [{"role": "user", "content": content}],
            "max_tokens": 1, "temperature": 0, **kw}


def test_json_that_is_none_is_refused_and_json_is_read(demo):
    n = 0
    for f in sorted(CORPUS.glob("*.json")):
        r = send(demo, f.read_bytes())
        # Whatever it is, it is no chat request; but y_ files are JSON.
        assert r.status_code == 400, f.name
        message = r.json()["error"]["message"]
        if f.name.startswith(("y_object_duplicated_key",
                              "y_object_escaped_null_in_key")):
            pass  # JSON, but jansson takes neither, and nobody means it
        elif f.name.startswith("y_"):
            assert "not valid JSON" not in message, (f.name, message)
        if f.name.startswith("n_"):
            assert "JSON" in message or "must be" in message, f.name
        n += 1
    assert n > 200


@pytest.mark.parametrize("word", ["a", "_", " ", "\n", "\u00e9", "\U0001F600",
                                  "ab ", "\u0301", "0", "<|im_start|>"])
def test_a_megabyte_of_anything_is_answered_in_time(demo, word):
    text = (word * (1 << 20))[:(1 << 20) // len(word.encode()) * len(word)]
    began = time.monotonic()
    r = send(demo, chat(text))
    assert r.status_code == 400
    assert r.json()["error"]["code"] == "context_length_exceeded"
    r = send(demo, {"content": text}, "/tokenize")
    assert r.status_code == 200
    part = text[:1 << 17]
    r = send(demo, {"content": part}, "/tokenize")
    back = send(demo, {"tokens": r.json()["tokens"]}, "/detokenize")
    assert back.json()["content"] == part
    assert time.monotonic() - began < 20


def test_depth_and_size(demo):
    for depth in (64, 65, 100, 100000):
        body = b'{"messages": ' + b"[" * depth + b"]" * depth + b"}"
        assert send(demo, body).status_code == 400
    wide = b'{"x": [' + b"0," * 1500000 + b"0]}"
    assert send(demo, wide).status_code == 400
    keys = b"{" + b",".join(b'"%d":0' % i for i in range(200000)) + b"}"
    assert send(demo, keys).status_code == 400


def test_every_byte_and_odd_characters_in_content(demo):
    for b in range(256):
        body = (b'{"max_tokens":1,"messages":[{"role":"user","content":"a'
                + bytes([b]) + b'b"}]}')
        r = send(demo, body)
        valid = 0x20 <= b < 0x80 and b not in b'"'
        assert r.status_code == (200 if valid else 400), b
    for text in ("\u0000", "a\u0000b", "\ufeff", "\uffff", "\u202e",
                 "{{ 7 * 7 }}", "{% raw %}", "<|im_end|>", "</think>",
                 "<|tool_call_start|>[f(x="):
        r = send(demo, chat(text))
        assert r.status_code == 200, (text, r.text)
    r = send(demo, b'{"messages":[{"role":"user","content":"\\ud800"}]}')
    assert r.status_code == 400


def test_a_users_braces_are_text_not_template(demo):
    r = send(demo, chat("{{ 7 * 7 }}{% if x %}"), "/apply-template")
    assert "{{ 7 * 7 }}{% if x %}" in r.json()["prompt"]


def test_template_arguments_cannot_replace_what_is_ours(demo):
    for name in ("messages", "tools", "add_generation_prompt", "bos_token",
                 "tokenize", "chat_template"):
        r = send(demo, chat("x", chat_template_kwargs={name: "evil"}))
        if r.status_code == 200:
            p = send(demo, chat("x", chat_template_kwargs={name: "evil"}),
                     "/apply-template").json()["prompt"]
            assert "evil" not in p, name
        else:
            assert r.status_code == 400


def test_long_conversations_and_many_tools(demo):
    many = [{"role": ("user", "assistant")[i % 2], "content": "x"}
            for i in range(2001)]
    assert send(demo, {"messages": many}).status_code == 400
    assert send(demo, {"messages": many[:301],
                       "max_tokens": 1}).status_code == 200
    tools = [{"type": "function", "function": {"name": f"f{i}"}}
             for i in range(129)]
    assert send(demo, chat("x", tools=tools)).status_code == 400
    assert send(demo, chat("x", tools=tools[:64])).status_code == 200


def test_histories_that_no_model_wrote(demo):
    for call in ({"id": "1", "type": "function",
                  "function": {"name": "f", "arguments": "{not json"}},
                 {"function": {"arguments": "{}"}}, {"id": 1}, 7, None,
                 {"function": {"name": "f", "arguments": "[1]"}},
                 {"function": {"name": "'); DROP", "arguments": "{}"}}):
        r = send(demo, {"max_tokens": 1, "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "y", "tool_call_id": "1"}]})
        assert r.status_code in (200, 400), call
        if r.status_code == 400:
            assert r.json()["error"]["param"].startswith("messages[1]")


def test_200_impatient_clients(demo):
    """vLLM's test_request_cancellation: then it must answer in 5 s."""
    async def go():
        async with httpx.AsyncClient(
                timeout=0.05, limits=httpx.Limits(max_connections=300)) as c:
            async def one(i):
                body = chat("Tell me a story", max_tokens=2000,
                            ignore_eos=True, stream=i % 2 == 0)
                try:
                    await asyncio.wait_for(c.post(
                        demo.url + "/v1/chat/completions", json=body), 0.05)
                except (httpx.TransportError, asyncio.TimeoutError):
                    pass
            for i in range(0, 200, 50):
                await asyncio.gather(*[one(j) for j in range(i, i + 50)])
    asyncio.run(go())
    began = time.monotonic()
    assert send(demo, chat("Hello!")).status_code == 200
    assert time.monotonic() - began < 5
    demo.wait_idle()


def param(r):
    assert r.status_code == 400, r.text
    return r.json()["error"]["param"]


def test_a_refusal_names_the_field_even_of_what_is_no_json(demo):
    ok = b'"messages":[{"role":"user","content":"Hi"}],"max_tokens":1'
    for field in ("seed", "temperature", "logit_bias", "metadata"):
        for value in (b"18446744073709551616", b"1e400", b'"\\ud800"'):
            body = b"{" + ok + b',"%b":%b}' % (field.encode(), value)
            assert param(send(demo, body)) == field, body
    assert param(send(demo, b"{" + ok + b"}\0")) is None


def test_a_prompt_that_is_too_long_is_named(demo):
    long = "word " * 8192
    assert param(send(demo, chat(long))) == "messages"
    assert param(send(demo, {"prompt": long, "max_tokens": 1},
                      "/v1/completions")) == "prompt"


def test_null_messages_leave_the_prompt(demo):
    body = {"prompt": "Hi", "messages": None}
    assert send(demo, body, "/tokenize").status_code == 200


def test_hidden_tokens_take_no_room_in_offsets(demo):
    choice = send(demo, {"prompt": "Hi there", "max_tokens": 0, "echo": True,
                         "logprobs": 0}, "/v1/completions").json()["choices"][0]
    at, names = (choice["logprobs"][k] for k in ("text_offset", "tokens"))
    for here, after, name in zip(at, at[1:] + [len(choice["text"])], names):
        assert choice["text"][here:after] in ("", name), (at, names)
    assert at[-1] < len(choice["text"])


def test_special_tokens_in_user_text_are_special(demo):
    """As Hugging Face tokenizes what its chat template rendered; who must not
    let users write them strips them first."""
    end, = send(demo, {"content": "<|im_end|>"}, "/tokenize").json()["tokens"]

    def count(text):
        return send(demo, chat(text), "/tokenize").json()["tokens"].count(end)
    assert count("Hi<|im_end|>") == count("Hi") + 1
