"""GET /metrics: read with a parser that lets nothing pass, and with
Prometheus' own; and the numbers are those of what was asked."""
import asyncio
import math
import os
import re
import shutil
import subprocess
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
STORY = {"prompt": "a story", "temperature": 0, "ignore_eos": True}

# vLLM's one histogram that is called like a counter.
HISTOGRAM_TOTAL = "vllm:iteration_tokens_total"
HISTOGRAMS = {
    "vllm:time_to_first_token_seconds": (22, "0.001", "2560.0"),
    "vllm:inter_token_latency_seconds": (19, "0.01", "80.0"),
    "vllm:request_time_per_output_token_seconds": (19, "0.01", "80.0"),
    "vllm:e2e_request_latency_seconds": (21, "0.3", "7680.0"),
    "vllm:request_queue_time_seconds": (21, "0.3", "7680.0"),
    "vllm:request_prefill_time_seconds": (21, "0.3", "7680.0"),
    "vllm:request_decode_time_seconds": (21, "0.3", "7680.0"),
    "vllm:request_inference_time_seconds": (21, "0.3", "7680.0"),
    "vllm:request_params_n": (5, "1.0", "20.0"),
    HISTOGRAM_TOTAL: (12, "1.0", "8192.0"),
}


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m, text
        assert m[1] not in labels, text
        labels[m[1]] = re.sub(r"\\(.)", lambda e: {"n": "\n"}.get(e[1], e[1]),
                              m[2])
        at = m.end()
    return labels


def check_histogram(name, samples):
    """Per set of labels: edges rise, counts do not fall, the last is +Inf and
    the count."""
    buckets = [(dict(ls), float(v)) for n, ls, v in samples
               if n == name + "_bucket"]
    edges = [float(ls["le"]) for ls, _ in buckets]
    counts = [v for _, v in buckets]
    total = {n: float(v) for n, _, v in samples if n != name + "_bucket"}
    assert set(total) == {name + "_sum", name + "_count"}, name
    assert edges == sorted(set(edges)) and math.isinf(edges[-1]), name
    assert buckets[-1][0]["le"] == "+Inf"
    assert counts == sorted(counts), name
    assert counts[-1] == total[name + "_count"], name
    assert total[name + "_sum"] >= 0
    assert (total[name + "_sum"] > 0) <= (total[name + "_count"] > 0)


def parse(text):
    """{family: (type, [(name, {label: value}, value)])} of the text format;
    asserts everything that promtool and a scraper would stumble over."""
    assert text.endswith("\n") and "\r" not in text
    families, current, seen = {}, None, set()
    for line in text[:-1].split("\n"):
        if m := re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line):
            assert m[1] not in families, f"{m[1]} twice"
            current = m[1]
            families[current] = (None, [])
        elif m := re.fullmatch(
                rf"# TYPE ({NAME}) (counter|gauge|histogram)", line):
            assert m[1] == current and families[current] == (None, []), line
            families[current] = (m[2], [])
        else:
            m = SAMPLE.fullmatch(line)
            assert m, line
            kind, samples = families[current]
            assert kind, line
            ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert m[1] in [current + e for e in ends], line
            labels = parse_labels(m[2] or "")
            assert (m[1], tuple(sorted(labels.items()))) not in seen, line
            seen.add((m[1], tuple(sorted(labels.items()))))
            float(m[3])
            samples.append((m[1], labels, m[3]))
    for name, (kind, samples) in families.items():
        assert samples, name
        if name != HISTOGRAM_TOTAL:
            assert (kind == "counter") == name.endswith("_total"), name
        if kind == "histogram":
            check_histogram(name, samples)
        if kind == "counter":
            assert all(float(v) >= 0 for _, _, v in samples)
    return families


def scrape(daemon):
    r = httpx.get(daemon.url + "/metrics", timeout=10)
    assert r.status_code == 200
    assert r.headers["content-type"] == \
        "text/plain; version=0.0.4; charset=utf-8"
    theirs = {f.name: f for f in text_string_to_metric_families(r.text)}
    ours = parse(r.text)
    for name, (kind, samples) in ours.items():
        f = theirs[name.removesuffix("_total") if kind == "counter" else name]
        assert f.type == kind and f.documentation
        assert len(f.samples) == len(samples)
    return ours


