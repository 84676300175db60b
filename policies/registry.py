"""The registry: every policy once, under one name.

A policy's file defines a frozen dataclass of parameters (defaults as in the paper) with a `make` method, decorated with
`policy(...)`. The file's name is the policy's name here and on the command line. Files are imported when their policy is
first asked for, so that naming one policy does not pay for forty.

Policies from elsewhere come in by an entry point of the group ``evictlab.policies`` (name -> module), or by the path of a
Python file.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..traces.errors import UnknownNameError, UsageError
from .plug_in import import_file
from .setting import Setting
from .words import from_words, in_words

__all__ = [
    "Policy",
    "PolicySpec",
    "all_specs",
    "is_offline",
    "load",
    "parse_policy",
    "policy",
    "policy_names",
    "spec_of",
]


@dataclasses.dataclass(frozen=True)
class PolicySpec:
    """What is known about a policy before it runs.

    Attributes
    ----------
    name : str
        Registry name, file name and command-line name.
    title : str
        As printed, for example ``"S3-FIFO"``.
    family : str
        The folder: ``recency``, ``queue``, ...; ``plug-in`` for a user's own.
    year : int
    source : str
        Link to the paper.
    sizes, cost, ttl : bool
        Whether it accepts byte sizes, weighs request costs, and copes with objects that expire.
    next_use : bool
        Whether it reads the future (offline policies).
    random : bool
        Whether results depend on the seed.
    admission : bool
        True for an admission rule, which needs an eviction policy behind it (``adaptsize+lru``).
    combines : bool
        True for a combiner, which needs two policies behind it (``follow_leader+mark0+lru``).
    predictions : str
        Which kind of prediction it reads with each request, a key of `evictlab.policies.predictors.KINDS`; empty: none.
    summary : str
        First line of the class's docstring.
    params : type
        The dataclass of parameters.
    """

    name: str
    title: str
    family: str
    year: int
    source: str
    sizes: bool
    cost: bool
    ttl: bool
    next_use: bool
    random: bool
    admission: bool
    combines: bool
    predictions: str
    summary: str
    params: type[Policy]


class Policy:
    """Base of all parameter classes.

    A subclass is a frozen dataclass with a method ``make(setting) -> state``, where the state's type has been announced
    with `evictlab.policies.kernels`.
    """

    spec: ClassVar[PolicySpec]

    def make(self, setting: Setting) -> Any:
        """Return a fresh state: an empty cache."""
        raise TypeError(f"{type(self).__name__} defines no make(setting)")

    @property
    def label(self) -> str:
        """The policy as it is written on the command line, with the parameters that differ from the defaults."""
        return in_words(self.spec.name, self)

    def parameters(self) -> dict[str, Any]:
        """Return all parameters by name, defaults included."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @property
    def depends_on(self) -> str:
        """What else decides about results, such as the digest of a file that is read; mostly nothing."""
        return ""

    def parts(self) -> tuple[Policy, ...]:
        """Return the registered policies this one is made of: itself, unless it is a composition."""
        return (self,)

    @property
    def random(self) -> bool:
        """Whether results depend on the seed."""
        return any(part.spec.random for part in self.parts())

    @property
    def offline(self) -> bool:
        """Whether it knows the future, and so is a bound rather than a contestant."""
        return any(part.spec.next_use for part in self.parts())

    @property
    def predictions(self) -> tuple[str, ...]:
        """The kinds of prediction that it reads, keys of `evictlab.policies.predictors.KINDS`, each once."""
        return tuple(dict.fromkeys(part.spec.predictions for part in self.parts() if part.spec.predictions))


_SPECS: dict[str, PolicySpec] = {}
_P = TypeVar("_P", bound=type[Policy])
_HERE = Path(__file__).parent
_PLUGIN = "evictlab_plugin_"  # begins the module name of a policy that was loaded from a file


def policy(
    *,
    title: str,
    year: int,
    source: str,
    name: str | None = None,
    sizes: bool = True,
    cost: bool = False,
    ttl: bool = True,
    next_use: bool = False,
    random: bool = False,
    admission: bool = False,
    combines: bool = False,
    predictions: str = "",
) -> Callable[[_P], _P]:
    """Register a parameter class under the name of its file (in a notebook: of the class), or under `name`.

    See `PolicySpec` for the meaning of the arguments.

    Raises
    ------
    UsageError
        When another module already holds the name.
    """

    def register(cls: _P) -> _P:
        module = cls.__module__.split(".")
        own = name or (cls.__name__.lower() if module == ["__main__"] else module[-1].removeprefix(_PLUGIN))
        known = _SPECS.get(own)
        if known is not None and known.params.__module__ != cls.__module__:
            raise UsageError(
                f"policy {own!r} is defined twice: in {known.params.__module__} and in {cls.__module__}. "
                "Rename one of the files, or pass name=... to @policy."
            )
        builtin = module[:2] == __name__.split(".")[:2]
        cls.spec = _SPECS[own] = PolicySpec(
            name=own,
            title=title,
            family=module[-2] if builtin else "plug-in",
            year=year,
            source=source,
            sizes=sizes,
            cost=cost,
            ttl=ttl,
            next_use=next_use,
            random=random,
            admission=admission,
            combines=combines,
            predictions=predictions,
            summary=(cls.__doc__ or "").strip().split("\n", 1)[0],
            params=cls,
        )
        return cls

    return register


