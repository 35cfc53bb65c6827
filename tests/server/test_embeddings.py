"""/v1/embeddings: transformers' numbers in OpenAI's shape, alone and in crowds."""
import base64
import concurrent.futures
import json
import math
import signal
import socket
import struct
import time

import httpx
import pytest

from conftest import CHECKPOINTS

STATES = sorted(p.parent.name for p in CHECKPOINTS.glob("*/states.json"))
TEXTS = ["hello there", "the cat and the dog", "a", "List of tools: hello",
         "the the the the the the the", "in and of"]


def ask(d, path="/v1/embeddings", **body):
    r = d.post(path, body)
    assert r.status_code == 200, r.text
    return r.json()


def vectors(answer):
    assert answer["object"] == "list"
    assert [e["index"] for e in answer["data"]] == list(
        range(len(answer["data"])))
    assert all(e["object"] == "embedding" for e in answer["data"])
    return [e["embedding"] for e in answer["data"]]


def floats(text):
    b = base64.b64decode(text, validate=True)
    return list(struct.unpack(f"<{len(b) // 4}f", b))


def float32(xs):
    return list(struct.unpack(f"{len(xs)}f", struct.pack(f"{len(xs)}f", *xs)))


def flat(nested):
    return [x for row in nested for x in row]


def same(a, b, tolerance=1e-4):
    assert len(a) == len(b)
    off = max(abs(x - y) / max(1, abs(y)) for x, y in zip(a, b))
    assert off <= tolerance, off


def unit(v):
    n = math.sqrt(sum(x * x for x in v))
    return [x / n for x in v]


@pytest.mark.parametrize("name", STATES)
def test_numbers_are_those_of_transformers(start, name):
    golden = json.loads((CHECKPOINTS / name / "states.json").read_text())
    d = start("--model", str(CHECKPOINTS / name), "--cache-type", "f32")
    prompt = golden["states"]["prompt"]
    answer = ask(d, input=prompt, hidden_states=True, router_logits=True,
                 pooling="none")
    assert answer["usage"] == {"prompt_tokens": len(prompt),
                               "total_tokens": len(prompt)}
    e = answer["data"][0]
    assert e["embedding"] == e["hidden_states"][-1]
    for key in ("hidden_states", "router_logits"):
        assert len(e[key]) == len(golden["states"][key])
        for got, want in zip(e[key], golden["states"][key]):
            assert len(got) == len(prompt)
            same(flat(got), want)
    packed = ask(d, input=prompt, hidden_states=True, router_logits=True,
                 encoding_format="base64")["data"][0]
    for key in ("hidden_states", "router_logits"):
        for got, want in zip(packed[key], golden["states"][key]):
            same(floats(got), want)
    inputs = [c["prompt"] for c in golden["pooled"]]
    for pooling in ("last", "mean"):
        raw = vectors(ask(d, input=inputs, pooling=pooling, normalize=False))
        normed = vectors(ask(d, input=inputs, pooling=pooling))
        for got, norm, c in zip(raw, normed, golden["pooled"]):
            same(got, c[pooling])
            same(norm, unit(c[pooling]))
    assert d.stop() == 0


def test_the_openai_client_reads_it(demo):
    with demo.client() as c:
        whole = c.embeddings.create(model="m", input=TEXTS)
        assert [e.index for e in whole.data] == list(range(len(TEXTS)))
        n = len(whole.data[0].embedding)
        assert c.embeddings.create(
            model="m", input="a", dimensions=n).data[0].embedding
        for e, text in zip(whole.data, TEXTS):
            assert abs(sum(x * x for x in e.embedding) - 1) < 1e-5
            alone = c.embeddings.create(model="m", input=text,
                                        encoding_format="float", user="u")
            same(alone.data[0].embedding, e.embedding)
            ids = demo.post("/tokenize", {"prompt": text}).json()["tokens"]
            by_ids = c.embeddings.create(model="m", input=[ids])
            same(by_ids.data[0].embedding, e.embedding)
            assert by_ids.usage.prompt_tokens == len(ids)
        assert whole.usage.prompt_tokens == whole.usage.total_tokens
        assert whole.model == c.models.list().data[0].id


def test_base64_is_the_same_floats(demo):
    for pooling in ("last", "mean", "none"):
        a = ask(demo, input=TEXTS, pooling=pooling, cache_prompt=False)
        b = ask(demo, input=TEXTS, pooling=pooling, cache_prompt=False,
                encoding_format="base64", path="/embeddings")
        for x, y in zip(vectors(a), vectors(b)):
            same(flat(x) if pooling == "none" else x, floats(y), 1e-5)


