"""Policies that decide step by step: stories with a reason, and the same evictions as twins in plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from attention import naive_step as naive
from attention.kv_runs import drive, texts

from evictlab.policies.kv import Evict, Protect, Reposition, Rotary, Setting, parse_kv_policy
from evictlab.policies.kv.paging import _serve, paging
from evictlab.policies.kv.recurrence.rkv import RKV, rkv_scores
from evictlab.sim.attention import Engine, replay_attention
from evictlab.sim.attention.log import PROMPT as AT_PROMPT
from evictlab.sim.attention.prompts import LayerPrompt
from evictlab.traces.attention import rotate
from evictlab.traces.errors import CapabilityError, UsageError

from naive import make_twin

TEXT: dict[str, Any] = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "prompt": 28, "decode": 16}
BUDGET = 14


# Stories: one head, and attention written down by hand.


def tell(policy: str, rows: list[list[float]], prompt: int, budget: int, protect: str = "none") -> list[list[int]]:
    """Who leaves at the end of the prompt, and after each step; ``rows[t]`` is what query t gives to tokens 0 .. t."""
    n = len(rows)
    given = np.zeros((n, n))
    for t, row in enumerate(rows):
        given[t, : len(row)] = np.array(row) / sum(row)
    # Keys are the axes of space: a query is the logarithm of the attention it is to give.
    with np.errstate(divide="ignore"):
        q = np.maximum(np.log(given), -700)[None]
    k = np.eye(n)[None]
    return leavers(policy, q, k, prompt, budget, protect, full=given[None, prompt:])


def leavers(policy: str, q: Any, k: Any, prompt: int, budget: int, protect: str = "none", full: Any = None) -> Any:
    """The same for any queries and keys of one layer."""
    engine = started(policy, q, k, prompt, budget, protect, full)
    for t in range(prompt, q.shape[1]):
        engine.step(t, q[None, None, :, t], k[None, None, :, t], k[None, None, :, t])
    log: list[list[int]] = [[] for _ in range(q.shape[1] - prompt + 1)]
    for step, action in engine.log.entries:
        assert isinstance(action, Evict)
        log[step + 1] += action.ids.tolist()
    return log


def started(policy: str, q: Any, k: Any, prompt: int, budget: int, protect: str = "none", full: Any = None) -> Engine:
    """An engine that has taken in the prompt."""
    dim = q.shape[2]
    setting = Setting(
        layers=1,
        sequences=1,
        heads=len(q),
        kv_heads=len(k),
        head_dim=dim,
        prompt=prompt,
        capacity=q.shape[1],
        budget=budget,
        protect=Protect.parse(protect),
        rotary=(Rotary(dim=dim),),
        indices=(7,),
    )
    engine = Engine(
        parse_kv_policy(policy),
        setting,
        dtype=np.float64,
        future=None if full is None else lambda layer, sequence: lambda: full,
    )
    engine.prompt([[LayerPrompt(q[:, :prompt], k[:, :prompt], k[:, :prompt], setting.rotary[0], setting.scale)]])
    return engine


def test_h2o_keeps_the_heavy_hitter_that_tova_drops() -> None:
    """Token 0 was looked at much, though not by the last query: H2O adds up, TOVA asks the last one only."""
    rows = [[1], [0.9, 0.1], [0.2, 0.5, 0.3]]
    assert tell("h2o", rows, prompt=3, budget=2) == [[1]]  # one heavy hitter, one recent
    assert tell("tova", rows, prompt=3, budget=2) == [[0]]


def test_h2o_pruned_and_full_differ() -> None:
    """Query 5 wants token 3, which has left. The real cache shares that attention out among what is there, so that tokens 2
    and 4 overtake token 1; the simulation on full weights does not see them rise."""
    rows = [
        [1],
        [0.7, 0.3],
        [0.85, 0.1, 0.05],
        [0.91, 0.05, 0.03, 0.01],
        [0.91, 0.05, 0.02, 0.01, 0.01],
        [0.0005, 0.001, 0.046, 0.9, 0.052, 0.0005],
    ]
    told = {how: tell(f"h2o:recent=0.25:accumulate={how}", rows, 5, 4, "sink=1") for how in ("pruned", "full")}
    assert told == {"pruned": [[3], [1]], "full": [[3], [4]]}


def test_h2o_by_the_mean_does_not_favour_the_old() -> None:
    """Token 0 has the larger sum, for four queries could see it; token 2 got more from each of the two that saw it."""
    rows = [[1], [0.1, 0.9], [0.1, 0.2, 0.7], [0.1, 0.3, 0.5, 0.1]]
    assert tell("h2o:recent=0.34", rows, 4, 3) == [[2]]  # sums 1.3, 1.4, 1.2
    assert tell("h2o:recent=0.34:normalise=true", rows, 4, 3) == [[0]]  # means 0.325, 0.47, 0.6


def test_scissorhands_drops_what_was_often_below_average_and_many_at_once() -> None:
    """Token 1 was above average once, hugely, and below it ever since: its sum is largest, its count is worst."""
    rows = [[1], [0.01, 0.99], [0.4, 0.1, 0.5], [0.3, 0.1, 0.3, 0.3], [0.25, 0.1, 0.25, 0.2, 0.2]]
    assert tell("scissorhands:recent=1:drop=0.25", rows, 4, 4)[1] == [1]
    assert tell("scissorhands:recent=1:drop=0.5", rows, 4, 4)[1] == [0, 1]  # counts 1, 3, 0, 0: two leave, two to come
    assert tell("scissorhands:recent=1:drop=0.25:decay=0.99", rows, 4, 4)[1] == [3]  # by the sum of attention


def test_tova_may_drop_the_newest() -> None:
    """Nothing protects the newest token in the authors' code; kvpress keeps it."""
    rows = [[1], [0.5, 0.5], [0.4, 0.3, 0.3], [0.5, 0.3, 0.15, 0.05]]
    assert tell("tova", rows, 3, 3) == [[], [3]]
    assert tell("tova:force_last=true", rows, 3, 3) == [[], [2]]


