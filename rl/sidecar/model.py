"""A model as training leaves it: three files that are only used when they belong together and still say the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...traces.errors import FormatError, MissingExtraError
from .protocol import CONTEXT, FEATURES, MAX_K, MISSING
from .victims import SIZE

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["FORMAT", "HALF_LIVES", "METADATA", "MODEL", "PARITY", "Model", "load_model"]

MODEL, METADATA, PARITY = "model.onnx", "metadata.json", "parity.npz"
"""The files of a model."""

FORMAT, VERSION, NETWORKS, HALF_LIVES = "evictlab-cold-rl", 1, ("flat", "set"), [256, 4096]

TOLERANCE = 1e-4
"""Of q, relative to max(1, |q|): float32 sums in another order differ by less, another model by more."""

Floats = npt.NDArray[np.float32]

AGAIN = "Export the model again, all three files together."


@dataclass(frozen=True, eq=False)
class Model:
    """A model that has been checked.

    Attributes
    ----------
    folder : Path
        Where it was read.
    metadata : dict
        Of metadata.json.
    files : dict of str to bytes
        The three files as they were checked, so that what is copied or served is what was checked.
    candidates, context, q : float32[n, k, 11], float32[n, 4], float32[n, k]
        The rows by which it was checked.
    fixed_k : int or None
        A flat network takes just so many candidates; fewer are filled up with absent ones.
    """

    folder: Path
    metadata: dict[str, Any]
    files: Mapping[str, bytes]
    candidates: Floats
    context: Floats
    q: Floats
    fixed_k: int | None
    _session: onnxruntime.InferenceSession

    @property
    def most(self) -> int:
        """As many candidates as a request may have."""
        return self.fixed_k or MAX_K

    def values(self, candidates: Floats, context: Floats) -> Floats:
        """Value of evicting each candidate.

        Parameters
        ----------
        candidates : float32[k, 11]
            At most `most`.
        context : float32[4]

        Returns
        -------
        float32[k]
        """
        k = len(candidates)
        if self.fixed_k is not None and k < self.fixed_k:
            absent = np.full((self.fixed_k - k, len(FEATURES)), MISSING, np.float32)
            candidates = np.concatenate([candidates, absent])
        values: Floats = run(self._session, candidates[None], context[None])[0, :k]
        return values

    def parity_bytes(self) -> bytes:
        """The rows in the form that the compiled server reads: how many, of how many candidates, fixed or not; each row."""
        rows = (
            np.concatenate(
                [part[i].astype("<f4").ravel() for part in (self.candidates, self.context, self.q)]
            ).tobytes()
            for i in range(len(self.q))
        )
        return struct.pack("<III", *self.q.shape, self.fixed_k is not None) + b"".join(rows)


def load_model(folder: str | Path) -> Model:
    """Read a model and check it.

    Parameters
    ----------
    folder : path
        Holds model.onnx, metadata.json and parity.npz.

    Raises
    ------
    FormatError
        A file is missing or broken, features, context or version are others, the checksum of the model is another than
        metadata.json says, or onnxruntime does not repeat the values in parity.npz.
    MissingExtraError
        onnxruntime is not installed.
    """
    folder = Path(folder)
    files = {name: _read(folder / name) for name in (METADATA, MODEL, PARITY)}
    metadata = _metadata(folder / METADATA, files[METADATA])
    digest = hashlib.sha256(files[MODEL]).hexdigest()
    if digest != metadata["model_sha256"]:
        raise FormatError(
            folder / MODEL, f"its sha256 is {digest}, and {METADATA} says {metadata['model_sha256']}", hint=AGAIN
        )
    fixed_k = metadata["k"] if metadata["network"] == "flat" else None
    rows = _parity(folder / PARITY, files[PARITY], fixed_k)
    session = open_session(folder / MODEL, files[MODEL])
    _check_shapes(folder / MODEL, session, fixed_k)
    _check_parity(folder, session, *rows)
    return Model(folder, metadata, files, *rows, fixed_k, session)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(
            path, error.strerror or str(error), hint=f"A model is a folder with {MODEL}, {METADATA} and {PARITY}."
        ) from error


def _metadata(path: Path, content: bytes) -> dict[str, Any]:
    try:
        metadata = json.loads(content)
    except ValueError as error:
        raise FormatError(path, f"no JSON: {error}", hint=AGAIN) from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else metadata
        raise FormatError(path, f"its format is {found!r}, expected {FORMAT!r}", hint="Is this a model of evictlab?")
    wanted = {
        "version": VERSION,
        "features": list(FEATURES),
        "context": list(CONTEXT),
        "half_lives": HALF_LIVES,
    }
    for name, expected in wanted.items():
        if metadata.get(name) != expected:
            raise FormatError(
                path,
                f"{name} is {json.dumps(metadata.get(name))}, this evictlab works with {json.dumps(expected)}",
                hint="Serve the model with the evictlab that trained it, or train it again.",
            )
    k, tail = metadata.get("k"), metadata.get("tail")
    if type(k) is not int or type(tail) is not int or not 1 <= k <= MAX_K or not 0 <= tail <= k:
        raise FormatError(path, f"k is {k!r} and tail {tail!r}; expected 0 <= tail <= k <= {MAX_K}", hint=AGAIN)
    if metadata.get("network") not in NETWORKS:
        raise FormatError(
            path, f"network is {metadata.get('network')!r}, expected one of {', '.join(NETWORKS)}", hint=AGAIN
        )
    if not isinstance(metadata.get("model_sha256"), str):
        raise FormatError(path, "model_sha256 is missing", hint=AGAIN)
    return metadata


def _parity(path: Path, content: bytes, fixed_k: int | None) -> tuple[Floats, Floats, Floats]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in ("candidates", "context", "q")}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise FormatError(path, f"no arrays candidates, context and q: {error}", hint=AGAIN) from error
    n, k = rows["q"].shape if rows["q"].ndim == 2 else (0, 0)
    k = fixed_k or min(max(k, 1), MAX_K)
    shapes = {"candidates": (n, k, len(FEATURES)), "context": (n, len(CONTEXT)), "q": (n, k)}
    for name, array in rows.items():
        if n == 0 or array.shape != shapes[name] or array.dtype != np.float32:
            raise FormatError(
                path, f"{name} is {array.dtype}{list(array.shape)}, expected float32{list(shapes[name])}", hint=AGAIN
            )
    return rows["candidates"], rows["context"], rows["q"]


def open_session(path: Path, content: bytes) -> onnxruntime.InferenceSession:
    """A session of onnxruntime on one thread that does not spin."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it is on since version 1.29, and has to be turned off first
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("running a learned policy", "sidecar") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no error of its own that all its errors are
        raise FormatError(path, f"onnxruntime cannot load it: {error}", hint=AGAIN) from error


