"""Damaged and contradictory attention traces: each is refused with the file, the value and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from evictlab.traces.attention import (
    AttentionTrace,
    LayerInfo,
    open_attention,
    random_attention,
    verify_attention,
    write_attention,
)
from evictlab.traces.errors import FormatError, TraceError, UsageError

LAYER = "layers/0/01.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound trace: 2 layers, 4 heads in 2 groups, head_dim 8, 20 + 6 tokens, float16."""
    trace = random_attention(layers=2, heads=4, kv_heads=2, head_dim=8, prompt=20, decode=6, dtype="float16")
    return write_attention(trace, tmp_path / "t")


def refusal(path: Path, *, layer: int | None = 1) -> str:
    """What opening the trace, and reading a layer and its weights, says."""
    with pytest.raises(TraceError) as told:
        trace = open_attention(path)
        if layer is not None:
            trace.request(0).layers[layer].k32()
            trace.wo(layer)
    assert isinstance(told.value, FormatError)
    return str(told.value)


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the tensors of a file."""
    tensors = {name: array.copy() for name, array in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


MANIFESTS: dict[str, tuple[dict[str, Any], str]] = {
    "newer layout": ({"schema_version": 2}, "schema_version is 2, and this evictlab reads 1"),
    "no version": ({"schema_version": None}, "schema_version is None"),
    "number type": ({"dtype": "fp16"}, "unknown dtype 'fp16'. Did you mean 'float16'"),
    "groups": ({"kv_heads": 3}, "heads is 4 and kv_heads is 3: .* nearest kv_heads is 2"),
    "no heads": ({"kv_heads": 0}, "kv_heads is 0, not a whole number from 1 up"),
    "half a head": ({"heads": 4.5}, "heads is 4.5"),
    "scale": ({"scale": 0}, "scale is 0, not a positive number"),
    "softcap": ({"softcap": -1.0}, "softcap is -1.0"),
    "width": ({"d_model": "576"}, "d_model is '576'"),
    "misspelt": ({"softcaps": 30.0}, "unknown field 'softcaps'. Did you mean 'softcap'"),
    "no layers": ({"layers": []}, "layers is empty"),
    "layers of another kind": ({"layers": 30}, "layers is 30, not a list"),
    "a layer that is a number": ({"layers": [9]}, "expected the fields of LayerInfo, found 9"),
    "fewer layers in the model": ({"n_layers": 1}, r"indices \[0, 1\]; expected ascending ones below 1"),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_manifests(what: str, folder: Path) -> None:
    change, words = MANIFESTS[what]
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FormatError, match=words) as told:
        open_attention(folder)
    assert str(told.value).startswith(f"{path}: ")


def test_a_manifest_is_refused_in_whole_sentences(folder: Path) -> None:
    """The nearest name ends in a question mark, after which no full stop comes."""
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    for changed, words in (
        ({"dtype": "float64"}, "unknown dtype 'float64'. Did you mean 'float16' or 'bfloat16' or 'float32'?"),
        ({"dtype": "q"}, "unknown dtype 'q'. Known: bfloat16, float16, float32."),
        ({"kv_heads": 0}, "kv_heads is 0, not a whole number from 1 up."),
    ):
        path.write_text(json.dumps(facts | changed))
        assert refusal(folder, layer=None) == f"{path}: {words}"


LAYERS: dict[str, tuple[dict[str, Any], str]] = {
    "pairing": ({"pairing": "interleaved"}, "layer 1: unknown pairing 'interleaved'.* adjacent, half"),
    "odd rotation": ({"rotary_dim": 7}, "rotary_dim is 7; a rotation turns pairs"),
    "rotation beyond the head": ({"rotary_dim": 16}, "rotary_dim is 16, above head_dim 8"),
    "theta": ({"rope_theta": "1e4"}, "rope_theta is '1e4'"),
    "window": ({"window": 0}, "window is 0, not a whole number from 1 up"),
    "twice": ({"index": 0}, r"indices \[0, 0\]"),
    "misspelt": ({"theta": 1.0}, "unknown field 'theta'. Did you mean 'rope_theta'"),
}


@pytest.mark.parametrize("what", LAYERS)
def test_layers_of_a_manifest(what: str, folder: Path) -> None:
    change, words = LAYERS[what]
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    facts["layers"][1] |= change
    path.write_text(json.dumps(facts))
    with pytest.raises(FormatError, match=words):
        open_attention(folder)


def test_a_field_that_is_missing(folder: Path) -> None:
    path = folder / "manifest.json"
    facts = json.loads(path.read_text())
    del facts["head_dim"]
    path.write_text(json.dumps(facts))
    assert "Manifest lacks head_dim" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "\x00", '"text"', "[1]"])
def test_no_manifest_at_all(text: str, folder: Path) -> None:
    (folder / "manifest.json").write_text(text)
    assert "manifest.json" in refusal(folder)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 40, -1])
def test_a_layer_that_is_cut_off(keep: int, folder: Path) -> None:
    path = folder / LAYER
    path.write_bytes(path.read_bytes()[:keep])
    text = refusal(folder)
    assert text.startswith(str(path)) and "no whole safetensors file" in text and "copy it again" in text
    # verify goes on to the end and says which layer it was.
    found = verify_attention(open_attention(folder))
    assert [bool(check.problem) for check in found.checks] == [False, True]


def test_every_byte_of_a_header_matters(folder: Path) -> None:
    """A flipped bit in the header is an error of ours or a sound trace, never a crash or numbers from elsewhere."""
    path = folder / LAYER
    sound = path.read_bytes()
    end = 8 + int.from_bytes(sound[:8], "little")
    refused = 0
    for place in range(end):
        damaged = bytearray(sound)
        damaged[place] ^= 4
        path.write_bytes(bytes(damaged))
        try:
            layer = open_attention(folder).request(0).layers[1]
        except FormatError:
            refused += 1
        else:
            assert layer.k.shape == layer.v.shape == (2, 26, 8) and layer.q.shape == (4, 26, 8)
    assert refused > 0.8 * end


SHAPES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "heads of keys": (lambda t: t.update(k=t["k"][:1].copy()), r"k has the shape \[1, 26, 8\], .* say \[2, 26, 8\]"),
    "tokens": (lambda t: t.update(v=t["v"][:, :25].copy()), r"v has the shape \[2, 25, 8\]"),
    "head_dim": (lambda t: t.update(q=t["q"][..., :4].copy()), r"q has the shape \[4, 26, 4\]"),
    "heads of queries": (lambda t: t.update(q=t["q"][:3].copy()), r"q has the shape \[3, 26, 8\]"),
    "axes": (lambda t: t.update(q=t["q"][0].copy()), r"q has the shape \[26, 8\]"),
    "no values": (lambda t: t.pop("v"), "lacks 'v'; it holds columns, k, lse, q"),
    "number type": (lambda t: t.update(k=t["k"].astype(np.float32)), "k is float32, and the manifest says float16"),
    "sums in half precision": (lambda t: t.update(lse=t["lse"].astype(np.float16)), "lse is float16, .* float32"),
    "sums of other queries": (lambda t: t.update(lse=t["lse"][:, 1:].copy()), r"lse has the shape \[4, 25\]"),
    "columns of all tokens": (lambda t: t.update(columns=t["lse"]), r"columns has the shape \[4, 26\], .* \[4, 20\]"),
    "no decoded queries": (
        lambda t: t.update(q=t["q"][:, :5].copy(), lse=t["lse"][:, :5].copy()),
        "q holds 5 queries of 26 positions, of which 6 are decoded",
    ),
    "more queries than positions": (
        lambda t: t.update(q=np.zeros((4, 30, 8), np.float16), lse=np.zeros((4, 30), np.float32)),
        "q holds 30 queries, and there are only 26 positions: more queries than positions",
    ),
    "bits of bfloat16": (lambda t: t.update(v=t["v"].view(np.uint16)), "v is bfloat16, and the manifest says float16"),
    "x of another width": (
        lambda t: t.update(x=np.zeros((26, 31), np.float16)),
        r"x has the shape \[26, 31\], .* \[26, 32\]",
    ),
    "NaN": (lambda t: t["k"].__setitem__((1, 2, 3), np.nan), r"k\[1, 2, 3\] is nan, one of 1 numbers"),
    "infinity": (lambda t: t["k"].__setitem__((0, slice(2)), -np.inf), r"k\[0, 0, 0\] is -inf, one of 16 numbers"),
}


@pytest.mark.parametrize("what", SHAPES)
def test_tensors_that_contradict_the_manifest(what: str, folder: Path) -> None:
    change, words = SHAPES[what]
    rewrite(folder / LAYER, change)
    with pytest.raises(FormatError, match=words) as told:
        open_attention(folder).request(0).layers[1].k32()
    assert str(told.value).startswith(str(folder / LAYER))


def test_a_manifest_that_says_bfloat16_of_float16_files(folder: Path) -> None:
    """It is said what the file holds, not what the manifest made of it."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "bfloat16"}))
    assert "k is float16, and the manifest says bfloat16" in refusal(folder)


