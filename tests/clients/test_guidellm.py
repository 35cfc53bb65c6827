"""guidellm measures the bundled model: each of the endpoints it knows, no
request fails, and the tokens it asked for are the tokens it counts."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDELLM = ROOT / "build/venv-evals/bin/guidellm"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions",
                                  "/v1/responses"])
def test_a_short_run(demo, tmp_path, path):
    out = tmp_path / "report.json"
    p = subprocess.run(
        [GUIDELLM, "run", "--disable-console",
         "--backend", f"kind=openai_http,target={demo.url},"
                      f"request_format={path}",
         "--profile", "kind=concurrent,streams=2",
         "--constraint", "kind=max_requests,count=8",
         "--constraint", "kind=max_duration,seconds=30",
         "--tokenizer", f"kind=huggingface_auto,model={ROOT / 'model/demo'}",
         "--data", "kind=synthetic_text,prompt_tokens=32,output_tokens=8",
         "--output", f"kind=json,path={out}"],
        env={**os.environ, "HF_HUB_OFFLINE": "1",
             "HF_HOME": str(tmp_path / "hf")},
        capture_output=True, text=True, timeout=58)
    assert p.returncode == 0, p.stderr[-3000:]
    bench = json.loads(out.read_text())["benchmarks"][0]
    totals = bench["metrics"]["request_totals"]
    assert totals["successful"] >= 8 and totals["errored"] == 0
    for r in bench["requests"]["successful"]:
        assert r["output_metrics"]["text_tokens"] == 8
