"""Writes lfm2.gguf: the tokenizer of lfm2.json as a GGUF file without tensors.

Tokens, types and merges are laid out as llama.cpp's converter does it, so the
ids in golden.json, which Hugging Face `tokenizers` gave, must come out of this
file as well.  There is one gap of three unused ids at the end.

    python tests/oracle/tokenizer/make_gguf.py      (gguf 0.19)
"""
import json
import os

import gguf

HERE = os.path.dirname(os.path.abspath(__file__))


def add_tokenizer(writer, path, n_vocab):
    """tokenizer.ggml.* from a tokenizer.json."""
    with open(path) as f:
        d = json.load(f)
    tokens = [f"[PAD{i}]" for i in range(n_vocab)]
    types = [gguf.TokenType.UNUSED] * n_vocab
    for text, i in d["model"]["vocab"].items():
        tokens[i], types[i] = text, gguf.TokenType.NORMAL
    for t in d["added_tokens"]:
        tokens[t["id"]] = t["content"]
        types[t["id"]] = (gguf.TokenType.CONTROL if t["special"]
                          else gguf.TokenType.USER_DEFINED)
    merges = [m if isinstance(m, str) else " ".join(m)
              for m in d["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("lfm2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    ids = {t["content"]: t["id"] for t in d["added_tokens"]}
    writer.add_bos_token_id(ids["<|startoftext|>"])
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_pad_token_id(ids["<|pad|>"])
    writer.add_add_bos_token(True)


def main():
    source = os.path.join(HERE, "lfm2.json")
    with open(source) as f:
        d = json.load(f)
    n = max([*d["model"]["vocab"].values(),
             *(t["id"] for t in d["added_tokens"])]) + 1
    w = gguf.GGUFWriter(os.path.join(HERE, "lfm2.gguf"), "lfm2moe")
    add_tokenizer(w, source, n + 3)
    w.add_chat_template([{"name": "default", "template": "{{ bos_token }}plain"},
                         {"name": "tool_use", "template": "{{ tools }}"}])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
