"""What a client can find out before it asks for a reply: the model, the
tokenizer, the prompt, the places; and that it learns nothing of others."""
import json
import threading

import httpx
import pytest

import make_gguf
from conftest_daemon import DEMO

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
PUBLIC = ["/health", "/v1/health", "/healthz", "/readyz", "/ping", "/livez",
          "/metrics", "/version", "/openapi.json"]
PRIVATE = ["/v1/models", "/models", "/props", "/slots", "/load",
           "/tokenizer_info"]


def get(d, path, **kw):
    return httpx.get(d.url + path, timeout=60, **kw)


def test_the_tokenizer_is_told_as_lm_eval_reads_it(demo):
    info = get(demo, "/tokenizer_info").json()
    for key in ("bos_token", "eos_token", "pad_token"):
        ids = demo.post("/tokenize", {"prompt": info[key],
                                      "add_special_tokens": False}).json()
        assert ids["count"] == 1, key
        id_, = ids["tokens"]
        entry = info["added_tokens_decoder"][str(id_)]
        assert entry == {"content": info[key], "special": True}
    assert "im_start" in info["chat_template"]
    assert info["add_bos_token"] is True
    assert info["model_max_length"] == get(
        demo, "/v1/models").json()["data"][0]["max_model_len"]


def test_a_rendered_chat_is_what_would_run(demo):
    body = {**CHAT, "max_tokens": 5, "temperature": 0, "seed": 7,
            "stop": ["\n\n"], "return_token_ids": True}
    r = demo.post("/v1/chat/completions/render", body).json()
    p = r["sampling_params"]
    assert (p["max_tokens"], p["temperature"], p["seed"], p["stop"]) == (
        5, 0, 7, ["\n\n"])
    prompt = demo.post("/apply-template", CHAT).json()["prompt"]
    assert r["prompt"] == prompt
    assert r["token_ids"] == demo.post("/tokenize", CHAT).json()["tokens"]
    ran = demo.post("/v1/completions", {**body, "prompt": r["token_ids"]})
    said = demo.post("/v1/chat/completions", body)
    assert (said.json()["usage"]["prompt_tokens"] == len(r["token_ids"])
            == ran.json()["usage"]["prompt_tokens"])
    assert (said.json()["choices"][0]["message"]["content"]
            == ran.json()["choices"][0]["text"])


def test_what_the_model_recommends_is_rendered_where_the_request_is_silent(
        demo):
    p = demo.post("/v1/chat/completions/render",
                  CHAT).json()["sampling_params"]
    d = get(demo, "/props").json()["default_generation_settings"]["params"]
    assert d["temperature"] == p["temperature"] == pytest.approx(0.3)
    assert d["repeat_penalty"] == p["repetition_penalty"]
    assert p["seed"] is None


def test_every_prompt_of_a_completion_is_rendered(demo):
    r = demo.post("/v1/completions/render", {"prompt": ["Hi", [1, 2, 3]]})
    one, other = r.json()
    assert one["prompt"].endswith("Hi") and other["token_ids"] == [1, 2, 3]
    assert one["sampling_params"]["max_tokens"] == 16


def test_a_render_is_refused_as_the_request_would_be(demo):
    for path in ("/v1/chat/completions", "/v1/completions"):
        for body in ({}, {**CHAT, "prompt": "Hi", "temperature": 3},
                     {"prompt": "x " * 9000, "messages": [
                         {"role": "user", "content": "x " * 9000}]}):
            ran = demo.post(path, body)
            rendered = demo.post(path + "/render", body)
            assert ran.status_code == rendered.status_code == 400
            assert ran.json()["error"] == rendered.json()["error"]


@pytest.mark.parametrize("path", ["/v1/chat/completions/input_tokens",
                                  "/chat/completions/input_tokens"])
def test_a_chat_is_counted_even_if_it_would_not_fit(demo, path):
    said = demo.post("/v1/chat/completions", {**CHAT, "max_tokens": 1})
    r = demo.post(path, CHAT).json()
    assert r["input_tokens"] == said.json()["usage"]["prompt_tokens"]
    long = {"messages": [{"role": "user", "content": "x " * 9000}]}
    assert demo.post(path, long).json()["input_tokens"] > 4096


def test_props(demo):
    p = get(demo, "/props").json()
    model = get(demo, "/v1/models").json()["data"][0]
    assert p["total_slots"] == 32
    assert p["model_alias"] == model["id"]
    assert "/" not in p["model_path"]
    assert p["default_generation_settings"]["n_ctx"] == model["max_model_len"]
    assert p["build_info"] == "lfmd-" + get(demo, "/version").json()["version"]
    r = httpx.post(demo.url + "/props", json={})
    assert r.status_code == 405 and "GET" in r.headers["allow"]


def test_a_model_in_a_file_is_told_as_one(start, tmp_path):
    file = make_gguf.write(DEMO, tmp_path / "small-Q8_0.gguf", "Q8_0")
    d = start("--model", str(file), "--alias", "mine")
    p = get(d, "/props").json()
    assert p["model_path"].endswith(".gguf") and "/" not in p["model_path"]
    assert p["model_alias"] == "mine"