def value(families, name, **labels):
    family = re.sub("_(sum|count)$", "", name)
    family = family if family in families else name
    found = [v for n, ls, v in families[family][1]
             if n == name and labels.items() <= ls.items()]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


def since(before, after, name, **labels):
    return value(after, name, **labels) - value(before, name, **labels)


def test_the_text_is_valid_before_and_after_a_request(demo):
    before = scrape(demo)
    demo.post("/v1/completions", {**STORY, "max_tokens": 4})
    after = scrape(demo)
    assert set(before) == set(after)
    name = demo.client().models.list().data[0].id
    for family, (_, samples) in after.items():
        for _, labels, _ in samples:
            if family.startswith("vllm:"):
                assert labels["engine"] == "0" and labels["model_name"] == name
    for family, (n, low, high) in HISTOGRAMS.items():
        edges = [ls["le"] for s, ls, _ in after[family][1]
                 if s.endswith("_bucket")]
        assert len(edges) == n + 1 and edges[0] == low and edges[-2] == high


def test_names_that_watchers_look_for_are_there(demo):
    families = scrape(demo)
    for name, kind in [
            ("vllm:num_requests_running", "gauge"),
            ("vllm:num_requests_waiting", "gauge"),
            ("vllm:kv_cache_usage_perc", "gauge"),
            ("vllm:cache_config_info", "gauge"),
            ("vllm:num_preemptions_total", "counter"),
            ("vllm:prompt_tokens_total", "counter"),
            ("vllm:generation_tokens_total", "counter"),
            ("vllm:request_success_total", "counter"),
            ("vllm:prefix_cache_queries_total", "counter"),
            ("vllm:prefix_cache_hits_total", "counter"),
            ("vllm:request_prompt_tokens", "histogram"),
            ("vllm:request_generation_tokens", "histogram"),
            ("process_cpu_seconds_total", "counter"),
            ("process_resident_memory_bytes", "gauge"),
            ("process_open_fds", "gauge"),
            ("process_start_time_seconds", "gauge")]:
        assert families[name][0] == kind
    reasons = {ls["finished_reason"]
               for _, ls, _ in families["vllm:request_success_total"][1]}
    assert reasons == {"stop", "length", "abort", "error", "repetition"}
    info = families["vllm:cache_config_info"][1][0][1]
    assert int(info["block_size"]) > 0
    assert int(info["num_gpu_blocks"]) == demo.health()["total_blocks"]
    version = httpx.get(demo.url + "/version").json()["version"]
    assert families["lfmd_build_info"][1][0][1] == {"version": version}


def test_tokens_and_times_are_those_of_the_answers(demo):
    demo.wait_idle()
    before, begun = scrape(demo), time.monotonic()
    usage = [demo.post("/v1/completions", {**STORY, "max_tokens": n}).json()
             ["usage"] for n in (1, 5, 20)]
    both = demo.post("/v1/completions", {**STORY, "max_tokens": 3,
                                         "n": 2}).json()["usage"]
    demo.wait_idle()
    took, after = time.monotonic() - begun, scrape(demo)
    prompt = sum(u["prompt_tokens"] for u in usage) + 2 * both["prompt_tokens"]
    drawn = sum(u["completion_tokens"] for u in usage + [both])
    assert drawn == 1 + 5 + 20 + 6
    for name, expected in [
            ("vllm:prompt_tokens_total", prompt),
            ("vllm:generation_tokens_total", drawn),
            ("vllm:request_prompt_tokens_sum", prompt),
            ("vllm:request_generation_tokens_sum", drawn),
            ("vllm:request_params_n_sum", 5),
            ("vllm:time_to_first_token_seconds_count", 5),
            ("vllm:request_queue_time_seconds_count", 5),
            ("vllm:e2e_request_latency_seconds_count", 5),
            ("vllm:inter_token_latency_seconds_count", drawn - 5)]:
        assert since(before, after, name) == expected, name
    assert since(before, after, "vllm:request_success_total",
                 finished_reason="length") == 5
    whole = since(before, after, "vllm:e2e_request_latency_seconds_sum")
    parts = sum(since(before, after, f"vllm:request_{p}_time_seconds_sum")
                for p in ("queue", "prefill", "decode"))
    assert 0 < whole < 2 * took
    assert abs(whole - parts) < 1e-4
    gaps = since(before, after, "vllm:inter_token_latency_seconds_sum")
    assert abs(gaps - since(before, after,
                            "vllm:request_decode_time_seconds_sum")) < 1e-4
    assert value(after, "vllm:kv_cache_usage_perc") == 0


