#!/usr/bin/env python3
"""Writes golden.json: which tokens llguidance allows under a schema or regex.

Each row is a constraint and walks of random tokens through it, with how many
tokens of the demo model's vocabulary may follow after each and a hash of their
ids (FNV-1a over the ids as four bytes, low first; the end of the text is the
id after the last).  Where the two differ on purpose nothing is compared: white
space is off, properties are all that additionalProperties allow, numbers are
walked for a few tokens only, tokens with a backslash or DEL are left out, and so are places where
only one byte can follow (null).

    pip install llguidance        (1.9)
    python tests/oracle/grammar/make.py
"""
import json
import pathlib
import random

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

ROOT = pathlib.Path(__file__).resolve().parents[3]
COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}


def byte_alphabet():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, n = {chr(b): b for b in keep}, 0
    for b in range(256):
        if b not in keep:
            table[chr(256 + n)] = b
            n += 1
    return table


class Vocabulary:
    """What TokenizerWrapper asks of a tokenizer."""

    def __init__(self):
        model = json.loads((ROOT / "model/demo/tokenizer.json").read_text())
        table = byte_alphabet()
        added = {t["id"]: t for t in model["added_tokens"]}
        n = max([*model["model"]["vocab"].values(), *added]) + 1
        self.tokens = [b""] * n
        for text, i in model["model"]["vocab"].items():
            if i not in added:
                self.tokens[i] = bytes(table[c] for c in text)
        self.special_token_ids = []
        for i, t in added.items():
            self.tokens[i] = t["content"].encode()
            if t["special"]:
                self.special_token_ids.append(i)
        self.tokens.append(b"<|the end|>")
        self.eos_token_id = n
        self.special_token_ids.append(n)
        self.bos_token_id = None
        self.skipped = {i for i, t in enumerate(self.tokens)
                        if b"\\" in t or b"\x7f" in t} | set(self.special_token_ids[:-1])
        self.of_byte = {t[0]: i for i, t in enumerate(self.tokens) if len(t) == 1}

    def __call__(self, text):
        return [self.of_byte[b] for b in text]


S = {"type": "string"}
I = {"type": "integer"}
B = {"type": "boolean"}
N = {"type": "null"}


def obj(props, required=None, **more):
    return {"type": "object", "properties": props, "additionalProperties": False,
            "required": list(props) if required is None else required, **more}


def schemas():
    yield from (S, I, B, N, {"type": "number"}, {"enum": ["red", "green", "grey", 7, None]},
                {"const": "caf\u00e9 au lait"}, {"type": ["string", "null", "boolean"]},
                {"type": "array", "items": I}, {"type": "array", "items": S, "minItems": 1},
                {"type": "array", "items": B, "minItems": 2, "maxItems": 4},
                {"type": "array", "prefixItems": [I, S], "items": False, "minItems": 2},
                {"type": "array", "prefixItems": [S, B], "items": N, "minItems": 1},
                {"anyOf": [I, {"const": "x"}, {"type": "array", "items": N}]},
                {"type": "object"}, {"type": "object", "additionalProperties": I},
                {"type": "array"}, {})
    names = ["name", "names", "age", "a", "caf\u00e9", "\u4e2d\u6587", "is_ok", "x y", "id"]
    kinds = [S, I, B, N, {"type": "number"}, {"enum": ["on", "off", "one"]},
             {"type": "array", "items": B}, {"type": ["integer", "null"]},
             obj({"k": S}), {"anyOf": [S, N]}]
    r = random.Random(3)
    for _ in range(40):
        keys = r.sample(names, 1 + r.randrange(4))
        yield obj({k: r.choice(kinds) for k in keys},
                  [k for k in keys if r.random() < 0.5])
    tree = obj({"value": I, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, ["value"])
    yield {"$ref": "#/$defs/tree", "$defs": {"tree": tree}}
    yield {"anyOf": [obj({"kind": {"const": "text"}, "text": S}), obj({"kind": {"const": "image"}, "url": S})]}
    yield {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 120}]}
    for low, high in ((0, 9), (1, 120), (-5, 5), (10, 99), (7, 1234), (-300, -20)):
        yield {"type": "integer", "minimum": low, "maximum": high}
    for pattern in ("^[a-z]+$", "^[A-Z][a-z]{2,5}$", "^(foo|bar|foobar)x?$", "^[0-9]{3}-[0-9]{4}$", "^a.c$", "^[^a-m\"]*$"):
        yield {"type": "string", "pattern": pattern}
    for low, high in ((0, 3), (1, 8), (2, 40)):
        yield {"type": "string", "minLength": low, "maxLength": high}


REGEXES = ["[a-z]+@[a-z]+\\.com", "(yes|no|maybe)( please)?", "[0-9]{1,3}(\\.[0-9]{1,3}){3}", "[^\n]+", "[^a-y]{3}",
           "(the|a) (quick|slow)* ?[a-z]{4,9}", "\\$[1-9][0-9]*", "x?y*z+", "[\u4e00-\u9fff]{1,3}", "a{3,5}|b{2}"]


def allowed(matcher, v):
    bits = matcher.compute_bitmask()
    return [i for i in range(len(v.tokens))
            if bits[i // 8] >> (i % 8) & 1 and i not in v.skipped]


def fnv(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def walk(grammar, v, tokenizer, r, steps):
    matcher = LLMatcher(tokenizer, grammar)
    assert not matcher.get_error(), (grammar, matcher.get_error())
    tokens, seen = [], []
    for _ in range(steps):
        ids = allowed(matcher, v)
        # Where bytes are forced it offers only the tokens they are usually cut
        # into.
        forced = matcher.compute_ff_bytes()
        seen.append(None if forced else [len(ids), fnv(ids)])
        go = [i for i in ids if i != v.eos_token_id]
        if not go:
            break
        # Closing ones more often, so that walks get past their first string.
        closing = [i for i in go if b'"' in v.tokens[i]]
        tokens.append(r.choice(closing if closing and r.random() < 0.4 else go))
        matcher.consume_token(tokens[-1])
    return {"tokens": tokens, "allowed": seen}


def main():
    v = Vocabulary()
    tokenizer = LLTokenizer(TokenizerWrapper(v))
    r = random.Random(1)
    rows = []
    for s in schemas():
        g = LLMatcher.grammar_from_json_schema(json.dumps(s), overrides=COMPACT)
        rows.append({"schema": s, "walks": [walk(g, v, tokenizer, r, 3 if "number" in str(s) else 9) for _ in range(5)]})
    for pattern in REGEXES:
        g = LLMatcher.grammar_from_regex(pattern)
        rows.append({"regex": pattern, "walks": [walk(g, v, tokenizer, r, 9) for _ in range(5)]})
    text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (ROOT / "tests/oracle/grammar/golden.json").write_text(f"[\n{text}\n]\n")


main()
