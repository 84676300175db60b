"""Paging with one bit per request, exactly: every choice is followed, with its probability, on instances of a few pages.

Written from the papers' pseudo-code over sets that are bit masks, not from the policies: a naive twin that knows the
expectation, or the worst case over choices left open. Probabilities are whole multiples of ``1 / scale``, so that all
comparisons are exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from evictlab.traces.jit import kernel

STATES = 4096
"""Room for what an algorithm's state may be at one time."""


class Exact(NamedTuple):
    """Per instance, an int64 each.

    Attributes
    ----------
    bits : int64[n]
        The bits that came with the requests; that of the first request is the lowest.
    optimum, clean : int64[n]
        Misses of the optimum; clean requests.
    eta0, eta1, phase_eta0, phase_eta1 : int64[n]
        Wrong zeros and wrong ones, as discard bits and as phase bits: of the latter only the last of each page in
        each phase but the final one.
    flush, flush_lru : int64[n]
        Flush-When-All-0s: most misses for any choice among the ones, and misses with the least recently used of them.
    mark0, lazy, mark_predict : int64[n]
        Expected misses times `scale`.
    scale : int
    """

    bits: Any
    optimum: Any
    clean: Any
    eta0: Any
    eta1: Any
    phase_eta0: Any
    phase_eta1: Any
    flush: Any
    flush_lru: Any
    mark0: Any
    lazy: Any
    mark_predict: Any
    scale: int


_COLUMNS = len(Exact._fields) - 1


def every_instance(capacity: int, pages: int, length: int) -> Exact:
    """All sequences of at most `pages` pages, up to renaming, with all vectors of bits."""
    sequences = np.asarray(list(_growing([0], pages, length)), np.int64)
    scale = _scale(capacity, length)
    out = np.empty((len(sequences) << length, _COLUMNS), np.int64)
    _all_bits(sequences, capacity, scale, out)
    return Exact(*out.T.copy(), scale)


def random_instances(capacity: int, pages: int, length: int, count: int, seed: int = 0) -> Exact:
    """Longer sequences, each with one vector of bits: its true discard or phase bits, some of them flipped."""
    rng = np.random.default_rng(seed)
    sequences = rng.integers(0, pages, (count, length))
    flips = (rng.random((count, length)) < rng.random((count, 1))).astype(np.int64)
    scale = _scale(capacity, length)
    out = np.empty((count, _COLUMNS), np.int64)
    _flipped_bits(sequences, flips, capacity, scale, out)
    return Exact(*out.T.copy(), scale)


def one_instance(ids: Any, bits: Any, capacity: int) -> Exact:
    """One sequence with one vector of bits; all that is expected is a `Fraction`, and `scale` is 1."""
    ids = np.asarray(ids, np.int64)
    scale = _scale(capacity, len(ids))
    out = np.empty((1, _COLUMNS), np.int64)
    vector = sum(int(bit) << t for t, bit in enumerate(bits))
    _fill(ids, np.full(1, vector), capacity, scale, out)
    found = [int(value) for value in out[0]]
    return Exact(*found[:-3], *(Fraction(value, scale) for value in found[-3:]), 1)


def every_forecast(capacity: int, pages: int, length: int) -> tuple[Any, Any, Any]:
    """For all sequences with all forecasts of whole times: misses of the blind oracle, of the optimum, and eta.

    Each time lies after its request and is at most `length`, which stands for never. Ties are decided for the worst.
    """
    sequences = np.asarray(list(_growing([0], pages, length)), np.int64)
    forecasts = np.asarray(list(itertools.product(*(range(t + 1, length + 1) for t in range(length)))), np.int64)
    out = np.empty((len(sequences) * len(forecasts), 3), np.int64)
    _blind(sequences, forecasts, capacity, out)
    misses, optimum, eta = out.T
    return misses, optimum, eta


def one_forecast(ids: Any, due: Any, capacity: int) -> tuple[int, int, float]:
    """One sequence with one forecast, of times that need not be whole: misses, those of the optimum, and eta."""
    out = np.empty((1, 3))
    _blind(np.asarray([ids], np.int64), np.asarray([due], np.float64), capacity, out)
    misses, optimum, eta = out[0].tolist()
    return int(misses), int(optimum), eta


def harmonic(k: int) -> Fraction:
    """1 + 1/2 + ... + 1/k."""
    return sum((Fraction(1, i) for i in range(1, k + 1)), Fraction())


