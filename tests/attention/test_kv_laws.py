"""What every attention-cache policy must satisfy, whoever wrote it. A new file in the registry is tested by all of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attention.kv_runs import DECODE, PROMPT, PROTECT, SHAPE, Run, Scripted, budget_for, drive, every_name, small, texts

from evictlab.policies.kv import (
    Evict,
    FutureError,
    Merge,
    Needs,
    Pin,
    Prompt,
    Protect,
    PruneChannels,
    Quantise,
    Select,
    Step,
    UndeclaredError,
    all_kv_specs,
)
from evictlab.policies.kv.actions import Action
from evictlab.sim.attention import ActionError, ActionLog
from evictlab.sim.attention.log import PROMPT as AT_PROMPT
from evictlab.traces.errors import UsageError

EVERY = every_name()
SPECS = {name: small(name).spec for name in EVERY}
FIXED = [name for name in EVERY if not SPECS[name].random]
"""Policies that draw nothing: theirs must not depend on how texts are batched."""


@cache
def run_of(name: str) -> Run:
    """The run that most laws look at: one text, a budget that binds, protection."""
    policy = small(name)
    return drive(policy, texts(), budget_for(policy), PROTECT)


def same_logs(one: ActionLog, other: ActionLog) -> bool:
    """Whether two logs hold the same actions in the same order."""

    def plain(log: ActionLog) -> list[Any]:
        entries = [(step, type(action), vars(action)) for step, action in log.entries]
        entries += [(step, first, vars(chosen)) for step, first, chosen in log.selections]  # type: ignore[misc]
        return [
            (
                at,
                kind,
                {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in fields.items()},
            )
            for at, kind, fields in entries
        ]

    return plain(one) == plain(other)


@pytest.mark.parametrize("name", EVERY)
def test_with_room_for_all_it_is_full_attention(name: str) -> None:
    """A budget of the whole text leaves nothing to decide: whatever a policy scores, nothing changes."""
    policy = small(name)
    room = drive(policy, texts(), PROMPT + DECODE, PROTECT)
    full = drive(small("full"), texts(), PROMPT + DECODE)
    assert not room.engine.log.evictions
    if any(isinstance(action, (Quantise, PruneChannels)) for _, action in room.engine.log.entries):
        return  # fewer bits for each slot is what it does, and it does so with any budget
    for ours, theirs in zip(room.outs, full.outs, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
    for ours_seen, full_seen in zip(room.seen, full.seen, strict=True):
        mass = np.exp(ours_seen.lse.reshape(-1) - full_seen.lse.reshape(-1))
        np.testing.assert_allclose(mass, 1, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", EVERY)
def test_no_stream_holds_more_than_it_may(name: str) -> None:
    """After every hook, and all streams together no more than the budget."""
    run, policy = run_of(name), small(name)
    engine = run.engine
    if name != "full" and not policy.selects:
        assert np.minimum(engine.budgets, PROMPT).sum() <= engine.setting.budget * len(engine.budgets)
    for step, alive in enumerate(run.alive, AT_PROMPT):
        allowed = engine.budgets + (policy.slack if step >= 0 else 0) + (step + 1 if policy.prompt_only else 0)
        assert policy.selects or (alive.sum(1) <= allowed).all()
    for _, first, chosen in engine.log.selections:
        budgets = engine.budgets[first : first + len(chosen.read)]
        assert (chosen.read.sum(2) <= (budgets + 1 + policy.slack)[:, None]).all()


@pytest.mark.parametrize("name", EVERY)
def test_protected_slots_never_leave(name: str) -> None:
    """Not the sinks, not the end of the prompt, not the newest; neither evicted nor merged away."""
    for step, action in run_of(name).engine.log.entries:
        if isinstance(action, (Evict, Merge)):
            ids = action.ids if isinstance(action, Evict) else action.sources
            newest = PROMPT + step
            for i in ids.tolist():
                assert i >= PROTECT.sink
                assert i <= newest - PROTECT.recent
                assert not PROMPT - PROTECT.boundary <= i < PROMPT


@pytest.mark.parametrize("name", EVERY)
def test_what_is_evicted_never_returns(name: str) -> None:
    """The live slots of a step are among those of the step before, and its own token."""
    run = run_of(name)
    for step, (before, after) in enumerate(zip(run.alive, run.alive[1:], strict=False)):
        came = np.flatnonzero((after & ~before).any(0))
        assert set(came) <= {PROMPT + step}


@pytest.mark.parametrize("name", [name for name in EVERY if small(name).selects])
def test_a_selection_reads_what_is_there(name: str) -> None:
    """Each query reads something, and only live slots."""
    run = run_of(name)
    assert len(run.engine.log.selections) == DECODE
    for (step, first, chosen), seen in zip(run.engine.log.selections, run.seen, strict=True):
        assert (step, first) == (seen.step, seen.streams.start)
        assert chosen.read.any(2).all()
        assert not (chosen.read & (seen.ids < 0)[:, None]).any()
        assert (seen.weights[~chosen.read] == 0).all()
        np.testing.assert_allclose(seen.weights.sum(-1), 1)


@pytest.mark.parametrize("name", EVERY)
def test_a_slot_s_mass_is_the_number_of_its_members(name: str) -> None:
    """A slot stands for one token, or for those that were merged into it: its logit grows by the logarithm of their number."""
    run = run_of(name)
    modes = {action.mass for _, action in run.engine.log.entries if isinstance(action, Merge)}
    for alive, members, log_mass in zip(run.alive, run.members, run.log_mass, strict=True):
        assert (members[alive] >= 1).all()
        claimed = log_mass[alive]
        if modes <= {"bias"}:
            np.testing.assert_allclose(claimed, np.log(members[alive]), atol=1e-12)
        else:
            assert (np.isclose(claimed, np.log(members[alive])) | (claimed == 0)).all()


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_log_and_a_file_keeps_it(name: str, tmp_path: Path) -> None:
    """Run twice, written and read back."""
    log, policy = run_of(name).engine.log, small(name)
    assert same_logs(log, drive(policy, texts(), budget_for(policy), PROTECT).engine.log)
    log.about["policy"] = policy.label
    log.write(tmp_path / "log.parquet")
    back = ActionLog.read(tmp_path / "log.parquet")
    assert back.about == {"policy": policy.label}
    assert same_logs(log, back)


@pytest.mark.parametrize("name", FIXED)
def test_texts_side_by_side_do_not_see_each_other(name: str) -> None:
    """Two sequences in one engine leave what each leaves alone."""
    policy, batch = small(name), texts(2)
    budget = budget_for(policy)
    both = drive(policy, batch, budget, PROTECT)
    rows = both.engine.rows
    for number, text in enumerate(batch):
        alone = drive(policy, [text], budget, PROTECT)
        for ours, theirs, out, its_out in zip(both.alive[1:], alone.alive[1:], both.outs, alone.outs, strict=True):
            mine = ours.reshape(SHAPE["layers"], 2, rows, -1)[:, number].reshape(theirs.shape)
            np.testing.assert_array_equal(mine, theirs)
            np.testing.assert_allclose(out[:, number], its_out[:, 0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", FIXED)
def test_layer_by_layer_is_all_layers_at_once(name: str) -> None:
    """A model steps through its layers; a trace gives them together. Decisions and bytes are the same."""
    policy, at_once = small(name), run_of(name)
    stepped = drive(policy, texts(), budget_for(policy), PROTECT, layer_by_layer=True)
    for ours, theirs in zip(stepped.alive, at_once.alive, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for out, its_out in zip(stepped.outs, at_once.outs, strict=True):
        np.testing.assert_allclose(out, its_out, rtol=0, atol=1e-10)
    for bits in ("read_bits", "resident_bits", "peak_bits"):
        assert getattr(stepped.engine.account, bits) == getattr(at_once.engine.account, bits)


@pytest.mark.parametrize("name", EVERY)
def test_a_layer_s_sliding_window_is_obeyed(name: str) -> None:
    """What slides out of a layer's own window leaves, whatever the policy wants, and the policy copes with the gap."""
    window = 60
    policy, batch = small(name), texts(window=window)
    run = drive(policy, batch, budget_for(policy), PROTECT)
    for step, seen in enumerate(run.seen):
        ids = seen.ids[seen.ids >= 0]
        assert ids.min() > PROMPT + step - window
    assert np.isfinite(run.outs).all()


