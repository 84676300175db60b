"""``evictlab check gpu attention``: action logs on real tensors, against the simulator, plain loops, and planted faults."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer
from tiny_gguf import network, write_gguf
from typer.testing import CliRunner

from evictlab.experiments.checks.attention import main as alone
from evictlab.experiments.checks.attention import try_out
from evictlab.experiments.cli.check_gpu import commands
from evictlab.experiments.cli.guard import Command
from evictlab.policies.kv.actions import Evict, Merge, Pin, PruneChannels, Quantise, Reposition, Select
from evictlab.sim.attention import ActionLog, prepare
from evictlab.sim.attention.errors import ActionError
from evictlab.sim.attention.log import PROMPT
from evictlab.sim.check import attention as checking
from evictlab.sim.check.attention import Ground, check_attention, check_log, predict
from evictlab.sim.check.gpu import executor as executing
from evictlab.sim.check.gpu import tensors as running
from evictlab.sim.check.gpu.closed_loop import read_text, run_closed_loop
from evictlab.sim.check.gpu.executor import TraceTensors
from evictlab.sim.check.gpu.measure import Memory, timed
from evictlab.sim.check.gpu.steps import layer_steps
from evictlab.sim.check.gpu.steptime import StepTime, Work, fit_step_time
from evictlab.sim.check.gpu.tensors import execute
from evictlab.sim.check.gpu.work import predicted_work
from evictlab.traces.attention import random_attention, rotate, write_attention
from evictlab.traces.errors import CapabilityError, FormatError, UsageError
from evictlab.traces.record.attention import load_model

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


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


# Step times.

TRUE = StepTime(20e-6, 3e-12, 5e-12, 4e-6)


def works(count, seed=0):
    dice = np.random.default_rng(seed)
    return [
        Work(int(size), int(size * more), int(calls))
        for size, more, calls in zip(
            10 ** dice.uniform(5, 9, count), dice.uniform(1, 4, count), dice.integers(3, 300, count), strict=True
        )
    ]


def test_a_fit_recovers_the_coefficients_of_made_up_times():
    some = works(24)
    fitted = fit_step_time(some, [TRUE.predict(work) for work in some], device="made up", dtype="float16")
    for name in ("fixed_s", "s_per_read_byte", "s_per_moved_byte", "s_per_call"):
        assert getattr(fitted, name) == pytest.approx(getattr(TRUE, name), rel=1e-6)
    assert fitted.fit_error < 1e-9
    others = works(50, seed=1)
    assert [fitted.predict(work) for work in others] == pytest.approx([TRUE.predict(work) for work in others])
    assert (fitted.configurations, fitted.device) == (24, "made up")


def test_a_fit_of_noisy_times_has_no_negative_term_and_predicts_others():
    """Nothing of the time is due to moving: a plain fit would give it a small negative share in half of the cases."""
    some, noise = works(40, seed=2), np.random.default_rng(5)
    true = dataclasses.replace(TRUE, s_per_moved_byte=0.0)
    fitted = fit_step_time(some, [true.predict(work) * noise.normal(1, 0.03) for work in some])
    assert min(fitted.fixed_s, fitted.s_per_read_byte, fitted.s_per_moved_byte, fitted.s_per_call) >= 0
    assert 0.005 < fitted.fit_error < 0.06
    for work in works(30, seed=3):
        assert fitted.predict(work) == pytest.approx(true.predict(work), rel=0.15)


def test_a_fit_needs_as_many_steps_as_coefficients():
    with pytest.raises(UsageError, match="3 measured steps cannot fit 4 coefficients"):
        fit_step_time(works(3), [1.0, 2.0, 3.0])


def test_coefficients_are_kept_by_device(tmp_path):
    made = dataclasses.replace(
        TRUE, device="NVIDIA H100 80GB HBM3", dtype="float16", attention="sdpa", about={"trace": "t"}
    )
    path = made.write(tmp_path / "new")
    assert path.name == "steptime_nvidia_h100_80gb_hbm3_float16_sdpa.json"
    assert repr(StepTime.load(tmp_path / "new", "NVIDIA H100 80GB HBM3", "float16")) == repr(made)
    with pytest.raises(UsageError, match=r"there: steptime_nvidia_h100.*check gpu attention"):
        StepTime.load(tmp_path / "new", "NVIDIA A100", "float16")
    path.write_text('{"format": "something else"}')
    with pytest.raises(FormatError, match="holds no step times"):
        StepTime.load(tmp_path / "new", "NVIDIA H100 80GB HBM3", "float16")


@pytest.mark.parametrize("policy", ["full", "window", "snapkv:window=8", "snapkv:window=8:gqa=none", "adakv:window=8"])
def test_bytes_of_a_step_are_predicted_from_the_counts_alone(policy, grounds):
    ready, tensors = grounds["bfloat16"].ready, grounds["bfloat16"].tensors
    told = predict(ready, policy, "24")
    steps = {}
    execute(
        told.run.log, tensors, attentions=(), before_step=lambda run, step: steps.update({step: layer_steps(run, step)})
    )
    for step, parts in steps.items():
        read = moved = calls = 0
        for part in (one.repeated(3) for one in parts):
            rows, width, dim = part.keys.shape
            slot = rows * 2 * dim * 2
            read += slot * (width + 1)
            moved += slot * (2 * width + 1) + (0 if part.stay is None else slot * 2 * part.stay.shape[1])
            # cat, or copy, zero and scatter; the attention, and its mask; gather: for keys and for values.
            calls += (2 if part.at is None else 6) + 1 + (part.bias is not None) + (2 if part.stay is not None else 0)
        assert predicted_work(told.run, step, 2, 3, 2, "sdpa") == Work(read, moved, calls)
    assert len(steps) == SHAPE["decode"]


def test_half_of_policies_and_budgets_is_fitted_and_the_other_half_predicted():
    policies = ["full", "window", "snapkv:window=8"]
    found = check_attention(random_attention(4, **SHAPE), policies, ["16", "24", "32"], repeats=3, copies=(1, 3))
    times = [row for row in found.rows if row["unit"] == "s"]
    assert len(times) == 7 * 3  # full once; two numbers of copies, and once with fewer layers
    pairs = {True: set(), False: set()}
    for row in times:
        assert row["verdict"] in ("fitted", "close", "off")
        pairs[row["verdict"] == "fitted"].add((row["policy"], row["budget"]))
        assert row["measured"] > 0
        assert row["iqr_s"] >= 0
        assert row["predicted"] == pytest.approx(
            found.steptime.predict(Work(row["read_bytes"], row["moved_bytes"], row["calls"]))
        )
    assert (len(pairs[True]), len(pairs[False])) == (4, 3)
    assert not pairs[True] & pairs[False]
    assert found.time_error > 0
    assert found.steptime.configurations == 12
    again = check_attention(
        random_attention(4, **SHAPE), policies[:1], ["16"], repeats=3, copies=(1, 3), steptime=found.steptime
    )
    assert {row["verdict"] for row in again.rows if row["unit"] == "s"} <= {"close", "off"}


def test_no_step_is_predicted_by_another_one_of_the_same_work():
    """window and tova hold as many slots and cut as often: with one budget they are fitted both or predicted both."""
    found = check_attention(
        random_attention(4, **SHAPE), ["window", "tova"], ["12", "16", "24", "32", "40"], repeats=1, copies=(1, 2)
    )
    sides = {}
    for row in found.rows:
        if row["unit"] == "s":
            work = (row["read_bytes"], row["moved_bytes"], row["calls"])
            sides.setdefault(work, set()).add(row["verdict"] == "fitted")
    assert sorted(map(len, sides.values())) == [1] * 15
    assert {side for one in sides.values() for side in one} == {True, False}


def test_one_kind_of_steps_does_not_stand_for_the_other():
    """Half of the policies that never close up, and half of those that do at each step, are fitted."""
    found = check_attention(
        random_attention(4, **SHAPE),
        ["full", "snapkv:window=8", "window"],
        ["16", "24", "32"],
        repeats=1,
        copies=(1, 2),
    )
    sides = {"window": [], "snapkv:window=8": []}
    for row in found.rows:
        if row["unit"] == "s" and row["policy"] in sides:
            sides[row["policy"]].append(row["verdict"] == "fitted")
    assert all({True, False} == set(each) for each in sides.values())


def test_too_few_amounts_of_work_are_not_fitted():
    found = check_attention(random_attention(4, **SHAPE), ["window", "tova"], ["16", "24"], repeats=1, copies=(1, 2))
    assert found.steptime is None
    assert {row["verdict"] for row in found.rows if row["unit"] == "s"} == {"not fitted"}
    assert math.isnan(found.time_error)
    assert found.passed


def test_step_times_count_on_a_gpu_only():
    row = {"quantity": "step time", "unit": "s", "verdict": "off", "relative": 0.5}
    cpu = checking.AttentionCheck([row], None, "some processor", "cpu")
    gpu = dataclasses.replace(cpu, kind="cuda")
    assert cpu.time_error == gpu.time_error == 0.5
    assert cpu.passed
    assert not gpu.passed
    assert dataclasses.replace(gpu, time_tolerance=0.6).passed


# CUDA's own counters and clocks, made up: what is asked of them, and what is done with their answers.


@pytest.fixture
def made_up_cuda(monkeypatch):
    """An allocator whose counters are set by hand, with 1,000 bytes in 1,024 taken before."""
    counters = {"asked": 1000, "blocks": 1024, "most": 9000}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: counters["most"])
    monkeypatch.setattr(
        torch.cuda,
        "memory_stats",
        lambda device: {
            "requested_bytes.all.current": counters["asked"],
            "allocated_bytes.all.current": counters["blocks"],
        },
    )
    return counters


def test_cuda_bytes_are_those_asked_for_since_the_start(made_up_cuda):
    memory = Memory(torch.device("cuda"))
    made_up_cuda.update(asked=1700, blocks=2048)
    assert memory.held([]) == 700
    made_up_cuda.update(asked=1300, blocks=1536)
    assert memory.held([]) == 300
    assert memory.blocks == 1024
    assert memory.most() == 9000 - 1024


def test_cuda_times_are_between_events_without_the_first_repetitions(made_up_cuda, monkeypatch):
    clock = iter(range(1000))

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = next(clock)

        def elapsed_time(self, other):
            return float(other.at - self.at)  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    worked = []
    found = timed(lambda: worked.append(next(clock)), torch.device("cuda"), repeats=8, warm_up=2)
    assert len(worked) == 10
    assert (found.median_s, found.iqr_s, found.repeats) == (0.002, 0.0, 8)


# The whole model.


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    model = load_model(write_gguf(network("llama"), tmp_path_factory.mktemp("gguf") / "tiny.gguf", "llama"))
    tokens = np.random.default_rng(8).integers(1, 200, 60)
    return read_text(model, tokens, 40)


def test_a_model_with_all_slots_is_the_model(text):
    run = run_closed_loop(text, "full", "100%")
    assert run.nll == pytest.approx(run.full_nll, abs=1e-4)
    assert run.agree.all()
    assert (run.jaccard == 1).all()
    assert run.parted.tolist() == [-1, -1]
    assert run.error.max() < 1e-4


@pytest.mark.parametrize("policy", ["tova", "snapkv:window=4", "streaming_llm"])
def test_the_first_layer_is_exact_in_the_open_loop_and_later_ones_are_not(policy, text):
    run = run_closed_loop(text, policy, "12")
    assert (run.jaccard[:, 0] == 1).all()
    assert run.error[:, 0] == pytest.approx(run.open_error[:, 0], abs=1e-4)
    assert run.error[:, 0].max() > 0.01
    assert not np.allclose(run.error[:, 1], run.open_error[:, 1], atol=1e-3)
    if policy == "tova":  # it decides while decoding, by what the layer before has made of the text
        assert run.parted[1] >= 0
        assert run.jaccard[run.parted[1], 1] < 1
        assert (run.jaccard[: run.parted[1], 1] == 1).all()
    else:
        assert (run.jaccard == 1).all()
    assert np.abs(run.nll - run.full_nll).max() > 1e-3
    assert len(run.nll) == 19


def test_an_oracle_cannot_run_in_a_model(text):
    with pytest.raises(CapabilityError, match="not in a model"):
        run_closed_loop(text, "oracle", "12")


def test_a_prompt_that_leaves_nothing_to_predict_is_refused(text):
    with pytest.raises(UsageError, match="at least 2"):
        read_text(text.model, text.token_ids, 59)


# The command.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "random"
    write_attention(random_attention(4, **SHAPE, dtype="float16"), path)
    return path


def cli(*words, code=0):
    app = typer.Typer()
    app.command("attention", cls=Command)(commands["attention"])
    app.command("other")(lambda: None)  # with one command alone its name would not be given
    result = CliRunner().invoke(app, ["attention", *map(str, words)])
    assert result.exit_code == code, f"{result.exit_code}: {result.stdout}{result.stderr}"
    assert "Traceback" not in result.stdout + result.stderr
    return result


def few(folder, tmp_path, *more):
    return (
        folder,
        "--device",
        "cpu",
        "--policy",
        "window,tova",
        "--budget",
        "24",
        "--repeats",
        0,
        "--out",
        tmp_path,
        *more,
    )


def test_the_command_writes_page_numbers_and_picture(folder, tmp_path):
    result = cli(*few(folder, tmp_path, "--weights", "none"))
    assert [line.split()[:4] for line in result.stdout.splitlines() if "equal" in line] == [
        ["window", "24", "equal", "equal"],
        ["tova", "24", "equal", "equal"],
    ]
    held = json.loads((tmp_path / "attention.json").read_text())
    assert held["passed"] is True
    assert {"command", "commit", "machine", "versions"} <= set(held["stamp"])
    assert "torch" in held["stamp"]["versions"]
    assert (held["kind"], held["dtype"], held["trace"]) == ("cpu", "float16", "random")
    sets = [row for row in held["rows"] if row["quantity"] == "retained sets"]
    assert [(row["policy"], row["predicted"], row["measured"]) for row in sets] == [
        ("window", 48, 48),
        ("tova", 48, 48),
    ]
    page = (tmp_path / "attention.md").read_text()
    assert "| window | 24 | 48 of 48 |" in page
    assert (tmp_path / "attention.png").stat().st_size > 1000


def test_json_is_one_document_on_stdout(folder, tmp_path):
    result = cli(*few(folder, tmp_path, "--json", "--quiet", "--weights", "none"))
    assert json.loads(result.stdout)["schema"] == 1
    assert result.stderr == ""


def test_a_contradicted_prediction_ends_in_exit_code_3(folder, tmp_path, monkeypatch):
    right = checking.predict

    def wrong(ready, policy, *given):
        told = right(ready, policy, *given)
        if told.run.policy == "tova":
            told.run.resident_bytes[3] += 64
        return told

    monkeypatch.setattr(checking, "predict", wrong)
    result = cli(*few(folder, tmp_path, "--weights", "none"), code=3)
    assert "tova, 24: resident bytes, mean differs" in result.stderr
    assert json.loads((tmp_path / "attention.json").read_text())["passed"] is False
    assert "**differs**" in (tmp_path / "attention.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_command_says_so_and_names_the_processor(folder, tmp_path):
    result = cli(folder, "--out", tmp_path / "none", code=2)
    assert "CUDA" in result.stderr
    assert "--device cpu" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "said"), [(["--device", "tpu"], "neither cuda nor cpu"), (["--attention", "x"], "sdpa")]
)
def test_a_word_that_means_nothing_is_refused(words, said, folder, tmp_path):
    assert said in cli(folder, "--out", tmp_path / "none", *words, code=2).stderr


@pytest.fixture
def no_work(monkeypatch):
    def work(*given, **options):
        raise AssertionError("it has begun to work")

    monkeypatch.setattr(checking, "check_attention", work)


@pytest.mark.usefixtures("no_work")
def test_weights_that_are_named_and_not_there_are_refused_at_once(folder, tmp_path):
    result = cli(*few(folder, tmp_path / "out", "--weights", tmp_path / "nope.gguf"), code=2)
    assert f"--weights {tmp_path / 'nope.gguf'}: there is no such file" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("main", [False, True])
@pytest.mark.parametrize(("place", "why"), [("mine.txt", "it is a file"), ("mine.txt/new/out", "Not a directory")])
def test_a_place_that_cannot_hold_results_is_refused_at_once(place, why, main, folder, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    words = few(folder, tmp_path / place, "--weights", "none")
    if main:
        assert alone(list(map(str, words))) == 2
        said = capsys.readouterr().err
    else:
        said = cli(*words, code=2).stderr
    assert f"--out {tmp_path / place}: no folder that can be written ({why})" in said
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_trying_a_place_leaves_it_as_it_was(tmp_path):
    try_out(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").write_text("mine")
    try_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_weights_the_closed_loop_is_left_out_with_a_line(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EVICTLAB_WEIGHTS", "")
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "empty"))
    result = cli(*few(folder, tmp_path / "out", "--json"))
    held = json.loads(result.stdout)
    assert held["closed_loop"] == []
    assert any("Closed loop left out: no weights here" in note for note in held["notes"])


def test_weights_of_another_model_are_not_used(folder, tmp_path, text):
    result = cli(*few(folder, tmp_path, "--json", "--weights", text.model._file.path))
    assert any("is not the model that was recorded" in note for note in json.loads(result.stdout)["notes"])


ABSENT = (
    "simpy,gymnasium,stable_baselines3,sb3_contrib,typer,rich,click,matplotlib,pydantic,platformdirs,scipy,jinja2,joblib,"
    "sklearn,onnx,onnxruntime,crossplane,transformers,gguf,ray,tensorboard"
)

BARE = f"""
import importlib.abc, sys
ABSENT = set("{ABSENT}".split(","))
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"no {{name}} here", name=name)
sys.meta_path.insert(0, Refuse())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ABSENT else found(name, package)
from evictlab.experiments.checks.attention import main
code = main(sys.argv[1:])
assert not ABSENT & {{name.partition(".")[0] for name in sys.modules}}
sys.exit(code)
"""


def test_it_runs_where_little_more_than_torch_is_installed(folder, tmp_path):
    words = [str(word) for word in few(folder, tmp_path, "--commit", "abc1234")]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Closed loop left out" in done.stderr
    held = json.loads((tmp_path / "attention.json").read_text())
    assert held["passed"] is True
    assert held["stamp"]["commit"] == "abc1234"
    assert not (tmp_path / "attention.png").exists()


def test_importing_the_check_loads_nothing_that_a_gpu_machine_may_lack():
    code = "import sys, evictlab.experiments.checks.attention, evictlab.sim.check.gpu; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {*ABSENT.split(","), "torch", "numba", "pandas", "pyarrow", "safetensors"}


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
