"""The attention engine: every action against plain loops, bytes by hand, the log, and the two compiled loops."""

from __future__ import annotations

import cmath
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attention.kv_runs import Run, Scripted, drive, small, texts
from attention.naive_attention import attend

from evictlab.policies.kv import (
    Evict,
    Merge,
    Move,
    Needs,
    Pin,
    Prompt,
    Protect,
    PruneChannels,
    Quantise,
    Reposition,
    Select,
    Step,
)
from evictlab.policies.kv.actions import Action
from evictlab.sim.attention import ActionError, ActionLog, Engine
from evictlab.sim.attention.kernels import attend as compiled
from evictlab.sim.attention.kernels import close_gaps
from evictlab.sim.attention.log import PROMPT
from evictlab.sim.attention.prompts import LayerPrompt
from evictlab.traces.attention import random_attention, rotate
from evictlab.traces.errors import CapabilityError, FormatError

TINY: dict[str, Any] = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 8, "prompt": 10, "decode": 4}
ROOM = 14
STREAM = 2
"""The stream that actions are tried on: the first KV head of layer 1."""


def ints(*numbers: int) -> Any:
    """An int32 array."""
    return np.array(numbers, np.int32)


def acted(*actions: Action, at: int = PROMPT, **shape: Any) -> tuple[Run, Any]:
    """A run in which these actions are done once, and the text it read."""

    def on_prompt(prompt: Prompt) -> list[Action]:
        return list(actions) if at == PROMPT else []

    def on_step(step: Step) -> list[Action]:
        return list(actions) if step.step == at else []

    batch = texts(**{**TINY, **shape})
    return drive(Scripted(at_prompt=on_prompt, at_step=on_step), batch, ROOM), batch[0]


def out_of(text: Any, step: int, slots: dict[int, tuple[Any, Any, float]], head: int = 0) -> Any:
    """Output of a query of STREAM over slots: id -> (key, value, what is added to the logit)."""
    keys, values, bias = zip(*slots.values(), strict=True)
    return attend(text.q[1][head, 10 + step], keys, values, text.trace.manifest.scale, bias)[1]


def slots_of(text: Any, tokens: int) -> dict[int, tuple[Any, Any, float]]:
    """The slots of STREAM as they came."""
    return {i: (text.k[1][0, i], text.v[1][0, i], 0.0) for i in range(tokens)}


def check(run: Run, text: Any, slots: dict[int, tuple[Any, Any, float]], first: int = 0) -> None:
    """From step `first` on each query of STREAM's group sees these slots and what came since; other streams see all."""
    for step in range(first, 4):
        slots[10 + step] = slots_of(text, 14)[10 + step]
        for head in range(2):
            np.testing.assert_allclose(run.outs[step][1, 0, head], out_of(text, step, slots, head), atol=1e-12)
        everything = slots_of(text, 11 + step)
        keys = [text.k[0][1, i] for i in everything]
        values = [text.v[0][1, i] for i in everything]
        untouched = attend(text.q[0][3, 10 + step], keys, values, text.trace.manifest.scale)[1]
        np.testing.assert_allclose(run.outs[step][0, 0, 3], untouched, atol=1e-12)


@pytest.mark.parametrize("at", [PROMPT, 0])
def test_what_is_evicted_is_not_seen_again(at: int) -> None:
    """At the prompt, the first query misses it; after step 0, that step's query has seen it."""
    run, text = acted(Evict(ints(STREAM, STREAM), ints(1, 7)), at=at)
    slots = slots_of(text, 11 + at)
    del slots[1], slots[7]
    check(run, text, slots, first=at + 1)
    if at == 0:
        np.testing.assert_allclose(run.outs[0][1, 0, 0], out_of(text, 0, slots_of(text, 11)), atol=1e-12)


