"""Step times of the check on a GPU: fitted, kept, predicted for steps that were not fitted; and CUDA's counters, made up."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from evictlab.sim.check import attention as checking
from evictlab.sim.check.attention import Ground, check_attention, predict
from evictlab.sim.check.gpu.measure import Memory, timed
from evictlab.sim.check.gpu.steps import layer_steps
from evictlab.sim.check.gpu.steptime import StepTime, Work, fit_step_time
from evictlab.sim.check.gpu.tensors import execute
from evictlab.sim.check.gpu.work import predicted_work
from evictlab.traces.attention import random_attention
from evictlab.traces.errors import FormatError, UsageError

SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "prompt": 64, "decode": 12}

LARGEST = {"float32": 2e-3, "float16": 0.05, "bfloat16": 0.4}
"""No tolerance of an output error is wider: a bound that nothing can break would be no check."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def grounds():
    """Of each dtype: one random text, its tensors, and the uncompressed cache."""
    return {dtype: Ground.of(random_attention(4, **SHAPE, dtype=dtype)) for dtype in LARGEST}


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