def test_lazyeviction_waits_for_a_token_whose_time_comes_again() -> None:
    """Tokens 0 and 1 come every 2 steps. At step 6 token 0 was used 2 steps ago, so it is due; token 1 has missed its turn,
    and leaves although the last query gave it more. The other tokens are used all the time."""
    rows = [
        [1],
        [0.5, 0.5],
        [0.05, 0.05, 0.9],
        [0.2, 0.2, 0.3, 0.3],
        [0.05, 0.05, 0.3, 0.3, 0.3],
        [0.2, 0.05, *[0.1875] * 4],
        [0.01, 0.09, *[0.18] * 5],
        [0.01, 0.09, *[0.15] * 6],
    ]
    assert tell("lazyeviction:window=2:alpha=0.1", rows, 2, 7) == [[], [], [], [], [], [], [1]]
    assert tell("tova", rows, 2, 7)[-1] == [0]


def test_lazyeviction_evicts_nothing_between_its_turns() -> None:
    """Four slots fit; after steps 1 and 2 nothing is due, after step 3 three leave, and the newest three stay."""
    rows = [[1.0] * (t + 1) for t in range(7)]
    assert tell("lazyeviction:window=3:alpha=0.01", rows, 4, 4)[:3] == [[], [], []]
    assert len(tell("lazyeviction:window=3:alpha=0.01", rows, 4, 4)[3]) == 3


def test_rkv_drops_the_older_of_several_copies() -> None:
    """Keys 0, 1 and 2 are one key. The newest is blamed by nobody, the oldest by both others."""
    axes = np.eye(5)
    k = np.stack([axes[0], axes[0], axes[0], axes[1], axes[2]])[None]
    q = np.ones((1, 5, 5))
    assert leavers("rkv:window=1:mix=0", q, k, 5, 4) == [[0]]
    assert leavers("rkv:window=1:mix=0", q, k, 5, 3) == [[0, 1]]
    pair = rkv_scores(q[:, :1], np.stack([axes[0], axes[0], axes[1], axes[2]]), 1.0, RKV(window=1, mix=0))
    assert pair[0] == pair[1] == pair[2]  # of two, each is the other's newest copy


def test_rkv_looks_at_attention_too() -> None:
    """Of the three copies the last query wants the oldest, and only that one: with `mix` near 1 that counts."""
    axes = np.eye(5)
    k = np.stack([axes[0], axes[0], axes[0], axes[1], axes[2]])[None]
    k[0, 0] += 0.1 * axes[3]
    q = np.zeros((1, 5, 5))
    q[0, 4, 3] = 100.0
    assert leavers("rkv:window=1:mix=0.9:kernel=1", q, k, 5, 4) == [[1]]


