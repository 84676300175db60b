"""Naive twins of the policies that decide step by step: one layer, one stream at a time, plain loops over dictionaries.

`Text` is one layer of a text as lists of numbers; `replay` lets a rule evict from it and says who left when. A rule has
`at_prompt(text, row)` and `at_step(text, row)`, each answering a score for each live slot (higher = keep) or None (nothing
leaves now), and `seen(text, row)`, called after each step. Or it names itself who leaves: `leaves_at_prompt`, `leaves_at_step`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

Log = dict[tuple[int, int], list[int]]
AT_PROMPT = -1


@dataclass
class Text:
    """One layer of a text, and which of its slots are left.

    A row is a KV head, or a query head where each keeps a set of its own.
    """

    q: list[Any]
    k: list[Any]
    prompt: int
    scale: float
    budget: int
    protect: tuple[int, int, int]
    own_sets: bool = False
    now: int = 0
    live: list[list[int]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.q) if self.own_sets else len(self.k)

    def heads(self, row: int) -> list[int]:
        """Query heads that read a row."""
        group = len(self.q) // self.rows
        return list(range(row * group, row * group + group))

    def keys(self, row: int) -> Any:
        return self.k[row * len(self.k) // self.rows]

    def attention(self, head: int, query: int, slots: list[int]) -> dict[int, float]:
        """Weights of one query over some slots."""
        keys = self.keys(head if self.own_sets else head // (len(self.q) // len(self.k)))
        logits = {i: self.scale * sum(a * b for a, b in zip(self.q[head][query], keys[i], strict=True)) for i in slots}
        largest = max(logits.values())
        grown = {i: math.exp(logit - largest) for i, logit in logits.items()}
        total = sum(grown.values())
        return {i: part / total for i, part in grown.items()}

    def row_attention(self, row: int, query: int, slots: list[int], how: str = "mean") -> dict[int, float]:
        """The same, of all query heads that read a row: their mean, sum or maximum."""
        of_heads = [self.attention(head, query, slots) for head in self.heads(row)]
        if how == "max":
            return {i: max(one[i] for one in of_heads) for i in slots}
        share = 1 if how == "sum" else len(of_heads)
        return {i: sum(one[i] for one in of_heads) / share for i in slots}

    def held(self, slot: int) -> bool:
        sink, boundary, recent = self.protect
        return slot < sink or slot > self.now - recent or self.prompt - boundary <= slot < self.prompt


def replay(text: Text, rule: Any) -> Log:
    """Run a rule over a text: who left, by step and row."""
    log: Log = {}
    text.now = text.prompt - 1
    text.live = [list(range(text.prompt)) for _ in range(text.rows)]
    for step in range(AT_PROMPT, len(text.k[0]) - text.prompt):
        if step > AT_PROMPT:
            text.now = text.prompt + step
            for row in range(text.rows):
                text.live[row].append(text.now)
                if hasattr(rule, "seen"):
                    rule.seen(text, row)
        gone = []
        for row in range(text.rows):
            moment = "prompt" if step == AT_PROMPT else "step"
            if hasattr(rule, f"leaves_at_{moment}"):
                gone.append(getattr(rule, f"leaves_at_{moment}")(text, row))
            else:
                gone.append(_lowest(text, row, rule, getattr(rule, f"at_{moment}")(text, row)))
        for row, slots in enumerate(gone):
            text.live[row] = [slot for slot in text.live[row] if slot not in slots]
            if slots:
                log[step, row] = sorted(slots)
    return log


def _lowest(text: Text, row: int, rule: Any, scores: dict[int, float] | None) -> list[int]:
    """The slots of lowest score that do not fit; among equals the older one first."""
    drop = len(text.live[row]) - text.budget
    if scores is None or drop < 1:
        return []
    if text.now >= text.prompt:
        drop = getattr(rule, "burst", drop)
    newest = getattr(rule, "forced", 0)
    free = [i for i in text.live[row] if not text.held(i) and i <= text.now - newest]
    return sorted(free, key=lambda i: (scores[i], i))[:drop]


class Ends:
    """StreamingLLM: first tokens and newest ones."""

    def __init__(self, sink: int = 4) -> None:
        self.sink = sink

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        return {i: math.inf if i < self.sink else i for i in text.live[row]}

    at_step = at_prompt


class Dice:
    """Random numbers of SplitMix64, mixed from seed, stream, step and slot."""

    def __init__(self, seed: int, first_stream: int) -> None:
        self.seed, self.first = seed, first_stream

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        word = _mix(_mix(_mix(self.seed) + self.first + row) + text.now - text.prompt + 1)
        return {i: (_mix(word + i) >> 11) / 2**53 for i in text.live[row]}

    at_step = at_prompt


def _mix(x: int) -> int:
    x %= 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


class Sums:
    """H2O: all attention that a slot ever got."""

    def __init__(self, recent: float = 0.5, full: bool = False, normalise: bool = False, how: str = "mean") -> None:
        self.recent, self.full, self.normalise, self.how = recent, full, normalise, how
        self.sums: dict[tuple[int, int], float] = {}

    def _add(self, text: Text, row: int, query: int, slots: list[int]) -> None:
        for i, weight in text.row_attention(row, query, slots, self.how).items():
            if i in text.live[row]:
                self.sums[row, i] = self.sums.get((row, i), 0.0) + weight

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        for query in range(text.prompt):
            self._add(text, row, query, list(range(query + 1)))
        return self.at_step(text, row)

    def seen(self, text: Text, row: int) -> None:
        self._add(text, row, text.now, list(range(text.now + 1)) if self.full else text.live[row])

    def at_step(self, text: Text, row: int) -> dict[int, float]:
        recent = int(self.recent * text.budget)
        queries = {i: text.now + 1 - i if self.normalise else 1 for i in text.live[row]}
        return {i: math.inf if i > text.now - recent else self.sums[row, i] / queries[i] for i in text.live[row]}


class LastRow:
    """TOVA: the newest query's attention, mean over all heads of the layer."""

    def __init__(self, force_last: bool = False) -> None:
        self.forced = int(force_last)

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        of_heads = [text.attention(head, text.now, text.live[row]) for head in range(len(text.q))]
        return {i: sum(one[i] for one in of_heads) / len(of_heads) for i in text.live[row]}

    at_step = at_prompt


