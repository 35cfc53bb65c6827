"""Many at once: each says what it says alone, and what the killed leave behind
is cleaned up."""
import asyncio
import json
import random
import socket

import httpx

STORY = {"temperature": 0, "ignore_eos": True, "stream": True,
         "repetition_penalty": 1.0}


def prompts(n):
    rng = random.Random(5)
    words = "the a fox Ada Rome Paris sum of tree river what is who then".split()
    return [" ".join(rng.choices(words, k=rng.randint(1, 60)))
            for _ in range(n)]


async def stream(client, url, prompt, max_tokens, delay=0.0):
    await asyncio.sleep(delay)
    text, done = "", False
    body = {**STORY, "prompt": prompt, "max_tokens": max_tokens}
    async with client.stream("POST", url + "/v1/completions", json=body) as r:
        assert r.status_code == 200
        async for line in r.aiter_lines():
            if line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                text += json.loads(line[6:])["choices"][0]["text"]
    assert done
    return text


def test_32_streams_joining_at_random_say_what_they_say_alone(oracle):
    rng = random.Random(11)
    work = [(p, rng.randint(1, 60)) for p in prompts(32)]

    async def go():
        async with httpx.AsyncClient(timeout=120) as client:
            alone = [await stream(client, oracle.url, *w) for w in work]
            for _ in range(3):
                crowd = await asyncio.gather(*[
                    stream(client, oracle.url, *w, delay=rng.random() * 0.3)
                    for w in work])
                assert crowd == alone
    asyncio.run(go())
    oracle.wait_idle()


def start_and_leave(port, body, reset, wait):
    """Sends a request, reads a little, and goes: politely or not."""
    s = socket.create_connection(("127.0.0.1", port))
    data = json.dumps(body).encode()
    s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
              b"Content-Type: application/json\r\nContent-Length: "
              + str(len(data)).encode() + b"\r\n\r\n" + data)
    if wait:
        s.settimeout(10)
        s.recv(100)
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     b"\x01\0\0\0\0\0\0\0")
    s.close()


def test_killed_clients_leave_nothing_and_hurt_nobody(oracle):
    rng = random.Random(3)
    survivors = prompts(6)

    async def killers():
        for _ in range(60):
            body = {**STORY, "prompt": prompts(8)[rng.randrange(8)],
                    "max_tokens": 400, "stream": rng.random() < 0.7}
            await asyncio.to_thread(start_and_leave, oracle.port, body,
                                    rng.random() < 0.5,
                                    body["stream"] and rng.random() < 0.7)

    async def go():
        async with httpx.AsyncClient(timeout=120) as client:
            alone = [await stream(client, oracle.url, p, 80) for p in survivors]
            crowd = await asyncio.gather(
                killers(), killers(),
                *[stream(client, oracle.url, p, 80) for p in survivors])
            assert list(crowd[2:]) == alone
    asyncio.run(go())
    oracle.wait_idle()


def test_a_full_queue_is_429_with_retry_after(start):
    """Nobody reads, so the one that runs stands still behind its unread text,
    and who is in stays in, however slowly the others come."""
    d = start("--parallel", "1", "--max-queue", "2")
    body = {**STORY, "prompt": "a story", "max_tokens": 4000,
            "ignore_eos": True, "logprobs": 5}

    async def go():
        async with httpx.AsyncClient(timeout=60) as client:
            codes, done = [], asyncio.Event()

            async def one():
                async with client.stream("POST", d.url + "/v1/completions",
                                         json=body) as r:
                    codes.append(r.status_code)
                    if r.status_code == 429:
                        await r.aread()
                        assert int(r.headers["retry-after"]) >= 1
                        assert r.json()["error"]["type"]
                    else:
                        await done.wait()
            tasks = [asyncio.create_task(one()) for _ in range(8)]
            while len(codes) < 8:
                await asyncio.sleep(0.02)
            done.set()
            await asyncio.gather(*tasks)
            assert codes.count(429) == 6 and codes.count(200) == 2
    asyncio.run(asyncio.wait_for(go(), 60))
    d.wait_idle()
    assert d.stop() == 0


def test_few_blocks_mean_waiting_not_failing(start):
    """16 sequences in a cache for about 2: some are preempted, all finish."""
    alone = start()
    tight = start("--cache-size", "8M", "--parallel", "16")
    work = [(p, 300) for p in prompts(16)]

    async def go(d):
        async with httpx.AsyncClient(timeout=240) as client:
            return await asyncio.gather(*[stream(client, d.url, *w)
                                          for w in work])
    assert asyncio.run(go(tight)) == asyncio.run(go(alone))
    tight.wait_idle()
    assert tight.stop() == 0 and alone.stop() == 0
