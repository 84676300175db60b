"""The rotation of queries and keys: both layouts, part of a head, back again, and far positions."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
import pytest

from evictlab.traces.attention import rotate
from evictlab.traces.errors import UnknownNameError, UsageError

THETA = 10_000.0


def some(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def naive(row: list[float], position: int, theta: float, pairing: str, rotary_dim: int) -> list[float]:
    """A pair is a complex number, and turning is multiplying by exp(i angle)."""
    turned = list(row)
    for i in range(rotary_dim // 2):
        a, b = (i, i + rotary_dim // 2) if pairing == "half" else (2 * i, 2 * i + 1)
        z = complex(row[a], row[b]) * cmath.exp(1j * position * theta ** (-2 * i / rotary_dim))
        turned[a], turned[b] = z.real, z.imag
    return turned


def test_two_coordinates_turn_by_the_position_in_radians() -> None:
    """One pair has the frequency 1: at position 1 the vector (1, 0) points to (cos 1, sin 1)."""
    for pairing in ("half", "adjacent"):
        turned = rotate(np.array([[1.0, 0.0]]), [1], THETA, pairing)
        assert turned.tolist() == [[math.cos(1), math.sin(1)]]


def test_the_two_layouts_on_four_coordinates() -> None:
    """The first coordinate's partner is the third or the second; the slow pair (frequency 1/100) stays at 0."""
    x = np.array([[1.0, 0.0, 0.0, 0.0]])
    c, s = math.cos(2), math.sin(2)
    assert np.allclose(rotate(x, [2], THETA, "half"), [[c, 0, s, 0]])
    assert np.allclose(rotate(x, [2], THETA, "adjacent"), [[c, s, 0, 0]])


@pytest.mark.parametrize("pairing", ["half", "adjacent"])
@pytest.mark.parametrize(("head_dim", "rotary_dim"), [(2, 2), (8, 8), (64, 64), (16, 4), (6, 0)])
def test_twin(pairing: str, head_dim: int, rotary_dim: int) -> None:
    x, positions = some((2, 5, head_dim)), [0, 1, 7, 100, 4095]
    turned = rotate(x, positions, THETA, pairing, rotary_dim)
    for head in range(2):
        for row, position in enumerate(positions):
            twin = naive(x[head, row].tolist(), position, THETA, pairing, rotary_dim)
            assert np.allclose(turned[head, row], twin, atol=1e-12)


@pytest.mark.parametrize("pairing", ["half", "adjacent"])
def test_an_inner_product_depends_on_the_distance_alone(pairing: str) -> None:
    """What rotary embedding is for, and what lets a cache hold rotated keys."""
    q, k = some((1, 32)), some((2, 32))[1:]

    def logit(at: int, of: int) -> float:
        return float((rotate(q, [at], THETA, pairing) @ rotate(k, [of], THETA, pairing).T)[0, 0])

    assert logit(40, 33) == pytest.approx(logit(1007, 1000), abs=1e-9)
    assert logit(40, 33) != pytest.approx(logit(40, 34), abs=1e-3)


def test_the_layouts_are_a_permutation_of_each_other() -> None:
    x = some((3, 8))
    order = [0, 4, 1, 5, 2, 6, 3, 7]  # places of "half" in the order of "adjacent"
    assert np.allclose(rotate(x, [1, 2, 3], THETA, "half")[:, order], rotate(x[:, order], [1, 2, 3], THETA, "adjacent"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back(dtype: Any) -> None:
    x = some((4, 100, 64), dtype)
    positions = np.arange(3000, 3100)
    turned = rotate(x, positions, THETA, "half", 32)
    assert turned.dtype == dtype
    back = rotate(turned, positions, THETA, "half", 32, inverse=True)
    assert np.abs(back - x).max() < (2e-6 if dtype is np.float32 else 1e-14)
    assert np.shares_memory(x, turned) is False


def test_half_precision_is_computed_in_float32() -> None:
    x = some((2, 8), np.float16)
    turned = rotate(x, [5, 6], THETA, "half")
    assert turned.dtype == np.float32
    assert np.array_equal(turned, rotate(x.astype(np.float32), [5, 6], THETA, "half"))


def test_far_positions_lose_nothing() -> None:
    """A float32 angle of a million radians would be off by up to 0.03: a fifth decimal must still hold."""
    x = some((1, 64))
    far = rotate(x.astype(np.float32), [1_000_003], THETA, "half")
    assert np.abs(far - rotate(x, [1_000_003], THETA, "half")).max() < 1e-5


def test_refusals() -> None:
    x = some((2, 8))
    with pytest.raises(UnknownNameError, match=r"unknown pairing 'halves'\. Did you mean 'half'"):
        rotate(x, [0, 1], THETA, "halves")
    with pytest.raises(UsageError, match="one position per row"):
        rotate(x, [0, 1, 2], THETA, "half")
    for wrong in (3, 10, -2):
        with pytest.raises(UsageError, match="even"):
            rotate(x, [0, 1], THETA, "half", wrong)
