"""What one request computed, others that begin alike do not: cached_tokens says
so, and the text is the one computed from nothing."""
import asyncio
import json

import httpx

SYSTEM = ("You are a patient guide of the old town. You know every street, "
          "every bridge and every bakery, and you answer in short sentences. "
          "When you do not know something, you say so and name who might. ") * 4
GREEDY = {"temperature": 0, "repetition_penalty": 1.0, "max_tokens": 24,
          "ignore_eos": True}
AT_MOST_AGAIN = 64


def chat(*turns, **kw):
    messages = [{"role": "system", "content": SYSTEM}]
    for i, text in enumerate(turns):
        messages.append({"role": "assistant" if i % 2 else "user",
                         "content": text})
    return {**GREEDY, "messages": messages, **kw}


def ask(d, body, key=None, more=""):
    headers = {"Authorization": "Bearer " + key} if key else {}
    r = d.post("/v1/chat/completions" + more, body, headers=headers)
    assert r.status_code == 200, r.text
    return r.json()


def text(answer):
    return answer["choices"][0]["message"]["content"]


def usage(answer):
    u = answer["usage"]
    return u["prompt_tokens"], u["prompt_tokens_details"]["cached_tokens"]


def n_common(d, a, b):
    """Tokens that two prompts begin with alike."""
    ids = [d.post("/tokenize", {"messages": x["messages"]}).json()["tokens"]
           for x in (a, b)]
    n = 0
    while n < min(map(len, ids)) and ids[0][n] == ids[1][n]:
        n += 1
    return n


def cold(start, bodies):
    d = start("--prefix-cache=false")
    answers = [ask(d, b) for b in bodies]
    assert [usage(a)[1] for a in answers] == [0] * len(bodies)
    assert d.stop() == 0
    return [text(a) for a in answers]


def test_a_shared_system_prompt_is_computed_once(start):
    bodies = [chat("Where is the bridge?"), chat("Who bakes the best bread?"),
              chat("Where is the bridge?")]
    want = cold(start, bodies)
    d = start()
    answers = [ask(d, b) for b in bodies]
    assert [text(a) for a in answers] == want
    n, cached = usage(answers[0])
    assert cached == 0
    _, cached = usage(answers[1])
    common = n_common(d, bodies[0], bodies[1])
    assert common > 150
    assert common - AT_MOST_AGAIN <= cached < common
    _, cached = usage(answers[2])  # a retry: all but the last token is known
    assert n - 1 - AT_MOST_AGAIN <= cached < n
    h = d.health()
    assert h["prefix_query_tokens"] == sum(usage(a)[0] for a in answers)
    assert h["prefix_hit_tokens"] == sum(usage(a)[1] for a in answers)
    assert h["prompt_tokens_computed"] == (h["prefix_query_tokens"]
                                           - h["prefix_hit_tokens"])
    d.wait_idle()
    assert d.stop() == 0


def test_the_next_turn_a_branch_and_a_stream_go_on_from_the_last(start):
    first = chat("Tell me about the river.")
    d = start()
    reply = text(ask(d, first))
    turns = [chat("Tell me about the river.", reply, "And the bridge?"),
             chat("Tell me about the river.", reply, "And its fish?")]
    want = cold(start, turns)
    for body, expected in zip(turns, want):
        answer = ask(d, body)
        assert text(answer) == expected
        assert usage(answer)[1] >= n_common(d, first, body) - AT_MOST_AGAIN
    with httpx.stream("POST", d.url + "/v1/chat/completions", timeout=60, json={
            **turns[0], "stream": True,
            "stream_options": {"include_usage": True}}) as r:
        events = [json.loads(line[6:]) for line in r.iter_lines()
                  if line.startswith("data: {")]
    n, cached = usage(events[-1])
    assert n - 1 - AT_MOST_AGAIN <= cached < n
    assert "".join(c["delta"].get("content") or "" for e in events
                   for c in e["choices"]) == want[0]
    assert d.stop() == 0


def agent(demo_golden, **kw):
    case = next(c for c in demo_golden["cases"]
                if "<|tool_call_start|>" in c["completion"])
    return {"messages": case["messages"], "tools": case["tools"],
            "temperature": 0, "repetition_penalty": 1.0, "max_tokens": 64, **kw}


def next_turn(body, said, **kw):
    return {**body, "messages": body["messages"] + [
        {"role": "assistant", "content": said["content"],
         "tool_calls": said["tool_calls"], **kw},
        {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"],
         "content": "18 degrees"}]}


def test_an_agent_goes_on_from_the_call_it_wrote(demo_golden, start):
    d = start()
    body = agent(demo_golden)
    answer = ask(d, body)
    # The last token drawn, a stop, was never run.
    known = answer["usage"]["total_tokens"] - 1
    answer = ask(d, next_turn(body, answer["choices"][0]["message"]))
    assert usage(answer)[1] >= known - AT_MOST_AGAIN
    assert d.stop() == 0


