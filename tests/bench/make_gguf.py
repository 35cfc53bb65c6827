"""Write a GGUF file of the true shape of an LFM2-MoE model with random weights, to measure speed and memory with.

Speed does not depend on what the weights are, as long as tokens spread over the experts. Quantised blocks are random
bytes whose scales are set to give weights a deviation near 0.02, cut from one pool because drawing 8 billion numbers
takes longer than anything measured here. Left at that, all tokens come to look alike on their way up and 8 of them
visit 4 of 32 experts instead of 21, which makes batches look faster than they are. So weights have a mean of zero, the
embedding is 50 times larger, which keeps a token what it is, and the head is a matrix of its own, lest every token
predict itself: 8 tokens then visit 16 experts. The mix of types is that of the files on the hub. The tokenizer is
the bundled demo model's; ids beyond it are words, so that every generated token has text and both servers send it.

    python make_gguf.py FILE --shape 8b --quant q4_k_m      # 5.1 GB; small: 0.2 GB
    python make_gguf.py FILE --shape 8b --quant q8_0 --size # only say how many bytes it would have

Needs the packages gguf and numpy. FILE appears when it is whole.
"""
import argparse
import json
import math
import os

import numpy as np
from gguf import ExpertGatingFuncType, GGMLQuantizationType as T, GGUFWriter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POOL = 1 << 24
N_DENSE, TAPS, HEAD_DIM, KV_HEADS, VOCAB = 2, 3, 64, 8, 65536
EMBEDDING = 50  # how much larger than the other weights

SHAPES = {  # layers, attention layers, hidden, dense width, experts, expert width
    "8b": (24, (2, 6, 10, 14, 18, 21), 2048, 7168, 32, 1792),
    "24b": (40, tuple(range(2, 40, 4)), 2048, 11776, 64, 1536),
    "small": (10, (2, 5, 8), 1024, 2048, 16, 512),
}
MIXES = {  # most matrices, the embedding
    "q4_0": (T.Q4_0, T.Q6_K), "q4_k_m": (T.Q4_K, T.Q6_K), "q8_0": (T.Q8_0, T.Q8_0), "bf16": (T.BF16, T.BF16),
}


def half(x):
    return np.float16(x).tobytes()


BLOCKS = {  # values a block, bytes a block, {offset: bytes that are not random}
    T.Q4_0: (32, 18, {0: half(0.0043)}),
    T.Q8_0: (32, 34, {0: half(0.00027)}),
    T.Q4_K: (256, 144, {0: half(5.4e-4), 2: half(4.07e-3), 4: bytes([8] * 8 + [0x88] * 4)}),
    T.Q6_K: (256, 210, {192: bytes([4] * 16), 208: half(2.7e-4)}),
    T.BF16: (1, 2, {}),
    T.F32: (1, 4, {}),
}