def expectation(run: Callable[[Callable[[Any, int], int]], int]) -> Fraction:
    """Expected result of `run(below)`, which draws with `below(rng, n)`: all its outcomes, depth first."""
    total = Fraction()
    script: list[tuple[int, int]] = []  # the choices of the present run, and out of how many
    while True:
        drawn = 0

        def below(rng: Any, n: int) -> int:
            nonlocal drawn
            if drawn == len(script):
                script.append((0, int(n)))
            choice, out_of = script[drawn]
            assert out_of == n, "the same choices must lead to the same questions"
            drawn += 1
            return choice

        result = run(below)
        assert drawn == len(script)
        total += Fraction(result, math.prod(n for _, n in script))
        while script and script[-1][0] + 1 == script[-1][1]:
            script.pop()
        if not script:
            return total
        script[-1] = (script[-1][0] + 1, script[-1][1])


def _growing(start: list[int], pages: int, length: int) -> Iterator[list[int]]:
    """Restricted growth strings: a new page is always the lowest number that is free."""
    if len(start) == length:
        yield start
        return
    for page in range(min(max(start) + 2, pages)):
        yield from _growing([*start, page], pages, length)


def _scale(capacity: int, length: int) -> int:
    scale = math.lcm(*range(1, capacity + 1)) ** length
    assert scale * length < 2**63
    return scale


@kernel()
def _size(mask):
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count


@kernel()
def _optimum(ids, capacity, truth):
    """Belady's misses; `truth[t]` = 1 unless the page of request t stays until its next request."""
    n = len(ids)
    due = np.full(16, n)
    next_of = np.empty(n, np.int64)
    for t in range(n - 1, -1, -1):
        next_of[t] = due[ids[t]]
        due[ids[t]] = t
    latest = np.zeros(16, np.int64)
    cache = 0
    misses = 0
    for t in range(n):
        page = ids[t]
        if not cache >> page & 1:
            misses += 1
            if _size(cache) == capacity:
                victim = -1
                for q in range(16):
                    if cache >> q & 1 and (victim < 0 or next_of[latest[q]] > next_of[latest[victim]]):
                        victim = q
                truth[latest[victim]] = 1
                cache &= ~(1 << victim)
            cache |= 1 << page
        latest[page] = t
        truth[t] = next_of[t] == n
    return misses


@kernel()
def _phases(ids, capacity, phase, truth, counts):
    """Phase of each request, its true bit, and whether its bit counts; returns the number of clean requests."""
    n = len(ids)
    members = np.zeros(n + 1, np.int64)
    now = 0
    for t in range(n):
        with_it = members[now] | 1 << ids[t]
        if _size(with_it) > capacity:
            now += 1
            with_it = 1 << ids[t]
        members[now] = with_it
        phase[t] = now
    clean = _size(members[0])
    for i in range(1, now + 1):
        clean += _size(members[i] & ~members[i - 1])
    for t in range(n):
        truth[t] = 1 - (members[phase[t] + 1] >> ids[t] & 1)
        counts[t] = phase[t] < now
        for later in range(t + 1, n):
            if ids[later] == ids[t] and phase[later] == phase[t]:
                counts[t] = 0
    return clean


@kernel()
def _add(keys, values, count, key, value, most):
    """Add to the value of a state, or take the larger; a new state is appended."""
    for i in range(count):
        if keys[i] == key:
            values[i] = max(values[i], value) if most else values[i] + value
            return count
    if count == len(keys):
        raise ValueError("more states than there is room for")
    keys[count] = key
    values[count] = value
    return count + 1


@kernel()
def _flush(ids, bits, capacity, keys, values):
    """A state is a cache and its ones; its value the most misses on the way to it."""
    now, then = 0, 1
    keys[0, 0] = values[0, 0] = 0
    count = 1
    for t in range(len(ids)):
        page = 1 << ids[t]
        told = page if bits >> t & 1 else 0
        reached = 0
        for i in range(count):
            cache, ones, misses = keys[now, i] & 255, keys[now, i] >> 8, values[now, i]
            if cache & page:
                key = cache | (ones & ~page | told) << 8
                reached = _add(keys[then], values[then], reached, key, misses, True)
            elif _size(cache) < capacity or ones == 0:
                if _size(cache) == capacity:
                    cache = 0
                key = cache | page | (ones | told) << 8
                reached = _add(keys[then], values[then], reached, key, misses + 1, True)
            else:
                for q in range(8):
                    if ones >> q & 1:
                        key = cache & ~(1 << q) | page | (ones & ~(1 << q) | told) << 8
                        reached = _add(keys[then], values[then], reached, key, misses + 1, True)
        now, then, count = then, now, reached
    return values[now, :count].max()


