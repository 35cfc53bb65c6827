#!/usr/bin/env python3
"""make lint: the layers, the charters and the sizes.

layers.txt says which folder may include which, and where each foreign header
lives.  Beyond that: every file of ours opens with a comment, no line is wider
than 80 columns, no file longer than 800 lines, no tab, no trailing blank, no
disabled code.  Prints one line per finding and exits 1 if there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOREIGN = {"uv.h", "microhttpd.h", "cblas.h", "jansson.h", "pcre2.h", "ini.h",
           "immintrin.h", "cpuid.h", "arm_neon.h", "xxhash.h"}
WIDTH, LENGTH = 80, 800


def read_layers():
    layers = {}
    for line in (ROOT / "tests/lint/layers.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            words = line.split()
            layers[words[0]] = set(words[1:])
    return layers


def may_use_foreign(allowed, header, name):
    return header in allowed or f"{header}@{name}" in allowed


def check_includes(path, text, layers):
    folder = path.parent.as_posix()
    allowed = layers.get(folder)
    if allowed is None:
        yield f"{path}: folder {folder} is not in layers.txt"
        return
    for n, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        header = m.group(2)
        if m.group(1) == "<":
            if header in FOREIGN and not may_use_foreign(
                    allowed, header, path.name):
                yield f"{path}:{n}: <{header}> has another room"
            continue
        if header.endswith(".def"):
            continue
        target = pathlib.PurePosixPath(header)
        if not (ROOT / target).exists():
            yield f"{path}:{n}: {header} is not written from the root"
        elif (target.parent.as_posix() not in allowed | {folder}
              and header not in allowed and "*" not in allowed):
            yield f"{path}:{n}: {folder} may not include {header}"


def check_text(path, text):
    lines = text.splitlines()
    if not text.startswith("/* "):
        yield f"{path}:1: opens without saying what it is"
    if len(lines) > LENGTH and "generated" not in text[:400]:
        yield f"{path}: {len(lines)} lines, more than {LENGTH}"
    for n, line in enumerate(lines, 1):
        if len(line) > WIDTH and "http" not in line:
            yield f"{path}:{n}: {len(line)} columns"
        if "\t" in line:
            yield f"{path}:{n}: tab"
        if line != line.rstrip():
            yield f"{path}:{n}: trailing blank"
        if re.match(r"\s*#\s*if\s+0", line):
            yield f"{path}:{n}: disabled code"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield f"{path}:{n}: note without an issue"


def main():
    layers = read_layers()
    findings = []
    n_files = 0
    for room in ("model", "server", "api", "config", "tests"):
        for full in sorted((ROOT / room).rglob("*.[ch]")):
            path = full.relative_to(ROOT)
            text = full.read_text(encoding="utf-8")
            n_files += 1
            findings += check_text(path, text)
            if room != "tests":
                findings += check_includes(path, text, layers)
    print("\n".join(findings), end="\n" if findings else "")
    print(f"lint: {n_files} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
