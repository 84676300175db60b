"""One network, four readers: compiled, interpreted, torch and onnxruntime say the same."""

from __future__ import annotations

import functools

import numba
import numpy as np
import pytest
from tiny_model import random_candidates, random_context

from evictlab.policies import parse_policy
from evictlab.policies.learned.facts import FEATURES, MISSING
from evictlab.policies.learned.model import read_metadata, read_weights
from evictlab.policies.learned.network import make_network, value

from naive.cold_rl import SHAPES, small_weights

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from evictlab.rl.learn.graph import onnx_model  # noqa: E402
from evictlab.rl.learn.networks import PAPER_FEATURES, make_net  # noqa: E402

K = 7
KINDS = pytest.mark.parametrize("kind", ["set", "flat"])


@numba.njit
def compiled_value(network, rows, context, n):
    value(network, rows, context, n)


def decisions(n, k=K, seed=0, absent=True):
    """Decisions with values that are missing, and fewer candidates than rows; the absent ones stand last."""
    rng = np.random.default_rng(seed)
    rows = np.stack([random_candidates(rng, k, absent=0) for _ in range(n)])
    context = np.stack([random_context(rng) for _ in range(n)])
    counts = rng.integers(1, k + 1, n) if absent else np.full(n, k)
    for i, count in enumerate(counts):
        rows[i, count:] = MISSING
    return rows, context, counts


def extremes():
    """What no sane trace holds: nothing, everything, and no time at all."""
    rows, context, counts = decisions(6, seed=9)
    rows[0, :1], rows[1, :1] = 0, 3e38**0.5
    rows[2, :1, 1], rows[3, :1, 1] = 0, 1e12
    context[0], context[1] = 0, [1e6, 1e15, 1e9, 0]
    context[2, 0] = 0
    return rows, context, counts


def trained(kind, k=K, features=None, seed=0, hidden=24):
    torch.manual_seed(seed)
    net = make_net(kind, k, features, hidden)
    rows, context, _ = decisions(200, k, seed=1)
    net.standardise(torch.from_numpy(rows), torch.from_numpy(context))
    for module in net.modules():
        if isinstance(module, torch.nn.LayerNorm):  # the default gain and offset would hide that they are swapped
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return net.eval()


def says(reader, network, rows, context, counts):
    """q of all decisions by `value`, interpreted or compiled."""
    out = np.full(rows.shape[:2], np.nan, np.float32)
    with np.errstate(all="ignore"):
        for i, n in enumerate(counts):
            reader(network, rows[i], context[i], n)
            out[i, :n] = network.q[:n]
    return out


def session(kind, weights, k=K):
    return onnxruntime.InferenceSession(onnx_model(kind, weights, k), providers=["CPUExecutionProvider"])


def assert_same(found, expected, rows, limit=1e-5):
    present = rows[:, :, 1] >= 0
    assert np.isfinite(expected[present]).all()
    off = np.abs(found - expected)[present] / np.maximum(1, np.abs(expected[present]))
    assert off.max() < limit, off.max()


@KINDS
@pytest.mark.parametrize("given", [decisions(40), decisions(20, absent=False, seed=3), extremes()])
def test_all_say_the_same(kind, given):
    net = trained(kind)
    network = make_network(kind, net.weights(), K)
    rows, context, counts = given
    with torch.no_grad():
        expected = net(torch.from_numpy(rows), torch.from_numpy(context)).numpy()
    assert_same(says(compiled_value, network, rows, context, counts), expected, rows)
    assert_same(says(value, network, rows, context, counts), expected, rows)
    run = functools.partial(session(kind, net.weights()).run, ["q"])
    assert_same(run({"candidates": rows, "context": context})[0], expected, rows)
    one_by_one = [run({"candidates": rows[i : i + 1], "context": context[i : i + 1]})[0][0] for i in range(len(rows))]
    assert_same(np.stack(one_by_one), expected, rows)
    values = expected[rows[:, :, 1] >= 0]
    assert values.std() > 0.05  # it does say something


@KINDS
def test_weights_keep_their_names_on_disk(kind, tmp_path):
    weights = trained(kind).weights()
    (tmp_path / "model.onnx").write_bytes(onnx_model(kind, weights, K))
    read = read_weights(tmp_path)
    assert read.keys() == weights.keys()
    assert all((read[name] == weights[name]).all() for name in weights)
    names = {name.removesuffix("_w").removesuffix("_b") for name in weights}
    assert names == SHAPES[kind].keys() == {n.removesuffix("_w").removesuffix("_b") for n in small_weights(kind)}


