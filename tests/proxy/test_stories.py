"""Short stories with every number worked out by hand; NGINX's rules are what they tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evictlab.sim.proxy import SYNC, CacheManager, ProxyConfig, ProxyResult, simulate_proxy
from evictlab.sim.proxy.outcome import COALESCED, NAMES, UNCACHED
from evictlab.traces.request import RequestTrace

BLOCK = 4096


def tell(letters: str, times: Any, policy: str = "lru", body: int = 4000, **options: Any) -> ProxyResult:
    """Requests for objects named by letters, at these times."""
    names = sorted(set(letters))
    ids = np.array([names.index(letter) for letter in letters], np.int32)
    costs = options.pop("costs", None)
    costs = None if costs is None else np.asarray(costs, np.float32)
    trace = RequestTrace(ids, len(names), np.full(len(ids), body, np.int64), np.asarray(times, np.float64), costs=costs)
    given = {"size": "1GB", "manager": SYNC, "origin": 0.0, "sample_s": 1e6} | options
    return simulate_proxy(trace, policy, ProxyConfig(**given))


def words(result: ProxyResult) -> list[str]:
    """Outcomes in NGINX's words, with + for coalesced and - for uncached."""
    return [
        NAMES[outcome & 0x0F] + "+" * bool(outcome & COALESCED) + "-" * bool(outcome & UNCACHED)
        for outcome in result.outcomes.tolist()
    ]


def flood(count: int, seconds: float, until: float, policy: str = "lru", **options: Any) -> ProxyResult:
    """`count` objects of a block each, one by one over so many seconds, and a last request for the first of them."""
    ids = np.append(np.arange(count), 0).astype(np.int32)
    times = np.append(np.arange(count) * seconds / count, until)
    trace = RequestTrace(ids, count, np.full(count + 1, 4000, np.int64), times)
    given = {"size": f"{5 * BLOCK}B", "origin": 0.0, "sample_s": 1e6} | options
    return simulate_proxy(trace, policy, ProxyConfig(**given))