@pytest.mark.parametrize("name", [name for name in EVERY if not small(name).selects])
def test_a_budget_above_the_layer_s_window_evicts_nothing_that_can_be_seen(name: str) -> None:
    """Keys that no later query can see take no place from those that can."""
    policy, window = small(name), 30
    run = drive(policy, texts(window=window), budget_for(policy) + window, PROTECT)
    for seen in run.seen:
        assert (seen.count == window).all()


def kept_mass(run: Run, steps: slice = slice(None)) -> Any:
    """Mass that each stream's queries found: weights of the uncompressed cache on what they read, over the steps."""
    total = np.zeros(len(run.engine.budgets))
    (text,) = texts()
    for seen in run.seen[steps]:
        for row in range(len(total)):
            layer, head = divmod(row, run.engine.rows)
            weights = text.future(layer, 0)()[:, seen.step].reshape(run.engine.rows, run.engine.group, -1)[head]
            live = seen.ids[row, : seen.count[row]]
            read = np.ones((run.engine.group, len(live)), bool) if seen.read is None else seen.read.read[row]
            total[row] += (weights[:, live] * read[:, : len(live)]).sum()
    return total


def evenly_capped(name: str) -> bool:
    """Whether a policy holds the budget in every stream at every step, so that it may be compared with a bound."""
    policy, run = small(name), run_of(name)
    even = (run.engine.budgets == run.engine.setting.budget).all()
    return bool(even and not policy.selects and not policy.slack and not policy.prompt_only and policy.gqa != "none")


