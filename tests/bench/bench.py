"""make bench: lfmd and llama.cpp side by side on one machine, and a table of it.

Builds what is missing (peer.sh), writes random files of the true shape (make_gguf.py), then for each file starts the
two servers in turn, several rounds, never both at once (serve.py), and last lets the kernels run alone. All that was
measured goes to a JSON file in the cache; report.py makes the table of it.

    python bench.py            # the full form: LFM2-8B-A1B's shape, about an hour, 36 GB of disk
    python bench.py --quick    # a small model, under three minutes, for every day; RESULTS.md stays as it was
    python bench.py --quants q4_0 --rounds 1
    python bench.py --clean    # removes the cache: models, peer, results

The cache is LFMD_BENCH_CACHE, by default ~/.cache/lfmd-bench. LFMD_BENCH_PEER names a folder with a finished
llama-server, LFMD_BENCH_PYTHON an interpreter that has the packages of requirements.txt.
"""
import argparse
import datetime
import glob
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

import report
import serve

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "release")

FORMS = {  # {streams: tokens of each}: long enough that all run together for some seconds
    "full": {"shape": "8b", "quants": ["q4_0", "q4_k_m", "q8_0", "bf16"], "rounds": 3,
             "plan": {1: 64, 8: 48, 16: 32, 32: 24}},
    "quick": {"shape": "small", "quants": ["q4_0", "q4_k_m"], "rounds": 2,
              "plan": {1: 96, 8: 48, 16: 32, 32: 24}},
}


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("LFMD_BENCH_CACHE") or os.path.join(base, "lfmd-bench")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def ask(*argv, limit_s=60):
    """What a program prints, or "" if it cannot."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit_s, cwd=ROOT,
                              check=False)
        return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"MemAvailable:\s*(\d+)", f.read()).group(1)) * 1024


def cpu():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        text = f.read()
    name = re.search(r"(?:model name|Model)\s*:\s*(.*)", text)
    flags = re.search(r"(?:flags|Features)\s*:\s*(.*)", text)
    known = set(flags.group(1).split()) if flags else set()
    wanted = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
              "amx_tile", "asimd", "asimddp", "i8mm", "bf16", "sve")
    return name.group(1) if name else platform.machine(), [f for f in wanted if f in known]


def machine(threads):
    name, flags = cpu()
    limits = ask(os.path.join(BUILD, "tests/bench/limits"), str(threads), limit_s=120)
    rates = [float(x) for x in re.findall(r"read\s+([\d.]+) GB/s", limits)]
    with open("/proc/meminfo", encoding="ascii") as f:
        total = int(re.search(r"MemTotal:\s*(\d+)", f.read()).group(1)) * 1024
    return {"cpu": name, "flags": flags, "cores": len(os.sched_getaffinity(0)), "memory_bytes": total,
            "system": platform.platform(), "read_gb_s": max(rates, default=None), "limits": limits,
            "load": os.getloadavg()[0]}


def python(cache):
    """An interpreter with gguf and numpy."""
    given = os.environ.get("LFMD_BENCH_PYTHON")
    if given:
        return given
    venv = os.path.join(cache, "venv")
    ready = os.path.join(venv, "ready")
    wanted = os.path.join(HERE, "requirements.txt")
    if not os.path.exists(ready):
        say("installing the Python packages of requirements.txt")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([os.path.join(venv, "bin/pip"), "install", "-q", "--disable-pip-version-check", "-r", wanted],
                       check=True)
        open(ready, "w", encoding="ascii").close()
    return os.path.join(venv, "bin/python")


def peer(cache):
    done = subprocess.run([os.path.join(HERE, "peer.sh"), cache], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise serve.Trouble("the peer could not be built; the lines above say why")
    return done.stdout.decode().strip().splitlines()[-1]


def model_file(cache, interpreter, shape, quant):
    """(path, its bytes, bytes that one token reads); written if it is missing."""
    path = os.path.join(cache, "models", f"{shape}-{quant}.gguf")
    script = [interpreter, os.path.join(HERE, "make_gguf.py"), path, "--shape", shape, "--quant", quant]
    sizes = ask(*script, "--size").split()
    if len(sizes) != 2:
        raise serve.Trouble(f"{interpreter} cannot run make_gguf.py (needs the packages gguf and numpy)")
    need, a_token = int(sizes[0]), int(sizes[1])
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        free = shutil.disk_usage(os.path.dirname(path)).free
        say(f"writing {path}: {need / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are free")
        if free < need + (1 << 30):
            raise serve.Trouble(f"the disk of {cache} has {free / 1e9:.1f} GB free, expected {need / 1e9 + 1:.1f}")
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
    return path, os.path.getsize(path), a_token


def memory_needed(quant, size):
    """The peer keeps a repacked copy beside the mapped file for 4-bit types."""
    return size * (2.2 if quant.startswith("q4") else 1.1) + (1 << 30)


def measure_file(result, programs, form, threads, cache, quant, path, save):
    """All rounds of one file, the servers in turn, who is first changing."""
    rounds = result["files"][quant]["rounds"]
    for number in range(form["rounds"]):
        order = list(programs) if number % 2 == 0 else list(programs)[::-1]
        for kind in order:
            say(f"{quant}, round {number + 1} of {form['rounds']}: {kind}")
            log = os.path.join(cache, f"{kind}.log")
            try:
                got = serve.measure(kind, programs[kind], path, form["shape"], threads, form["plan"], log)
            except (serve.Trouble, OSError) as trouble:
                say(f"{kind} on {quant}: {trouble}")
                result["files"][quant]["troubles"].append(f"{kind}: {trouble}")
                continue
            rounds[kind].append(got)
            result["kernels_chosen"] = kernels_chosen(log) if kind == "lfmd" else result.get("kernels_chosen")
            say("   " + "  ".join(f"{k} {v:.2f}" for k, v in got.items() if isinstance(v, float)))
            save()


def kernels_chosen(log):
    """lfmd's own words on the engine it chose."""
    with open(log, encoding="utf-8", errors="replace") as f:
        return [line.strip() for line in f if "kernels" in line][:4]