def test_slots_are_counted_and_say_nothing_of_what_is_in_them(start):
    d = start("--parallel", "2")
    secret = "xylophone"
    slots = get(d, "/slots?fail_on_no_slot=1").json()
    assert [s["is_processing"] for s in slots] == [False, False]
    assert {s["n_ctx"] for s in slots} == {4096}

    def talk():
        demo_body = {"messages": [{"role": "user", "content": secret}],
                     "max_tokens": 3500, "ignore_eos": True, "n": 2,
                     "stream": True}
        with httpx.stream("POST", d.url + "/v1/chat/completions",
                          json=demo_body, timeout=60) as r:
            for _ in r.iter_lines():
                started.set()
                if done.is_set():
                    return
    started, done = threading.Event(), threading.Event()
    t = threading.Thread(target=talk)
    t.start()
    try:
        assert started.wait(30)
        full = get(d, "/slots")
        assert [s["is_processing"] for s in full.json()] == [True, True]
        for path in ("/slots", "/props", "/load", "/metrics", "/v1/models"):
            assert secret not in get(d, path).text
        assert get(d, "/slots?fail_on_no_slot=1").status_code == 503
        assert get(d, "/slots?fail_on_no_slot=0").status_code == 200
        assert get(d, "/load").json() == {"server_load": 2}
    finally:
        done.set()
        t.join(30)
    d.wait_idle()
    assert get(d, "/load").json() == {"server_load": 0}


def test_the_document_is_kept_by_its_tag(demo):
    r = get(demo, "/openapi.json")
    tag = r.headers["etag"]
    assert r.json()["info"]["version"] == get(demo, "/version").json()[
        "version"]
    again = get(demo, "/openapi.json", headers={"If-None-Match": tag})
    assert again.status_code == 304 and again.content == b""
    assert get(demo, "/openapi.json",
               headers={"If-None-Match": '"0"'}).status_code == 200


def test_keys_open_what_is_not_public(start):
    d = start("--api-key", "sk-secret")
    for path in PUBLIC:
        assert get(d, path).status_code == 200, path
    for path in PRIVATE:
        assert get(d, path).status_code == 401, path
        for headers in ({"Authorization": "Bearer sk-secret"},
                        {"X-Api-Key": "sk-secret"}):
            r = get(d, path, headers=headers)
            assert r.status_code == 200, path
            assert "sk-secret" not in r.text


@pytest.mark.parametrize("path", PUBLIC + PRIVATE)
def test_head_says_what_get_would(demo, path):
    r = httpx.head(demo.url + path)
    assert r.status_code == 200 and r.content == b""
    assert int(r.headers["content-length"]) > 0


def test_both_dialects_of_tokenize(demo):
    text = "Hi \u00e9\U0001F600"
    ls = demo.post("/tokenize", {"content": text}).json()["tokens"]
    vllm = demo.post("/v1/tokenize", {"prompt": text, "model": "demo",
                                      "return_token_strs": True}).json()
    bos, *rest = vllm["tokens"]
    assert rest == ls and vllm["count"] == len(ls) + 1
    assert demo.post("/tokenize", {"content": text, "add_special": True}
                     ).json()["tokens"] == [bos, *ls]
    assert all(isinstance(s, str) for s in vllm["token_strs"])
    assert len(vllm["token_strs"]) == vllm["count"]
    pieces = demo.post("/tokenize", {"content": text, "with_pieces": True}
                       ).json()["tokens"]
    joined = b"".join(p["piece"].encode() if isinstance(p["piece"], str)
                      else bytes(p["piece"]) for p in pieces)
    assert joined == text.encode() and [p["id"] for p in pieces] == ls
    for path in ("/detokenize", "/v1/detokenize"):
        back = demo.post(path, {"tokens": ls}).json()
        assert back["content"] == back["prompt"] == text
    end, = demo.post("/tokenize", {"content": "<|im_end|>"}).json()["tokens"]
    apart = demo.post("/tokenize", {"content": "<|im_end|>",
                                    "parse_special": False}).json()["tokens"]
    assert end not in apart and len(apart) > 1


def test_a_body_of_another_type_is_refused(demo):
    body = json.dumps({**CHAT, "max_tokens": 1})
    for kind, status in [("application/json", 200), (None, 200),
                         ("application/json; charset=utf-8", 200),
                         ("Application/JSON", 200),
                         ("application/problem+json", 200),
                         ("text/plain", 415), ("text/json; x", 415),
                         ("application/x-www-form-urlencoded", 415),
                         ("multipart/form-data; boundary=x", 415),
                         ("", 415), ("application/jsonp", 415)]:
        headers = {"Content-Type": kind} if kind is not None else {}
        r = httpx.post(demo.url + "/v1/chat/completions", content=body,
                       headers=headers, timeout=60)
        assert r.status_code == status, kind
        if status == 415:
            assert r.json()["error"]["code"] == "unsupported_media_type"
            assert "application/json" in r.json()["error"]["message"]
