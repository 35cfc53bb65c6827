"""Keys beside each other: shares, a limit for each, and who waits for whom."""
import asyncio

import httpx

STORY = {"temperature": 0, "ignore_eos": True, "prompt": "a story"}


def key(name):
    return {"Authorization": f"Bearer {name}"}


async def ask(client, d, name, order, **body):
    r = await client.post(d.url + "/v1/completions", json={**STORY, **body},
                          headers=key(name))
    assert r.status_code == 200, r.text
    order.append(name)


async def until(client, d, condition):
    for _ in range(3000):
        if condition((await client.get(d.url + "/health")).json()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


def flood(d, n_few):
    """One key asks for 60 at once, another then for a few, one by one; the
    order in which they are answered."""
    order = []

    async def go():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=120, limits=limits) as client:
            many = [asyncio.create_task(
                ask(client, d, "many", order, max_tokens=150))
                for _ in range(60)]
            await until(client, d, lambda h: h["running"] == 4
                        and h["waiting"] > 40)
            for _ in range(n_few):
                await ask(client, d, "few", order, max_tokens=5)
            await asyncio.gather(*many)
    asyncio.run(go())
    d.wait_idle()
    return order


def last_of(order, name):
    return len(order) - 1 - order[::-1].index(name)


def test_a_flood_of_one_key_does_not_delay_another(start):
    d = start("--api-key", "many,few", "--parallel", "4")
    order = flood(d, 4)
    assert order.count("few") == 4 and order.count("many") == 60
    # Each of the few waits for a place at most, never for the line.
    assert last_of(order, "few") < 40, order
    assert d.stop() == 0


def test_without_a_prefix_cache_the_next_place_is_the_others(start):
    d = start("--api-key", "many,few", "--parallel", "4",
              "--prefix-cache=false")
    order = flood(d, 4)
    assert last_of(order, "few") < 40, order
    assert d.stop() == 0


def test_a_key_has_so_many_at_once_and_no_more(start):
    d = start("--api-key", "alpha,beta", "--max-per-key", "2")
    long = {**STORY, "max_tokens": 2000, "stream": True}
    short = {**STORY, "max_tokens": 2}
    url = d.url + "/v1/completions"

    def post(name, **kw):
        return d.post("/v1/completions", {**short, **kw}, headers=key(name))
    with httpx.Client(timeout=60) as client:
        with client.stream("POST", url, json=long, headers=key("alpha")), \
                client.stream("POST", url, json=long, headers=key("alpha")):
            refused = post("alpha")
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            error = refused.json()["error"]
            assert "no more than 2" in error["message"]
            assert "max-per-key" in error["message"]
            assert error["type"] == "rate_limit_error"
            assert post("beta").status_code == 200
    d.wait_idle()
    assert post("alpha").status_code == 200
    # Prompts of one request count each; what can never fit is no 429.
    assert post("alpha", prompt=["a", "b"]).status_code == 200
    assert post("alpha", prompt=["a", "b", "c"]).status_code == 400
    assert post("alpha").status_code == 200
    assert d.stop() == 0


def test_without_keys_the_limit_is_everybodys(start):
    d = start("--max-per-key", "1")
    long = {**STORY, "max_tokens": 2000, "stream": True}
    with httpx.Client(timeout=60) as client:
        with client.stream("POST", d.url + "/v1/completions", json=long):
            assert d.post("/v1/completions",
                          {**STORY, "max_tokens": 1}).status_code == 429
    d.wait_idle()
    assert d.post("/v1/completions",
                  {**STORY, "max_tokens": 1}).status_code == 200
    assert d.stop() == 0
