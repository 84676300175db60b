"""Policies that rank a prompt, written once more in plain loops over Python floats: slow, and sharing no code with the others.

Each takes a `Case` and returns, for each layer, for each head that owns slots, its score for every key (infinite where a
key must stay) and how many keys it keeps. Among equal scores the newer key stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

INF = float("inf")


@dataclass
class Case:
    """One prompt: lists of arrays, one for each layer."""

    q: list  # [heads, n, d]
    k: list  # [kv_heads, n, d]
    v: list
    wo: list  # [heads * d, d_model]
    budget: int
    protected: set  # positions
    theta: float = 10_000.0

    @property
    def n(self):
        return self.k[0].shape[1]

    @property
    def layers(self):
        return len(self.k)

    @property
    def heads(self):
        return self.q[0].shape[0]

    @property
    def kv_heads(self):
        return self.k[0].shape[0]

    @property
    def group(self):
        return self.heads // self.kv_heads

    def held(self, window):
        return self.protected | set(range(self.n - window, self.n))

    def rows(self, layer, window):
        """Attention of the last queries: rows[head][row][key], causal."""
        out = []
        for head in range(self.heads):
            keys = self.k[layer][head // self.group]
            of_head = []
            for at in range(self.n - window, self.n):
                logits = [
                    float(sum(a * b for a, b in zip(self.q[layer][head, at], keys[i], strict=True)))
                    / math.sqrt(keys.shape[1])
                    for i in range(at + 1)
                ]
                largest = max(logits)
                grown = [math.exp(x - largest) for x in logits]
                total = sum(grown)
                of_head.append([x / total for x in grown] + [0.0] * (self.n - at - 1))
            out.append(of_head)
        return out

    def norms(self, layer):
        """L1 norm of every projected value: norms[head][key]."""
        dim = self.v[layer].shape[2]
        return [
            [
                sum(
                    abs(x)
                    for x in (self.v[layer][head // self.group, i] @ self.wo[layer][head * dim : (head + 1) * dim])
                )
                for i in range(self.n)
            ]
            for head in range(self.heads)
        ]

    def grouped(self, per_head, how):
        """Reduce lists of query heads to lists of KV heads, key by key."""
        if how == "none":
            return [list(row) for row in per_head]
        pick = {"mean": lambda xs: sum(xs) / len(xs), "max": max}[how]
        return [
            [pick([per_head[h * self.group + g][i] for g in range(self.group)]) for i in range(len(per_head[0]))]
            for h in range(self.kv_heads)
        ]


def smooth(xs, kernel, how):
    """Neighbours pooled; beyond the ends an average sees zeros and a maximum nothing."""
    half, out = kernel // 2, []
    for i in range(len(xs)):
        near = [xs[j] for j in range(i - half, i + half + 1) if 0 <= j < len(xs)]
        out.append(sum(near) / kernel if how == "avg" else max(near))
    return out


def mean_of_rows(rows, before):
    return [[sum(row[i] for row in of_head) / len(of_head) for i in range(before)] for of_head in rows]


def finish(case, scores, window):
    """Scores of the keys before the window, with what must stay above all others."""
    held = case.held(window)
    return [[INF if i in held else row[i] for i in range(case.n)] for row in scores]


def best(pairs, count):
    """The (score, tie-breaking place, ...) that are largest."""
    return sorted(pairs, key=lambda pair: (pair[0], pair[1]))[max(len(pairs) - count, 0) :]


def ranked_together(rows, held, each):
    """How many keys beyond the held ones each head has among the best of all heads."""
    pairs = [(row[i], (head, i)) for head, row in enumerate(rows) for i in range(len(row)) if i not in held]
    chosen = best(pairs, each * len(rows))
    return [sum(1 for _, (h, _) in chosen if h == head) for head in range(len(rows))]


def uniform(case, scored):
    return [(rows, [case.budget] * len(rows)) for rows in scored]


def snap_scores(case, layer, window, kernel, pooling, gqa):
    per_head = mean_of_rows(case.rows(layer, window), case.n - window)
    return case.grouped([smooth(row, kernel, pooling) for row in per_head], gqa)


def snapkv(case, window=32, kernel=5, pooling="avg", gqa="mean"):
    scored = [
        finish(case, snap_scores(case, layer, window, kernel, pooling, gqa), window) for layer in range(case.layers)
    ]
    return uniform(case, scored)


def pyramid_slots(case, window, beta, variant):
    held, layers = len(case.held(window)), case.layers
    if layers == 1:
        return [case.budget]
    if variant == "kvpress":
        low = case.budget / beta
        high = 2 * case.budget - low
        if high >= case.n - held:
            high = case.n - held
            low = 2 * case.budget - high
        if not case.n >= high >= low >= held:
            return [case.budget] * layers
        return [round(high - layer * (high - low) / (layers - 1)) for layer in range(layers)]
    free = case.budget - held
    if case.n < 2 * free:
        return [case.budget] * layers
    low = free // beta
    high = 2 * free - low
    if high >= case.n - held:
        high = case.n - held
        low = 2 * free - high
    # Numerators over (layers - 1), so that no rounding hides: whole slots, then the largest remainders.
    exact = [high * (layers - 1) - layer * (high - low) for layer in range(layers)]
    slots = [x // (layers - 1) for x in exact]
    by_remainder = sorted(range(layers), key=lambda layer: (-(exact[layer] % (layers - 1)), layer))
    for layer in by_remainder[: free * layers - sum(slots)]:
        slots[layer] += 1
    return [x + held for x in slots]


def pyramidkv(case, window=32, kernel=5, pooling="avg", gqa="mean", beta=20, variant="official"):
    slots = pyramid_slots(case, window, beta, variant)
    return [
        (rows, [slots[layer]] * len(rows)) for layer, (rows, _) in enumerate(snapkv(case, window, kernel, pooling, gqa))
    ]


def adakv(
    case,
    window=32,
    kernel=7,
    pooling="max",
    gqa="mean",
    alpha=0.2,
    normalize=False,
    pyramid=False,
    beta=20,
    variant="official",
):
    held = case.held(window)
    slots = pyramid_slots(case, window, beta, "official") if pyramid else [case.budget] * case.layers
    out = []
    for layer in range(case.layers):
        if variant == "kvpress":
            rows = snap_scores(case, layer, window, kernel, pooling, gqa)
        else:
            per_kv = case.grouped(mean_of_rows(case.rows(layer, window), case.n - window), gqa)
            rows = [smooth(row, kernel, pooling) for row in per_kv]
        each = slots[layer] - len(held)
        if variant == "kvpress":
            counts = safe_counts(rows, held, slots[layer], alpha)
        else:
            ranked = rows
            if normalize:
                ranked = []
                for row in rows:
                    free = sorted((row[i] for i in range(len(row)) if i not in held), reverse=True)
                    ranked.append([x * sum(free[:each]) / sum(free) for x in row])
            counts = [round(c * (1 - alpha) + int(each * alpha)) for c in ranked_together(ranked, held, each)]
            while sum(counts) > each * len(rows):
                counts[counts.index(max(counts))] -= 1
            counts = [c + len(held) for c in counts]
        out.append((finish(case, rows, window), counts))
    return out


def safe_counts(rows, held, each, alpha):
    """kvpress: the best alpha of each head, the held ones first, come before the one ranking."""
    safe = max(int(each * alpha), 1) if alpha > 0 else 0
    ranked = []
    for row in rows:
        free = [(row[i], i) for i in range(len(row)) if i not in held]
        first = {i for _, i in best(free, max(safe - len(held), 0))}
        ranked.append([INF if i in first else row[i] for i in range(len(row))])
    return [c + len(held) for c in ranked_together(ranked, held, each - len(held))]


def criticalkv(case, window=32, kernel=5, pooling="avg", gqa="mean", first=0.5, epsilon=1e-4, ada=False, alpha=0.2):
    held, out = case.held(window), []
    for layer in range(case.layers):
        rows = snap_scores(case, layer, window, kernel, pooling, gqa)
        counts = safe_counts(rows, held, case.budget, alpha) if ada else [case.budget] * len(rows)
        norms = case.grouped(case.norms(layer), "none" if gqa == "none" else "mean")
        scores = []
        for row, norm, count in zip(rows, norms, counts, strict=True):
            taken = max(int(count * first), 1)
            if ada:
                taken = max(taken, int(case.budget * alpha), 1)
            free = [(row[i], i) for i in range(len(row)) if i not in held]
            chosen = {i for _, i in best(free, max(taken - len(held), 0))}
            scores.append([INF if i in chosen else (row[i] + epsilon) * norm[i] for i in range(len(row))])
        out.append((finish(case, scores, window), counts))
    return out


def defensive_scores(case, layer, window, kernel, gqa, mass, bias):
    rows, before = case.rows(layer, window), case.n - window
    risk = []
    for of_head in rows:
        smoothed = []
        for row in of_head:
            pooled = smooth(row[:before], kernel, "avg")
            smoothed.append([x * sum(row[:before]) / sum(pooled) for x in pooled])
        risk.append([max(row[i] for row in smoothed) for i in range(before)])
    risk = case.grouped(risk, gqa)
    risk = [[max(x, sum(row) / before) for x in row] for row in risk]
    plain = "none" if gqa == "none" else "mean"
    norms = case.grouped(case.norms(layer), plain)
    risk = [[x * norms[h][i] / sum(norm[i] for norm in norms) for i, x in enumerate(row)] for h, row in enumerate(risk)]
    columns = range(before - window, before) if bias == "code" else range(before, case.n)
    seen = sum(row[i] for of_head in rows for row in of_head for i in columns) / (len(rows) * window)
    largest = max(max(row) for row in risk)
    for row, mean in zip(risk, case.grouped(mean_of_rows(rows, before), plain), strict=True):
        total, reached = sum(mean), 0.0
        order = [i for _, i in best([(x, i) for i, x in enumerate(mean)], before)][::-1]
        first = []
        for i in order:
            reached += mean[i] / total
            if reached >= mass - seen:
                break
            first.append(i)
        for i in first[: max(case.budget - window, 0)]:
            row[i] = largest
    return risk


def defensivekv(case, window=32, kernel=5, gqa="max", mass=0.9, bias="code", whole=False):
    held, each = case.held(window), case.budget - len(case.held(window))
    scored = [defensive_scores(case, layer, window, kernel, gqa, mass, bias) for layer in range(case.layers)]
    if whole:
        counts = ranked_together([row for rows in scored for row in rows], held, each)
        counts = [counts[layer * len(scored[0]) : (layer + 1) * len(scored[0])] for layer in range(case.layers)]
    else:
        counts = [ranked_together(rows, held, each) for rows in scored]
    return [
        (finish(case, rows, window), [c + len(held) for c in of_layer])
        for rows, of_layer in zip(scored, counts, strict=True)
    ]


def cake(case, window=32, kernel=5, gqa="mean", gamma=200.0, tau1=1.6, tau2=0.4):
    before, held = case.n - window, len(case.held(window))
    scored, preferences = [], []
    for layer in range(case.layers):
        entropy = spread = 0.0
        per_head = []
        for of_head in case.rows(layer, window):
            score = []
            for i in range(before):
                column = [row[i] for row in of_head]
                mean = sum(column) / window
                variance = sum((x - mean) ** 2 for x in column) / (window - 1)
                entropy -= sum(x * math.log(x + 1e-10) for x in column)
                spread += variance
                score.append(mean + gamma * variance)
            per_head.append(smooth(score, kernel, "avg"))
        scored.append(finish(case, case.grouped(per_head, gqa), window))
        preferences.append(entropy ** (1 / tau1) * spread ** (1 / tau2))
    total, most = (case.budget - held) * case.layers, case.n - held
    wanted = [int(p / sum(preferences) * total) for p in preferences]
    slots = [min(x, most) for x in wanted]
    left = sum(wanted) - sum(slots)
    while True:
        open_ = [layer for layer in range(case.layers) if slots[layer] < most]
        for place, layer in enumerate(open_):
            slots[layer] = min(slots[layer] + left // len(open_) + (1 if place < left % len(open_) else 0), most)
        left = total - sum(slots)
        if left == 0:
            break
    return [(rows, [slots[layer] + held] * len(rows)) for layer, rows in enumerate(scored)]


def cake_step(weights, ids, kv_heads, budget, window=32, kernel=5):
    """One decoding step of one layer: weights[head][slot], ids[kv head] -> kept ids of each KV head."""
    group, out = len(weights) // kv_heads, []
    for h in range(kv_heads):
        old = len(ids[h]) - window
        mean = [sum(weights[h * group + g][i] for g in range(group)) / group for i in range(old)]
        pooled = smooth(mean, kernel, "avg")
        chosen = {i for _, i in best([(x, i) for i, x in enumerate(pooled)], budget - window)}
        out.append([slot for i, slot in enumerate(ids[h]) if i in chosen or i >= old])
    return out


def compresskv(case, window=8, kernel=5, heads=4, chosen=None, errors=None, floor=32, most=3.0):
    before, held, out = case.n - window, len(case.held(window)), []
    slots = [case.budget] * case.layers
    if errors is not None:
        least, limit = min(max(floor, held), case.budget), min(max(int(most * case.budget), case.budget), case.n)
        rest = (case.budget - least) * case.layers
        slots = [min(least + int(e / sum(errors) * rest), limit) for e in errors]
        order = sorted(range(case.layers), key=lambda layer: (-errors[layer], layer))
        while sum(slots) < case.budget * case.layers:
            for layer in order:
                if slots[layer] < limit and sum(slots) < case.budget * case.layers:
                    slots[layer] += 1
    for layer in range(case.layers):
        rows = case.rows(layer, window)
        if chosen is None:
            read = [sum(row[i] for row in of_head for i in range(4, before)) for of_head in rows]
            asked = sorted(range(case.heads), key=lambda h: -read[h])[:heads]
        else:
            asked = chosen[layer][:heads]
        pooled = [smooth([sum(row[i] for row in rows[h]) for i in range(before)], kernel, "avg") for h in asked]
        score = [sum(row[i] for row in pooled) / len(asked) for i in range(before)]
        out.append((finish(case, [score] * case.kv_heads, window), [slots[layer]] * case.kv_heads))
    return out


def turned(x, position, theta):
    """One vector rotated to a position, first half of the coordinates with the second."""
    half, out = len(x) // 2, [0.0] * len(x)
    for i in range(half):
        angle = position * theta ** (-2 * i / len(x))
        a, b = float(x[i]), float(x[i + half])
        out[i], out[i + half] = a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)
    return out


def expected_attention(case, future=512, sink=4, gqa="mean", covariance=True, norm=True, epsilon=0.0):
    dim, out = case.q[0].shape[2], []
    turn = np.zeros((dim, dim))
    for position in range(case.n, case.n + future):
        turn += np.array([turned(row, position, case.theta) for row in np.eye(dim)]).T / future
    for layer in range(case.layers):
        per_head = []
        for head in range(case.heads):
            plain = np.array([turned(case.q[layer][head, i], -i, case.theta) for i in range(4, case.n)])
            mean = sum(plain) / len(plain)
            spread = sum(np.outer(row - mean, row - mean) for row in plain) / len(plain)
            mean, spread = turn @ mean, turn @ spread @ turn.T
            logits = []
            for key in case.k[layer][head // case.group, sink:]:
                logit = float(key @ mean) / math.sqrt(dim)
                if covariance:
                    logit += float(key @ spread @ key) / dim / 2
                logits.append(logit)
            grown = [math.exp(x - max(logits)) for x in logits]
            per_head.append([x / sum(grown) for x in grown])
        rows = case.grouped(per_head, gqa)
        for h, row in enumerate(rows):
            kv = h if len(rows) == case.kv_heads else h // case.group
            if norm:
                for i in range(len(row)):
                    row[i] = (row[i] + epsilon) * math.sqrt(sum(x * x for x in case.v[layer][kv, i + sink]))
        out.append(finish(case, [[INF] * sink + row for row in rows], 0))
    return uniform(case, out)


def unlike(keys):
    """Minus the cosine of each key with the mean of the unit keys."""
    units = [key / math.sqrt(float(key @ key)) for key in keys]
    anchor = sum(units) / len(units)
    return [-float(unit @ anchor) / math.sqrt(float(anchor @ anchor)) for unit in units]


def keydiff(case, block=0):
    out = []
    for layer in range(case.layers):
        rows = []
        for keys in case.k[layer]:
            kept = list(range(case.budget if block else case.n))
            score = dict(zip(kept, unlike([keys[i] for i in kept]), strict=True))
            for first in range(case.budget, case.n, block) if block else ():
                here = kept + list(range(first, min(first + block, case.n)))
                score = dict(zip(here, unlike([keys[i] for i in here]), strict=True))
                pairs = [(INF if i in case.protected else score[i], i) for i in here]
                kept = sorted(i for _, i in best(pairs, case.budget))
            rows.append([score[i] if i in kept else -INF for i in range(case.n)])
        out.append(finish(case, rows, 0))
    return uniform(case, out)


def knorm(case):
    rows = [[[-math.sqrt(sum(x * x for x in key)) for key in keys] for keys in of_layer] for of_layer in case.k]
    return uniform(case, [finish(case, of_layer, 0) for of_layer in rows])