@pytest.mark.parametrize("name", [name for name in EVERY if name != "full"])
def test_no_policy_keeps_more_mass_than_the_oracles(name: str) -> None:
    """top B of each step >= Belady of mass >= all others of the same cap; of those that cut once, O2 is the best."""
    policy = small(name)
    run, budget = run_of(name), budget_for(policy)
    mass = kept_mass(run)
    if evenly_capped(name):
        belady, topb = (kept_mass(drive(small(best), texts(), budget, PROTECT)) for best in ("belady_mass", "topb"))
        assert (topb >= belady - 1e-9).all()
        assert (belady >= mass - 1e-9).all()
    if policy.selects and (run.engine.budgets == budget).all():
        assert (kept_mass(drive(small("topb"), texts(), budget)) >= mass - 1e-9).all()
    if policy.prompt_only and policy.gqa != "none" and (run.engine.budgets == budget).all():
        once = kept_mass(drive(small("prompt_oracle"), texts(), budget, PROTECT))
        assert (once >= mass - 1e-9).all()


def test_the_bounds_are_compared_with_somebody() -> None:
    """At least the oldest policies fall under the law above."""
    assert {"window", "tova", "oracle", "belady_mass"} <= {name for name in EVERY if evenly_capped(name)}


@pytest.mark.parametrize("name", [name for name in EVERY if small(name).forced or PROTECT.slots])
def test_a_budget_below_what_is_protected_is_refused(name: str) -> None:
    """Before anything is computed, with the arithmetic."""
    if name != "full":
        with pytest.raises(UsageError, match=r"below what is protected: 3 sink \+ 2 boundary \+ \d+ recent"):
            drive(small(name), texts(), PROTECT.slots - 1, PROTECT)


@pytest.mark.parametrize("spec", all_kv_specs(), ids=lambda spec: spec.name)
def test_a_policy_says_what_it_is(spec: Any) -> None:
    """One paper's name stands for several policies: what it scores, how it shares out, and where that is written."""
    assert spec.scorer
    assert spec.budget
    assert spec.summary.endswith(".")
    assert spec.source.startswith("https://")
    assert 1960 <= spec.year <= 2026
    if any(getattr(spec.params().needs(), what) for what in ("future", "full_weights")):
        assert spec.oracle, "who knows the future or what is lost is no contestant"


# Policies that break the rules.


def nothing(read: Any) -> Any:
    """A hook that reads, and does nothing."""

    def hook(view: Any) -> list[Action]:
        read(view)
        return []

    return hook


