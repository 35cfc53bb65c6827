"""Write a random checkpoint of the size of a real model, to measure speed with.

The layout is that of the files on the hub: bf16, one tensor an expert, shards of some GB with an index. Values
are normal with a deviation of 1/sqrt(inputs), so activations keep their size and tokens spread over the experts;
large matrices are cut from one pool of random numbers at random places, because drawing 8 billion of them takes
longer than anything measured here. The tokenizer is that of the bundled demo model.

    python make_checkpoint.py DIR                # LFM2-8B-A1B: 16.7 GB
    python make_checkpoint.py DIR --model 24b    # LFM2-24B-A2B: 47.7 GB
    python make_checkpoint.py DIR --layers 4     # only the first layers
"""
import argparse
import json
import os
import shutil

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POOL = 1 << 24
SHARD_BYTES = 4 << 30

SHAPES = {  # layers, attention layers, dense width, experts, expert width
    "8b": (24, (2, 6, 10, 14, 18, 21), 7168, 32, 1792),
    "24b": (40, tuple(range(2, 40, 4)), 11776, 64, 1536),
}
HIDDEN, HEADS, KV_HEADS, HEAD_DIM, VOCAB, N_DENSE, TAPS = 2048, 32, 8, 64, 65536, 2, 3


def config(shape, n_layers):
    _, attention, dense, experts, width = shape
    return {
        "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "dtype": "bfloat16", "vocab_size": VOCAB,
        "hidden_size": HIDDEN, "intermediate_size": dense, "moe_intermediate_size": width,
        "num_hidden_layers": n_layers, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "layer_types": ["full_attention" if i in attention else "conv" for i in range(n_layers)],
        "num_dense_layers": N_DENSE, "num_experts": experts, "num_experts_per_tok": 4, "conv_L_cache": TAPS,
        "conv_bias": False, "norm_eps": 1e-5, "norm_topk_prob": True, "use_expert_bias": True,
        "routed_scaling_factor": 1.0, "rope_theta": 1000000.0, "max_position_embeddings": 128000,
        "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0,
    }


def tensors(c):
    """(name, shape) of every tensor; one dimension is a norm, and expert_bias is F32."""
    h, w = c["hidden_size"], c["moe_intermediate_size"]
    yield "model.embed_tokens.weight", (VOCAB, h)
    for i, kind in enumerate(c["layer_types"]):
        at = f"model.layers.{i}."
        yield at + "operator_norm.weight", (h,)
        if kind == "conv":
            yield at + "conv.in_proj.weight", (3 * h, h)
            yield at + "conv.conv.weight", (h, 1, TAPS)
            yield at + "conv.out_proj.weight", (h, h)
        else:
            for name, rows in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
                yield at + f"self_attn.{name}_proj.weight", (rows * HEAD_DIM, h)
            yield at + "self_attn.out_proj.weight", (h, HEADS * HEAD_DIM)
            yield at + "self_attn.q_layernorm.weight", (HEAD_DIM,)
            yield at + "self_attn.k_layernorm.weight", (HEAD_DIM,)
        yield at + "ffn_norm.weight", (h,)
        if i < N_DENSE:
            d = c["intermediate_size"]
            for name, dims in (("w1", (d, h)), ("w3", (d, h)), ("w2", (h, d))):
                yield at + f"feed_forward.{name}.weight", dims
            continue
        yield at + "feed_forward.gate.weight", (c["num_experts"], h)
        yield at + "feed_forward.expert_bias", (c["num_experts"],)
        for e in range(c["num_experts"]):
            for name, dims in (("w1", (w, h)), ("w3", (w, h)), ("w2", (h, w))):
                yield at + f"feed_forward.experts.{e}.{name}.weight", dims
    yield "model.embedding_norm.weight", (h,)


def width_of(name):
    return 4 if name.endswith("expert_bias") else 2


def shards(c):
    shard, used = [], 0
    for name, shape in tensors(c):
        size = int(np.prod(shape)) * width_of(name)
        if shard and used + size > SHARD_BYTES:
            yield shard
            shard, used = [], 0
        shard.append((name, shape, size))
        used += size
    yield shard


def to_bf16(x):
    return (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


class Values:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.normal = self.rng.standard_normal(POOL, dtype=np.float32)
        self.pools = {}

    def bytes_of(self, name, shape):
        n = int(np.prod(shape))
        if name.endswith("expert_bias"):
            yield (0.1 * self.rng.standard_normal(n)).astype(np.float32).tobytes()
            return
        if len(shape) == 1:
            yield to_bf16(1 + 0.1 * self.rng.standard_normal(n)).tobytes()
            return
        inputs = shape[-1]
        if inputs not in self.pools:
            self.pools[inputs] = to_bf16(self.normal / np.sqrt(inputs))
        while n > 0:
            start = int(self.rng.integers(0, POOL // 2))
            piece = self.pools[inputs][start:start + min(n, POOL // 2)]
            yield piece.tobytes()
            n -= len(piece)


def write_shard(path, shard, values):
    header, at = {}, 0
    for name, shape, size in shard:
        header[name] = {"dtype": "F32" if width_of(name) == 4 else "BF16", "shape": list(shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, shape, _ in shard:
            for piece in values.bytes_of(name, shape):
                f.write(piece)


def main():
    parser = argparse.ArgumentParser(description="Write a random checkpoint of real size.")
    parser.add_argument("dir")
    parser.add_argument("--model", choices=SHAPES, default="8b")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    shape = SHAPES[args.model]
    c = config(shape, args.layers or shape[0])
    os.makedirs(args.dir, exist_ok=True)
    with open(os.path.join(args.dir, "config.json"), "w") as f:
        json.dump(c, f, indent=1)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(os.path.join(ROOT, "model", "demo", name), args.dir)

    parts, values, weight_map = list(shards(c)), Values(args.seed), {}
    for i, shard in enumerate(parts):
        file = f"model-{i + 1:05d}-of-{len(parts):05d}.safetensors"
        print(file, flush=True)
        write_shard(os.path.join(args.dir, file), shard, values)
        weight_map |= {name: file for name, _, _ in shard}
    total = sum(size for shard in parts for _, _, size in shard)
    with open(os.path.join(args.dir, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, f)
    print(f"{total / 1e9:.2f} GB in {args.dir}")


if __name__ == "__main__":
    main()