class BelowAverage:
    """Scissorhands: how many of the last queries gave a slot less than their average."""

    def __init__(self, history: int, recent: int, burst: int) -> None:
        self.history, self.forced, self.burst = history, recent, burst
        self.below: dict[tuple[int, int], set[int]] = {}  # (row, query): slots

    def _note(self, text: Text, row: int, query: int, slots: list[int]) -> None:
        given = text.row_attention(row, query, slots)
        self.below[row, query] = {i for i in slots if given[i] < 1 / len(slots)}

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        for query in range(max(text.prompt - self.history, 0), text.prompt):
            self._note(text, row, query, list(range(query + 1)))
        return self.at_step(text, row)

    def seen(self, text: Text, row: int) -> None:
        self._note(text, row, text.now, text.live[row])

    def at_step(self, text: Text, row: int) -> dict[int, float]:
        asked = range(max(text.now - self.history + 1, 0), text.now + 1)
        return {i: -sum(i in self.below.get((row, query), ()) for query in asked) for i in text.live[row]}


class Fading:
    """Scissorhands as others wrote it: attention, each step worth `decay` times the one after it."""

    def __init__(self, history: int, recent: int, burst: int, decay: float) -> None:
        self.history, self.forced, self.burst, self.decay = history, recent, burst, decay
        self.sums: dict[tuple[int, int], float] = {}

    def _add(self, text: Text, row: int, query: int, slots: list[int]) -> None:
        given = text.row_attention(row, query, slots)
        for i in text.live[row]:
            self.sums[row, i] = self.decay * self.sums.get((row, i), 0.0) + given.get(i, 0.0)

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        for query in range(max(text.prompt - self.history, 0), text.prompt):
            self._add(text, row, query, list(range(query + 1)))
        return self.at_step(text, row)

    def seen(self, text: Text, row: int) -> None:
        self._add(text, row, text.now, text.live[row])

    def at_step(self, text: Text, row: int) -> dict[int, float]:
        return {i: self.sums[row, i] for i in text.live[row]}


class Recurrence:
    """LazyEviction: time since the last use against the longest interval between uses."""

    def __init__(self, window: int, alpha: float, how: str = "mean") -> None:
        self.window = self.forced = window
        self.alpha, self.how = alpha, how
        self.last: dict[tuple[int, int], int] = {}
        self.interval: dict[tuple[int, int], int] = {}

    def _note(self, text: Text, row: int, query: int, slots: list[int], t: int) -> None:
        for i, weight in text.row_attention(row, query, slots, self.how).items():
            if weight >= self.alpha:
                self.interval[row, i] = max(self.interval[row, i], t - self.last[row, i])
                self.last[row, i] = t

    def at_prompt(self, text: Text, row: int) -> dict[int, float] | None:
        asked = min(self.window, text.prompt) if text.prompt > text.budget else 0
        for i in range(text.prompt):
            # What was there before the first step that counts, or came with one, has last been used the step before.
            self.last[row, i] = max(i - text.prompt + 1, 1 - asked) - 1 if asked else 0
            self.interval[row, i] = 0
        for query in range(text.prompt - asked, text.prompt):
            self._note(text, row, query, list(range(query + 1)), query - text.prompt + 1)
        return self._scores(text, row, 0) if asked else None

    def seen(self, text: Text, row: int) -> None:
        t = text.now - text.prompt + 1
        self.last[row, text.now], self.interval[row, text.now] = t - 1, 0
        self._note(text, row, text.now, text.live[row], t)

    def at_step(self, text: Text, row: int) -> dict[int, float] | None:
        t = text.now - text.prompt + 1
        return self._scores(text, row, t) if t % self.window == 0 else None

    def _scores(self, text: Text, row: int, t: int) -> dict[int, float]:
        scores = {}
        for i in text.live[row]:
            last, interval = self.last[row, i], self.interval[row, i]
            scores[i] = 2 / (1 + _exp(1 + (t - last) / (interval + 1e-5)))
            if interval > 0:
                scores[i] += 2 / (1 + _exp(interval - 1))
        return scores


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


