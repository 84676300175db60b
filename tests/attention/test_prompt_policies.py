"""Policies that rank a prompt: each against its naive twin in float64, and small stories with the reason beside them."""

from __future__ import annotations

import numpy as np
import pytest
from attention import naive_prompt as naive
from attention.tie_aware import contradiction

from evictlab.policies.kv import parse_kv_policy
from evictlab.policies.kv.calibration import Calibration
from evictlab.policies.kv.context import Layer, Prompt
from evictlab.policies.kv.prompt.adakv import moderated, safeguarded
from evictlab.policies.kv.prompt.cake import share_by_preference
from evictlab.policies.kv.prompt.compresskv import share_by_error
from evictlab.policies.kv.prompt.pyramidkv import ramp
from evictlab.policies.kv.setting import Rotary, Setting
from evictlab.sim.attention import prepare, replay_attention
from evictlab.sim.attention.calibrate import answering_steps, calibrate, layer_errors, needle_mass
from evictlab.sim.attention.log import PROMPT
from evictlab.traces.attention import open_attention, random_attention
from evictlab.traces.errors import FormatError, UsageError

BUDGET = 22
PROTECTED = {"none": set(), "sink=2,recent=3": {0, 1, 57, 58, 59}}
SMALL = "window=6"

TWINS = [
    ("snapkv", {"kernel": 3}),
    ("snapkv", {"kernel": 5, "pooling": "max", "gqa": "max"}),
    ("snapkv", {"gqa": "none"}),
    ("pyramidkv", {}),
    ("pyramidkv", {"beta": 3, "gqa": "none"}),
    ("pyramidkv", {"beta": 3, "variant": "kvpress"}),
    ("adakv", {}),
    ("adakv", {"kernel": 3, "pooling": "avg", "gqa": "none", "alpha": 0.5}),
    ("adakv", {"normalize": True}),
    ("adakv", {"pyramid": True}),
    ("adakv", {"variant": "kvpress", "alpha": 0.6}),
    ("criticalkv", {}),
    ("criticalkv", {"first": 0.9, "gqa": "none", "epsilon": 0.01}),
    ("criticalkv", {"ada": True}),
    ("criticalkv", {"ada": True, "alpha": 0.8, "epsilon": 0.1}),
    ("defensivekv", {}),
    ("defensivekv", {"bias": "window", "mass": 0.5}),
    ("defensivekv", {"gqa": "none"}),
    ("layer_defensivekv", {}),
    ("cake", {}),
    ("cake", {"gqa": "none", "tau2": 1.5, "gamma": 3.0}),
    ("compresskv", {"heads": 2}),
    ("expected_attention", {"future": 20}),
    ("expected_attention", {"future": 20, "covariance": False, "epsilon": 0.02, "gqa": "none"}),
    ("keydiff", {}),
    ("keydiff", {"block": 7}),
    ("knorm", {}),
]
NO_WINDOW = ("expected_attention", "keydiff", "knorm")


@pytest.fixture(scope="module")
def ready():
    """Three layers of six query heads on two KV heads, in float64."""
    trace = random_attention(3, layers=3, heads=6, kv_heads=2, head_dim=8, prompt=60, decode=5, d_model=12)
    return prepare(trace, dtype=np.float64)


def case_of(ready, protect, budget=BUDGET):
    n = ready.request.n_prompt
    return naive.Case(
        q=[q[:, :n] for q in ready.q],
        k=[k[:, :n] for k in ready.k],
        v=[v[:, :n] for v in ready.v],
        wo=ready.wo,
        budget=budget,
        protected=PROTECTED[protect],
    )


def words(name, more):
    settings = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in more.items()]
    return ":".join([name, *settings])


def kept_of_prompt(ready, policy, protect, budget=BUDGET):
    """bool[layers, rows, n]: what is left of the prompt."""
    run = replay_attention(ready, policy, budget, protect=protect)
    streams = run.setting.streams(parse_kv_policy(policy).gqa)
    died = run.log.died(streams, run.setting.capacity)[:, : run.setting.prompt]
    return (died != PROMPT).reshape(run.setting.layers, -1, run.setting.prompt)


