"""Make the tiny random checkpoints of this folder and what transformers says about them.

Each directory is a complete Hugging Face model (config, weights, tokenizer, template); between them
they use every switch of Lfm2MoeConfig that lfmd honours and every way its weights are stored.
golden.json holds what transformers' Lfm2MoeForCausalLM computes in float32 from the stored weights:
any implementation must reproduce it.

    python make.py            # all of them; needs torch, transformers 5.23, tokenizers, safetensors
    python make.py sharded    # those whose name contains this

A seed is taken when no greedy step and no choice of experts is so close that rounding could turn it.
"""
import json
import math
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
N_TOKENIZER = 300
LENGTHS = [1, 2, 3, 7, 40, 100]
N_GREEDY = 24
MIN_MARGIN = 5e-3        # between the best and the second logit
MIN_ROUTER_MARGIN = 2e-6  # between the last expert taken and the first one left

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
           r"|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>",
           "<|im_start|>", "<|im_end|>", "<|tool_list_start|>", "<|tool_list_end|>", "<|tool_call_start|>",
           "<|tool_call_end|>", "<|tool_response_start|>", "<|tool_response_end|>"]
TEXT = ["system\n", "user\n", "assistant\n", "tool\n", "the cat and the dog", " the", " and", " in", "ing", " of",
        "List of tools: ", "hello there, are there others?"]
TEMPLATE = """\
{{- bos_token -}}
{%- set system = "" -%}
{%- if messages and messages[0].role == "system" -%}
  {%- set system = messages[0].content -%}
  {%- set messages = messages[1:] -%}
{%- endif -%}
{%- if tools -%}
  {%- set system = system + ("\\n" if system else "") + "List of tools: <|tool_list_start|>" + (tools | tojson) + "<|tool_list_end|>" -%}
{%- endif -%}
{%- if system -%}
  {{- "<|im_start|>system\\n" + system + "<|im_end|>\\n" -}}
{%- endif -%}
{%- for message in messages -%}
  {{- "<|im_start|>" + message.role + "\\n" -}}
  {%- if message.role == "tool" -%}
    {{- "<|tool_response_start|>" + message.content + "<|tool_response_end|>" -}}
  {%- else -%}
    {{- message.content -}}
  {%- endif -%}
  {{- "<|im_end|>\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- "<|im_start|>assistant\\n" -}}
{%- endif -%}
"""

BASE = {
    "architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "vocab_size": 320, "hidden_size": 48,
    "intermediate_size": 64, "moe_intermediate_size": 24, "num_hidden_layers": 5,
    "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"],
    "num_attention_heads": 4, "num_key_value_heads": 2, "num_dense_layers": 2, "num_experts": 4,
    "num_experts_per_tok": 2, "conv_L_cache": 3, "conv_bias": False, "norm_eps": 1e-5, "norm_topk_prob": True,
    "use_expert_bias": True, "routed_scaling_factor": 1.0, "rope_theta": 1000000.0, "max_position_embeddings": 512,
    "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0,
}
NO = object()  # leave the field out

