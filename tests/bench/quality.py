"""make bench-quality: how far quantised arithmetic takes lfmd and llama.cpp from the float forward pass.

The model is the bundled demo model, trained, so that its distributions are those of language. Its matrices are padded
with zeros to multiples of 256, which changes no output but lets every block format hold them. llama-quantize makes
the files; for each the oracle is transformers in float32 on the weights that the gguf package decodes. Then both
programs run the same tokens of the same text and give all logits: llama.cpp through llama-perplexity, whose dump
has 16 bits a value within 16 below the highest, and lfmd through logits.c, cut in the same place.

Mean KL divergence per token with the median beside it, and how often the likeliest token is
the oracle's, over the second half of each chunk; once with whole chunks in a step (as a prompt) and once with a token
a step (as decode).

    python quality.py                         # the table, and quality.json in the cache
    python quality.py --types q4_0 --chunks 4

Needs the packages of requirements-quality.txt; started by another interpreter it makes itself a virtual environment
in the cache.
"""
import argparse
import json
import os
import subprocess
import sys

import bench
import report

HERE = bench.HERE
DEMO = os.path.join(bench.ROOT, "model", "demo")
TYPES = ("bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_1", "q4_0")
SIDE = 256      # of a superblock: what every row must be a multiple of
N_CTX = 256     # tokens of a chunk; the second half is scored
SCORED = N_CTX - 1 - N_CTX // 2
FLOOR = 16.0    # llama-perplexity keeps no logit further below the highest


def enter_venv(cache):
    """Starts this script again where the packages are."""
    try:
        import gguf, torch, transformers  # noqa: F401, E401
        return
    except ImportError:
        pass
    given = os.environ.get("LFMD_BENCH_PYTHON")
    venv = os.path.join(cache, "venv-quality")
    interpreter = given or os.path.join(venv, "bin/python")
    if os.environ.get("LFMD_BENCH_ENTERED"):
        sys.exit(f"quality: {interpreter} lacks the packages of requirements-quality.txt")
    if not given and not os.path.exists(os.path.join(venv, "ready")):
        bench.say("installing the Python packages of requirements-quality.txt (torch: some 200 MB)")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r",
                        os.path.join(HERE, "requirements-quality.txt")], check=True)
        open(os.path.join(venv, "ready"), "w", encoding="ascii").close()
    os.environ["LFMD_BENCH_ENTERED"] = "1"
    os.execv(interpreter, [interpreter, *sys.argv])


