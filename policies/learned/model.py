"""A trained model on disk: a network as ONNX, and what must be known to use it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...traces.errors import UsageError
from .candidates import MOST_CANDIDATES
from .facts import CONTEXT, FEATURES, HALF_LIVES

__all__ = ["FORMAT", "METADATA", "MODEL", "PARITY", "VERSION", "Metadata", "read_metadata", "read_weights"]

FORMAT, VERSION = "evictlab-cold-rl", 1
MODEL, METADATA, PARITY = "model.onnx", "metadata.json", "parity.npz"


@dataclass(frozen=True)
class Metadata:
    """What a model says of itself.

    Attributes
    ----------
    k, tail : int
        Candidates of a decision, and how many of them come from the tail.
    network : str
        ``set`` or ``flat``.
    trained : dict
        On what, how, when: for people.
    """

    k: int
    tail: int
    network: str
    trained: dict[str, Any]

    def to_json(self, model_sha256: str) -> str:
        """Return the text of ``metadata.json``."""
        return json.dumps(
            {
                "format": FORMAT,
                "version": VERSION,
                "k": self.k,
                "tail": self.tail,
                "features": list(FEATURES),
                "context": list(CONTEXT),
                "network": self.network,
                "half_lives": list(HALF_LIVES),
                "model_sha256": model_sha256,
                "trained": self.trained,
            },
            indent=1,
        )


def read_metadata(folder: str | Path) -> Metadata:
    """Read and check what a model says of itself.

    Raises
    ------
    UsageError
        There is no model, it was made for other features, or its parts do not belong together.
    """
    folder = Path(folder)
    file = folder / METADATA
    if not file.is_file():
        raise UsageError(
            f"{folder} holds no trained model ({METADATA} is missing). Train one: evictlab rl train LOG --out {folder}"
        )
    try:
        found = json.loads(file.read_text())
        k, tail, network = int(found["k"]), int(found["tail"]), str(found["network"])
        theirs = (found["format"], found["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is damaged: {type(error).__name__}: {error}") from error
    if theirs != (FORMAT, VERSION):
        raise UsageError(f"{file} is of format {theirs[0]} {theirs[1]}; this version reads {FORMAT} {VERSION}")
    for what, ours in (("features", list(FEATURES)), ("context", list(CONTEXT)), ("half_lives", list(HALF_LIVES))):
        if found.get(what) != ours:
            raise UsageError(f"{file}: the model was trained on other {what}: {found.get(what)}; here they are {ours}")
    if not (2 <= k <= MOST_CANDIDATES and 0 <= tail <= k and network in ("set", "flat")):
        raise UsageError(f"{file}: k={k}, tail={tail}, network={network} do not go together")
    model = folder / MODEL
    if not model.is_file():
        raise UsageError(f"{folder} has no {MODEL}; train or export it again")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    if digest != found.get("model_sha256"):
        raise UsageError(f"{model} is not the file that {METADATA} was written for (sha256 {digest[:12]}...)")
    return Metadata(k, tail, network, dict(found.get("trained") or {}))


def read_weights(folder: str | Path) -> dict[str, Any]:
    """Read the weights of ``model.onnx`` by name.

    Raises
    ------
    UsageError
        The package onnx is missing, or the file is no ONNX model.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise UsageError("a trained model is read with the package onnx: pip install 'evictlab[sidecar]'") from None
    path = Path(folder) / MODEL
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # whatever the parser of protocol buffers may raise
        raise UsageError(f"{path} is no ONNX model: {error}") from error
    return {
        tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if not tensor.name.startswith("_")
    }
