"""The registry of KV policies: each once, under the name of its file.

A policy's file defines a frozen dataclass of parameters (defaults as in the paper or its code) derived from `KVPolicy`,
decorated with `kv_policy(...)`. The name of a cache policy (``lru``, ``s3fifo``) is also accepted: it is then applied to
tokens, see `evictlab.policies.kv.paging`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ...traces.errors import UnknownNameError, UsageError
from ..plug_in import import_file
from ..words import from_words, in_words
from .actions import Action, Select
from .context import Prompt, Step
from .needs import Needs
from .setting import Setting

__all__ = [
    "KVPolicy",
    "KVSpec",
    "Session",
    "all_kv_specs",
    "kv_policy",
    "kv_policy_names",
    "kv_spec",
    "parse_kv_policy",
]


@dataclasses.dataclass(frozen=True)
class KVSpec:
    """What is known about a KV policy before it runs. One paper's name stands for several policies, so all of this counts.

    Attributes
    ----------
    name, title, family : str
    year : int
    source : str
        Paper or code that this definition follows.
    scorer : str
        What makes a slot worth keeping.
    window : str
        Which queries are asked.
    pooling : str
    gqa : str
        How query heads that share a KV head are reduced.
    budget : str
        How slots are shared out among heads and layers.
    prompt_only : bool
        Evicts at the end of the prompt only; generated tokens stay and are not counted.
    oracle : bool
        Knows the future, or reads what it does not hold: a bound.
    random : bool
        Depends on the seed.
    summary : str
    params : type
    """

    name: str
    title: str
    family: str
    year: int
    source: str
    scorer: str
    window: str
    pooling: str
    gqa: str
    budget: str
    prompt_only: bool
    oracle: bool
    random: bool
    summary: str
    params: type[KVPolicy]


class Session:
    """What a policy is while it runs: its own arrays, and three moments at which it is asked. All may be left out."""

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        """At the end of the prompt of one sequence: what leaves, and who may hold how much."""
        return []

    def on_step(self, step: Step) -> list[Action]:
        """After a decoded token's queries have attended; some layers at a time, or all."""
        return []

    def select(self, step: Step) -> Select | None:
        """Before they attend: which slots they read. ``step.queries()`` are this step's."""
        return None


