"""Predictors: for each request a guess of what its object will do next, made before the replay.

A predictor is a source and any number of noises behind it: ``pleco``, ``truth+noisy:p=0.05``, ``popu+lognormal:sigma=10``.
A noise alone disturbs the truth. There are three kinds of prediction (`KINDS`); a source that knows only when the next
request comes has its times turned into bits by `evictlab.policies.predictors.thresholds`.

Each is a frozen dataclass of parameters in a file of its name, as policies are. Sources other than the truth look at the
past of each request only, or say which part of the trace they have seen (`Source.seen`).
"""

from __future__ import annotations

import importlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ...traces.errors import PredictionError, UnknownNameError, UsageError
from ..words import from_words, in_words

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = [
    "BITS",
    "KINDS",
    "Noise",
    "Predictor",
    "PredictorSpec",
    "Source",
    "all_predictors",
    "checked",
    "parse_predictor",
    "predictor",
    "predictor_names",
    "predictor_spec",
]

KINDS = {
    "discard": "a bit: 1 = may go, Belady's optimum evicts it before its next request; 0 = keep",
    "phase": "a bit: 0 = requested in the next k-phase, 1 = not",
    "next_use": "the index of the next request for the object",
}
"""Kinds of prediction, one per request."""

BITS = ("discard", "phase")
"""The kinds that are uint8 and 0 or 1; the other is float64."""

Array = npt.NDArray[Any]

KEPT = 8
"""Predictions kept per trace, so that policies of the same kind and size share them."""


@dataclass(frozen=True)
class PredictorSpec:
    """What is known about a source or a noise.

    Attributes
    ----------
    name, title : str
    year : int
    source : str
        Link to where it is from.
    noise : bool
        It disturbs what another predicts.
    random : bool
        What it predicts depends on the seed.
    summary : str
        First line of the class's docstring.
    params : type
        The dataclass of parameters.
    """

    name: str
    title: str
    year: int
    source: str
    noise: bool
    random: bool
    summary: str
    params: type[Any]


class Part:
    """What sources and noises have in common."""

    spec: ClassVar[PredictorSpec]

    @property
    def label(self) -> str:
        """As written on the command line."""
        return in_words(self.spec.name, self)


class Source(Part):
    """Base of the parameter classes of sources.

    Attributes
    ----------
    kinds : tuple of str
        The kinds that it predicts by itself.
    """

    kinds: ClassVar[tuple[str, ...]] = ("next_use",)

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Array:
        """Predict every request of a trace.

        Parameters
        ----------
        kind : str
            One of `kinds`.
        trace : RequestTrace
        capacity : int
            Objects that the cache holds: bits depend on it, times do not.

        Returns
        -------
        array[n_requests]
            0 and 1 for bits; indices of requests, that need not be whole, for ``next_use``.
        """
        raise TypeError(f"{type(self).__name__} defines no forecast(kind, trace, capacity)")

    def native(self, kind: str) -> str:
        """Return the kind to ask for where `kind` is wanted: itself, or the times it can be made from.

        Raises
        ------
        PredictionError
            It cannot be had.
        """
        if kind in self.kinds:
            return kind
        if "next_use" in self.kinds:
            return "next_use"
        raise PredictionError(f"{self.label} predicts {', '.join(self.kinds)}, but {kind} is needed: {KINDS[kind]}")

    def facts(self) -> dict[str, str]:
        """Return what else a result must say about the predictions, beside the label."""
        return {}

    def seen(self, trace: RequestTrace) -> int:
        """Return how many of the first requests it has seen with their futures; results of those are worth nothing."""
        return 0


class Noise(Part):
    """Base of the parameter classes of noises.

    Attributes
    ----------
    kinds : tuple of str
        The kinds that it disturbs; bits are disturbed through their times otherwise.
    """

    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS)

    @property
    def label(self) -> str:
        """As written on the command line, with how strong the noise is."""
        return in_words(self.spec.name, self, always=1)

    def disturb(self, kind: str, values: Array, trace: RequestTrace, rng: np.random.Generator) -> Array:
        """Return predictions with errors added; `values` is not changed."""
        raise TypeError(f"{type(self).__name__} defines no disturb(kind, values, trace, rng)")


_SPECS: dict[str, PredictorSpec] = {}
_T = TypeVar("_T", bound=type[Part])
_HERE = Path(__file__).parent
_NOT_PREDICTORS = {"base", "errors", "given", "phases", "predicted", "thresholds"}


def predictor(*, title: str, year: int, source: str, random: bool = False) -> Callable[[_T], _T]:
    """Register a parameter class under the name of its file; see `PredictorSpec`."""

    def register(cls: _T) -> _T:
        name = cls.__module__.rpartition(".")[2]
        summary = (cls.__doc__ or "").strip().split("\n", 1)[0]
        cls.spec = _SPECS[name] = PredictorSpec(name, title, year, source, issubclass(cls, Noise), random, summary, cls)
        return cls

    return register


@cache
def predictor_names() -> list[str]:
    """Return the names of all sources and noises, sorted."""
    names = (path.stem for path in _HERE.glob("*.py"))
    return sorted(name for name in names if not name.startswith("_") and name not in _NOT_PREDICTORS)


