"""Packets there and back, packets that are wrong, and the choice of victims from values."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("onnx")  # of tiny_model

from tiny_model import bad_packets, random_candidates, random_context

from evictlab.rl.sidecar.protocol import (
    FEATURES,
    MISSING,
    PacketError,
    Reply,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)
from evictlab.rl.sidecar.victims import choose_victims

SIZE = FEATURES.index("size_bytes")


@pytest.mark.parametrize("k", [1, 7, 64])
@pytest.mark.parametrize("shadow", [False, True])
def test_a_request_there_and_back(k, shadow):
    rng = np.random.default_rng(k)
    rows, context = random_candidates(rng, k), random_context(rng)
    packet = pack_request(2**64 - 1, rows, context, shadow=shadow)
    assert len(packet) == 24 + 4 * (4 + k * 11)
    request = unpack_request(packet)
    assert (request.id, request.shadow) == (2**64 - 1, shadow)
    np.testing.assert_array_equal(request.candidates, rows)
    np.testing.assert_array_equal(request.context, context)


def test_the_bytes_are_those_of_the_protocol():
    """A module in C reads them: another order or width would be another protocol."""
    packet = pack_request(0x1122334455667788, np.arange(22).reshape(2, 11), [0.5, 1, 2, 3], shadow=True)
    assert packet[:24] == bytes.fromhex("45564c31 0100 0100 8877665544332211 0200 0b00 0400 0000")
    assert packet[24:28] == bytes.fromhex("0000003f")  # 0.5
    assert packet[-4:] == bytes.fromhex("0000a841")  # 21: candidates are row by row
    assert pack_reply(Reply(3, 258, 1 << 63)) == bytes.fromhex("45564c31 0100 0300 0201000000000000 0000000000000080")


@pytest.mark.parametrize("wrong", bad_packets())
def test_a_wrong_request_is_refused_with_its_status_and_id(wrong):
    packet, status, id = bad_packets()[wrong]
    with pytest.raises(PacketError) as error:
        unpack_request(packet)
    assert (error.value.status, error.value.id) == (status, id)


@pytest.mark.parametrize(
    "packet", [b"", bytes(24), pack_reply(Reply(0, 1, 1))[:-1], pack_reply(Reply(0, 1, 1)) + b"\0"]
)
def test_a_wrong_reply_is_refused(packet):
    with pytest.raises(PacketError, match="reply"):
        unpack_reply(packet)


def test_a_reply_there_and_back():
    reply = Reply(0, 5, 2**64 - 1)
    assert unpack_reply(pack_reply(reply)) == reply


@pytest.mark.parametrize("shape", [(0, 11), (65, 11), (4, 10), (44,)])
def test_other_shapes_are_not_sent(shape):
    with pytest.raises(PacketError, match="rows of 11 features"):
        pack_request(0, np.zeros(shape), np.zeros(4))
    with pytest.raises(PacketError, match="context"):
        pack_request(0, np.zeros((4, 11)), np.zeros(5))


def candidates(*sizes):
    rows = np.zeros((len(sizes), len(FEATURES)), np.float32)
    rows[:, SIZE] = sizes
    return rows


def test_the_most_valuable_evictions_go_until_there_is_room():
    rows = candidates(*[100] * 32)
    q = np.zeros(32, np.float32)
    q[[20, 5, 9]] = 3, 2, 1
    assert choose_victims(q, rows, 0).mask == 1 << 20
    assert choose_victims(q, rows, 100).mask == 1 << 20
    assert choose_victims(q, rows, 101).mask == 1 << 20 | 1 << 5
    assert choose_victims(q, rows, 250).mask == 1 << 20 | 1 << 5 | 1 << 9
    decision = choose_victims(q, rows, 1e9)  # 32 candidates: at most 4 go, the fourth is the first of the equal ones
    assert decision.mask == 1 << 20 | 1 << 5 | 1 << 9 | 1
    assert (decision.victims, decision.not_lru) == (4, 3)


def test_of_few_candidates_one_may_go():
    assert choose_victims(np.array([1, 2, 3], np.float32), candidates(1, 1, 1), 1e9).mask == 0b100


def test_without_an_opinion_it_is_lru():
    decision = choose_victims(np.ones(64, np.float32), candidates(*[10] * 64), 35)
    assert (decision.mask, decision.victims, decision.not_lru) == (0b1111, 4, 0)


def test_what_is_absent_never_goes():
    rows = candidates(MISSING, 10, MISSING, 10)
    q = np.array([9, 1, np.nan, 0], np.float32)  # whatever the model says about absent rows
    decision = choose_victims(q, rows, 0)
    assert (decision.mask, decision.victims, decision.not_lru) == (0b0010, 1, 0)
    assert choose_victims(q, candidates(*[MISSING] * 4), 5).mask == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_decides_nothing(value):
    with pytest.raises(FloatingPointError):
        choose_victims(np.array([0, value], np.float32), candidates(1, 1), 0)
