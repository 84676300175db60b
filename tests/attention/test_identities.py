"""The identities of attention over a kept set, and the meter that relies on them, against plain loops in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from attention.naive_attention import attend, kept, measures, worst
from hypothesis import given, settings
from hypothesis import strategies as st

from evictlab.sim.attention import prepare, replay_attention
from evictlab.sim.attention.kernels import attend as compiled
from evictlab.sim.attention.reference import full_attention
from evictlab.traces.attention import random_attention

EXACT = 1e-10


@st.composite
def kept_sets(draw: st.DrawFn) -> tuple[Any, Any, Any, list[int]]:
    """A query, keys, values, and some of the slots, at least one and not all."""
    tokens, dim = draw(st.integers(2, 12)), draw(st.sampled_from([1, 2, 5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sharp = draw(st.sampled_from([0.1, 1.0, 3.0]))
    left = draw(st.sets(st.integers(0, tokens - 1), min_size=1, max_size=tokens - 1))
    query, keys, values = (rng.standard_normal(shape) for shape in ((dim,), (tokens, dim), (tokens, dim)))
    return sharp * query, keys, values, sorted(left)


def by_kernel(query: Any, keys: Any, values: Any, left: list[int]) -> tuple[Any, Any, float]:
    """The compiled attention over some slots."""
    ids = np.array([left], np.int32)
    weights, out, lse = np.empty((1, 1, len(left))), np.empty((1, 1, len(query))), np.empty((1, 1))
    count = np.array([len(left)], np.int32)
    compiled(query[None, None], keys[None], values[None], 0, ids, count, None, None, 1.0, weights, out, lse)
    return weights[0, 0], out[0, 0], float(lse[0, 0])


@given(kept_sets())
def test_the_compiled_attention_is_that_of_a_textbook(case: tuple[Any, Any, Any, list[int]]) -> None:
    """Weights, output and normaliser, over any set of slots."""
    query, keys, values, left = case
    for ours, naive in zip(by_kernel(*case), attend(query, keys[left], values[left], 1.0), strict=True):
        np.testing.assert_allclose(ours, naive, rtol=0, atol=EXACT)


@given(kept_sets())
def test_kept_mass_is_the_ratio_of_the_normalisers(case: tuple[Any, Any, Any, list[int]]) -> None:
    """What the meter calls mass: exp(lse_S - lse), without looking at a single dropped key."""
    query, keys, values, left = case
    full, _, lse = attend(query, keys, values, 1.0)
    assert math.exp(by_kernel(*case)[2] - lse) == pytest.approx(sum(full[i] for i in left), abs=EXACT)


@given(kept_sets())
def test_the_error_is_the_lost_mass_times_the_distance_of_the_means(case: tuple[Any, Any, Any, list[int]]) -> None:
    """|o - o_S| = tau |mean of the dropped - mean of the kept|: losing mass hurts only where values differ."""
    query, keys, values, left = case
    weights, out, _ = attend(query, keys, values, 1.0)
    gone = [i for i in range(len(keys)) if i not in left]
    full = np.array(weights)
    tau = full[gone].sum()
    means = [full[part] @ values[part] / full[part].sum() for part in (gone, left)]
    error = np.linalg.norm(np.array(out) - by_kernel(*case)[1])
    assert error == pytest.approx(tau * np.linalg.norm(means[0] - means[1]), abs=EXACT)


@given(kept_sets())
def test_total_variation_and_divergence_both_say_how_much_mass_is_lost(case: tuple[Any, Any, Any, list[int]]) -> None:
    """TV(P_S, P) = tau = 1 - exp(-KL(P_S || P)): three names of one number."""
    query, keys, values, left = case
    full = np.array(attend(query, keys, values, 1.0)[0])
    renormalised = np.zeros(len(keys))
    renormalised[left] = by_kernel(*case)[0]
    tau = 1 - full[left].sum()
    variation = np.abs(renormalised - full).sum() / 2
    divergence = sum(p * math.log(p / q) for p, q in zip(renormalised, full, strict=True) if p > 0)
    assert variation == pytest.approx(tau, abs=EXACT)
    assert 1 - math.exp(-divergence) == pytest.approx(tau, abs=EXACT)


@given(kept_sets())
def test_one_dropped_token_costs_its_odds_times_its_distance(case: tuple[Any, Any, Any, list[int]]) -> None:
    """CAOTE: a / (1 - a) |v - o|, from the full output alone."""
    query, keys, values, _ = case
    weights, out, _ = attend(query, keys, values, 1.0)
    for gone in range(len(keys)):
        left = [i for i in range(len(keys)) if i != gone]
        error = np.linalg.norm(np.array(out) - by_kernel(query, keys, values, left)[1])
        said = weights[gone] / (1 - weights[gone]) * np.linalg.norm(values[gone] - np.array(out))
        assert error == pytest.approx(said, rel=1e-8, abs=EXACT)


@given(st.integers(0, 99), st.sampled_from([None, 1, 3, 8]))
@settings(max_examples=20)
def test_the_reference_is_that_of_a_textbook(seed: int, window: int | None) -> None:
    """Full attention with grouped heads and sliding windows, from the first position on."""
    rng = np.random.default_rng(seed)
    q, k = rng.standard_normal((4, 6, 3)), rng.standard_normal((2, 9, 3))
    weights, lse = full_attention(q, k, 3, 0.5, window)
    for head in range(4):
        for row in range(6):
            everyone = [i for i in range(9) if i <= 3 + row and (window is None or i > 3 + row - window)]
            naive, _, normaliser = attend(q[head, row], k[head // 2, everyone], k[head // 2, everyone], 0.5)
            assert lse[head, row] == pytest.approx(normaliser, abs=EXACT)
            spread = np.zeros(9)
            spread[everyone] = naive
            np.testing.assert_allclose(weights[head, row], spread, atol=EXACT)


@pytest.mark.parametrize("window", [None, 14, 5])
@pytest.mark.parametrize("policy", ["tova", "window", "snapkv:window=4:gqa=none", "topb", "full"])
def test_the_meter_counts_what_plain_loops_count(policy: str, window: int | None) -> None:
    """All its numbers, with three query heads per KV head; a sliding window may hold fewer keys than recall is about."""
    trace = random_attention(
        3, layers=2, heads=6, kv_heads=2, head_dim=8, prompt=24, decode=5, window=window, d_model=7
    )
    ready = prepare(trace, dtype=np.float64, top=6)
    run = replay_attention(ready, policy, "10", protect="sink=1")
    rows = run.live.shape[2]
    died = run.log.died(2 * rows, 29)
    for step in range(5):
        for layer in range(2):
            first = layer * rows

            def readable(head: int, first: int = first, step: int = step) -> list[int]:
                stream = first + head * rows // 6
                mine = kept(died, stream, step, 24 + step, window)
                if policy != "topb":
                    return mine
                (chosen,) = (one for at, _, one in run.log.selections if at == step)
                return [i for place, i in enumerate(mine) if chosen.read[stream, head % 3, place]]

            tensors = ready.q[layer][:, -5:], ready.k[layer], ready.v[layer]
            naive = measures(tensors, 24, trace.manifest.scale, window, ready.wo[layer], readable, 6, range(6), step)
            for name, value in naive.items():
                np.testing.assert_allclose(getattr(run, name)[step, layer], value, atol=EXACT, err_msg=name)
            assert run.live[step, layer].tolist() == [
                len(kept(died, first + row, step, 24 + step, window)) for row in range(rows)
            ]
    assert run.row()["mass_worst"] == pytest.approx(worst(run.mass, low=True), abs=EXACT)
    assert run.row()["output_error_worst"] == pytest.approx(worst(run.error, low=False), abs=EXACT)


def test_recall_of_a_query_that_sees_few_keys() -> None:
    """Of the 8 largest keys a query at position 3 has only 4; a full cache finds all there are, and not more."""
    ready = prepare(random_attention(0, layers=1, head_dim=8, prompt=3, decode=6), dtype=np.float64, top=8)
    assert (replay_attention(ready, "full", 9).recall == 1).all()


def test_the_worst_twentieth_is_that_of_each_head() -> None:
    """With 40 steps two of each head's are looked at; a head that is always fine does not hide one that fails."""
    run = replay_attention(
        prepare(random_attention(0, layers=1, heads=2, kv_heads=1, head_dim=8, prompt=30, decode=40), dtype=np.float64),
        "window",
        "8",
    )
    lowest = np.sort(run.mass[:, 0], axis=0)[:2].mean()
    assert run.row()["mass_worst"] == pytest.approx(lowest, abs=EXACT) == worst(run.mass, low=True)
