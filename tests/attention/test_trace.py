"""Attention traces: what is written is what is read, and what is recorded is what was computed."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evictlab.traces.attention import (
    AttentionTrace,
    LayerInfo,
    Manifest,
    Steps,
    open_attention,
    random_attention,
    softmax_sums,
    verify_attention,
    write_attention,
)
from evictlab.traces.attention import open as opening
from evictlab.traces.attention.layer import from_bfloat16, to_bfloat16
from evictlab.traces.attention.weights import decode_q4_1
from evictlab.traces.errors import TraceError, UsageError

SHAPE: dict[str, Any] = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "prompt": 20, "decode": 6}


def full(dtype: str = "float16", **facts: Any) -> AttentionTrace:
    """A trace that has everything that a trace may have."""
    rng = np.random.default_rng(5)
    n = 6
    top_ids = rng.integers(0, 99, (n, 3), dtype=np.int32)
    steps = Steps(
        pos=np.arange(20, 26, dtype=np.int32),
        nll=rng.random(n, dtype=np.float32),
        logsumexp=rng.random(n, dtype=np.float32),
        top_ids=top_ids,
        top_logits=rng.random((n, 3)).astype(np.float16),
    )
    return AttentionTrace.from_arrays(
        k=rng.standard_normal((2, 2, 26, 8)),
        v=rng.standard_normal((2, 2, 26, 8)),
        q=rng.standard_normal((2, 4, 10, 8)),
        n_prompt=20,
        lse=rng.random((2, 4, 10)),
        columns=rng.random((2, 4, 20)),
        x=rng.standard_normal((2, 26, 24)),
        wo=rng.standard_normal((2, 32, 24)).astype(np.float32),
        token_ids=range(100, 126),
        steps=steps,
        dtype=dtype,
        **{"licence": "MIT", "source": "a text", **facts},
    )


def content(trace: AttentionTrace) -> list[Any]:
    """All numbers of a trace, and what it says of itself."""
    request = trace.request(0)
    assert request.steps is not None
    layers = [{name: array.tolist() for name, array in layer.named().items()} for layer in request.layers]
    steps = {name: array.tolist() for name, array in vars(request.steps).items()}
    matrices = [trace.wo(i) for i in range(len(layers))]
    return [
        trace.manifest,
        request.token_ids.tolist(),
        (request.id, request.source, request.n_prompt, request.n_decode),
        layers,
        steps,
        [None if matrix is None else matrix.tolist() for matrix in matrices],
    ]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_what_is_written_is_read(dtype: str, tmp_path: Path) -> None:
    trace = full(dtype)
    folder = write_attention(trace, tmp_path / "t")
    again = open_attention(folder)
    assert content(again) == content(trace)
    assert again.sha256 == trace.sha256
    assert again.name == "t" and again.path == folder
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "manifest.json",
        "requests.parquet",
        "steps.parquet",
        *(f"layers/0/{i:02d}.safetensors" for i in range(2)),
        *(f"weights/{i:02d}.safetensors" for i in range(2)),
    }


def test_reading_maps_and_does_not_copy(tmp_path: Path) -> None:
    layer = open_attention(write_attention(full(), tmp_path / "t")).request(0).layers[0]
    base = layer.k
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        layer.k[0] = 0


def test_the_digest_sees_every_part() -> None:
    """Equal for equal content; another number anywhere, or another licence, is another trace."""
    trace = full()
    assert full().sha256 == trace.sha256
    request, layer = trace.request(0), trace.request(0).layers[1]
    assert request.steps is not None
    others = [full(licence="Apache-2.0")]
    for name, array in layer.named().items():
        changed = array.copy()
        changed.flat[-1] += 1
        layers = (request.layers[0], replace(layer, **{name: changed}))
        others.append(replace(trace, requests=(replace(request, layers=layers),)))
    others.append(replace(trace, requests=(replace(request, token_ids=request.token_ids + 1),)))
    others.append(replace(trace, requests=(replace(request, steps=replace(request.steps, nll=-request.steps.nll)),)))
    others.append(replace(trace, projections=trace.projections[::-1]))
    digests = [other.sha256 for other in others]
    assert len({trace.sha256, *digests}) == len(others) + 1 == 11


def test_several_requests_of_different_lengths(tmp_path: Path) -> None:
    """Each request has a folder of its own, and its own number of tokens."""
    one, two = random_attention(seed=1, **SHAPE), random_attention(seed=2, **{**SHAPE, "prompt": 12})
    requests = (replace(one.request(0), id="a", split="test"), replace(two.request(0), id="b.2"))
    both = replace(one, requests=requests)
    again = open_attention(write_attention(both, tmp_path / "t"))
    assert [(r.id, r.split, r.tokens) for r in again.requests] == [("a", "test", 26), ("b.2", "", 18)]
    assert again.sha256 == both.sha256
    assert again.facts()["prompt"] == "12 to 20 tokens"
    assert verify_attention(again).verdict == "exact"


def test_layers_are_opened_when_asked_for(tmp_path: Path) -> None:
    """Damage in layer 1 shows when layer 1 is read, and not before."""
    folder = write_attention(full(), tmp_path / "t")
    (folder / "layers/0/01.safetensors").write_bytes(b"")
    layers = open_attention(folder).request(0).layers
    assert len(layers) == 2 and layers[0].tokens == 26 and layers[0] is layers[0]
    with pytest.raises(TraceError, match=r"01\.safetensors"):
        layers[-1]
    with pytest.raises(IndexError):
        layers[2]


def test_a_failure_leaves_nothing_and_nothing_is_overwritten(tmp_path: Path) -> None:
    trace, place = full(), tmp_path / "t"
    bad = replace(trace, requests=(replace(trace.request(0), id="../out"),))
    with pytest.raises(TraceError, match=r"'\.\./out'"):
        write_attention(bad, place)
    layer = trace.request(0).layers[0]
    cut = replace(trace.request(0), layers=(layer, replace(layer, k=layer.k[:1])))
    with pytest.raises(TraceError, match="k has the shape"):
        write_attention(replace(trace, requests=(cut,)), place)
    assert list(tmp_path.iterdir()) == []
    write_attention(trace, place)
    with pytest.raises(UsageError, match="not empty"):
        write_attention(trace, place)


def test_the_notice_travels_along(tmp_path: Path) -> None:
    first = write_attention(full(), tmp_path / "a")
    (first / "NOTICE").write_text("terms")
    second = write_attention(open_attention(first), tmp_path / "b")
    assert (second / "NOTICE").read_text() == "terms"


def test_files_of_others_are_read(tmp_path: Path) -> None:
    """A recorder in torch writes real bfloat16; the package's own reader agrees about what we write."""
    torch = pytest.importorskip("torch")
    from safetensors.numpy import load_file
    from safetensors.torch import save_file

    trace = full("bfloat16")
    folder = write_attention(trace, tmp_path / "t")
    layer = trace.request(0).layers[0]
    path = folder / "layers/0/00.safetensors"
    assert {name: array.tolist() for name, array in load_file(path).items()} == {
        name: array.tolist() for name, array in layer.named().items()
    }
    floats = {"k": layer.k32(), "v": layer.v32(), "q": layer.q32()}
    save_file({name: torch.from_numpy(array).bfloat16() for name, array in floats.items()}, path)
    again = open_attention(folder).request(0).layers[0]
    assert again.bfloat16 and again.lse is None
    assert np.array_equal(again.k, layer.k) and np.array_equal(again.q32(), layer.q32())