def assert_agree(kept, expected):
    """The same number of keys in each head, and the best ones by the twin's score."""
    for layer, (of_layer, (scores, counts)) in enumerate(zip(kept, expected, strict=True)):
        assert [int(row.sum()) for row in of_layer] == counts, f"layer {layer}"
        for row, score, count in zip(of_layer, scores, counts, strict=True):
            theirs = np.zeros(len(row), bool)
            theirs[[i for _, i in naive.best([(x, i) for i, x in enumerate(score)], count)]] = True
            finite = np.array(score)[np.isfinite(score)]
            assert contradiction(row, theirs, score, tol=1e-12 * np.abs(finite).max()) is None


@pytest.mark.parametrize("protect", PROTECTED)
@pytest.mark.parametrize(("name", "more"), TWINS, ids=[words(name, more) for name, more in TWINS])
def test_twin(ready, name, more, protect):
    asked = more if name in NO_WINDOW else {"window": 6, **more}
    twin = naive.defensivekv if name == "layer_defensivekv" else getattr(naive, name)
    extra = {"whole": True} if name == "layer_defensivekv" else {}
    if name == "pyramidkv" and more.get("variant") == "kvpress" and protect == "none":
        assert len(set(naive.pyramid_slots(case_of(ready, protect), 6, 3, "kvpress"))) > 1, "no pyramid was tested"
    assert_agree(kept_of_prompt(ready, words(name, asked), protect), twin(case_of(ready, protect), **asked, **extra))


@pytest.mark.parametrize(
    "name", ["snapkv", "pyramidkv", "adakv", "criticalkv", "defensivekv", "layer_defensivekv", "cake"]
)
def test_budget_is_kept_to_the_slot_or_nearly(ready, name):
    """What is shared out sums to the budget; Ada-KV alone may lose a slot a head to rounding."""
    kept = kept_of_prompt(ready, f"{name}:window=6", "none")
    assert kept.shape[0] * kept.shape[1] * BUDGET - kept.sum() == pytest.approx(0, abs=6 if name == "adakv" else 0)


@pytest.mark.parametrize(
    "name", ["pyramidkv", "adakv", "criticalkv:ada=true", "layer_defensivekv", "cake", "keydiff:block=9"]
)
def test_a_budget_for_everything_evicts_nothing(ready, name):
    assert replay_attention(ready, name, 65).log.evictions == 0


@pytest.mark.parametrize("name", ["snapkv", "adakv", "criticalkv", "criticalkv:ada=true", "defensivekv", "compresskv"])
def test_interval_goes_on_evicting(ready, name):
    """Asked again after every two steps, a head never holds more than its budget and one slot above it."""
    run = replay_attention(ready, f"{name}:window=6:interval=2", BUDGET)
    assert run.log.evictions > kept_of_prompt(ready, f"{name}:window=6", "none").size - 6 * BUDGET
    assert run.live[-1].sum() <= 6 * (BUDGET + 2)


