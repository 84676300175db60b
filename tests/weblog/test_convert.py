"""From lines to requests: what is left out, when requests came, how large objects are, what a miss costs."""

from __future__ import annotations

import numpy as np
import pytest
from access_logs import column, requests

from evictlab.traces.batch import LOGGED
from evictlab.traces.readers.base.fields import Words
from evictlab.traces.weblog.records import Records, Vocabulary
from evictlab.traces.weblog.requests.arrivals import SPREAD
from evictlab.traces.weblog.requests.convert import ABSURD, NO_METHOD, NO_OBJECT, Choices
from evictlab.traces.weblog.rules import CacheRules

NAN = float("nan")


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
