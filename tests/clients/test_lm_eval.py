"""lm-eval against the bundled model: tasks of this tree, tokens made by the
server's own endpoints, every likelihood the one that the server tells us."""
import json
import math
import os
import pathlib
import subprocess

import httpx
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
LM_EVAL = ROOT / "build/venv-evals/bin/lm_eval"
TASKS = HERE / "evals/tasks"


@pytest.fixture
def run(tmp_path):
    for task in TASKS.glob("*.yaml"):
        data = "choice" if task.stem == "choice" else "say"
        (tmp_path / task.name).write_text(
            task.read_text() + "dataset_kwargs:\n  data_files:\n"
            f"    test: {TASKS}/{data}.jsonl\n")

    def go(model, url, *tasks, **kw):
        """Runs the tasks; {task: results}, {task: [sample]}."""
        args = ",".join(f"{k}={v}" for k, v in {
            "base_url": url, "model": "demo", "max_retries": 1, **kw}.items())
        out = tmp_path / "out"
        p = subprocess.run(
            [LM_EVAL, "run", "--model", model, "--model_args", args,
             "--include_path", tmp_path, "--tasks", *tasks, "--log_samples",
             "--output_path", out,
             *(["--apply_chat_template"] if "chat" in model else
               ["--batch_size", "2"])],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                 "HF_HOME": str(tmp_path / "hf"), "OPENAI_API_KEY": "none"},
            capture_output=True, text=True, timeout=55)
        assert p.returncode == 0, p.stderr[-3000:]
        results = json.loads(next(out.rglob("results_*.json")).read_text())
        samples = {t: [json.loads(line) for line in next(
            out.rglob(f"samples_{t}_*.jsonl")).read_text().splitlines()]
            for t in tasks}
        return results["results"], samples, p.stderr
    return go


def ids_of(demo, text):
    return demo.post("/tokenize", {"prompt": text, "add_special_tokens": False}
                     ).json()["tokens"]


def likelihood(demo, prefix, ids):
    """Of `ids` after `prefix`, one completion a token: what each step says of
    the token that comes next, not what an echo says of all at once."""
    total, greedy = 0, True
    for i, token in enumerate(ids):
        r = demo.post("/v1/completions", {
            "prompt": prefix + ids[:i], "max_tokens": 1, "temperature": 0,
            "logprobs": 1, "allowed_token_ids": [token],
            "return_token_ids": True}).json()["choices"][0]
        free = demo.post("/v1/completions", {
            "prompt": prefix + ids[:i], "max_tokens": 1, "temperature": 0,
            "return_token_ids": True}).json()["choices"][0]
        assert r["token_ids"] == [token]
        total += r["logprobs"]["token_logprobs"][0]
        greedy = greedy and free["token_ids"] == [token]
    return total, greedy


def test_likelihoods_are_the_server_s_own(demo, run):
    results, samples, log = run("local-completions",
                                demo.url + "/v1/completions",
                                "lfmd_choice", "lfmd_read", num_concurrent=4,
                                max_length=2048)
    assert "remote tokenizer" in log
    assert results["lfmd_choice"]["acc,none"] == 1
    for doc in samples["lfmd_choice"]:
        asked = doc["arguments"].values()
        for said, (logprob, greedy) in zip(asked, (r[0] for r in doc["resps"])):
            prefix = ids_of(demo, said["arg_0"])
            whole = ids_of(demo, said["arg_0"] + said["arg_1"])
            assert whole[:len(prefix)] == prefix
            want, is_greedy = likelihood(demo, prefix, whole[len(prefix):])
            assert float(logprob) == pytest.approx(want, abs=1e-3)
            assert greedy == str(is_greedy)

    n_bytes, total = 0, 0
    for doc in samples["lfmd_read"]:
        total += float(doc["resps"][0][0])
        n_bytes += len(f"{doc['doc']['question']} {doc['doc']['answer']}")
    assert results["lfmd_read"]["byte_perplexity,none"] == pytest.approx(
        math.exp(-total / n_bytes))


@pytest.mark.parametrize("model,path", [
    ("local-completions", "/v1/completions"),
    ("local-chat-completions", "/v1/chat/completions")])
def test_answers_are_generated_until_their_end(demo, run, model, path):
    _, samples, _ = run(model, demo.url + path, "lfmd_say")
    for doc in samples["lfmd_say"]:
        said = doc["resps"][0][0]
        question = doc["doc"]["question"]
        body = {"temperature": 0, "max_tokens": 40, "stop": ["?", "\n"]}
        r = httpx.post(demo.url + path, json={
            **body, **({"messages": [{"role": "user", "content": question}]}
                       if "chat" in path else
                       {"prompt": ids_of(demo, question)})})
        c = r.json()["choices"][0]
        assert said == c.get("text", c.get("message", {}).get("content"))
        if "chat" in path:
            assert said == doc["doc"]["answer"]