def test_a_layer_that_was_not_told_that_it_holds_bfloat16(tmp_path: Path) -> None:
    trace = random_attention(layers=1, heads=2, kv_heads=1, head_dim=8, prompt=20, decode=6, dtype="bfloat16")
    request = trace.request(0)
    untold = replace(request, layers=(replace(request.layers[0], bfloat16=False),))
    with pytest.raises(FormatError, match="bfloat16 is False, and the manifest says bfloat16"):
        write_attention(replace(trace, requests=(untold,)), tmp_path / "t")


def test_an_unknown_number_type(folder: Path) -> None:
    rewrite(folder / LAYER, lambda t: t.update(k=t["k"].astype(np.complex64)))
    assert "k has the number type 'C64'" in refusal(folder)


def test_a_layer_that_is_missing_is_missed_at_once(folder: Path) -> None:
    (folder / LAYER).unlink()
    text = refusal(folder, layer=None)
    assert text.startswith(f"{folder / LAYER}: is missing") and "lists 2 layers of which 1 have no file" in text


WEIGHTS: dict[str, tuple[dict[str, Any], str]] = {
    "transposed or cut": ({"wo": np.zeros((32, 31), np.float32)}, r"wo has the shape \[32, 31\], .* \[32, 32\]"),
    "blocks": ({"wo_q4_1": np.zeros((32, 1, 18), np.uint8)}, r"wo_q4_1 has the shape \[32, 1, 18\], .* \[32, 1, 20\]"),
    "blocks of floats": ({"wo_q4_1": np.zeros((32, 1, 20), np.float32)}, "wo_q4_1 is float32, expected uint8"),
    "integers": ({"wo": np.zeros((32, 32), np.int32)}, "wo is int32, expected float16 or float32"),
    "another name": ({"o_proj": np.zeros((32, 32), np.float32)}, "holds o_proj; expected 'wo' or 'wo_q4_1'"),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_output_weights(what: str, folder: Path) -> None:
    tensors, words = WEIGHTS[what]
    save_file(tensors, folder / "weights/01.safetensors")
    with pytest.raises(FormatError, match=words):
        open_attention(folder).wo(1)
    assert "weights" in verify_attention(open_attention(folder)).checks[1].problem


def requests(folder: Path, **columns: Any) -> None:
    """Change the columns of the only request; None drops one."""
    path = folder / "requests.parquet"
    rows = pq.read_table(path).to_pydict() | columns
    pq.write_table(pa.table({name: column for name, column in rows.items() if column is not None}), path)


REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "column": ({"n_prompt": None}, "lacks the column 'n_prompt'; it has request_id"),
    "lengths": ({"n_prompt": [21]}, r"has 26 tokens, and 21 of the prompt \+ 6 decoded"),
    "no prompt": ({"n_prompt": [0], "n_decode": [26]}, "the prompt has at least one"),
    "way out": ({"request_id": ["../../t"]}, r"request_id is '\.\./\.\./t', which cannot name a folder"),
    "root": ({"request_id": ["/etc"]}, "cannot name a folder"),
    "number": ({"request_id": [7]}, "request_id is 7"),
    "nothing": ({"token_ids": [None]}, "token_ids, n_prompt and n_decode must be whole numbers"),
    "a gap": ({"token_ids": [[1, None, *range(24)]]}, "must be whole numbers"),
    "a large token": ({"token_ids": [[2**31, *range(25)]]}, "must be whole numbers"),
    "a word": ({"n_prompt": ["twenty"]}, "must be whole numbers .*'twenty'"),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_requests(what: str, folder: Path) -> None:
    change, words = REQUESTS[what]
    requests(folder, **change)
    with pytest.raises(FormatError, match=words) as told:
        open_attention(folder)
    assert "requests.parquet" in str(told.value)


def test_tokens_that_do_not_fit_the_keys(folder: Path) -> None:
    """Lengths agree with each other, and not with the tensors."""
    requests(folder, token_ids=[list(range(25))], n_prompt=[19])
    assert "k has the shape [2, 26, 8], and the manifest and the request say [2, 25, 8]" in refusal(folder)


def test_no_requests(folder: Path) -> None:
    path = folder / "requests.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(TraceError, match="has no request"):
        open_attention(folder)


@pytest.mark.parametrize("name", ["requests.parquet", "steps.parquet"])
def test_a_table_that_is_no_parquet(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"PAR1 no more PAR1")
    assert f"{name}: is no readable Parquet file" in refusal(folder)


def test_a_table_that_is_missing(folder: Path) -> None:
    (folder / "requests.parquet").unlink()
    assert "requests.parquet: is missing" in refusal(folder)


def test_steps_of_unequal_length(folder: Path) -> None:
    table = {
        "request_id": ["0", "0"],
        "step": [0, 1],
        "pos": [20, 21],
        "nll": [1.0, 2.0],
        "logsumexp": [1.0, 2.0],
        "top_ids": [[1, 2], [1]],
        "top_logits": [[1.0, 2.0], [1.0]],
    }
    pq.write_table(pa.table(table), folder / "steps.parquet")
    assert "steps.parquet: top_ids of request '0'" in refusal(folder)


def test_places_that_hold_no_trace(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*none.* or 'demo'"):
        open_attention(tmp_path / "none")
    with pytest.raises(FormatError, match=r"no attention trace: it has no manifest\.json"):
        open_attention(tmp_path)
    (tmp_path / "web.csv").write_text("a,b")
    with pytest.raises(UsageError, match="expected a folder"):
        open_attention(tmp_path / "web.csv")
    with pytest.raises(FormatError, match=r"format None, not 'kv-attention-trace/0'.* the one with manifest"):
        open_attention(folder / LAYER)
    assert open_attention(folder / "manifest.json").name == "t"


SINGLE_FACTS = {
    "format": "kv-attention-trace/0",
    "model": "m",
    "layers": "30",
    "heads": "4",
    "kv_heads": "2",
    "head_dim": "8",
    "prompt": "20",
    "decode": "6",
    "theta": "10000.0",
    "local_layers": "[5]",
    "window": "16",
}


def single(path: Path, facts: dict[str, str], **changed: Any) -> Path:
    """A single file with some tensors changed; None drops one."""
    tensors: dict[str, Any] = {
        "k": np.zeros((2, 2, 26, 8), np.float16),
        "v": np.zeros((2, 2, 26, 8), np.float16),
        "q": np.zeros((2, 4, 10, 8), np.float16),
        "layer_ids": np.array([3, 5], np.int32),
        "token_ids": np.arange(26, dtype=np.int32),
    } | changed
    save_file({name: array for name, array in tensors.items() if array is not None}, path, metadata=facts)
    return path


def test_a_single_file_with_local_layers(tmp_path: Path) -> None:
    trace = open_attention(single(tmp_path / "t.safetensors", SINGLE_FACTS))
    assert [(layer.index, layer.window) for layer in trace.manifest.layers] == [(3, None), (5, 16)]
    assert trace.manifest.licence == "" and trace.wo(0) is None


SINGLES: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "a tensor": ({}, {"token_ids": None}, "lacks the tensor 'token_ids'"),
    "words": ({"heads": "many"}, {}, "heads is 'many', expected a whole number"),
    "theta": ({"theta": "?"}, {}, "theta must be a number"),
    "groups": ({"kv_heads": "3"}, {}, "heads is 4 and kv_heads is 3"),
    "lengths": ({"prompt": "21"}, {}, "6 decoded"),
    "heads": ({"heads": "2"}, {}, r"q has the shape \[4, 10, 8\]"),
    "layers": ({}, {"layer_ids": np.array([3], np.int32)}, "layer_ids lists 1"),
    "tokens": ({}, {"token_ids": np.arange(25, dtype=np.int32)}, r"k has the shape \[2, 26, 8\]"),
    "number type": ({}, {"k": np.zeros((2, 2, 26, 8), np.int8)}, "k is int8"),
    "mixed": ({}, {"v": np.zeros((2, 2, 26, 8), np.float32)}, "v is float32, and the manifest says float16"),
}


@pytest.mark.parametrize("what", SINGLES)
def test_single_files(what: str, tmp_path: Path) -> None:
    facts, changed, words = SINGLES[what]
    path = single(tmp_path / "t.safetensors", SINGLE_FACTS | facts, **changed)
    with pytest.raises(FormatError, match=words) as told:
        open_attention(path)
    assert str(path) in str(told.value)


def test_arrays_that_contradict_each_other() -> None:
    k, q = np.zeros((2, 2, 26, 8)), np.zeros((2, 4, 26, 8))
    with pytest.raises(UsageError, match=r"expected \[layers, heads, tokens, head_dim\]"):
        AttentionTrace.from_arrays(k[0], k, q, 20)
    with pytest.raises(UsageError, match="have 2, 1, 2 layers"):
        AttentionTrace.from_arrays(k, k[:1], q, 20)
    with pytest.raises(TraceError, match="heads is 3 and kv_heads is 2"):
        AttentionTrace.from_arrays(k, k, q[:, :3], 20)
    with pytest.raises(TraceError, match="v has the shape"):
        AttentionTrace.from_arrays(k, k[:, :, :3], q, 20)
    with pytest.raises(TraceError, match="27 of the prompt"):
        AttentionTrace.from_arrays(k, k, q, 27)
    with pytest.raises(TraceError, match="has 2 layers, the manifest 1"):
        AttentionTrace.from_arrays(k, k, q, 20, layers=[LayerInfo(0, 1e4, 8)])
