"""What model an attention trace is of: heads, layers, rotation, number type, licence."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import FormatError, TraceError, UnknownNameError

__all__ = ["DTYPES", "PAIRINGS", "SCHEMA_VERSION", "LayerInfo", "Manifest"]

SCHEMA_VERSION = 1
"""Of the folder's layout; a reader refuses any other."""

DTYPES = ("float16", "bfloat16", "float32")
"""Number types in which keys, values and queries may be stored: that of the model, so that nothing is lost."""

PAIRINGS = ("half", "adjacent")
"""Which two coordinates one rotation turns: ``i`` and ``i + rotary_dim / 2``, or ``2 i`` and ``2 i + 1``."""


@dataclass(frozen=True)
class LayerInfo:
    """One recorded layer.

    Attributes
    ----------
    index : int
        In the model, from 0.
    rope_theta : float
        Base of the rotary embedding.
    rotary_dim : int
        Leading coordinates of a head that are rotated; 0 where the layer does not rotate.
    pairing : {"half", "adjacent"}
    window : int or None
        Keys that a query sees, itself included; None for all of them.
    """

    index: int
    rope_theta: float
    rotary_dim: int
    pairing: str = "half"
    window: int | None = None

    def __post_init__(self) -> None:
        where = f"layer {self.index}"
        _whole(f"{where}: index", self.index, 0)
        _whole(f"{where}: rotary_dim", self.rotary_dim, 0)
        if self.pairing not in PAIRINGS:
            raise TraceError(f"{where}: {UnknownNameError('pairing', str(self.pairing), PAIRINGS)}")
        if not _positive(self.rope_theta):
            raise TraceError(f"{where}: rope_theta is {self.rope_theta!r}, not a positive number")
        if self.rotary_dim % 2:
            raise TraceError(f"{where}: rotary_dim is {self.rotary_dim}; a rotation turns pairs, so it must be even")
        if self.window is not None:
            _whole(f"{where}: window", self.window, 1)


@dataclass(frozen=True)
class Manifest:
    """What an attention trace says about its model; checked when made.

    Attributes
    ----------
    model : str
    dtype : {"float16", "bfloat16", "float32"}
        Of keys, values and queries.
    heads, kv_heads : int
        Query head ``h`` reads key-value head ``h // (heads // kv_heads)``.
    head_dim : int
        Coordinates per head.
    scale : float
        A logit is ``scale`` times the inner product of query and key.
    layers : tuple of LayerInfo
        The recorded ones, in ascending order.
    n_layers : int
        Of the whole model.
    d_model : int or None
        Width of the residual stream; None where it is not stated.
    qk_norm : bool
        The model normalises queries and keys; what is recorded comes after it.
    softcap : float or None
        Logits are ``softcap * tanh(logit / softcap)``.
    weights_sha256, licence, recorder, mode, source : str
        Of the weights' file; of the recording; name and version; ``"teacher-forced"`` or ``"greedy"``; the text.

    Raises
    ------
    TraceError
        A value is impossible or contradicts another.
    """

    model: str
    dtype: str
    heads: int
    kv_heads: int
    head_dim: int
    scale: float
    layers: tuple[LayerInfo, ...]
    n_layers: int
    d_model: int | None = None
    qk_norm: bool = False
    softcap: float | None = None
    weights_sha256: str = ""
    licence: str = ""
    recorder: str = ""
    mode: str = "teacher-forced"
    source: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise TraceError(
                f"schema_version is {self.schema_version!r}, and this evictlab reads {SCHEMA_VERSION}; "
                "record the trace again, or use the evictlab that wrote it"
            )
        if self.dtype not in DTYPES:
            raise TraceError(str(UnknownNameError("dtype", str(self.dtype), DTYPES)))
        for name in ("heads", "kv_heads", "head_dim", "n_layers"):
            _whole(name, getattr(self, name), 1)
        if self.heads % self.kv_heads:
            near = min(
                (n for n in range(1, self.heads + 1) if self.heads % n == 0), key=lambda n: abs(n - self.kv_heads)
            )
            raise TraceError(
                f"heads is {self.heads} and kv_heads is {self.kv_heads}: each key-value head serves equally many "
                f"query heads, so heads must be a multiple (the nearest kv_heads is {near})"
            )
        for name in ("scale", "softcap"):
            value = getattr(self, name)
            if not _positive(value) and not (name == "softcap" and value is None):
                raise TraceError(f"{name} is {value!r}, not a positive number")
        if self.d_model is not None:
            _whole("d_model", self.d_model, 1)
        self._check_layers()

    def _check_layers(self) -> None:
        indices = [layer.index for layer in self.layers]
        if not indices:
            raise TraceError("layers is empty: nothing was recorded")
        if indices != sorted(set(indices)) or indices[-1] >= self.n_layers:
            raise TraceError(f"layers have the indices {indices}; expected ascending ones below {self.n_layers}")
        for layer in self.layers:
            if layer.rotary_dim > self.head_dim:
                raise TraceError(
                    f"layer {layer.index}: rotary_dim is {layer.rotary_dim}, above head_dim {self.head_dim}"
                )

    @property
    def group(self) -> int:
        """Query heads per key-value head."""
        return self.heads // self.kv_heads

    @property
    def item_bytes(self) -> int:
        """Bytes of one stored number."""
        return 4 if self.dtype == "float32" else 2

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes in the cache of one recorded layer: its key and its value in every head."""
        return 2 * self.kv_heads * self.head_dim * self.item_bytes

    def to_json(self) -> str:
        """The text of ``manifest.json``."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, path: str | Path = "manifest.json") -> Manifest:
        """Read ``manifest.json``.

        Parameters
        ----------
        text : str
        path : str or Path
            Named in errors.

        Raises
        ------
        FormatError
            It is no JSON, a field is missing or unknown, or a value is impossible.
        """
        try:
            facts = json.loads(text)
        except ValueError as error:
            raise FormatError(path, f"is not JSON: {error}") from error
        try:
            if isinstance(facts, dict) and facts.get("schema_version") != SCHEMA_VERSION:
                # First of all: another version may well have other fields.
                raise TraceError(
                    f"schema_version is {facts.get('schema_version')!r}, and this evictlab reads {SCHEMA_VERSION}"
                )
            given = _known(cls, facts)
            if not isinstance(given["layers"], list):
                raise TraceError(f"layers is {given['layers']!r}, not a list")
            return cls(**{**given, "layers": tuple(LayerInfo(**_known(LayerInfo, layer)) for layer in given["layers"])})
        except TraceError as error:
            # An unknown name comes with a second sentence, the nearest ones, which may end in a question mark.
            problem, _, hint = str(error).partition(". ")
            raise FormatError(path, problem.rstrip("."), hint=hint) from error


def _known(kind: type, facts: Any) -> Mapping[str, Any]:
    """The fields of a dataclass from JSON: none missing, none that it does not have."""
    if not isinstance(facts, dict):
        raise TraceError(f"expected the fields of {kind.__name__}, found {facts!r}")
    known = {field.name: field.default is MISSING for field in fields(kind)}
    for name in facts:
        if name not in known:
            raise TraceError(str(UnknownNameError("field", name, known)))
    if missing := [name for name, needed in known.items() if needed and name not in facts]:
        raise TraceError(f"{kind.__name__} lacks {', '.join(missing)}")
    return facts


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TraceError(f"{name} is {value!r}, not a whole number from {least} up")


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
