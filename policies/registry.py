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
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..traces.errors import UnknownNameError, UsageError
from .setting import Setting

__all__ = ["Policy", "PolicySpec", "all_specs", "load", "parse_policy", "policy", "policy_names", "spec_of"]


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
        changed = [
            f"{field.name}={_written(getattr(self, field.name))}"
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, field.name) != field.default
        ]
        return ":".join([self.spec.name, *changed])

    def parameters(self) -> dict[str, Any]:
        """Return all parameters by name, defaults included."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    def parts(self) -> tuple[Policy, ...]:
        """Return the registered policies this one is made of: itself, unless it is a composition."""
        return (self,)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        for path in sorted(_HERE.glob("cache/*/*.py"))
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
    path = Path(path).resolve()
    module_name = _PLUGIN + path.stem
    if not path.is_file():
        raise UsageError(f"no policy file {path}")
    known = getattr(sys.modules.get(module_name), "__file__", None)
    if known != str(path):
        found = importlib.util.spec_from_file_location(module_name, path)
        if found is None or found.loader is None:
            raise UsageError(f"{path} is no Python file (its name should end in .py)")
        module = importlib.util.module_from_spec(found)
        sys.modules[module_name] = module
        try:
            found.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise UsageError(f"{path} could not be imported: {type(error).__name__}: {error}") from error
    mine = [spec for spec in _SPECS.values() if spec.params.__module__ == module_name]
    if len(mine) != 1:
        raise UsageError(f"{path} defines {len(mine)} policies; expected exactly one class decorated with @policy(...)")
    return mine[0]


def parse_policy(text: str | Policy) -> Policy:
    """Turn ``"s3fifo:small=0.2"``, ``"adaptsize+lru"`` or ``"./mine.py"`` into a policy with its parameters.

    Raises
    ------
    UnknownNameError
        Unknown policy or parameter, with the nearest names.
    UsageError
        A parameter whose value does not fit.
    """
    if isinstance(text, Policy):
        return text
    gate, plus, rest = text.partition("+")
    if plus:
        from .cache.compose import Admitted

        return Admitted(parse_policy(gate), parse_policy(rest))
    name, *settings = text.strip().split(":")
    spec = load(name) if name.endswith(".py") else spec_of(name)
    fields = {field.name: field for field in dataclasses.fields(spec.params)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"policy {text!r}: {setting!r} is not of the form parameter=value")
        if key not in fields:
            raise UnknownNameError(f"parameter of {spec.name}", key, fields, "See: evictlab policies " + spec.name)
        values[key] = _value(spec.name, fields[key], value.strip())
    return spec.params(**values)


def _value(name: str, field: dataclasses.Field[Any], text: str) -> Any:
    """Convert a parameter's text to the type of the field's default."""
    kind: Any = type(field.default)
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise UsageError(f"{name}: {field.name}={text!r} is not a valid {kind.__name__}") from None
