"""Admission composed with eviction: ``adaptsize+lru``, ``tinylfu+slru``.

An admission rule has a state of its own and up to three functions::

    welcome(rule, obj, now, size)                -> bool   may the missed object enter at all?
    record(rule, obj, now, size)                 -> None   every request of an object that could be cached, before the
                                                           other two (default: nothing)
    prefers(rule, obj, victim, now, size)        -> bool   is the newcomer worth more than this victim? Only for rules
                                                           that weigh them; asked again for each further victim

`Admitted` joins a rule with any eviction policy; a rule that weighs needs one that can `peek`. The eviction policy is not
told of a newcomer that its rule turned away.
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

__all__ = ["Admitted", "Rule", "admission", "prefers", "record", "welcome"]


class _Functions(NamedTuple):
    welcome: Callable[..., Any]
    record: Callable[..., Any]
    prefers: Callable[..., Any] | None


_TABLE: dict[type, _Functions] = {}


def _overlook(rule, obj, now, size):
    pass


def admission(
    state_type: type,
    welcome: Callable[..., Any],
    record: Callable[..., Any] = _overlook,
    prefers: Callable[..., Any] | None = None,
) -> None:
    """Say which functions serve an admission rule's states; see the module for what they do."""
    _TABLE[state_type] = _Functions(welcome, record, prefers)


def welcome(rule, obj, now, size):
    """Say whether the missed object may enter."""
    return _TABLE[type(rule)].welcome(rule, obj, now, size)


def record(rule, obj, now, size):
    """Tell the rule about a request."""
    _TABLE[type(rule)].record(rule, obj, now, size)


def prefers(rule, obj, victim, now, size):
    """Say whether the newcomer is worth more than this victim."""
    return _TABLE[type(rule)].prefers(rule, obj, victim, now, size)  # type: ignore[misc]


@overload(welcome, jit_options=KERNEL_OPTIONS)
def _welcome(rule, obj, now, size):
    return _TABLE[rule.instance_class].welcome


@overload(record, jit_options=KERNEL_OPTIONS)
def _record(rule, obj, now, size):
    return _TABLE[rule.instance_class].record


@overload(prefers, jit_options=KERNEL_OPTIONS)
def _prefers(rule, obj, victim, now, size):
    return _TABLE[rule.instance_class].prefers


class Joined(NamedTuple):
    """An admission rule that looks at the newcomer only, in front of an eviction policy."""

    rule: Any
    inner: Any


class Weighing(NamedTuple):
    """An admission rule that compares the newcomer with the victim, in front of an eviction policy."""

    rule: Any
    inner: Any


def _find(state, obj):
    return contract.find(state.inner, obj)


def _hit(state, obj, now, size):
    record(state.rule, obj, now, size)
    contract.hit(state.inner, obj, now, size)


def _insert(state, obj, now, size):
    contract.insert(state.inner, obj, now, size)


def _evict(state, obj, now, size):
    return contract.evict(state.inner, obj, now, size)


def _admit(state, obj, now, size):
    record(state.rule, obj, now, size)
    return welcome(state.rule, obj, now, size) and contract.admit(state.inner, obj, now, size)


def _weigh(state, obj, now, size):
    if prefers(state.rule, obj, contract.peek(state.inner, obj, now, size), now, size):
        return contract.evict(state.inner, obj, now, size)
    return obj


def _release(state, obj, now, size):
    return contract.release(state.inner, obj, now, size)


kernels(Joined, _find, _hit, _insert, _evict, admit=_admit, release=_release)
kernels(Weighing, _find, _hit, _insert, _weigh, admit=_admit, release=_release)


class Rule(Policy):
    """Base of the parameter classes of admission rules: ``make_rule`` instead of ``make``.

    The state's type is announced with `admission`, and the class registered with ``@policy(..., admission=True)``.
    """

    def make_rule(self, setting: Setting) -> Any:
        """Return a fresh state of the rule."""
        raise TypeError(f"{type(self).__name__} defines no make_rule(setting)")

    def make(self, setting: Setting) -> Any:
        """Refuse: a rule alone is no cache.

        Raises
        ------
        UsageError
        """
        raise UsageError(f"{self.label} decides who enters, but not who leaves; write {self.label}+lru, for example")


@dataclass(frozen=True)
class Admitted(Policy):
    """An admission rule in front of an eviction policy.

    Raises
    ------
    UsageError
        When the first is no admission rule, or the second is one or has one already.
    """

    rule: Policy
    inner: Policy

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise UsageError(f"{self.rule.label!r} is no admission rule; write ADMISSION+EVICTION, as in adaptsize+lru")
        if isinstance(self.inner, Rule):
            raise UsageError(f"{self.inner.label!r} evicts nothing; write ADMISSION+EVICTION, as in adaptsize+lru")
        if isinstance(self.inner, Admitted):
            raise UsageError(f"{self.label!r} has two admission rules; only one is possible, as in adaptsize+lru")

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
            When the rule weighs the victim and the eviction policy cannot name it beforehand, or is an object with methods.
        """
        assert isinstance(self.rule, Rule)
        rule, inner = self.rule.make_rule(setting), self.inner.make(setting)
        if _TABLE[type(rule)].prefers is None:
            return Joined(rule, inner)
        if kernels_of(inner).peek is None:
            raise CapabilityError(
                f"{self.rule.label} compares the newcomer with the victim, and {self.inner.label} cannot name its victim "
                "beforehand. Policies that can: fifo, lru, sieve and others that define peek."
            )
        return Weighing(rule, inner)
