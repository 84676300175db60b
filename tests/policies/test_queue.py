"""Queue policies: why each victim is the victim. A story tells ``+`` hit, ``.`` miss with room, or who left."""

from __future__ import annotations

import pytest

from evictlab.policies import parse_policy
from evictlab.traces.errors import UsageError

from interpreted import run_policy, story


class TestFifo:
    def test_hits_count_for_nothing(self):
        # A is requested again, and still leaves first.
        assert story("fifo", "ABC A D E", 3) == ". . . + A B"

    def test_more_room_can_mean_more_misses(self):
        # Belady, Nelson, Shedler, "An anomaly in space-time characteristics", CACM 12(6), 1969.
        ids = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]
        assert [run_policy("fifo", ids, capacity)[0].count(0) for capacity in (3, 4)] == [9, 10]


class TestClock:
    def test_a_request_earns_one_more_round(self):
        # D: A has its bit set, goes behind C, B leaves. E: C leaves. F: A, its bit spent, is next.
        assert story("clock", "ABC A D E F", 3) == ". . . + B C A"

    def test_one_bit_counts_one_request(self):
        assert story("clock", "ABC AA D E F", 3) == ". . . + + B C A"

    def test_two_bits_count_three(self):
        # A earns two rounds: it is passed for D (B leaves) and once more for F (D leaves), then its turn comes.
        assert story("clock:bits=2", "ABC AA D E F G H", 3) == ". . . + + B C D E A"

    def test_a_newcomer_may_start_with_a_round(self):
        # C: A and B both have a round to spend, then A leaves. D: C starts with one, but B has none left.
        assert story("clock:init=1", "AB C D", 2) == ". . A B"

    @pytest.mark.parametrize("text", ["clock:bits=0", "clock:bits=8", "clock:init=2", "clock:bits=2:init=4"])
    def test_counters_that_do_not_exist(self, text):
        with pytest.raises(UsageError, match=r"not within \d .. \d"):
            parse_policy(text)


class TestSieve:
    def test_a_survivor_keeps_its_place_and_the_hand_too(self):
        # D: the hand clears A, throws B out and stands at C. B: C leaves. E: D leaves, and not the older A, which the
        # hand has already passed; CLOCK would have moved A to the head and would throw it out here.
        assert story("sieve", "ABC A D B E", 3) == ". . . + B C D"
        assert story("clock", "ABC A D B E", 3) == ". . . + B C A"


class TestS3Fifo:
    def test_two_requests_promote(self):
        # A and B fill the small queue; C, D and E spill into the main one. F: A and B, requested twice, move to the
        # main queue, which now exceeds its share of 3: C leaves. G: it still does: D leaves. H: now F is the oldest of
        # the small queue and was not requested: F leaves.
        assert story("s3fifo:small=0.4", "ABCDE AA BB FGH", 5) == ". . . . . + + + + C D F"

    def test_one_request_does_not(self):
        assert story("s3fifo:small=0.4", "ABCDE A F", 5) == ". . . . . + A"
        assert story("s3fifo:small=0.4:promote=1", "ABCDE A F", 5) == ". . . . . + B"

    def test_without_spilling_the_small_queue_takes_all_until_the_cache_is_full(self):
        # A to D wait in the small queue, and leave in order; with spilling, C is in the main queue and D behind it.
        assert story("s3fifo:small=0.5:spill=false", "ABCD EFG", 4) == ". . . . A B C"
        assert story("s3fifo:small=0.5", "ABCD EFG", 4) == ". . . . A B E"

    def test_who_returns_in_time_enters_the_main_queue(self):
        # A in the small queue, B, C and D in the main one. E pushes A out to the ghost. A returns: E leaves, and the main
        # queue holds B C D A, one too many. F: B was requested and gets another round, C leaves.
        assert story("s3fifo:small=0.25", "ABCD B E A F", 4) == ". . . . + A E C"

    def test_larger_than_the_small_queue_is_not_admitted(self):
        assert story("s3fifo:small=0.3", "A B A B", 10, {"A": 3, "B": 4}) == ". - + -"

    @pytest.mark.parametrize("text", ["s3fifo:small=1.5", "s3fifo:ghost=-1", "s3fifo:promote=0", "s3fifo:promote=4"])
    def test_shares_that_do_not_exist(self, text):
        with pytest.raises(UsageError, match="not within"):
            parse_policy(text)


class TestQdLp:
    def test_probation_ghost_and_lazy_promotion(self):
        # All four wait in the probationary queue. E: A was requested and moves to the main queue, B leaves. F: C leaves.
        # B is remembered and will enter the main queue, which has room (A of 2), so D makes way. C is remembered too, but
        # now the main queue is full: A was requested there and gets another round, B leaves.
        assert story("qdlp:small=0.5", "ABCD A E F B A C", 4) == ". . . . + B C D + B"


class TestClock2QPlus:
    def test_requests_right_after_the_first_do_not_count(self):
        # The window is one entry. B entered behind A, so A's request counts; nobody entered behind B. E: A moves to the
        # main queue, B leaves.
        assert story("clock2q_plus:small=0.5", "ABCD A B E", 4) == ". . . . + + B"
        assert story("clock2q_plus:small=0.5:window=0", "ABCD A B E", 4) == ". . . . + + C"