# name -> (what config.json says, how the weights are stored)
CHECKPOINTS = {
    # as the files on the hub: one expert a tensor, bf16 with an f32 expert bias, flat rope_theta
    "hub-bf16": ({}, dict(dtype=torch.bfloat16, experts="single")),
    # as save_pretrained without conversion: fused experts; biases, 4 taps, one kv head, no dense layer
    "fused-bias-mqa-f32": (
        {"conv_bias": True, "conv_L_cache": 4, "num_dense_layers": 0, "num_experts_per_tok": 1, "hidden_size": 40,
         "num_key_value_heads": 1, "vocab_size": 307, "tie_word_embeddings": False, "num_hidden_layers": 4,
         "layer_types": ["full_attention", "conv", "conv", "full_attention"], "eos_token_id": [7, 2],
         "rope_theta": NO, "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"}},
        dict(dtype=torch.float32, experts="fused")),
    # shards; no bias and no normalisation in the router; 2 taps; a head_dim of its own; 1:1 heads
    "sharded-nonorm-f16": (
        {"use_expert_bias": False, "norm_topk_prob": False, "routed_scaling_factor": 2.5, "conv_L_cache": 2,
         "num_dense_layers": 1, "num_experts": 8, "num_experts_per_tok": 4, "hidden_size": 36, "head_dim": 16,
         "num_key_value_heads": 4, "moe_intermediate_size": 16, "rope_theta": 10000.0},
        dict(dtype=torch.float16, experts="single", shard_bytes=60000)),
    # linear scaling under its old name, old name of tying, fused experts in shards, a coarse epsilon
    "linear-sharded-fused-bf16": (
        {"rope_theta": 100.0, "rope_scaling": {"type": "linear", "factor": 4.0}, "tie_word_embeddings": NO,
         "tie_embedding": True, "norm_eps": 1e-3, "num_dense_layers": 1, "hidden_size": 32, "vocab_size": 333,
         "layer_types": ["full_attention", "conv", "conv", "conv", "full_attention"]},
        dict(dtype=torch.bfloat16, experts="fused", shard_bytes=50000)),
    "llama3-untied-bf16": (
        {"rope_theta": NO, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0,
                                               "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                               "original_max_position_embeddings": 64},
         "num_attention_heads": 3, "num_key_value_heads": 3, "tie_word_embeddings": False, "hidden_size": 48,
         "routed_scaling_factor": 1.5},
        dict(dtype=torch.bfloat16, experts="single")),
    "yarn-gqa4-f32": (
        {"rope_theta": NO, "rope_parameters": {"rope_type": "yarn", "rope_theta": 200.0, "factor": 4.0,
                                               "original_max_position_embeddings": 128},
         "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 12, "hidden_size": 32, "num_hidden_layers": 4,
         "layer_types": ["conv", "full_attention", "conv", "full_attention"], "num_dense_layers": 1},
        dict(dtype=torch.float32, experts="fused")),
    # yarn with all its options; attention layers only
    "yarn-options-attention-only-bf16": (
        {"rope_theta": 300.0, "rope_parameters": {"rope_type": "yarn", "factor": 8.0, "mscale": 0.7,
                                                  "mscale_all_dim": 1.3, "beta_fast": 16, "beta_slow": 2,
                                                  "truncate": False, "original_max_position_embeddings": 64},
         "num_hidden_layers": 3, "layer_types": ["full_attention"] * 3, "num_dense_layers": 1, "norm_topk_prob": False},
        dict(dtype=torch.bfloat16, experts="single")),
    # no attention at all, so no keys and values; every layer routed
    "conv-only-f16": (
        {"num_hidden_layers": 4, "layer_types": ["conv"] * 4, "num_dense_layers": 0, "conv_bias": True,
         "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 16},
        dict(dtype=torch.float16, experts="fused")),
    # no experts at all; names without "model."
    "dense-only-bare-bf16": (
        {"num_dense_layers": 5, "hidden_size": 44, "num_attention_heads": 2, "num_key_value_heads": 1,
         "rope_theta": 10000.0}, dict(dtype=torch.bfloat16, experts="single", bare=True)),
    # every matrix bf16, every vector f32, the expert bias bf16; all experts chosen
    "mixed-dtypes": (
        {"num_dense_layers": 1, "num_experts_per_tok": 4, "conv_L_cache": 4, "max_position_embeddings": 300,
         "eos_token_id": [7]}, dict(dtype=torch.bfloat16, experts="single", vectors=torch.float32)),
    # a checkpoint that says little and relies on defaults of the class
    "defaults": (
        {k: NO for k in ("conv_bias", "norm_eps", "norm_topk_prob", "use_expert_bias", "routed_scaling_factor", "rope_theta",
                         "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id", "conv_L_cache",
                         "num_dense_layers", "max_position_embeddings")}
        | {"num_attention_heads": 8, "num_key_value_heads": NO, "num_experts_per_tok": NO, "num_experts": NO,
           "moe_intermediate_size": 8, "num_hidden_layers": 4, "hidden_size": 32,
           "layer_types": ["conv", "full_attention", "conv", "full_attention"]},
        dict(dtype=torch.bfloat16, experts="single")),
}


def write_json(path, value, indent=1):
    with open(path, "w") as f:
        json.dump(value, f, ensure_ascii=False, indent=indent)
        f.write("\n")


