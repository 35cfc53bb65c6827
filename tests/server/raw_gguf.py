"""GGUF files written byte by byte, so that they may also be wrong, and small
models of any shape in them.

    m = Model(hidden=48, head_dim=6)      # numbers that a config would have
    m.types["ffn_down.weight"] = "Q4_0"   # by the end of a tensor's name
    m.build()                             # m.keys, m.tensors: change at will
    m.write(path)
"""
import json
import pathlib
import struct

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

HUB = pathlib.Path(__file__).resolve().parents[1] / "oracle/checkpoints/hub-bf16"
U32, I32, F32, BOOL, STR, ARR, U64 = 4, 5, 6, 7, 8, 9, 10
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", U32: "I", I32: "i", F32: "f",
           BOOL: "?", U64: "Q", 11: "q", 12: "d"}


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def plain(kind, v):
    return text(v) if kind == STR else struct.pack("<" + FORMATS[kind], v)


def value(kind, v):
    """`v` of an array: (kind of the elements, list)."""
    if kind != ARR:
        return struct.pack("<I", kind) + plain(kind, v)
    of, items = v
    return struct.pack("<IIQ", ARR, of, len(items)) + b"".join(
        plain(of, x) for x in items)


class Tensor:
    """Dimensions fastest first; `at` overrides where the data is."""

    def __init__(self, name, dims, kind, data, at=None):
        self.name, self.dims, self.kind = name, dims, kind
        self.data, self.at = data, at


def dump(path, keys, tensors, version=3, align=32, counts=None, more=b""):
    """keys: name -> (kind, value), or bytes as they are."""
    out = b"GGUF" + struct.pack("<IQQ", version,
                                *(counts or (len(tensors), len(keys))))
    for name, v in keys.items():
        out += text(name) + (v if isinstance(v, bytes) else value(*v))
    at, infos, data = 0, b"", b""
    for t in tensors:
        data += b"\0" * (-len(data) % align)
        at = len(data)
        infos += text(t.name) + struct.pack(
            f"<I{len(t.dims)}QIQ", len(t.dims), *t.dims, t.kind,
            at if t.at is None else t.at)
        data += t.data
    out += infos
    out += b"\0" * (-len(out) % align)
    pathlib.Path(path).write_bytes(out + data + more)
    return str(path)