def test_prefix_hits_are_the_cached_tokens_of_the_answers(demo):
    before = scrape(demo)
    body = {**STORY, "prompt": "The fox went to the river again. " * 12,
            "max_tokens": 1}
    usage = [demo.post("/v1/completions", body).json()["usage"]
             for _ in range(2)]
    cached = [u["prompt_tokens_details"]["cached_tokens"] for u in usage]
    after = scrape(demo)
    assert cached[1] > 0
    assert since(before, after, "vllm:prefix_cache_hits_total") == sum(cached)
    assert since(before, after, "vllm:prefix_cache_queries_total") == \
        sum(u["prompt_tokens"] for u in usage)


def test_answers_are_counted_by_path_and_status(demo):
    before = scrape(demo)
    for path, body in [("/v1/completions", {**STORY, "max_tokens": 1}),
                       ("/v1/completions", {**STORY, "max_tokens": "x"}),
                       ("/v1/completions", {**STORY, "max_tokens": 1,
                                            "stream": True}),
                       ("/nowhere", {})]:
        demo.post(path, body)
    after = scrape(demo)
    for handler, status, n in [("/v1/completions", "2xx", 2),
                               ("/v1/completions", "4xx", 1),
                               ("/v1/completions", "5xx", 0),
                               ("none", "4xx", 1), ("/metrics", "2xx", 1)]:
        assert since(before, after, "http_requests_total", handler=handler,
                     status=status) == n, (handler, status)