def write_tokenizer(folder, template_outside):
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(TEXT * 3, trainers.BpeTrainer(
        vocab_size=N_TOKENIZER, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL] +
                       [AddedToken(t, special=False, normalized=False) for t in ("<think>", "</think>")]))
    assert tok.get_vocab_size() == N_TOKENIZER, tok.get_vocab_size()
    tok.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A", pair="<|startoftext|> $A <|startoftext|> $B", special_tokens=[("<|startoftext|>", 1)])
    d = json.loads(tok.to_str())
    for t in d["added_tokens"]:
        if t["content"] in ("<think>", "</think>"):
            t["special"] = False
    write_json(os.path.join(folder, "tokenizer.json"), d, indent=None)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|startoftext|>", "eos_token": "<|im_end|>",
              "pad_token": "<|pad|>", "add_bos_token": True, "add_eos_token": False,
              "clean_up_tokenization_spaces": False, "model_input_names": ["input_ids", "attention_mask"]}
    if template_outside:
        with open(os.path.join(folder, "chat_template.jinja"), "w") as f:
            f.write(TEMPLATE)
    else:
        config["chat_template"] = TEMPLATE
    write_json(os.path.join(folder, "tokenizer_config.json"), config)


def randomise(model, g):
    """Weights that neither flatten the logits nor send every token to the same expert."""
    def normal(t, std, mean=0.0):
        t.copy_(torch.randn(t.shape, generator=g) * std + mean)

    hidden = model.config.hidden_size
    for name, t in list(model.named_parameters()) + list(model.named_buffers()):
        leaf = name.rsplit(".", 2)[-2:]
        if "inv_freq" in name:
            continue
        if name.endswith("embedding_norm.weight"):
            normal(t, 0.3 / math.sqrt(hidden), 4.0 / math.sqrt(hidden))
        elif "norm" in leaf[0]:
            normal(t, 0.2, 1.0)
        elif name.endswith("expert_bias"):
            normal(t, 0.25)
        elif name.endswith(".bias"):
            normal(t, 0.3)
        elif name.endswith("conv.conv.weight"):
            normal(t, 0.7)
        elif "embed_tokens" in name or "lm_head" in name:
            normal(t, 1.0)
        else:
            normal(t, 1.3 / math.sqrt(t.shape[-1]))


def stored(model, how):
    """The tensors as files have them."""
    out = {}
    vectors = how.get("vectors")
    for name, t in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        if name.endswith("expert_bias"):
            t = t.to(torch.bfloat16 if vectors else torch.float32)
        elif vectors and (t.dim() == 1 or name.endswith("conv.conv.weight")):
            t = t.to(vectors)
        else:
            t = t.to(how["dtype"])
        if how.get("bare"):
            name = name.removeprefix("model.")
        if how["experts"] == "single" and name.endswith("experts.gate_up_proj"):
            half = t.shape[1] // 2
            for j in range(t.shape[0]):
                out[f"{name[:-13]}.{j}.w1.weight"] = t[j, :half].clone()
                out[f"{name[:-13]}.{j}.w3.weight"] = t[j, half:].clone()
        elif how["experts"] == "single" and name.endswith("experts.down_proj"):
            for j in range(t.shape[0]):
                out[f"{name[:-10]}.{j}.w2.weight"] = t[j].clone()
        else:
            out[name] = t.clone()
    return out


def write_weights(folder, tensors, shard_bytes):
    for f in os.listdir(folder):
        if "safetensors" in f:
            os.remove(os.path.join(folder, f))
    if shard_bytes is None:
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return
    shards, room = [{}], shard_bytes
    for name in sorted(tensors):
        n = tensors[name].numel() * tensors[name].element_size()
        if n > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = tensors[name]
        room -= n
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, os.path.join(folder, file), metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, file))
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(os.path.join(folder, "model.safetensors.index.json"),
               {"metadata": {"total_size": size}, "weight_map": weight_map})


