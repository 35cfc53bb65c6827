"""Start and stop: keys, wrong models, taken ports, draining."""
import asyncio
import json
import math
import os
import re
import signal
import subprocess
import time

import httpx
import openai
import pytest

from conftest_daemon import BINARY, DEMO, Daemon

LONG = {"prompt": "a story", "max_tokens": 1500, "ignore_eos": True,
        "temperature": 0, "stream": True}


def run(*args, env=None):
    return subprocess.run([BINARY, *args], capture_output=True, text=True,
                          timeout=60, env={**os.environ, **(env or {})})


def test_help_fits_a_screen_and_version_is_short():
    r = run("--help")
    assert r.returncode == 0
    lines = r.stdout.splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 100
    assert run("--version").stdout.startswith("lfmd ")
    assert "port = 9 ; environment" in run(
        "--print-config", env={"LFMD_PORT": "9"}).stdout


@pytest.mark.parametrize("damage, said", [
    (lambda d: (d / "config.json").unlink(), "config.json"),
    (lambda d: (d / "config.json").write_text("{"), "config.json"),
    (lambda d: (d / "tokenizer.json").unlink(), "tokenizer.json"),
    (lambda d: (d / "model.safetensors").write_bytes(
        (d / "model.safetensors").read_bytes()[:-1000]), "model.safetensors"),
    (lambda d: (d / "chat_template.jinja").write_text("{% if %}"), "template"),
    (lambda d: edit(d, model_type="llama", architectures=["LlamaForCausalLM"]),
     "Lfm2MoeForCausalLM"),
    (lambda d: edit(d, hidden_size=200), "hidden"),
    (lambda d: edit(d, num_experts_per_tok=99), "num_experts_per_tok"),
    (lambda d: edit(d, moe_intermediate_size=97), "96"),
])
def test_a_wrong_model_is_one_sentence_and_exit_1(tmp_path, damage, said):
    model = tmp_path / "m"
    model.mkdir()
    for f in DEMO.iterdir():
        if f.is_file():
            (model / f.name).write_bytes(f.read_bytes())
    damage(model)
    r = run("--model", str(model), "--port", "0")
    assert r.returncode == 1
    last = r.stderr.strip().splitlines()[-1]
    assert last.startswith("lfmd: ") and said in last, r.stderr


def edit(d, **changes):
    config = json.loads((d / "config.json").read_text())
    (d / "config.json").write_text(json.dumps({**config, **changes}))


