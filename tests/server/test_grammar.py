"""Whatever is said under a schema is valid: 500 random schemas, random tokens.

The program random_texts draws tokens of the demo model's vocabulary evenly from
each mask; here jsonschema, with its format checker, judges what was finished.
"""
import json
import os
import pathlib
import random
import subprocess
import sys

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("LFMD_BUILD", ROOT / "build/release"))
sys.path.insert(0, str(ROOT / "tests/server/grammar"))
import schemas  # noqa: E402

JUDGE = jsonschema.Draft202012Validator


def speak(constraints, texts):
    program = BUILD / "tests/server/grammar/random_texts"
    done = subprocess.run(
        [program, ROOT / "model/demo", str(texts)], text=True,
        input="".join(json.dumps(c) + "\n" for c in constraints),
        capture_output=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert len(answers) == len(constraints)
    return answers


def test_every_finished_text_of_500_schemas_is_valid():
    made = list(schemas.make(500, seed=6))
    answers = speak([{"schema": s, "compact": i % 3 == 0}
                     for i, s in enumerate(made)], 3)
    finished = refused = 0
    for schema, answer in zip(made, answers):
        if "error" in answer:
            # Some ask for what nothing satisfies.
            assert "no finite text" in answer["error"] or \
                "not supported" in answer["error"], (schema, answer)
            refused += 1
            continue
        judge = JUDGE(schema, format_checker=JUDGE.FORMAT_CHECKER)
        for text in answer["texts"]:
            value = json.loads(text)
            errors = [e.message for e in judge.iter_errors(value)]
            assert not errors, (schema, text, errors[:3])
            finished += 1
    assert refused < 50
    assert finished > 1200, (finished, refused)


def tools_of(made, r):
    """Three tools of one request: one whose names Python has room for, one
    whose names are anything, one that is recursive or a schema as it comes."""
    plain = {"type": "object", "properties": {
        "city": made[0], "from": made[1], "max-n": made[2]},
        "required": [k for k in ("city", "from", "max-n") if r.random() < 0.5]}
    if r.random() < 0.3:
        plain["additionalProperties"] = made[3]
    odd = schemas.obj(r, 2)
    other = schemas.recursive(r) if r.random() < 0.5 else \
        r.choice([{"type": "object"}, {}, schemas.ways(r, 2)])
    names = r.choice([["f", "Calendar.add", "g-h"], ["a b", "f", "fg"]])
    return [{"type": "function", "function": {
        "name": name, "strict": r.random() < 0.3, "parameters": p}}
        for name, p in zip(names, (plain, odd, other))]


def hoist(schema, defs):
    """The schema without its $defs, which go into the document's."""
    defs.update(schema.get("$defs", {}) if isinstance(schema, dict) else {})
    return {k: v for k, v in schema.items() if k != "$defs"} \
        if isinstance(schema, dict) else schema


def test_every_call_is_read_back_and_valid():
    r = random.Random(7)
    made = [hoist(s, {}) for s in schemas.make(1500, seed=8)
            if "$defs" not in (s if isinstance(s, dict) else {})]
    asked = [tools_of(r.sample(made, 4), r) for _ in range(300)]
    answers = speak([{"tools": t, "single": i % 4 == 0}
                     for i, t in enumerate(asked)], 5)
    n_calls = refused = 0
    for i, (tools, answer) in enumerate(zip(asked, answers)):
        if "error" in answer:
            assert any(t["function"]["strict"] for t in tools), answer
            refused += 1
            continue
        judges = {t["function"]["name"]: t["function"] for t in tools}
        for text, calls in zip(answer["texts"], answer["calls"]):
            assert calls, text
            assert i % 4 or len(calls) == 1, text
            assert all(isinstance(c, dict) for c in calls), (text, calls)
            for call in calls:
                judge = JUDGE(judges[call["name"]]["parameters"],
                              format_checker=JUDGE.FORMAT_CHECKER)
                errors = [e.message for e in
                          judge.iter_errors(call["arguments"])]
                assert not errors, (judge.schema, text, call, errors[:3])
                n_calls += 1
    assert refused < 60, refused
    assert n_calls > 1500, n_calls