def wide_layer(i, n):
    """Where Q4_K_M spends Q6_K: the layers llama.cpp's quantiser names use_more_bits."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def tensors(shape, quant):
    """(name, dimensions, type) of every tensor; a type of None is a norm, all ones."""
    n_layers, attention, hidden, dense, experts, width = SHAPES[shape]
    main, embedding = MIXES[quant]
    yield "token_embd.weight", (VOCAB, hidden), embedding
    yield "output.weight", (VOCAB, hidden), embedding
    yield "token_embd_norm.weight", (hidden,), None
    for i in range(n_layers):
        at = f"blk.{i}."
        down = T.Q6_K if quant == "q4_k_m" and wide_layer(i, n_layers) else main
        yield at + "attn_norm.weight", (hidden,), None
        if i in attention:
            for name in ("q", "k"):
                yield at + f"attn_{name}_norm.weight", (HEAD_DIM,), None
            yield at + "attn_q.weight", (hidden, hidden), main
            yield at + "attn_k.weight", (KV_HEADS * HEAD_DIM, hidden), main
            yield at + "attn_v.weight", (KV_HEADS * HEAD_DIM, hidden), down
            yield at + "attn_output.weight", (hidden, hidden), main
        else:
            yield at + "shortconv.in_proj.weight", (3 * hidden, hidden), main
            yield at + "shortconv.conv.weight", (hidden, TAPS), T.F32
            yield at + "shortconv.out_proj.weight", (hidden, hidden), main
        yield at + "ffn_norm.weight", (hidden,), None
        if i < N_DENSE:
            yield at + "ffn_gate.weight", (dense, hidden), main
            yield at + "ffn_up.weight", (dense, hidden), main
            yield at + "ffn_down.weight", (hidden, dense), down
        else:
            yield at + "ffn_gate_inp.weight", (experts, hidden), T.F32
            yield at + "exp_probs_b.bias", (experts,), T.F32
            yield at + "ffn_gate_exps.weight", (experts, width, hidden), main
            yield at + "ffn_up_exps.weight", (experts, width, hidden), main
            yield at + "ffn_down_exps.weight", (experts, hidden, width), down


def n_bytes(dims, kind):
    per, size, _ = BLOCKS[kind or T.F32]
    return math.prod(dims) // per * size


def n_bytes_a_token(shape, plan):
    """What one generated token reads at least: every matrix once, of the experts four, of the embedding a row."""
    experts = SHAPES[shape][4]
    return sum(n_bytes(dims, kind) // (experts // 4 if "_exps" in name else 1) for name, dims, kind in plan
               if name != "token_embd.weight")


class Values:
    """Bytes of a tensor, a piece at a time."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.normal = self.rng.standard_normal(POOL, dtype=np.float32) * np.float32(0.02)
        self.pools = {T.BF16: (self.normal.view(np.uint32) >> 16).astype(np.uint16).tobytes(),
                      T.F32: self.normal.tobytes()}

    def pool(self, kind):
        if kind not in self.pools:
            _, size, fixed = BLOCKS[kind]
            blocks = self.rng.integers(0, 256, (POOL // size, size), dtype=np.uint8)
            if kind == T.Q4_0:  # 0 stands for -8 and has no opposite
                blocks[(blocks & 15) == 0] += 8
                blocks[(blocks >> 4) == 0] += 128
            for at, value in fixed.items():
                blocks[:, at:at + len(value)] = np.frombuffer(value, np.uint8)
            self.pools[kind] = blocks.tobytes()
        return self.pools[kind]

    def larger(self, kind):
        """The pool with all weights times EMBEDDING."""
        if kind == T.BF16:
            return ((self.normal * np.float32(EMBEDDING)).view(np.uint32) >> 16).astype(np.uint16).tobytes()
        _, size, fixed = BLOCKS[kind]
        blocks = np.frombuffer(self.pool(kind), np.uint8).reshape(-1, size).copy()
        for at, value in fixed.items():
            if len(value) == 2:  # a half: the scale
                blocks[:, at:at + 2] = np.frombuffer(half(np.frombuffer(value, np.float16)[0] * EMBEDDING), np.uint8)
        return blocks.tobytes()

    def pieces(self, name, dims, kind):
        left = n_bytes(dims, kind)
        if kind is None:
            yield np.ones(dims, np.float32).tobytes()
            return
        pool = self.larger(kind) if name == "token_embd.weight" else self.pool(kind)
        size = BLOCKS[kind][1]
        most = len(pool) // 2 // size * size  # whole blocks, or all that follow are out of step
        while left > 0:
            start = int(self.rng.integers(0, most // size)) * size
            piece = pool[start:start + min(left, most)]
            yield piece
            left -= len(piece)


def add_tokenizer(w):
    with open(os.path.join(ROOT, "model", "demo", "tokenizer.json"), encoding="utf-8") as f:
        source = json.load(f)
    tokens, kinds = [f"word{i}" for i in range(VOCAB)], [1] * VOCAB
    for text, i in source["model"]["vocab"].items():
        tokens[i] = text
    for token in source["added_tokens"]:
        tokens[token["id"]], kinds[token["id"]] = token["content"], 3 if token["special"] else 4
    merges = [m if isinstance(m, str) else " ".join(m) for m in source["model"]["merges"]]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("lfm2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(merges)
    w.add_bos_token_id(1)
    w.add_eos_token_id(7)
    w.add_pad_token_id(0)
    w.add_add_bos_token(True)
    w.add_chat_template("{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
                        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def add_shape(w, shape):
    n_layers, attention, hidden, dense, experts, width = SHAPES[shape]
    w.add_name(f"lfm2-{shape}-random")
    w.add_block_count(n_layers)
    w.add_context_length(128000)
    w.add_embedding_length(hidden)
    w.add_feed_forward_length(dense)
    w.add_head_count(hidden // HEAD_DIM)
    w.add_head_count_kv([KV_HEADS if i in attention else 0 for i in range(n_layers)])
    w.add_rope_freq_base(1e6)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_expert_count(experts)
    w.add_expert_used_count(4)
    w.add_expert_feed_forward_length(width)
    w.add_leading_dense_block_count(N_DENSE)
    w.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
    w.add_vocab_size(VOCAB)
    w.add_shortconv_l_cache(TAPS)


def add_tensor_info(w, name, dims, kind):
    size = n_bytes(dims, kind)
    if kind in (None, T.F32):
        w.add_tensor_info(name, dims, np.dtype(np.float32), size)
        return
    per, block, _ = BLOCKS[kind]
    row = (*dims[:-1], dims[-1] // per * block)
    w.add_tensor_info(name, row, np.dtype(np.uint8), size, raw_dtype=kind)


def write_tensors(w, plan, values):
    """GGUFWriter writes a tensor from one array; ours come in pieces, so the padding is done here."""
    out, align = w.fout[0], w.data_alignment
    out.write(bytes(-out.tell() % align))
    for name, dims, kind in plan:
        for piece in values.pieces(name, dims, kind):
            out.write(piece)
        out.write(bytes(-n_bytes(dims, kind) % align))


def main():
    parser = argparse.ArgumentParser(description="Write a random GGUF file of real size.")
    parser.add_argument("file")
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--quant", choices=MIXES, default="q4_0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", action="store_true",
                        help="print the bytes of the file, and those a token reads, and write nothing")
    args = parser.parse_args()

    plan = list(tensors(args.shape, args.quant))
    if args.size:
        print(sum(n_bytes(dims, kind) for _, dims, kind in plan) + (4 << 20), n_bytes_a_token(args.shape, plan))
        return
    partial = args.file + ".partial"
    w = GGUFWriter(partial, "lfm2moe")
    add_shape(w, args.shape)
    add_tokenizer(w)
    for tensor in plan:
        add_tensor_info(w, *tensor)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    write_tensors(w, plan, Values(args.seed))
    w.close()
    os.replace(partial, args.file)
    print(f"{args.file}: {os.path.getsize(args.file) / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
