"""What the NGINX module asks the sidecar: which objects come into question, and what it knows of them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from learned import fake_sidecar as fake
from learned.fake_sidecar import FakeSidecar
from learned.nginx_module import PATIENT, SMALL, assert_sound, complaints, learned_nginx, mixed, words

from evictlab.traces.record.nginx import RealConfig

pytestmark = pytest.mark.nginx


def test_what_the_sidecar_is_told(module, folder):
    config = RealConfig(4 << 20, ttl_s=1000)
    with (
        FakeSidecar(str(folder / "s"), fake.nothing) as sidecar,
        learned_nginx(
            config,
            module,
            f"evictlab_sidecar unix:{sidecar.path};",
            *PATIENT,
            "evictlab_candidates 64 tail=4 newest=6;",
        ) as learned,
    ):
        learned.ask_for([f"o{n}" for n in range(80)], 30_000, connections=1)
        for _ in range(3):
            learned.ask_for(["o7"], 30_000, connections=1)
            time.sleep(0.1)
        learned.ask_for([f"p{n}" for n in range(200)], 30_000, 400, connections=1)
        status = assert_sound(learned, config)
    assert status["fallbacks"]["empty"] > 0
    assert [head[3] for head, _, _ in sidecar.asked] == list(range(1, len(sidecar.asked) + 1))
    (magic, version, flags, _, k, features, context_size, reserved), context, candidates = sidecar.asked[0]
    assert (magic, version, flags, features, context_size, reserved) == (fake.MAGIC, 1, 0, 11, 4, 0)
    assert k == 64
    pace_s, capacity, residents, need = context
    assert 0.0001 < pace_s < 0.1
    assert capacity == 4 << 20
    assert 0 <= residents - (4 << 20) // 32768 - need // 32768 <= 1  # and one that is just being fetched
    assert need >= 4096  # a block at least
    assert need % 4096 == 0
    age_s, size, hits, gap_s, ttl_left_s, origin_s, idle_s, requests, known_s, recent, steady = candidates.T
    assert (size == 32768).all()
    assert (np.diff(idle_s[:4]) <= 0).all()  # the oldest of the queue, oldest first
    assert idle_s[:4].min() >= np.sort(idle_s)[::-1][3]
    assert (np.diff(idle_s[4:10]) >= 0).all()  # the newest, newest first
    assert idle_s[4:10].max() <= np.sort(idle_s)[5]
    assert len({tuple(row) for row in candidates.tolist()}) == 64  # none twice
    assert ((age_s >= 0) & (age_s < 20)).all()
    assert ((ttl_left_s > 990) & (ttl_left_s <= 1000)).all()
    assert ((origin_s >= 0) & (origin_s < 1)).all()
    assert (hits == requests - 1).all()
    assert (gap_s[requests == 1] == -1).all()
    assert (known_s >= idle_s).all()
    assert (recent <= steady).all()
    assert (steady[requests == 1] <= 1).all()
    popular = [row for _, _, rows in sidecar.asked for row in rows if row[fake.REQUESTS] == 4]
    assert popular
    for row in popular:  # o7: asked for once, and then three times, 100 ms apart
        assert 0.1 <= row[3] < 0.3
        assert row[2] == 3


@pytest.mark.parametrize(
    ("words", "tail", "newest"),
    [
        ("", 8, 8),
        ("16", 2, 2),
        ("3", 1, 0),
        ("1", 1, 0),
        ("16 tail=16", 16, 0),
        ("16 newest=16", 0, 16),
        ("8 newest=3", 1, 3),
    ],
)
def test_how_many_are_oldest_and_newest(module, folder, words, tail, newest):
    line = f"evictlab_candidates {words};" if words else ""
    with (
        FakeSidecar(str(folder / "s"), fake.nothing) as sidecar,
        learned_nginx(
            RealConfig(4 << 20, manager_interval_s=0.02),
            module,
            f"evictlab_sidecar unix:{sidecar.path};",
            *PATIENT,
            line,
        ) as learned,
    ):
        learned.ask_for([f"o{n}" for n in range(200)], 30_000, 500, connections=1)
        assert complaints(learned) == []
    k = int(words.split()[0]) if words else 64
    both = 0
    for (*_, asked_k, _, _, _), _, rows in sidecar.asked:
        idle_s = rows[:, fake.IDLE]
        assert asked_k == len(rows) == k
        assert (np.diff(idle_s[:tail]) <= 0).all()
        assert (np.diff(idle_s[tail : tail + newest]) >= 0).all()
        assert tail == 0 or idle_s[:tail].min() >= idle_s.max() - 0.1
        drawn = idle_s[tail + newest :]
        both += len(drawn) > 1 and bool((np.diff(drawn) > 0).any() and (np.diff(drawn) < 0).any())
    assert both > 0 or k - tail - newest < 3  # the others are in no order


def test_the_newest_come_into_question(module, folder):
    """A sidecar that evicts what came last keeps what came first; with LRU nothing of that would be left."""
    keys = [f"k{n}" for n in range(300)]
    with (
        FakeSidecar(
            str(folder / "s"), lambda context, rows: fake.by_value(-rows[:, fake.IDLE], context, rows)
        ) as sidecar,
        learned_nginx(SMALL, module, f"evictlab_sidecar unix:{sidecar.path};", *PATIENT) as learned,
    ):
        learned.ask_for(keys + keys[:50], 40_000, 300, connections=1)
        assert_sound(learned)
        said = words(learned, len(keys) + 50)
    assert (said[-50:] == "HIT").mean() > 0.9


def test_what_was_asked_for_again_is_not_new(module, folder):
    """Every second request is for one of five objects, which stand at the head of the queue for that."""
    with (
        FakeSidecar(str(folder / "s"), fake.nothing) as sidecar,
        learned_nginx(
            SMALL, module, f"evictlab_sidecar unix:{sidecar.path};", *PATIENT, "evictlab_candidates 16 tail=8 newest=8;"
        ) as learned,
    ):
        keys = [name for n in range(300) for name in (f"new{n}", f"again{n % 5}")]
        learned.ask_for(keys, 30_000, 600, connections=1)
        assert_sound(learned)
    assert sidecar.asked
    for _, _, rows in sidecar.asked:
        assert (rows[8:, fake.HITS] == 0).all()


def test_ghosts_are_remembered(module, folder):
    """An evicted object that comes back is known from before, but has no hits since it was inserted."""
    keys, sizes = mixed(4)
    with (
        FakeSidecar(
            str(folder / "s"), lambda context, rows: fake.by_value(rows[:, fake.IDLE], context, rows)
        ) as sidecar,
        learned_nginx(SMALL, module, f"evictlab_sidecar unix:{sidecar.path};", *PATIENT) as learned,
    ):
        learned.ask_for(keys, sizes, 600)
        status = assert_sound(learned)
        assert (words(learned, len(keys)) == "HIT").mean() < 0.15  # this is LRU
    last = sidecar.asked[-1][2]
    back = last[last[:, fake.SIZE] < 50_000]
    assert len(back)
    assert (back[:, fake.REQUESTS] == 4).all()
    assert (back[:, fake.HITS] == 0).mean() > 0.8
    assert status["table"]["entries"] == 60 + 4 * 60


def test_after_a_start_on_a_warm_disk_features_are_missing(module, folder):
    """The loader finds files that the table has never heard of; here: a reload that brings the table into being."""
    keys = [f"k{n}" for n in range(60)]
    with (
        FakeSidecar(str(folder / "s")) as sidecar,
        learned_nginx(
            SMALL, module, f"evictlab_sidecar unix:{sidecar.path};", "evictlab_mode off;", *PATIENT
        ) as learned,
    ):
        learned.ask_for(keys, 40_000)
        places = learned.nginx.places
        places.conf.write_text(places.conf.read_text().replace("evictlab_mode off", "evictlab_mode on"))
        learned.nginx.reload()
        learned.ask_for([f"m{n}" for n in range(60)], 40_000, 300)
        time.sleep(0.2)
        assert learned.status()["victims"]["evicted"] > 0
        assert complaints(learned) == []
    first = sidecar.asked[0][2]
    unknown = first[first[:, fake.REQUESTS] < 0]
    assert len(unknown) >= 8  # the tail
    assert (unknown[:, fake.SIZE] == 40_960).all()
    assert ((unknown[:, fake.IDLE] >= 0) & (unknown[:, fake.IDLE] < 10)).all()  # that NGINX knows, in seconds
    assert (np.delete(unknown, [fake.SIZE, fake.IDLE], axis=1) == -1).all()
