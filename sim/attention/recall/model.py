"""A two-layer language model in numpy, with the key-value cache left to whoever wants to throw something out of it.

What it is: token embeddings (tied to the output), then layers of attention and a SiLU network, both behind an RMS
norm and added to what came in. Keys are **smeared**: with one learned share ``s`` per head,
``k_t = (1 - s) * k_t + s * k_(t-1)``, so that the key of a value's token also tells which token stood before it (Olsson et
al., "In-context Learning and Induction Heads", 2022, smeared keys). Without it a model of this size does not find out in
minutes how to look up a pair.

Smearing comes **before** the rotary embedding, and position -1 counts as zero. So a key depends on its own and the previous
token only; what is handed out for the cache is final, rotated to the position of its own token, and an engine may rotate it on
as it does with any other key. Evicting token t-1 does not take its share out of the key of t: what was smeared stays.

>>> model = RecallModel.load()
>>> told = model.prefill(tokens[:, :128])                  # keys and values of the prompt, for your cache
>>> logits = model.step(tokens[:, 128], 128, attend, told.carry)
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....traces.errors import FormatError, UsageError
from .task import VOCABULARY, Episodes

__all__ = [
    "ABOUT",
    "CHECKPOINT",
    "WEIGHTS",
    "Attend",
    "Config",
    "Layer",
    "Prefill",
    "RecallModel",
    "accuracy",
    "shapes",
]

CHECKPOINT = Path(__file__).parent
"""Folder of the trained model that comes with evictlab."""

WEIGHTS, ABOUT = "model.safetensors", "model.json"
EPSILON = 1e-5

Floats = NDArray[np.float32]
Attend = Callable[[int, Floats, Floats, Floats], Floats]
"""``attend(layer, q, k, v) -> out``, all float32[S, H, d]: the newest token's query, key and value, and what it reads.

The callee owns the cache: it stores k and v, and answers with ``softmax(q . K / sqrt(d)) V`` over what it still has.
"""


@dataclass(frozen=True)
class Config:
    """Sizes of a model: every query head has its own key-value head."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    hidden: int = 512
    vocabulary: int = VOCABULARY
    theta: float = 10_000.0

    @property
    def head_dim(self) -> int:
        """Numbers in a query, key or value of one head."""
        return self.width // self.heads


class Layer(NamedTuple):
    """What one layer's attention is made of: float32[S, H, P, d] each, queries and keys after the rotary embedding."""

    q: Floats
    k: Floats
    v: Floats


