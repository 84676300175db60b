"""Attention traces in one safetensors file, as ``kv-attention-trace/0`` has them: read, never written.

========= ====================================== =========================================
tensor    shape                                  meaning
========= ====================================== =========================================
k, v      [layers, kv_heads, prompt + decode, d] k rotated, coordinate i with i + d / 2
q         [layers, heads, queries, d]            of the last positions, rotated
layer_ids int32 [layers]                         indices in the model
token_ids int32 [prompt + decode]
========= ====================================== =========================================

The metadata are strings: model, layers (of the model), heads, kv_heads, head_dim, prompt, decode, theta,
mode, source, window, local_layers (a list: to these the window applies). Neither the licence nor
a log-sum-exp is in the file, so nothing can be compared with what the model saw.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..errors import FormatError, TraceError
from .layer import LayerTensors, check_layer
from .manifest import LayerInfo, Manifest
from .request import AttentionRequest
from .tensors import read_metadata, read_tensors
from .trace import AttentionTrace

__all__ = ["FORMAT", "read_single_file"]

FORMAT = "kv-attention-trace/0"

DTYPES = {"float16": "float16", "float32": "float32", "uint16": "bfloat16"}
"""Number types that `k` may have."""


def read_single_file(path: Path) -> AttentionTrace:
    """Open a file.

    Raises
    ------
    FormatError
        It is of another format, damaged, or its parts contradict each other.
    """
    facts, tensors = read_metadata(path), read_tensors(path)
    if facts.get("format") != FORMAT:
        raise FormatError(
            path,
            f"says it is of the format {facts.get('format')!r}, not {FORMAT!r}",
            hint="A file of a layer is opened with the folder that it belongs to, the one with manifest.json.",
        )
    for name in ("k", "v", "q", "layer_ids", "token_ids"):
        if name not in tensors:
            raise FormatError(path, f"lacks the tensor {name!r}")
    if tensors["k"].dtype.name not in DTYPES:
        raise FormatError(path, f"k is {tensors['k'].dtype}, expected {', '.join(DTYPES)}")

    def number(name: str) -> int:
        try:
            return int(facts[name])
        except (KeyError, ValueError) as error:
            raise FormatError(path, f"metadata: {name} is {facts.get(name)!r}, expected a whole number") from error

    try:
        theta, local = float(facts["theta"]), frozenset(json.loads(facts.get("local_layers", "[]")))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(path, "metadata: theta must be a number, and local_layers a list of numbers") from error
    head_dim, window = number("head_dim"), number("window") if local else None
    indices: list[int] = np.ravel(tensors["layer_ids"]).tolist()
    try:
        manifest = Manifest(
            model=facts.get("model", ""),
            dtype=DTYPES[tensors["k"].dtype.name],
            heads=number("heads"),
            kv_heads=number("kv_heads"),
            head_dim=head_dim,
            scale=head_dim**-0.5 if head_dim > 0 else 0.0,
            layers=tuple(LayerInfo(i, theta, head_dim, "half", window if i in local else None) for i in indices),
            n_layers=number("layers"),
            recorder=FORMAT,
            mode=facts.get("mode", ""),
            source=facts.get("source", ""),
        )
        ids = np.ravel(tensors["token_ids"]).astype(np.int32)
        layers = tuple(_layer(path, tensors, manifest, i, len(ids), number("prompt")) for i in range(len(indices)))
        request = AttentionRequest("0", manifest.source, ids, number("prompt"), number("decode"), layers)
    except FormatError:
        raise
    except TraceError as error:
        raise FormatError(path, str(error).rstrip(".")) from error
    return AttentionTrace(manifest, (request,), path.stem, path)


def _layer(
    path: Path, tensors: dict[str, np.ndarray], manifest: Manifest, i: int, tokens: int, n_prompt: int
) -> LayerTensors:
    parts = {name: tensors[name] for name in ("k", "v", "q")}
    for name, array in parts.items():
        if array.ndim != 4 or len(array) != len(manifest.layers):
            raise FormatError(
                path, f"{name} has the shape {list(array.shape)}, and layer_ids lists {len(manifest.layers)}"
            )
    layer = LayerTensors(
        **{name: array[i] for name, array in parts.items()},
        bfloat16=manifest.dtype == "bfloat16",
        source=f"{path}, layer {manifest.layers[i].index}",
    )
    return check_layer(layer, manifest, tokens, n_prompt)
