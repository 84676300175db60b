"""What happens between two admissions: the replay loop of `evictlab.sim.loop`, stopped at each miss that could enter.

Written once and plain, over any policy of the contract; compiled for policies whose state is a tuple of arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ... import policies
from ...policies.contract import KEPT, admit, evict, find, hit, insert, peek, place, release, unsigned, weight
from ...policies.learned.facts import MISSING, N_FEATURES, describe, fetched, found, requested, time_of
from ...traces.home import cache_home

__all__ = [
    "BYPASSED",
    "BYTES",
    "EVICTIONS",
    "FREE",
    "HITS",
    "HIT_BYTES",
    "NUMBERS",
    "POSITION",
    "RESIDENTS",
    "WAITING",
    "player_for",
    "until_next",
]

POSITION, WAITING, FREE, HITS, HIT_BYTES, BYTES, EVICTIONS, RESIDENTS, BYPASSED = range(9)
"""Places in `numbers`: the request that is next, whether it waits for a decision, free bytes (or objects), hits, the bytes
of these and of all requests, objects evicted, residents, and misses that did not enter although they would have fitted."""
NUMBERS = 9


def until_next(ids, sizes, stored, facts, state, peeks, action, capacity, numbers, newcomer, victim, context):
    """Carry out the decision that waits, and replay up to the next one or the end.

    Parameters
    ----------
    ids : int32[n_requests]
    sizes : int64[n_requests], bytes
        1 where objects are counted.
    stored : int64[n_objects], bytes, or None where objects are counted
    facts : Facts
        Of all objects, with all columns; they also tell who has expired.
    state : NamedTuple of arrays
        The policy's.
    peeks : True or None
        Whether the policy can name its victim beforehand.
    action : int
        1 lets the object in for which a decision waits, 0 does not. The policy is not told of those that stay out, and
        may refuse those that are let in.
    capacity : int
        Bytes or objects.
    numbers : int64[NUMBERS]
    newcomer, victim : float32[N_FEATURES]
        Filled with what is known of the object that asks to enter, and of the resident that would have to leave first;
        the latter is `MISSING` when nobody has to, or when it is not known.
    context : float32[N_CONTEXT]
    """
    i = numbers[POSITION]
    waiting = numbers[WAITING]
    numbers[WAITING] = 0
    while i < len(ids):
        obj = unsigned(ids[place(i)])
        size = sizes[place(i)]
        if find(state, obj):
            requested(facts, obj, i)
            fresh = facts.of[obj, 4] > time_of(facts, i)
            found(facts, obj, i)
            hit(state, obj, i, size)
            if fresh:
                numbers[HITS] += 1
                numbers[HIT_BYTES] += size
        elif size <= capacity:
            if waiting == 0:
                requested(facts, obj, i)
                fetched(facts, obj, i, True)
                now = time_of(facts, i)
                describe(facts, obj, now, size, newcomer)
                context[0] = facts.clock[2]
                context[1] = capacity
                context[2] = numbers[RESIDENTS]
                context[3] = max(size - numbers[FREE], 0)
                for j in range(N_FEATURES):
                    victim[j] = MISSING
                if peeks is not None:  # noqa: SIM102 - numba prunes the test for None only when it stands alone
                    if size > numbers[FREE]:
                        other = unsigned(peek(state, obj, i, size))
                        describe(facts, other, now, weight(stored, other), victim)
                numbers[WAITING] = 1
                break
            waiting = 0
            room = False
            if action == 1:  # noqa: SIM102 - the policy must not be told of those that stay out
                if admit(state, obj, i, size):
                    room = True
                    while size > numbers[FREE]:
                        gone = unsigned(evict(state, obj, i, size))
                        if gone == obj:  # the policy would rather keep what it has
                            room = False
                            break
                        numbers[EVICTIONS] += 1
                        numbers[RESIDENTS] -= 1
                        numbers[FREE] += weight(stored, gone)
                        if stored is not None:
                            stored[gone] = 0
            if room:
                if stored is not None:
                    stored[obj] = size
                insert(state, obj, i, size)
                numbers[FREE] -= size
                numbers[RESIDENTS] += 1
            else:
                numbers[BYPASSED] += 1
        while True:
            left = release(state, obj, i, size)
            if left == KEPT:
                break
            numbers[EVICTIONS] += 1
            numbers[RESIDENTS] -= 1
            numbers[FREE] += weight(stored, left)
            if stored is not None:
                stored[left] = 0
        numbers[BYTES] += size
        i += 1
    numbers[POSITION] = i


def player_for(state: Any) -> Callable[..., None]:
    """Return `until_next` compiled for this type of state; interpreted for an object with methods.

    As in `evictlab.sim.loop.loop_for`, each type gets a dispatcher of its own, kept on disk under a digest of the sources.
    """
    return _compiled(_kinds(state)) if isinstance(state, tuple) else until_next


def _kinds(state: Any) -> tuple[type, ...]:
    """Return the types of the state and of the named tuples in it: numba tells them apart by their fields only."""
    return (type(state), *(kind for part in state if isinstance(part, tuple) for kind in _kinds(part)))


@cache
def _compiled(kinds: tuple[type, ...]) -> Callable[..., None]:
    import inspect

    import numba

    from ...traces.jit import compiled, source_digest

    options = {"nogil": True, "boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True}
    try:
        where = Path(inspect.getfile(kinds[0]))
    except (TypeError, OSError):
        where = Path()
    if not where.is_file():  # typed at a prompt: nothing on disk tells when it changes
        made: Callable[..., None] = numba.njit(**options)(until_next)
        return made
    sources = [Path(__file__), *sorted(Path(policies.__file__).parent.rglob("*.py")), where]
    folder = cache_home() / "kernels" / f"admission-{where.stem}-{source_digest(sources)}"
    kept: Callable[..., None] = compiled(folder, **options)(until_next)
    return kept