def test_cake_decodes_as_its_twin(ready):
    """Every step, each head keeps the last 6 and what the newest query looks at most before them, pooled over 5."""
    run = replay_attention(ready, "cake:window=6", BUDGET)
    kept = kept_of_prompt(ready, "cake:window=6", "none")
    died = run.log.died(run.setting.streams("mean"), run.setting.capacity).reshape(3, 2, -1)
    n, scale = ready.request.n_prompt, ready.trace.manifest.scale
    for layer in range(3):
        ids = [list(np.flatnonzero(row)) for row in kept[layer]]
        budget = len(ids[0])
        for step in range(ready.request.n_decode):
            ids = [[*row, n + step] for row in ids]
            query = ready.q[layer][:, ready.q[layer].shape[1] - ready.request.n_decode + step]
            weights = []
            for head in range(6):
                logits = ready.k[layer][head // 3, ids[head // 3]] @ query[head] * scale
                grown = np.exp(logits - logits.max())
                weights.append(list(grown / grown.sum()))
            ids = naive.cake_step(weights, ids, 2, budget, window=6)
            for head in range(2):
                alive = np.flatnonzero(died[layer, head, : n + step + 1] > step)
                assert alive.tolist() == ids[head]


# --- stories ------------------------------------------------------------------------------------------------------------


def layer_of(policy, weights, norms=None, budget=4, values=None):
    """A hand-made layer: weights[head][row][key] of the window."""
    weights = np.array(weights, np.float64)
    heads, _, n = weights.shape
    setting = Setting(
        layers=1, sequences=1, heads=heads, kv_heads=heads, head_dim=2, prompt=n, capacity=n + 1, budget=budget
    )
    norms = np.ones((heads, n)) if norms is None else np.array(norms, np.float64)
    return Layer(
        index=0,
        n=n,
        setting=setting,
        needs=policy.needs(),
        rotary=Rotary(),
        streams=slice(0, heads),
        sources={"weights": lambda window: weights[:, -window:], "projected_norms": lambda: norms},
    )


def left(policy, layer):
    """The keys that each head keeps of a hand-made layer."""
    prompt = Prompt(layer.setting, [layer], np.full(layer.heads, layer.setting.budget, np.int32))
    (evicted,) = policy.make(layer.setting).on_prompt(prompt)
    gone = {(int(row), int(key)) for row, key in zip(evicted.streams, evicted.ids, strict=True)}
    return [[key for key in range(layer.n) if (row, key) not in gone] for row in range(layer.heads)]


def test_a_pyramid_gives_lower_layers_more():
    """Budget 20 of 200 keys, 4 of them a window: 16 free ones on average, from 2 * 16 down to nothing."""
    assert ramp(20, 4, 200, 5, 20).tolist() == [36, 28, 20, 12, 4]
    # kvpress ramps over all 20, from 39 to 1: the top layer would lose its window, so it gives up and shares alike ...
    assert ramp(20, 4, 200, 5, 20, "kvpress").tolist() == [20] * 5
    # ... and with a window of 1 it ramps without adding it.
    assert ramp(20, 1, 200, 5, 20, "kvpress").tolist() == [39, 30, 20, 10, 1]
    # From 17.5 to 2.5 in steps of 5; halves go to the even number, so that the sum is kept.
    assert ramp(10, 1, 100, 4, 4, "kvpress").tolist() == [18, 12, 8, 2]


def test_a_pyramid_keeps_the_sum_where_steps_are_no_whole_numbers():
    """The authors' code rounds the step down: 7 layers of 10 to 0 in steps of 1 would be 49 slots instead of 35."""
    slots = ramp(5, 0, 100, 7, 6)
    assert slots.sum() == 35
    assert (np.diff(slots) <= 0).all()
    assert slots[0] == 10


def test_a_short_text_has_no_pyramid():
    """The authors' code shares alike where the text is shorter than twice the budget; from there on the ramp begins flat.

    44 slots, 8 held, 72 keys: the first layer would get 2 * 36 - 1 = 71 free ones and there are 64, so the last gets 8.
    """
    assert ramp(60, 4, 100, 3, 20).tolist() == [60, 60, 60]
    assert ramp(44, 8, 71, 3, 20).tolist() == [44, 44, 44]
    assert ramp(44, 8, 72, 3, 20).tolist() == [72, 44, 16]


def test_a_flat_head_gets_more_than_a_peaked_one():
    """Three slots each: the peaked head's mass is on one key, so the one ranking gives it one slot and the other five."""
    peaked, flat = [0.94, 0.01, 0.01, 0.01, 0.01, 0.02], [0.2, 0.15, 0.16, 0.17, 0.18, 0.14]
    scores = np.array([peaked, flat])
    assert moderated(scores, 3, 0.0).tolist() == [1, 5]
    # With alpha 0.5: half of (1, 5), and half of 3 rounded down for both: (1.5, 3.5), to even numbers.
    assert moderated(scores, 3, 0.5).tolist() == [2, 4]
    # kvpress: a floor of int(3 * 0.7) = 2 keys that binds.
    assert safeguarded(scores, 3, 0, 0.7).tolist() == [2, 4]


def test_normalising_weighs_a_head_by_what_its_budget_covers():
    """One slot each. The first head's slot would cover 4 of 9, so that its keys count 0.18: less than the second's 0.2."""
    uneven = np.array([[0.4, 0.4, 0.1], [0.2, 0.0, 0.0]])
    assert moderated(uneven, 1, 0.0).tolist() == [2, 0]
    assert moderated(uneven, 1, 0.0, normalize=True).tolist() == [1, 1]


def test_rounding_cannot_exceed_the_budget():
    """Three heads get 1.6 each of 4.8: rounded one by one they would be 6. The largest gives back."""
    scores = np.array([[3.0, 2.0, 0.0], [3.0, 2.0, 0.0], [3.0, 2.0, 0.0]])
    assert moderated(scores, 2, 0.2).sum() <= 6
    uneven = np.array([[9.0, 8.0, 7.0, 0.0], [9.0, 8.0, 7.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert moderated(uneven, 2, 0.5).tolist() == [2, 2, 1]


def test_criticalkv_prefers_a_large_projected_value():
    """Stage 1 takes key 0. Key 2 is attended to less than key 1, and what it fetches is ten times as large."""
    weights = [[[0.4, 0.2, 0.1, 0.0, 0.3]]]
    norms = [[1.0, 1.0, 10.0, 1.0, 1.0]]
    snap, critical = (parse_kv_policy(f"{name}:window=1:kernel=1") for name in ("snapkv", "criticalkv"))
    assert left(snap, layer_of(snap, weights, norms, budget=3)) == [[0, 1, 4]]
    # Of 3 slots stage 1 takes int(1.5) = 1: the window. So both others are chosen by attention times norm.
    assert left(critical, layer_of(critical, weights, norms, budget=3)) == [[0, 2, 4]]
    # Norms alone do not win: with all of the budget in stage 1 it is SnapKV.
    first = parse_kv_policy("criticalkv:window=1:kernel=1:first=1.0")
    assert left(first, layer_of(first, weights, norms, budget=3)) == [[0, 1, 4]]


def test_defensivekv_keeps_what_one_query_needs_badly():
    """Key 1 has the larger mean, and key 2 is all that one of four queries looks at: SnapKV drops it, DefensiveKV does not."""
    rows = [[0.1, 0.5, 0.0, 0.0, 0.1, 0.1, 0.1, 0.1]] * 3 + [[0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.1]]
    snap, defensive = (parse_kv_policy(f"{name}:window=4:kernel=1") for name in ("snapkv", "defensivekv:mass=0"))
    assert left(snap, layer_of(snap, [rows], budget=5)) == [[1, 4, 5, 6, 7]]
    assert left(defensive, layer_of(defensive, [rows], budget=5)) == [[2, 4, 5, 6, 7]]


def test_defensivekv_subtracts_another_bias_than_it_says():
    """The code's bias is attention just before the window: here all of it, so that nothing is taken first."""
    rows = [[0.1, 0.1, 0.4, 0.4, 0.0, 0.0]] * 2
    code, said = (
        parse_kv_policy(f"defensivekv:window=2:kernel=1:mass=0.95:bias={bias}") for bias in ("code", "window")
    )
    ends = [policy.score(layer_of(policy, [rows], budget=5))[0, :4] for policy in (code, said)]
    assert ends[0].tolist() == pytest.approx([0.25, 0.25, 0.4, 0.4])  # key 0 and 1 at the floor, the mean risk
    assert ends[1].tolist() == pytest.approx([0.25, 0.4, 0.4, 0.4])  # three keys lie below 95 %: all are lifted


def test_layer_defensivekv_holds_the_whole_prompt_once(ready):
    """Its layers compete, so nothing leaves before the last: the peak is the uncompressed prompt, unlike DefensiveKV's."""
    whole = replay_attention(ready, "layer_defensivekv:window=6", BUDGET)
    layered = replay_attention(ready, "defensivekv:window=6", BUDGET)
    prompt = 2 * 4 * 8 * 60 * 3 * 2  # key and value, float32, head_dim, tokens, layers, KV heads
    assert whole.peak_bytes[0] == prompt
    assert layered.peak_bytes[0] < prompt


def test_cake_shares_by_preference_and_gives_back_what_a_layer_cannot_use():
    """30 slots as 8 : 1 : 1 would be 24, 3, 3; at most 10 fit, and the 14 beyond go to the others alike."""
    assert share_by_preference(np.array([8.0, 1.0, 1.0]), 30, 10).tolist() == [10, 10, 10]
    assert share_by_preference(np.array([8.0, 1.0, 1.0]), 30, 20).tolist() == [20, 5, 5]
    assert share_by_preference(np.array([1.0, 1.0, 1.0]), 10, 20).tolist() == [4, 3, 3]
    assert share_by_preference(np.zeros(3), 9, 20).tolist() == [3, 3, 3]


def test_cake_prefers_keys_whose_attention_changes():
    """Key 1 has the smaller mean and jumps between 0 and 0.3; gamma makes it worth more than the steady key 0."""
    rows = [[0.2, 0.0, 0.1, 0.7, 0.0], [0.2, 0.3, 0.1, 0.0, 0.4]]
    changing, steady = (parse_kv_policy(f"cake:window=2:kernel=1:gamma={gamma}") for gamma in (200, 0))
    assert left(changing, layer_of(changing, [rows], budget=3)) == [[1, 3, 4]]
    assert left(steady, layer_of(steady, [rows], budget=3)) == [[0, 3, 4]]
    # Of two rows that differ by 0.3 the variance is 0.3 ** 2 / 2 (of a sample), and the mean 0.15.
    scores, preference = changing.score(layer_of(changing, [rows]))
    assert scores[0].tolist() == pytest.approx([0.2, 0.15 + 200 * 0.045, 0.1, 0, 0])
    seen = np.array([0.2, 0.1, 0.2, 0.3, 0.1])
    assert preference == pytest.approx((-(seen * np.log(seen)).sum()) ** (1 / 1.6) * 0.045 ** (1 / 0.4), rel=1e-6)


def test_knorm_and_keydiff_look_at_keys_alone():
    """Knorm drops the longest key. KeyDiff drops one of those that point as most do, whatever its length."""
    keys = np.array([[[1.0, 0.0], [9.0, 0.0], [2.0, 0.0], [0.0, 3.0]]])
    for name, gone in (("knorm", 1), ("keydiff", 0)):
        policy = parse_kv_policy(name)
        layer = layer_of(policy, [[[0.25] * 4]], budget=3)
        layer.sources["keys"] = lambda: keys
        assert left(policy, layer) == [[key for key in range(4) if key != gone]]


# --- CompressKV and its calibration -------------------------------------------------------------------------------------


def test_shares_by_error():
    """A floor of 4 each, the other 18 as 2 : 1 : 0, none above 12; what is cut off goes to the next."""
    assert share_by_error(np.array([2.0, 1.0, 0.0]), 10, 4, 30).tolist() == [16, 10, 4]
    assert share_by_error(np.array([2.0, 1.0, 0.0]), 10, 4, 12).tolist() == [12, 12, 6]
    # 1.8, 3.6 and 12.6 more than 4: two slots are left over, for the two layers of largest error.
    assert share_by_error(np.array([0.1, 0.2, 0.7]), 10, 4, 30).tolist() == [5, 8, 17]


def test_compresskv_asks_the_heads_of_its_calibration(ready, tmp_path):
    """Heads, shares and file together, against the twin."""
    chosen, errors = ((5, 0, 1), (2, 1, 0), (3, 4, 5)), (0.5, 0.2, 0.3)
    path = tmp_path / "calibration.json"
    Calibration("synthetic", tuple(info.index for info in ready.trace.manifest.layers), chosen, errors).save(path)
    policy = f"compresskv:window=6:heads=2:floor=8:calibration={path}"
    expected = naive.compresskv(case_of(ready, "none"), window=6, heads=2, chosen=chosen, errors=errors, floor=8)
    kept = kept_of_prompt(ready, policy, "none")
    assert_agree(kept, expected)
    assert (kept[:, 0] == kept[:, 1]).all(), "one set for all heads of a layer"
    assert not (kept == kept_of_prompt(ready, "compresskv:window=6:heads=2:floor=8", "none")).all()


def test_calibration_of_a_needle(ready):
    """Mass and error as defined, in plain loops; heads in the order of their mass."""
    found = calibrate(ready, (20, 26), steps=[1, 3], policy="snapkv:window=6", budget="30%")
    n, scale = ready.request.n_prompt, ready.trace.manifest.scale
    run = replay_attention(ready, "snapkv:window=6", "30%")
    died = run.log.died(6, n + 5).reshape(3, 2, -1)
    moved = []
    for layer in range(3):
        mass, change, size = [0.0] * 6, 0.0, 0.0
        for step in range(5):
            for head in range(6):
                keys, values = ready.k[layer][head // 3], ready.v[layer][head // 3]
                query = ready.q[layer][head, ready.q[layer].shape[1] - 5 + step]
                grown = np.exp(keys[: n + step + 1] @ query * scale)
                if step in (1, 3):
                    mass[head] += grown[20:26].sum() / grown.sum() / 2
                live = died[layer, head // 3, : n + step + 1] != PROMPT
                full = grown @ values[: n + step + 1] / grown.sum()
                cut = grown[live] @ values[: n + step + 1][live] / grown[live].sum()
                change, size = change + ((cut - full) ** 2).sum(), size + (full**2).sum()
        np.testing.assert_allclose(needle_mass(ready, (20, 26), [1, 3])[layer], mass, rtol=1e-10)
        assert found.heads[layer] == tuple(sorted(range(6), key=lambda head: -mass[head]))
        moved.append((change / size) ** 0.5)
    np.testing.assert_allclose(layer_errors(ready, "snapkv:window=6", "30%"), moved, rtol=1e-8)
    np.testing.assert_allclose(found.errors, np.array(moved) / sum(moved), rtol=1e-8)


def test_a_calibration_is_read_as_it_was_written(ready, tmp_path):
    found = calibrate(ready, (20, 26), steps=[0], budget="40%", policy="snapkv:window=6")
    found.save(tmp_path / "one.json")
    again = Calibration.load(tmp_path / "one.json")
    assert again == found
    assert again.of([again.layers[2], again.layers[0]]).heads == (found.heads[2], found.heads[0])


def test_what_a_calibration_refuses(ready, tmp_path):
    with pytest.raises(FormatError, match=r"calibrate writes it"):
        Calibration.load(tmp_path / "nowhere.json")
    (tmp_path / "other.json").write_text('{"layers": 3}')
    with pytest.raises(FormatError, match="no calibration"):
        replay_attention(ready, f"compresskv:calibration={tmp_path / 'other.json'}", BUDGET)
    Calibration("m", (7,), ((0,),), (1.0,)).save(tmp_path / "few.json")
    with pytest.raises(UsageError, match=r"holds layers \[7\], and layers \[0, 1, 2\] are asked for"):
        replay_attention(ready, f"compresskv:calibration={tmp_path / 'few.json'}", BUDGET)
    with pytest.raises(UsageError, match="does not lie in the prompt"):
        needle_mass(ready, (50, 61), [0])
    with pytest.raises(UsageError, match="each layer has one of each"):
        Calibration("m", (7, 8), ((0,),), (1.0,))


def test_retrieval_heads_of_a_real_model(shared_data):
    """Passkey: the needle stands at 405..431, and some heads look there when they answer, others never do."""
    path = shared_data / "attention" / "smollm2-135m_passkey_teacher_p1024_d7_l30_sub.safetensors"
    ready = prepare(open_attention(path))
    steps = answering_steps(ready, (405, 432))
    assert steps
    mass = needle_mass(ready, (405, 432), steps)
    assert mass.max() > 0.5
    assert np.median(mass) < 0.1
    # The three best heads of the layers lie elsewhere than chance would put them: the best has many times the median.
    assert mass.max() > 10 * np.median(mass)


def test_bad_parameters_are_refused(ready):
    for policy, said in (
        ("pyramidkv:variant=paper", "none of official, kvpress"),
        ("pyramidkv:beta=0", "at least 1"),
        ("adakv:alpha=2", "between 0 and 1"),
        ("defensivekv:bias=none", "neither code nor window"),
        ("expected_attention:interval=4", "leave interval away"),
        ("compresskv:heads=0", "at least one head"),
        ("snapkv:kernel=4", "an odd number, 3 or 5"),
    ):
        with pytest.raises(UsageError, match=said):
            replay_attention(
                ready, policy if "window" in policy or "expected" in policy else f"{policy}:window=6", BUDGET
            )
