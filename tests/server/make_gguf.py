"""Writes a checkpoint of safetensors as the GGUF file that llama.cpp's converter
would make of it: names, keys and types as in conversion/lfm2.py there.

    python tests/server/make_gguf.py model/demo OUT.gguf [F32|F16|Q8_0|Q4_0...]

One file of weights with experts one by one, as the demo model has them.
"""
import json
import pathlib
import re
import struct
import sys

import gguf
import numpy as np

NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.embedding_norm.weight": "token_embd_norm.weight",
    "operator_norm.weight": "attn_norm.weight",
    "ffn_norm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.out_proj.weight": "attn_output.weight",
    "self_attn.q_layernorm.weight": "attn_q_norm.weight",
    "self_attn.k_layernorm.weight": "attn_k_norm.weight",
    "conv.in_proj.weight": "shortconv.in_proj.weight",
    "conv.conv.weight": "shortconv.conv.weight",
    "conv.out_proj.weight": "shortconv.out_proj.weight",
    "feed_forward.w1.weight": "ffn_gate.weight",
    "feed_forward.w2.weight": "ffn_down.weight",
    "feed_forward.w3.weight": "ffn_up.weight",
    "feed_forward.gate.weight": "ffn_gate_inp.weight",
    "feed_forward.expert_bias": "exp_probs_b.bias",
}
EXPERT = re.compile(r"feed_forward\.experts\.(\d+)\.(w[123])\.weight")
ALWAYS_F32 = ("norm.weight", "ffn_gate_inp.weight", "exp_probs_b.bias",
              "shortconv.conv.weight")


def read_safetensors(path):
    data = path.read_bytes()
    n, = struct.unpack("<Q", data[:8])
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        a, b = (8 + n + x for x in t["data_offsets"])
        raw = data[a:b]
        if t["dtype"] == "BF16":
            wide = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
            values = wide.view(np.float32)
        else:
            values = np.frombuffer(raw, {"F32": np.float32,
                                         "F16": np.float16}[t["dtype"]])
        yield name, values.astype(np.float32).reshape(t["shape"])


def rename(name):
    """The GGUF name, and the expert's number or None."""
    if name in NAMES:
        return NAMES[name], None
    layer, rest = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name).groups()
    m = EXPERT.fullmatch(rest)
    if m:
        kind = {"w1": "gate", "w2": "down", "w3": "up"}[m.group(2)]
        return f"blk.{layer}.ffn_{kind}_exps.weight", int(m.group(1))
    return f"blk.{layer}.{NAMES[rest]}", None


def tensors(directory):
    """Every tensor by its GGUF name, experts stacked."""
    plain, stacks = {}, {}
    for name, values in read_safetensors(directory / "model.safetensors"):
        new, expert = rename(name)
        if expert is not None:
            stacks.setdefault(new, {})[expert] = values
        elif new.endswith("shortconv.conv.weight"):
            plain[new] = values.squeeze(1)
        else:
            plain[new] = values
    for new, by_number in stacks.items():
        plain[new] = np.stack([by_number[i] for i in sorted(by_number)])
    return plain


def add_config(w, c):
    kinds = c["layer_types"]
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv([c["num_key_value_heads"] if k != "conv" else 0
                         for k in kinds])
    w.add_rope_freq_base(c["rope_theta"])
    w.add_layer_norm_rms_eps(c["norm_eps"])
    w.add_expert_count(c["num_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    w.add_leading_dense_block_count(c["num_dense_layers"])
    w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    w.add_vocab_size(c["vocab_size"])
    w.add_shortconv_l_cache(c["conv_L_cache"])


def add_tokenizer(w, directory, n_vocab):
    d = json.loads((directory / "tokenizer.json").read_text())
    tokens = [f"[PAD{i}]" for i in range(n_vocab)]
    types = [gguf.TokenType.UNUSED] * n_vocab
    for text, i in d["model"]["vocab"].items():
        tokens[i], types[i] = text, gguf.TokenType.NORMAL
    for t in d["added_tokens"]:
        tokens[t["id"]] = t["content"]
        types[t["id"]] = (gguf.TokenType.CONTROL if t["special"]
                          else gguf.TokenType.USER_DEFINED)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("lfm2")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges([m if isinstance(m, str) else " ".join(m)
                        for m in d["model"]["merges"]])
    w.add_bos_token_id(1)
    w.add_eos_token_id(7)
    w.add_pad_token_id(0)
    w.add_add_bos_token(True)
    w.add_chat_template((directory / "chat_template.jinja").read_text())


def add_sampling(w, directory):
    g = json.loads((directory / "generation_config.json").read_text())
    w.add_float32("general.sampling.temp", g["temperature"])
    w.add_float32("general.sampling.min_p", g["min_p"])
    w.add_float32("general.sampling.penalty_repeat", g["repetition_penalty"])


def write(directory, out, kind="F32", arch="lfm2moe", split=0):
    """`split` tensors a file; 0: one file."""
    directory = pathlib.Path(directory)
    config = json.loads((directory / "config.json").read_text())
    more = {"split_max_tensors": split} if split else {}
    w = gguf.GGUFWriter(str(out), arch, **more)
    w.add_name("LFM2 Demo")
    add_config(w, config)
    add_tokenizer(w, directory, config["vocab_size"])
    add_sampling(w, directory)
    wanted = gguf.GGMLQuantizationType[kind]
    for name, values in tensors(directory).items():
        if name.endswith(ALWAYS_F32):
            w.add_tensor(name, values)
        else:
            w.add_tensor(name, gguf.quants.quantize(values, wanted),
                         raw_dtype=wanted)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return out


if __name__ == "__main__":
    write(*sys.argv[1:4])