def test_floats_are_written_exactly(demo):
    body = {"input": "hello there", "cache_prompt": False}
    a = ask(demo, **body)
    b = ask(demo, **body, encoding_format="base64")
    assert float32(vectors(a)[0]) == floats(vectors(b)[0])


def test_many_inputs_come_back_in_order(demo):
    inputs = [f"{TEXTS[i % 6]} {i}" for i in range(200)]
    whole = vectors(ask(demo, input=inputs))
    for i in (0, 1, 31, 32, 33, 64, 150, 199):
        same(whole[i], vectors(ask(demo, input=inputs[i]))[0])


def test_normalize_and_special_tokens(demo):
    raw = vectors(ask(demo, input="the cat", normalize=False))[0]
    same(vectors(ask(demo, input="the cat"))[0], unit(raw))
    bare = demo.post("/tokenize", {"content": "the cat"}).json()["tokens"]
    a = ask(demo, input="the cat", add_special_tokens=False)
    assert a["usage"]["prompt_tokens"] == len(bare)
    same(vectors(a)[0], vectors(ask(demo, input=bare))[0])
    rows = vectors(ask(demo, input="the cat", pooling="none"))[0]
    same(rows[-1], raw)
    normed = vectors(ask(demo, input="the cat", pooling="none",
                         normalize=True))[0]
    for row, n in zip(rows, normed):
        same(n, unit(row))
    mean = vectors(ask(demo, input="the cat", pooling="mean",
                       normalize=False))[0]
    same(mean, [sum(c) / len(rows) for c in zip(*rows)])


def test_a_chat_is_embedded_as_its_template_writes_it(demo):
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    for ask_too in (False, True):
        text = demo.post("/apply-template", {
            **chat, "add_generation_prompt": ask_too}).json()["prompt"]
        a = ask(demo, **chat, **({"add_generation_prompt": True} if ask_too
                                 else {}))
        b = ask(demo, input=text, add_special_tokens=False)
        assert a["usage"] == b["usage"]
        same(vectors(a)[0], vectors(b)[0])
    for wrong in ({"messages": []}, {"messages": 7},
                  {"messages": [{"role": "user"}]},
                  {"messages": chat["messages"], "input": "a"}):
        r = demo.post("/v1/embeddings", wrong)
        assert r.status_code == 400, r.text
        assert r.json()["error"]["param"].startswith(("messages", "input"))


def test_what_is_too_long_is_cut_or_refused(demo):
    ids = [20 + i % 30 for i in range(40)]
    for side, part in (("left", ids[-7:]), ("right", ids[:7])):
        a = ask(demo, input=ids, truncate_prompt_tokens=7,
                truncation_side=side)
        assert a["usage"]["prompt_tokens"] == 7
        same(vectors(a)[0], vectors(ask(demo, input=part))[0])
    room = demo.post("/tokenize", {"content": "a"}).json()["max_model_len"]
    body = {"input": ["a", [20] * (room + 1)]}
    r = demo.post("/v1/embeddings", body)
    e = r.json()["error"]
    assert r.status_code == 400 and e["param"] == "input[1]"
    assert e["code"] == "context_length_exceeded"
    whole = ask(demo, **body, truncate_prompt_tokens=-1)
    assert whole["usage"]["prompt_tokens"] > room
    assert vectors(ask(demo, input=[20] * room))


def test_an_answer_is_bounded_before_it_is_computed(demo):
    room = demo.post("/tokenize", {"content": "a"}).json()["max_model_len"]
    before = prompt_tokens(demo)
    r = demo.post("/v1/embeddings", {"input": [[20] * room] * 40,
                                     "hidden_states": True})
    assert r.status_code == 400, r.text[:200]
    assert r.json()["error"]["param"] == "input"
    assert prompt_tokens(demo) == before


@pytest.mark.parametrize("field,value", [
    ("input", None), ("input", ""), ("input", []), ("input", ["a"] * 2049),
    ("input", [["a"]]), ("encoding_format", "int8"), ("dimensions", 3),
    ("pooling", "cls"), ("normalize", "yes"), ("hidden_states", 1),
    ("router_logits", "x"), ("truncate_prompt_tokens", 0),
    ("truncation_side", "up"), ("cache_salt", ""), ("model", 1)])
def test_wrong_values_are_named(demo, field, value):
    r = demo.post("/v1/embeddings", {"input": "a", field: value})
    e = r.json()["error"]
    assert r.status_code == 400 and e["type"] == "invalid_request_error"
    assert e["param"].startswith(field), e


def test_bodies_that_are_no_requests(demo):
    for body in ("", "{", "[]", "7", '{"input": "a"'):
        r = httpx.post(demo.url + "/v1/embeddings", content=body, timeout=30)
        assert r.status_code == 400, (body, r.text)
    assert httpx.get(demo.url + "/v1/embeddings", timeout=30).status_code == 405