OF_A_LAYER: dict[str, tuple[Any, Needs]] = {
    "weights": (lambda layer: layer.weights(1), Needs(queries=9)),
    "more weights than declared": (lambda layer: layer.weights(5), Needs(window=4)),
    "queries": (lambda layer: layer.queries(1), Needs(window=9)),
    "more queries than declared": (lambda layer: layer.queries(5), Needs(queries=4)),
    "columns": (lambda layer: layer.columns, Needs(window=9, weights=True)),
    "keys": (lambda layer: layer.keys, Needs(values=True)),
    "values": (lambda layer: layer.values, Needs(keys=True)),
    "projected_norms": (lambda layer: layer.projected_norms, Needs(values=True)),
    "query_statistics": (lambda layer: layer.query_statistics, Needs(queries=99)),
    "tokens": (lambda layer: layer.tokens, Needs(keys=True)),
    "future": (lambda layer: layer.future, Needs(full_weights=True)),
}
OF_A_STEP: dict[str, tuple[Any, Needs]] = {
    "weights": (lambda step: step.weights, Needs(window=9)),
    "full_weights": (lambda step: step.full_weights, Needs(weights=True, future=True)),
    "queries": (lambda step: step.queries(1), Needs(window=9)),
    "more queries than declared": (lambda step: step.queries(5), Needs(queries=4)),
    "weights_of_last": (lambda step: step.weights_of_last(1), Needs(weights=True)),
    "more weights than declared": (lambda step: step.weights_of_last(5), Needs(window=4)),
    "keys": (lambda step: step.keys, Needs(values=True)),
    "values": (lambda step: step.values, Needs(keys=True)),
    "newest_keys": (lambda step: step.newest_keys, Needs(values=True)),
    "tokens": (lambda step: step.tokens, Needs(keys=True)),
    "future": (lambda step: step.future, Needs(full_weights=True)),
    "keys of a layer": (lambda step: [layer.keys for _, layer in step.layers("mean")], Needs(values=True)),
    "weights of a layer": (lambda step: [layer.weights(2) for _, layer in step.layers("mean")], Needs(window=1)),
}


@pytest.mark.parametrize("what", OF_A_LAYER)
def test_what_is_not_declared_cannot_be_read_at_the_prompt(what: str) -> None:
    """Each kind of input, with everything but itself declared that comes near it."""
    read, declared = OF_A_LAYER[what]
    rogue = Scripted(declared, at_prompt=nothing(lambda prompt: read(prompt.layers[0])))
    with pytest.raises(UndeclaredError, match="declared it; let needs"):
        drive(rogue, texts(), PROMPT + DECODE)


@pytest.mark.parametrize("what", OF_A_STEP)
def test_what_is_not_declared_cannot_be_read_at_a_step(what: str) -> None:
    """The same while decoding."""
    read, declared = OF_A_STEP[what]
    with pytest.raises(UndeclaredError, match="declared it; let needs"):
        drive(Scripted(declared, at_step=nothing(read)), texts(), PROMPT + DECODE)


def test_the_future_is_closed() -> None:
    """This step's weights, before its queries have attended."""
    early = Scripted(Needs(weights=True), at_select=lambda step: Select(step.weights > 0))
    with pytest.raises(FutureError, match="after its queries have attended"):
        drive(early, texts(), PROMPT + DECODE)


def test_nothing_handed_out_lies_ahead() -> None:
    """What a step shows has the tokens that have come, and no more."""
    shown = []

    def look(step: Step) -> list[Action]:
        assert step.ids.max() == step.newest
        assert step.tokens.shape == (1, step.newest + 1)
        assert step.keys.shape[1] == step.weights.shape[2] == step.newest + 1
        last = step.weights_of_last(3)
        for row in range(3):  # an earlier query does not see later keys
            assert (last[:, :, row, step.ids[0] > step.newest - 2 + row] == 0).all()
        np.testing.assert_allclose(last.sum(-1), 1)
        np.testing.assert_allclose(last[:, :, -1], step.weights, atol=1e-12)
        shown.append(step.newest)
        return []

    drive(Scripted(Needs(weights=True, tokens=True, keys=True, window=3), at_step=look), texts(), PROMPT + DECODE)
    assert shown == list(range(PROMPT, PROMPT + DECODE))


def pairs(*slots: tuple[int, int]) -> tuple[Any, Any]:
    """Streams and ids."""
    streams, ids = zip(*slots, strict=True)
    return np.array(streams, np.int32), np.array(ids, np.int32)