def kernels_alone():
    """{program: what it prints with --bench}."""
    out = {}
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/kernels/check_*.c"))):
        name = os.path.basename(source)[:-2]
        text = ask(os.path.join(BUILD, "tests/kernels", name), "--bench", limit_s=120)
        lines = [x for x in text.splitlines() if not re.match(r"\[|\s*$", x)]
        out[name] = "\n".join(lines) or "no figures"
    return out


def measure(args, form_name, cache):
    form = dict(FORMS[form_name])
    form["quants"] = args.quants.split(",") if args.quants else form["quants"]
    form["rounds"] = args.rounds or form["rounds"]
    threads = args.threads or len(os.sched_getaffinity(0))
    programs = {"lfmd": os.path.join(BUILD, "lfmd"), "peer": os.path.join(peer(cache), "llama-server")}
    interpreter = python(cache)
    result = {
        "form": form_name, "shape": form["shape"], "threads": threads, "plan": form["plan"],
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": "make bench" + (" QUICK=1" if form_name == "quick" else ""),
        "commit": ask("git", "describe", "--always", "--dirty"), "machine": machine(threads),
        "peer_version": " ".join(ask(programs["peer"], "--version").split()), "files": {},
        "kv_bytes": serve.KV_BYTES_A_TOKEN[form["shape"]] * serve.CTX_TOKENS * max(form["plan"]),
    }
    out = os.path.join(cache, f"results-{form_name}.json")

    def save():
        with open(out + ".partial", "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
        os.replace(out + ".partial", out)

    for quant in form["quants"]:
        path, size, a_token = model_file(cache, interpreter, form["shape"], quant)
        entry = {"bytes": size, "bytes_a_token": a_token, "rounds": {"lfmd": [], "peer": []}, "troubles": []}
        result["files"][quant] = entry
        need = memory_needed(quant, size)
        if available_bytes() < need:
            entry["troubles"].append(f"skipped: {available_bytes() / 1e9:.1f} GB of memory are available, the two "
                                     f"servers in turn need {need / 1e9:.1f}")
            say(f"{quant} {entry['troubles'][0]}")
            continue
        measure_file(result, programs, form, threads, cache, quant, path, save)
    if form_name == "full":
        say("the kernels alone")
        result["kernels"] = kernels_alone()
    save()
    return out


def main():
    parser = argparse.ArgumentParser(description="lfmd and llama.cpp side by side.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--quants", help="comma list of q4_0, q4_k_m, q8_0, bf16")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, help="of both servers; default: the CPUs we may use")
    parser.add_argument("--report", action="store_true", help="only write RESULTS.md from the last full run")
    parser.add_argument("--clean", action="store_true", help="remove the cache")
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by SIGTERM"))
    cache = cache_dir()
    if args.clean:
        shutil.rmtree(cache, ignore_errors=True)
        say(f"removed {cache}")
        return
    os.makedirs(cache, exist_ok=True)
    form = "quick" if args.quick else "full"
    try:
        if not args.report:
            measure(args, form, cache)
        text = report.write(cache, form, os.path.join(HERE, "RESULTS.md"))
    except (serve.Trouble, subprocess.CalledProcessError) as trouble:
        sys.exit(f"bench: {trouble}")
    print(text)


if __name__ == "__main__":
    main()
