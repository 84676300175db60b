"""Small models in the form that training exports, made without training: q = sum of weights * log(1 + feature)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from evictlab.rl.sidecar.protocol import CONTEXT, FEATURES, MALFORMED, MISMATCH, MISSING, pack_request

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before any test imports onnxruntime

LARGE_AND_RARE = {"size_bytes": 1.0, "idle_s": 0.5, "requests": -1.0, "recent": -0.5}
OLD = {"idle_s": 1.0}

UNLUCKY = 13.0
"""An age in seconds at which the model's value is not a number."""


def random_candidates(rng: np.random.Generator, k: int, absent: float = 0.2) -> npt.NDArray[np.float32]:
    """Plausible candidates, some values not known, some rows without a candidate."""
    rows = np.exp(rng.normal(2, 2, (k, len(FEATURES)))).astype(np.float32)
    rows[:, FEATURES.index("size_bytes")] = 4096 * rng.integers(1, 200, k)
    rows[rng.random(rows.shape) < 0.1] = MISSING
    rows[rows[:, 1] == MISSING, 1] = 4096
    rows[rng.random(k) < absent] = MISSING
    return rows


def random_context(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    need = rng.choice([0, 1, 300_000, 1e9])
    return np.array([rng.exponential(0.01), 25e6, rng.integers(10, 10_000), need], np.float32)


def write_tiny_model(
    folder: Path,
    weights: Mapping[str, float] = LARGE_AND_RARE,
    *,
    k: int = 64,
    tail: int = 32,
    seed: int = 0,
    **other: Any,
) -> Path:
    """Write model.onnx, parity.npz and metadata.json; `other` replaces or adds entries of the metadata.

    With ``network="flat"`` it takes just `k` candidates.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flat = other.get("network") == "flat"
    content = _model(weights, k if flat else "k").SerializeToString()
    rng = np.random.default_rng(seed)
    candidates = np.stack([random_candidates(rng, k) for _ in range(8)])
    context = np.stack([random_context(rng) for _ in range(8)])
    metadata = {
        "format": "evictlab-cold-rl",
        "version": 1,
        "k": k,
        "tail": tail,
        "features": list(FEATURES),
        "context": list(CONTEXT),
        "network": "set",
        "half_lives": [256, 4096],
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "trained": {"by": "hand", "weights": dict(weights)},
    }
    (folder / "model.onnx").write_bytes(content)
    np.savez(folder / "parity.npz", candidates=candidates, context=context, q=plain_q(candidates, context, weights))
    (folder / "metadata.json").write_text(json.dumps(metadata | other))
    return folder


def plain_q(
    candidates: npt.NDArray[np.float32], context: npt.NDArray[np.float32], weights: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """What the model computes, in numpy."""
    column = np.array([weights.get(name, 0) for name in FEATURES], np.float32)
    whole = 0.1 * np.log1p(np.maximum(context, 0)).sum(-1, keepdims=True)
    return (np.log1p(np.maximum(candidates, 0)) @ column + whole).astype(np.float32)


def _model(weights: Mapping[str, float], k: int | str) -> onnx.ModelProto:
    constants = {
        "zero": np.float32(0),
        "one": np.float32(1),
        "unlucky": np.float32(UNLUCKY),
        "first": np.array(0),
        "last": np.array([-1]),
        "column": np.array([weights.get(name, 0) for name in FEATURES], np.float32)[:, None],
        "whole": np.full((len(CONTEXT), 1), 0.1, np.float32),
    }
    nodes = [
        helper.make_node(kind, inputs, [output], **more)
        for kind, inputs, output, more in [
            ("Max", ["candidates", "zero"], "known", {}),
            ("Add", ["known", "one"], "above", {}),
            ("Log", ["above"], "logs", {}),
            ("MatMul", ["logs", "column"], "sums", {}),
            ("Squeeze", ["sums", "last"], "own", {}),
            ("Max", ["context", "zero"], "known_context", {}),
            ("Add", ["known_context", "one"], "above_context", {}),
            ("Log", ["above_context"], "context_logs", {}),
            ("MatMul", ["context_logs", "whole"], "shared", {}),
            ("Add", ["own", "shared"], "value", {}),
            ("Gather", ["candidates", "first"], "ages", {"axis": 2}),
            ("Sub", ["ages", "unlucky"], "off", {}),
            ("Div", ["zero", "off"], "nothing", {}),  # 0, and 0/0 at the unlucky age
            ("Add", ["value", "nothing"], "q", {}),
        ]
    ]
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("candidates", real, ["n", k, len(FEATURES)]),
            helper.make_tensor_value_info("context", real, ["n", len(CONTEXT)]),
        ],
        [helper.make_tensor_value_info("q", real, ["n", k])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def bad_packets() -> dict[str, tuple[bytes, int, int]]:
    """Requests that are wrong: packet, status and id of the reply, by what is wrong."""
    rows, context = random_candidates(np.random.default_rng(0), 3), np.zeros(4, np.float32)
    good = pack_request(77, rows, context)

    def with_u16(offset: int, value: int) -> bytes:
        return good[:offset] + value.to_bytes(2, "little") + good[offset + 2 :]

    def with_float(offset: int, value: float) -> bytes:
        return good[:offset] + np.float32(value).tobytes() + good[offset + 4 :]

    return {
        "one byte": (b"E", MALFORMED, 0),
        "head cut short": (good[:23], MALFORMED, 0),
        "no candidates sent": (good[:24], MALFORMED, 77),
        "last byte missing": (good[:-1], MALFORMED, 77),
        "a byte too many": (good + b"\0", MALFORMED, 77),
        "far too long": (good + bytes(8000), MALFORMED, 77),
        "wrong magic": (b"HTTP" + good[4:], MALFORMED, 0),
        "version 2": (with_u16(4, 2), MALFORMED, 77),
        "unknown flag": (with_u16(6, 2), MALFORMED, 77),
        "reserved is used": (with_u16(22, 1), MALFORMED, 77),
        "k = 0": (with_u16(16, 0), MALFORMED, 77),
        "k = 65": (with_u16(16, 65), MALFORMED, 77),
        "k of more than was sent": (with_u16(16, 4), MALFORMED, 77),
        "6 features": (with_u16(18, 6), MISMATCH, 77),
        "no context": (with_u16(20, 0), MISMATCH, 77),
        "context is NaN": (with_float(24, np.nan), MALFORMED, 77),
        "feature is NaN": (with_float(40 + 4 * 11, np.nan), MALFORMED, 77),
        "last feature is infinite": (with_float(len(good) - 4, -np.inf), MALFORMED, 77),
    }
