"""GGUF files: the demo model in them says what it says from safetensors, and
what is no model is refused in one sentence."""
import os
import shutil
import subprocess

import gguf
import make_gguf
import pytest
from conftest_daemon import BINARY, DEMO

GREEDY = {"temperature": 0, "extra_body": {"repetition_penalty": 1.0}}


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The demo model as GGUF files, by type."""
    d = tmp_path_factory.mktemp("gguf")
    return {kind: make_gguf.write(DEMO, d / f"lfm2-demo-{kind}.gguf", kind)
            for kind in ("F32", "Q8_0")}


@pytest.fixture(scope="session")
def f32(start, files):
    return start("--model", str(files["F32"]))


def plain(golden):
    """Cases whose completion is content alone."""
    return [c for c in golden["cases"]
            if "<|tool_call" not in c["completion"]
            and "<think>" not in c["completion"]]


def ask(daemon, case, **kw):
    more = {"tools": case["tools"]} if case["tools"] else {}
    return daemon.client().chat.completions.create(
        model="x", messages=case["messages"],
        **{"max_tokens": 64, **GREEDY, **more, **kw})


def test_f32_says_what_the_goldens_say(f32, demo_golden):
    for case in plain(demo_golden):
        r = ask(f32, case)
        said = case["completion"].removesuffix("<|im_end|>")
        assert r.choices[0].message.content == said
        assert r.usage.completion_tokens == len(case["completion_ids"])
        assert r.choices[0].finish_reason == (
            "stop" if case["finished"] else "length")


def test_template_and_tokens_are_those_of_the_checkpoint(f32, demo_golden):
    for case in demo_golden["cases"]:
        body = {"messages": case["messages"],
                "add_generation_prompt": case["add_generation_prompt"]}
        if case["tools"]:
            body["tools"] = case["tools"]
        r = f32.post("/apply-template", body)
        assert r.json()["prompt"] == case["text"]
        assert f32.post("/tokenize", body).json()["tokens"] == case["ids"]


def test_the_model_is_called_as_its_file_is(f32):
    models = [m.id for m in f32.client().models.list()]
    assert models == ["lfm2-demo-F32"]
    assert "temperature 0.3" in f32.log() and "min_p 0.15" in f32.log()


def test_q8_0_begins_as_the_goldens_do(start, files, demo_golden):
    d = start("--model", str(files["Q8_0"]))
    for case in plain(demo_golden):
        r = ask(d, case, max_tokens=3)
        assert case["completion"].startswith(r.choices[0].message.content)
    assert d.stop() == 0


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_a_checkpoint_may_be_quantised_while_it_loads(start, demo_golden, kind):
    d = start("--model", str(DEMO), "--quantize", kind)
    r = ask(d, plain(demo_golden)[0], max_tokens=3)
    assert plain(demo_golden)[0]["completion"].startswith(
        r.choices[0].message.content)
    assert d.stop() == 0


def test_a_blob_without_a_suffix_is_called_by_its_metadata(start, files,
                                                           tmp_path):
    blob = tmp_path / "sha256-0123456789abcdef"
    blob.symlink_to(files["F32"])
    d = start(str(blob))
    assert [m.id for m in d.client().models.list()] == ["LFM2 Demo"]
    assert d.stop() == 0


def test_split_files_open_by_any_part_and_by_their_directory(start, tmp_path,
                                                             demo_golden):
    make_gguf.write(DEMO, tmp_path / "demo.gguf", "F32", split=20)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) > 2
    for word in (parts[1], tmp_path):
        d = start("--model", str(word))
        r = ask(d, plain(demo_golden)[0])
        assert plain(demo_golden)[0]["completion"].startswith(
            r.choices[0].message.content)
        assert [m.id for m in d.client().models.list()] == ["demo"]
        assert d.stop() == 0
    parts[2].unlink()
    said = refused(str(parts[0]))
    assert parts[2].name in said or "3" in said


def test_a_repository_is_found_in_the_local_cache(start, files, tmp_path):
    repo = tmp_path / "models--Acme--Demo-GGUF"
    snapshot = repo / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0123abc")
    for kind, f in files.items():
        (snapshot / f"Demo-{kind}.gguf").symlink_to(f)
    env = {"HF_HUB_CACHE": str(tmp_path)}
    for word, name in (("Acme/Demo-GGUF", "Demo-Q8_0"),
                       ("Acme/Demo-GGUF:f32", "Demo-F32")):
        d = start("--model", word, env=env)
        assert [m.id for m in d.client().models.list()] == [name]
        assert d.stop() == 0
    said = refused("Acme/Other", env=env)
    assert str(tmp_path) in said and "hf download Acme/Other" in said


def refused(path, *args, env=None):
    """The one sentence after which the daemon exits with 1."""
    r = subprocess.run([BINARY, "--port", "0", "--model", path, *args],
                       capture_output=True, text=True, timeout=60,
                       env={**os.environ, **(env or {})})
    assert r.returncode == 1, r.stderr
    last = r.stderr.strip().splitlines()[-1]
    assert last.startswith(f"lfmd: cannot load the model in {path}: "), last
    return last


def edited(out, source, **keys):
    """A copy with other metadata; a value of None drops the key."""
    reader = gguf.GGUFReader(source)
    arch = keys.pop("arch", "lfm2moe")
    w = gguf.GGUFWriter(str(out), arch)
    for name, f in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = keys.get(name, f.contents())
        if value is None:
            continue
        sub = f.types[-1] if f.types[0] == gguf.GGUFValueType.ARRAY else None
        w.add_key_value(name, value, f.types[0], sub)
    for t in reader.tensors:
        w.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return str(out)


def test_what_is_no_gguf_file_is_refused(tmp_path, files):
    f = tmp_path / "x.gguf"
    f.write_bytes(b"")
    assert "empty" in refused(str(f))
    f.write_text("once upon a time\n")
    assert "GGUF" in refused(str(f))
    whole = files["F32"].read_bytes()
    for n in (4, 20, 5000, len(whole) // 2, len(whole) - 1):
        f.write_bytes(whole[:n])
        refused(str(f))


def test_what_is_another_model_is_refused(tmp_path, files):
    f = tmp_path / "x.gguf"
    source = files["Q8_0"]
    assert "llama" in refused(edited(f, source, arch="llama"))
    for key, value, said in [
            ("tokenizer.ggml.model", "llama", "gpt2"),
            ("tokenizer.ggml.pre", "qwen2", "qwen2"),
            ("tokenizer.ggml.pre", None, "tokenizer.ggml.pre"),
            ("tokenizer.ggml.bos_token_id", 99999, "bos_token_id"),
            ("tokenizer.chat_template", "{% if %}", "tokenizer.chat_template"),
            ("lfm2moe.embedding_length", 191, "191")]:
        assert said in refused(edited(f, source, **{key: value}))


def test_a_directory_of_two_models_lists_them(tmp_path, files):
    for kind in files:
        shutil.copy(files[kind], tmp_path)
    said = refused(str(tmp_path))
    assert "lfm2-demo-F32.gguf, lfm2-demo-Q8_0.gguf" in said


def test_a_type_that_is_not_offered_is_refused(files):
    assert "q3_k" in refused(str(DEMO), "--quantize", "q3_k")


def test_a_turn_ends_where_chatml_says_whatever_eos_is(start, tmp_path, files,
                                                       demo_golden):
    f = edited(tmp_path / "x.gguf", files["F32"],
               **{"tokenizer.ggml.eos_token_id": 2})
    d = start("--model", f)
    case = next(c for c in plain(demo_golden) if c["finished"])
    r = ask(d, case)
    assert r.choices[0].finish_reason == "stop"
    assert r.usage.completion_tokens == len(case["completion_ids"])
    assert d.stop() == 0


def test_an_early_tokenizer_is_told_to_its_user(start, tmp_path, files):
    types = gguf.GGUFReader(files["F32"]).fields[
        "tokenizer.ggml.token_type"].contents()
    types[10] = int(gguf.TokenType.NORMAL)
    f = edited(tmp_path / "x.gguf", files["F32"],
               **{"tokenizer.ggml.token_type": types})
    d = start("--model", f)
    assert d.log().count("download the file again") == 1
    r = d.post("/tokenize", {"prompt": "<|tool_call_start|>"})
    assert r.json()["tokens"][-1] == 10
    assert d.stop() == 0