class KVPolicy:
    """Base of all parameter classes. A subclass is a frozen dataclass with ``make`` and, mostly, ``needs``."""

    spec: ClassVar[KVSpec]

    gqa: str = "mean"
    """``"none"`` gives each query head a set of its own, and so stores each KV head once per query head."""

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs()

    def make(self, setting: Setting) -> Session:
        """Return a session for caches of this shape."""
        raise TypeError(f"{type(self).__name__} defines no make(setting)")

    @property
    def forced(self) -> int:
        """Most recent slots that it keeps whatever happens: a budget below that is refused."""
        return 0

    @property
    def slack(self) -> int:
        """By how many slots a stream may exceed its budget between two evictions."""
        return 0

    @property
    def metadata_bytes(self) -> int:
        """Bytes that it keeps for each slot beside key and value."""
        return 0

    def metadata_of(self, slot_bytes: int) -> float:
        """The same for slots whose key and value take `slot_bytes`, where it depends on that."""
        return self.metadata_bytes

    @property
    def kept_queries(self) -> int:
        """Last queries of each head that are kept while decoding, to be asked again; they take memory, too.

        As many as `needs` declares, unless a policy says that it asks them at the end of the prompt only.
        """
        needs = self.needs()
        most = max(needs.queries, needs.window)
        return most if most > 1 else 0

    @property
    def random(self) -> bool:
        """Whether results depend on the seed."""
        return self.spec.random

    @property
    def oracle(self) -> bool:
        """Whether it knows the future, or what a cache has lost, with these parameters."""
        needs = self.needs()
        return self.spec.oracle or needs.future or needs.full_weights

    @property
    def prompt_only(self) -> bool:
        """Whether generated tokens stay and are not counted, with these parameters."""
        return self.spec.prompt_only

    @property
    def whole_prompt(self) -> bool:
        """Whether nothing can leave before the last layer has seen the prompt, so that all of it is resident once."""
        return False

    @property
    def selects(self) -> bool:
        """Whether it answers `Session.select`: its budget then limits what a query reads, not what is resident."""
        return False

    @property
    def label(self) -> str:
        """The policy as it is written on the command line, with the parameters that differ from the defaults."""
        return in_words(self.spec.name, self)

    def parameters(self) -> dict[str, Any]:
        """Return all parameters by name."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]


_SPECS: dict[str, KVSpec] = {}
_P = TypeVar("_P", bound=type[KVPolicy])
_HERE = Path(__file__).parent
MOST = 10**9
"""Parameters of the command line stay below: beyond, arrays of them would not fit into anything."""

_PLUGIN = "evictlab_kv_plugin_"  # begins the module name of a policy that was loaded from a file


def kv_policy(
    *,
    title: str,
    year: int,
    source: str,
    scorer: str,
    window: str = "-",
    pooling: str = "-",
    gqa: str = "-",
    budget: str = "uniform",
    prompt_only: bool = False,
    oracle: bool = False,
    random: bool = False,
    name: str | None = None,
) -> Callable[[_P], _P]:
    """Register a parameter class under the name of its file, or under `name`. See `KVSpec` for the arguments."""

    def register(cls: _P) -> _P:
        module = cls.__module__.split(".")
        own = name or (cls.__name__.lower() if module == ["__main__"] else module[-1].removeprefix(_PLUGIN))
        known = _SPECS.get(own)
        if known is not None and known.params.__module__ != cls.__module__:
            raise UsageError(
                f"KV policy {own!r} is defined twice: in {known.params.__module__} and in {cls.__module__}"
            )
        cls.spec = _SPECS[own] = KVSpec(
            name=own,
            title=title,
            family=module[-2] if module[:3] == __name__.split(".")[:3] else "plug-in",
            year=year,
            source=source,
            scorer=scorer,
            window=window,
            pooling=pooling,
            gqa=gqa,
            budget=budget,
            prompt_only=prompt_only,
            oracle=oracle,
            random=random,
            summary=(cls.__doc__ or "").strip().split("\n", 1)[0],
            params=cls,
        )
        return cls

    return register


@cache
def _modules() -> dict[str, str]:
    """Names of the built-in KV policies and the modules that define them; nothing is imported."""
    package = __name__.rpartition(".")[0]
    return {
        path.stem: f"{package}.{path.parent.name}.{path.stem}"
        for path in sorted(_HERE.glob("*/*.py"))
        if not path.stem.startswith("_")
    }


def kv_policy_names() -> list[str]:
    """Return the names of all KV policies, sorted; without the cache policies that can be applied to tokens."""
    return sorted({*_modules(), *_SPECS} - {"paging"})


def kv_spec(name: str) -> KVSpec:
    """Return what is known about the KV policy of that name.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    """
    own = name.strip().lower().replace("-", "_")
    if own not in _SPECS:
        module = _modules().get(own)
        if module is None:
            raise UnknownNameError("KV policy", name, kv_policy_names(), "See: evictlab attention policies")
        importlib.import_module(module)
    return _SPECS[own]


def all_kv_specs() -> list[KVSpec]:
    """Import every KV policy and return what is known about them, by family and name."""
    return sorted((kv_spec(name) for name in kv_policy_names()), key=lambda spec: (spec.family, spec.name))


def load_kv_policy(path: str | Path) -> KVSpec:
    """Import a Python file that defines one KV policy, and return what is known about it.

    Raises
    ------
    UsageError
        When there is no such file, or it defines no KV policy or several.
    """
    module_name = import_file(path, _PLUGIN)
    mine = [spec for spec in _SPECS.values() if spec.params.__module__ == module_name]
    if len(mine) != 1:
        raise UsageError(f"{path} defines {len(mine)} KV policies; expected exactly one class under @kv_policy(...)")
    return mine[0]


def parse_kv_policy(text: str | KVPolicy) -> KVPolicy:
    """Turn ``"snapkv:window=16"``, ``"lru"`` or ``"./mine.py"`` into a policy.

    Raises
    ------
    UnknownNameError
        Unknown policy or parameter, with the nearest names.
    UsageError
        A parameter whose value does not fit.
    """
    if isinstance(text, KVPolicy):
        return text
    name, *settings = text.strip().split(":")
    if name.endswith(".py"):
        return _made(load_kv_policy(name), settings)
    own = name.strip().lower().replace("-", "_")
    if own not in kv_policy_names():
        from ..registry import policy_names

        if own.partition("+")[0] in policy_names():
            paging: Any = kv_spec("paging").params
            return paging(policy=text.strip())  # type: ignore[no-any-return]
    return _made(kv_spec(own), settings)


def _made(spec: KVSpec, settings: list[str]) -> KVPolicy:
    """A policy with parameters from the command line."""
    hint = f"See: evictlab attention policies {spec.name}" if spec.family != "plug-in" else ""
    found: KVPolicy = from_words(spec.params, spec.name, settings, "KV policy", hint)
    for name, value in found.parameters().items():
        if isinstance(value, float | int) and not 0 <= value < MOST:
            raise UsageError(f"{spec.name}: {name}={value} is not a number from 0 to {MOST:g}")
    return found