def test_bfloat16_rounds_as_torch_does() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = (rng.standard_normal(10_000) * 10.0 ** rng.integers(-30, 30, 10_000)).astype(np.float32)
    halfway = np.array([0x3F808000, 0x3F818000, 0x3F808001], dtype=np.uint32).view(np.float32)
    values = np.concatenate([values, halfway, np.float32([0, -0.0, 1])])
    theirs = torch.from_numpy(values).bfloat16()
    assert np.array_equal(from_bfloat16(to_bfloat16(values)), theirs.float().numpy())
    assert to_bfloat16(halfway).tolist() == [0x3F80, 0x3F82, 0x3F81]  # to even, to even, up


def naive_sums(
    q: Any, k: Any, scale: float, window: int | None, softcap: float | None, n_prompt: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Attention of one query after the other, in plain Python."""
    heads, queries, tokens = len(q), len(q[0]), len(k[0])
    lse = [[0.0] * queries for _ in range(heads)]
    columns = [[0.0] * n_prompt for _ in range(heads)]
    for head in range(heads):
        keys = k[head // (heads // len(k))]
        for row in range(queries):
            at = tokens - queries + row
            first = 0 if window is None else max(0, at - window + 1)
            logits = {
                j: scale * sum(a * b for a, b in zip(q[head][row], keys[j], strict=True)) for j in range(first, at + 1)
            }
            if softcap:
                logits = {j: softcap * math.tanh(logit / softcap) for j, logit in logits.items()}
            lse[head][row] = math.log(sum(math.exp(logit) for logit in logits.values()))
            if at < n_prompt:
                for j, logit in logits.items():
                    columns[head][j] += math.exp(logit - lse[head][row])
    return lse, columns


def test_a_query_that_sees_two_equal_keys() -> None:
    """Logits 0 and 0: the sum of exp is 2, each key gets a half; the first query has one key, which gets all."""
    lse, columns = softmax_sums(np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 4), np.float32), 1.0)
    assert np.allclose(lse, [[0, math.log(2)]])
    assert columns.tolist() == [[1.5, 0.5]]


@pytest.mark.parametrize("queries", [26, 10, 6])
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (5, None), (1, None), (None, 2.0), (7, 3.0)])
def test_twin_of_the_sums(queries: int, window: int | None, softcap: float | None) -> None:
    rng = np.random.default_rng(queries)
    q = rng.standard_normal((4, queries, 8)).astype(np.float32)
    k = rng.standard_normal((2, 26, 8)).astype(np.float32)
    lse, columns = softmax_sums(q, k, 0.5, window=window, softcap=softcap, n_prompt=20)
    twin = naive_sums(q.tolist(), k.tolist(), 0.5, window, softcap, 20)
    assert np.allclose(lse, twin[0], atol=1e-5)
    assert np.allclose(columns, twin[1], atol=1e-5)


def test_blocks_of_queries_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries are taken some hundred at a time; how many must not matter."""
    from evictlab.traces.attention import causal

    layer = random_attention(**SHAPE).request(0).layers[0]
    whole = softmax_sums(layer.q32(), layer.k32(), 0.5, n_prompt=20)
    monkeypatch.setattr(causal, "BLOCK", 7)
    parts = softmax_sums(layer.q32(), layer.k32(), 0.5, n_prompt=20)
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("queries", [None, 4])
def test_a_sound_trace_is_exact(dtype: str, queries: int | None) -> None:
    found = verify_attention(random_attention(dtype=dtype, prompt_queries=queries, window=9, softcap=30.0, **SHAPE))
    assert found.verdict == "exact" and found.ok
    assert found.max_lse_error is not None and found.max_lse_error < found.tolerance / 2
    assert [check.column_error is not None for check in found.checks] == [True, True]
    assert str(found).startswith("exact: ")


def spoilt(what: str) -> AttentionTrace:
    """A trace with one of the mistakes that a recorder can make."""
    trace = random_attention(dtype="float16", rope_theta=100.0, **SHAPE)
    layer = trace.request(0).layers[1]
    half = [0, 4, 1, 5, 2, 6, 3, 7]
    changed: dict[str, Any] = {
        "layout": {"k": layer.k[..., half]},
        "position": {"q": np.roll(layer.q, 1, axis=1)},
        "order of heads": {"q": layer.q.reshape(2, 2, 26, 8).swapaxes(0, 1).reshape(4, 26, 8)},
        "logarithm": {"lse": None if layer.lse is None else layer.lse / np.float32(math.log(2))},
        "normalised columns": {"columns": None if layer.columns is None else layer.columns / 20},
        "columns of another head": {"columns": None if layer.columns is None else layer.columns[::-1]},
        "scale": {},
    }[what]
    request = replace(trace.request(0), layers=(trace.request(0).layers[0], replace(layer, **changed)))
    manifest = replace(trace.manifest, scale=1.0) if what == "scale" else trace.manifest
    return replace(trace, manifest=manifest, requests=(request,))


@pytest.mark.parametrize(
    "what",
    ["layout", "position", "order of heads", "logarithm", "normalised columns", "columns of another head", "scale"],
)
def test_a_mistake_is_found_in_its_layer(what: str) -> None:
    found = verify_attention(spoilt(what))
    assert found.verdict == "wrong" and not found.ok
    bad = [check.layer for check in found.checks if check.problem]
    assert bad == ([0, 1] if what == "scale" else [1])
    assert "request 0, layer 1: " in str(found)


def test_columns_are_checked_where_few_queries_are_recorded() -> None:
    """20 queries hand out 20 in each head, whoever they were: means instead of sums are noticed."""
    trace = random_attention(prompt_queries=3, **SHAPE)
    request, layer = trace.request(0), trace.request(0).layers[0]
    assert layer.columns is not None
    means = replace(layer, columns=layer.columns / 20)
    found = verify_attention(replace(trace, requests=(replace(request, layers=(means, request.layers[1])),)))
    assert [check.problem for check in found.checks] == [
        "columns of a head add up to 1.0, and 20 queries of the prompt hand out 1 each",
        "",
    ]


def test_numbers_that_are_not_finite_are_counted() -> None:
    trace = random_attention(dtype="bfloat16", **SHAPE)
    layer = trace.request(0).layers[0]
    layer.k[1, 3, 2] = 0x7FC0  # NaN
    layer.v[0, 0, :3] = 0x7F80  # infinity
    (first, second) = verify_attention(trace).checks
    assert (first.not_finite, second.not_finite) == (4, 0)
    assert first.problem == "numbers that are not finite: 1 in k, 3 in v"
    with pytest.raises(TraceError, match=r"k\[1, 3, 2\] is nan, one of 1 numbers"):
        layer.k32()
    with pytest.raises(TraceError, match=r"v\[0, 0, 0\] is inf, one of 3 numbers"):
        layer.v32()


def test_output_weights_that_are_not_finite() -> None:
    k, q, wo = np.ones((1, 2, 5, 4)), np.ones((1, 2, 5, 4)), np.ones((1, 8, 8), np.float32)
    wo[0, 3, 3] = np.inf
    (check,) = verify_attention(AttentionTrace.from_arrays(k, k, q, 4, wo=wo)).checks
    assert check.problem == "numbers that are not finite: 1 in wo"


def test_large_numbers_are_not_taken_for_infinite() -> None:
    """Their sum overflows float32, they do not."""
    k = np.full((1, 1, 4, 4), 3e38, dtype=np.float32)
    trace = AttentionTrace.from_arrays(k, k, k, 4)
    assert trace.request(0).layers[0].k32().max() == np.float32(3e38)


def test_without_a_log_sum_exp_nothing_is_claimed() -> None:
    trace = random_attention(**SHAPE)
    request = trace.request(0)
    bare = tuple(replace(layer, lse=None, columns=None) for layer in request.layers)
    found = verify_attention(replace(trace, requests=(replace(request, layers=bare),)))
    assert (found.verdict, found.ok, found.max_lse_error) == ("unchecked", True, None)


def test_a_random_trace_is_like_a_real_one() -> None:
    """A sink, recency, sparsity, and the same numbers for the same seed; unlike a real one it is exact by construction."""
    trace = random_attention(seed=4, layers=3, heads=4, kv_heads=2, head_dim=32, prompt=256, decode=64)
    assert trace.sha256 == random_attention(4, 3, 4, 2, 32, 256, 64).sha256
    assert trace.sha256 != random_attention(5, 3, 4, 2, 32, 256, 64).sha256
    sink, recent, few = [], [], []
    for layer in trace.request(0).layers:
        keys = layer.k32()
        for head in range(4):
            logits = layer.q32()[head, -1] @ keys[head // 2].T * trace.manifest.scale
            weights = np.exp(logits - logits.max())
            weights /= weights.sum()
            sink.append(weights[0])
            recent.append(weights[-32:].sum())
            few.append(int((np.cumsum(np.sort(weights)[::-1]) < 0.9).sum()) + 1)
    # Of a SmolLM2-135M: position 0 gets 0.27, the last 32 keys 0.34, and 5 % of the keys hold 90 %.
    assert 0.05 < np.mean(sink) < 0.4
    assert 0.2 < np.mean(recent) < 0.6
    assert 10 < np.mean(few) < 100


@pytest.mark.parametrize("rotary_dim", [0, 2, 8, None])
@pytest.mark.parametrize("pairing", ["half", "adjacent"])
def test_random_traces_of_any_layout(rotary_dim: int | None, pairing: str) -> None:
    trace = random_attention(pairing=pairing, rotary_dim=rotary_dim, d_model=10, **SHAPE)
    assert verify_attention(trace).verdict == "exact"
    assert {(layer.pairing, layer.rotary_dim) for layer in trace.manifest.layers} == {
        (pairing, 8 if rotary_dim is None else rotary_dim)
    }
    matrix = trace.wo(1)
    assert matrix is not None and matrix.shape == (32, 10)


def test_random_traces_say_that_they_are_synthetic() -> None:
    trace = random_attention(prompt_queries=3, **SHAPE)
    assert (trace.manifest.model, trace.manifest.mode) == ("synthetic", "synthetic")
    assert trace.request(0).layers[0].q_start == 17
    for wrong in ({"heads": 3}, {"head_dim": 5}, {"prompt": 0}, {"prompt_queries": 21}):
        with pytest.raises(UsageError):
            random_attention(**{**SHAPE, **wrong})


def naive_q4_1(block: bytes) -> list[float]:
    """One block of GGUF's Q4_1: step, minimum, 16 bytes; low halves first."""
    step, least = struct.unpack("<ee", block[:4])
    levels = [byte & 15 for byte in block[4:]] + [byte >> 4 for byte in block[4:]]
    return [step * level + least for level in levels]


def test_a_block_by_hand() -> None:
    """Step 2, minimum -1: byte 0xF1 gives 2 * 1 - 1 at place 0 and 2 * 15 - 1 at place 16."""
    block = struct.pack("<ee", 2.0, -1.0) + bytes([0xF1]) + bytes(15)
    numbers = decode_q4_1(np.frombuffer(block, np.uint8).reshape(1, 1, 20))[0]
    assert numbers[0] == 1 and numbers[16] == 29 and set(numbers[1:16]) == {-1}
    assert numbers.tolist() == naive_q4_1(block)


def q4_1_blocks() -> Any:
    rng = np.random.default_rng(8)
    blocks = rng.integers(0, 256, (24, 1, 20), dtype=np.uint8)
    blocks[..., :4] = rng.standard_normal((24, 1, 2)).astype("<f2").view(np.uint8)
    return blocks


def test_packed_output_weights(tmp_path: Path) -> None:
    """GGUF has a row per output feature, and the trace's matrix a column: decoded, then transposed."""
    from safetensors.numpy import save_file

    folder = write_attention(full(), tmp_path / "t")
    blocks = q4_1_blocks()
    save_file({"wo_q4_1": blocks}, folder / "weights/01.safetensors")
    (folder / "weights/00.safetensors").unlink()
    trace = open_attention(folder)
    matrix = trace.wo(1)
    assert trace.wo(0) is None and matrix is not None
    assert matrix.tolist() == np.array([naive_q4_1(row.tobytes()) for row in blocks], np.float32).T.tolist()
    # Written again they stay packed: 4 bits are not blown up to 32.
    again = open_attention(write_attention(trace, tmp_path / "u"))
    assert again.sha256 == trace.sha256
    assert (tmp_path / "u/weights/01.safetensors").stat().st_size < 1000


def test_packed_weights_as_the_gguf_package_reads_them() -> None:
    gguf = pytest.importorskip("gguf")
    numbers = np.random.default_rng(1).standard_normal((16, 192)).astype(np.float32)
    raw = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.Q4_1)
    theirs = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType.Q4_1)
    ours = decode_q4_1(raw.reshape(16, 6, 20))
    assert np.array_equal(ours, theirs)
    assert np.abs(ours - numbers).max() < 0.3  # 15 steps over a range of some 4


