"""A trained network as a folder: ``model.onnx``, ``metadata.json``, and rows with the answers that any reader must give."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...policies.learned.model import METADATA, MODEL, PARITY, Metadata
from ..sidecar.model import open_session
from .graph import onnx_model
from .networks import Net

__all__ = ["PARITY_ROWS", "save_model"]

PARITY_ROWS = 32


def save_model(
    folder: Path, net: Net, candidates: torch.Tensor, context: torch.Tensor, *, tail: int, trained: dict[str, Any]
) -> None:
    """Write a model.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; a model in it is replaced.
    net : Net
    candidates : float32[n, k, N_FEATURES]
    context : float32[n, N_CONTEXT]
        Decisions to take the parity rows from; some of their candidates are taken away, and some features, so that the
        rows also try what is missing.
    tail : int
    trained : dict
        What the metadata is to say about where the model comes from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx = onnx_model(net.kind, net.weights(), net.k)
    pick = np.linspace(0, len(candidates) - 1, min(PARITY_ROWS, len(candidates))).astype(int)
    rows, cache = candidates[pick].numpy().copy(), context[pick].numpy().copy()
    rng = np.random.default_rng(0)
    for i in range(0, len(rows), 4):
        rows[i, int(rng.integers(1, net.k + 1)) :] = -1
    for i in range(1, len(rows), 4):
        hidden = rng.random(rows.shape[1:]) < 0.2
        hidden[:, 1] = False
        rows[i][hidden] = -1
    session = open_session(folder / MODEL, onnx)
    q = session.run(["q"], {"candidates": rows, "context": cache})[0]
    # The metadata come last: a folder in which they match is whole.
    (folder / METADATA).unlink(missing_ok=True)
    np.savez(folder / PARITY, candidates=rows, context=cache, q=q)
    (folder / MODEL).write_bytes(onnx)
    known = Metadata(net.k, tail, net.kind, trained)
    (folder / METADATA).write_text(known.to_json(hashlib.sha256(onnx).hexdigest()) + "\n")
