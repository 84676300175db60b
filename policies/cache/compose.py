"""Admission composed with eviction: ``adaptsize+lru``, ``tinylfu+slru``.

An admission rule is a policy state of its own that implements three functions::

    record(rule, obj, now, size)                 -> None   every request of an object that could be cached
    welcome(rule, obj, now, size)                -> bool   may the missed object enter at all?
    prefers(rule, obj, victim, now, size)        -> bool   is the newcomer worth more than this victim?

`Admitted` joins it with any eviction policy; a rule that compares with the victim (`weighs_victim`) needs an eviction
policy that can `peek`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from numba.extending import overload

from ...traces.errors import CapabilityError, UsageError
from .. import contract
from ..contract import KERNEL_OPTIONS, kernels, kernels_of
from ..registry import Policy
from ..setting import Setting

__all__ = ["Admitted", "admission", "prefers", "record", "welcome"]


class _Rule(NamedTuple):
    record: Callable[..., Any]
    welcome: Callable[..., Any]
    prefers: Callable[..., Any] | None


_RULES: dict[type, _Rule] = {}


def admission(
    state_type: type,
    record: Callable[..., Any],
    welcome: Callable[..., Any],
    prefers: Callable[..., Any] | None = None,
) -> None:
    """Say which functions serve an admission rule's states; `prefers` only where it weighs the victim."""
    _RULES[state_type] = _Rule(record, welcome, prefers)


def record(rule, obj, now, size):  # type: ignore[no-untyped-def]
    """Tell the rule about a request."""
    _RULES[type(rule)].record(rule, obj, now, size)


def welcome(rule, obj, now, size):  # type: ignore[no-untyped-def]
    """May the missed object enter?"""
    return _RULES[type(rule)].welcome(rule, obj, now, size)


def prefers(rule, obj, victim, now, size):  # type: ignore[no-untyped-def]
    """Is the newcomer worth more than this victim?"""
    return _RULES[type(rule)].prefers(rule, obj, victim, now, size)  # type: ignore[misc]


@overload(record, jit_options=KERNEL_OPTIONS)
def _record(rule, obj, now, size):  # type: ignore[no-untyped-def]
    return _RULES[rule.instance_class].record


@overload(welcome, jit_options=KERNEL_OPTIONS)
def _welcome(rule, obj, now, size):  # type: ignore[no-untyped-def]
    return _RULES[rule.instance_class].welcome


@overload(prefers, jit_options=KERNEL_OPTIONS)
def _prefers(rule, obj, victim, now, size):  # type: ignore[no-untyped-def]
    return _RULES[rule.instance_class].prefers


class Joined(NamedTuple):
    """An admission rule that looks at the newcomer only, in front of an eviction policy."""

    rule: Any
    inner: Any


class Weighing(NamedTuple):
    """An admission rule that compares the newcomer with the victim, in front of an eviction policy."""

    rule: Any
    inner: Any


def _find(state, obj):  # type: ignore[no-untyped-def]
    return contract.find(state.inner, obj)


def _hit(state, obj, now, size):  # type: ignore[no-untyped-def]
    record(state.rule, obj, now, size)
    contract.hit(state.inner, obj, now, size)


def _insert(state, obj, now, size):  # type: ignore[no-untyped-def]
    contract.insert(state.inner, obj, now, size)


def _evict(state, obj, now, size):  # type: ignore[no-untyped-def]
    return contract.evict(state.inner, obj, now, size)


def _admit(state, obj, now, size):  # type: ignore[no-untyped-def]
    record(state.rule, obj, now, size)
    return welcome(state.rule, obj, now, size) and contract.admit(state.inner, obj, now, size)


def _weigh(state, obj, now, size):  # type: ignore[no-untyped-def]
    victim = contract.peek(state.inner, obj, now, size)
    if prefers(state.rule, obj, victim, now, size):
        victim = contract.evict(state.inner, obj, now, size)
        return victim
    return obj


kernels(Joined, _find, _hit, _insert, _evict, admit=_admit)
kernels(Weighing, _find, _hit, _insert, _weigh, admit=_admit)


@dataclass(frozen=True)
class Admitted(Policy):
    """An admission rule in front of an eviction policy.

    Raises
    ------
    UsageError
        When the first is no admission rule, or the second is one.
    """

    rule: Policy
    inner: Policy

    def __post_init__(self) -> None:
        if not self.rule.spec.admission:
            raise UsageError(f"{self.rule.label!r} is no admission rule; write ADMISSION+EVICTION, as in adaptsize+lru")
        if isinstance(self.inner, Admitted) or self.inner.spec.admission:
            raise UsageError(f"{self.inner.label!r} evicts nothing; write ADMISSION+EVICTION, as in adaptsize+lru")

    @property
    def label(self) -> str:
        """The two as written on the command line."""
        return f"{self.rule.label}+{self.inner.label}"

    def parts(self) -> tuple[Policy, ...]:
        """Return the admission rule and the eviction policy."""
        return (self.rule, self.inner)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of both, by policy name."""
        return {part.spec.name: part.parameters() for part in self.parts()}

    def make(self, setting: Setting) -> Any:
        """Return an empty cache.

        Raises
        ------
        CapabilityError
            When the rule weighs the victim and the eviction policy cannot name it beforehand.
        """
        rule, inner = self.rule.make(setting), self.inner.make(setting)
        if _RULES[type(rule)].prefers is None:
            return Joined(rule, inner)
        if kernels_of(inner).peek is None:
            raise CapabilityError(
                f"{self.rule.label} compares the newcomer with the victim, and {self.inner.label} cannot name its victim "
                "beforehand. Policies that can: fifo, lru, lfu, slru, sieve and others that define peek."
            )
        return Weighing(rule, inner)