def run(session: onnxruntime.InferenceSession, candidates: Floats, context: Floats) -> Floats:
    """Value of evicting each candidate of each row: float32[n, k, 11] and float32[n, 4] give float32[n, k]."""
    (q,) = session.run(["q"], {"candidates": candidates, "context": context})
    return np.asarray(q)


def _check_shapes(path: Path, session: onnxruntime.InferenceSession, fixed_k: int | None) -> None:
    """Refuse what is no function of candidates and context, for any number of candidates or the one of a flat network."""
    found = {node.name: node.type for node in (*session.get_inputs(), *session.get_outputs())}
    expected = dict.fromkeys(("candidates", "context", "q"), "tensor(float)")
    if found != expected:
        raise FormatError(path, f"its inputs and outputs are {found}, expected {expected}", hint=AGAIN)
    for k in (1, 2, MAX_K - 1, MAX_K) if fixed_k is None else (fixed_k,):
        rows = np.zeros((1, k, len(FEATURES)), np.float32)
        try:
            shape = run(session, rows, np.zeros((1, len(CONTEXT)), np.float32)).shape
        except Exception as error:
            raise FormatError(path, f"it cannot work on {k} candidates: {error}", hint=AGAIN) from error
        if shape != (1, k):
            raise FormatError(path, f"for {k} candidates, q has the shape {shape}, expected (1, {k})", hint=AGAIN)


def _check_parity(
    folder: Path,
    session: onnxruntime.InferenceSession,
    candidates: Floats,
    context: Floats,
    q: Floats,
) -> None:
    for row in range(len(q)):
        found = run(session, candidates[row : row + 1], context[row : row + 1])[0]
        off = np.abs(found - q[row]) / np.maximum(1, np.abs(q[row]))
        off = np.where(candidates[row, :, SIZE] >= 0, np.where(np.isnan(off), np.inf, off), 0)
        worst = int(np.argmax(off))
        if off[worst] > TOLERANCE:
            raise FormatError(
                folder / MODEL,
                f"its q of candidate {worst} is {found[worst]:.6g}, and was {q[row, worst]:.6g} in training",
                f"row {row} of {PARITY}",
                AGAIN,
            )