def test_another_model_is_not_found(start):
    d = start("--strict-model-name", "--alias", "mine")
    assert d.post("/v1/embeddings", {"input": "a", "model": "mine"}
                  ).json()["model"] == "mine"
    r = d.post("/v1/embeddings", {"input": "a", "model": "other"})
    assert r.status_code == 404 and r.json()["error"]["param"] == "model"


def metric(d, start_of_line):
    for line in httpx.get(d.url + "/metrics", timeout=30).text.splitlines():
        if line.startswith(start_of_line):
            return float(line.split()[-1])
    raise AssertionError(start_of_line)


def prompt_tokens(d):
    return metric(d, "vllm:prompt_tokens_total")


def test_a_cached_prefix_changes_nothing(start):
    d = start()
    text = "the cat and the dog in the house of " * 8
    hits = "vllm:prefix_cache_hits_total"
    first = vectors(ask(d, input=text + "one"))[0]
    assert metric(d, hits) == 0
    again = vectors(ask(d, input=text + "one"))[0]
    assert metric(d, hits) > 0
    same(again, first)
    seen = metric(d, hits)
    for body in ({"pooling": "mean"}, {"hidden_states": True},
                 {"cache_salt": "s"}, {"cache_prompt": False}):
        a = ask(d, input=text + "one", **body)
        if "pooling" not in body:
            same(vectors(a)[0], first)
        assert metric(d, hits) == seen, body


def test_they_are_counted(start):
    d = start()
    n = ask(d, input=TEXTS)["usage"]["prompt_tokens"]
    d.post("/v1/embeddings", {})
    d.wait_idle()
    assert prompt_tokens(d) == n
    for status, want in (("2xx", 1), ("4xx", 1), ("5xx", 0)):
        assert metric(d, 'http_requests_total{handler="/v1/embeddings",'
                         f'status="{status}"}}') == want


def test_beside_chats_both_say_the_same(demo):
    body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0,
            "max_tokens": 40}

    def chat(_):
        with demo.client() as c:
            chunks = c.chat.completions.create(model="m", stream=True, **body)
            return "".join(k.choices[0].delta.content or "" for k in chunks)

    def embed(i):
        a = ask(demo, input=TEXTS, pooling=("last", "mean")[i % 2])
        return vectors(a)

    said = chat(0)
    alone = [embed(0), embed(1)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        chats = [pool.submit(chat, i) for i in range(8)]
        embeds = [pool.submit(embed, i) for i in range(24)]
        assert all(f.result() == said for f in chats)
        for i, f in enumerate(embeds):
            for got, want in zip(f.result(), alone[i % 2]):
                same(got, want)
    demo.wait_idle()


def send_only(d, body):
    data = json.dumps(body).encode()
    s = socket.create_connection(("127.0.0.1", d.port))
    s.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: "
              + str(len(data)).encode() + b"\r\n\r\n" + data)
    return s


def test_a_client_that_leaves_stops_the_work(start):
    d = start()
    for n in (1, 40, 2000):
        send_only(d, {"input": ["the cat and the dog"] * n,
                      "pooling": "mean"}).close()
    d.wait_idle(60)
    assert vectors(ask(d, input="a"))


def test_many_inputs_need_one_place_in_the_queue(start):
    d = start("--max-queue", "1", "--max-per-key", "1")
    whole = vectors(ask(d, input=[f"the cat {i}" for i in range(4)]))
    d.wait_idle()
    same(whole[3], vectors(ask(d, input="the cat 3"))[0])


def test_a_key_has_its_share_of_places(start):
    d = start("--max-per-key", "2")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = [f.result().status_code for f in [
            pool.submit(d.post, "/v1/embeddings", {"input": TEXTS * 20})
            for _ in range(4)]]
    assert set(codes) <= {200, 429} and 200 in codes
    d.wait_idle()
    assert len(vectors(ask(d, input=TEXTS))) == len(TEXTS)


def test_needs_the_key(start):
    d = start("--api-key", "k")
    assert d.post("/v1/embeddings", {"input": "a"}).status_code == 401
    assert d.post("/v1/embeddings", {"input": "a"},
                  headers={"Authorization": "Bearer k"}).status_code == 200


def test_a_taken_call_is_answered_while_draining(start):
    d = start()
    inputs = ["the cat and the dog " * 20] * 150
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, d, input=inputs, pooling="mean")
        while not answer.done() and prompt_tokens(d) == 0:
            time.sleep(0.01)
        d.process.send_signal(signal.SIGTERM)
        assert len(vectors(answer.result())) == 150
    assert d.stop() == 0