# --- the model: the demo, padded ---------------------------------------------------------------------------------
def up(n):
    return -(-n // SIDE) * SIDE


def pad(x, *dims):
    import numpy as np
    out = np.zeros(dims, np.float32)
    out[tuple(slice(0, n) for n in x.shape)] = x
    return out


def pad_heads(x, c, axis):
    """Heads lie in groups that share keys, so each group gets its own empty heads."""
    import numpy as np
    groups, size = c["num_key_value_heads"], c["head_dim"]
    wide = up(c["hidden_size"])
    x = np.moveaxis(x, axis, 0)
    x = x.reshape(groups, -1, size, x.shape[1])
    out = np.zeros((groups, wide // size // groups, size, x.shape[3]), np.float32)
    out[:, :x.shape[1]] = x
    return np.moveaxis(out.reshape(wide, x.shape[3]), 0, axis)


def padded_tensors(c, w):
    """(GGUF name, values) of every tensor of the wide model."""
    import numpy as np
    h, wide = c["hidden_size"], up(c["hidden_size"])
    dense, moe = up(c["intermediate_size"]), up(c["moe_intermediate_size"])
    norm = lambda name: pad(w[name] * np.float32(np.sqrt(h / wide)), wide)  # the mean now runs over zeros too
    yield "token_embd.weight", pad(w["model.embed_tokens.weight"], c["vocab_size"], wide)
    yield "token_embd_norm.weight", norm("model.embedding_norm.weight")
    for i, kind in enumerate(c["layer_types"]):
        of, at = f"model.layers.{i}.", f"blk.{i}."
        yield at + "attn_norm.weight", norm(of + "operator_norm.weight")
        yield at + "ffn_norm.weight", norm(of + "ffn_norm.weight")
        if kind == "conv":
            thirds = w[of + "conv.in_proj.weight"].reshape(3, h, h)
            yield at + "shortconv.in_proj.weight", pad(thirds, 3, wide, wide).reshape(3 * wide, wide)
            yield at + "shortconv.conv.weight", pad(w[of + "conv.conv.weight"][:, 0], wide, c["conv_L_cache"])
            yield at + "shortconv.out_proj.weight", pad(w[of + "conv.out_proj.weight"], wide, wide)
        else:
            a = of + "self_attn."
            kv = c["num_key_value_heads"] * c["head_dim"]
            yield at + "attn_q.weight", pad(pad_heads(w[a + "q_proj.weight"], c, 0), wide, wide)
            yield at + "attn_k.weight", pad(w[a + "k_proj.weight"], kv, wide)
            yield at + "attn_v.weight", pad(w[a + "v_proj.weight"], kv, wide)
            yield at + "attn_output.weight", pad(pad_heads(w[a + "out_proj.weight"], c, 1), wide, wide)
            yield at + "attn_q_norm.weight", w[a + "q_layernorm.weight"]
            yield at + "attn_k_norm.weight", w[a + "k_layernorm.weight"]
        f = of + "feed_forward."
        if i < c["num_dense_layers"]:
            for ours, theirs, dims in (("gate", "w1", (dense, wide)), ("up", "w3", (dense, wide)),
                                       ("down", "w2", (wide, dense))):
                yield at + f"ffn_{ours}.weight", pad(w[f"{f}{theirs}.weight"], *dims)
            continue
        gate, above = np.split(w[f + "experts.gate_up_proj"], 2, axis=1)
        n = c["num_experts"]
        yield at + "ffn_gate_inp.weight", pad(w[f + "gate.weight"], n, wide)
        yield at + "exp_probs_b.bias", w[f + "expert_bias"]
        yield at + "ffn_gate_exps.weight", pad(gate, n, moe, wide)
        yield at + "ffn_up_exps.weight", pad(above, n, moe, wide)
        yield at + "ffn_down_exps.weight", pad(w[f + "experts.down_proj"], n, wide, moe)


def add_tokenizer(w, c):
    with open(os.path.join(DEMO, "tokenizer.json"), encoding="utf-8") as f:
        source = json.load(f)
    tokens, kinds = [f"word{i}" for i in range(c["vocab_size"])], [1] * c["vocab_size"]
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
    w.add_bos_token_id(c["bos_token_id"])
    w.add_eos_token_id(c["eos_token_id"])
    w.add_pad_token_id(c["pad_token_id"])
    w.add_add_bos_token(True)


def write_float_file(path, c, weights):
    from gguf import ExpertGatingFuncType, GGUFWriter
    wide = up(c["hidden_size"])
    w = GGUFWriter(path, "lfm2moe")
    w.add_name("demo-wide")
    w.add_block_count(len(c["layer_types"]))
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(wide)
    w.add_feed_forward_length(up(c["intermediate_size"]))
    w.add_head_count(wide // c["head_dim"])
    w.add_head_count_kv([0 if k == "conv" else c["num_key_value_heads"] for k in c["layer_types"]])
    w.add_rope_freq_base(c["rope_theta"])
    w.add_layer_norm_rms_eps(c["norm_eps"])
    w.add_expert_count(c["num_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_feed_forward_length(up(c["moe_intermediate_size"]))
    w.add_leading_dense_block_count(c["num_dense_layers"])
    w.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
    w.add_vocab_size(c["vocab_size"])
    w.add_shortconv_l_cache(c["conv_L_cache"])
    add_tokenizer(w, c)
    for name, values in padded_tensors(c, weights):
        w.add_tensor(name, values)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# --- the oracle --------------------------------------------------------------------------------------------------
def hub_state(c, t):
    """The names transformers wants, from those of the file."""
    import numpy as np
    yield "model.embed_tokens.weight", t["token_embd.weight"]
    yield "lm_head.weight", t["token_embd.weight"]
    yield "model.embedding_norm.weight", t["token_embd_norm.weight"]
    for i, kind in enumerate(c["layer_types"]):
        of, at = f"model.layers.{i}.", f"blk.{i}."
        names = {"operator_norm.weight": "attn_norm.weight", "ffn_norm.weight": "ffn_norm.weight"}
        if kind == "conv":
            names |= {f"conv.{n}.weight": f"shortconv.{n}.weight" for n in ("in_proj", "out_proj")}
            yield of + "conv.conv.weight", t[at + "shortconv.conv.weight"][:, None]
        else:
            names |= {f"self_attn.{n}_proj.weight": f"attn_{n}.weight" for n in "qkv"}
            names |= {f"self_attn.{n}_layernorm.weight": f"attn_{n}_norm.weight" for n in "qk"}
            names["self_attn.out_proj.weight"] = "attn_output.weight"
        if i < c["num_dense_layers"]:
            names |= {f"feed_forward.{a}.weight": f"ffn_{b}.weight"
                      for a, b in (("w1", "gate"), ("w3", "up"), ("w2", "down"))}
        else:
            names |= {"feed_forward.gate.weight": "ffn_gate_inp.weight", "feed_forward.expert_bias":
                      "exp_probs_b.bias", "feed_forward.experts.down_proj": "ffn_down_exps.weight"}
            yield (of + "feed_forward.experts.gate_up_proj",
                   np.concatenate([t[at + "ffn_gate_exps.weight"], t[at + "ffn_up_exps.weight"]], axis=1))
        for ours, theirs in names.items():
            yield of + ours, t[at + theirs]


def oracle(path, c, chunks):
    """Logits [chunk, SCORED, vocabulary] in float32 of the decoded weights."""
    import gguf
    import numpy as np
    import torch
    from transformers import Lfm2MoeConfig, Lfm2MoeForCausalLM
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(
        tuple(int(n) for n in reversed(t.shape))) for t in gguf.GGUFReader(path).tensors}
    wide = {k: v for k, v in c.items() if k not in ("dtype", "head_dim", "architectures")}
    wide |= {"hidden_size": up(c["hidden_size"]), "intermediate_size": up(c["intermediate_size"]),
             "moe_intermediate_size": up(c["moe_intermediate_size"]),
             "num_attention_heads": up(c["hidden_size"]) // c["head_dim"]}
    model = Lfm2MoeForCausalLM(Lfm2MoeConfig(**wide)).float().eval()
    state = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in hub_state(c, tensors)}
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        out = model(torch.from_numpy(chunks.astype(np.int64)), use_cache=False).logits
    return out[:, N_CTX // 2:-1].numpy()


# --- the two programs --------------------------------------------------------------------------------------------
def run(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    if done.returncode != 0:
        raise bench.serve.Trouble(f"{argv[0]} ended with {done.returncode}: "
                                  f"{done.stdout.decode('utf-8', 'replace')[-400:]}")


def peer_logits(program, path, text, dump, n_chunks, threads, step):
    """(tokens [chunk, N_CTX], log-probabilities) from the dump of llama-perplexity."""
    import numpy as np
    run([program, "-m", path, "-f", text, "-c", str(N_CTX), "-b", str(step), "-ub", str(step), "-t", str(threads),
         "--chunks", str(n_chunks), "--kl-divergence-base", dump])
    with open(dump, "rb") as f:
        magic, (n_ctx, n_vocab, n) = f.read(8), np.frombuffer(f.read(12), np.int32)
        if magic != b"_logits_" or n_ctx != N_CTX:
            raise bench.serve.Trouble(f"{dump} holds {magic!r} with chunks of {n_ctx}, expected {N_CTX}")
        tokens = np.frombuffer(f.read(4 * n * n_ctx), np.int32).reshape(n, n_ctx)
        rows = np.frombuffer(f.read(), np.uint16).reshape(n, SCORED, 2 * ((n_vocab + 1) // 2) + 4)
    head = np.ascontiguousarray(rows[:, :, :4]).view(np.float32)
    return tokens, head[..., :1] * rows[:, :, 4:4 + n_vocab] + head[..., 1:]


def our_logits(program, path, chunks, work, threads, step):
    import numpy as np
    tokens, dump = os.path.join(work, "tokens.bin"), os.path.join(work, "lfmd.bin")
    chunks.astype(np.int32).tofile(tokens)
    run([program, path, tokens, str(N_CTX), dump, str(threads), str(step)])
    return np.fromfile(dump, np.float32).reshape(len(chunks), SCORED, -1)


def log_softmax(x):
    import numpy as np
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def divergences(reference, logits):
    """(KL of each position, whether the reference's likeliest token has the highest value there)."""
    import numpy as np
    p = log_softmax(reference)
    q = log_softmax(logits)
    q = log_softmax(np.maximum(q, q.max(-1, keepdims=True) - FLOOR))
    best = np.take_along_axis(q, reference.argmax(-1)[..., None], -1)[..., 0]
    return (np.exp(p) * (p - q)).sum(-1).ravel(), (best >= q.max(-1)).ravel()


def summary(reference, ours, theirs):
    """The scores of both, and of their difference, position by position, the standard error."""
    import numpy as np
    both = {"lfmd": divergences(reference, ours), "peer": divergences(reference, theirs)}
    out = {who: {"kl": float(kl.mean()), "kl_median": float(np.median(kl)), "agreement": float(same.mean())}
           for who, (kl, same) in both.items()}
    apart = both["lfmd"][0] - both["peer"][0]
    out["kl_difference_error"] = float(apart.std() / np.sqrt(apart.size))
    return out


def compare(args, cache):
    from transformers import AutoConfig, Lfm2MoeForCausalLM
    work = os.path.join(cache, "quality")
    os.makedirs(work, exist_ok=True)
    programs = bench.peer(cache)
    with open(os.path.join(DEMO, "config.json"), encoding="utf-8") as f:
        c = json.load(f)
    c["head_dim"] = AutoConfig.from_pretrained(DEMO).hidden_size // c["num_attention_heads"]
    weights = {k: v.float().numpy() for k, v in Lfm2MoeForCausalLM.from_pretrained(DEMO).state_dict().items()}
    whole = os.path.join(work, "demo.gguf")
    write_float_file(whole, c, weights)
    text = os.path.join(work, "text")
    with open(text, "w", encoding="utf-8") as f:
        for name in ("EVAL.md", "README.md"):
            with open(os.path.join(DEMO, name), encoding="utf-8") as part:
                f.write(part.read())
    out = {"text": f"The demo model padded to 256, up to {args.chunks} chunks of {N_CTX} tokens of its EVAL.md and "
                   f"README.md, the second half of each scored, all {c['vocab_size']} logits. Oracle: transformers in "
                   "float32 on the decoded weights. Few positions, where a token goes to another expert, make most of "
                   "the mean; so the median stands beside it, and beside the verdict the standard error of the "
                   "difference of the means.", "files": {}}
    for name in args.types.split(","):
        path = os.path.join(work, f"demo-{name}.gguf")
        run([os.path.join(programs, "llama-quantize"), whole, path, name])
        reference = None
        for step, mode in ((N_CTX, "prompt"), (1, "decode")):
            tokens, theirs = peer_logits(os.path.join(programs, "llama-perplexity"), path, text,
                                         os.path.join(work, "peer.bin"), args.chunks, args.threads, step)
            chunks = tokens.copy()
            chunks[:, 0] = c["bos_token_id"]  # as llama-perplexity does
            if reference is None:
                reference = oracle(path, c, chunks)
            ours = our_logits(os.path.join(bench.BUILD, "tests/bench/logits"), path, chunks, work, args.threads, step)
            out["files"][f"{name}, {mode}"] = summary(reference, ours, theirs) | {"positions": len(chunks) * SCORED}
            bench.say(f"{name}, {mode}: {out['files'][f'{name}, {mode}']}")
    return out


def main():
    parser = argparse.ArgumentParser(description="KL divergence from the float forward, lfmd and llama.cpp.")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--chunks", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    cache = bench.cache_dir()
    os.makedirs(cache, exist_ok=True)
    enter_venv(cache)
    try:
        out = compare(args, cache)
    except (bench.serve.Trouble, subprocess.SubprocessError) as trouble:
        sys.exit(f"quality: {trouble}")
    with open(os.path.join(cache, "quality.json"), "w", encoding="utf-8") as f:
        json.dump(out, f, indent=1)
    print("\n".join(report.quality_section(out)))
    if os.path.exists(os.path.join(cache, "results-full.json")):
        report.write(cache, "full", os.path.join(HERE, "RESULTS.md"))


if __name__ == "__main__":
    main()
