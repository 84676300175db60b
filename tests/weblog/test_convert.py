"""From lines to requests: what is left out, when requests came, how large objects are, what a miss costs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.batch import LOGGED, Account, Batch
from evictlab.traces.readers.base.fields import Words
from evictlab.traces.weblog.records import Records, Vocabulary
from evictlab.traces.weblog.requests.arrivals import SPREAD, arrivals
from evictlab.traces.weblog.requests.convert import ABSURD, NO_METHOD, NO_OBJECT, Choices, convert
from evictlab.traces.weblog.requests.nearest import by_group, nearest_value
from evictlab.traces.weblog.requests.sizes import Evidence, sizes_of
from evictlab.traces.weblog.rules import CacheRules

NAN = float("nan")


def log(*lines: dict[str, Any]) -> Records:
    """A log of lines such as ``{"key": 7, "status": 200}``, a second apart if they do not say when they ended."""
    records = Records()
    columns: dict[str, Any] = {}
    names = {name for line in lines for name in line} - {"key", "method", "barred", "logged"}
    missing = {"body": -1, "length": -1, "total": -1, "status": 200, "unnamed": 0}
    for name in names | {"status", "end_s"}:
        columns[name] = np.array(
            [line.get(name, i if name == "end_s" else missing.get(name, NAN)) for i, line in enumerate(lines)]
        )
    columns["method"] = np.array([records.methods.code(line.get("method", "GET")) for line in lines])
    columns["barred"] = np.array([records.reasons.code(line.get("barred", "")) for line in lines])
    if any("logged" in line for line in lines):
        columns["logged"] = np.array([LOGGED.index(line.get("logged", "")) for line in lines])
    columns["coarse"] = columns["end_s"] == np.floor(columns["end_s"])
    records.append(np.array([line["key"] for line in lines], np.uint64), **columns)
    return records


def requests(
    *lines: dict[str, Any], rules: CacheRules | None = None, choices: Choices | None = None
) -> tuple[Batch, Account]:
    account = Account()
    (batch,) = convert(log(*lines), rules or CacheRules(), choices or Choices(), account)
    return batch, account


def column(values: Any) -> list[Any]:
    assert values is not None
    return list(values.tolist())


def test_what_is_no_request_to_the_cache_is_counted_with_its_reason() -> None:
    batch, account = requests(
        {"key": 1, "body": 5},
        {"key": 2, "method": "POST"},
        {"key": 3, "status": 404},
        {"key": 4, "barred": "Cache-Control: no-store"},
        {"key": 5, "method": ""},
        {"key": 6, "method": "POST", "status": 500},
        {"key": 1, "method": "HEAD"},
        {"key": 1, "status": 304},
        {"key": 1, "status": 206, "body": 2},
    )
    assert column(batch.keys) == [1, 1, 1, 1]
    assert account.dropped == {
        "method POST": 2,
        "status 404": 1,
        "Cache-Control: no-store": 1,
        NO_METHOD: 1,
    }


def test_a_header_makes_any_status_cacheable_and_zero_seconds_make_none() -> None:
    lines = [
        {"key": 1, "status": 404, "body": 3, "ttl_s": 60.0},
        {"key": 2, "status": 404, "body": 3},
        {"key": 3, "body": 1},
    ]
    batch, account = requests(*lines)
    assert column(batch.keys) == [1, 3]
    batch, account = requests(*lines, rules=CacheRules().changed(valid="404 1m"))
    assert column(batch.keys) == [1, 2]
    assert account.dropped == {"status 200": 1}


def test_what_the_real_cache_served_is_cacheable() -> None:
    batch, account = requests(
        {"key": 1, "status": 404, "body": 3, "logged": "MISS"},
        {"key": 1, "status": 404, "body": 3, "logged": "HIT"},
        {"key": 2, "status": 403, "body": 3, "logged": "MISS"},
        {"key": 3, "body": 3, "barred": "Expires in the past", "logged": "STALE"},
        {"key": 4, "body": 3, "barred": "Expires in the past", "logged": "MISS"},
    )
    assert column(batch.keys) == [1, 1, 3]
    assert account.dropped == {"Expires in the past": 1, "status 403": 1}
    assert "status 404 counts as cacheable, because the log has hits with it" in account.notes


def test_arrival_is_the_end_less_the_duration() -> None:
    # The long download ended last and was logged last, but was asked for first.
    batch, _ = requests(
        {"key": 2, "end_s": 10.5, "duration_s": 0.1, "body": 1},
        {"key": 3, "end_s": 11.25, "duration_s": NAN, "body": 1},
        {"key": 1, "end_s": 12.0, "duration_s": 9.0, "body": 1},
    )
    assert column(batch.keys) == [1, 2, 3]
    assert column(batch.times) == pytest.approx([3.0, 10.4, 11.25])


def test_lines_of_one_second_are_spread_in_their_order() -> None:
    lines = [{"key": key, "end_s": end_s, "body": 1} for key, end_s in enumerate([5, 6, 5, 5, 5])]
    batch, account = requests(*lines)
    assert column(batch.keys) == [0, 2, 3, 4, 1]
    assert column(batch.times) == [5.0, 5.25, 5.5, 5.75, 6.0]
    assert account.repaired == {SPREAD: 3}
    assert "3 lines ended before one above, by 1 s at most: sorted by arrival" in account.notes
    batch, _ = requests(*lines, choices=Choices(ties="reverse"))
    assert column(batch.keys) == [4, 3, 2, 0, 1]
    shuffled = {tuple(column(requests(*lines, choices=Choices(ties="shuffle", tie_seed=s))[0].keys)) for s in range(9)}
    assert len(shuffled) > 3
    assert all(keys[-1] == 1 for keys in shuffled)
    batch, _ = requests(*lines, choices=Choices(by_arrival=False))
    assert column(batch.keys) == [0, 1, 2, 3, 4]


def test_a_time_that_cannot_be_read_is_that_of_the_line_before() -> None:
    batch, account = requests(*({"key": i, "end_s": s, "body": 1} for i, s in enumerate([NAN, 7.5, NAN, 8.5])))
    assert column(batch.times) == [7.5, 7.5, 7.5, 8.5]
    assert account.repaired == {"time unreadable -> that of the line before": 2}


def test_sizes_of_whole_bodies_parts_and_nothing() -> None:
    batch, account = requests(
        {"key": 1, "status": 304},  # from the 200 below
        {"key": 1, "body": 100},
        {"key": 1, "body": 40},  # cut short: the client went away
        {"key": 1, "status": 499, "body": 0},
        {"key": 1, "status": 206, "body": 10},
        {"key": 2, "status": 206, "body": 30, "total": 70},
        {"key": 3, "status": 206, "body": 30},  # at least 30
        {"key": 3, "status": 206, "body": 20},
        {"key": 4, "status": 304},  # never seen: the median of 100, 70 and 9
        {"key": 5, "status": 301, "body": 9},
    )
    assert column(batch.sizes) == [100, 100, 100, 100, 100, 70, 30, 30, 70, 9]
    assert column(batch.known) == [False, True, False, False, False, True, False, False, False, True]
    assert (
        "sizes of 70.0% of the requests are imputed: 30.0% from earlier responses, 10.0% from later responses, "
        "20.0% the largest part seen, 10.0% the median of known objects"
    ) in account.notes


def test_a_content_length_says_more_than_a_body() -> None:
    batch, _ = requests(
        {"key": 1, "body": 40, "length": 100},
        {"key": 1, "body": 0, "method": "HEAD"},
        {"key": 1, "status": 304, "length": 0},
    )
    assert column(batch.sizes) == [100, 100, 100]
    assert column(batch.known) == [True, False, False]


def test_an_object_keeps_its_size_for_an_epoch() -> None:
    day = 86400
    lines = [
        {"key": 1, "end_s": 10, "body": 100},
        {"key": 1, "end_s": day + 10, "body": 300},
        {"key": 1, "end_s": day + 20, "body": 200},  # cut short, since the same day has 300
        {"key": 1, "end_s": 2 * day + 10, "status": 304},
        {"key": 1, "end_s": 3 * day + 10, "status": 206, "body": 900},  # it has grown
    ]
    batch, _ = requests(*lines)
    assert column(batch.sizes) == [100, 300, 300, 300, 900]
    batch, _ = requests(*lines, choices=Choices(epoch_s=10 * day))
    assert column(batch.sizes) == [900] * 5


def test_compressed_bodies_are_stored_in_full() -> None:
    batch, account = requests({"key": 1, "body": 100, "gzip_ratio": 3.0}, {"key": 2, "body": 100})
    assert column(batch.sizes) == [300, 100]
    assert any("$gzip_ratio" in note for note in account.notes)


def test_without_any_body_there_are_no_sizes() -> None:
    batch, account = requests({"key": 1}, {"key": 2, "status": 304})
    assert batch.sizes is None
    assert batch.known is None
    assert "the log says nothing about sizes" in account.notes


def test_ttls_of_headers_come_before_those_of_the_configuration() -> None:
    lines = [{"key": 1, "body": 1, "ttl_s": 5.0}, {"key": 2, "body": 1}, {"key": 3, "body": 1, "status": 302}]
    batch, account = requests(*lines)
    assert column(batch.ttls) == pytest.approx([5, NAN, NAN], nan_ok=True)
    batch, _ = requests(*lines, rules=CacheRules().changed(valid="200 1m; 302 1s"))
    assert column(batch.ttls) == [5, 60, 1]
    batch, account = requests(*lines[1:])
    assert batch.ttls is None
    assert "nothing is known about TTLs: objects do not expire" in account.notes


def test_a_date_says_how_long_only_when_the_response_is_new() -> None:
    batch, _ = requests(
        {"key": 1, "body": 1, "ttl_s": 60.0, "dated": 1, "logged": "MISS"},
        {"key": 1, "body": 1, "ttl_s": 20.0, "dated": 1, "logged": "HIT"},
    )
    assert column(batch.ttls) == [60, 60]


def test_hits_cost_what_the_nearest_miss_did() -> None:
    batch, account = requests(
        {"key": 1, "body": 1, "logged": "HIT"},  # before any miss: the next one
        {"key": 1, "body": 1, "upstream_s": 0.5, "logged": "MISS"},
        {"key": 1, "body": 1, "upstream_s": 0.01, "logged": "REVALIDATED"},  # no fetch
        {"key": 1, "body": 1, "upstream_s": 0.75, "logged": "EXPIRED"},
        {"key": 1, "body": 1, "logged": "HIT"},
        {"key": 2, "body": 1, "logged": "HIT"},
    )
    assert column(batch.costs) == pytest.approx([0.5, 0.5, 0.5, 0.75, 0.75, NAN], nan_ok=True)
    assert [LOGGED[code] for code in column(batch.logged)] == ["HIT", "MISS", "REVALIDATED", "EXPIRED", "HIT", "HIT"]
    notes = "\n".join(account.notes)
    assert "costs of 66.7% of the requests are those of the object's nearest miss" not in notes
    assert "costs of 50.0% of the requests are those of the object's nearest miss" in notes
    assert "costs of 16.7% of the requests are unknown" in notes
    assert "the real cache answered 66.7% of these requests: MISS 1, HIT 3, EXPIRED 1, REVALIDATED 1" in notes


def test_everything_is_a_request_if_asked_for() -> None:
    batch, account = requests(
        {"key": 1, "method": "POST", "body": 3},
        {"key": 2, "status": 404, "body": 4, "barred": "Set-Cookie"},
        {"key": 3, "method": ""},
        {"key": 1, "status": 304},
        choices=Choices(everything=True),
    )
    assert column(batch.keys) == [1, 2, 1]
    assert column(batch.sizes) == [3, 4, 0]
    assert batch.known is None
    assert account.dropped == {NO_METHOD: 1}


LINES = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.integers(0, 4),
            "status": st.sampled_from([200, 200, 206, 301, 304, 404, 499, 0]),
            "method": st.sampled_from(["GET", "GET", "HEAD", "POST", ""]),
            "body": st.integers(-1, 50),
            "total": st.sampled_from([-1, -1, 60]),
            "end_s": st.integers(0, 300),
            "barred": st.sampled_from(["", "", "", "Set-Cookie"]),
            "upstream_s": st.sampled_from([NAN, 0.1, 0.2]),
        }
    ),
    min_size=1,
    max_size=30,
)


@given(LINES, st.sampled_from(["order", "reverse", "shuffle"]), st.integers(1, 7))
def test_every_line_is_accounted_for_and_values_are_sound(lines: list[dict[str, Any]], ties: str, size: int) -> None:
    account = Account()
    batches = list(convert(log(*lines), CacheRules(), Choices(epoch_s=60.0, ties=ties, batch=size), account))
    assert len(lines) == sum(map(len, batches)) + sum(account.dropped.values())
    assert all(0 < len(batch) <= size for batch in batches)
    times = [time for batch in batches for time in column(batch.times)]
    assert times == sorted(times)
    for batch in batches:
        if batch.sizes is not None:
            assert (batch.sizes >= 0).all()
            assert batch.known is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.5, 1.0, 1.0, 2.0, 7.0, NAN])), min_size=1))
def test_arrivals_agree_with_a_plain_loop(lines: list[tuple[int, float]]) -> None:
    end_s = np.array([float(second) for second, _ in lines])
    duration_s = np.array([duration for _, duration in lines])
    found = arrivals(end_s, np.ones(len(lines), bool), duration_s)
    expected = []
    for i, (second, duration) in enumerate(lines):
        same = [j for j, (other, _) in enumerate(lines) if other == second]
        expected.append(second + same.index(i) / len(same) - (0.0 if np.isnan(duration) else duration))
    assert found.times_s.tolist() == pytest.approx(expected)
    assert found.order.tolist() == sorted(range(len(lines)), key=lambda i: found.times_s[i])


EVIDENCE = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from(["own", "stated", "whole", "part", "none"]),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=25,
)


@given(EVIDENCE)
def test_sizes_agree_with_a_plain_loop(lines: list[tuple[int, int, str, int]]) -> None:
    kinds = ("own", "stated", "whole", "part")
    columns = {kind: np.array([size if what == kind else -1 for _, _, what, size in lines]) for kind in kinds}
    ids = np.array([key for key, *_ in lines], np.int32)
    found = sizes_of(ids, np.array([epoch for _, epoch, *_ in lines]), Evidence(**columns))
    expected = naive_sizes(lines)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert list(zip(found.n_bytes.tolist(), found.known.tolist(), strict=True)) == expected
        assert sum(found.imputed.values()) == sum(not known for _, known in expected)


def naive_sizes(lines: list[tuple[int, int, str, int]]) -> list[tuple[int, bool]] | None:
    """As the documentation of `traces.weblog.requests.sizes` says, line by line."""
    best: dict[tuple[int, int], int] = {}
    part: dict[tuple[int, int], int] = defaultdict(lambda: -1)
    for key, epoch, what, size in lines:
        if what in ("stated", "whole"):
            best[key, epoch] = max(size, best.get((key, epoch), -1))
        if what == "part":
            part[key, epoch] = max(size, part[key, epoch])
    sizes: list[tuple[int, bool]] = []
    for key, epoch, what, size in lines:
        if what in ("own", "stated"):
            sizes.append((size, True))
            continue
        days = sorted(day for other, day in best if other == key)
        near = [day for day in days if day <= epoch][-1:] or days[:1]
        if near:
            found = max(best[key, near[0]], part[key, epoch])
        else:
            found = max([part[key, day] for other, day in list(part) if other == key], default=-1)
        sizes.append((found, what == "whole" and size == found))
    if any(size < 0 for size, _ in sizes):
        largest: dict[int, int] = {}
        for (key, *_), (size, known) in zip(lines, sizes, strict=True):
            if known:
                largest[key] = max(size, largest.get(key, -1))
        if not largest:
            return None
        median = int(np.median(list(largest.values())))
        sizes = [(median if size < 0 else size, known) for size, known in sizes]
    return sizes


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1))
def test_nearest_value_agrees_with_a_plain_search(rows: list[tuple[int, bool]]) -> None:
    ids = np.array([key for key, _ in rows])
    known = np.array([is_known for _, is_known in rows])
    order = by_group(ids)
    values, came_from = nearest_value(ids[order], order, known[order])
    for position, row in enumerate(order.tolist()):
        same = [i for i in range(len(rows)) if ids[i] == ids[row] and known[i]]
        earlier, later = [i for i in same if i <= row], [i for i in same if i > row]
        assert values[position] == (earlier[-1:] or later[:1] or [row])[0]
        assert came_from[position] == (0 if known[row] else -1 if earlier else 1 if later else 2)


def test_columns_that_only_some_blocks_have() -> None:
    records = Records()
    records.append(np.array([1, 2], np.uint64), body=np.array([5, 6]))
    records.append(np.array([2], np.uint64), body=np.array([7]), ttl_s=np.array([9.0]))
    assert column(records.ids) == [0, 1, 1]
    assert column(records.column("body")) == [5, 6, 7]
    assert column(records.column("ttl_s")) == pytest.approx([NAN, NAN, 9.0], nan_ok=True)
    assert records.column("total") is None


def test_a_vocabulary_keeps_what_it_has_no_number_for_together() -> None:
    vocabulary = Vocabulary()
    codes = vocabulary.codes(Words(np.arange(-1, 400, dtype=np.int32), [*(f"M{i}" for i in range(400)), ""]))
    assert codes[0] == 0
    assert [vocabulary.words[code] for code in codes[1:4].tolist()] == ["M0", "M1", "M2"]
    assert len(set(codes.tolist())) == 256
    assert vocabulary.words[codes[-1]] == "(others)"


def test_a_response_without_a_header_does_not_get_the_ttl_of_a_neighbour() -> None:
    lines = [
        {"key": 1, "body": 1, "ttl_s": 60.0, "dated": 1, "logged": "MISS"},
        {"key": 1, "body": 1, "ttl_s": 20.0, "dated": 1, "logged": "HIT"},  # less was left than at first
        {"key": 1, "body": 1, "logged": "MISS"},
    ]
    batch, _ = requests(*lines)
    assert column(batch.ttls) == pytest.approx([60, 60, NAN], nan_ok=True)
    batch, _ = requests(*lines, rules=CacheRules().changed(valid="5s"))
    assert column(batch.ttls) == [60, 60, 5]


def test_one_line_with_an_absurd_size_does_not_spoil_its_object() -> None:
    batch, account = requests(
        {"key": 1, "body": 100},
        {"key": 1, "body": 2**53},
        {"key": 1, "body": 70, "length": 2**60},
        {"key": 1, "body": 70},
    )
    assert column(batch.sizes) == [100] * 4
    assert column(batch.known) == [True, False, False, False]
    assert account.repaired == {ABSURD: 2}


def test_lines_that_name_no_object_are_none() -> None:
    batch, account = requests({"key": 1, "body": 5}, {"key": 2, "unnamed": 1, "body": 5}, {"key": 3, "body": 5})
    assert column(batch.keys) == [1, 3]
    assert account.dropped == {NO_OBJECT: 1}


def test_words_that_clients_send_as_methods_are_one_reason() -> None:
    _, account = requests(
        {"key": 1, "body": 5}, *({"key": 1, "method": f"M{i}"} for i in range(9)), {"key": 1, "method": "PURGE"}
    )
    assert account.dropped == {"unknown method": 9, "method PURGE": 1}


def test_absurd_durations_and_ratios_count_as_unknown() -> None:
    batch, _ = requests(
        {"key": 1, "end_s": 5.5, "duration_s": 0.5, "body": 10, "gzip_ratio": 2.0},
        {"key": 2, "end_s": 6.5, "duration_s": 9e29, "body": 10, "gzip_ratio": 9e29},
        {"key": 3, "end_s": 7.5, "duration_s": -1.0, "body": 10, "gzip_ratio": -1.0},
    )
    assert column(batch.times) == [5, 6.5, 7.5]
    assert column(batch.sizes) == [20, 10, 10]
