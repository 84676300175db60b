"""Training, in small: it learns, is taken up again, touches nothing that is not its own, and does not peek."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

from evictlab.policies.learned.model import METADATA, MODEL, PARITY, read_metadata, read_weights  # noqa: E402
from evictlab.rl.engine.library import make_library  # noqa: E402
from evictlab.rl.learn import train as training_module  # noqa: E402
from evictlab.rl.learn.folder import HISTORY  # noqa: E402
from evictlab.rl.learn.hindsight import Game, by_rule, collect, play  # noqa: E402
from evictlab.rl.learn.plan import Training, lay_out  # noqa: E402
from evictlab.rl.learn.train import train  # noqa: E402
from evictlab.sim import replay  # noqa: E402
from evictlab.traces.errors import EvictlabError, UnknownNameError, UsageError  # noqa: E402
from evictlab.traces.generate import trap, zipf  # noqa: E402

SMALL = Training(
    ("25MiB",), k=16, tail=4, ttl="trace", hidden=8, warm_start=400, rounds=2, fit_steps=200, decisions=0, batch=32
)
DQN = replace(SMALL, warm_start=0, fit_steps=1, decisions=128, judge_every=64, envs=4, buffer=400)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads only wait for each other where networks are small, and long where other processes are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def logs():
    return [trap(n_requests=3000, seed=seed) for seed in (100, 101, 102)]


@pytest.fixture(scope="module")
def learnt(logs, tmp_path_factory):
    """One finished training, and its folder."""
    folder = tmp_path_factory.mktemp("learnt") / "model"
    history = train(logs, folder, replace(SMALL, fit_steps=400), provenance={"command": "here"})
    return folder, history


def rows(found):
    """What a history says, without what does not depend on the training."""
    return [(entry["stage"], entry["number"], entry["hit_ratio"]) for entry in found["judged"]]


def test_it_learns(learnt, logs):
    folder, history = learnt
    assert [row[:2] for row in rows(history)] == [("warm start", 1), ("warm start", 2)]
    assert history["finished"]
    assert history["best"]["hit_ratio"] == max(entry["hit_ratio"] for entry in history["judged"])
    assert history == json.loads((folder / HISTORY).read_text())
    known = read_metadata(folder)
    assert (known.k, known.tail, known.network) == (16, 4, "set")
    assert known.trained["command"] == "here"
    assert known.trained["judged"] == history["best"]
    assert known.trained["learnt_requests"] == 6000
    # On a log that it has never seen, and on the one that judged, where the policy is what was judged.
    unseen = replay(trap(n_requests=3000, seed=7), f"cold_rl:{folder},lru", "25MiB", ttl="trace").frame
    ours, lru = 1 - unseen["miss_ratio"]
    assert ours > lru + 0.03
    judged = 1 - replay(logs[2], f"cold_rl:{folder}", "25MiB", ttl="trace").frame["miss_ratio"]
    assert judged.iloc[0] == pytest.approx(history["best"]["hit_ratio"], abs=0.02)  # other draws


def test_a_finished_training_is_left_as_it_is(learnt, logs):
    folder, history = learnt
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != HISTORY}
    assert train(logs, folder, replace(SMALL, fit_steps=400)) == history
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != HISTORY}
    assert after == before


def test_parity_rows_try_what_is_missing(learnt):
    folder, _ = learnt
    with np.load(folder / PARITY) as parity:
        candidates, q = parity["candidates"], parity["q"]
    assert candidates.shape == (32, 16, 11)
    absent = candidates[:, :, 1] < 0
    assert absent.any()
    assert (candidates[absent] == -1).all()
    assert ((candidates == -1) & ~absent[:, :, None]).any()
    assert np.isfinite(q[~absent]).all()


class Interrupted(Exception):
    pass


def broken_off(monkeypatch, logs, folder, training, judgements, **given):
    """Train until the given judgement is to begin, and be interrupted there."""
    judge, count = training_module._Run._judge, [0]

    def fragile(run, *args):
        count[0] += 1
        if count[0] > judgements:
            raise Interrupted
        judge(run, *args)

    with monkeypatch.context() as patch:
        patch.setattr(training_module._Run, "_judge", fragile)
        with pytest.raises(Interrupted):
            train(logs, folder, training, **given)


@pytest.mark.parametrize("judgements", [0, 1, 2])
def test_a_warm_start_is_taken_up_again(monkeypatch, logs, tmp_path, judgements):
    training = replace(SMALL, fit_steps=60, rounds=3)
    whole = train(logs, tmp_path / "whole", training)
    broken_off(monkeypatch, logs, tmp_path / "broken", training, judgements)
    torch.rand(3)  # what else this process draws does not matter
    resumed = train(logs, tmp_path / "broken", training)
    assert rows(resumed) == rows(whole)
    for name in (MODEL, METADATA, PARITY):
        assert (tmp_path / "broken" / name).is_file()
    assert (tmp_path / "broken" / MODEL).read_bytes() == (tmp_path / "whole" / MODEL).read_bytes()


def test_the_dqn_is_taken_up_again(monkeypatch, logs, tmp_path):
    broken_off(monkeypatch, logs, tmp_path, DQN, 1)
    first = json.loads((tmp_path / HISTORY).read_text())
    assert [row[:2] for row in rows(first)] == [("DQN", 64)]
    resumed = train(logs, tmp_path, DQN)
    assert rows(resumed)[0] == rows(first)[0]
    assert [row[:2] for row in rows(resumed)] == [("DQN", 64), ("DQN", 128)]
    assert resumed["finished"]
    read_metadata(tmp_path)


def test_other_parameters_are_refused(learnt, logs):
    folder, _ = learnt
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for other, traces in ((SMALL, logs), (replace(SMALL, fit_steps=400), logs[1:])):
        with pytest.raises(UsageError, match=r"other parameters or logs.*--anew"):
            train(traces, folder, other)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_anew(monkeypatch, logs, tmp_path):
    one = train(logs, tmp_path, replace(SMALL, rounds=1, fit_steps=20))
    broken_off(monkeypatch, logs, tmp_path, replace(SMALL, rounds=1, fit_steps=10), 0, resume=False)
    with pytest.raises(UsageError, match="holds no trained model"):  # the old one is of other parameters
        read_metadata(tmp_path)
    two = train(logs, tmp_path, replace(SMALL, rounds=1, fit_steps=10), resume=False)
    assert two["training"]["fit_steps"] == 10
    assert len(one["judged"]) == len(two["judged"]) == 1
    assert read_metadata(tmp_path).trained["judged"] == two["best"]


def test_a_folder_of_something_else_is_not_touched(logs, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for resume in (True, False):
        with pytest.raises(UsageError, match="holds something else"):
            train(logs, tmp_path, SMALL, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / HISTORY).write_text('{"steps": 3}')
    with pytest.raises(UsageError, match="other parameters or logs"):
        train(logs, tmp_path, SMALL)
    (tmp_path / HISTORY).write_text("{")
    with pytest.raises(UsageError):
        train(logs, tmp_path, SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.tex", HISTORY}


@pytest.mark.parametrize(
    ("network", "hindsight", "reward"),
    [("set", True, "bounded"), ("set", False, "hits"), ("flat", True, "bounded"), ("flat", False, "paper")],
)
def test_the_dqn_in_all_its_forms(logs, tmp_path, network, hindsight, reward):
    training = replace(DQN, network=network, hindsight=hindsight, reward=reward, decisions=96, judge_every=96)
    history = train(logs, tmp_path, training)
    assert [row[:2] for row in rows(history)] == [("DQN", 96)]
    assert read_metadata(tmp_path).network == network
    assert all(np.isfinite(part).all() for part in read_weights(tmp_path).values())
    frame = replay(trap(n_requests=800, seed=7), f"cold_rl:{tmp_path}", "5MB", ttl="trace").frame
    assert frame["hits"].iloc[0] > 0


def test_the_dqn_changes_what_the_warm_start_has_found(logs, tmp_path):
    training = replace(SMALL, rounds=1, fit_steps=50, decisions=128, judge_every=64, envs=4, buffer=400)
    history = train(logs, tmp_path, training)
    assert [row[:2] for row in rows(history)] == [("warm start", 1), ("DQN", 64), ("DQN", 128)]


def test_exploration_fades_over_the_whole_training(monkeypatch, logs, tmp_path):
    """Not over each stretch between two judgements: that would make it depend on how often one looks."""
    from stable_baselines3.common.save_util import load_from_zip_file

    rates = []
    for judge_every, judgements in ((32, 2), (64, 1)):
        folder = tmp_path / str(judge_every)
        broken_off(
            monkeypatch, logs, folder, replace(DQN, decisions=640, judge_every=judge_every, epsilon=0.1), judgements
        )
        data, _, _ = load_from_zip_file(folder / "learner.zip")
        rates.append(data["exploration_rate"])
    # From 1 to 0.1 over 30 % of the 640 decisions; the last one that was saved is number 96, or number 128.
    assert rates == pytest.approx([1 - 0.9 * 96 / 192, 1 - 0.9 * 128 / 192], abs=0.03)


def test_a_single_log_is_split_by_time():
    log = trap(n_requests=4000, seed=9)
    ground = lay_out(replace(SMALL, sizes=("5MB", "10%")), [log])
    assert [len(trace) for trace in ground.traces] == [2800]
    assert len(ground.library.ids) == 2800
    assert ground.held_back == pytest.approx(0.15)
    for game in ground.games:
        assert (game.start, game.stop, game.count_from) == (0, 2800, 0)
    for game in ground.judge_games:
        assert (game.start, game.stop, game.count_from) == (0, 3400, 2800)
    # 10% of what was given, not of a part; and no request after the cut is anyone's next one.
    assert [game.capacity for game in ground.games] == [5_000_000, int(log.footprint_bytes * 0.1)]
    uses = ground.library.next_use
    assert uses[uses < np.iinfo(np.int32).max].max() < 2800


def test_nothing_after_the_cut_is_learnt_from(tmp_path):
    """Two logs that are the same up to the cut make the same network, whatever comes later."""
    log = trap(n_requests=3000, seed=9)
    keys, end = log.ids.astype(np.int64).copy(), int(0.7 * 3000)
    keys[end:] = 5000 + np.arange(3000 - end) % 7
    other = type(log).from_columns(keys, log.sizes, log.times, log.ttls, log.costs)
    training = replace(SMALL, fit_steps=30, rounds=1)
    nets = []
    for name, one in (("one", log), ("other", other)):
        history = train([one], tmp_path / name, training)
        assert history["rounds"] == 1
        nets.append(read_weights(tmp_path / name))
    assert all((nets[0][name] == nets[1][name]).all() for name in nets[0])


def test_of_several_logs_some_judge():
    logs = [trap(n_requests=1500, seed=seed) for seed in range(9)]
    for n, judges in ((2, [1]), (3, [2]), (4, [3]), (7, [3]), (9, [3, 7])):
        ground = lay_out(replace(SMALL, sizes=("5MB",), horizon=50), logs[:n])
        assert list(ground.judge_library.names) == [logs[i].name for i in judges]
        assert [trace.name for trace in ground.traces] == [logs[i].name for i in range(n) if i not in judges]
        assert ground.held_back == 0


def test_hits_before_the_cut_do_not_count_in_a_judgement():
    """All hits lie before the cut."""
    n = 300
    keys = np.concatenate([np.arange(n) % 5, np.arange(n) + 100])
    trace = type(zipf(10, 3)).from_columns(keys, sizes=np.ones(2 * n, int))
    library = make_library([trace])
    ratios = play(library, [Game(0, 50, 0, 2 * n, 10, count_from=n)], by_rule, k=4, tail=2)
    assert ratios.tolist() == [0.0]
    whole = play(library, [Game(0, 50, 0, 2 * n, 10)], by_rule, k=4, tail=2)
    assert whole[0] == pytest.approx((n - 5) / (2 * n))


def test_decisions_are_collected_where_their_future_is_known(logs):
    library = make_library(logs[:1], ttl="trace")
    games = [Game(0, 26_214_400, 0, 3000, 300), Game(0, 10_000_000, 0, 2000, 100)]
    few = collect(library, games, by_rule, k=8, tail=2, most=300, seed=1)
    assert 100 < len(few) < 700
    all_of_them = collect(library, games, by_rule, k=8, tail=2, most=10**6, seed=1)
    assert len(all_of_them) > 2 * len(few)
    again = collect(library, games, by_rule, k=8, tail=2, most=300, seed=1)
    assert torch.equal(again.candidates, few.candidates)
    assert torch.equal(again.hits, few.hits)
    present = few.candidates[:, :, 1] >= 0
    assert (few.exposure[present] > 0).all()
    assert few.hits[present].max() > 0
    assert len(few + again) == 2 * len(few)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sizes": ()}, "no capacity"),
        ({"k": 65}, "k=65"),
        ({"tail": 17}, "tail=17"),
        ({"network": "deep"}, "network"),
        ({"reward": "money"}, "reward"),
        ({"features": "age_s,colour"}, "colour"),
        ({"network": "flat"}, "only the set network"),
        ({"reward": "hits"}, "belongs to the victim"),
        ({"warm_start": 0}, "nothing to do"),
    ],
)
def test_parameters_that_make_no_sense(change, says):
    with pytest.raises((UsageError, UnknownNameError), match=says):
        replace(SMALL, **change)


def test_logs_that_are_too_small(tmp_path):
    with pytest.raises(EvictlabError, match="too few to learn"):
        train([trap(n_requests=900, seed=1)], tmp_path / "a", SMALL)
    with pytest.raises(EvictlabError, match="evictions to learn from"):
        train([trap(n_requests=2000, seed=seed) for seed in (1, 2)], tmp_path / "b", replace(SMALL, sizes=("10GB",)))
    with pytest.raises(EvictlabError, match="all in bytes, or all in objects"):
        train([trap(n_requests=2000, seed=1)], tmp_path / "c", replace(SMALL, sizes=("5MB", "50obj")))
