"""What NGINX does beyond plain hits, and that the simulated proxy does the same, request by request.

Each test says which fact about NGINX it pins. The simulation is given the times at which requests were really sent, by the
clock of the machine: so it is the mechanism that is compared, and not how punctual the driver was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evictlab.sim.proxy import CacheManager, ProxyConfig, ProxyResult, keys_zone_nodes, simulate_proxy
from evictlab.sim.proxy.outcome import NAMES, status
from evictlab.traces import RequestTrace
from evictlab.traces.batch import LOGGED
from evictlab.traces.record.nginx import RealConfig, Recording, record

pytestmark = pytest.mark.nginx

ROOMY = 10**9

ODD = 0.015
"""Share of the requests that may differ: those at the edge of a second, or sent within a millisecond of an answer."""

LATE_S = 0.15
"""By which a latency may be off on a busy machine. The driver does not measure; sleeps of 500 ms are told apart."""


@dataclass(frozen=True)
class Both:
    """A recording, its simulation, and of both the words and seconds of each request."""

    real: Recording
    simulated: ProxyResult
    real_words: list[str]
    words: list[str]
    real_s: npt.NDArray[np.float64]
    latency_s: npt.NDArray[np.float64]

    @property
    def same(self) -> float:
        """Share of the requests that got the same word."""
        return float(np.mean(np.array(self.real_words) == np.array(self.words)))


def both(trace: RequestTrace, config: RealConfig, *, delay_s: float = 0.0, connections: int = 8, **how: Any) -> Both:
    """Record and simulate; the lifetimes of NGINX are in seconds of the clock, so the simulation starts within one, too."""
    real = record(trace, config, delay_s=delay_s, connections=connections, **how)
    order = np.argsort(real.sent_s, kind="stable")
    clock = real.start_unix_s % 1
    sent_s = real.sent_s[order]
    interval_s = config.manager_interval_s or 10.0
    since_s = real.manager_start_s - sent_s[0]
    simulated = simulate_proxy(
        RequestTrace(trace.ids[order], trace.n_objects, trace.sizes[order], clock + sent_s),
        "lru",
        ProxyConfig(
            size=f"{config.max_size_bytes}B",
            manager=CacheManager(
                interval_s,
                config.manager_files,
                config.manager_threshold_s,
                config.manager_sleep_s,
                first_wake_s=since_s + interval_s * math.ceil(-since_s / interval_s),
                asks_policy=False,
            ),
            inactive_s=config.inactive_s,
            keys_zone_nodes=keys_zone_nodes(f"{config.keys_zone_bytes}B"),
            block_bytes=real.block_bytes,
            header_bytes=450,
            min_uses=config.min_uses,
            lock=config.lock,
            lock_age_s=config.lock_age_s,
            lock_timeout_s=config.lock_timeout_s,
            ttl=float(config.ttl_s),
            whole_seconds=True,
            use_stale_updating=config.use_stale_updating,
            background_update=config.background_update,
            origin=delay_s,
        ),
    )
    words, latency_s = np.empty(len(order), object), np.empty(len(order))
    words[order] = [NAMES[code] for code in status(simulated.outcomes)]
    latency_s[order] = simulated.latency
    real_words = [LOGGED[code] for code in real.status]
    return Both(real, simulated, real_words, words.tolist(), real.ended_s - real.sent_s, latency_s)


def zipf(n: int, objects: int, alpha: float = 0.9, size: int = 2000) -> RequestTrace:
    weights = 1 / np.arange(1, objects + 1) ** alpha
    drawn = np.random.default_rng(1).choice(objects, n, p=weights / weights.sum())
    return RequestTrace.from_columns(drawn.astype(np.uint64), sizes=np.full(n, size))


def at(times: Sequence[float], keys: Sequence[int] | None = None) -> RequestTrace:
    """Requests for one object, or for those named, at these times."""
    n = len(times)
    return RequestTrace.from_columns(keys or [1] * n, sizes=[2000] * n, times=list(times))


class TestLifetimes:
    def test_an_answer_is_fresh_until_its_last_second_is_over(self):
        """Fetched in second s of the clock, it is fresh in all of second s + ttl: 1 to 2 s for a ttl of 1 s."""
        made = both(zipf(1000, 100), RealConfig(ROOMY, ttl_s=1), rate_per_s=400)
        assert made.same > 1 - ODD
        assert made.real_words.count("EXPIRED") > 20
        assert made.real.origin["requests"] == pytest.approx(made.simulated.origin_requests, abs=10)
        # Counted from the very moment it would expire about half as often again, so this tells the rules apart.
        lived = expired_after(made)
        assert max(lived["HIT"]) > 1.2
        assert max(lived["HIT"]) < 2.05

    @pytest.mark.parametrize(("background", "first"), [(False, "EXPIRED"), (True, "STALE")])
    def test_use_stale_updating(self, background, first):
        """The first gets EXPIRED after the fetch, or with background_update STALE at once; others meanwhile UPDATING."""
        config = RealConfig(ROOMY, ttl_s=1, use_stale_updating=True, background_update=background)
        # 3.5 s: what is fetched in the first second, or later on a busy machine, still expires in time (2 s at most).
        made = both(zipf(1400, 30), config, delay_s=0.05, connections=40, rate_per_s=400)
        assert made.same > 1 - ODD
        assert made.real_words.count(first) > 5 and made.real_words.count("UPDATING") > 3
        took = {word: [] for word in made.real_words}
        for word, seconds in zip(made.real_words, made.real_s, strict=True):
            took[word].append(seconds)
        assert np.median(took[first]) == pytest.approx(0 if background else 0.05, abs=0.025)
        assert np.median(took["UPDATING"]) < 0.025

    def test_without_use_stale_all_fetch(self):
        """While an expired object is fetched, others fetch it as well, and get EXPIRED, too."""
        times = [0, 2.4, 2.45, 2.5, 3.0]
        made = both(at(times), RealConfig(ROOMY, ttl_s=1), delay_s=0.3, rate_per_s="trace")
        assert made.real_words == made.words == ["MISS", "EXPIRED", "EXPIRED", "EXPIRED", "HIT"]
        assert made.real_s == pytest.approx(made.latency_s, abs=LATE_S)

    def test_a_background_update_holds_up_its_connection(self):
        """The client has its answer at once, but its next request on the connection waits until the refresh is over.

        The simulated proxy has no connections that last: it answers that request at once.
        """
        config = RealConfig(ROOMY, ttl_s=1, use_stale_updating=True, background_update=True)
        made = both(at([0, 2.45, 2.46]), config, delay_s=0.4, connections=1, rate_per_s="trace")
        assert made.real_words[:2] == made.words[:2] == ["MISS", "STALE"]
        assert made.real_s[1] < 0.2
        assert made.real_s[2] > 0.25
        assert made.latency_s[2] == 0


class TestFetching:
    def test_min_uses(self):
        """The request with this number stores; requests before it count although nothing is stored."""
        made = both(zipf(500, 60), RealConfig(ROOMY, min_uses=3), rate_per_s=900)
        assert made.same > 1 - ODD
        assert made.real.origin["requests"] == pytest.approx(made.simulated.origin_requests, abs=5)
        assert made.real.samples.files[-1] == made.simulated.objects_final

    def test_simultaneous_misses_all_fetch(self):
        """Without a lock, whoever comes before the answer is there fetches it as well: MISS, and stored again."""
        made = both(zipf(900, 150), RealConfig(ROOMY), delay_s=0.04, connections=60, rate_per_s=700)
        assert made.same > 1 - ODD
        assert made.real.origin["requests"] > len(set(made.real.source.ids)) + 5
        assert made.real.origin["requests"] == pytest.approx(made.simulated.origin_requests, abs=8)

    def test_who_waits_for_the_lock_looks_every_half_second(self):
        """Nobody is woken: what the first has after 0.3 s, those who came meanwhile have 0.5 s after they came."""
        made = both(zipf(240, 20), RealConfig(ROOMY, lock=True), delay_s=0.3, connections=100, rate_per_s=300)
        assert made.same > 1 - ODD
        assert made.real.origin["requests"] == made.simulated.origin_requests == len(set(made.real.source.ids))
        assert np.mean(np.abs(made.real_s - made.latency_s) < LATE_S) > 0.98
        for share in (0.5, 0.9, 0.99):
            assert np.quantile(made.real_s, share) == pytest.approx(np.quantile(made.latency_s, share), abs=LATE_S)

    @pytest.mark.parametrize(("patience_s", "waited_s", "delay_s"), [(0.25, 0.25, 0.8), (0.6, 1.0, 1.6)])
    def test_patience_ends_at_a_look(self, patience_s, waited_s, delay_s):
        """``lock_timeout`` shortens the first sleep but no later one; who gives up fetches, and stores nothing."""
        config = RealConfig(ROOMY, lock=True, lock_timeout_s=patience_s)
        made = both(at([0, 0.1, 0.2, 0.25]), config, delay_s=delay_s, rate_per_s="trace")
        assert made.real_words == made.words == ["MISS"] * 4
        assert made.real_s[1:] == pytest.approx(waited_s + delay_s, abs=LATE_S)
        assert made.latency_s[1:] == pytest.approx(waited_s + delay_s, abs=0.01)

    def test_a_lock_grows_old(self):
        """At ``lock_age`` one takes it over, at twice that another one; but the first answer ends all waiting."""
        made = both(
            at([0, 0.1, 0.2, 0.25]), RealConfig(ROOMY, lock=True, lock_age_s=0.7), delay_s=1.6, rate_per_s="trace"
        )
        # Two wait for the same moment and either may be first: so as a set, not one by one.
        assert sorted(made.real_words) == sorted(made.words) == ["HIT", "MISS", "MISS", "MISS"]
        assert made.real.origin["requests"] == 3
        real, simulated = (np.sort(took_s + made.real.sent_s) for took_s in (made.real_s, made.latency_s))
        assert real == pytest.approx(simulated, abs=LATE_S)


class TestKeys:
    def test_a_full_zone_is_an_lru_of_keys(self):
        """191 keys in 32k, and not 250 as documented; the manager asleep, a new one takes the place of that at the tail."""
        made = both(zipf(1500, 600, 0.8), RealConfig(ROOMY, keys_zone="32k"), rate_per_s=1500)
        assert made.same > 1 - ODD
        assert made.simulated.forced_on_path > 300
        assert made.real.samples.files[-1] == made.simulated.objects_final == 191
        assert made.real.hit_ratio == pytest.approx(made.simulated.hit_ratio, abs=0.01)

    def test_a_key_in_use_is_passed_over_and_a_zone_of_them_is_an_error(self):
        """All 191 keys being fetched, the next requests are answered with 500, without the origin."""
        trace = at(np.arange(200) * 0.001, list(range(200)))
        made = both(trace, RealConfig(ROOMY, keys_zone="32k"), delay_s=0.8, connections=200, rate_per_s="trace")
        assert (made.real.http_status == 500).sum() == made.simulated.refused == 200 - 191
        assert made.real.origin["requests"] == made.simulated.origin_requests == 191
        assert "ignore long locked inactive cache entry" in made.real.warnings[0]

    def test_what_nobody_asks_for_leaves_in_whole_seconds(self):
        """Asked for in second s, it leaves when the manager first looks in second s + inactive or later."""
        config = RealConfig(ROOMY, inactive_s=1, manager_interval_s=0.05)
        made = both(zipf(900, 300, 0.6), config, rate_per_s=400)
        # The manager looks every 50 ms, and when exactly is not known: up to so much later things leave.
        assert made.same > 0.96
        assert made.real.hit_ratio == pytest.approx(made.simulated.hit_ratio, abs=0.03)
        assert made.simulated.inactive > 100


def test_two_workers_share_one_queue_and_uses_are_forgotten_at_its_tail():
    """The order of access is in the shared memory, so two workers hit as one does.

    A cache that is too large drops keys without an object from the tail as well: the next request for one is its first.
    A simulation that spares them agrees on 0.94 of the requests.
    """
    config = RealConfig(500_000, min_uses=2, workers=2, manager_interval_s=0.05)
    made = both(zipf(1500, 200, 0.8, 6000), config, delay_s=0.01, connections=40, rate_per_s=1000)
    assert made.real.hit_ratio == pytest.approx(made.simulated.hit_ratio, abs=0.02)
    assert made.same > 0.96


def expired_after(made: Both) -> dict[str, list[float]]:
    """Seconds since the last fetch of the object, for requests that were a HIT and that were EXPIRED."""
    fetched: dict[int, float] = {}
    ages: dict[str, list[float]] = {"HIT": [], "EXPIRED": []}
    for obj, word, sent_s in zip(made.real.source.ids.tolist(), made.real_words, made.real.sent_s, strict=True):
        if word in ages:
            ages[word].append(sent_s - fetched[obj])
        if word != "HIT":
            fetched[obj] = sent_s
    return ages