@pytest.mark.parametrize("mass", ["bias", "scale", "none"])
def test_a_merged_slot_stands_for_its_members(mass: Any) -> None:
    """Weighted sums of keys and values; its logit grows by log 3, or its value is tripled, or neither."""
    key_weights, value_weights = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])
    run, text = acted(Merge(STREAM, ints(2, 5), 6, key_weights, value_weights, mass))
    slots, members = slots_of(text, 10), (2, 5, 6)
    key = sum(weight * slots[i][0] for weight, i in zip(key_weights, members, strict=True))
    value = sum(weight * slots[i][1] for weight, i in zip(value_weights, members, strict=True))
    slots[6] = (key, value * (3 if mass == "scale" else 1), np.log(3) if mass == "bias" else 0.0)
    del slots[2], slots[5]
    check(run, text, slots)
    assert run.members[0][STREAM, 6] == 3
    assert not run.alive[0][STREAM, [2, 5]].any()


def test_equal_keys_merged_with_their_mass_change_nothing() -> None:
    """Two slots of one key, merged to the mean value with mass "bias", are exactly what they were before."""
    batch = texts(**TINY)
    batch[0].k[1][0, 5] = batch[0].k[1][0, 2]
    half = np.array([0.5, 0.5])
    merge = Merge(STREAM, ints(2), 5, half, half)
    merged = drive(Scripted(at_prompt=lambda prompt: [merge]), batch, ROOM)
    for ours, theirs in zip(merged.outs, drive(small("full"), batch, ROOM).outs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_merging_twice_counts_all_members() -> None:
    """A slot of 2 and a slot of 3 give one of 5."""
    half, third = np.full(2, 0.5), np.full(3, 1 / 3)
    first, second = Merge(STREAM, ints(0), 1, half, half), Merge(STREAM, ints(2, 3), 4, third, third)
    run, _ = acted(first, second, Merge(STREAM, ints(1), 4, half, half))
    assert run.members[0][STREAM, 4] == 5
    assert run.log_mass[0][STREAM, 4] == pytest.approx(np.log(5))


@pytest.mark.parametrize(
    ("keys", "values", "into"), [(2, 3, 6), (3, 2, 6), (3, 4, 6), (2, 2, 6), (3, 3, 5)], ids=lambda n: str(n)
)
def test_a_merge_that_does_not_add_up_is_refused(keys: int, values: int, into: int) -> None:
    """A weight for each source and for the slot itself, of keys and of values; and nobody goes into itself."""
    with pytest.raises(ActionError, match="a weight for each source and, last"):
        acted(Merge(STREAM, ints(2, 5), into, np.ones(keys), np.ones(values)))


def rounded(numbers: Any, bits: int) -> list[float]:
    """One group, asymmetric round to nearest; minimum and step are float16."""
    least = float(np.float16(min(numbers)))
    step = float(np.float16((max(numbers) - least) / (2**bits - 1)))
    return [min(max(round((x - least) / step), 0), 2**bits - 1) * step + least for x in numbers]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_quantised_slot_shares_scales_within_itself(bits: int) -> None:
    """Axis "token": groups of channels."""
    run, text = acted(Quantise(ints(*[STREAM] * 3), ints(0, 4, 9), "values", bits, group=4))
    slots = slots_of(text, 10)
    for i in (0, 4, 9):
        key, value, bias = slots[i]
        slots[i] = (key, [*rounded(value[:4], bits), *rounded(value[4:], bits)], bias)
    check(run, text, slots)


def test_a_quantised_channel_shares_scales_among_slots() -> None:
    """Axis "channel": groups of slots, in the order given; a part of a group is refused."""
    order = (3, 1, 8, 0, 2, 7)
    run, text = acted(Quantise(ints(*[STREAM] * 6), ints(*order), "keys", 2, group=3, axis="channel"))
    slots = slots_of(text, 10)
    for group in (order[:3], order[3:]):
        columns = [rounded([text.k[1][0, i, c] for i in group], 2) for c in range(8)]
        for place, i in enumerate(group):
            slots[i] = ([column[place] for column in columns], slots[i][1], 0.0)
    check(run, text, slots)
    with pytest.raises(ActionError, match="2 slots are not whole groups of 3"):
        acted(Quantise(ints(STREAM, STREAM), ints(1, 2), "keys", 2, group=3, axis="channel"))
    with pytest.raises(ActionError, match="groups of 3 channels do not divide a head of 8"):
        acted(Quantise(ints(STREAM), ints(1), "keys", 2, group=3))
    with pytest.raises(ActionError, match="9 bits: from 1 to 8"):
        acted(Quantise(ints(STREAM), ints(1), "keys", 9, group=4))


def test_pruned_channels_are_no_longer_asked() -> None:
    """Logits without them; a second pruning only takes away more."""
    keep, again = np.array([1, 1, 0, 1, 0, 1, 1, 1], bool), np.array([0, 1, 1, 1, 1, 1, 1, 1], bool)
    run, text = acted(PruneChannels(STREAM, ints(0, 3), keep), PruneChannels(STREAM, ints(3), again))
    slots = slots_of(text, 10)
    for i, left in ((0, keep), (3, keep & again)):
        slots[i] = ([x if held else 0.0 for x, held in zip(text.k[1][0, i], left, strict=True)], slots[i][1], 0.0)
    check(run, text, slots)


def test_moving_and_pinning_change_no_number() -> None:
    """Another tier, another state; the same attention."""
    run, text = acted(Move(ints(STREAM), ints(3), 1), Pin(ints(STREAM), ints(4)))
    check(run, text, slots_of(text, 10))
    assert run.engine.slots.tier[STREAM, 3] == 1
    assert run.engine.slots.pinned[STREAM, 4]


def turned(vector: Any, by: float, theta: float, pairing: str) -> list[float]:
    """Rotate by complex numbers, pair by pair."""
    half = len(vector) // 2
    made = [0.0] * len(vector)
    for j in range(half):
        one, other = (j, j + half) if pairing == "half" else (2 * j, 2 * j + 1)
        z = complex(vector[one], vector[other]) * cmath.exp(1j * by * theta ** (-j / half))
        made[one], made[other] = z.real, z.imag
    return made


@pytest.mark.parametrize("pairing", ["half", "adjacent"])
@pytest.mark.parametrize("newest_leaves", [False, True])
def test_repositioned_keys_are_those_of_the_new_positions(pairing: str, newest_leaves: bool) -> None:
    """Slots 0, 4, 6, 8 (and 9) move together, to 0, 1, 2, 3 (and 4); the next token follows the last of them.

    Turning a cached key from 6 to 2 is the key of an unrotated vector at 2. Queries and keys that come later continue after
    the largest position there is, also where the newest slot has left.
    """
    left = [0, 4, 6, 8] if newest_leaves else [0, 4, 6, 8, 9]
    gone = [i for i in range(10) if i not in left]
    run, text = acted(
        Evict(ints(*[STREAM] * len(gone)), ints(*gone)),
        Reposition(ints(*[STREAM] * len(left)), ints(*left), ints(*range(len(left)))),
        pairing=pairing,
    )
    theta = text.trace.manifest.layers[1].rope_theta
    plain = {i: turned(text.k[1][0, i], -i, theta, pairing) for i in range(14)}
    slots = {i: (turned(plain[i], new, theta, pairing), text.v[1][0, i], 0.0) for new, i in enumerate(left)}
    for i in left:
        np.testing.assert_allclose(run.engine.slots.keys[STREAM, i], slots[i][0], atol=1e-12)
    for step in range(4):
        at, new = 10 + step, len(left) + step
        slots[at] = (turned(plain[at], new, theta, pairing), text.v[1][0, at], 0.0)
        keys, values, _ = zip(*slots.values(), strict=True)
        for head in range(2):
            query = turned(turned(text.q[1][head, at], -at, theta, pairing), new, theta, pairing)
            naive = attend(query, keys, values, text.trace.manifest.scale)[1]
            np.testing.assert_allclose(run.outs[step][1, 0, head], naive, atol=1e-12)
    untouched = drive(small("full"), [text], ROOM)
    np.testing.assert_allclose(run.outs[3][0], untouched.outs[3][0], atol=1e-12)


def test_repositioning_again_starts_from_where_the_keys_are() -> None:
    """Twice in a row is once to the second place."""
    twice, text = acted(
        Reposition(ints(STREAM), ints(9), ints(20)), Reposition(ints(STREAM, STREAM), ints(9, 3), ints(12, 5))
    )
    rotary = text.trace.manifest.layers[1]
    for i, new in ((9, 12), (3, 5)):
        moved = rotate(text.k[1][0, i : i + 1], [new - i], rotary.rope_theta, rotary.pairing)[0]
        np.testing.assert_allclose(twice.engine.slots.keys[STREAM, i], moved, atol=1e-12)
    assert twice.engine.slots.rope_position[STREAM, 10:].tolist() == [13, 14, 15, 16]


# Bytes. A slot of 8 channels and 2 bytes takes 32 bytes; a layer of two KV heads 64 per position.


def test_bytes_of_a_window_by_hand() -> None:
    """10 tokens, 3 slots, 2 layers of 2 KV heads, 32 bytes a slot.

    Prompt: layer 0 is there in full and cut before layer 1 comes: at the worst 3 + 10 slots in each of 2 heads. A step: layers
    take turns at B + 1; queries read B + 1 everywhere.
    """
    run = drive(small("window"), texts(**TINY), 3).engine
    assert run.account.resident_bits == [8 * 32 * 2 * (3 + 3)] * 5
    assert run.account.peak_bits == [8 * 32 * 2 * (3 + 10)] + [8 * 32 * 2 * (3 + 4)] * 4
    assert run.account.read_bits == [8 * 32 * 2 * (4 + 4)] * 4


def test_bytes_where_nothing_can_leave_before_the_last_layer() -> None:
    """Shared out among layers: all 2 x 10 positions are resident once."""

    class Late(Scripted):
        whole_prompt = True  # type: ignore[assignment]

    cut = Late(
        at_prompt=lambda prompt: [prompt.cut(layer, np.zeros((2, 10))) for layer in prompt.layers],
        at_step=lambda step: [step.cut(np.zeros(step.ids.shape))],
    )
    run = drive(cut, texts(**TINY), 3).engine
    assert run.account.peak_bits == [8 * 32 * 2 * (10 + 10)] + [8 * 32 * 2 * (3 + 4)] * 4


def test_bytes_where_each_query_head_has_its_own_set() -> None:
    """Every KV head is stored twice, once per query head."""
    shared = drive(small("snapkv:window=1"), texts(**TINY), 3).engine
    own = drive(small("snapkv:window=1:gqa=none"), texts(**TINY), 3).engine
    assert own.account.resident_bits == [2 * bits for bits in shared.account.resident_bits]
    assert own.account.read_bits == [2 * bits for bits in shared.account.read_bits]
    assert shared.account.resident_bits == [8 * 32 * 4 * (3 + step) for step in range(5)]  # generated tokens stay


def test_bytes_of_a_selection() -> None:
    """What any query of the group reads is read once; what is looked up to decide counts, too."""

    def select(step: Step) -> Select:
        read = np.zeros((4, 2, step.ids.shape[1]), bool)
        read[:, 0, [0, 1]] = read[:, 1, [1, 2]] = True
        return Select(read, metadata_bytes=5)

    run = drive(Scripted(at_select=select), texts(**TINY), 3).engine
    assert run.account.read_bits == [8 * 4 * (3 * 32 + 5)] * 4
    assert run.account.resident_bits == [8 * 32 * 4 * (10 + step) for step in range(5)]


def test_bits_of_quantised_and_pruned_slots() -> None:
    """Scale and zero point are 16 bits each per group; a mask is a bit per channel; what is done twice is not saved twice."""
    dim, slot = 8, 2 * 8 * 16

    def bits(*actions: Action) -> int:
        return acted(*actions)[0].engine.account.resident_bits[0] - 4 * 10 * slot

    one = (ints(STREAM), ints(3))
    to_two = Quantise(*one, "values", 2, group=4)
    assert bits(to_two) == dim * (2 + 32 // 4) - dim * 16
    assert bits(Quantise(*one, "values", 4, group=8), to_two) == bits(to_two)
    pair = Quantise(ints(STREAM, STREAM), ints(3, 5), "keys", 4, group=2, axis="channel")
    assert bits(pair) == 2 * (dim * (4 + 32 // 2) - dim * 16)
    keep = np.array([1, 1, 0, 1, 0, 1, 1, 1], bool)
    prune = PruneChannels(STREAM, ints(3), keep)
    assert bits(prune) == -2 * 16 + dim
    assert bits(prune, Quantise(*one, "keys", 4, group=4)) == 6 * (4 + 8) - dim * 16 + dim
    assert bits(Quantise(*one, "keys", 4, group=4), prune) == 6 * (4 + 8) - dim * 16 + dim
    assert bits(to_two, Evict(*one)) == -slot


# Sliding windows, the log, and the rest.


def test_what_slides_out_of_a_layer_s_window_leaves() -> None:
    """Six keys per query. Gone before the query that no longer reaches them, in the log as in the cache."""
    run, text = acted(window=6)
    for step in range(4):
        for head in range(2):
            slots = {i: slot for i, slot in slots_of(text, 11 + step).items() if i > 10 + step - 6}
            np.testing.assert_allclose(run.outs[step][1, 0, head], out_of(text, step, slots, head), atol=1e-12)
    died = run.engine.log.died(4, 14)
    assert died[0, :9].tolist() == [PROMPT] * 5 + [0, 1, 2, 3]
    assert (died[0, 9:] > 3).all()
    assert run.engine.account.read_bits == [8 * 32 * 4 * 6] * 4


def test_a_log_carried_out_again_gives_the_same_cache() -> None:
    """Actions, not the policy: of a run with a sliding window, in an engine that knows of none."""
    batch = texts(**{**TINY, "window": 7})
    first = drive(small("tova"), batch, 4)
    log = first.engine.log
    script = Scripted(
        at_prompt=lambda prompt: list(log.of_step(PROMPT)), at_step=lambda step: list(log.of_step(step.step))
    )
    plain = texts(**TINY)
    for name in ("q", "k", "v"):
        getattr(plain[0], name)[:] = getattr(batch[0], name)
    again = drive(script, plain, 4)
    for ours, theirs in zip(again.outs, first.outs, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_log_keeps_every_kind_of_action(tmp_path: Path) -> None:
    """Written and read back: kinds, steps, order, numbers and their types."""
    streams, ids = ints(0, 2), ints(3, 7)
    log = ActionLog({"policy": "all of them", "seed": 3})
    actions: list[Action] = [
        Evict(streams, ids),
        Merge(1, ids, int(np.int32(9)), np.array([0.1, 0.2, 0.7]), np.array([1 / 3] * 3), "scale"),
        Merge(1, ids, np.int32(9), np.array([0.1, 0.2, 0.7]), np.array([1 / 3] * 3)),  # type: ignore[arg-type]
        Quantise(streams, ids, "keys", 4, 2, "channel"),
        PruneChannels(2, ids, np.array([True, False, True])),
        Move(streams, ids, 1),
        Pin(streams, ids),
        Reposition(streams, ids, ints(0, 1)),
    ]
    log.entries = list(enumerate(actions, PROMPT))
    read = np.random.default_rng(0).random((2, 3, 11)) < 0.5
    log.selections = [(4, 2, Select(read, 17))]
    log.write(tmp_path / "log.parquet")
    back = ActionLog.read(tmp_path / "log.parquet")
    assert back.about == log.about
    assert [step for step, _ in back.entries] == [step for step, _ in log.entries]
    for (_, ours), (_, theirs) in zip(back.entries, log.entries, strict=True):
        assert type(ours) is type(theirs)
        for name, value in vars(theirs).items():
            assert np.array_equal(getattr(ours, name), value), name
            if isinstance(value, np.ndarray):
                assert getattr(ours, name).dtype == value.dtype
    ((step, first, chosen),) = back.selections
    assert (step, first, chosen.metadata_bytes) == (4, 2, 17)
    np.testing.assert_array_equal(chosen.read, read)


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    """Text, and a Parquet file of something else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "text").write_text("no log")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "table")
    for name in ("text", "table"):
        with pytest.raises(FormatError, match="no action log"):
            ActionLog.read(tmp_path / name)


@pytest.mark.parametrize(("dtype", "near"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("chosen", [False, True])
def test_the_kernel_is_numpy_s_attention(dtype: Any, near: float, holes: bool, merged: bool, chosen: bool) -> None:
    """Streams of unequal length, longer than a block of rows and no multiple of it, with and without gaps."""
    rng = np.random.default_rng(0)
    streams, group, dim, capacity = 3, 2, 5, 120
    q = rng.standard_normal((streams, group, dim)).astype(dtype)
    keys, values = rng.standard_normal((2, streams + 1, capacity, dim)).astype(dtype)
    log_mass = np.log(rng.integers(1, 4, (streams + 1, capacity))).astype(dtype)
    count = ints(71, 33, 1)
    ids = np.full((streams, 75), -1, np.int32)
    for row, n in enumerate(count):
        ids[row, :n] = np.sort(rng.permutation(capacity)[:n]) if holes else np.arange(7, 7 + n)
    read = rng.random((streams, group, 75)) < 0.5
    read[:, :, 0] = True
    weights, out, lse = np.empty((3, 2, 75), dtype), np.empty((3, 2, dim), dtype), np.empty((3, 2))
    mass = log_mass if merged else None
    compiled(q, keys, values, 1, ids, count, mass, read if chosen else None, dtype(0.3), weights, out, lse)
    for row, n in enumerate(count):
        for member in range(group):
            live = ids[row, :n]
            logits = (keys[row + 1, live] @ q[row, member]).astype(np.float64) * 0.3
            logits += log_mass[row + 1, live] if merged else 0
            logits[~read[row, member, :n] & chosen] = -np.inf
            grown = np.exp(logits)
            np.testing.assert_allclose(weights[row, member, :n], grown / grown.sum(), atol=near)
            np.testing.assert_allclose(out[row, member], grown @ values[row + 1, live] / grown.sum(), atol=near)
            assert lse[row, member] == pytest.approx(np.log(grown.sum()), abs=near)
            assert (weights[row, member, n:] == 0).all()


def test_gaps_are_closed_in_order() -> None:
    """What is left moves up, the end says that there is nothing."""
    ids, count = np.array([[1, 3, 4, 8, -1], [0, 2, -1, -1, -1]], np.int32), ints(4, 2)
    alive = np.zeros((3, 9), bool)
    alive[1, [3, 8]] = alive[2, [0, 2]] = True
    close_gaps(ids, count, alive, 1)
    assert ids.tolist() == [[3, 8, -1, -1, -1], [0, 2, -1, -1, -1]]
    assert count.tolist() == [2, 2]


@pytest.mark.parametrize("window", [None, 40])
def test_column_sums_are_those_of_the_recorder(window: int | None) -> None:
    """More queries than a block of rows; the recorder computed the same another way, in float32."""
    trace = random_attention(1, layers=1, head_dim=8, prompt=300, decode=2, window=window)
    tensors = trace.requests[0].layers[0]
    q, k, v = tensors.q32()[:, :300], tensors.k32()[:, :300], tensors.v32()[:, :300]
    prompt = LayerPrompt(q, k, v, None, trace.manifest.scale, window=window)  # type: ignore[arg-type]
    assert tensors.columns is not None
    np.testing.assert_allclose(prompt.column_sums(), tensors.columns, rtol=1e-4, atol=1e-4)


def test_a_cache_while_decoding_looks_like_a_prompt() -> None:
    """A scorer of prompts sees the live slots of each layer: weights, queries, keys and values by plain loops."""
    looked = []

    def look(step: Step) -> list[Action]:
        if step.step < 2:
            return []
        live = [i for i in range(13) if i not in (1, 7)]
        for rows, layer in step.layers("mean"):
            index = layer.index
            if index == 1:
                assert (rows, layer.streams, layer.n) == (slice(2, 4), slice(2, 4), 13)
                np.testing.assert_array_equal(layer.keys[0, :11], text.k[1][0, live])
                np.testing.assert_array_equal(layer.values[1], text.v[1][1, :13])
                for back, position in enumerate((11, 12)):
                    np.testing.assert_array_equal(layer.queries(2)[:, back], text.q[1][:, position])
                    seen = [i for i in live if i <= position]
                    naive, _, _ = attend(
                        text.q[1][0, position], text.k[1][0, seen], text.k[1][0, seen], text.trace.manifest.scale
                    )
                    np.testing.assert_allclose(layer.weights(2)[0, back, : len(seen)], naive, atol=1e-12)
                    assert (layer.weights(2)[0, back, len(seen) :] == 0).all()
                    looked.append(position)
        return []

    batch = texts(**TINY)
    text = batch[0]
    needs = Needs(window=2, queries=2, keys=True, values=True)
    gone = Evict(ints(STREAM, STREAM), ints(1, 7))
    drive(
        Scripted(needs, at_prompt=lambda prompt: [gone], at_step=lambda s: look(s) if s.step == 2 else []), batch, ROOM
    )
    assert looked == [11, 12]


def test_values_of_a_query_head_s_own_slots_are_projected() -> None:
    """Where each query head keeps a set of its own, the norms are those of its slots, not of its neighbour's."""

    class Own(Scripted):
        gqa = "none"

    looked = []

    def look(step: Step) -> list[Action]:
        layer = next(view for _, view in step.layers("none"))
        for head, gone in ((2, 4), (3, 1)):
            live = [i for i in range(11 + step.step) if i != gone]
            parts = text.v[0][1, live] @ text.wo[0].reshape(4, 8, -1)[head]  # type: ignore[union-attr]
            np.testing.assert_allclose(layer.projected_norms[head, : len(live)], np.abs(parts).sum(1), atol=1e-12)
        looked.append(layer.n)
        return []

    batch = texts(**TINY)
    text = batch[0]
    drive(Own(Needs(projection=True), lambda prompt: [Evict(ints(2, 3), ints(4, 1))], look), batch, ROOM)
    assert looked == [11, 12, 13, 14]


def test_what_only_a_prompt_knows_is_not_made_up_while_decoding() -> None:
    """Column sums of a cache that has evicted are not known."""

    def look(step: Step) -> list[Action]:
        return [layer.columns for _, layer in step.layers("mean")]  # type: ignore[misc]

    with pytest.raises(CapabilityError, match="columns are known at the end of a prompt only"):
        drive(Scripted(Needs(columns=True), at_step=look), texts(**TINY), ROOM)


def test_weights_by_the_uncompressed_cache() -> None:
    """On the live slots what the full cache gives them: less than 1 in all, once something has left."""
    shown = []

    def look(step: Step) -> list[Action]:
        full = text.future(1, 0)()[:2, step.step]
        live = step.ids[2, : step.count[2]]
        np.testing.assert_allclose(step.full_weights[2, :, : len(live)], full[:, live], atol=1e-12)
        np.testing.assert_allclose(step.future[2], text.future(1, 0)()[:2, step.step + 1 :], atol=1e-12)
        shown.append(step.full_weights[2].sum(-1).max())
        return []

    batch = texts(**TINY)
    text = batch[0]
    gone = Evict(ints(STREAM), ints(0))
    drive(Scripted(Needs(full_weights=True, future=True), lambda prompt: [gone], look), batch, ROOM)
    assert len(shown) == 4
    assert max(shown) < 1


def test_protection_by_hand() -> None:
    """Two sinks, the last of the prompt, the two newest: with 6 slots a window keeps one more of the prompt."""
    run = drive(small("window"), texts(**TINY), 6, Protect(sink=2, boundary=1, recent=2))
    assert np.flatnonzero(run.alive[0][0]).tolist() == [0, 1, 6, 7, 8, 9]
    assert np.flatnonzero(run.alive[-1][0]).tolist() == [0, 1, 9, 11, 12, 13]
    assert isinstance(run.engine, Engine)
