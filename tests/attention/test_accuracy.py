"""Answers of the recall model under eviction, and passkeys: closed loop, through the real engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_gguf import network, write_gguf

from evictlab.sim.attention.accuracy import RecallBench
from evictlab.sim.attention.passkey import PasskeyBench
from evictlab.sim.attention.recall import RecallTask
from evictlab.traces import UsageError
from evictlab.traces.attention import open_attention
from evictlab.traces.record.attention import load_model


@pytest.fixture(scope="module")
def bench():
    return RecallBench(6, seed=3)


def test_nothing_evicted_is_the_full_cache(bench):
    """Step by step through the engine, with caches that hold everything, the answers are those of one whole pass."""
    kept = bench.run("full", "32")
    assert kept.accuracy == bench.full_accuracy > 0.97
    assert kept.slots == pytest.approx(128 + 64.5)
    metrics = bench.metrics("full", "32")
    assert metrics["mass"] == pytest.approx(1, abs=1e-6)
    assert metrics["output_error"] < 1e-4
    assert metrics["recall"] == 1


def test_a_budget_for_all_is_the_full_cache(bench):
    assert bench.run("tova", "256").accuracy == bench.full_accuracy


def test_a_pair_that_slid_out_cannot_be_recalled(bench):
    """A window of n slots at the q-th query still holds the pairs stated in the prompt's last ``n - 2q`` tokens or so.

    Whoever asks for one of them is answered, any other query is not: within a few, for the smeared key and luck.
    """
    right = bench.run("window", "96").right
    age = bench.episodes.asked[None, :] - np.take_along_axis(bench.episodes.stated, bench.episodes.pair, axis=1)
    assert right[age < 90].mean() > 0.85
    assert right[age > 97].mean() < 0.06


def test_more_slots_answer_more_and_an_oracle_answers_most(bench):
    small, large = bench.run("tova", "32"), bench.run("tova", "96")
    assert small.accuracy < large.accuracy
    assert bench.run("oracle", "32").accuracy > small.accuracy + 0.2
    assert 0 < small.standard_error < 0.2


def test_other_tasks_can_be_asked():
    longer = RecallBench(2, seed=0, task=RecallTask.of_length(128, 16))
    assert longer.run("window", "50%").slots == pytest.approx(33, abs=0.6)
    assert "a prompt of 64 with 16 pairs" in longer.words


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    path = write_gguf(network("llama"), tmp_path_factory.mktemp("tiny") / "tiny.gguf", "llama")
    yield load_model(path)
    torch.set_num_threads(threads)


TEXT = "The shelf holds folders, the cellar holds more; the cache holds what the captain asks for. " * 6


@pytest.mark.parametrize("question", ["after", "before"])
def test_a_passkey_through_the_engine_is_that_of_the_model(tiny, question):
    """A random model knows no answer; but with nothing evicted, its logits through the engine are its own."""
    bench = PasskeyBench(tiny, TEXT, trials=2, tokens=150, question=question)
    for trial in bench.trials:
        assert len(trial.read) == 150
        assert "".join(chr(c) for c in _digits(bench, trial)).isdigit()
        whole = tiny.forward(trial.read + trial.later)
        wanted = [int(whole[150 + place - 1].argmax()) == trial.later[place] for place in trial.digits_at]
        assert bench._answers(trial, None) == all(wanted)
    assert bench.run("full", "16").accuracy == bench.full_accuracy
    assert bench.run("window", "16").slots == pytest.approx(17)
    assert f"the question comes {question}" in bench.words


def _digits(bench, trial):
    """The answer's digits, each the byte of its token; the tiny tokenizer's only merged number is 17."""
    names = {bench._encode(f"a{digit}")[-1]: ord(str(digit)) for digit in range(10)}
    return [names[trial.later[place]] for place in trial.digits_at]


def test_a_text_that_is_too_short_is_refused(tiny):
    with pytest.raises(UsageError, match="cannot fill 4000"):
        PasskeyBench(tiny, TEXT, trials=1, tokens=4000)
    with pytest.raises(UsageError, match="not 'later'"):
        PasskeyBench(tiny, TEXT, trials=1, tokens=100, question="later")


@pytest.mark.weights
@pytest.mark.slow
def test_a_real_model_finds_its_passkey_unless_it_was_evicted(smollm2):
    """With the full cache nearly always; a quarter of the slots lose it where the question comes after the cut."""
    text = (open_attention("demo").path / "text.txt").read_text(encoding="utf-8")
    bench = PasskeyBench(smollm2, text, trials=4, tokens=256)
    assert bench.full_accuracy >= 0.75
    assert bench.run("full", "64").accuracy == bench.full_accuracy
    assert bench.run("window", "25%").accuracy < bench.full_accuracy