def test_quest_finds_the_page_of_the_needle() -> None:
    """Thirty keys of noise and one that the query looks for: its page has the largest bound, of eight pages three are read."""
    k = np.random.default_rng(0).normal(0, 0.1, (1, 32, 8))
    k[0, 9] = [3, 0, 0, 0, 0, 0, 0, 0]
    q = np.zeros((1, 32, 8))
    q[0, 31, 0] = 1.0
    engine = started("quest:page=4", q, k, 31, budget=8)
    engine.step(31, q[None, None, :, 31], k[None, None, :, 31], k[None, None, :, 31])
    ((_, _, chosen),) = engine.log.selections
    assert set(np.flatnonzero(chosen.read[0, 0])) >= {8, 9, 10, 11}
    assert chosen.read.sum() == 12
    assert engine.slots.count.tolist() == [32]  # nothing left the cache
    assert chosen.metadata_bytes == 8 * 2 * 8 * 2  # least and largest key of eight pages


def test_lru_of_tokens_drops_the_sink_unless_it_is_protected() -> None:
    """Token 0 is below alpha for every query: for LRU it is the page unused for longest, whatever a model needs it for."""
    rows = [[1], [0.05, 0.95], [0.05, 0.5, 0.45], [0.05, 0.5, 0.25, 0.2], [0.05, 0.5, 0.05, 0.2, 0.2]]
    assert tell("paging:policy=lru:alpha=0.1", rows, 4, 4) == [[], [0]]
    assert tell("paging:policy=lru:alpha=0.1", rows, 4, 4, "sink=1") == [[], [2]]  # used by query 3, but not by query 4


def test_a_token_comes_to_the_cache_policy_when_it_leaves_protection() -> None:
    """With two recent tokens protected, FIFO's queue begins behind them: places for two, and the third pushes the first out."""
    rows = [[1.0] * (t + 1) for t in range(6)]
    assert tell("fifo", rows, 4, 4, "recent=2") == [[], [0], [1]]


def test_a_cache_policy_that_needs_what_tokens_lack_is_refused() -> None:
    with pytest.raises(CapabilityError, match="next use"):
        parse_kv_policy("belady")
    with pytest.raises(CapabilityError, match="predictions"):
        parse_kv_policy("ftp")
    with pytest.raises(UsageError, match="at least 6"):
        tell("lru", [[1.0] * (t + 1) for t in range(8)], 7, 5, "sink=2,recent=3")


def test_a_cache_policy_on_tokens_is_called_by_its_own_name() -> None:
    assert parse_kv_policy("s3fifo:small=0.2").label == "s3fifo:small=0.2"
    assert parse_kv_policy("paging:policy=lru:alpha=0.02").label == "paging:policy=lru:alpha=0.02"


@pytest.mark.parametrize(
    "text",
    [
        "h2o:accumulate=masked",
        "h2o:gqa=max",
        "h2o:recent=2",
        "scissorhands:decay=1",
        "lazyeviction:alpha=0",
        "rkv:interval=0",
        "quest:page=0",
        "paging:alpha=0",
    ],
)
def test_parameters_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=text.partition("=")[0].partition(":")[2]):
        parse_kv_policy(text)


def test_streaming_llm_needs_room_behind_its_sinks() -> None:
    with pytest.raises(UsageError, match="at least 5"):
        tell("streaming_llm", [[1.0] * (t + 1) for t in range(8)], 6, 4)


# Twins.