def test_half_precision_weights(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = write_attention(full(), tmp_path / "t")
    matrix = np.random.default_rng(0).standard_normal((32, 24)).astype(np.float16)
    save_file({"wo": matrix}, folder / "weights/00.safetensors")
    read = open_attention(folder).wo(0)
    assert read is not None and read.dtype == np.float32 and np.array_equal(read, matrix)


def test_a_trace_tells_what_it_is() -> None:
    trace = full(n_layers=30, licence="")
    assert repr(trace) == (
        "AttentionTrace('in memory', model='in memory', layers=2/30, heads=4, kv_heads=2, head_dim=8, prompt=20, decode=6)"
    )
    facts = trace.facts()
    assert facts["layers"] == "2 of 30 (0, 1)"
    assert facts["heads"] == "4 of queries, 2 of keys and values"
    # Key and value, 2 heads, 8 coordinates, 2 bytes: 64; in 30 layers 1920.
    assert facts["bytes per token"] == "64 B per layer, 1.88 KiB in all"
    assert facts["recorded queries"] == "the last 10 positions"
    assert facts["licence"] == "not stated"
    assert "<th>recorded queries</th><td>the last 10 positions</td>" in trace._repr_html_()
    assert repr(trace.request(0).layers[0]).startswith("LayerTensors(k=[2, 26, 8], v=[2, 26, 8], q=[4, 10, 8]")
    assert trace.group == 2


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ((None, None), "none"),
        ((16, None), "16 tokens in some layers"),
        ((16, 16), "16 tokens in all layers"),
        ((16, 4), "4, 16 tokens in all layers"),
    ],
)
def test_windows_are_said_to_be_where_they_are(windows: tuple[int | None, ...], words: str) -> None:
    layers = [LayerInfo(i, 1e4, 8, window=window) for i, window in enumerate(windows)]
    assert full(layers=layers).facts()["window"] == words


