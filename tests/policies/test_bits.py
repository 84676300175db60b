"""Policies that read a bit with each request: why each victim is the victim."""

from __future__ import annotations

import numpy as np
import pytest

from evictlab.policies import parse_policy
from evictlab.policies.predictors import Predicted, parse_predictor

from interpreted import run_policy, story


class TestFlushWhenAllZeros:
    def test_who_may_go_leaves_and_without_one_all_leave(self):
        # C: B said 1, so B leaves though A is older. D: A and C said 0, so both leave, C of the algorithm's own accord.
        # Then there is room for A; D is still there.
        assert story("flush_when_all_zeros", "ABCDAD", 2, predict="010000") == ". . B A/C . +"

    def test_the_last_bit_counts_and_of_several_the_oldest_request(self):
        # B says 0 at first and 1 at last; A and B may go, and A was requested longer ago.
        assert story("flush_when_all_zeros", "BABC", 2, predict="0110") == ". . + A"


class TestMark0:
    def test_a_one_leaves_at_once(self):
        # A says 1 when it enters, B when it is hit.
        assert story("mark0:lazy=false", "ABBA", 2, predict="1011") == "./A . +/B ./A"

    def test_lazy_keeps_a_one_until_its_room_is_needed(self):
        # A is given up but stays, and is hit; C needs room, and A was given up longest ago; B is kept.
        assert story("mark0", "ABACB", 2, predict="10100") == ". . + A +"

    def test_among_zeros_a_random_unmarked_one_leaves(self):
        # C: all are unmarked when the phase begins, A or B leaves. The one that stays is unmarked, C is not: it leaves for D.
        left = {story("mark0", "ABCD", 2, seed=seed, predict="0000") for seed in range(40)}
        assert left == {". . A B", ". . B A"}

    def test_lazy_with_ones_only_is_lru_and_eager_misses_everything(self):
        ids = np.minimum(np.random.default_rng(1).zipf(1.2, 2000), 60)
        ones = parse_predictor(np.ones(len(ids)))
        lazy, eager = (
            run_policy(Predicted(parse_policy(text), ones), ids, 9)[0] for text in ("mark0", "mark0:lazy=false")
        )
        assert lazy == run_policy("lru", ids, 9)[0]
        assert set(eager) == {0}


class TestMarkPredict:
    def test_unmarked_ones_leave_before_unmarked_zeros(self):
        # C: a phase begins, A said 1. D: everybody is marked, so a phase begins; C said 1, B said 0.
        assert story("mark_predict", "ABCBD", 2, predict="10100") == ". . A + C"

    def test_without_a_one_any_unmarked_leaves_but_never_a_marked_one(self):
        # C: A or B. D: the one of the two that is left, for C is marked.
        left = {story("mark_predict", "ABCD", 2, seed=seed, predict="0000") for seed in range(40)}
        assert left == {". . A B", ". . B A"}


@pytest.mark.parametrize("name", ["flush_when_all_zeros", "mark0", "mark0:lazy=false"])
def test_true_discard_bits_give_the_optimum(name):
    for seed in range(5):
        ids = np.minimum(np.random.default_rng(seed).zipf(1.3, 500), 40)
        assert sum(run_policy(f"{name}@truth", ids, 6)[0]) == sum(run_policy("belady", ids, 6)[0])