@cache
def _builtin_modules() -> dict[str, str]:
    """Names of the built-in policies and the modules that define them; nothing is imported."""
    package = __name__.rpartition(".")[0]
    return {
        path.stem: f"{package}.{'.'.join(path.relative_to(_HERE).with_suffix('').parts)}"
        for pattern in ("cache/*/*.py", "predictive/*/*.py")
        for path in sorted(_HERE.glob(pattern))
        if not path.stem.startswith("_")
    }


@cache
def _plugin_modules() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="evictlab.policies")}


def policy_names() -> list[str]:
    """Return the names of all policies, built-in, installed and registered in this process, sorted."""
    return sorted({*_builtin_modules(), *_plugin_modules(), *_SPECS})


def spec_of(name: str) -> PolicySpec:
    """Return what is known about the policy of that name, importing its file if need be.

    Parameters
    ----------
    name : str
        ``past-future`` and ``past_future`` are the same; case does not matter.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    own = name.strip().lower().replace("-", "_")
    if own not in _SPECS:
        module = _builtin_modules().get(own) or _plugin_modules().get(own)
        if module is None:
            raise UnknownNameError("policy", name, policy_names(), "See: evictlab policies")
        importlib.import_module(module)
    if own not in _SPECS:
        raise UsageError(
            f"the module {_plugin_modules().get(own)} was expected to define a policy {own!r}, but did not"
        )
    return _SPECS[own]


def all_specs() -> list[PolicySpec]:
    """Import every policy and return what is known about them, by family and name."""
    return sorted((spec_of(name) for name in policy_names()), key=lambda s: (s.family, s.name))


def load(path: str | Path) -> PolicySpec:
    """Import a Python file that defines one policy, and return what is known about it.

    Raises
    ------
    UsageError
        When there is no such file, or it defines no policy or several.
    """
    module_name = import_file(path, _PLUGIN)
    mine = [spec for spec in _SPECS.values() if spec.params.__module__ == module_name]
    if len(mine) != 1:
        raise UsageError(f"{path} defines {len(mine)} policies; expected exactly one class decorated with @policy(...)")
    return mine[0]


@cache
def is_offline(label: str) -> bool:
    """Return whether the policy of that label knows the future; of a plug-in that is not here, that is not known."""
    try:
        return parse_policy(label).offline
    except UsageError:
        return False


def parse_policy(text: str | Policy) -> Policy:
    """Turn ``"s3fifo:small=0.2"``, ``"adaptsize+lru"``, ``"mark0@pleco"`` or ``"./mine.py"`` into a policy.

    An admission rule stands before the policy it guards, a combiner before the two that it combines
    (``follow_leader+mark0+lru``), and after ``@`` stands who predicts (see `evictlab.policies.predictors`).

    Raises
    ------
    UnknownNameError
        Unknown policy, predictor or parameter, with the nearest names.
    UsageError
        A parameter whose value does not fit, or parts that do not go together.
    """
    if isinstance(text, Policy):
        return text
    composition, at, predictor = text.partition("@")
    found, rest = _first(composition.split("+"))
    if rest:
        from .cache.compose import Admitted

        return Admitted(found, _first(rest)[0])  # says what does not go together
    if not at:
        return found
    from .predictors.base import parse_predictor
    from .predictors.predicted import Predicted

    return Predicted(found, parse_predictor(predictor))


def _first(words: list[str]) -> tuple[Policy, list[str]]:
    """Take as many words as the first policy needs, and return it with the words that are left."""
    name, *settings = words[0].strip().split(":")
    spec = load(name) if name.endswith(".py") else spec_of(name)
    found: Policy = from_words(spec.params, spec.name, settings, "policy", f"See: evictlab policies {spec.name}")
    rest = words[1:]
    if spec.admission and rest:
        from .cache.compose import Admitted

        inner, rest = _first(rest)
        return Admitted(found, inner), rest
    if spec.combines:
        from .predictive.combine import Combined

        if len(rest) < 1:
            return found, rest
        first, rest = _first(rest)
        if not rest:
            raise UsageError(f"{spec.name} combines two policies; write {spec.name}+{first.label}+lru, for example")
        second, rest = _first(rest)
        return Combined(found, first, second), rest
    return found, rest
