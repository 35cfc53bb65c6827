"""Make the small GGUF files of this folder and what they stand for.

blocks.gguf   a matrix in every format that lfmd reads, 19 rows of 512, and beside each ("<type>.expected",
              F32) what the gguf package's numpy code decodes it to
aliases.gguf  a model of random numbers with what other writers make of it: attn_qkv in one, output_norm, a head
              of its own, the key-value heads as one number, a quantised router, no vocab_size, no dense count
mixed.gguf    a complete tiny lfm2moe model - numbers, tokenizer, template, sampling - whose matrices are of
              all those formats, and mixed.json, what transformers' Lfm2MoeForCausalLM computes in float32
              from the decoded weights (fields as in ../checkpoints/*/golden.json)

    python make.py            # needs gguf 0.19, torch, transformers 5.23, tokenizers

The K formats have no encoder in numpy: their blocks are random bits under scales of a fitting size.
"""
import importlib.util
import json
import math
import os

import numpy as np
import torch
from gguf import GGMLQuantizationType as Q, GGUFWriter, RopeScalingType, TokenType, quants
from transformers import AutoConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("checkpoints", os.path.join(HERE, "..", "checkpoints", "make.py"))
checkpoints = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checkpoints)

SIMPLE = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.F16, Q.BF16, Q.F32]
K = {Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,)}  # where their halves are in a block
N_LAYERS, N_EXPERTS, HIDDEN, MOE, FFN, VOCAB = 3, 4, 256, 32, 256, 320
CONFIG = checkpoints.BASE | {
    "hidden_size": HIDDEN, "intermediate_size": FFN, "moe_intermediate_size": MOE, "num_hidden_layers": N_LAYERS,
    "layer_types": ["conv", "full_attention", "conv"], "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_dense_layers": 1, "num_experts": N_EXPERTS, "num_experts_per_tok": 2, "vocab_size": VOCAB,
    "rope_theta": 10000.0}


def random_k(rng, qtype, shape, std):
    """Random bits, scaled so that the values have about this deviation."""
    block, size = {Q.Q4_K: (256, 144), Q.Q5_K: (256, 176), Q.Q6_K: (256, 210)}[qtype]
    n = int(np.prod(shape)) // block
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if qtype == Q.Q6_K:
        raw[:, 192:208] = rng.integers(20, 60, (n, 16), dtype=np.uint8)
    half = {Q.Q4_K: std / 190, Q.Q5_K: std / 390, Q.Q6_K: std / 740}[qtype]
    for at in K[qtype]:  # the minimum is about half of the range, so that the mean is about zero
        scale = half if at != 2 else half * (7.5 if qtype == Q.Q4_K else 15.5)
        sign = 1 if at == 2 or qtype != Q.Q6_K else rng.choice([-1, 1], (n, 1))
        d = (sign * scale * rng.uniform(0.9, 1.1, (n, 1))).astype(np.float16)
        raw[:, at:at + 2] = d.view(np.uint8)
    rows = raw.reshape(*shape[:-1], -1)
    return rows, quants.dequantize(rows, qtype).reshape(shape)


def encode(rng, qtype, values):
    """(bytes as in the file, the float32 that they stand for)"""
    if qtype in K:
        return random_k(rng, qtype, values.shape, float(values.std()))
    data = quants.quantize(values.astype(np.float32), qtype)
    return data, quants.dequantize(data, qtype).reshape(values.shape).astype(np.float32)


def add(writer, name, data, qtype):
    raw = {Q.F32: np.float32, Q.F16: np.float16}.get(qtype)
    if raw is not None:
        writer.add_tensor(name, np.ascontiguousarray(data.astype(raw)))
    else:
        writer.add_tensor(name, np.ascontiguousarray(data), raw_dtype=qtype)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_blocks():
    rng = np.random.default_rng(1)
    w = GGUFWriter(os.path.join(HERE, "blocks.gguf"), "blocks")
    for qtype in SIMPLE + list(K):
        values = rng.normal(0, 1, (19, 512)).astype(np.float32)
        values[3, :32] = 0  # a block whose scale is zero
        values[4, 40] = 70.0  # and one with an outlier
        data, decoded = encode(rng, qtype, values)
        add(w, qtype.name.lower(), data, qtype)
        add(w, qtype.name.lower() + ".expected", decoded, Q.F32)
        if qtype == Q.Q4_0 or qtype == Q.Q8_0:
            add(w, qtype.name.lower() + ".source", values, Q.F32)
    finish(w)