def predictor_spec(name: str) -> PredictorSpec:
    """Return what is known about the source or noise of that name.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    own = name.strip().lower().replace("-", "_")
    if own not in predictor_names():
        raise UnknownNameError("predictor", name, predictor_names(), "See: evictlab predictors")
    importlib.import_module(f".{own}", __package__)
    return _SPECS[own]


def all_predictors() -> list[PredictorSpec]:
    """Return what is known about all of them, sources first."""
    return sorted((predictor_spec(name) for name in predictor_names()), key=lambda spec: (spec.noise, spec.name))


@dataclass(frozen=True)
class Predictor:
    """A source, and the noises that its predictions go through."""

    source: Source
    noises: tuple[Noise, ...] = ()

    @property
    def label(self) -> str:
        """As written on the command line."""
        shown = [part.label for part in (self.source, *self.noises)]
        return "+".join(shown[1:] if self.noises and shown[0] == "truth" else shown)

    @property
    def random(self) -> bool:
        """Whether predictions depend on the seed."""
        return any(noise.spec.random for noise in self.noises)

    def forecast(self, kind: str, trace: RequestTrace, capacity: int, seed: int = 0) -> Array:
        """Predict every request of a trace.

        Parameters
        ----------
        kind : str
            A key of `KINDS`.
        trace : RequestTrace
        capacity : int
            Objects that the cache holds.
        seed : int
            Of the noises; apart from what policies draw with the same seed.

        Returns
        -------
        uint8[n_requests] or float64[n_requests]
            Read-only.

        Raises
        ------
        PredictionError
            Another length, not 0 or 1, not a number, or a kind that cannot be had.
        """
        now = self.source.native(kind)
        if any(kind not in noise.kinds for noise in self.noises):  # noise that only times can have
            now = self.source.native("next_use")
        values = _kept(self.source, now, trace, capacity)
        for place, noise in enumerate(self.noises):
            if now != kind and all(kind in later.kinds for later in self.noises[place:]):
                values, now = _as_bits(kind, values, trace, capacity), kind
            rng = np.random.default_rng(np.random.SeedSequence([seed, place, *_fingerprint(trace)]))
            values = noise.disturb(now, values, trace, rng)
        if now != kind:
            values = _as_bits(kind, values, trace, capacity)
        return checked(kind, values, len(trace), self.label)


def _as_bits(kind: str, times: Array, trace: RequestTrace, capacity: int) -> Array:
    from .thresholds import bits_of_times

    return bits_of_times(kind, times, trace, capacity)


def parse_predictor(text: str | Predictor | Array) -> Predictor:
    """Turn ``"pleco"``, ``"noisy:p=0.05"``, ``"popu+noisy:p=0.1"``, or an array of predictions into a predictor.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    UsageError
        A noise in front, or a source behind.
    """
    if isinstance(text, Predictor):
        return text
    if not isinstance(text, str):
        from .given import Given

        return Predictor(Given(np.asarray(text)))
    parts = [_part(word) for word in text.split("+")]
    if isinstance(parts[0], Noise):
        parts.insert(0, _part("truth"))
    source, *noises = parts
    for noise in noises:
        if not isinstance(noise, Noise):
            raise UsageError(
                f"predictor {text!r}: {noise.label!r} is a source and comes first; noises follow it, as in pleco+noisy:p=0.1"
            )
    return Predictor(source, tuple(noises))


def _part(word: str) -> Any:
    name, *settings = word.strip().split(":")
    spec = predictor_spec(name)
    return from_words(spec.params, spec.name, settings, "predictor", f"See: evictlab predictors {spec.name}")


def checked(kind: str, values: Any, n_requests: int, label: str) -> Array:
    """Bring predictions into their type.

    Raises
    ------
    PredictionError
        With the first value that is at fault.
    """
    values = np.asarray(values)
    if values.shape != (n_requests,):
        many = " x ".join(map(str, values.shape)) or "a single number, not"
        raise PredictionError(f"{label}: {many} predictions for {n_requests:,} requests; one per request is needed")
    if values.dtype.kind not in "iufb":
        raise PredictionError(f"{label}: predictions must be numbers, not {values.dtype}")
    if values.dtype.kind == "f":
        _refuse(label, values, np.isnan(values), "is not a number")
    if kind in BITS:
        if values.dtype != np.uint8 or values.max(initial=0) > 1:
            _refuse(label, values, (values != 0) & (values != 1), f"is neither 0 nor 1; {kind} is {KINDS[kind]}")
        values = values.astype(np.uint8, copy=False)
    else:
        values = values.astype(np.float64, copy=False)
    frozen: Array = values.view()
    frozen.flags.writeable = False
    return frozen


def _refuse(label: str, values: Array, bad: npt.NDArray[np.bool_], why: str) -> None:
    if bad.any():
        where = int(bad.argmax())
        raise PredictionError(f"{label}: the prediction of request {where:,} is {values[where]:g}, which {why}")


def _fingerprint(trace: RequestTrace) -> tuple[int, int]:
    """Two numbers that tell traces apart: with one seed, each gets noise of its own."""
    return len(trace), zlib.crc32(trace.ids[:65536].tobytes())


class _Memory:
    """The predictions of one trace that are kept."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a source may ask another one about the same trace
        self.found: OrderedDict[Any, Array] = OrderedDict()


_memories: WeakKeyDictionary[RequestTrace, _Memory] = WeakKeyDictionary()
_memories_lock = threading.Lock()


def _kept(source: Source, kind: str, trace: RequestTrace, capacity: int) -> Array:
    """Return what a source predicts, computed once for all policies that ask; times do not depend on the capacity."""
    with _memories_lock:
        memory = _memories.setdefault(trace, _Memory())
    key = (source, kind, capacity if kind in BITS else None)
    with memory.lock:
        if key not in memory.found:
            values = checked(kind, source.forecast(kind, trace, capacity), len(trace), source.label)
            memory.found[key] = values
            if len(memory.found) > KEPT:
                memory.found.popitem(last=False)
        memory.found.move_to_end(key)
        return memory.found[key]