def test_a_set_has_no_order():
    net = trained("set")
    network = make_network("set", net.weights(), K)
    rows, context, counts = decisions(20)
    rng = np.random.default_rng(0)
    orders = [np.concatenate([rng.permutation(n), np.arange(n, K)]) for n in counts]
    shuffled = np.stack([row[order] for row, order in zip(rows, orders, strict=True)])
    straight = says(compiled_value, network, rows, context, counts)
    mixed = says(compiled_value, network, shuffled, context, counts)
    back = np.stack([q[order] for q, order in zip(straight, orders, strict=True)])
    assert_same(mixed, back, shuffled)
    # In ONNX and torch, those who are absent may stand anywhere, and there may be any number of them.
    anywhere = np.stack([row[rng.permutation(K)] for row in rows])
    expected = session("set", net.weights()).run(["q"], {"candidates": rows, "context": context})[0]
    with torch.no_grad():
        found = net(torch.from_numpy(anywhere), torch.from_numpy(context)).numpy()
    for i, n in enumerate(counts):
        present = anywhere[i, :, 1] >= 0
        np.testing.assert_allclose(np.sort(found[i][present]), np.sort(expected[i, :n]), rtol=1e-4, atol=1e-5)
        alone = session("set", net.weights()).run(
            ["q"], {"candidates": rows[i : i + 1, :n], "context": context[i : i + 1]}
        )
        np.testing.assert_allclose(alone[0][0], expected[i, :n], rtol=1e-4, atol=1e-5)


@KINDS
def test_rows_that_are_nobody_s_do_not_matter(kind):
    net = trained(kind)
    rows, context, counts = decisions(20)
    other = rows.copy()
    absent = rows[:, :, 1] < 0
    other[absent] = np.abs(np.random.default_rng(0).normal(0, 1e4, (absent.sum(), len(FEATURES))))
    other[absent, 1] = MISSING
    for reader in (
        session(kind, net.weights()).run,
        lambda _, given: [net(*(torch.from_numpy(part) for part in given.values())).detach().numpy()],
    ):
        one, two = (reader(["q"], {"candidates": part, "context": context})[0] for part in (rows, other))
        assert (one[~absent] == two[~absent]).all()
    network = make_network(kind, net.weights(), K)
    one, two = (says(compiled_value, network, part, context, counts) for part in (rows, other))
    assert (one[~absent] == two[~absent]).all()


@KINDS
def test_what_is_hidden_does_not_matter(kind):
    net = trained(kind, features=PAPER_FEATURES)
    rows, context, counts = decisions(20)
    other = rows.copy()
    other[:, :, 6:][rows[:, :, 1] >= 0] = 123.0
    network = make_network(kind, net.weights(), K)
    one, two = (says(compiled_value, network, part, context, counts) for part in (rows, other))
    present = rows[:, :, 1] >= 0
    assert (one[present] == two[present]).all()
    whole = make_network(kind, trained(kind).weights(), K)
    one, two = (says(compiled_value, whole, part, context, counts) for part in (rows, other))
    assert (one[present] != two[present]).mean() > 0.9


@KINDS
def test_one_candidate_is_worth_what_the_state_is(kind):
    network = make_network(kind, trained(kind).weights(), K)
    rows, context, _ = decisions(1, absent=False)
    rows[:, 1:] = MISSING
    compiled_value(network, rows[0], context[0], 1)
    alone = network.q[0]
    rows[:, 1:] = decisions(1, absent=False, seed=4)[0][:, 1:]
    compiled_value(network, rows[0], context[0], K)
    assert np.isfinite(alone)
    assert (network.q != alone).all()


def test_the_speed_of_a_trace_does_not_matter():
    # Seconds are counted in mean gaps: a trace that is played twice as fast looks the same.
    network = make_network("set", trained("set").weights(), K)
    rows, context, counts = decisions(20)
    fast, quick = rows.copy(), context.copy()
    seconds = [name.endswith("_s") and name != "origin_s" for name in FEATURES]
    fast[:, :, seconds] = np.where(rows[:, :, seconds] < 0, MISSING, rows[:, :, seconds] / 2)
    quick[:, 0] /= 2
    one = says(compiled_value, network, rows, context, counts)
    assert_same(says(compiled_value, network, fast, quick, counts), one, rows)


def test_the_model_that_comes_with_the_package():
    folder = parse_policy("cold_rl").folder
    known = read_metadata(folder)
    with np.load(folder / "parity.npz") as parity:
        rows, context, q = parity["candidates"], parity["context"], parity["q"]
    assert rows.shape == (32, known.k, len(FEATURES))
    assert (rows[:, :, 1] < 0).any()
    assert ((rows < 0) & (rows[:, :, 1:2] >= 0)).any()
    weights = read_weights(folder)
    network = make_network(known.network, weights, known.k)
    counts = (rows[:, :, 1] >= 0).sum(1)
    assert_same(says(compiled_value, network, rows, context, counts), q, rows, 1e-4)
    runner = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert_same(runner.run(["q"], {"candidates": rows, "context": context})[0], q, rows, 1e-4)
    assert onnx_model(known.network, weights, known.k) == (folder / "model.onnx").read_bytes()