def test_a_program_is_told_numbers_and_a_person_sentences(tmp_path: Path) -> None:
    import typer
    from typer.testing import CliRunner

    from evictlab.experiments.cli.attention.info import info

    app = typer.Typer()
    app.command()(info)
    folder = write_attention(full(n_layers=30), tmp_path / "t")
    told = json.loads(CliRunner().invoke(app, [str(folder), "--json"]).stdout)
    assert (
        told
        | {
            "requests": 1,
            "layers": [0, 1],
            "layers_of_model": 30,
            "heads": 4,
            "kv_heads": 2,
            "head_dim": 8,
            "rope_theta": [1e4, 1e4],
            "windows": [None, None],
            "prompt": [20],
            "decode": [6],
            "recorded_queries": [10],
            "bytes_per_token": 30 * 64,  # key and value, 2 heads, 8 coordinates, 2 bytes
            "bytes_per_token_and_layer": 64,
        }
        == told
    )
    found = verify_attention(open_attention(folder))
    assert (told["verdict"], told["verified"]) == (found.verdict, str(found))
    assert told["largest_lse_error_nats"] == found.max_lse_error
    assert "the last 10 positions" in CliRunner().invoke(app, [str(folder)]).stdout


def test_a_manifest_survives_json() -> None:
    manifest = replace(full().manifest, softcap=50.0, qk_norm=True, weights_sha256="ab", d_model=None)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert json.loads(manifest.to_json())["layers"][0] == {
        "index": 0,
        "rope_theta": 10000.0,
        "rotary_dim": 8,
        "pairing": "half",
        "window": None,
    }


