"""The contract of a cache policy: four functions over a tuple of arrays.

::

    find(state, obj)                    -> bool    is it resident?
    hit(state, obj, now, size)          -> None    it was found
    insert(state, obj, now, size)       -> None    it was not, and now there is room
    evict(state, obj, now, size)        -> victim  make room for the newcomer `obj`; called until it fits.
                                                   Returning `obj` itself means: rather not admit it

and three that most policies leave out::

    admit(state, obj, now, size)        -> bool    asked once per miss, before room is made (default: True).
                                                   Adaptive policies learn from their ghosts here
    peek(state, obj, now, size)         -> victim  whom `evict` would name, without removing it; lets an
                                                   admission rule weigh the newcomer against the victim
    release(state, obj, now, size)      -> victim  asked after every request until it answers `KEPT`: who leaves although
                                                   nobody needs the room (default: nobody). Some paging algorithms flush

`obj` is a dense object number, `now` the index of the request in the trace (a logical clock), `size` the bytes to be
charged (1 when sizes are off). Scores have one direction everywhere: higher = keep.

A policy is written once, as plain Python functions over its state, a `NamedTuple` of arrays. The names above dispatch on
the type of the state: interpreted (tests, simpy, Gymnasium) through a table, compiled through `numba.extending.overload`,
which inlines the policy's function into the one replay loop. Kernels allocate nothing: this is what makes ``_nrt=False``
legal, and with it the composed loop is as fast as one written by hand.

An object with methods of these names instead of a registered state works as well, interpreted and therefore slowly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from ..traces.errors import UsageError

__all__ = [
    "KEPT",
    "KERNEL_OPTIONS",
    "Kernels",
    "admit",
    "evict",
    "find",
    "helper",
    "hit",
    "insert",
    "kernels",
    "kernels_of",
    "peek",
    "place",
    "release",
    "unsigned",
    "weight",
]

KERNEL_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}
"""numba options of everything that runs inside the replay loop; ``error_model="numpy"`` drops the check for
division by zero, which would need an exception and with it a branch in every kernel. Wrappers for calls from Python and C,
which nobody makes, are a fifth of the time to compile."""

KEPT = -1
"""What `release` answers when nobody leaves."""


class Kernels(NamedTuple):
    """The functions of one policy, as plain Python."""

    find: Callable[..., Any]
    hit: Callable[..., Any]
    insert: Callable[..., Any]
    evict: Callable[..., Any]
    admit: Callable[..., Any]
    peek: Callable[..., Any] | None
    release: Callable[..., Any]


_TABLE: dict[type, Kernels] = {}


def _admit_all(state, obj, now, size):
    return True


def _release_nobody(state, obj, now, size):
    return KEPT


def kernels(
    state_type: type,
    find: Callable[..., Any],
    hit: Callable[..., Any],
    insert: Callable[..., Any],
    evict: Callable[..., Any],
    admit: Callable[..., Any] = _admit_all,
    peek: Callable[..., Any] | None = None,
    release: Callable[..., Any] = _release_nobody,
) -> None:
    """Say which functions serve states of `state_type`.

    Parameters
    ----------
    state_type : type
        The policy's `NamedTuple` of arrays. One type belongs to one policy.
    find, hit, insert, evict, admit, peek, release : callable
        Plain Python functions as in the module's contract, their parameters named as there; they must be compilable by
        numba and allocate nothing.

    Raises
    ------
    UsageError
        A function whose parameters are named otherwise (numba matches them by name).
    """
    table = Kernels(find, hit, insert, evict, admit, peek, release)
    for name, function in table._asdict().items():
        expected = ("state", "obj") if name == "find" else ("state", "obj", "now", "size")
        if function is not None and tuple(inspect.signature(function).parameters) != expected:
            raise UsageError(f"{state_type.__name__}: {name} must be declared as {name}({', '.join(expected)})")
    _TABLE[state_type] = table


def kernels_of(state: Any) -> Kernels:
    """Return the functions that serve this state (or this object with methods)."""
    found = _TABLE.get(type(state))
    if found is None:  # an object with methods: unbound, so that they take the object first
        cls = type(state)
        found = Kernels(
            cls.find,
            cls.hit,
            cls.insert,
            cls.evict,
            getattr(cls, "admit", _admit_all),
            getattr(cls, "peek", None),
            getattr(cls, "release", _release_nobody),
        )
        _TABLE[cls] = found
    return found


# The seven names, interpreted.


def find(state, obj):
    """Is `obj` resident?"""
    return kernels_of(state).find(state, obj)


def hit(state, obj, now, size):
    """Tell the policy that a resident object was requested."""
    kernels_of(state).hit(state, obj, now, size)


def insert(state, obj, now, size):
    """Make `obj` resident; there is room."""
    kernels_of(state).insert(state, obj, now, size)


def evict(state, obj, now, size):
    """Remove one object in favour of the newcomer `obj` and return it; `obj` itself means: not admitted."""
    return kernels_of(state).evict(state, obj, now, size)


def admit(state, obj, now, size):
    """May the missed `obj` enter? Asked once per miss, before room is made."""
    return kernels_of(state).admit(state, obj, now, size)


def peek(state, obj, now, size):
    """Name the victim that `evict` would remove next, without removing it."""
    peeking: Any = kernels_of(state).peek
    return peeking(state, obj, now, size)


def release(state, obj, now, size):
    """Remove one object of the policy's own accord and return it, or `KEPT`; asked after the request for `obj`."""
    return kernels_of(state).release(state, obj, now, size)


# The seven names, compiled: numba asks for the function that fits the state's type and inlines it.


def _compiled_form(name: str, dispatcher: Callable[..., Any]) -> None:
    def pick(state, obj, now, size):
        return getattr(_TABLE[state.instance_class], name)

    overload(dispatcher, jit_options=KERNEL_OPTIONS)(pick)


for _dispatcher in (hit, insert, evict, admit, peek, release):
    _compiled_form(_dispatcher.__name__, _dispatcher)


@overload(find, jit_options=KERNEL_OPTIONS)
def _find(state, obj):
    return _TABLE[state.instance_class].find


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that kernels call: plain Python when interpreted, inlined when compiled."""
    inlined: Callable[..., Any] = register_jitable(**KERNEL_OPTIONS)(function)
    return inlined


def weight(stored, obj):
    """Bytes charged for a resident object; 1 when sizes are off (`stored` is None).

    Policies that keep byte counts of their queues read sizes through this one function, so that the same policy
    compiles to plain counting when sizes are off.
    """
    return 1 if stored is None else stored[obj]


@overload(weight, jit_options=KERNEL_OPTIONS)
def _weight(stored, obj):
    if isinstance(stored, types.NoneType):
        return lambda stored, obj: np.int64(1)
    return lambda stored, obj: stored[obj]


def unsigned(obj):
    """Return an object number as something to index with: a plain int, compiled a uint32.

    Array access by a signed index pays for Python's negative indices; without that, replays are 1.12-1.15 times as fast.
    """
    return int(obj)


@overload(unsigned, jit_options=KERNEL_OPTIONS)
def _unsigned(obj):
    return lambda obj: np.uint32(obj)


def place(now):
    """Return the index of a request as something to index columns with: a plain int, compiled a uint64.

    The compiler cannot know that the index is not negative; being told makes replays 1.05-1.15 times as fast.
    """
    return int(now)


@overload(place, jit_options=KERNEL_OPTIONS)
def _place(now):
    return lambda now: np.uint64(now)
