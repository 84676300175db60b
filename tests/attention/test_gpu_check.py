"""``evictlab check gpu attention``: action logs on real tensors, against the simulator, plain loops, and planted faults."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from evictlab.policies.kv.actions import Evict, Merge, Pin, PruneChannels, Quantise, Reposition, Select
from evictlab.sim.attention import ActionLog, prepare
from evictlab.sim.attention.errors import ActionError
from evictlab.sim.attention.log import PROMPT
from evictlab.sim.check.attention import Ground, check_attention, check_log, predict
from evictlab.sim.check.gpu import executor as executing
from evictlab.sim.check.gpu import tensors as running
from evictlab.sim.check.gpu.executor import TraceTensors
from evictlab.sim.check.gpu.tensors import execute
from evictlab.traces.attention import random_attention, rotate
from evictlab.traces.errors import CapabilityError, UsageError

SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "prompt": 64, "decode": 12}
POLICIES = [
    "full",
    "window",
    "tova",
    "snapkv:window=8",
    "snapkv:window=8:gqa=none",
    "adakv:window=8",
    "streaming_llm",
    "quest:page=4:dense=0",
]
"""All slots; one set for all; a set for each layer, for each head, for each query head; ragged; turned keys; selections."""

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
LARGEST = {"float32": 2e-3, "float16": 0.05, "bfloat16": 0.4}
"""No tolerance of an output error is wider: a bound that nothing can break would be no check."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def grounds():
    """Of each dtype: one random text, its tensors, and the uncompressed cache."""
    return {dtype: Ground.of(random_attention(4, **SHAPE, dtype=dtype)) for dtype in LARGEST}


def ints(*values):
    return np.array(values, np.int32)


def by_name(rows):
    return {row["quantity"]: row for row in rows}


def a_log(ready, entries, selections=(), rows=2):
    about = {"layers": 2, "heads": 4, "kv_heads": 2, "rows": rows, "prompt": ready.request.n_prompt}
    return ActionLog(about, list(entries), list(selections))


# The simulator beside the tensors.


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("policy", POLICIES)
def test_tensors_hold_what_was_predicted(policy, dtype, device, grounds):
    ground = grounds[dtype] if device == "cpu" else Ground.of(random_attention(4, **SHAPE, dtype=dtype), device)
    told = predict(ground.ready, policy, "24", "sink=2,recent=3")
    rows = by_name(check_log(told, ground))
    streams = 2 * told.run.live.shape[2]
    assert rows["retained sets"]["measured"] == SHAPE["decode"] * streams
    assert {rows[name]["verdict"] for name in ("retained sets", "resident bytes, mean", "peak bytes")} == {"same"}
    assert rows["peak bytes"]["measured"] == told.run.peak_bytes.max() > 0
    assert (rows["resident bytes, mean"]["padding_bytes"] > 0) == policy.startswith("adakv")
    for how in ("eager", "sdpa"):
        row = rows[f"output error, {how}"]
        assert row["verdict"] == "within"
        assert 0 < row["tolerance"] < LARGEST[dtype]
        assert row["measured"] > 0.01 or policy == "full"


@pytest.mark.parametrize("policy", ["full", "tova"])
def test_in_layers_with_a_window_the_same_slots_are_read(policy):
    ground = Ground.of(random_attention(2, **SHAPE, dtype="float16", window=20))
    rows = by_name(check_log(predict(ground.ready, policy, "16"), ground))
    assert rows["retained sets"]["verdict"] == "same"
    assert rows["output error, sdpa"]["verdict"] == rows["output error, eager"]["verdict"] == "within"
    assert {row["verdict"] for name, row in rows.items() if "bytes" in name and row["measured"] is not None} == {"same"}


def test_bytes_after_each_step_by_hand():
    """6 slots a head of 2 x 16 numbers of 2 bytes, 2 heads; a text of 64 tokens is in one layer while the other has its 6."""
    ready = prepare(random_attention(4, **SHAPE, dtype="float16"))
    told = predict(ready, "window", "6")
    done = execute(told.run.log, TraceTensors.of(ready))
    slot = 2 * 16 * 2
    assert done.resident_bytes.tolist() == [2 * 2 * 6 * slot] * 13
    assert done.peak_bytes.tolist() == [2 * (64 + 6) * slot] + [2 * (6 + 7) * slot] * 12
    assert done.padding_bytes == done.mass_bytes == 0
    assert done.allocator_bytes is None


