"""Models of odd shapes and formats answer from their GGUF files; files that
are wrong in what no unit test writes are refused in a sentence."""
import struct

import raw_gguf as raw
import pytest
from test_gguf import refused

ODD = {  # numbers, formats by the end of the name
    "no width is whole blocks": (
        dict(hidden=50, ffn=33, moe=17, vocab=301, heads=3, kv=1, dim=6,
             experts=3, used=3), {}),
    "some are": (
        dict(hidden=48, ffn=64, vocab=317),
        {"ffn_down.weight": "Q4_0", "attn_output.weight": "Q8_0",
         "ffn_down_exps.weight": "Q4_1"}),
    "formats differ inside a layer": (
        dict(moe=64, width=1),
        {"gate_exps.weight": "Q4_0", "1.ffn_down_exps.weight": "Q5_0",
         "2.ffn_down_exps.weight": "F16", "token_embd.weight": "Q8_0",
         "output.weight": "F32"}),
    "convolutions alone": (dict(kinds="cc", width=16), {"proj.weight": "Q5_1"}),
    "attention alone": (dict(kinds="aa", dim=1024, heads=2), {}),
    "one expert": (dict(experts=1, used=1, dense=0), {"exps.weight": "Q8_0"}),
}


def answers(d):
    for prompt in ("hello", "x" * 70):
        r = d.post("/v1/completions", {"prompt": prompt, "max_tokens": 4})
        assert r.status_code == 200, r.text
    assert d.stop() == 0, d.log()


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("quantize", [None, "q4_0"])
def test_odd_shapes_answer(start, tmp_path, case, quantize):
    numbers, types = ODD[case]
    m = raw.Model(**numbers)
    m.types = types
    m.build()
    if "output.weight" in types:
        m.add("output.weight", m.n["vocab"], m.n["hidden"])
    if case == "one expert":  # as a writer that drops dimensions of one
        for t in m.tensors:
            if len(t.dims) > 1 and t.dims[-1] == 1:
                t.dims.pop()
    more = ("--quantize", quantize) if quantize else ()
    answers(start("--model", m.write(tmp_path / "m.gguf"), *more))


def test_floats_that_lie_unaligned_are_copied_and_counted(start, tmp_path):
    m = raw.Model()
    m.default, m.align = "BF16", 1
    m.build()
    sizes = set()
    for pad in range(2):  # one of the two is odd
        m.keys["general.name"] = (raw.STR, "x" * (pad + 1))
        d = start("--model", m.write(tmp_path / f"m{pad}.gguf"))
        sizes |= {w for w in ("packed weights", "mapped weights")
                  if w in d.log()}
        answers(d)
    assert sizes == {"packed weights", "mapped weights"}


def test_tensors_that_nobody_asks_for_are_told(start, tmp_path):
    m = raw.Model().build()
    m.tensors.append(raw.Tensor("blk.1.attn_q.bias", [5], 99, b""))
    d = start("--model", m.write(tmp_path / "m.gguf"))
    assert "1 tensors are ignored, the first is blk.1.attn_q.bias" in d.log()
    answers(d)


def test_scales_that_are_no_numbers_are_an_error_of_the_answer(start, tmp_path):
    m = raw.Model()
    m.default = "Q4_0"
    m.build()
    t = m.tensor("blk.0.ffn_down.weight")
    t.data = struct.pack("<H", 0x7E00) + t.data[2:]
    d = start("--model", m.write(tmp_path / "m.gguf"))
    r = d.post("/v1/completions", {"prompt": "hello", "max_tokens": 4})
    assert r.status_code == 500 and "NaN" in r.json()["error"]["message"]
    assert d.stop() == 0


TOKENS = "tokenizer.ggml."


@pytest.mark.parametrize("key, value, said", [
    ("lfm2moe.shortconv.l_cache", (raw.U32, 17), "17"),
    ("lfm2moe.rope.scaling.type", (raw.STR, b"\xff"), "not UTF-8"),
    ("lfm2moe.rope.freq_base", (12, 1e-300), "not finite"),
    ("general.sampling.temp", (raw.F32, 1e9), "general.sampling.temp"),
    ("general.architecture", (raw.STR, b"\x1b[31m\xff\nx"), "`?[31m??x`"),
    ("x", struct.pack("<IIQ", raw.ARR, raw.STR, 2**61), "ends in the value"),
    (TOKENS + "tokens", (raw.ARR, (raw.STR, [])), "0 tokens"),
    ("tokenizer.chat_template", (raw.STR, b"\xff"), "UTF-8"),
])
def test_keys_that_make_no_sense_are_refused(tmp_path, key, value, said):
    m = raw.Model().build()
    m.keys[key] = value
    if key.endswith("l_cache"):
        m.n["width"] = 17
        for t in m.tensors:
            if t.name.endswith("conv.conv.weight"):
                t.dims, t.data = [17, 64], bytes(17 * 64 * 4)
    assert said in refused(m.write(tmp_path / "m.gguf"))


def test_an_end_token_that_is_none_is_none(start, tmp_path):
    m = raw.Model().build()
    m.keys[TOKENS + "eos_token_id"] = (raw.U32, 2**32 - 1)
    answers(start("--model", m.write(tmp_path / "m.gguf")))