def samples(result: ProxyResult) -> list[tuple[float, int]]:
    """Seconds and blocks on disk, each as often as it was noted."""
    return [(t, size // BLOCK) for t, size in zip(result.series_s.tolist(), result.series_size.tolist(), strict=True)]


class TestManager:
    def test_within_ten_seconds_a_cache_of_five_blocks_grows_to_twenty(self):
        # A block every half second. The manager wakes up at 0 (nothing there, so it sleeps 10 s), at 10 and at 20;
        # each time it evicts until less than five blocks are left.
        result = flood(50, 25.0, 25.0)
        assert samples(result)[1:-1] == [(0, 0), (0, 0), (10, 20), (10, 4), (20, 24), (20, 4)]
        assert result.disk_peak == 24 * BLOCK
        assert result.overshoot == pytest.approx(24 / 5 - 1)
        assert result.forced == result.decisions_ok == 16 + 20

    def test_it_deletes_a_hundred_files_at_a_time(self):
        # 254 blocks, of which 4 may stay: 100 files at 10 s, 100 after 50 ms, 50 after 50 ms more.
        result = flood(254, 5.0, 12.0)
        expected = [(10, 254), (10, 154), (10.05, 154), (10.05, 54), (10.1, 54), (10.1, 4)]
        assert samples(result)[3:-1] == expected

    def test_or_until_its_time_is_over(self):
        # A deletion takes 80 ms: three of them end the 200 ms of a go.
        slow = CacheManager(delete_s=0.08)
        result = flood(10, 5.0, 10.8, manager=slow)
        # Two goes of three: 10 -> 7 at 10.24 s, and 7 -> 4 at 10.24 + 0.05 + 0.24 s.
        assert samples(result)[3:-1] == [(10, 10), (10.24, 7), (10.29, 7), (10.53, 4), (10.58, 4), (10.58, 4)]

    def test_the_first_waking_shifts_all_others(self):
        result = flood(40, 20.0, 20.0, manager=CacheManager(first_wake_s=3.0))
        assert samples(result)[1:-1] == [(3, 6), (3, 4), (13, 24), (13, 4)]

    def test_what_nobody_asks_for_leaves_counted_in_whole_seconds(self):
        # Asked for at 0.9 s, inactive after 5 s, awake at 1 s: the sleep is 0 + 5 - 1 = 4 s, not 4.9 s.
        late = {"manager": CacheManager(first_wake_s=0.1), "inactive_s": 5.0}
        result = tell("AB", [0.9, 8.0], **late)
        assert samples(result)[1:] == [(0.1, 1), (0.1, 1), (4.1, 1), (4.1, 0), (7.1, 1)]
        assert (result.inactive, result.forced) == (1, 0)

    def test_what_is_being_refreshed_stays(self):
        # A expires at 1 s and is refreshed from 5 s to 15 s; at 10 s the manager takes B and C, though A is at the tail.
        options = {"manager": CacheManager(), "ttl": 1.0, "origin": 10.0, "size": f"{2 * BLOCK}B"}
        result = tell("ABCAA", [-20.0, -4.9, -4.8, 5.0, 15.5], **options)
        assert words(result) == ["MISS", "MISS", "MISS", "EXPIRED", "HIT"]

    @pytest.mark.parametrize(("asks", "last"), [(True, "MISS"), (False, "MISS-")])
    def test_left_alone_it_forgets_the_uses_of_what_is_at_the_tail(self, asks, last):
        # Stored at the second use, and room for one block. X was asked for once, before A and B. Without a policy the manager
        # takes X first, which frees nothing, and then A; LRU is asked for objects only, and X's use still counts.
        manager = CacheManager(first_wake_s=5.0, asks_policy=asks)
        result = tell("XAABBX", [0, 1, 2, 3, 4, 6], manager=manager, min_uses=2, size=f"{2 * BLOCK}B")
        assert words(result)[-1] == last
        assert (result.forced, result.evictions) == ((1, 1) if asks else (2, 1))

    def test_objects_overshoot_as_well(self):
        result = flood(50, 25.0, 25.0, size="5obj")
        assert result.series_size.tolist()[1:-1] == [0, 0, 20, 4, 24, 4]
        assert result.to_row()["disk_peak_bytes"] is None


class TestDecisions:
    def test_in_time(self):
        # MRU evicts the newest: of 8 blocks the first 4 stay, so A is a hit at the end.
        result = flood(8, 5.0, 12.0, policy="mru", manager=CacheManager(), decision_latency=0.0003, deadline_s=0.0005)
        assert (result.decisions_ok, result.decisions_late) == (4, 0)
        assert words(result)[-1] == "HIT"
        assert samples(result)[-2][0] == pytest.approx(10.0012)

    def test_too_late(self):
        # Nobody waits for longer than 500 us; the queue decides instead, and A, its tail, is gone.
        result = flood(8, 5.0, 12.0, policy="mru", manager=CacheManager(), decision_latency=0.0007, deadline_s=0.0005)
        assert (result.decisions_ok, result.decisions_late) == (0, 4)
        assert words(result)[-1] == "MISS"
        assert samples(result)[-2][0] == pytest.approx(10.002)

    def test_some_of_each(self):
        chance = {"decision_latency": "lognormal:median=500us:sigma=1", "deadline_s": 0.0005}
        result = flood(200, 5.0, 12.0, manager=CacheManager(), **chance)
        assert result.decisions_ok + result.decisions_late == 196
        assert 70 < result.decisions_late < 126


class TestLock:
    def test_who_waits_looks_again_every_half_second(self):
        # The fetch takes 0.7 s. The second request comes at 0.1 s, looks at 0.6 s in vain, and at 1.1 s it is there.
        result = tell("AAA", [0, 0.1, 2], lock=True, origin=0.7)
        assert words(result) == ["MISS", "HIT+", "HIT"]
        assert result.latency.tolist() == pytest.approx([0.7, 1.0, 0])
        assert result.origin_requests == 1

    def test_or_is_woken(self):
        result = tell("AA", [0, 0.1], lock=True, lock_poll_s=0, origin=0.7)
        assert result.latency.tolist() == pytest.approx([0.7, 0.6])

    def test_without_a_lock_all_fetch(self):
        result = tell("AAA", [0, 0.1, 0.2], origin=0.7)
        assert words(result) == ["MISS"] * 3
        assert (result.origin_requests, result.origin_peak, result.objects_final) == (3, 3, 1)

    @pytest.mark.parametrize("poll", [0.5, 0])
    def test_patience_ends(self, poll):
        # After one second the second request fetches by itself, and its response is not kept.
        result = tell("AA", [0, 0.1], lock=True, lock_timeout_s=1.0, lock_poll_s=poll, origin=3.0)
        assert words(result) == ["MISS", "MISS-"]
        assert result.latency.tolist() == pytest.approx([3.0, 4.0])

    def test_a_lock_grows_old(self):
        # The second request looks at 0.6 s and next when the lock is one second old, and takes it over.
        result = tell("AA", [0, 0.1], lock=True, lock_age_s=1.0, origin=3.0)
        assert words(result) == ["MISS", "MISS"]
        assert result.latency.tolist() == pytest.approx([3.0, 3.9])

    @pytest.mark.parametrize(("poll", "last"), [(0.5, 1.8), (0, 1.7)])
    def test_the_first_response_ends_a_lock_that_was_taken_over(self, poll, last):
        # The second request takes over at 1 s and fetches until 2.9 s. The third need not wait for it: the first response
        # comes at 1.9 s. It looks at 0.7 s, 1 s (too late by a moment), 1.5 s and 2 s, or is woken.
        result = tell("AAA", [0, 0.1, 0.2], lock=True, lock_age_s=1.0, lock_poll_s=poll, origin=1.9)
        assert words(result) == ["MISS", "MISS", "HIT+"]
        assert result.latency.tolist() == pytest.approx([1.9, 2.8, last])

    def test_patience_ends_at_a_look(self):
        # The first look is at the end of patience or after 0.5 s; the next is 0.5 s later, whatever was the patience.
        for patience, waited in ((0.3, 0.3), (0.7, 1.0)):
            result = tell("AA", [0, 0.1], lock=True, lock_timeout_s=patience, origin=3.0)
            assert result.latency.tolist() == pytest.approx([3.0, waited + 3.0])


class TestLifetimes:
    LATER = (0, 2, 2.05, 2.5)

    def test_expired_objects_are_fetched_by_everybody(self):
        result = tell("AAAA", self.LATER, ttl=1.0, origin=0.1)
        assert words(result) == ["MISS", "EXPIRED", "EXPIRED", "HIT"]
        assert result.latency.tolist() == pytest.approx([0.1, 0.1, 0.1, 0])

    def test_use_stale_updating(self):
        result = tell("AAAA", self.LATER, ttl=1.0, origin=0.1, use_stale_updating=True)
        assert words(result) == ["MISS", "EXPIRED", "UPDATING", "HIT"]
        assert result.latency.tolist() == pytest.approx([0.1, 0.1, 0, 0])

    def test_background_update(self):
        result = tell("AAAA", self.LATER, ttl=1.0, origin=0.1, use_stale_updating=True, background_update=True)
        assert words(result) == ["MISS", "STALE", "UPDATING", "HIT"]
        assert result.latency.tolist() == pytest.approx([0.1, 0, 0, 0])
        assert (result.origin_requests, result.hit_ratio) == (2, 0.75)

    def test_the_end_waits_for_the_background(self):
        result = tell("AA", [0, 2], ttl=1.0, origin=0.1, use_stale_updating=True, background_update=True)
        assert result.duration_s == pytest.approx(2.1)

    def test_revalidation_brings_no_body(self):
        # 4000 bytes at 4000 B/s and a round trip of 0.1 s; the origin's word alone takes the round trip.
        result = tell("AA", [0, 9], ttl=1.0, origin="100ms+4kB/s", revalidate=True)
        assert words(result) == ["MISS", "REVALIDATED"]
        assert result.latency.tolist() == pytest.approx([1.1, 0.1])
        assert (result.origin_requests, result.origin_bytes) == (2, 4000)

    def test_in_whole_seconds_it_lives_longer(self):
        # Fetched at 0.9 s for 1 s: exactly, it is expired from 1.9 s on; to NGINX, it is fresh in all of second 1.
        for whole, expected in ((False, "EXPIRED"), (True, "HIT")):
            assert words(tell("AA", [0.9, 1.95], ttl=1.0, whole_seconds=whole))[1] == expected
        assert words(tell("AA", [0.9, 2.0], ttl=1.0, whole_seconds=True))[1] == "EXPIRED"


class TestKeys:
    def test_min_uses(self):
        result = tell("AAABB", range(5), min_uses=2)
        assert words(result) == ["MISS-", "MISS", "HIT", "MISS-", "MISS"]

    def test_a_full_zone_evicts_at_once_and_lowers_the_watermark(self):
        # Room for 8 keys: the ninth pushes out A, on the way of its request, and sets the watermark to 8 - 8 // 8 = 7.
        # At 10 s the manager, below its size by far, evicts B and C: 6 keys are left.
        options = {"manager": CacheManager(), "keys_zone_nodes": 8}
        result = tell("ABCDEFGHIADCB", [*range(9), 11, 12, 13, 14], **options)
        assert result.forced_on_path == 1 + 1  # the last one: after A, C and B come back, there are 8 keys, and then 9
        assert samples(result)[3:5] == [(10, 8), (10, 6)]
        assert words(result)[9:] == ["MISS", "HIT", "MISS", "MISS"]

    def test_a_zone_full_of_keys_in_use_answers_with_an_error(self):
        # Room for two keys, both being fetched: C gets an error at once, and no fetch.
        result = tell("ABCC", [0, 0.1, 0.2, 2], keys_zone_nodes=2, origin=1.0)
        assert words(result) == ["MISS", "MISS", "MISS-", "MISS"]
        assert result.latency.tolist() == pytest.approx([1, 1, 0, 1])
        assert (result.refused, result.origin_requests) == (1, 3)

    def test_a_key_in_use_is_moved_to_the_head(self):
        # Room for three keys; A is fetched until 3 s. D finds it at the tail, moves it, and pushes out B. A is done when E
        # comes, but C is now at the tail: passed over and left there, A would be pushed out.
        times = [0, 1, 1.1, 1.5, 3.5, 3.6]
        result = tell("ABCDEA", times, keys_zone_nodes=3, origin="trace", costs=[3, *[0.01] * 5])
        assert words(result) == ["MISS"] * 5 + ["HIT"]
        assert result.forced_on_path == 2

    def test_blocks_and_headers(self):
        result = tell("AB", [0, 1], body=4000, header_bytes=97)
        assert result.disk_final == 2 * 2 * BLOCK
        assert tell("AB", [0, 1], body=4000, header_bytes=97, block_bytes=0).disk_final == 2 * 4097


class TestQueues:
    def test_workers(self):
        result = tell("AAAA", [0, 0, 0, 0.5], workers=2, service_s=1.0)
        assert result.latency.tolist() == pytest.approx([1, 1, 2, 1.5])

    def test_connections(self):
        result = tell("ABC", [0, 0.5, 0.6], worker_connections=1, origin=1.0)
        assert result.latency.tolist() == pytest.approx([1.0, 1.5, 2.4])

    def test_connections_last_until_the_client_has_it_all(self):
        result = tell("AAA", [0, 0, 0], worker_connections=1, client_bytes_per_s=4000.0)
        assert result.latency.tolist() == pytest.approx([1, 2, 3])

    def test_connections_of_two_workers(self):
        # Two connections; look-ups after 0.2 s, transfers of 1 s. The third is accepted at 1.2 s, looked up at 1.4 s; the
        # fourth in the same moment, by the other worker.
        options = {"workers": 2, "worker_connections": 1, "service_s": 0.2, "client_bytes_per_s": 4000.0}
        result = tell("AAAA", [0, 0, 0.1, 0.1], **options)
        assert result.latency.tolist() == pytest.approx([1.2, 1.2, 2.3, 2.3])

    def test_few_fetches_at_a_time(self):
        result = tell("ABC", [0, 0, 0.5], origin_concurrency=1, origin=1.0)
        assert result.latency.tolist() == pytest.approx([1.0, 2.0, 2.5])
        assert result.origin_peak == 1

    def test_speed_and_rate(self):
        assert tell("ABC", [5, 10, 25], speed=10.0).seconds.tolist() == pytest.approx([0, 0.5, 2])
        assert tell("ABC", [5, 10, 25], rate_per_s=4.0).seconds.tolist() == [0, 0.25, 0.5]


def test_the_mean_size_is_weighted_by_time():
    # One block for 3 s, two for 1 s.
    assert tell("ABA", [0, 3, 4]).disk_mean == pytest.approx(BLOCK * 5 / 4)