def test_products_are_exact_while_it_runs_and_settings_are_given_back():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = True
    seen = []
    try:
        found = check_attention(
            random_attention(4, **SHAPE),
            ["window"],
            ["24"],
            repeats=0,
            progress=lambda _: seen.append(
                (torch.get_float32_matmul_precision(), products.allow_bf16_reduced_precision_reduction)
            ),
        )
        assert seen == [("highest", False)]
        assert torch.get_float32_matmul_precision() == "medium"
        assert products.allow_bf16_reduced_precision_reduction
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.passed


# A naive twin: lists and plain loops over a log written by hand.


def naive(ready, log):
    """Outputs of each step, [steps, layers, heads, d] in float64; slots go from id to (key, value, log-mass, position)."""
    rows, layers = log.about["rows"], log.about["layers"]
    group = 4 // rows
    scale, prompt = ready.trace.manifest.scale, ready.request.n_prompt
    steps = ready.request.n_decode
    out = np.zeros((steps, layers, 4, 16))
    streams = []
    for stream in range(layers * rows):
        layer, head = stream // rows, (stream % rows) * 2 // rows
        k, v = ready.k[layer][head].astype(float), ready.v[layer][head].astype(float)
        streams.append({i: [k[i], v[i], 0.0, i] for i in range(prompt)})
    members, shift = {}, dict.fromkeys(range(layers * rows), 0)

    def turn(x, by, layer):
        info = ready.trace.manifest.layers[layer]
        return rotate(x[None], [by], info.rope_theta, info.pairing, info.rotary_dim)[0]

    def carry_out(step):
        for at, action in log.entries:
            if at != step:
                continue
            if isinstance(action, Evict):
                for stream, slot in zip(action.streams, action.ids, strict=True):
                    del streams[stream][slot]
            elif isinstance(action, Merge):
                held, everyone = streams[action.stream], [*action.sources, action.into]
                key = sum(w * held[i][0] for w, i in zip(action.key_weights, everyone, strict=True))
                value = sum(w * held[i][1] for w, i in zip(action.value_weights, everyone, strict=True))
                n = sum(members.get((action.stream, i), 1) for i in everyone)
                members[action.stream, action.into] = n
                mass = {"bias": math.log(n), "scale": 0.0, "none": 0.0}[action.mass]
                held[action.into] = [key, value * (n if action.mass == "scale" else 1), mass, action.into]
                for i in action.sources:
                    del held[i]
            elif isinstance(action, Reposition):
                for stream, slot, position in zip(action.streams, action.ids, action.positions, strict=True):
                    held = streams[stream][slot]
                    held[0] = turn(held[0], position - held[3], stream // rows)
                    held[3] = position
                for stream in set(action.streams.tolist()):
                    shift[stream] = max(each[3] for each in streams[stream].values()) - max(streams[stream])

    carry_out(PROMPT)
    for step in range(steps):
        for stream, held in enumerate(streams):
            layer, head = stream // rows, (stream % rows) * 2 // rows
            at, by = prompt + step, shift[stream]
            k, v = ready.k[layer][head][at].astype(float), ready.v[layer][head][at].astype(float)
            held[at] = [turn(k, by, layer), v, 0.0, at + by]
            for member in range(group):
                query = (stream % rows) * group + member
                q = ready.q[layer][query, ready.q[layer].shape[1] - steps + step].astype(float)
                q = turn(q, by, layer)
                ids = sorted(held)
                for when, first, chosen in log.selections:
                    if when == step:
                        ids = [slot for place, slot in enumerate(ids) if chosen.read[stream - first, member, place]]
                logits = [float(q @ held[i][0]) * scale + held[i][2] for i in ids]
                largest = max(logits)
                weights = [math.exp(one - largest) for one in logits]
                out[step, layer, query] = sum(w * held[i][1] for w, i in zip(weights, ids, strict=True)) / sum(weights)
        carry_out(step)
    return out


def hand_made(ready):
    """Logs that no policy here writes: heads of all lengths, merges in all ways, changed positions, selections."""
    prompt = ready.request.n_prompt
    cut = Evict(ints(*[0] * 40, *[1] * 10, *[2] * 63, 3), ints(*range(40), *range(5, 15), *range(1, 64), 30))
    yield (
        "ragged",
        a_log(ready, [(PROMPT, cut), (0, Evict(ints(1, 3), ints(0, prompt))), (5, Evict(ints(0), ints(50)))]),
    )
    halves, shares = np.array([0.5, 0.5]), np.array([0.25, 0.25, 0.5])
    merges = [
        (PROMPT, cut),
        (1, Merge(0, ints(41), 45, halves, halves, "bias")),
        (2, Merge(0, ints(45, prompt), 60, shares, shares[::-1].copy(), "bias")),
        (3, Merge(3, ints(0, 7), 5, shares, shares, "scale")),
        (3, Merge(1, ints(0), 1, halves, halves, "none")),
        (6, Evict(ints(0), ints(42))),
    ]
    yield "merged", a_log(ready, merges)
    kept = np.arange(prompt - 20, prompt)
    turn = Reposition(ints(*[1] * 20), kept.astype(np.int32), np.arange(20, dtype=np.int32))
    away = Evict(ints(*[1] * (prompt - 20)), np.arange(prompt - 20, dtype=np.int32))
    again = Reposition(ints(1, 1), ints(prompt - 20, prompt), ints(3, 40))
    yield "repositioned", a_log(ready, [(PROMPT, away), (PROMPT, turn), (4, again)])
    read = np.random.default_rng(3).random((4, 2, prompt + 1)) < 0.3
    read[:, :, 0] = True
    yield "selected", a_log(ready, [], [(0, 0, Select(read))])
    each = Evict(ints(0, 1, 5, 5), ints(3, 4, 5, 6))
    yield "a set for each query head", a_log(ready, [(PROMPT, each), (2, Evict(ints(7), ints(0)))], rows=4)


@pytest.mark.parametrize("which", range(5))
def test_a_log_by_hand_in_plain_loops(which):
    ready = prepare(random_attention(6, **SHAPE))
    name, log = list(hand_made(ready))[which]
    done, wanted = execute(log, TraceTensors.of(ready)), naive(ready, log)
    for how in ("eager", "sdpa"):
        assert np.abs(done.out[how] - wanted).max() < 3e-6, f"{name}, {how}"
    assert np.all(np.linalg.norm(done.out["eager"] - wanted, axis=-1) <= done.bound)
    assert done.misplaced == 0
    assert (done.padding_bytes > 0) == (name != "selected")
    assert (done.mass_bytes > 0) == (name == "merged")
    gone = sum(len(action.ids) for _, action in log.entries if isinstance(action, Evict))
    gone += sum(len(action.sources) for _, action in log.entries if isinstance(action, Merge))
    assert done.resident_bytes[-1] == (2 * log.about["rows"] * (64 + 12) - gone) * 2 * 16 * 4


def test_padding_of_heads_by_hand():
    """One head keeps 64 slots and the other 4, so that 60 are padding, and 61 bytes' worth are not lost from sight."""
    ready = prepare(random_attention(6, **SHAPE, dtype="float16"))
    log = a_log(ready, [(PROMPT, Evict(ints(*[1] * 60), np.arange(60, dtype=np.int32)))])
    done = execute(log, TraceTensors.of(ready), attentions=())
    slot = 2 * 16 * 2
    assert done.padding_bytes == 60 * slot
    assert done.resident_bytes[0] == (64 + 4 + 64 + 64) * slot


# Planted faults are noticed.


def late(log, by=1):
    """The same log, in which the first slot evicted while decoding leaves one step later."""
    entries = list(log.entries)
    place = next(i for i, (step, action) in enumerate(entries) if step >= 0 and isinstance(action, Evict))
    step, action = entries[place]
    entries[place] = (step, Evict(action.streams[1:], action.ids[1:]))
    behind = next(i for i, (at, _) in enumerate(entries) if at == step + by)
    entries.insert(behind, (step + by, Evict(action.streams[:1], action.ids[:1])))
    return ActionLog(log.about, entries, log.selections)


def test_a_slot_evicted_one_step_late_fails_the_check(grounds):
    ground = grounds["float16"]
    told = predict(ground.ready, "window", "24")
    rows = by_name(check_log(told, ground, late(told.run.log)))
    assert rows["retained sets"]["verdict"] == "differs"
    assert rows["retained sets"]["difference"] == 1
    assert "1 sets differ, the first at step 1" in rows["retained sets"]["why"]
    assert rows["resident bytes, mean"]["verdict"] == "differs"
    assert rows["resident bytes, mean"]["difference"] == 2 * 16 * 2


def test_another_slot_of_the_same_size_fails_the_check(grounds):
    """Bytes stay right, so that only the sets can tell."""
    ground = grounds["float16"]
    told = predict(ground.ready, "snapkv:window=8", "24")
    (step, action), *others = told.run.log.entries
    gone = set(action.ids[action.streams == 0].tolist())
    ids = action.ids.copy()
    ids[0] = min(set(range(64)) - gone)
    rows = by_name(
        check_log(told, ground, ActionLog(told.run.log.about, [(step, Evict(action.streams, ids)), *others]))
    )
    assert rows["retained sets"]["verdict"] == "differs"
    assert rows["resident bytes, mean"]["verdict"] == rows["peak bytes"]["verdict"] == "same"


def test_what_cannot_be_done_fails_the_check_with_the_reason(grounds):
    ground = grounds["float16"]
    told = predict(ground.ready, "window", "24")
    for entries, reason in (
        ([(3, Evict(ints(0), ints(0)))], "slot 0 is not resident"),
        ([(0, Evict(ints(0, 0), ints(50, 50)))], "evicted twice"),
        ([(0, Pin(ints(2), ints(60))), (1, Evict(ints(2), ints(60)))], "has pinned"),
        ([(0, Merge(0, ints(0), 50, np.ones(2), np.ones(2)))], "merges slot 0"),
    ):
        planted = sorted([*told.run.log.entries[:1], *entries], key=lambda entry: entry[0])
        (row,) = check_log(told, ground, ActionLog(told.run.log.about, planted))
        assert row["verdict"] == "failed"
        assert reason in row["why"]


@pytest.mark.parametrize(
    "action",
    [Quantise(ints(0), ints(0), "keys", 4, 16), PruneChannels(0, ints(0), np.ones(16, bool))],
    ids=["quantise", "prune"],
)
def test_what_is_not_carried_out_is_refused_not_skipped(action, grounds):
    ground = grounds["float16"]
    told = predict(ground.ready, "full", "100%")
    log = a_log(ground.ready, [(0, action)])
    with pytest.raises(CapabilityError, match=type(action).__name__):
        execute(log, ground.tensors)
    (row,) = check_log(told, ground, log)
    assert row["verdict"].startswith("not checked: the log asks for")


def test_a_log_of_another_trace_is_refused(grounds):
    told = predict(prepare(random_attention(4, **{**SHAPE, "prompt": 40})), "window", "24")
    with pytest.raises(UsageError, match="its prompt is 40, the trace's 64"):
        execute(told.run.log, grounds["float16"].tensors)


def test_tensors_that_hold_something_else_than_their_list_says_fail_the_check(grounds, monkeypatch):
    """The sets are right on the host, and the gather takes the neighbours."""
    ground, right = grounds["float16"], executing.compact
    told = predict(ground.ready, "snapkv:window=8", "24")

    def wrong(cache, cut):
        return dataclasses.replace(right(cache, cut), keys=right(cache, cut).keys.roll(1, 1))

    monkeypatch.setattr(executing, "compact", wrong)
    row = by_name(check_log(told, ground))["retained sets"]
    assert row["verdict"] == "differs"
    assert row["measured"] == row["predicted"]
    assert "do not hold the key and value" in row["why"]


@pytest.mark.parametrize("wrong", [lambda out: out * 1.1, lambda out: out * float("nan")], ids=["10 % off", "nan"])
def test_outputs_that_are_off_fail_the_check(wrong, grounds, monkeypatch):
    ground, right = grounds["float16"], running.attend
    told = predict(ground.ready, "snapkv:window=8", "24")
    monkeypatch.setattr(running, "attend", lambda *given: wrong(right(*given)))
    rows = by_name(check_log(told, ground))
    assert rows["retained sets"]["verdict"] == "same"
    assert rows["output error, eager"]["verdict"] == rows["output error, sdpa"]["verdict"] == "differs"


# On a GPU.


@pytest.mark.gpu
@needs_cuda
def test_cuda_allocates_what_was_predicted_and_times_with_events():
    found = check_attention(
        random_attention(4, **SHAPE, dtype="float16"),
        ["full", "window", "adakv:window=8"],
        ["16", "32"],
        "cuda",
        repeats=5,
    )
    assert not found.failed
    held = [row for row in found.rows if row["unit"] == "B"]
    assert all(row["allocator_bytes"] >= row["measured"] for row in held)
    assert all(row["compacting_bytes"] >= row["allocator_bytes"] for row in held)
    assert found.device == torch.cuda.get_device_name()
    assert all(row["measured"] > 0 for row in found.rows if row["unit"] == "s")


def test_a_failing_log_raises_where_it_is_executed_alone(grounds):
    log = a_log(grounds["float16"].ready, [(0, Evict(ints(0), ints(70)))])
    with pytest.raises(ActionError, match="slot 70 is not resident"):
        execute(log, grounds["float16"].tensors)
