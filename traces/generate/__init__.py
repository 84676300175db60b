"""Synthetic traces: seeded, the same on every machine.

>>> from evictlab.traces.generate import generate, zipf
>>> trace = zipf(n_requests=1_000_000, n_objects=100_000, alpha=0.9, sizes="lognormal:mean=32KiB")
>>> trace = generate("zipf:requests=1e6,objects=1e5,alpha=0.9,sizes=lognormal:mean=32KiB")
"""

from __future__ import annotations

from .challenging import challenging
from .drift import shifting
from .mixtures import mixed, one_hit
from .registry import GENERATORS, GeneratorSpec, Parameter, generate
from .stationary import uniform, zipf
from .successors import markov
from .sweeps import loop, scan
from .trap import trap
from .web import demo

__all__ = [
    "GENERATORS",
    "GeneratorSpec",
    "Parameter",
    "challenging",
    "demo",
    "generate",
    "loop",
    "markov",
    "mixed",
    "one_hit",
    "scan",
    "shifting",
    "trap",
    "uniform",
    "zipf",
]