# which format each matrix takes, by the end of its name
FORMATS = {
    "token_embd.weight": Q.Q6_K,
    "blk.0.shortconv.in_proj.weight": Q.Q4_K, "blk.2.shortconv.in_proj.weight": Q.Q4_0,
    "blk.0.shortconv.out_proj.weight": Q.Q5_K, "blk.2.shortconv.out_proj.weight": Q.Q4_1,
    "blk.0.ffn_gate.weight": Q.Q4_K, "blk.0.ffn_up.weight": Q.Q4_0, "blk.0.ffn_down.weight": Q.Q6_K,
    "blk.1.attn_q.weight": Q.Q4_K, "blk.1.attn_k.weight": Q.Q5_0, "blk.1.attn_v.weight": Q.Q6_K,
    "blk.1.attn_output.weight": Q.Q5_1,
    "blk.1.ffn_gate_exps.weight": Q.Q4_0, "blk.1.ffn_up_exps.weight": Q.Q5_K, "blk.1.ffn_down_exps.weight": Q.Q8_0,
    "blk.2.ffn_gate_exps.weight": Q.F16, "blk.2.ffn_up_exps.weight": Q.BF16, "blk.2.ffn_down_exps.weight": Q.Q5_0,
}
NAMES = {
    "operator_norm.weight": "attn_norm.weight", "ffn_norm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.out_proj.weight": "attn_output.weight",
    "self_attn.q_layernorm.weight": "attn_q_norm.weight", "self_attn.k_layernorm.weight": "attn_k_norm.weight",
    "conv.in_proj.weight": "shortconv.in_proj.weight", "conv.out_proj.weight": "shortconv.out_proj.weight",
    "conv.conv.weight": "shortconv.conv.weight", "feed_forward.w1.weight": "ffn_gate.weight",
    "feed_forward.w2.weight": "ffn_down.weight", "feed_forward.w3.weight": "ffn_up.weight",
    "feed_forward.gate.weight": "ffn_gate_inp.weight", "feed_forward.expert_bias": "exp_probs_b.bias",
    "feed_forward.experts.down_proj": "ffn_down_exps.weight",
}


def gguf_name(name):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.embedding_norm.weight":
        return "token_embd_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}"


def encode_one(rng, name, tensor):
    """The tensor as it will be in the file; the model's becomes what that stands for."""
    qtype = FORMATS.get(name, Q.F32)
    data, decoded = encode(rng, qtype, tensor.numpy())
    tensor.copy_(torch.from_numpy(decoded.copy()))
    return name, data, qtype


@torch.no_grad()
def encode_model(model, rng):
    out = []
    for name, t in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        if name.endswith("gate_up_proj"):
            layer = name.split(".")[2]
            half = t.shape[1] // 2
            for part, rows in (("gate", t[:, :half]), ("up", t[:, half:])):
                copy = rows.clone()
                out.append(encode_one(rng, f"blk.{layer}.ffn_{part}_exps.weight", copy))
                rows.copy_(copy)
            continue
        target = t.squeeze(1) if name.endswith("conv.conv.weight") else t
        out.append(encode_one(rng, gguf_name(name), target))
    return out


def write_numbers(w):
    w.add_block_count(N_LAYERS)
    w.add_context_length(CONFIG["max_position_embeddings"])
    w.add_embedding_length(HIDDEN)
    w.add_feed_forward_length(FFN)
    w.add_head_count(CONFIG["num_attention_heads"])
    w.add_head_count_kv([2 if k == "full_attention" else 0 for k in CONFIG["layer_types"]])
    w.add_layer_norm_rms_eps(CONFIG["norm_eps"])
    w.add_rope_freq_base(CONFIG["rope_theta"])
    w.add_expert_count(N_EXPERTS)
    w.add_expert_used_count(CONFIG["num_experts_per_tok"])
    w.add_expert_feed_forward_length(MOE)
    w.add_leading_dense_block_count(CONFIG["num_dense_layers"])
    w.add_uint32("lfm2moe.expert_gating_func", 2)
    w.add_vocab_size(VOCAB)
    w.add_uint32("lfm2moe.shortconv.l_cache", CONFIG["conv_L_cache"])
    w.add_float32("general.sampling.temp", 0.25)
    w.add_int32("general.sampling.top_k", 50)
    w.add_float32("general.sampling.min_p", 0.15)
    w.add_float32("general.sampling.penalty_repeat", 1.05)


def write_tokenizer(w):
    with open(os.path.join(HERE, "..", "checkpoints", "hub-bf16", "tokenizer.json")) as f:
        tok = json.load(f)
    tokens = [f"[PAD{i}]" for i in range(VOCAB)]
    types = [TokenType.UNUSED] * VOCAB
    for text, i in tok["model"]["vocab"].items():
        tokens[i], types[i] = text, TokenType.NORMAL
    for t in tok["added_tokens"]:
        tokens[t["id"]] = t["content"]
        types[t["id"]] = TokenType.CONTROL if t["special"] else TokenType.USER_DEFINED
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("lfm2")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tok["model"]["merges"]])
    w.add_bos_token_id(1)
    w.add_eos_token_id(7)
    w.add_pad_token_id(0)
    w.add_add_bos_token(True)
    w.add_chat_template(checkpoints.TEMPLATE)