class RouterMargin:
    """The closest call between an expert that was taken and one that was not."""

    def __init__(self, model):
        self.least = math.inf
        for m in model.modules():
            if type(m).__name__ == "Lfm2MoeTopKRouter" and m.top_k < m.num_experts:
                m.register_forward_hook(self.look)

    def look(self, module, args, output):
        scores = output[0].sigmoid()
        if module.use_expert_bias:
            scores = scores + args[1]
        top = scores.topk(module.top_k + 1).values
        self.least = min(self.least, float((top[:, -2] - top[:, -1]).min()))


def prompts(n_vocab, seed):
    g = torch.Generator().manual_seed(seed)
    return [[1] + torch.randint(6, n_vocab, (n - 1,), generator=g).tolist() for n in LENGTHS]


def round6(x):
    return round(float(x), 6)


@torch.no_grad()
def run_case(model, prompt):
    margin, seq, greedy_lp = math.inf, list(prompt), []
    for step in range(N_GREEDY):
        z = model(torch.tensor([seq]), use_cache=False).logits[0]
        lp = torch.log_softmax(z.double(), -1)
        if step == 0:
            prompt_lp = [None] + [round6(lp[i, t]) for i, t in enumerate(prompt[1:])]
            top = lp[-1].topk(5)
        two = z[-1].topk(2).values
        margin = min(margin, float(two[0] - two[1]))
        if margin < MIN_MARGIN:
            return None, margin
        best = int(z[-1].argmax())
        greedy_lp.append(round6(lp[-1, best]))
        seq.append(best)
    return {"prompt": prompt, "prompt_logprobs": prompt_lp,
            "top5": [[int(i), round6(v)] for v, i in zip(top.values, top.indices)],
            "greedy": seq[len(prompt):], "greedy_logprobs": greedy_lp}, margin


def golden(folder, seed):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").float().eval()
    routers = RouterMargin(model)
    cases, least = [], math.inf
    for prompt in prompts(model.config.vocab_size, seed):
        case, margin = run_case(model, prompt)
        least = min(least, margin)
        if case is None or routers.least < MIN_ROUTER_MARGIN:
            return None
        cases.append(case)
    rotary = model.model.pos_emb
    return {"about": "transformers Lfm2MoeForCausalLM, float32 from the stored weights, eager attention; natural "
                     "logarithms; greedy is argmax without penalties and does not stop at an end token",
            "seed": seed, "min_margin": round6(least), "min_router_margin": min(1.0, routers.least),
            "n_params": sum(p.numel() for p in model.parameters()) + sum(
                b.numel() for n, b in model.named_buffers() if n.endswith("expert_bias")),
            "rope": {"inv_freq": [float(f"{x:.9g}") for x in rotary.inv_freq.tolist()],
                     "attention_factor": float(rotary.attention_scaling)},
            "cases": cases}


def write_generation(folder, config, name):
    out = {k: config[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id") if k in config}
    if "f32" in name:
        out |= {"do_sample": False}
    elif name != "defaults":
        out |= {"do_sample": True, "temperature": 0.3, "min_p": 0.15, "repetition_penalty": 1.05}
    write_json(os.path.join(folder, "generation_config.json"), out)


def make(name, changes, how):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    config = {k: v for k, v in (BASE | {"dtype": str(how["dtype"]).removeprefix("torch.")} | changes).items() if v is not NO}
    write_json(os.path.join(folder, "config.json"), config)
    write_generation(folder, config, name)
    write_tokenizer(folder, template_outside=name != "defaults")
    for seed in range(1, 60):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float()
        with torch.no_grad():
            randomise(model, torch.Generator().manual_seed(seed))
        tensors = stored(model, how)
        write_weights(folder, tensors, how.get("shard_bytes"))
        result = golden(folder, seed)
        if result is not None:
            break
    else:
        raise SystemExit(f"{name}: no seed will do")
    text = json.dumps(result, ensure_ascii=False).replace(', "cases"', ',\n"cases"').replace('{"prompt"', '\n{"prompt"')
    with open(os.path.join(folder, "golden.json"), "w") as f:
        f.write(text + "\n")
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name}: seed {seed}, margin {result['min_margin']:.4f}, {size} bytes", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for name, (changes, how) in CHECKPOINTS.items():
        if wanted in name:
            make(name, changes, how)
