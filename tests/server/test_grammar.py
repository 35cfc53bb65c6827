"""Whatever is said under a schema is valid: 500 random schemas, random tokens.

The program random_texts draws tokens of the demo model's vocabulary evenly from
each mask; here jsonschema, with its format checker, judges what was finished.
"""
import json
import os
import pathlib
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