@kernel()
def _flush_lru(ids, bits, capacity):
    latest = np.full(8, -1)
    cache = ones = misses = 0
    for t in range(len(ids)):
        page = 1 << ids[t]
        if not cache & page:
            misses += 1
            if _size(cache) == capacity:
                victim = -1
                for q in range(8):
                    if ones >> q & 1 and (victim < 0 or latest[q] < latest[victim]):
                        victim = q
                gone = cache if victim < 0 else 1 << victim
                cache &= ~gone
                ones &= ~gone
            cache |= page
        ones = ones & ~page | (page if bits >> t & 1 else 0)
        latest[ids[t]] = t
    return misses


# Leftovers: a queue of pages + 1 in hexadecimal digits, the lowest is the first to leave.


@kernel()
def _queued(queue):
    length = 0
    while queue:
        queue >>= 4
        length += 1
    return length


@kernel()
def _behind(queue, page):
    return queue | (page + 1) << 4 * _queued(queue)


@kernel()
def _without(queue, page):
    """Return the queue without a page, which need not be there."""
    kept = 0
    while queue:
        if (queue & 15) != page + 1:
            kept = _behind(kept, (queue & 15) - 1)
        queue >>= 4
    return kept


@kernel()
def _served(cache, unmarked, queue, ids_t, bit, missed, capacity, lazy):
    """The state after the model has served a request, all room being made: who may go leaves, or is left over."""
    page = 1 << ids_t
    queue = _without(queue, ids_t)
    unmarked &= ~page
    if missed and lazy:
        while _size(cache) + _queued(queue) >= capacity:
            queue >>= 4
    if bit:
        cache &= ~page
        if lazy:
            queue = _behind(queue, ids_t)
    else:
        cache |= page
    return cache | unmarked << 8 | queue << 16


@kernel()
def _mark0(ids, bits, capacity, lazy, scale, keys, values):
    """A state is the model's cache, the unmarked, and the leftovers; its value the probability times `scale`."""
    now, then = 0, 1
    keys[0, 0], values[0, 0] = 0, scale
    count = 1
    misses = 0
    for t in range(len(ids)):
        page = 1 << ids[t]
        bit = bits >> t & 1
        reached = 0
        for i in range(count):
            key, weight = keys[now, i], values[now, i]
            cache, unmarked, queue = key & 255, key >> 8 & 255, key >> 16
            missed = not cache & page and _without(queue, ids[t]) == queue
            if missed:
                misses += weight
            if cache & page or _size(cache) < capacity:
                key = _served(cache, unmarked, queue, ids[t], bit, missed, capacity, lazy)
                reached = _add(keys[then], values[then], reached, key, weight, False)
                continue
            if unmarked == 0:
                unmarked = cache
            share = weight // _size(unmarked)
            for q in range(8):
                if unmarked >> q & 1:
                    left = _behind(queue, q) if lazy else 0
                    key = _served(cache & ~(1 << q), unmarked & ~(1 << q), left, ids[t], bit, missed, capacity, lazy)
                    reached = _add(keys[then], values[then], reached, key, share, False)
        now, then, count = then, now, reached
    return misses


@kernel()
def _mark_predict(ids, bits, capacity, phase, scale, keys, values):
    """A state is a cache, its unmarked, its ones; its value the probability times `scale`."""
    now, then = 0, 1
    keys[0, 0], values[0, 0] = 0, scale
    count = 1
    misses = 0
    for t in range(len(ids)):
        page = 1 << ids[t]
        told = page if bits >> t & 1 else 0
        begins = t > 0 and phase[t] != phase[t - 1]
        reached = 0
        for i in range(count):
            key, weight = keys[now, i], values[now, i]
            cache, unmarked, ones = key & 255, key >> 8 & 255, key >> 16
            if begins:
                unmarked = cache
            if not cache & page:
                misses += weight
            if cache & page or _size(cache) < capacity:
                key = cache | page | (unmarked & ~page) << 8 | (ones & ~page | told) << 16
                reached = _add(keys[then], values[then], reached, key, weight, False)
                continue
            drawn_from = unmarked & ones
            if drawn_from == 0:
                drawn_from = unmarked
            share = weight // _size(drawn_from)
            for q in range(8):
                gone = 1 << q
                if drawn_from & gone:
                    key = cache & ~gone | page | (unmarked & ~gone) << 8 | (ones & ~gone | told) << 16
                    reached = _add(keys[then], values[then], reached, key, share, False)
        now, then, count = then, now, reached
    return misses


