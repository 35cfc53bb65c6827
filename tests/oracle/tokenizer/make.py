"""Writes the tokenizers and goldens of this folder with Hugging Face `tokenizers`.

Two small byte-level BPE tokenizers are trained, one with the split pattern of
LFM2 and one with that of LFM2.5, and two more differ in all that the loader
also accepts.  golden.json holds strings in many scripts and the ids that
`tokenizers` gives them: "on" with special tokens matched, "off" without
(encode_special_tokens), kept only where it differs.

    python tests/oracle/tokenizer/make.py      (tokenizers 0.23)
"""
import json
import os
import random
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
LFM2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LFM25 = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s"
SPECIAL = ["<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>", "<|im_start|>",
           "<|im_end|>", "<|tool_list_start|>", "<|tool_list_end|>", "<|tool_call_start|>", "<|tool_call_end|>",
           "<|tool_response_start|>", "<|tool_response_end|>"]
PLAIN = ["<think>", "</think>"]

PROSE = """
The quick brown fox jumps over the lazy dog, doesn't it? We'll see what they've done; I'm sure he'd know it's theirs.
Il était une fois une forêt où l'été durait toujours, ça va sans dire. Über allen Gipfeln ist Ruh, größer als heiß.
Příliš žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń. İstanbul'da ışıklar söndü. Tiếng Việt có nhiều dấu thanh.
Съешь же ещё этих мягких французских булок, да выпей чаю. Щастя не за горами, їжак їсть ґудзики.
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Γειά σου Κόσμε, πῶς εἶσαι;
نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر. السَّلَامُ عَلَيْكُمْ ١٢٣٤٥
דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. שָׁלוֹם עוֹלָם
ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश। नमस्ते दुनिया १२३
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน สวัสดีชาวโลก ๑๒๓
天地玄黃,宇宙洪荒。日月盈昃,辰宿列張。你好,世界!我们在北京吃饭,价格是一百二十三元。
いろはにほへと ちりぬるを。カタカナとひらがな、そして漢字。東京は日本の首都です。
키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. 안녕하세요 세계
👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 ❤️ 🇩🇪🇫🇷 😀😃😄 ☕ ✈️ ①②③ Ⅻ ½ ¾ x² H₂O
def main(argv: list[str]) -> int:\n    for i in range(10):\n        print(f"{i:03d}\\t{argv[i]!r}")\n    return 0
int main(void)\r\n{\r\n\treturn printf("%d\\n", 12345) == 0 ? 1 : -1;\r\n}
{"name": "get_weather", "arguments": {"city": "München", "days": 3, "metric": true}}
<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n<think>\nEasy.\n</think>\n4<|im_end|>
https://example.com/a/b?c=d&e=%20f#frag user.name+tag@example.org 192.168.0.1 2024-12-31T23:59:59Z 3.14159 1,000,000
"""
ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCXYZ", "'", "'sStTrReEvVmMlLdD", "0123456789", " ", "  \t", "\n", "\r\n", " \n\t\r",
    "\u00a0\u3000\u0085\u2028\u2029\u2003\u202f\u205f\u1680\x0b\x0c\u180e\u200b\ufeff", "\x00\x01\x07\x08\x1b\x1c\x1f\x7f\u0080\u009f\u00ad",
    "!?.,;:-_()[]{}<>|/\\@#$%^&*+=~`\"", "éàüßñøåœæıİſK", "жщыъёїґЩ", "αβγςΩάὦ", "ابتثجحَُِّ٠١٢", "אבגדשָׁ", "कखगघँंःािीु्१२", "กขคงเแไ็่้ำ๑๒",
    "天地玄黃宇宙洪荒一二三", "あいうえおアイウエオー", "가나다라마한글ᄀ까", "😀👍🏽‍❤️🇩🇪\u200d\ufe0f", "\u0301\u0308\u0327\u20dd", "①Ⅻ½²₂٣৪፫㊀", "ﬀﬁﬆǅǈ𝐀𝔸𐐀𠀀𓀀", "<|>",
]
MARKERS = SPECIAL + PLAIN + ["<|im_", "end|>", "<|im_end|", "<think", "<|im_start|><|im_end|>"]


def lines():
    return PROSE.strip().split("\n")


