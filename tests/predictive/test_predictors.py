"""What predictors say, against stories with reasons and against plain loops over short traces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evictlab.policies.predictors import Predictor, all_predictors, parse_predictor, predictor_names
from evictlab.policies.predictors.errors import errors
from evictlab.policies.predictors.phases import clean_requests, last_in_phase, not_in_next_phase, phases_of
from evictlab.policies.predictors.thresholds import bits_of_times
from evictlab.traces.errors import PredictionError, UnknownNameError, UsageError
from evictlab.traces.request import RequestTrace

from interpreted import run_policy

requests = st.lists(st.integers(0, 7), min_size=1, max_size=60)
capacities = st.integers(1, 6)


def trace_of(ids):
    """A trace of numbers, or of letters."""
    if isinstance(ids, str):
        ids = [ord(letter) - ord("A") for letter in ids.replace(" ", "")]
    return RequestTrace(np.asarray(ids, np.int32), max(ids) + 1)


def random_trace(length=3000, pages=40, seed=0):
    """Some pages much more popular than others."""
    popular = np.random.default_rng(seed).random((2, length)).prod(axis=0)
    return trace_of((pages * popular).astype(int).tolist())


def told(predictor, kind, trace, capacity=3, seed=0):
    return parse_predictor(predictor).forecast(kind, trace, capacity, seed)


def written(bits):
    return "".join(map(str, bits.tolist()))


def next_use(ids, t):
    return next((later for later in range(t + 1, len(ids)) if ids[later] == ids[t]), len(ids))


def naive_discard(ids, capacity):
    """1 = Belady throws the page away before its next request, or there is none."""
    bits = [int(next_use(ids, t) == len(ids)) for t in range(len(ids))]
    latest = {}  # of the residents: their last requests
    for t, page in enumerate(ids):
        if page not in latest and len(latest) == capacity:
            victim = max(latest, key=lambda resident: next_use(ids, latest[resident]))
            bits[latest.pop(victim)] = 1
        latest[page] = t
    return bits


def naive_phases(ids, capacity):
    phases, pages = [], []
    for page in ids:
        if not pages or len(pages[-1] | {page}) > capacity:
            pages.append(set())
        pages[-1].add(page)
        phases.append(len(pages) - 1)
    return phases, pages


class TestTruth:
    def test_discard_bits_tell_who_leaves_before_the_next_request(self):
        """Two fit. C comes: B is due at 4, A at 3, so B leaves; C is not asked for again, so it leaves for B, and D
        for nobody: it is the last. Nothing that is never asked for again is worth keeping.

        request  A B C A B A D
        bit      0 1 1 0 1 1 1
        """
        assert written(told("truth", "discard", trace_of("ABCABAD"), 2)) == "0110111"

    def test_discard_bits_do_not_say_keep_when_there_is_room_but_no_next_request(self):
        """All fit, nobody is evicted: the last request of each page is 1 all the same."""
        assert written(told("truth", "discard", trace_of("ABAB"), 5)) == "0011"

    def test_phase_bits_tell_who_comes_in_the_next_phase(self):
        """Phases of two: ABA CA BC. A is in the second, B is not; C is in the third, A is not; no phase follows it."""
        assert written(told("truth", "phase", trace_of("ABA CA BC"), 2)) == "0100111"

    def test_times_are_exact_and_never_is_10_000_traces_away(self):
        assert told("truth", "next_use", trace_of("ABAB")).tolist() == [2, 3, 4e4, 4e4]

    @given(ids=requests, capacity=capacities)
    def test_discard_bits_of_any_trace(self, ids, capacity):
        assert told("truth", "discard", trace_of(ids), capacity).tolist() == naive_discard(ids, capacity)

    @given(ids=requests, capacity=capacities)
    def test_phase_bits_of_any_trace(self, ids, capacity):
        phases, pages = naive_phases(ids, capacity)
        bits = [int(page not in [*pages, set()][phase + 1]) for page, phase in zip(ids, phases, strict=True)]
        assert told("truth", "phase", trace_of(ids), capacity).tolist() == bits

    @given(ids=requests)
    def test_times_of_any_trace(self, ids):
        n = len(ids)
        due = [float(next_use(ids, t)) if next_use(ids, t) < n else 1e4 * n for t in range(n)]
        assert told("truth", "next_use", trace_of(ids)).tolist() == due


class TestPhases:
    def test_a_phase_ends_before_one_page_too_many(self):
        """Two pages per phase; coming back costs nothing."""
        trace = trace_of("ABBA CAAC BC D")
        assert phases_of(trace.ids, 4, 2).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3]

    @given(ids=requests, capacity=capacities)
    def test_any_trace(self, ids, capacity):
        trace = trace_of(ids)
        phases, pages = naive_phases(ids, capacity)
        assert phases_of(trace.ids, trace.n_objects, capacity).tolist() == phases
        numbers = np.asarray(phases, np.int32)
        last = [(ids[t], phases[t]) not in zip(ids[t + 1 :], phases[t + 1 :], strict=True) for t in range(len(ids))]
        assert last_in_phase(numbers, trace.next_use).tolist() == last
        clean = sum(len(now - before) for before, now in zip([set(), *pages], pages, strict=False))
        assert clean_requests(numbers, trace.prev_use) == clean
        absent = not_in_next_phase(trace.ids, trace.n_objects, numbers)
        assert all(absent[t] == (ids[t] not in [*pages, set()][phases[t] + 1]) for t in range(len(ids)))

    @pytest.mark.parametrize(("letters", "clean"), [("AB CD EF", 6), ("ABABAB", 2), ("AB CA BC", 2 + 1 + 1)])
    def test_clean_requests_are_for_pages_that_the_phase_before_did_not_have(self, letters, clean):
        trace = trace_of(letters)
        assert clean_requests(phases_of(trace.ids, trace.n_objects, 2), trace.prev_use) == clean


class TestErrors:
    def test_wrong_zeros_and_wrong_ones_are_counted_apart(self):
        """The truth is 0110111, see above."""
        assert errors("discard", np.array([1, 1, 0, 0, 1, 1, 0]), trace_of("ABCABAD"), 2) == {"eta0": 2, "eta1": 1}

    def test_of_phase_bits_those_count_that_are_acted_on(self):
        """Phases ABA CA BC, truth 010 01 11: the first A is not the last A of its phase; BC is the final phase."""
        trace = trace_of("ABA CA BC")
        truth = np.array([0, 1, 0, 0, 1, 1, 1])
        for t, counted in enumerate([0, 1, 1, 1, 1, 0, 0]):
            bits = truth.copy()
            bits[t] ^= 1
            assert sum(errors("phase", bits, trace, 2).values()) == counted

    def test_times_are_compared_up_to_the_end_of_the_trace(self):
        """ABAB: true 2, 3, never, never. Off by 1, right, off by 4 - 3, and never is as good as any time after it."""
        assert errors("next_use", np.array([3.0, 3.0, 3.0, math.inf]), trace_of("ABAB"), 2) == {"eta": 2.0}

    @given(ids=requests, capacity=capacities, data=st.data())
    def test_any_trace(self, ids, capacity, data):
        n = len(ids)
        bits = np.asarray(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), np.uint8)
        times = np.asarray(data.draw(st.lists(st.floats(-5, 100), min_size=n, max_size=n)))
        trace = trace_of(ids)
        pairs = list(zip(bits.tolist(), naive_discard(ids, capacity), strict=True))
        assert errors("discard", bits, trace, capacity) == {"eta0": pairs.count((0, 1)), "eta1": pairs.count((1, 0))}
        phases, pages = naive_phases(ids, capacity)
        pairs = [
            (int(bits[t]), int(ids[t] not in pages[phases[t] + 1]))
            for t in range(n)
            if phases[t] < phases[-1] and ids[t] not in [ids[u] for u in range(t + 1, n) if phases[u] == phases[t]]
        ]
        assert errors("phase", bits, trace, capacity) == {"eta0": pairs.count((0, 1)), "eta1": pairs.count((1, 0))}
        eta = sum(abs(min(times[t], n) - next_use(ids, t)) for t in range(n))
        assert errors("next_use", times, trace, capacity)["eta"] == pytest.approx(eta)

    @given(ids=requests, capacity=capacities)
    def test_the_truth_has_none(self, ids, capacity):
        trace = trace_of(ids)
        for kind in ("discard", "phase", "next_use"):
            assert not any(errors(kind, told("truth", kind, trace, capacity), trace, capacity).values())


class TestNoisy:
    @pytest.mark.parametrize("kind", ["discard", "phase"])
    def test_0_changes_nothing_and_1_flips_all(self, kind):
        trace = random_trace()
        truth = told("truth", kind, trace)
        assert (told("noisy:p=0", kind, trace) == truth).all()
        assert (told("noisy:p=1", kind, trace) == 1 - truth).all()

    @pytest.mark.parametrize(("flips", "bit"), [("1to0", 0), ("0to1", 1)])
    def test_flips_in_one_direction(self, flips, bit):
        trace = random_trace()
        truth = told("truth", "discard", trace)
        assert (told(f"noisy:p=1:flips={flips}", "discard", trace) == bit).all()
        some = told(f"noisy:p=0.5:flips={flips}", "discard", trace)
        assert set(some[truth == bit]) == {bit}
        assert set(some[truth != bit]) == {0, 1}

    @pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
    @pytest.mark.parametrize("seed", range(5))
    def test_the_share_that_is_wrong(self, p, seed):
        """Within 4 standard errors."""
        trace = random_trace()
        wrong = told(f"noisy:p={p}", "discard", trace, seed=seed) != told("truth", "discard", trace)
        assert abs(wrong.mean() - p) <= 4 * math.sqrt(p * (1 - p) / len(trace))

    def test_the_seed_decides(self):
        trace, again = random_trace(), random_trace()
        first = told("noisy:p=0.2", "discard", trace, seed=7)
        assert (told("noisy:p=0.2", "discard", again, seed=7) == first).all()
        assert (told("noisy:p=0.2", "discard", trace, seed=8) != first).any()

    def test_different_traces_get_different_noise(self):
        """The same length and the same seed; which requests are hit must not agree more than by chance."""
        wrong = []
        for seed in (0, 1):
            trace = random_trace(seed=seed)
            wrong.append(told("noisy:p=0.5", "discard", trace) != told("truth", "discard", trace))
        agree = (wrong[0] == wrong[1]).mean()
        assert abs(agree - 0.5) <= 4 * 0.5 / math.sqrt(len(wrong[0]))

    def test_two_noises_one_after_the_other_are_independent(self):
        """Flipped by one of two: 2 p (1-p)."""
        trace = random_trace()
        wrong = told("noisy:p=0.3+noisy:p=0.3", "discard", trace) != told("truth", "discard", trace)
        assert abs(wrong.mean() - 0.42) <= 4 * math.sqrt(0.42 * 0.58 / len(trace))

    def test_a_wrong_time_is_now_plus_the_gap_of_some_request(self):
        trace = random_trace(500)
        n = len(trace)
        gaps = {int(u - t) for t, u in enumerate(trace.next_use.tolist()) if u < n} | {math.inf}
        due = told("noisy:p=1", "next_use", trace)
        assert {d - t for t, d in enumerate(due.tolist())} <= gaps
        assert (told("noisy:p=0", "next_use", trace) == told("truth", "next_use", trace)).all()

    @pytest.mark.parametrize("text", ["noisy:p=1.5", "noisy:p=-0.1", "noisy:p=nan", "noisy:flips=some"])
    def test_no_probability_no_noise(self, text):
        with pytest.raises(UsageError, match=r"noisy: (p=|flips='some')"):
            parse_predictor(text)

    def test_what_the_source_says_is_not_changed(self):
        trace, bits = random_trace(), np.zeros(3000, np.uint8)
        given_bits = parse_predictor(bits)
        noisy = Predictor(given_bits.source, parse_predictor("noisy:p=0.5").noises)
        assert noisy.forecast("discard", trace, 3).any()
        assert not bits.any()


class TestLognormal:
    def test_0_changes_nothing(self):
        trace = random_trace()
        assert (told("lognormal:sigma=0", "next_use", trace) == told("truth", "next_use", trace)).all()

    @pytest.mark.parametrize("sigma", [0.5, 2, 200])
    def test_nobody_is_said_to_come_earlier(self, sigma):
        trace = random_trace()
        due = told(f"lognormal:sigma={sigma}", "next_use", trace)
        assert (due >= told("truth", "next_use", trace)).all()
        assert not np.isnan(due).any()

    def test_half_come_later_by_more_than_one_request(self):
        """The median of a log-normal variable with mean 0 is 1."""
        trace = random_trace()
        late = told("lognormal:sigma=2", "next_use", trace) - told("truth", "next_use", trace)
        assert abs((late > 1).mean() - 0.5) <= 4 * 0.5 / math.sqrt(len(trace))

    @pytest.mark.parametrize("sigma", ["-1", "inf", "nan"])
    def test_no_such_spread(self, sigma):
        with pytest.raises(UsageError, match="lognormal: sigma="):
            parse_predictor(f"lognormal:sigma={sigma}")

    def test_bits_are_disturbed_through_their_times(self):
        trace = random_trace()
        due = told("lognormal:sigma=3", "next_use", trace, seed=4)
        bits = told("lognormal:sigma=3", "discard", trace, seed=4)
        assert (bits == bits_of_times("discard", due, trace, 3)).all()


class TestSources:
    @given(ids=requests)
    def test_popu_expects_the_mean_gap(self, ids):
        due = [t + (t + 1) / ids[: t + 1].count(ids[t]) for t in range(len(ids))]
        assert told("popu", "next_use", trace_of(ids)).tolist() == pytest.approx(due)

    @given(ids=requests)
    def test_pleco_weighs_what_was_requested_by_how_long_ago(self, ids):
        """As in the paper, t from 1 and quadratic: h = t - 1 + 1 / p."""
        due = []
        for t in range(1, len(ids) + 1):
            weights = [(i + 10) ** -1.8 * math.exp(-i / 670) for i in range(1, t + 1)]  # i steps ago, 1 = this request
            own = sum(weight for i, weight in enumerate(weights, 1) if ids[t - i] == ids[t - 1])
            due.append(t - 2 + sum(weights) / own)  # requests are numbered from 0 here
        assert told("pleco", "next_use", trace_of(ids)).tolist() == pytest.approx(due)

    def test_last_gap_repeats_itself(self):
        """ABAAB: A 0, 2, 3 and B 1, 4; first requests have no gap."""
        assert told("last_gap", "next_use", trace_of("ABAAB")).tolist() == [5e4, 5e4, 4, 4, 7]

    @given(ids=requests, capacity=capacities)
    def test_lru_is_the_order_of_the_last_requests(self, ids, capacity):
        """Whoever is predicted latest is the one that was requested longest ago: following it is LRU."""
        due = told("lru", "next_use", trace_of(ids))
        assert due.tolist() == [-t for t in range(1, len(ids) + 1)]
        assert run_policy("blind_oracle@lru", ids, capacity)[0] == run_policy("lru", ids, capacity)[0]

    def test_predictions_are_kept_per_trace_and_read_only(self):
        trace = random_trace()
        first = told("popu", "next_use", trace)
        assert np.shares_memory(first, told("popu", "next_use", trace, capacity=9))
        with pytest.raises(ValueError, match="read-only"):
            first[0] = 1


class TestBitsOfTimes:
    @pytest.mark.parametrize("kind", ["discard", "phase"])
    @pytest.mark.parametrize("source", ["pleco", "popu", "last_gap"])
    def test_the_future_does_not_change_what_was_said(self, kind, source):
        """Two traces that agree up to a request get the same bits up to there."""
        ids = random_trace(2500).ids
        other = random_trace(2500, seed=1).ids
        whole = told(source, kind, trace_of(ids.tolist()), 2)
        assert set(whole.tolist()) == {0, 1}
        for cut in (1, 2, 255, 256, 257, 1000, 1537, 2499):
            changed = np.concatenate([ids[:cut], other[cut:]])
            assert (told(source, kind, trace_of(changed.tolist()), 2)[:cut] == whole[:cut]).all()
            assert (told(source, kind, trace_of(ids[:cut].tolist()), 2) == whole[:cut]).all()

    @pytest.mark.parametrize("kind", ["discard", "phase"])
    def test_with_nothing_to_go_by_all_stay(self, kind):
        """No phase is over, and no gap was seen."""
        trace = trace_of(list(range(20)))
        assert not bits_of_times(kind, np.full(20, 1e9), trace, 20).any()

    @given(ids=requests, capacity=capacities, data=st.data())
    def test_a_phase_bit_is_1_when_due_after_two_mean_phases(self, ids, capacity, data):
        n = len(ids)
        due = np.asarray(data.draw(st.lists(st.floats(0, 120), min_size=n, max_size=n)))
        phases, _ = naive_phases(ids, capacity)
        bits = []
        for t, phase in enumerate(phases):
            begin = phases.index(phase)
            bits.append(int(phase > 0 and due[t] >= begin + 2 * begin / phase))
        assert bits_of_times("phase", due, trace_of(ids), capacity).tolist() == bits

    @settings(max_examples=30)
    @given(ids=st.lists(st.integers(0, 7), min_size=260, max_size=300), capacity=st.integers(1, 8), due=st.data())
    def test_a_discard_bit_is_1_when_due_after_the_longest_gap_that_there_is_room_for(self, ids, capacity, due):
        """Gaps are looked at once in 256 requests, so that the bits of the first 256 go by what was seen at request 0."""
        n = len(ids)
        offsets = np.asarray(due.draw(st.lists(st.integers(1, 60), min_size=n, max_size=n)))
        bits = bits_of_times("discard", np.arange(n) + offsets, trace_of(ids), capacity)
        assert not bits[:256].any()
        spent: dict[int, int] = {}
        for t in range(257):
            if ids[t] in ids[:t]:
                gap = t - max(u for u in range(t) if ids[u] == ids[t])
                spent[int(math.log2(gap) * 8)] = spent.get(int(math.log2(gap) * 8), 0) + gap
        left, longest = capacity * 256, math.inf
        for octave_eighth in range(max(spent) + 1):
            left -= spent.get(octave_eighth, 0)
            if left < 0:
                longest = 2 ** (octave_eighth / 8)
                break
        assert bits[256:].tolist() == [int(offset > longest) for offset in offsets[256:]]


class TestComposition:
    @pytest.mark.parametrize(
        ("text", "label"),
        [
            ("pleco", "pleco"),
            ("noisy", "noisy:p=0.05"),
            ("noisy:p=0.1", "noisy:p=0.1"),
            ("truth+noisy:p=0.1", "noisy:p=0.1"),
            ("truth", "truth"),
            (" POPU + noisy:p=0.1:flips=1to0 ", "popu+noisy:p=0.1:flips=1to0"),
            ("last-gap", "last_gap"),
            ("lognormal+noisy:p=0.2", "lognormal:sigma=10.0+noisy:p=0.2"),
            ("column:name=ttls", "column:name=ttls"),
        ],
    )
    def test_labels_say_what_is_predicted_and_read_back_the_same(self, text, label):
        predictor = parse_predictor(text)
        assert predictor.label == label
        assert parse_predictor(label) == predictor
        assert parse_predictor(predictor) is predictor

    @pytest.mark.parametrize(
        ("text", "near"), [("plecko", "pleco"), ("noisi", "noisy"), ("truht", "truth"), ("pleco+nosy", "noisy")]
    )
    def test_unknown_names_suggest_near_ones(self, text, near):
        with pytest.raises(
            UnknownNameError, match=f"unknown predictor .* Did you mean '{near}'.* See: evictlab predictors"
        ):
            parse_predictor(text)

    @pytest.mark.parametrize("hidden", ["base", "given", "predicted", "thresholds", "_belady", ""])
    def test_what_is_no_predictor_is_not_found(self, hidden):
        assert hidden not in predictor_names()
        with pytest.raises(UnknownNameError):
            parse_predictor(hidden)

    def test_unknown_parameters_suggest_near_ones(self):
        with pytest.raises(UnknownNameError, match=r"unknown parameter of noisy 'flip'\. Did you mean 'flips'"):
            parse_predictor("noisy:flip=both")
        with pytest.raises(UsageError, match=r"noisy: p='much' is not a valid float"):
            parse_predictor("noisy:p=much")
        with pytest.raises(UsageError, match=r"'0\.1' is not of the form parameter=value"):
            parse_predictor("noisy:0.1")

    def test_a_source_behind_noise_is_refused(self):
        for text in ("noisy+pleco", "popu+pleco", "pleco+noisy+popu"):
            with pytest.raises(UsageError, match=r"is a source and comes first; noises follow it"):
                parse_predictor(text)

    def test_randomness_is_that_of_the_noises(self):
        assert not parse_predictor("pleco").random
        assert parse_predictor("pleco+noisy").random

    def test_all_are_described_sources_first(self):
        specs = all_predictors()
        assert sorted(spec.name for spec in specs) == predictor_names()
        assert [spec.noise for spec in specs] == sorted(spec.noise for spec in specs)
        for spec in specs:
            assert spec.title
            assert spec.summary.endswith(".")
            assert spec.source.startswith("https://")
            assert issubclass(spec.params, object)


class TestGiven:
    def test_an_array_is_handed_on(self):
        trace = trace_of("ABAB")
        bits = told([0, 1, 0, 1], "discard", trace)
        assert bits.dtype == np.uint8
        assert bits.tolist() == [0, 1, 0, 1]
        assert told(np.array([True, False, True, True]), "phase", trace).tolist() == [1, 0, 1, 1]
        times = told([2, 3, math.inf, 9], "next_use", trace)
        assert times.dtype == np.float64
        assert times.tolist() == [2, 3, math.inf, 9]
        assert parse_predictor(bits).label == "given"

    @pytest.mark.parametrize(
        ("values", "kind", "message"),
        [
            ([0, 1], "discard", "given: 2 predictions for 4 requests; one per request is needed"),
            ([[0, 1, 0, 1]], "discard", "given: 1 x 4 predictions for 4 requests"),
            (0, "discard", "for 4 requests; one per request is needed"),
            (
                [0, 1, 2, 1],
                "discard",
                "given: the prediction of request 2 is 2, which is neither 0 nor 1; discard is a bit",
            ),
            (
                [0, 0.5, 0, 1],
                "phase",
                "given: the prediction of request 1 is 0.5, which is neither 0 nor 1; phase is a bit",
            ),
            ([0, -1, 0, 1], "phase", "the prediction of request 1 is -1, which is neither 0 nor 1"),
            ([0, 1, 0, math.nan], "discard", "given: the prediction of request 3 is nan, which is not a number"),
            ([0, 1, math.nan, 2], "next_use", "given: the prediction of request 2 is nan, which is not a number"),
            (["a", "b", "c", "d"], "discard", "given: predictions must be numbers, not <U1"),
            (np.array([None] * 4), "next_use", "given: predictions must be numbers, not object"),
            (np.array([0, 1, 0, 1j]), "next_use", "given: predictions must be numbers, not complex128"),
            (np.array([0, 1, 255, 1], np.uint8), "discard", "the prediction of request 2 is 255, which is neither"),
        ],
    )
    def test_what_cannot_be_used_is_refused(self, values, kind, message):
        with pytest.raises(PredictionError) as raised:
            told(np.asarray(values), kind, trace_of("ABAB"))
        assert message in str(raised.value)


class TestColumn:
    def trace(self, **columns):
        return RequestTrace.from_columns([1, 2, 1, 2], **columns)

    def test_the_column_of_predictions(self):
        trace = self.trace(predictions=[0, 1, 1, 0])
        assert told("column", "discard", trace).tolist() == [0, 1, 1, 0]
        assert told("column", "next_use", trace).tolist() == [0, 1, 1, 0]

    def test_any_other_column(self):
        trace = self.trace(ttls=[0.5, 1, 1, 7])
        assert told("column:name=ttls", "next_use", trace).tolist() == [0.5, 1, 1, 7]
        with pytest.raises(PredictionError, match=r"column:name=ttls: the prediction of request 0 is 0.5"):
            told("column:name=ttls", "phase", trace)

    def test_times_become_bits_when_it_is_said_that_they_are_times(self):
        due = [2.0, 3.0, 9.0, 9.0]
        trace = self.trace(predictions=due)
        bits = told("column:holds=next_use", "phase", trace, 1)
        assert (bits == bits_of_times("phase", np.asarray(due), trace, 1)).all()
        with pytest.raises(PredictionError, match="is neither 0 nor 1"):
            told("column", "phase", trace, 1)

    def test_bits_do_not_become_times(self):
        with pytest.raises(PredictionError, match="predicts discard, phase, but next_use is needed"):
            told("column:holds=bits", "next_use", self.trace(predictions=[0, 1, 1, 0]))

    def test_a_missing_column_says_how_to_read_it(self):
        with pytest.raises(PredictionError, match=r"has no column of predictions; .*--reader prediction=NAME"):
            told("column", "discard", self.trace())
        with pytest.raises(PredictionError, match=r"has no column of costs$"):
            told("column:name=costs", "discard", self.trace())

    def test_missing_values_are_named(self):
        with pytest.raises(PredictionError, match="column: the prediction of request 1 is nan"):
            told("column", "discard", self.trace(predictions=[0, math.nan, 1, 0]))

    @pytest.mark.parametrize("text", ["column:name=colour", "column:holds=times"])
    def test_there_is_no_such_column(self, text):
        with pytest.raises(UsageError, match="column: "):
            parse_predictor(text)