@kernel()
def _fill(ids, vectors, capacity, scale, out):
    """One row of `out` for each vector of bits."""
    n = len(ids)
    keys = np.empty((2, STATES), np.int64)
    values = np.empty((2, STATES), np.int64)
    phase = np.empty(n, np.int64)
    discard, absent, counts = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    optimum = _optimum(ids, capacity, discard)
    clean = _phases(ids, capacity, phase, absent, counts)
    for row in range(len(vectors)):
        bits = vectors[row]
        out[row, :] = 0
        out[row, 0], out[row, 1], out[row, 2] = bits, optimum, clean
        for t in range(n):
            bit = bits >> t & 1
            out[row, 3] += bit < discard[t]
            out[row, 4] += bit > discard[t]
            out[row, 5] += bit < absent[t] and counts[t] == 1
            out[row, 6] += bit > absent[t] and counts[t] == 1
        out[row, 7] = _flush(ids, bits, capacity, keys, values)
        out[row, 8] = _flush_lru(ids, bits, capacity)
        out[row, 9] = _mark0(ids, bits, capacity, False, scale, keys, values)
        out[row, 10] = _mark0(ids, bits, capacity, True, scale, keys, values)
        out[row, 11] = _mark_predict(ids, bits, capacity, phase, scale, keys, values)


@kernel()
def _all_bits(sequences, capacity, scale, out):
    count, n = sequences.shape
    vectors = np.arange(1 << n)
    for i in range(count):
        _fill(sequences[i], vectors, capacity, scale, out[i << n : (i + 1) << n])


@kernel()
def _flipped_bits(sequences, flips, capacity, scale, out):
    count, n = sequences.shape
    phase, absent, counts, discard = np.empty((4, n), np.int64)
    for i in range(count):
        _optimum(sequences[i], capacity, discard)
        _phases(sequences[i], capacity, phase, absent, counts)
        truth = absent if i % 2 else discard
        bits = 0
        for t in range(n):
            bits |= (truth[t] ^ flips[i, t]) << t
        _fill(sequences[i], np.full(1, bits), capacity, scale, out[i : i + 1])


@kernel()
def _blind_oracle(ids, due, capacity, keys, values):
    """Most misses, whichever of the pages with the latest predicted arrival is evicted; a state is a cache."""
    told = np.zeros(8)
    now, then = 0, 1
    keys[0, 0] = values[0, 0] = 0
    count = 1
    for t in range(len(ids)):
        page = 1 << ids[t]
        reached = 0
        for i in range(count):
            cache, misses = keys[now, i], values[now, i]
            if cache & page or _size(cache) < capacity:
                missed = 0 if cache & page else 1
                reached = _add(keys[then], values[then], reached, cache | page, misses + missed, True)
                continue
            latest = -np.inf
            for q in range(8):
                if cache >> q & 1:
                    latest = max(latest, told[q])
            for q in range(8):
                if cache >> q & 1 and told[q] == latest:
                    reached = _add(keys[then], values[then], reached, cache & ~(1 << q) | page, misses + 1, True)
        told[ids[t]] = due[t]
        now, then, count = then, now, reached
    return values[now, :count].max()


@kernel()
def _blind(sequences, forecasts, capacity, out):
    """One row of `out` for each sequence and each forecast: misses, those of the optimum, and eta."""
    n = sequences.shape[1]
    keys = np.empty((2, STATES), np.int64)
    values = np.empty((2, STATES), np.int64)
    ignored = np.empty(n, np.int64)
    row = 0
    for i in range(len(sequences)):
        optimum = _optimum(sequences[i], capacity, ignored)
        for j in range(len(forecasts)):
            out[row, 0] = _blind_oracle(sequences[i], forecasts[j], capacity, keys, values)
            out[row, 1] = optimum
            out[row, 2] = 0
            for t in range(n):
                arrival = t + 1
                while arrival < n and sequences[i, arrival] != sequences[i, t]:
                    arrival += 1
                out[row, 2] += abs(forecasts[j, t] - arrival)
            row += 1
