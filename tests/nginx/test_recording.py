"""A real NGINX, recorded: what it answers, what it stores, and when its manager looks."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.traces import RequestTrace, open_trace, write_trace
from evictlab.traces.batch import LOGGED
from evictlab.traces.errors import UsageError
from evictlab.traces.record.nginx import RealConfig, record

pytestmark = pytest.mark.nginx

ROOMY = RealConfig(10**9)


def words(recording):
    return [LOGGED[code] for code in recording.status]


def test_the_second_request_is_a_hit(tmp_path):
    # Two dots must not lead NGINX out of its location; the size of b changes, but a hit sends what was stored.
    trace = RequestTrace.from_columns(["/a/../x", "b", "/a/../x", "b", "ä?"], sizes=[5, 100_000, 5, 9, 1], name="five")
    recording = record(trace, ROOMY, connections=1, access_log=tmp_path / "kept.log")
    assert words(recording) == ["MISS", "MISS", "HIT", "HIT", "MISS"]
    assert recording.body_bytes.tolist() == [5, 100_000, 5, 100_000, 1]
    assert recording.hit_ratio == 0.4
    assert recording.origin == {"requests": 3, "body_bytes": 100_006}
    assert recording.version.startswith("nginx/")
    assert recording.warnings == ()
    assert recording.final_bytes == recording.charged_bytes[[0, 1, 4]].sum()
    assert recording.lateness is None
    assert (tmp_path / "kept.log").read_text().count("\n") == 5


def test_what_is_written_is_what_was_recorded(tmp_path):
    trace = RequestTrace.from_columns([1, 1, 2, 3, 1], [10, 10, 20, 30, 10], [0, 0.05, 0.1, 0.15, 0.8], name="five")
    recording = record(trace, ROOMY, rate_per_s="trace", delay_s=0.3)
    path = write_trace(recording.trace(), tmp_path / "a.parquet")
    again = open_trace(path, cache=False)
    assert again.ids.tolist() == [0, 0, 1, 2, 0]
    assert again.sizes.tolist() == trace.sizes.tolist()
    assert again.times.tolist() == recording.sent_s.tolist()
    assert (again.times >= trace.times).all()  # late perhaps, early never
    # The second request comes after 50 ms, while the first is still fetched: without a lock it is fetched again.
    assert [LOGGED[code] for code in again.logged] == ["MISS", "MISS", "MISS", "MISS", "HIT"]
    assert (again.costs > 0.29).all()  # that of the hit is what the object's fetch took
    assert any("hit ratio 0.2000" in note for note in recording.trace().provenance.account.notes)


def test_a_request_that_nginx_refuses_is_counted_as_lost():
    trace = RequestTrace.from_columns(["b", "a" * 40_000, "b"], sizes=[7, 7, 7])  # too long for any of its buffers
    recording = record(trace, ROOMY, connections=1)
    assert recording.answered.tolist() == [True, False, True]
    assert recording.hit_ratio == 0.5
    recorded = recording.trace()
    assert len(recorded) == 2
    assert recorded.provenance.account.dropped == {"no whole answer": 1}


def test_without_evictions_every_object_is_fetched_once_and_weighs_what_we_say():
    rng = np.random.default_rng(5)
    keys = rng.zipf(1.3, 400) % 100
    sizes = np.exp(rng.normal(9, 2, 100)).astype(np.int64)[keys] + 1
    trace = RequestTrace.from_columns(keys.astype(np.uint64), sizes=sizes)
    recording = record(trace, RealConfig(10**9, watch_manager=True, manager_interval_s=0.05), connections=1)
    first = np.unique(trace.ids, return_index=True)[1]
    expected = np.full(len(trace), LOGGED.index("HIT"))
    expected[first] = LOGGED.index("MISS")
    assert recording.status.tolist() == expected.tolist()
    stored = int(recording.charged_bytes[first].sum())
    assert recording.final_bytes == stored
    # NGINX's own account, in the shared memory that its manager reads, is the same to the byte.
    if len(recording.rounds.t_s):  # built with --with-debug
        assert recording.rounds.seen_blocks[-1] * recording.block_bytes == stored
        assert recording.rounds.entries[-1] == len(first)


def test_an_answer_is_fresh_as_long_as_its_ttl():
    trace = RequestTrace.from_columns([1, 1, 1], sizes=[10, 10, 10], times=[0, 0.1, 2.6])
    recording = record(trace, RealConfig(10**9, ttl_s=1), rate_per_s="trace", speed=1.25)
    assert words(recording) == ["MISS", "HIT", "EXPIRED"]
    assert recording.hits.tolist() == [False, True, False]


def test_an_object_is_stored_at_its_second_use():
    recording = record(
        RequestTrace.from_columns([1, 1, 1, 1], sizes=[9] * 4), RealConfig(10**9, min_uses=2), connections=1
    )
    assert words(recording) == ["MISS", "MISS", "HIT", "HIT"]


def test_who_waits_for_the_lock_looks_every_half_second():
    trace = RequestTrace.from_columns([1] * 4, sizes=[20_000] * 4)
    recording = record(trace, RealConfig(10**9, lock=True), rate_per_s=1000, delay_s=0.1)
    took_s = recording.ended_s - recording.sent_s
    assert recording.origin["requests"] == 1
    assert sorted(words(recording)) == ["HIT", "HIT", "HIT", "MISS"]
    assert took_s.min() < 0.45
    assert sorted(took_s)[1] > 0.45  # the fetch was done after 0.1 s


@pytest.fixture(scope="module")
def one_offs():
    """1,000 objects of 40 kB that never come again: 41 MB in blocks within 1.3 s."""
    return RequestTrace.from_columns(np.arange(1000, dtype=np.uint64), sizes=np.full(1000, 40_000))


def test_the_stock_manager_sleeps_while_the_cache_grows(one_offs):
    recording = record(one_offs, RealConfig(10_000_000, settle_s=0.7), rate_per_s=750)
    assert recording.manager_start_s == pytest.approx(-0.7, abs=0.3)  # found nothing, looks again after the run
    assert recording.peak_bytes == recording.final_bytes == recording.charged_bytes.sum() > 40_000_000


def test_the_ticker_keeps_it_awake(one_offs):
    config = RealConfig(10_000_000, manager_interval_s=0.2, watch_manager=True)
    recording = record(one_offs, config, rate_per_s=750)
    assert recording.final_bytes < recording.peak_bytes < 30_000_000
    assert recording.origin["requests"] == 1000  # those of the ticker are not counted
    rounds = recording.rounds
    if len(rounds.t_s):
        during = (rounds.t_s > 0) & (rounds.t_s < recording.duration_s)
        busy = rounds.removed[during] == 100  # manager_files: it asks for 50 ms, else for 10 s
        assert np.array_equal(rounds.slept_ms[during], np.where(busy, 50, 200))
        assert np.array_equal(rounds.asked_ms[during], np.where(busy, 50, 10_000))
        assert np.diff(rounds.t_s[during]).max() < 2
        limit = 10_000_000 // recording.block_bytes
        for seen, left, removed in zip(rounds.seen_blocks, rounds.left_blocks, rounds.removed, strict=True):
            assert removed == 0 if seen < limit else removed > 0
            assert left < limit or removed == 100  # manager_files


def test_what_cannot_be_sent_is_refused_before_nginx_starts():
    bare = RequestTrace.from_columns([1, 2])
    sized = RequestTrace.from_columns([1, 2], sizes=[1, 1])
    with pytest.raises(UsageError, match="without sizes"):
        record(bare, ROOMY)
    with pytest.raises(UsageError, match="no times"):
        record(sized, ROOMY, rate_per_s="trace")
    with pytest.raises(UsageError, match="no costs"):
        record(sized, ROOMY, delay_s="trace")
    with pytest.raises(UsageError, match="sends nothing"):
        record(sized, ROOMY, rate_per_s=0)
