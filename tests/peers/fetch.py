"""Fetches the peers' own tests out of their source packages.

    fetch.py DIR

leaves DIR/llama/tools/server/tests and DIR/vllm/tests/entrypoints/openai.
They are not ours to copy, so they are read from the packages of the versions
named below, which the package index that pip is set up for has; each archive is
checked by its SHA-256 and only the named folders are unpacked.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
from pathlib import Path

from pip._internal.models.index import PyPI

PEERS = {
    "llama": ("llama-cpp-python", "llama_cpp_python-0.3.36.tar.gz",
              "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
              "llama_cpp_python-0.3.36/vendor/llama.cpp/",
              ("tools/server/tests/", "models/templates/")),
    "vllm": ("vllm", "vllm-0.33.0.tar.gz",
             "f4c33c2503d52bb411146afa9618a4f48bed68912f617e6803ac8d76e4c74112",
             "vllm-0.33.0/", ("tests/entrypoints/openai/", "tests/entrypoints/conftest.py",
                       "tests/entrypoints/__init__.py", "tests/__init__.py")),
}


def index_url():
    url = os.environ.get("PIP_INDEX_URL")
    if not url:
        url = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True, text=True).stdout.strip()
    return (url or PyPI.simple_url).rstrip("/")


def file_url(package, filename):
    request = urllib.request.Request(
        f"{index_url()}/{package}/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json, text/html"})
    with urllib.request.urlopen(request, timeout=60) as r:
        body, base = r.read().decode(), r.url
        if "json" in r.headers.get_content_type():
            links = [f["url"] for f in json.loads(body)["files"]]
        else:
            links = re.findall(r'href="([^"#]+)', body)
    for link in links:
        if urllib.parse.urlsplit(link).path.endswith("/" + filename):
            return urllib.parse.urljoin(base, link)
    raise SystemExit(f"the package index has no {filename}")


def unpack(archive, prefix, folders, into):
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix(prefix)
            if not member.isfile() or not name.startswith(folders):
                continue
            path = into / name
            if not path.resolve().is_relative_to(into.resolve()):
                raise SystemExit(f"{archive} leads out of its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())


def fetch(name, root):
    package, filename, digest, prefix, folders = PEERS[name]
    done, archive = root / name / ".done", root / filename
    if done.exists() and done.read_text() == digest + str(folders):
        return
    print(f"fetching {filename}", flush=True)
    with urllib.request.urlopen(file_url(package, filename), timeout=60) as r, \
            open(archive, "wb") as out:
        shutil.copyfileobj(r, out)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(f"{filename} has SHA-256 {found}, not {digest}")
    shutil.rmtree(root / name, ignore_errors=True)
    unpack(archive, prefix, folders, root / name)
    archive.unlink()
    done.write_text(digest + str(folders))


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        fetch(peer, where)