def strings():
    r = random.Random(20)
    out = ["", " ", "\n", "a", "'", "''s", "\u0000", "   x", "x   ", "\n\n \n x", " \n\n  \n", "a\u00a0 b", "12345678", "1 23 456 7890",
           "it'S It'Ll WE'VE i'M you'RE he'D can'T 'ſ 'll'll 'lL", "don’t", "\r\r\n\n\r", "\t\tif (x)\n\t\t\treturn;\n", "a\u0085b\u0085\u0085c"]
    out += lines() + [s.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t") for s in lines()]
    words = PROSE.split()
    while len(out) < 2200:
        kind, parts = r.randrange(5), []
        for _ in range(r.randint(1, 8)):
            if kind == 0 or r.random() < 0.25:
                parts.append(r.choice(words))
                parts.append(r.choice([" ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", ""]))
            elif kind == 1 and r.random() < 0.5:
                parts.append(r.choice(MARKERS))
            else:
                alphabet = r.choice(ALPHABETS)
                parts.append("".join(r.choice(alphabet) for _ in range(r.randint(1, 6))))
        out.append("".join(parts))
    # Only characters that the oldest Unicode we meet (14) knows.
    assert all(unicodedata.category(c) not in ("Cn", "Cs") for s in out for c in s)
    return out



def train(pre, size, ignore_merges, extra=()):
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tok.pre_tokenizer = pre
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
                                  special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    tok.train_from_iterator([s.replace("\\n", "\n") for s in lines()] * 3, trainer)
    tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in PLAIN] + list(extra))
    return tok


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(**options):
    return pre_tokenizers.ByteLevel(**options)


def save(tok, name, merges_as_text=False):
    d = json.loads(tok.to_str())
    if merges_as_text:
        d["model"]["merges"] = [" ".join(m) for m in d["model"]["merges"]]
    with open(os.path.join(HERE, name + ".json"), "w") as f:
        json.dump(d, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    return Tokenizer.from_str(json.dumps(d))


def ids(tok, text, bos):
    tok.encode_special_tokens = False
    on = tok.encode(text, add_special_tokens=bos).ids
    tok.encode_special_tokens = True
    off = tok.encode(text, add_special_tokens=bos).ids
    return [on] if on == off else [on, off]


def main():
    plain = dict(add_prefix_space=False, use_regex=False)
    bos = processors.TemplateProcessing(single="<|startoftext|> $A", pair="<|startoftext|> $A <|startoftext|> $B", special_tokens=[("<|startoftext|>", 1)])
    lfm2 = train(pre_tokenizers.Sequence([split(LFM2), byte_level(**plain)]), 900, True)
    lfm2.post_processor = bos
    lfm25 = train(pre_tokenizers.Sequence([split(LFM25), byte_level(**plain)]), 900, True)
    lfm25.post_processor = processors.Sequence([processors.ByteLevel(), bos])

    flags = [AddedToken("[L]", lstrip=True, special=True, normalized=False), AddedToken("[R]", rstrip=True, special=True, normalized=False),
             AddedToken("[LR]", lstrip=True, rstrip=True, normalized=True), AddedToken("word", single_word=True, normalized=True),
             AddedToken("mot", single_word=True, normalized=False), AddedToken("word and", normalized=True), AddedToken("\u3000x", normalized=False),
             AddedToken("[R][", special=False, normalized=False), AddedToken("é", special=False, normalized=False)]
    gpt2 = train(byte_level(add_prefix_space=True), 700, False, flags)
    gpt2.post_processor = processors.TemplateProcessing(single="<|startoftext|> $A <|endoftext|>", pair="$A $B", special_tokens=[("<|startoftext|>", 1), ("<|endoftext|>", 2)])
    stages = train(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Split(".", "isolated"),
                                            split(r"[\w]+|x*"), byte_level(add_prefix_space=True, use_regex=False)]), 500, False)

    texts = strings()
    few = texts[::8]
    pieces = ["[L]", "[R]", "[LR]", "word", "mot", "word and", "and", " ", "  ", "\u3000", "\u3000x", "x", ".", "é", "\u0301", "_", "\n", "[", "[R][", "<|im_end|>"]
    r = random.Random(7)
    flagged = ["".join(r.choice(pieces) for _ in range(r.randint(1, 7))) for _ in range(400)]
    golden = {"made_with": "tokenizers " + tokenizers.__version__, "sets": []}
    for name, tok, inputs, text_merges, with_bos in [("lfm2", lfm2, texts, False, False), ("lfm25", lfm25, texts, True, False), ("gpt2", gpt2, few + flagged, False, True),
                                                     ("stages", stages, few, False, False)]:
        tok = save(tok, name, text_merges)
        golden["sets"].append({"tokenizer": name, "bos": with_bos, "round_trip": name in ("lfm2", "lfm25"), "cases": [[t] + ids(tok, t, with_bos) for t in inputs]})
    with open(os.path.join(HERE, "golden.json"), "w") as f:
        f.write(json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace('],["', '],\n["') + "\n")


main()