class Prefill(NamedTuple):
    """What a forward pass over whole sequences leaves.

    Attributes
    ----------
    layers : list of Layer
    hidden : float32[S, P, width]
        After the last norm; ``model.logits(hidden)`` are the answers.
    carry : float32[layers, S, H, d]
        Last key of each layer, neither smeared nor rotated; `RecallModel.step` needs it and renews it in place.
    """

    layers: list[Layer]
    hidden: Floats
    carry: Floats


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name and shape of each weight; matrices are [in, out]."""
    d = config.width
    table: dict[str, tuple[int, ...]] = {"embed": (config.vocabulary, d), "norm": (d,)}
    for i in range(config.layers):
        table |= {
            f"layers.{i}.attention_norm": (d,),
            f"layers.{i}.network_norm": (d,),
            f"layers.{i}.smear": (config.heads,),
        }
        table |= {f"layers.{i}.{name}": (d, d) for name in ("q", "k", "v", "o")}
        table |= {f"layers.{i}.up": (d, config.hidden), f"layers.{i}.down": (config.hidden, d)}
    return table


class RecallModel:
    """The model.

    Parameters
    ----------
    config : Config
    weights : mapping of str to array
        As `shapes` lists them; computed with in float32.
    about : dict, optional
        Where the weights come from, as in ``model.json``.
    """

    def __init__(self, config: Config, weights: Mapping[str, ArrayLike], about: dict[str, Any] | None = None) -> None:
        self.config, self.about = config, about or {}
        self.weights: dict[str, Floats] = {name: np.ascontiguousarray(w, np.float32) for name, w in weights.items()}
        found = {name: w.shape for name, w in self.weights.items()}
        if found != shapes(config):
            wrong = sorted(n for n in found.keys() | shapes(config) if found.get(n) != shapes(config).get(n))
            raise UsageError(f"recall model: the weights {', '.join(wrong)} do not fit {config}")
        half = config.head_dim // 2
        self._rates = config.theta ** (-np.arange(half) / half)
        self._shares = [1 / (1 + np.exp(-self._weight(i, "smear"))) for i in range(config.layers)]

    @classmethod
    def load(cls, folder: str | Path = CHECKPOINT) -> RecallModel:
        """Read a model; without a folder, the one that comes with evictlab.

        Parameters
        ----------
        folder : path
            Holds ``model.safetensors`` and ``model.json``, as `evictlab.rl.recall` writes them.

        Raises
        ------
        FormatError
            A file is missing or damaged.
        """
        folder = Path(folder)
        try:
            about = json.loads((folder / ABOUT).read_text())
            config = Config(**about["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "Train one: python -m evictlab.rl.recall.train --out FOLDER"
            raise FormatError(folder / ABOUT, f"no description of a recall model ({error})", hint=hint) from error
        return cls(config, read_weights(folder / WEIGHTS), about)

    def prefill(self, tokens: ArrayLike) -> Prefill:
        """Read whole sequences with full causal attention.

        Parameters
        ----------
        tokens : int[S, P]
            From position 0.

        Returns
        -------
        Prefill
        """
        x = self.weights["embed"][np.asarray(tokens)]
        n_sequences, n, _ = x.shape
        carry = np.zeros((self.config.layers, n_sequences, self.config.heads, self.config.head_dim), np.float32)
        turn, future = self._turn(np.arange(n)), np.triu(np.full((n, n), -np.inf, np.float32), 1)
        layers = []
        for i in range(self.config.layers):
            q, k, v = self._project(i, x, turn, carry[i])
            weights: Floats = q @ k.swapaxes(2, 3)
            weights *= self.config.head_dim**-0.5
            weights += future
            weights -= weights.max(axis=-1, keepdims=True)
            np.exp(weights, out=weights)
            weights /= weights.sum(axis=-1, keepdims=True)
            x = self._finish(i, x, weights @ v)
            layers.append(Layer(q, k, v))
        return Prefill(layers, _norm(x, self.weights["norm"]), carry)

    def step(self, tokens: ArrayLike, positions: ArrayLike, attend: Attend, carry: Floats) -> Floats:
        """Read one more token of each sequence.

        Parameters
        ----------
        tokens : int[S]
        positions : int or int[S]
            What the queries and keys are rotated to: the token's place in its sequence, from 0.
        attend : callable
            Owns the cache, see `Attend`. It is called once per layer, in order.
        carry : float32[layers, S, H, d]
            Of the prefill, or zeros where nothing was read before. Renewed in place.

        Returns
        -------
        float32[S, vocabulary]
            Logits of the answer.
        """
        x = self.weights["embed"][np.asarray(tokens)][:, None]
        turn = self._turn(np.broadcast_to(np.asarray(positions), len(x))[:, None])
        for i in range(self.config.layers):
            q, k, v = (part[:, :, 0] for part in self._project(i, x, turn, carry[i]))
            x = self._finish(i, x, attend(i, q, k, v)[:, :, None])
        return self.logits(_norm(x[:, 0], self.weights["norm"]))

    def logits(self, hidden: Floats) -> Floats:
        """Return the logits of every token: float32[..., width] -> float32[..., vocabulary]."""
        logits: Floats = hidden @ self.weights["embed"].T
        return logits

    def _weight(self, layer: int, name: str) -> Floats:
        return self.weights[f"layers.{layer}.{name}"]

    def _turn(self, positions: NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
        """Cosines and sines [..., 1, P, d/2] of the rotary embedding at positions [..., P]."""
        angles = positions[..., None, :, None] * self._rates
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def _project(
        self, layer: int, x: Floats, turn: tuple[Floats, Floats], carry: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Queries, keys and values [S, H, P, d] of a layer's input [S, P, width]; carry [S, H, d] is renewed."""
        x = _norm(x, self._weight(layer, "attention_norm"))
        n_sequences, n, _ = x.shape
        q, k, v = (
            (x @ self._weight(layer, name)).reshape(n_sequences, n, self.config.heads, -1).swapaxes(1, 2)
            for name in "qkv"
        )
        share = self._shares[layer][:, None, None]
        before = np.concatenate([carry[:, :, None], k[:, :, :-1]], axis=2)
        carry[...] = k[:, :, -1]
        return _rotate(q, turn), _rotate((1 - share) * k + share * before, turn), v

    def _finish(self, layer: int, x: Floats, read: Floats) -> Floats:
        """Output [S, P, width] of a layer, from its input and what its heads have read [S, H, P, d]."""
        x = x + read.swapaxes(1, 2).reshape(x.shape) @ self._weight(layer, "o")
        up = _norm(x, self._weight(layer, "network_norm")) @ self._weight(layer, "up")
        x += (up / (1 + np.exp(-up))) @ self._weight(layer, "down")
        return x


def accuracy(model: RecallModel, episodes: Episodes) -> float:
    """Share of the queries that the model answers right with nothing thrown away."""
    hidden = model.prefill(episodes.tokens).hidden[:, episodes.asked]
    return float((model.logits(hidden).argmax(axis=-1) == episodes.answers).mean())


def _norm(x: Floats, gain: Floats) -> Floats:
    scaled: Floats = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + EPSILON)
    scaled *= gain
    return scaled


def _rotate(x: Floats, turn: tuple[Floats, Floats]) -> Floats:
    """Rotary embedding in the rotate-half pairing: component i turns together with i + d/2."""
    cos, sin = turn
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def read_weights(path: Path) -> dict[str, Floats]:
    """Read a safetensors file of float16 or float32: the length of a JSON header, the header, the numbers."""
    try:
        raw = path.read_bytes()
        (n,) = struct.unpack_from("<Q", raw)
        header = json.loads(raw[8 : 8 + n])
        header.pop("__metadata__", None)
        weights = {}
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            dtype = {"F16": "<f2", "F32": "<f4"}[entry["dtype"]]
            weights[name] = np.frombuffer(raw[8 + n + start : 8 + n + stop], dtype).reshape(entry["shape"])
    except (OSError, struct.error, ValueError, KeyError) as error:
        raise FormatError(
            path, f"no weights of a recall model ({error})", hint="Restore the file, or train again"
        ) from error
    return {name: weight.astype(np.float32) for name, weight in weights.items()}
