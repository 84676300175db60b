"""Generators by name, and the text form ``name:parameter=value,...`` in which a command line calls them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from ..request import RequestTrace
    from .columns import Columns

__all__ = ["GENERATORS", "GeneratorSpec", "Parameter", "generate", "generator"]

_MODULES = ("challenging", "drift", "mixtures", "stationary", "successors", "sweeps", "trap", "web")

HELP = {
    "n_requests": "number of requests",
    "n_objects": "number of objects",
    "seed": "equal seeds, equal traces",
    "sizes": "bytes per object: none, 4KiB, lognormal:mean=32KiB:sigma=1.5 or uniform:low=1KiB:high=1MiB",
    "rate_per_s": "mean requests per second, arriving at random; none for no times",
    "alpha": "Zipf exponent: 0 is uniform, about 0.6 to 1.2 is usual",
    "scan_share": "share of requests that belong to scans",
    "scan_objects": "objects that a scan walks through, over and over",
    "run_length": "requests of a scan before the others come back",
    "drift_requests": "requests after which one more object has become the most popular",
    "one_hit_share": "share of requests to objects that never come again",
    "one_hit_sizes": "bytes of an object that never comes again, as sizes; none: like the others",
    "n_successors": "objects that may follow an object",
    "follow": "probability that a request is for a successor of the one before",
    "level": "easy: most requests repeat recent ones; medium; hard: half do not, and are spread thinly",
    "clock": "scrambled: as the authors' generator stamps its requests; cumulative: gaps add up",
    "days": "length in days; requests are densest in the evening",
}
"""What each parameter of a generator means."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: as the text form calls it, its default (None where it must be given), its meaning."""

    name: str
    default: Any
    help: str
    required: bool


@dataclass(frozen=True)
class GeneratorSpec:
    """One generator, as the table of generators shows it.

    Attributes
    ----------
    name : str
    help : str
        One line.
    parameters : tuple of Parameter
        In order.
    make : callable
        The function, to be called with Python names (``n_requests``).
    """

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    make: Callable[..., RequestTrace]


_specs: dict[str, GeneratorSpec] = {}


def generator(columns: Callable[..., Columns]) -> Callable[..., RequestTrace]:
    """Register a function that makes columns as a generator that makes a trace.

    The trace is called by the text that makes it again, and carries its parameters.
    """
    name = columns.__name__
    signature = inspect.signature(columns)
    first_line = (columns.__doc__ or "").partition("\n")[0]

    @wraps(columns)
    def make(*args: Any, **kwargs: Any) -> RequestTrace:
        from ..provenance import Provenance
        from ..request import RequestTrace

        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        made = columns(**given)
        provenance = Provenance(name=_text(name, given, signature), reader=name, options=dict(given))
        return RequestTrace.from_columns(
            made.keys, made.sizes, made.times, made.ttls, made.costs, provenance=provenance
        )

    parameters = tuple(
        Parameter(_short(p.name), None if p.default is p.empty else p.default, HELP[p.name], p.default is p.empty)
        for p in signature.parameters.values()
    )
    _specs[name] = GeneratorSpec(name, first_line, parameters, make)
    return make


class Generators(Mapping[str, GeneratorSpec]):
    """All generators by name. Reading it loads the files that define them."""

    def _load(self) -> dict[str, GeneratorSpec]:
        for module in _MODULES:
            import_module(f"..{module}", __name__)
        return _specs

    def __getitem__(self, name: str) -> GeneratorSpec:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())

    def __str__(self) -> str:
        blocks = []
        for spec in self.values():
            lines = [f"{spec.name}: {spec.help}"]
            for parameter in spec.parameters:
                default = "required" if parameter.required else f"default {_shown(parameter.default)}"
                lines.append(f"    {parameter.name:<14} {parameter.help} ({default})")
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)


GENERATORS = Generators()
"""Every generator by name; as text, their help."""


def generate(spec: str) -> RequestTrace:
    """Make a synthetic trace from its text form.

    Parameters
    ----------
    spec : str
        For example ``"zipf:requests=1e6,objects=1e5,alpha=1.0,seed=3"``, or ``"demo"``.

    Raises
    ------
    UnknownNameError
        There is no such generator or parameter.
    UsageError
        A parameter is missing, given twice, or has an impossible value.

    Examples
    --------
    >>> generate("loop:requests=6,objects=3").ids.tolist()
    [0, 1, 2, 0, 1, 2]
    """
    name, _, rest = spec.partition(":")
    name = name.strip().lower().replace("-", "_")
    if name not in GENERATORS:
        raise UnknownNameError("generator", name, GENERATORS, "See: evictlab trace generate")
    chosen = GENERATORS[name]
    known = {parameter.name: parameter for parameter in chosen.parameters}
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = part.partition("=")
        key = _short(key.strip().lower().replace("-", "_"))
        if not equals:
            raise UsageError(f"{part!r} in {spec!r} is not of the form parameter=value")
        if key not in known:
            raise UnknownNameError(f"parameter of {name}", key, known, "See: evictlab trace generate")
        if key in given:
            raise UsageError(f"{key!r} is given twice in {spec!r}")
        given[key] = _value(key, value.strip(), known[key].default)
    missing = [parameter.name for parameter in chosen.parameters if parameter.required and parameter.name not in given]
    if missing:
        raise UsageError(f"{spec!r} lacks {' and '.join(missing)}, for example {name}:{missing[0]}=1e5")
    return chosen.make(**{_long(key): value for key, value in given.items()})


def _value(key: str, text: str, default: Any) -> Any:
    """Read a value by its parameter: text for sizes, whole or real numbers for the others."""
    if key.endswith("sizes"):
        return None if text.lower() == "none" else text
    if isinstance(default, str):
        return text
    if text.lower() == "none" and key == "rate_per_s":
        return None
    number = re.fullmatch(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?", text)
    if number is None:
        raise UsageError(f"{key}={text!r} is not a number")
    value = float(text)
    if isinstance(default, float) or key == "rate_per_s":
        return value
    if value != int(value):
        raise UsageError(f"{key}={text!r} is not a whole number")
    return int(value)


def _short(name: str) -> str:
    return name.removeprefix("n_")


def _long(name: str) -> str:
    return f"n_{name}" if f"n_{name}" in HELP else name


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value}"


def _text(name: str, given: Mapping[str, Any], signature: inspect.Signature) -> str:
    """Spell the call as `generate` reads it, without what is left at its default."""
    changed = {key: value for key, value in given.items() if value != signature.parameters[key].default}
    parts = [f"{_short(key)}={_shown(value)}" for key, value in changed.items()]
    return f"{name}:{','.join(parts)}" if parts else name