def test_a_call_is_replayed_word_for_word_to_whom_it_was_told(demo_golden,
                                                              start):
    """Kept from ending, the model closes its call twice, which the template
    does not."""
    d = start("--api-key", "alpha,beta")
    body = agent(demo_golden, min_tokens=10, max_tokens=10,
                 return_token_ids=True)
    answer = ask(d, body, "alpha")
    message = answer["choices"][0]["message"]
    drawn = answer["prompt_token_ids"] + answer["choices"][0]["token_ids"]
    assert message["tool_calls"] and drawn[-1] == drawn[-2]

    def goes_on(key, **kw):
        """Whether the next prompt begins with all that was computed, and how
        much of it runs again."""
        call = {**message["tool_calls"][0], **kw}
        said = {**message, "tool_calls": [call] + message["tool_calls"][1:]}
        turn = next_turn(body, said)
        answer = ask(d, turn, key)
        ids = answer["prompt_token_ids"]
        assert ask(d, turn, key, "/render")["token_ids"] == ids
        assert ask(d, turn, key, "/input_tokens")["input_tokens"] == len(ids)
        n = len(drawn)
        return (answer["prompt_token_ids"][:n] == drawn,
                n - usage(answer)[1])
    same, again = goes_on("alpha")
    assert same and again <= AT_MOST_AGAIN
    function = message["tool_calls"][0]["function"]
    args = json.loads(function["arguments"])
    spelt = {**function, "arguments": json.dumps(args, separators=(",", ":"))}
    assert goes_on("alpha", function=spelt)[0]
    other = {**function, "arguments": json.dumps({**args, "city": "Rome"})}
    assert not goes_on("alpha", function=other)[0]
    assert not goes_on("alpha", id="call_unknown")[0]
    assert not goes_on("beta")[0]
    assert d.stop() == 0


def test_keys_and_salts_share_nothing(start):
    d = start("--api-key", "alpha,beta")
    body = chat("Where is the bridge?")
    told = {text(ask(d, body, "alpha"))}

    def cached(key, **kw):
        answer = ask(d, {**body, **kw}, key)
        told.add(text(answer))
        return usage(answer)[1]
    assert cached("alpha") > 100
    assert cached("beta") == 0
    assert cached("beta") > 100
    assert cached("alpha", cache_salt="pepper") == 0
    assert cached("alpha", cache_salt="pepper") > 100
    assert cached("beta", cache_salt="pepper") == 0
    assert cached("alpha", cache_salt="alpha") == 0
    assert cached("alpha", cache_prompt=False) == 0
    assert cached("alpha") > 100
    assert len(told) == 1
    assert d.stop() == 0


def test_what_is_not_to_be_kept_is_not(start):
    d = start()
    body = chat("Where is the bridge?", cache_prompt=False)
    ask(d, body)
    assert usage(ask(d, {**body, "cache_prompt": True}))[1] == 0
    assert usage(ask(d, {**body, "cache_prompt": True}))[1] > 100
    assert d.stop() == 0


def test_choices_share_their_prompt(start):
    body = chat("Where is the bridge?", n=4, temperature=1, seed=3)
    d, alone = start(), start("--prefix-cache=false")
    answer, other = ask(d, body), ask(alone, body)
    assert ([c["message"]["content"] for c in answer["choices"]]
            == [c["message"]["content"] for c in other["choices"]])
    n, cached = usage(answer)
    assert cached == 0
    assert d.health()["prompt_tokens_computed"] <= n + 3 * AT_MOST_AGAIN
    assert alone.health()["prompt_tokens_computed"] == 4 * n
    assert d.stop() == 0 and alone.stop() == 0


def test_cancelling_in_the_middle_leaves_everything_right(start):
    bodies = [chat(f"What is in street number {i}?") for i in range(6)]
    want = cold(start, bodies)
    d = start("--cache-size", "8M", "--max-step-tokens", "32")

    async def cut(client, body, seconds):
        try:
            await asyncio.wait_for(client.post(
                d.url + "/v1/chat/completions",
                json={**body, "max_tokens": 2000, "n": 2}), seconds)
        except asyncio.TimeoutError:
            pass

    async def whole(client, body):
        r = await client.post(d.url + "/v1/chat/completions", json=body)
        return text(r.json())

    async def go():
        async with httpx.AsyncClient(timeout=60) as client:
            for _ in range(3):
                got = await asyncio.gather(
                    *[whole(client, b) for b in bodies],
                    *[cut(client, b, 0.01 + 0.03 * i)
                      for i, b in enumerate(bodies)])
                assert list(got[:len(bodies)]) == want
    asyncio.run(go())
    d.wait_idle()
    assert d.stop() == 0