def test_holding_more_than_the_budget_is_refused() -> None:
    """At the prompt, at a step, and by giving oneself more than there is."""
    with pytest.raises(ActionError, match="stream 0 holds 100 slots, and may hold 40"):
        drive(Scripted(), texts(), 40)

    def cut(prompt: Prompt) -> list[Action]:
        return [prompt.cut(layer, np.zeros((2, PROMPT))) for layer in prompt.layers]

    with pytest.raises(ActionError, match="stream 0 holds 41 slots, and may hold 40"):
        drive(Scripted(at_prompt=cut), texts(), 40)

    def greedy(prompt: Prompt) -> list[Action]:
        prompt.budgets[:] = 50
        return cut(prompt)

    with pytest.raises(ActionError, match="shared out 200 slots, and there are 160"):
        drive(Scripted(at_prompt=greedy), texts(), 40)

    all_of_it = Scripted(at_select=lambda step: Select(np.repeat(step.live[:, None], 2, axis=1)))
    with pytest.raises(ActionError, match="a query reads 101 slots, and may read 41"):
        drive(all_of_it, texts(), 40)


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ([Evict(*pairs((1, 7), (1, 7)))], "evicted twice"),
        ([Evict(*pairs((1, 7))), Evict(*pairs((1, 7)))], "slot 7 of stream 1 cannot be evicted: it is not resident"),
        ([Evict(*pairs((0, PROMPT + 1)))], "it is not resident"),
        ([Pin(*pairs((2, 5))), Evict(*pairs((2, 4), (2, 5)))], "slot 5 of stream 2 is pinned and cannot be evicted"),
        ([Evict(*pairs((3, 1))), Pin(*pairs((3, 1)))], "slot 1 of stream 3 cannot be pinned"),
    ],
)
def test_a_slot_leaves_once_and_only_if_it_may(actions: list[Action], said: str) -> None:
    """Twice in one action, twice in two, before it came, pinned."""
    with pytest.raises(ActionError, match=said):
        drive(Scripted(at_step=lambda step: actions), texts(), PROMPT + DECODE)


def test_what_is_protected_cannot_be_evicted() -> None:
    """Of ``sink=3,recent=2``, the third token and the last but one; the fourth and the last but two may leave."""
    for wrong in (2, PROMPT - 1):
        told: list[Action] = [Evict(*pairs((1, wrong)))]
        with pytest.raises(ActionError, match=f"evicts slot {wrong} of stream 1, which is protected"):
            drive(Scripted(at_prompt=lambda prompt: told), texts(), PROMPT + DECODE, Protect(sink=3, recent=2))
    weights = np.full(2, 0.5)
    joined: list[Action] = [Merge(1, np.array([2], np.int32), 9, weights, weights)]
    with pytest.raises(ActionError, match="slot 2 of stream 1, which is protected"):
        drive(Scripted(at_prompt=lambda prompt: joined), texts(), PROMPT + DECODE, Protect(sink=3, recent=2))
    fine: list[Action] = [Evict(*pairs((1, 3), (1, PROMPT - 3)))]
    drive(Scripted(at_prompt=lambda prompt: fine), texts(), PROMPT + DECODE, Protect(sink=3, recent=2))


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda step: np.ones((1, 1, 1), bool), "a selection of shape"),
        (lambda step: np.zeros((4, 2, step.ids.shape[1]), bool), "reads nothing at all"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(read: Any, said: str) -> None:
    """Of the wrong shape, or empty."""
    with pytest.raises(ActionError, match=said):
        drive(Scripted(at_select=lambda step: Select(read(step))), texts(), PROMPT + DECODE)


def test_reading_a_slot_that_has_left_is_refused() -> None:
    """Streams of unequal length: the short one's row ends in slots that are none."""
    rogue = Scripted(
        at_prompt=lambda prompt: [Evict(*pairs((0, 3)))],
        at_select=lambda step: Select(np.ones((4, 2, step.ids.shape[1]), bool)),
    )
    with pytest.raises(ActionError, match="not resident"):
        drive(rogue, texts(), PROMPT + DECODE)


def test_protection_is_what_the_law_says() -> None:
    """A budget of nothing but protected slots: every policy that decides step by step becomes the same one."""
    protect = Protect(sink=2, boundary=3, recent=4)
    for name in ("window", "tova", "oracle"):
        run = drive(small(name), texts(), protect.slots, protect)
        live = np.flatnonzero(run.alive[-1][0])
        assert set(live) >= {0, 1, 97, 98, 99, 108, 109, 110, 111}
        assert len(live) == protect.slots