def big_model(folder):
    """A checkpoint of 1.6 GB of zeros that takes no disk: loading it takes a
    second or two."""
    vocab, hidden = 1 << 19, 768
    shapes = {
        "embed_tokens.weight": [vocab, hidden],
        "embedding_norm.weight": [hidden],
        "layers.0.operator_norm.weight": [hidden],
        "layers.0.ffn_norm.weight": [hidden],
        "layers.0.conv.in_proj.weight": [3 * hidden, hidden],
        "layers.0.conv.conv.weight": [hidden, 1, 3],
        "layers.0.conv.out_proj.weight": [hidden, hidden],
        "layers.0.feed_forward.w1.weight": [8, hidden],
        "layers.0.feed_forward.w3.weight": [8, hidden],
        "layers.0.feed_forward.w2.weight": [hidden, 8],
    }
    header, at = {}, 0
    for name, shape in shapes.items():
        n = 4 * math.prod(shape)
        header["model." + name] = {"dtype": "F32", "shape": shape,
                                   "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # aligned, so that it is mapped
    folder.mkdir()
    with open(folder / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        f.truncate(8 + len(text) + at)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json",
                 "chat_template.jinja"):
        (folder / name).write_bytes((DEMO / name).read_bytes())
    edit(folder, vocab_size=vocab, hidden_size=hidden, intermediate_size=8,
         num_hidden_layers=1, layer_types=["conv"], num_dense_layers=1)
    return folder


def loading(model):
    """A daemon that has just begun to load, and its address."""
    d = Daemon("--model", str(model), wait=False)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        m = re.search(r"listening on 127.0.0.1 port (\d+), load", d.log())
        if m:
            return d, f"http://127.0.0.1:{m.group(1)}"
        time.sleep(0.005)
    raise AssertionError(d.log())


def test_while_it_loads_probes_are_answered_and_requests_refused(tmp_path):
    d, url = loading(big_model(tmp_path / "big"))
    r = httpx.get(url + "/health")
    assert r.status_code == 503
    assert r.json()["status"] == "loading" and 0 <= r.json()["progress"] <= 1
    assert httpx.get(url + "/livez").status_code == 200
    r = httpx.post(url + "/v1/chat/completions", json={"messages": []})
    assert r.status_code == 503 and r.json()["error"]["message"]
    assert "retry-after" in r.headers
    assert d._ready.wait(60) and d.port
    assert httpx.get(url + "/health").status_code == 200
    assert d.stop() == 0


def test_sigterm_while_loading_stops_at_once(tmp_path):
    d, _ = loading(big_model(tmp_path / "big"))
    assert d.stop(5) == 0, d.log()


def test_a_model_file_that_shrinks_ends_the_daemon_with_a_sentence(tmp_path):
    model = big_model(tmp_path / "big")
    d = Daemon("--model", str(model))
    os.truncate(model / "model.safetensors", 1 << 20)
    with pytest.raises(httpx.TransportError):
        d.post("/v1/completions", {"prompt": "x", "max_tokens": 1})
    assert d.process.wait(20) == 70
    assert "truncated" in d.log()


def test_a_model_that_is_not_there():
    r = run("--model", "/nonexistent/model", "--port", "0")
    assert r.returncode == 1 and "/nonexistent/model" in r.stderr


def test_a_taken_port_is_named(demo):
    r = run("--port", str(demo.port))
    assert r.returncode == 1
    assert f"127.0.0.1:{demo.port}" in r.stderr


def test_healthcheck_asks_the_daemon(demo):
    assert run("healthcheck", "--port", str(demo.port)).returncode == 0
    assert run("healthcheck", "--port", "1").returncode == 1


def test_keys(start, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# comment\nalpha\n\nbeta\n")
    d = start("--api-key-file", str(keys), "--api-key", "gamma")
    for key in ("alpha", "beta", "gamma"):
        assert d.client(api_key=key).models.list().data
    for key in ("alph", "alphaa", "x", "comment", "# comment"):
        r = httpx.get(d.url + "/v1/models",
                      headers={"Authorization": f"Bearer {key}"})
        assert r.status_code == 401
        assert r.json()["error"]["code"] == "invalid_api_key"
        assert "www-authenticate" in r.headers
    with pytest.raises(openai.AuthenticationError):
        d.client(api_key="wrong").models.list()
    assert httpx.get(d.url + "/v1/models",
                     headers={"X-Api-Key": "beta"}).status_code == 200
    assert httpx.get(d.url + "/health").status_code == 200
    assert "alpha" not in d.log() and "gamma" not in d.log()
    assert d.stop() == 0


def test_strict_names_and_alias(start):
    d = start("--alias", "my-model", "--strict-model-name")
    assert d.client().models.list().data[0].id == "my-model"
    body = {"messages": [{"role": "user", "content": "Hello!"}],
            "max_tokens": 1}
    r = d.post("/v1/chat/completions", {**body, "model": "gpt-4"})
    assert r.status_code == 404
    assert r.json()["error"]["code"] == "model_not_found"
    r = httpx.get(d.url + "/v1/models/gpt-4")
    assert r.status_code == 404
    assert r.json()["error"]["code"] == "model_not_found"
    assert r.json()["error"]["param"] == "model"
    assert d.post("/v1/chat/completions",
                  {**body, "model": "my-model"}).status_code == 200
    assert d.stop() == 0


async def read_stream(client, url, started, max_tokens=1500):
    text, done, error = "", False, None
    body = {**LONG, "max_tokens": max_tokens}
    async with client.stream("POST", url + "/v1/completions", json=body) as r:
        if r.status_code != 200:
            return text, done, "refused"
        async for line in r.aiter_lines():
            started.set()
            if line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                error = event.get("error") or error
                text += event["choices"][0]["text"] if not error else ""
    return text, done, error


def test_sigterm_lets_running_streams_finish():
    d = Daemon()

    async def go():
        async with httpx.AsyncClient(timeout=120) as client:
            started = [asyncio.Event() for _ in range(8)]
            tasks = [asyncio.create_task(read_stream(client, d.url, s, 500))
                     for s in started]
            await asyncio.gather(*[s.wait() for s in started])
            d.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            with pytest.raises(httpx.ConnectError):
                await client.get(d.url + "/health")
            return await asyncio.gather(*tasks)
    results = asyncio.run(go())
    assert all(done and not error for _, done, error in results)
    assert len({text for text, _, _ in results}) == 1
    assert d.stop() == 0, d.log()


def test_what_is_not_done_in_time_ends_with_an_error():
    d = Daemon("--drain-timeout", "100ms")

    async def go():
        async with httpx.AsyncClient(timeout=120) as client:
            started = asyncio.Event()

            async def cut():
                try:
                    return await read_stream(client, d.url, started)
                except httpx.RemoteProtocolError:
                    return "", False, "truncated"
            tasks = [asyncio.create_task(cut()) for _ in range(8)]
            await started.wait()
            d.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*tasks)
    begun = time.monotonic()
    results = asyncio.run(go())
    assert all(error or done for _, done, error in results)
    assert any(error for _, _, error in results)
    assert not any(error and done for _, done, error in results)
    assert d.stop(10) == 0, d.log()
    assert time.monotonic() - begun < 20


def test_a_second_signal_cuts_at_once():
    d = Daemon("--parallel", "8")

    async def go():
        async with httpx.AsyncClient(timeout=60) as client:
            started = asyncio.Event()
            task = asyncio.create_task(read_stream(client, d.url, started))
            await started.wait()
            d.process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.05)
            d.process.send_signal(signal.SIGINT)
            try:
                await task
            except httpx.RemoteProtocolError:
                pass
    asyncio.run(go())
    assert d.stop(5) == 0, d.log()


def test_it_starts_and_stops_many_times():
    for _ in range(5):
        d = Daemon()
        assert httpx.get(d.url + "/health").json()["status"] == "ok"
        assert d.stop(5) == 0, d.log()


def test_a_unix_socket(tmp_path):
    path = tmp_path / "s"
    p = subprocess.Popen([BINARY, "--host", f"unix:{path}"],
                         stderr=subprocess.PIPE, text=True)
    try:
        for line in p.stderr:
            if line.startswith("listening on"):
                break
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport) as c:
            assert c.get("http://x/health").status_code == 200
        r = run("healthcheck", "--host", f"unix:{path}")
        assert r.returncode == 0
    finally:
        p.terminate()
        assert p.wait(20) == 0