def write_aliases():
    rng = np.random.default_rng(2)
    w = GGUFWriter(os.path.join(HERE, "aliases.gguf"), "lfm2moe")
    w.add_block_count(2)
    w.add_context_length(64)
    w.add_embedding_length(32)
    w.add_feed_forward_length(64)
    w.add_head_count(2)
    w.add_head_count_kv(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(10000.0)
    w.add_rope_scaling_type(RopeScalingType.LINEAR)
    w.add_rope_scaling_factor(4.0)
    w.add_expert_count(2)
    w.add_expert_used_count(1)
    w.add_array("lfm2moe.expert_feed_forward_length", [0, 32])
    w.add_uint32("lfm2moe.shortconv.l_cache", 3)
    w.add_eos_token_id(1)
    w.add_eot_token_id(2)
    shapes = {
        "token_embd.weight": (Q.Q8_0, 20, 32), "output.weight": (Q.Q4_0, 20, 32), "output_norm.weight": (Q.F32, 32),
        "blk.0.attn_norm.weight": (Q.F32, 32), "blk.0.ffn_norm.weight": (Q.F16, 32),
        "blk.1.attn_norm.weight": (Q.F32, 32), "blk.1.ffn_norm.weight": (Q.Q8_0, 32),
        "blk.0.shortconv.in_proj.weight": (Q.BF16, 96, 32), "blk.0.shortconv.out_proj.weight": (Q.F32, 32, 32),
        "blk.0.shortconv.conv.weight": (Q.F32, 32, 3), "blk.0.ffn_gate.weight": (Q.Q4_0, 64, 32),
        "blk.0.ffn_up.weight": (Q.Q4_0, 64, 32), "blk.0.ffn_down.weight": (Q.Q4_0, 32, 64),
        "blk.1.attn_qkv.weight": (Q.Q5_0, 64, 32), "blk.1.attn_output.weight": (Q.Q5_1, 32, 32),
        "blk.1.attn_q_norm.weight": (Q.F32, 16), "blk.1.attn_k_norm.weight": (Q.F32, 16),
        "blk.1.ffn_gate_inp.weight": (Q.Q8_0, 2, 32), "blk.1.ffn_gate_exps.weight": (Q.Q4_1, 2, 32, 32),
        "blk.1.ffn_up_exps.weight": (Q.F16, 2, 32, 32), "blk.1.ffn_down_exps.weight": (Q.Q4_1, 2, 32, 32),
    }
    for name, (qtype, *shape) in shapes.items():
        data, _ = encode(rng, qtype, rng.normal(0, 1, shape))
        add(w, name, data, qtype)
    finish(w)


def golden(model, seed):
    routers = checkpoints.RouterMargin(model)
    cases, least = [], math.inf
    for prompt in checkpoints.prompts(VOCAB, seed)[:5]:
        case, margin = checkpoints.run_case(model, prompt)
        least = min(least, margin)
        if case is None or routers.least < 1e-3:
            return None
        cases.append(case)
    return {"about": "transformers Lfm2MoeForCausalLM, float32 from the decoded weights of mixed.gguf; natural "
                     "logarithms; greedy is argmax without penalties and does not stop at an end token",
            "seed": seed, "min_margin": checkpoints.round6(least), "min_router_margin": min(1.0, routers.least),
            "n_params": sum(p.numel() for p in model.parameters()) + sum(
                b.numel() for n, b in model.named_buffers() if n.endswith("expert_bias")),
            "cases": cases}


def try_model(seed):
    config = AutoConfig.for_model(**CONFIG)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        checkpoints.randomise(model, torch.Generator().manual_seed(seed))
    tensors = encode_model(model, np.random.default_rng(seed))
    return tensors, golden(model, seed)


def write_model():
    for seed in range(1, 400):
        tensors, gold = try_model(seed)
        if gold is not None:
            break
    else:
        raise SystemExit("no seed will do")
    w = GGUFWriter(os.path.join(HERE, "mixed.gguf"), "lfm2moe")
    w.add_name("mixed")
    write_numbers(w)
    write_tokenizer(w)
    for name, data, qtype in tensors:
        add(w, name, data, qtype)
    finish(w)
    checkpoints.write_json(os.path.join(HERE, "mixed.json"), gold, indent=None)
    print("mixed: seed", seed, "margin", gold["min_margin"], "router", gold["min_router_margin"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_blocks()
    write_aliases()
    write_model()