def test_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is a folder beside the code; without it the message says what to use instead."""
    monkeypatch.setattr(opening, "DEMO", tmp_path / "demo")
    with pytest.raises(TraceError, match="not part of this installation"):
        open_attention("demo")
    write_attention(full(), tmp_path / "demo")
    assert open_attention("demo").name == "demo"


SINGLE = {
    "tiny_smollm2-135m_pydocs_teacher_p768_d128_l3": (768, 128, [9, 18, 25], 64),
    "smollm2-135m_passkey_teacher_p1024_d7_l30_sub": (1024, 7, [5, 9, 14, 18, 21, 24, 28], 64),
}
"""Prompt, decoded tokens, layers, and recorded queries of the prompt, as the files' own description has them."""


@pytest.mark.parametrize("name", SINGLE)
def test_real_traces_in_one_file(name: str, shared_data: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = shared_data / "attention" / f"{name}.safetensors"
    trace, raw = open_attention(path), load_file(path)
    prompt, decode, layers, before = SINGLE[name]
    request, manifest = trace.request(0), trace.manifest
    assert (request.n_prompt, request.n_decode, [layer.index for layer in manifest.layers]) == (prompt, decode, layers)
    assert (manifest.heads, manifest.kv_heads, manifest.head_dim, manifest.n_layers) == (9, 3, 64, 30)
    assert {(layer.rope_theta, layer.pairing, layer.window) for layer in manifest.layers} == {(100_000.0, "half", None)}
    assert manifest.scale == 0.125 and trace.group == 3 and request.token_ids.tolist() == raw["token_ids"].tolist()
    assert all(layer.q_start == prompt - before for layer in request.layers)
    assert np.array_equal(request.layers[-1].q32(), raw["q"][-1].astype(np.float32))
    assert np.array_equal(request.layers[1].v, raw["v"][1])
    assert verify_attention(trace).verdict == "unchecked"
    assert open_attention(write_attention(trace, tmp_path / "t")).sha256 == trace.sha256


def test_importing_the_package_loads_next_to_nothing() -> None:
    heavy = "{'numpy', 'numba', 'pandas', 'pyarrow', 'torch', 'scipy', 'safetensors'}"
    code = f"import sys, evictlab.traces.attention; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_exist_and_none_is_a_file() -> None:
    import evictlab.traces.attention as package

    files = {path.stem for path in Path(package.__file__ or "").parent.glob("*.py")}
    assert not files & set(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