def encode(rng, kind, values):
    """Bytes of a tensor; K formats get random bits under small scales."""
    q = Q[kind]
    block = {"Q4_K": 144, "Q5_K": 176, "Q6_K": 210}.get(kind)
    if block is None:
        return gguf.quants.quantize(values.astype(np.float32), q).tobytes()
    raw = rng.integers(0, 256, (values.size // 256, block), dtype=np.uint8)
    for at in ((208,) if kind == "Q6_K" else (0, 2)):
        raw[:, at:at + 2] = np.full((len(raw), 1), 1e-4, np.float16).view(
            np.uint8)
    return raw.tobytes()


class Model:
    """Random weights; `kinds` has an "a" or a "c" for each layer."""

    def __init__(self, **numbers):
        n = {"kinds": "cac", "hidden": 64, "heads": 4, "kv": 2, "dim": 16,
             "ffn": 96, "moe": 32, "dense": 1, "experts": 4, "used": 2,
             "width": 3, "vocab": 320, "context": 256, "seed": 1}
        assert set(numbers) <= set(n)
        n.update(numbers)
        self.n, self.types, self.align = n, {}, 32
        self.keys, self.tensors = {}, []
        self.default = "F32"

    def kind_of(self, name, cols):
        for end, kind in self.types.items():
            if name.endswith(end):
                return kind
        block = gguf.GGML_QUANT_SIZES[Q[self.default]][0]
        return self.default if cols % block == 0 else "F32"

    def add(self, name, *shape, vector=False):
        values = self.rng.normal(0, shape[-1] ** -0.5, shape)
        if vector:
            values = 1 + 0.1 * values
        kind = "F32" if vector else self.kind_of(name, shape[-1])
        self.tensors.append(Tensor(name, list(reversed(shape)), Q[kind].value,
                                   encode(self.rng, kind, values)))

    def layer(self, i, kind):
        n, b = self.n, f"blk.{i}."
        h, f, m, e = n["hidden"], n["ffn"], n["moe"], n["experts"]
        self.add(b + "attn_norm.weight", h, vector=True)
        self.add(b + "ffn_norm.weight", h, vector=True)
        if kind == "a":
            q, kv = n["heads"] * n["dim"], n["kv"] * n["dim"]
            self.add(b + "attn_q.weight", q, h)
            self.add(b + "attn_k.weight", kv, h)
            self.add(b + "attn_v.weight", kv, h)
            self.add(b + "attn_output.weight", h, q)
            self.add(b + "attn_q_norm.weight", n["dim"], vector=True)
            self.add(b + "attn_k_norm.weight", n["dim"], vector=True)
        else:
            self.add(b + "shortconv.in_proj.weight", 3 * h, h)
            self.add(b + "shortconv.out_proj.weight", h, h)
            self.add(b + "shortconv.conv.weight", h, n["width"], vector=True)
        if i < n["dense"]:
            self.add(b + "ffn_gate.weight", f, h)
            self.add(b + "ffn_up.weight", f, h)
            self.add(b + "ffn_down.weight", h, f)
            return
        self.add(b + "ffn_gate_inp.weight", e, h)
        self.add(b + "exp_probs_b.bias", e, vector=True)
        self.add(b + "ffn_gate_exps.weight", e, m, h)
        self.add(b + "ffn_up_exps.weight", e, m, h)
        self.add(b + "ffn_down_exps.weight", e, h, m)

    def numbers(self):
        n, p = self.n, "lfm2moe."
        self.keys = {
            "general.architecture": (STR, "lfm2moe"),
            p + "block_count": (U32, len(n["kinds"])),
            p + "context_length": (U32, n["context"]),
            p + "embedding_length": (U32, n["hidden"]),
            p + "feed_forward_length": (U32, n["ffn"]),
            p + "attention.head_count": (U32, n["heads"]),
            p + "attention.head_count_kv": (
                ARR, (I32, [n["kv"] if k == "a" else 0 for k in n["kinds"]])),
            p + "attention.key_length": (U32, n["dim"]),
            p + "attention.layer_norm_rms_epsilon": (F32, 1e-5),
            p + "rope.freq_base": (F32, 10000.0),
            p + "expert_count": (U32, n["experts"]),
            p + "expert_used_count": (U32, n["used"]),
            p + "expert_feed_forward_length": (U32, n["moe"]),
            p + "leading_dense_block_count": (U32, n["dense"]),
            p + "expert_gating_func": (U32, 2),
            p + "vocab_size": (U32, n["vocab"]),
            p + "shortconv.l_cache": (U32, n["width"]),
        }

    def tokenizer(self):
        d, p = json.loads((HUB / "tokenizer.json").read_text()), "tokenizer.ggml."
        n = self.n["vocab"]
        tokens, types = [f"[PAD{i}]" for i in range(n)], [5] * n
        for word, i in d["model"]["vocab"].items():
            tokens[i], types[i] = word, 1
        for t in d["added_tokens"]:
            tokens[t["id"]], types[t["id"]] = t["content"], 3
        self.keys.update({
            p + "model": (STR, "gpt2"), p + "pre": (STR, "lfm2"),
            p + "tokens": (ARR, (STR, tokens)),
            p + "token_type": (ARR, (I32, types)),
            p + "merges": (ARR, (STR, [
                m if isinstance(m, str) else " ".join(m)
                for m in d["model"]["merges"]])),
            p + "bos_token_id": (U32, 1), p + "eos_token_id": (U32, 7),
            "tokenizer.chat_template": (
                STR, "{{ bos_token }}{% for m in messages %}{{ m.content }}"
                "{% endfor %}{{ eos_token }}")})

    def build(self):
        self.rng = np.random.default_rng(self.n["seed"])
        self.add("token_embd.weight", self.n["vocab"], self.n["hidden"])
        self.add("token_embd_norm.weight", self.n["hidden"], vector=True)
        for i, kind in enumerate(self.n["kinds"]):
            self.layer(i, kind)
        self.numbers()
        self.tokenizer()
        return self

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name)

    def write(self, path, **more):
        if self.align != 32:
            self.keys["general.alignment"] = (U32, self.align)
        return dump(path, self.keys, self.tensors, align=self.align, **more)