def evictions(run: Any, rows: int) -> list[naive.Log]:
    """Who left, of each layer: by step and row."""
    logs: list[naive.Log] = [{} for _ in range(run.setting.layers)]
    for step, action in run.log.entries:
        if isinstance(action, Evict):
            for stream, slot in zip(action.streams.tolist(), action.ids.tolist(), strict=True):
                logs[stream // rows].setdefault((step, stream % rows), []).append(slot)
    return logs


def lists(prepared: Any, layer: int, budget: int, protect: Protect, own_sets: bool = False) -> naive.Text:
    """A layer of a text for the twins."""
    return naive.Text(
        prepared.q[layer].tolist(),
        prepared.k[layer].tolist(),
        prepared.request.n_prompt,
        prepared.trace.manifest.scale,
        budget,
        (protect.sink, protect.boundary, protect.recent),
        own_sets,
    )


TWINS: dict[str, Callable[[int], Any]] = {
    "random": lambda layer: naive.Dice(3, 2 * layer),
    "streaming_llm": lambda layer: naive.Ends(),
    "streaming_llm:sink=2:reindex=false": lambda layer: naive.Ends(2),
    "h2o": lambda layer: naive.Sums(),
    "h2o:recent=0.2:gqa=none": lambda layer: naive.Sums(0.2),
    "h2o:gqa=sum:recent=0": lambda layer: naive.Sums(0, how="sum"),
    "h2o:accumulate=full": lambda layer: naive.Sums(full=True),
    "h2o:normalise=true": lambda layer: naive.Sums(normalise=True),
    "scissorhands:history=9:recent=3:drop=0.3": lambda layer: naive.BelowAverage(9, 3, 4),
    "scissorhands:recent=1:drop=0": lambda layer: naive.BelowAverage(400, 1, 1),
    "scissorhands:history=9:recent=3:decay=0.9": lambda layer: naive.Fading(9, 3, 7, 0.9),
    "tova": lambda layer: naive.LastRow(),
    "tova:force_last=true": lambda layer: naive.LastRow(True),
    "lazyeviction:window=4:alpha=0.05": lambda layer: naive.Recurrence(4, 0.05),
    "lazyeviction:window=3:alpha=0.1:gqa=max": lambda layer: naive.Recurrence(3, 0.1, "max"),
    "lazyeviction:window=5:alpha=0.05:gqa=none": lambda layer: naive.Recurrence(5, 0.05),
    "rkv:window=3:interval=5": lambda layer: naive.Redundancy(0.07, 3, 7, 0.5, 5),
    "rkv:window=2:interval=1:kernel=3:mix=0.5:threshold=0.2": lambda layer: naive.Redundancy(0.5, 2, 3, 0.2, 1),
}


@pytest.mark.parametrize("protect", ["none", "sink=2,boundary=1,recent=3"])
@pytest.mark.parametrize("policy", TWINS)
def test_same_evictions_as_the_twin(policy: str, protect: str) -> None:
    chosen, guard = parse_kv_policy(policy), Protect.parse(protect)
    seen = 0
    for prepared in texts(3, **TEXT):
        run = replay_attention(prepared, policy, BUDGET, protect=guard, seed=3)
        rows = run.setting.rows(chosen.gqa)
        for layer, log in enumerate(evictions(run, rows)):
            own = chosen.gqa == "none"
            assert log == naive.replay(lists(prepared, layer, BUDGET, guard, own), TWINS[policy](layer))
            seen += len(log)
    assert seen > 3 * 2 * rows  # something left after the prompt, too


def test_a_short_prompt_begins_as_in_the_code_of_lazyeviction() -> None:
    """Nothing is cut at a prompt that fits, and all begin with a last use at step 0."""
    (prepared,) = texts(1, **{**TEXT, "prompt": 12, "decode": 40})
    run = replay_attention(prepared, "lazyeviction:window=4:alpha=0.08", 20)
    for layer, log in enumerate(evictions(run, 2)):
        assert log == naive.replay(lists(prepared, layer, 20, Protect()), naive.Recurrence(4, 0.08))
        assert min(step for step, _ in log) == 11  # the first multiple of 4 with more than 20 slots


@pytest.mark.parametrize("policy", ["lru", "fifo", "s3fifo", "arc", "lfu", "sieve", "tinylfu+lru"])
def test_a_cache_policy_evicts_tokens_as_its_own_twin_does(policy: str) -> None:
    """The twins of the cache policies, told of the same uses."""
    guard = Protect(sink=2, boundary=1, recent=3)
    chosen = paging.Paging(policy, alpha=0.05, window=10)
    for prepared in texts(2, **TEXT):
        run = replay_attention(prepared, chosen, BUDGET + 4, protect=guard, seed=3)
        capacity, room = run.setting.capacity, BUDGET + 4 - guard.slots
        for layer, log in enumerate(evictions(run, 2)):
            twins = [make_twin(policy, range(capacity), room, seed=3 + ((2 * layer + row) << 32)) for row in range(2)]
            text = lists(prepared, layer, BUDGET + 4, guard)
            assert log == naive.replay(text, naive.Requests(twins, 0.05, 10))
            assert any(step >= 0 for step, _ in log)


def test_the_loop_of_requests_does_the_same_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    (prepared,) = texts(1, **TEXT)
    compiled = replay_attention(prepared, "arc", BUDGET)
    monkeypatch.setattr(_serve, "serve_for", lambda state: _serve.serve)
    assert evictions(replay_attention(prepared, "arc", BUDGET), 2) == evictions(compiled, 2)


@pytest.mark.parametrize("budget", [8, 24])
def test_quest_reads_the_pages_of_its_twin(budget: int) -> None:
    """Layer 0 of the model is dense here; below three pages' worth the budget still buys three."""
    policy = parse_kv_policy("quest:page=4:dense=1")
    for prepared in texts(2, **TEXT):
        run = replay_attention(prepared, policy, budget)
        assert run.log.evictions == 0
        for step, first, chosen in run.log.selections:
            assert first == 0
            for layer in range(2):
                text = lists(prepared, layer, budget, Protect())
                text.now = text.prompt + step
                for head in range(4):
                    read = np.flatnonzero(chosen.read[2 * layer + head // 2, head % 2]).tolist()
                    wanted = naive.pages_read(text, head, budget, 4) if layer else list(range(text.now + 1))
                    assert read == wanted
        assert run.metadata_bytes == run.full_bytes // 4  # a page of four keeps as much as one slot


def test_streaming_llm_attends_by_places_in_the_cache() -> None:
    """Keys and query turned anew, from nothing, to where they stand among what is left: the paper's cache of unrotated keys."""
    (prepared,) = texts(1, **TEXT)
    run = drive(parse_kv_policy("streaming_llm"), [prepared], BUDGET)
    prompt, scale = prepared.request.n_prompt, prepared.trace.manifest.scale
    for step, seen in enumerate(run.seen):
        slots = seen.ids[0]
        assert slots.tolist() == [0, 1, 2, 3, *range(prompt + step - BUDGET + 4, prompt + step + 1)]
        for layer, info in enumerate(prepared.trace.manifest.layers):
            how = (info.rope_theta, info.pairing, info.rotary_dim)
            for head in range(4):
                key = rotate(prepared.k[layer][head // 2][slots], slots, *how, inverse=True)
                query = rotate(prepared.q[layer][head][[prompt + step]], [prompt + step], *how, inverse=True)
                logits = scale * rotate(key, range(BUDGET + 1), *how) @ rotate(query, [BUDGET], *how)[0]
                weights = np.exp(logits - logits.max())
                out = weights / weights.sum() @ prepared.v[layer][head // 2][slots]
                np.testing.assert_allclose(run.outs[step][layer, 0, head], out, rtol=0, atol=1e-9)


def test_streaming_llm_with_true_positions_repositions_nothing() -> None:
    (prepared,) = texts(1, **TEXT)
    logs = {how: replay_attention(prepared, f"streaming_llm:reindex={how}", BUDGET).log for how in ("true", "false")}
    assert sum(isinstance(action, Reposition) for _, action in logs["true"].entries) == 2 + TEXT["decode"]
    assert not any(isinstance(action, Reposition) for _, action in logs["false"].entries)
    for _, action in logs["true"].entries:
        if isinstance(action, Reposition):
            assert action.positions.tolist() == len(set(action.streams.tolist())) * list(range(BUDGET))
    sets = [[a.ids.tolist() for _, a in log.entries if isinstance(a, Evict)] for log in logs.values()]
    assert sets[0] == sets[1]


def test_every_unprotected_slot_may_leave_and_each_as_often() -> None:
    """Over many seeds the first victim is any of the ten, each a tenth of the time."""
    (prepared,) = texts(1, **{**TEXT, "layers": 1, "prompt": 12, "decode": 1})
    gone = np.zeros(12)
    for seed in range(400):
        for step, action in replay_attention(prepared, "random", 11, protect="sink=2", seed=seed).log.entries:
            if step == AT_PROMPT:
                np.add.at(gone, action.ids, 1)  # type: ignore[union-attr]
    assert gone[:2].sum() == 0
    assert gone.sum() == 800
    spread = math.sqrt(800 * 0.1 * 0.9)
    assert abs(gone[2:] - 80).max() < 4 * spread


def test_h2o_on_full_weights_is_marked_as_one_that_knows_too_much() -> None:
    (prepared,) = texts(1, **TEXT)
    policy = parse_kv_policy("h2o")
    assert not replay_attention(prepared, policy, BUDGET).oracle
    assert replay_attention(prepared, replace(policy, accumulate="full"), BUDGET).oracle  # type: ignore[type-var,call-arg]