class Redundancy:
    """R-KV: attention of the last queries, less how much a key repeats others."""

    def __init__(self, mix: float, window: int, kernel: int, threshold: float, interval: int) -> None:
        self.mix, self.window, self.kernel, self.threshold, self.interval = mix, window, kernel, threshold, interval
        self.forced = window

    def at_step(self, text: Text, row: int) -> dict[int, float] | None:
        return self.at_prompt(text, row) if (text.now - text.prompt + 1) % self.interval == 0 else None

    def at_prompt(self, text: Text, row: int) -> dict[int, float]:
        slots, keys = text.live[row], text.keys(row)
        before = slots[: -self.window]
        attention = dict.fromkeys(before, 0.0)
        for query in range(text.now - self.window + 1, text.now + 1):
            largest = {i: max(_dot(text.q[head][query], keys[i]) for head in text.heads(row)) for i in before}
            for i, weight in _softmax({i: text.scale * logit for i, logit in largest.items()}).items():
                attention[i] += weight / self.window
        cosine = {
            (a, b): 0.0 if a == b else _dot(keys[a], keys[b]) / ((_norm(keys[a]) + 1e-8) * (_norm(keys[b]) + 1e-8))
            for a in slots
            for b in slots
        }
        for a in slots:
            copies = [b for b in slots if cosine[a, b] > self.threshold]
            cosine[a, copies[-1] if copies else slots[0]] = 0.0
        redundancy = _softmax({b: sum(cosine[a, b] for a in slots) / len(slots) for b in slots})
        scores = dict.fromkeys(slots, 0.0)
        for place, i in enumerate(before):
            near = before[max(place - self.kernel // 2, 0) : place + self.kernel // 2 + 1]
            scores[i] = self.mix * max(attention[j] for j in near) - (1 - self.mix) * redundancy[i]
        return scores


def _dot(a: Any, b: Any) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _norm(a: Any) -> float:
    return math.sqrt(_dot(a, a))


def _softmax(logits: dict[int, float]) -> dict[int, float]:
    largest = max(logits.values())
    grown = {i: math.exp(logit - largest) for i, logit in logits.items()}
    total = sum(grown.values())
    return {i: part / total for i, part in grown.items()}


class Requests:
    """A cache policy (one twin for each row) that is told of uses: tokens are its objects, all of one size."""

    def __init__(self, twins: list[Any], alpha: float, window: int) -> None:
        self.twins, self.alpha, self.window = twins, alpha, window
        self.clock = [0] * len(twins)

    def _request(self, row: int, slot: int) -> None:
        self.twins[row].request(slot, 1, self.clock[row])
        self.clock[row] += 1

    def _used(self, text: Text, row: int, query: int, slots: list[int]) -> list[int]:
        return [i for i, weight in text.row_attention(row, query, slots).items() if weight >= self.alpha]

    def _unwanted(self, text: Text, row: int) -> list[int]:
        return [i for i in text.live[row] if not text.held(i) and not self.twins[row].resident(i)]

    def leaves_at_prompt(self, text: Text, row: int) -> list[int]:
        for query in range(text.prompt):
            used = set()
            if query >= text.prompt - self.window:
                used = set(self._used(text, row, query, list(range(query + 1))))
            for i in sorted(used | {query}):
                if not text.held(i):
                    self._request(row, i)
        return self._unwanted(text, row)

    def leaves_at_step(self, text: Text, row: int) -> list[int]:
        used = self._used(text, row, text.now, text.live[row])
        for i in list(text.live[row]):
            arrived = not self.twins[row].resident(i)
            if not text.held(i) and (i in used or arrived):
                self._request(row, i)
        return self._unwanted(text, row)


def pages_read(text: Text, head: int, budget: int, page: int, least: int = 3) -> list[int]:
    """Quest: the slots that the newest query of a head reads; nothing has left."""
    keys = text.k[head // (len(text.q) // len(text.k))]
    query, bounds = text.q[head][text.now], []
    for first in range(0, text.now + 1, page):
        slots = range(first, min(first + page, text.now + 1))
        bound = 0.0
        for c, of_query in enumerate(query):
            channel = [keys[i][c] for i in slots]
            bound += max(of_query * min(channel), of_query * max(channel))
        bounds.append((bound, slots))
    chosen = sorted(bounds, key=lambda one: (-one[0], -one[1].start))[: max(min(budget, text.now + 1) // page, least)]
    return sorted(i for _, slots in chosen for i in slots)