def test_a_step_is_counted_with_its_tokens(demo):
    demo.wait_idle()
    before = scrape(demo)
    usage = demo.post("/v1/completions", {**STORY, "max_tokens": 5}).json()
    demo.wait_idle()
    after, usage = scrape(demo), usage["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    # The last token that is drawn is not computed.
    assert since(before, after, HISTOGRAM_TOTAL + "_sum") == \
        usage["prompt_tokens"] - cached + 5 - 1
    assert since(before, after, HISTOGRAM_TOTAL + "_count") == 5


def test_process_numbers_are_the_process(demo):
    families, pid = scrape(demo), demo.process.pid
    fds = len(os.listdir(f"/proc/{pid}/fd"))
    assert abs(value(families, "process_open_fds") - fds) <= 8
    page = os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/{pid}/statm") as f:
        resident = int(f.read().split()[1]) * page
    said = value(families, "process_resident_memory_bytes")
    assert abs(said - resident) < 64 << 20
    assert 0 < value(families, "process_cpu_seconds_total") < 3600
    with open(f"/proc/{pid}/stat") as f:
        ticks = int(f.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime") as f:
        boot = time.time() - float(f.read().split()[0])
    started = boot + ticks / os.sysconf("SC_CLK_TCK")
    assert abs(value(families, "process_start_time_seconds") - started) < 5


def test_no_key_is_asked_for(start):
    d = start("--api-key", "secret")
    assert httpx.get(d.url + "/v1/models").status_code == 401
    assert "secret" not in str(scrape(d))
    r = httpx.post(d.url + "/metrics")
    assert r.status_code == 405
    assert d.stop() == 0


def test_an_odd_name_is_escaped(start):
    d = start("--alias", 'a"b\\c')
    families = scrape(d)
    assert value(families, "vllm:num_requests_running",
                 model_name='a"b\\c') == 0
    assert d.stop() == 0


async def read_cut(client, url, body):
    """Status and lines of a stream that may break off."""
    lines = []
    async with client.stream("POST", url, json={**body, "stream": True}) as r:
        try:
            async for line in r.aiter_lines():
                lines.append(line)
        except httpx.RemoteProtocolError:
            pass
    return r.status_code, lines


async def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_a_client_that_leaves_is_an_abort(demo):
    before = scrape(demo)

    async def go():
        async with httpx.AsyncClient(timeout=60) as client:
            task = asyncio.create_task(client.post(
                demo.url + "/v1/completions",
                json={**STORY, "prompt": ["a story"] * 4, "max_tokens": 1900,
                      "n": 8}))
            await until(lambda: value(scrape(demo),
                                      "vllm:num_requests_running") == 32)
            assert value(scrape(demo), "vllm:kv_cache_usage_perc") > 0
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await until(lambda: since(before, scrape(demo),
                                  "vllm:request_success_total",
                                  finished_reason="abort") == 32)
    asyncio.run(go())
    demo.wait_idle()


def test_what_waits_too_long_is_503_and_counted(start):
    d = start("--parallel", "1", "--max-queue-time", "300ms")
    url = d.url + "/v1/completions"
    long = {**STORY, "max_tokens": 1900, "n": 8}

    async def go():
        async with httpx.AsyncClient(timeout=60) as client:
            task = asyncio.create_task(client.post(url, json=long))
            await until(lambda: value(scrape(d),
                                      "vllm:num_requests_running") == 1)
            begun = time.monotonic()
            short = {**STORY, "max_tokens": 1}
            late, (status, lines) = await asyncio.gather(
                client.post(url, json=short), read_cut(client, url, short))
            assert 0.3 <= time.monotonic() - begun < 5
            assert late.status_code == 503, late.text
            assert int(late.headers["retry-after"]) >= 1
            error = late.json()["error"]
            assert error["code"] == "unavailable"
            assert "300 ms" in error["message"]
            # Its headers went out when it was queued, so an event must do.
            assert status == 200
            assert '"code":"unavailable"' in "".join(lines)
            assert "data: [DONE]" not in lines
            assert value(scrape(d), "vllm:num_requests_running") == 1
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    asyncio.run(go())
    d.wait_idle()
    families = scrape(d)
    assert value(families, "lfmd_requests_expired_total") == 2
    assert value(families, "vllm:request_success_total",
                 finished_reason="error") == 2
    assert d.post("/v1/completions", {**STORY, "max_tokens": 1}).status_code \
        == 200
    assert d.stop() == 0


def test_retry_after_is_the_time_until_the_line_is_served(start):
    """About a second each, one at a time, three in line: about 3 s."""
    d = start("--parallel", "1", "--max-queue", "4")
    r = d.post("/v1/completions", {**STORY, "max_tokens": 200})
    begun = time.monotonic()
    r = d.post("/v1/completions", {**STORY, "max_tokens": 200})
    rate = 200 / (time.monotonic() - begun)
    n = max(1, min(1900, int(rate)))
    body = {**STORY, "max_tokens": n}
    begun = time.monotonic()
    d.post("/v1/completions", body)
    alone = time.monotonic() - begun

    async def go():
        async with httpx.AsyncClient(timeout=120) as client:
            url = d.url + "/v1/completions"
            for _ in range(3):
                await client.post(url, json=body)
            line = [asyncio.create_task(client.post(url, json=body))
                    for _ in range(4)]
            await until(lambda: value(scrape(d),
                                      "vllm:num_requests_waiting") == 3)
            refused = await client.post(url, json=body)
            begun = time.monotonic()
            assert refused.status_code == 429
            said = int(refused.headers["retry-after"])
            await asyncio.gather(*line)
            return said, time.monotonic() - begun
    said, served = asyncio.run(asyncio.wait_for(go(), 120))
    # The pace is that of the last few; other work on the machine changes it.
    assert 1 <= said <= 10 * max(served, alone) + 10
    assert said >= served / 30
    assert value(scrape(d), "lfmd_requests_refused_total") == 1
    assert d.stop() == 0


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here")
def test_promtool_has_nothing_to_say_but_of_colons(demo):
    text = httpx.get(demo.url + "/metrics").text
    r = subprocess.run(["promtool", "check", "metrics"],
                       input=text, capture_output=True, text=True, timeout=30)
    said = [line for line in r.stderr.splitlines()
            if "should not contain ':'" not in line
            and HISTOGRAM_TOTAL not in line]
    assert said == [] and r.returncode in (0, 3), r.stderr
