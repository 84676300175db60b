"""Two policies combined into one that stays near the better of them: ``follow_leader+mark0+lru``.

Both run as simulated caches on every request. A combiner has a state of its own and one function::

    choose(rule, first_missed, second_missed)    -> 0 or 1    whom to follow from now on; told after each request
                                                              which of the two missed it (1) or did not (0)

The cache follows the chosen one lazily: on a miss of its own it evicts, from those of its residents that the chosen one
does not hold after this request, the one whose last request is the longest ago. Changing over moves nothing by itself.
Where the chosen one refused the newcomer and its residents are all here, the newcomer is refused here too.

Source: Fiat, Rabani, Ravid, "Competitive k-server algorithms", JCSS 48(3), 1994, for combining pagers at all; Wei, "Better
and simpler learning-augmented online caching", APPROX 2020, for predictions. Following lazily is as in Antoniadis,
Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions", ICML 2020. Their code chooses the
resident that came longest ago with a full cache (hits do not count), although it is called least recently used there;
here it is the least recently used. On their Brightkite traces the sums of misses differ by -0.4 to +0.1 % for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from ...traces.errors import UsageError
from .. import contract
from ..cache.compose import Rule
from ..contract import KERNEL_OPTIONS, helper, kernels
from ..registry import Policy
from ..setting import Setting
from ..shadow import NOBODY, Recent, Shadow, apart, drop, has, make_recent, make_shadow, mark, oldest, step, touch

__all__ = ["Combined", "Combiner", "choose", "combiner"]

_FIRST, _SECOND = 0, 1

_TABLE: dict[type, Callable[..., Any]] = {}


def combiner(state_type: type, choose: Callable[..., Any]) -> None:
    """Say which function serves a combiner's states; see the module for what it does."""
    _TABLE[state_type] = choose


def choose(rule, first_missed, second_missed):
    """Return whom to follow: 0 or 1."""
    return _TABLE[type(rule)](rule, first_missed, second_missed)


@overload(choose, jit_options=KERNEL_OPTIONS)
def _choose(rule, first_missed, second_missed):
    return _TABLE[rule.instance_class]


class State(NamedTuple):
    """Two simulated caches, and the cache that follows one of them.

    Attributes
    ----------
    rule : NamedTuple of arrays
        What the combiner remembers.
    first, second : Shadow
    leader : int64[1]
        Whom the cache follows, 0 or 1.
    cache : Recent
        The residents; subset 0: those whom the first does not hold, 1: those whom the second does not hold.
    """

    rule: Any
    first: Shadow
    second: Shadow
    leader: Any
    cache: Recent


class Combiner(Policy):
    """Base of the parameter classes of combiners: ``make_rule`` instead of ``make``.

    The state's type is announced with `combiner`, and the class registered with ``@policy(..., combines=True)``.
    """

    def make_rule(self, setting: Setting) -> Any:
        """Return a fresh state of the rule."""
        raise TypeError(f"{type(self).__name__} defines no make_rule(setting)")

    def make(self, setting: Setting) -> Any:
        """Refuse: a combiner alone is no cache.

        Raises
        ------
        UsageError
        """
        raise UsageError(f"{self.label} combines two policies; write {self.label}+sieve+lru, for example")


@dataclass(frozen=True)
class Combined(Policy):
    """A combiner, and the two policies that it combines.

    Raises
    ------
    UsageError
        When the first is no combiner, or one of the others is no cache by itself.
    """

    combiner: Policy
    first: Policy
    second: Policy

    def __post_init__(self) -> None:
        if not isinstance(self.combiner, Combiner):
            raise UsageError(
                f"{self.combiner.label!r} is no combiner; write COMBINER+POLICY+POLICY, as in follow_leader+mark0+lru"
            )
        for part in (self.first, self.second):
            if isinstance(part, Rule):
                raise UsageError(
                    f"{part.label!r} decides who enters, but not who leaves, and cannot be combined alone; "
                    f"write {self.combiner.label}+{part.label}+lru+sieve, for example"
                )
            if isinstance(part, Combiner):
                raise UsageError(
                    f"{part.label!r} is a combiner without its two policies; write COMBINER+POLICY+POLICY, "
                    "as in follow_leader+mark0+lru"
                )

    @property
    def label(self) -> str:
        """The three as written on the command line."""
        return f"{self.combiner.label}+{self.first.label}+{self.second.label}"

    def parts(self) -> tuple[Policy, ...]:
        """Return the combiner and the policies that the two are made of."""
        return (self.combiner, *self.first.parts(), *self.second.parts())

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the combiner by its name, and those of each policy by its label."""
        return {
            self.combiner.spec.name: self.combiner.parameters(),
            "first": {"policy": self.first.label, **self.first.parameters()},
            "second": {"policy": self.second.label, **self.second.parameters()},
        }

    def make(self, setting: Setting) -> State:
        """Return an empty cache.

        Raises
        ------
        CapabilityError
            When one of the two is an object with methods.
        """
        assert isinstance(self.combiner, Combiner)
        rule = self.combiner.make_rule(apart(setting, 0))
        return State(
            rule,
            make_shadow(self.first, apart(setting, 1)),
            make_shadow(self.second, apart(setting, 2)),
            np.array([choose(rule, 0, 0)], np.int64),
            make_recent(setting.n_objects, setting.max_resident, subsets=2),
        )


@helper
def _learn(state, obj, now):
    first_missed = step(state.first, obj, now, state.cache, _FIRST)
    second_missed = step(state.second, obj, now, state.cache, _SECOND)
    state.leader[0] = choose(state.rule, first_missed, second_missed)


@helper
def _serve(state, obj):
    touch(state.cache, obj)
    if not contract.find(state.first.inner, obj):
        mark(state.cache, _FIRST, obj)
    if not contract.find(state.second.inner, obj):
        mark(state.cache, _SECOND, obj)


def _find(state, obj):
    return has(state.cache, obj)


def _hit(state, obj, now, size):
    _learn(state, obj, now)
    _serve(state, obj)


def _admit(state, obj, now, size):
    _learn(state, obj, now)
    return True


def _evict(state, obj, now, size):
    victim = oldest(state.cache, state.leader[0])
    if victim == NOBODY:
        return np.int64(obj)
    drop(state.cache, victim)
    return victim


def _insert(state, obj, now, size):
    _serve(state, obj)


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
