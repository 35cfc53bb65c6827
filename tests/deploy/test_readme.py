"""What the README's first screen says to type, typed."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def snippet(start):
    """The indented block that begins with `start`, on this server's port."""
    m = re.search(r"^    " + re.escape(start) + r".*(?:\n(?:    .*|))*?(?=\n\n\S)",
                  README, re.M)
    return re.sub(r"^    ", "", m.group(0), flags=re.M)


def test_the_curl_line_streams_an_answer(demo):
    command = snippet("curl").replace(":8080", f":{demo.port}")
    r = subprocess.run(["sh", "-c", command], capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == 0, r.stderr
    assert r.stdout.startswith("data: {") and "data: [DONE]" in r.stdout


def test_the_python_snippet_prints_an_answer(demo):
    code = snippet("from openai").replace(":8080", f":{demo.port}")
    r = subprocess.run([sys.executable, "-c", code], capture_output=True,
                       text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert len(r.stdout) > 10


def test_the_banners_curl_line_streams_an_answer(demo):
    log = demo.log()
    command = log[log.index("  curl"):].split("\n\n")[0]
    r = subprocess.run(["sh", "-c", command], capture_output=True, text=True,
                       timeout=60)
    assert "data: [DONE]" in r.stdout


def test_every_file_that_the_tour_names_is_there():
    for path in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
