"""The recall task and the small model that answers it: in numpy, in torch, step by step, and as the file that is shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from evictlab.rl.recall import Plan, forward, train_recall
from evictlab.rl.recall.network import fresh
from evictlab.rl.recall.train import main
from evictlab.sim.attention.recall import CHECKPOINT, VOCABULARY, Config, RecallModel, RecallTask, accuracy
from evictlab.sim.attention.recall.task import BEGIN, KEYS, NOISE, VALUES
from evictlab.traces.errors import FormatError, UsageError

UNSEEN = 9  # first number of a seed that no training draws from
QUICK = Plan(batch=4, warm_up=1, stages=((16, 2), (32, 4)), judged=((32, 4),), judge_every=2, sequences=5)


@pytest.fixture(scope="module")
def model():
    return RecallModel.load()


@pytest.fixture(scope="module")
def untrained():
    """Another model, whose heads smear differently and none of whose gains is 1, and its weights for torch."""
    config = Config(layers=3, width=24, heads=3, hidden=40, theta=100.0)
    dice = torch.Generator().manual_seed(1)
    weights = {name: w.detach() + 0.3 * torch.randn(w.shape, generator=dice) for name, w in fresh(config, 5).items()}
    return RecallModel(config, {name: w.numpy() for name, w in weights.items()}), weights


# The task.

TASKS = [
    RecallTask(pairs=4, prompt=12, queries=9, noise=2),
    RecallTask(pairs=96, prompt=193, queries=5, noise=0),  # all keys, and no room for noise
    RecallTask(pairs=1, prompt=40, queries=1, alpha=0),
    RecallTask(),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.pairs} pairs")
def test_a_naive_reader_finds_the_answers(task):
    episodes = task.episodes(20, (UNSEEN, 1))
    assert episodes.tokens.shape == (20, task.length)
    assert episodes.tokens.dtype == episodes.answers.dtype == np.int32
    for tokens, answers, pair, stated in zip(
        episodes.tokens.tolist(), episodes.answers.tolist(), episodes.pair, episodes.stated, strict=True
    ):
        assert tokens[0] == BEGIN
        said = {}  # what the prompt says, read from left to right
        position = 1
        while position < task.prompt:
            if tokens[position] in KEYS:
                assert tokens[position] not in said
                assert tokens[position + 1] in VALUES
                said[tokens[position]] = (tokens[position + 1], position + 1)
                position += 2
            else:
                assert tokens[position] in NOISE
                position += 1
        assert len(said) == task.pairs
        asked = [t for t in range(task.prompt, task.length) if tokens[t] in KEYS]
        assert asked == episodes.asked.tolist()
        assert [said[tokens[t]][0] for t in asked] == answers
        assert [said[tokens[t]][1] for t in asked] == stated[pair].tolist()
        # No answer is written after the prompt: who threw the pair away cannot read it later.
        assert all(tokens[t] in NOISE for t in range(task.prompt, task.length) if t not in asked)
    assert max(VALUES) < VOCABULARY > max(NOISE)


def test_popularity_is_zipfs_and_says_nothing_about_the_place():
    task = RecallTask(pairs=8, prompt=40, queries=50, alpha=1.0)
    episodes = task.episodes(2000, (UNSEEN, 2))
    counts = np.array([np.sort(np.bincount(pair, minlength=8))[::-1] for pair in episodes.pair]).mean(axis=0)
    harmonic = sum(1 / r for r in range(1, 9))
    assert counts[0] / 50 == pytest.approx(1 / harmonic, abs=0.02)  # the most popular of 8: 36.8 %
    by_place = np.bincount(episodes.pair.ravel(), minlength=8) / episodes.pair.size
    assert by_place == pytest.approx(np.full(8, 1 / 8), abs=0.02)
    even = RecallTask(pairs=8, prompt=40, queries=50, alpha=0).episodes(2000, (UNSEEN, 2))
    assert np.array([np.bincount(p, minlength=8).max() for p in even.pair]).mean() < 13  # 6.25 each, but for chance
    # Pairs stand anywhere: where the values stand is, on average, the middle of what is possible.
    assert episodes.stated.mean() == pytest.approx((2 + 39) / 2, abs=0.3)


def test_a_seed_is_a_set_of_sequences():
    task = RecallTask(pairs=4, prompt=12, queries=9)
    first, again, other = (task.episodes(3, seed) for seed in [(UNSEEN, 1), (UNSEEN, 1), (UNSEEN, 2)])
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.tokens, other.tokens)


@pytest.mark.parametrize(
    ("arguments", "lesson"),
    [
        ({"pairs": 97, "prompt": 400}, "give 1 to 96"),
        ({"pairs": 32, "prompt": 64}, "give prompt=65 or more"),
        ({"queries": 0}, "queries=0"),
        ({"noise": -1}, "noise=-1"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"alpha": float("nan")}, "alpha=nan"),
    ],
)
def test_a_task_that_cannot_be_laid_out_says_why(arguments, lesson):
    with pytest.raises(UsageError, match=lesson):
        RecallTask(**arguments)


def test_a_task_of_a_length():
    assert RecallTask.of_length(256, 32) == RecallTask(pairs=32, prompt=128, queries=64)
    assert RecallTask.of_length(256, 32).length == 256
    with pytest.raises(UsageError, match="give 252"):
        RecallTask.of_length(255, 32)


# The model's arithmetic.


def naive_forward(weights, config, tokens):
    """Hidden states of one sequence, number by number as the docstring of the model says it."""
    d = config.head_dim

    def norm(x, gain):
        return x / np.sqrt((x**2).mean() + 1e-5) * gain

    def turned(x, position):
        out = x.copy()
        for i in range(d // 2):
            angle = position * config.theta ** (-2 * i / d)
            a, b = x[i], x[i + d // 2]
            out[i], out[i + d // 2] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
        return out

    w = {name: np.asarray(weight, np.float64) for name, weight in weights.items()}
    xs = [w["embed"][token] for token in tokens]
    for layer in range(config.layers):
        own = {name.rsplit(".", 1)[1]: weight for name, weight in w.items() if name.startswith(f"layers.{layer}.")}
        inputs = [norm(x, own["attention_norm"]) for x in xs]
        read = np.zeros((len(xs), config.width))
        for head in range(config.heads):
            part = slice(head * d, (head + 1) * d)
            share = 1 / (1 + np.exp(-own["smear"][head]))
            raw = [(y @ own["k"])[part] for y in inputs]
            keys = [turned((1 - share) * raw[t] + share * (raw[t - 1] if t else 0 * raw[0]), t) for t in range(len(xs))]
            for t, y in enumerate(inputs):
                query = turned((y @ own["q"])[part], t)
                mass = np.exp([query @ keys[s] / np.sqrt(d) for s in range(t + 1)])
                values = [(inputs[s] @ own["v"])[part] for s in range(t + 1)]
                read[t, part] = sum(m * v for m, v in zip(mass / mass.sum(), values, strict=True))
        for t in range(len(xs)):
            xs[t] = xs[t] + read[t] @ own["o"]
            up = norm(xs[t], own["network_norm"]) @ own["up"]
            xs[t] = xs[t] + (up / (1 + np.exp(-up))) @ own["down"]
    return np.array([norm(x, w["norm"]) for x in xs])


def test_forward_is_what_the_docstring_says(untrained):
    model, _ = untrained
    tokens = RecallTask(pairs=3, prompt=10, queries=4).episodes(1, (UNSEEN, 3)).tokens
    expected = naive_forward(model.weights, model.config, tokens[0])
    assert np.abs(model.prefill(tokens).hidden[0] - expected).max() < 1e-4


@pytest.mark.parametrize("which", ["shipped", "untrained"])
def test_numpy_and_torch_compute_the_same(model, untrained, which):
    if which == "shipped":
        numpy_model, weights = model, {name: torch.from_numpy(w) for name, w in model.weights.items()}
    else:
        numpy_model, weights = untrained
    tokens = RecallTask.of_length(256, 32).episodes(4, (UNSEEN, 4)).tokens
    with torch.no_grad():
        expected = forward(weights, numpy_model.config, torch.from_numpy(tokens).long())
        logits = (expected @ weights["embed"].T).numpy()
    hidden = numpy_model.prefill(tokens).hidden
    assert hidden.dtype == np.float32
    assert np.abs(hidden - expected.numpy()).max() < 1e-4
    assert np.abs(numpy_model.logits(hidden) - logits).max() < 1e-4 * max(1, np.abs(logits).max())


class FullCache:
    """A cache that keeps everything, one loop per head."""

    def __init__(self, layers):
        self.k = [list(np.moveaxis(layer.k, 2, 0)) for layer in layers]
        self.v = [list(np.moveaxis(layer.v, 2, 0)) for layer in layers]

    def __call__(self, layer, q, k, v):
        self.k[layer].append(k)
        self.v[layer].append(v)
        out = np.empty_like(q)
        for s, head in np.ndindex(*q.shape[:2]):
            scores = np.array([key[s, head] @ q[s, head] for key in self.k[layer]]) / np.sqrt(q.shape[2])
            mass = np.exp(scores - scores.max())
            out[s, head] = mass / mass.sum() @ np.array([value[s, head] for value in self.v[layer]])
        return out


@pytest.mark.parametrize("prompt", [0, 1, 20])
def test_step_by_step_is_the_whole_forward(untrained, prompt):
    """With a cache that keeps everything; also without any prompt, and with a position for each sequence."""
    model, _ = untrained
    config = model.config
    tokens = RecallTask(pairs=6, prompt=20, queries=10).episodes(3, (UNSEEN, 5)).tokens
    whole = model.prefill(tokens)
    logits = model.logits(whole.hidden)
    if prompt:
        begun = model.prefill(tokens[:, :prompt])
        layers, carry = begun.layers, begun.carry
    else:
        layers = [whole.layers[0]._replace(k=layer.k[:, :, :0], v=layer.v[:, :, :0]) for layer in whole.layers]
        carry = np.zeros((config.layers, 3, config.heads, config.head_dim), np.float32)
    cache = FullCache(layers)
    for t in range(prompt, tokens.shape[1]):
        positions = np.full(3, t) if t % 2 else t
        assert np.abs(model.step(tokens[:, t], positions, cache, carry) - logits[:, t]).max() < 1e-4
    assert np.abs(carry - whole.carry).max() < 1e-5
    for layer in range(config.layers):  # what is handed out is what a forward over the whole computes
        assert np.abs(np.moveaxis(cache.k[layer], 0, 2) - whole.layers[layer].k).max() < 1e-5


def test_a_key_does_not_depend_on_later_tokens(model):
    tokens = RecallTask(pairs=6, prompt=20, queries=10).episodes(2, (UNSEEN, 6)).tokens
    other = tokens.copy()
    other[:, 25:] = NOISE[0]
    for a, b in zip(model.prefill(tokens).layers, model.prefill(other).layers, strict=True):
        assert np.abs(a.k[:, :, :25] - b.k[:, :, :25]).max() < 1e-5
        assert np.abs(a.v[:, :, :25] - b.v[:, :, :25]).max() < 1e-5


def test_an_answer_needs_its_pair(model):
    """A cache that loses each queried value at once is down to guessing; one that loses as many noise tokens is not."""
    task = RecallTask(pairs=16, prompt=64, queries=16)
    episodes = task.episodes(20, (UNSEEN, 7))
    every = np.arange(task.prompt)
    lost_values = episodes.stated
    noise = np.array([[t for t in every if row[t] in NOISE][: task.pairs] for row in episodes.tokens])

    def right(lost):
        told = model.prefill(episodes.tokens[:, : task.prompt])
        alive = np.ones((20, 1, task.length), bool)
        alive[np.arange(20)[:, None], 0, lost] = False
        shape = (20, model.config.heads, task.length, model.config.head_dim)
        keys = [np.zeros(shape, np.float32) for _ in told.layers]
        values = [np.zeros(shape, np.float32) for _ in told.layers]
        for layer, (_, k, v) in enumerate(told.layers):
            keys[layer][:, :, : task.prompt], values[layer][:, :, : task.prompt] = k, v
        correct = 0
        for i, t in enumerate(range(task.prompt, task.length)):

            def attend(layer, q, k, v, t=t):
                keys[layer][:, :, t], values[layer][:, :, t] = k, v
                scores = np.einsum("shd,shtd->sht", q, keys[layer][:, :, : t + 1]) / np.sqrt(q.shape[2])
                scores[~np.broadcast_to(alive[:, :, : t + 1], scores.shape)] = -np.inf
                mass = np.exp(scores - scores.max(axis=-1, keepdims=True))
                return np.einsum("sht,shtd->shd", mass / mass.sum(axis=-1, keepdims=True), values[layer][:, :, : t + 1])

            logits = model.step(episodes.tokens[:, t], t, attend, told.carry)
            if i % 2 == 0:
                correct += (logits.argmax(axis=-1) == episodes.answers[:, i // 2]).sum()
        return correct / episodes.answers.size

    assert right(noise) > 0.97
    assert right(lost_values) < 0.1


# The model that is shipped.


@pytest.mark.parametrize(
    ("tokens", "pairs", "sequences", "least"), [(256, 32, 150, 0.97), (512, 32, 30, 0.98), (512, 64, 30, 0.98)]
)
def test_the_shipped_model_answers(model, tokens, pairs, sequences, least):
    assert accuracy(model, RecallTask.of_length(tokens, pairs).episodes(sequences, (UNSEEN, 0))) >= least


def test_the_shipped_files_are_small_and_say_what_they_are(model):
    assert (CHECKPOINT / "model.safetensors").stat().st_size <= 1_000_000
    about = json.loads((CHECKPOINT / "model.json").read_text())
    assert about["licence"] == "Apache-2.0"
    assert about["finished"]
    assert about["parameters"] == sum(w.size for w in model.weights.values()) == 422_536
    row = about["held_out"][0]
    task = RecallTask(**{name: row[name] for name in ("pairs", "prompt", "queries", "noise", "alpha")})
    found = accuracy(model, task.episodes(row["sequences"], about["held_out_seed"]))
    assert found == pytest.approx(row["accuracy"], abs=1e-3)  # other CPUs round differently


def test_damaged_files_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"model.json.*evictlab\.rl\.recall\.train"):
        RecallModel.load(tmp_path)
    (tmp_path / "model.json").write_bytes((CHECKPOINT / "model.json").read_bytes())
    with pytest.raises(FormatError, match=r"model\.safetensors"):
        RecallModel.load(tmp_path)
    raw = (CHECKPOINT / "model.safetensors").read_bytes()
    for damaged in (b"", raw[:4], raw[:100], raw[:-10]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(FormatError, match=r"model\.safetensors"):
            RecallModel.load(tmp_path)
    about = json.loads((CHECKPOINT / "model.json").read_text())
    about["config"]["hidden"] = 64
    (tmp_path / "model.json").write_text(json.dumps(about))
    (tmp_path / "model.safetensors").write_bytes(raw)
    with pytest.raises(UsageError, match=r"layers\.0\.down, layers\.0\.up"):
        RecallModel.load(tmp_path)


# Training.


def test_an_interrupted_training_ends_with_the_same_numbers(tmp_path):
    straight = train_recall(tmp_path / "straight", QUICK, steps=3)
    train_recall(tmp_path / "halting", QUICK, steps=1)
    halting = train_recall(tmp_path / "halting", QUICK, steps=3)
    assert straight["steps"] == halting["steps"] == 3
    assert not straight["finished"]
    a, b = (RecallModel.load(tmp_path / name).weights for name in ("straight", "halting"))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    begun = {name: w.detach().numpy().astype(np.float16) for name, w in fresh(Config(), QUICK.seed).items()}
    assert all(not np.array_equal(a[name], begun[name]) for name in a)  # every weight learns
    train_recall(tmp_path / "halting", QUICK, steps=3, resume=False)
    assert all(np.array_equal(a[n], w) for n, w in RecallModel.load(tmp_path / "halting").weights.items())
    other = train_recall(tmp_path / "other", Plan(**{**QUICK.plain(), "seed": 1}), steps=3)
    assert other["log"] != straight["log"]


def test_training_learns_and_stops_at_the_target(tmp_path):
    """The easiest of all tasks, one pair that is asked for: answered within a second of training."""
    plan = Plan(batch=32, stages=((8, 1),), judged=((8, 1),), target=0.9, judge_every=10, sequences=50)
    lines = []
    about = train_recall(tmp_path, plan, steps=200, report=lines.append)
    assert about["finished"]
    assert about["steps"] < 200
    assert about["held_out"][0]["accuracy"] > 0.85
    assert any(line.startswith("judged at 8 tokens") for line in lines)
    assert train_recall(tmp_path, plan, steps=200)["steps"] == about["steps"]  # there is nothing left to do


def test_another_training_in_the_folder_is_not_gone_on_with(tmp_path):
    train_recall(tmp_path, QUICK, steps=2)
    with pytest.raises(UsageError, match="another batch, seed"):
        train_recall(tmp_path, Plan(**{**QUICK.plain(), "seed": 1, "batch": 5}), steps=3)
    with pytest.raises(UsageError, match="2 steps are done"):
        train_recall(tmp_path, QUICK, steps=1)


def test_the_command(tmp_path, capsys, monkeypatch):
    @dataclass(frozen=True)
    class Quick(Plan):
        batch: int = QUICK.batch
        stages: Sequence[Sequence[int]] = QUICK.stages
        judged: Sequence[Sequence[int]] = QUICK.judged
        judge_every: int = QUICK.judge_every
        sequences: int = QUICK.sequences

    monkeypatch.setattr("evictlab.rl.recall.train.Plan", Quick)
    assert main(["--out", str(tmp_path), "--steps", "2", "--target", "0.9"]) == 1  # the target is not reached
    told = capsys.readouterr()
    assert told.out.startswith("32 tokens, 4 pairs: ")
    assert "step 2: 16 tokens" in told.err
    assert "give more --steps" in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors", "training.pt"]
    assert main(["--out", str(tmp_path), "--target", "2"]) == 2
    assert "at most 1" in capsys.readouterr().err
    assert main(["--out", str(tmp_path), "--steps", "0"]) == 2


def test_help_costs_nothing():
    code = "import sys, evictlab.rl.recall.train, evictlab.sim.attention.recall as r; dir(r); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "numba", "pandas", "pyarrow", "scipy", "safetensors"} & set(loaded)
    words = [sys.executable, "-m", "evictlab.rl.recall.train", "--help"]
    assert "--out FOLDER" in subprocess.run(words, capture_output=True, text=True, check=True).stdout
