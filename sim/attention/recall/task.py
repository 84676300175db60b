"""Multi-query associative recall: a prompt states pairs once, then asks for them again and again, popular ones more often.

A sequence, here with ``RecallTask(pairs=2, prompt=8, queries=3, noise=1)``::

    position   0     1   2   3   4   5   6   7  |  8   9  10  11  12  13
    token      begin n   K1  V1  n   n   K2  V2 |  K2  n   K1  n   K2  n
    answer                                      |  V2      V1      V2

- Position 0 is the one ``begin`` token. It carries nothing, so a model may rest its attention there (a sink).
- The prompt states each pair once, a key and at once its value, in random places; noise fills the rest.
- After the prompt, each query is a key of the prompt, followed by ``noise`` noise tokens. The answer is what the model says
  at the query's position. It is **never** written into the sequence: an answer can only come from the prompt, and a wrong one
  does not disturb what follows. So whoever throws the pair away has lost it for good, and accuracy measures just that.
- Which pair is asked for follows Zipf's law with exponent ``alpha`` over the pairs of the sequence; popularity is dealt
  at random, so that it says nothing about the place in the prompt.

Tokens are numbered begin 0, keys 1 .. 96, values 97 .. 192, noise 193 .. 223. Keys of a sequence differ; values need not.
The task family is multi-query associative recall (Arora et al., "Zoology", arXiv 2312.04927), with noise and repeated queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....traces.errors import UsageError

__all__ = ["BEGIN", "KEYS", "NOISE", "VALUES", "VOCABULARY", "Episodes", "RecallTask"]

BEGIN = 0
KEYS = range(1, 97)
VALUES = range(97, 193)
NOISE = range(193, 224)
VOCABULARY = 224
"""Number of tokens."""


class Episodes(NamedTuple):
    """Sequences of one task.

    Attributes
    ----------
    tokens : int32[S, T]
        Prompt and queries.
    asked : int64[Q]
        Positions of the queries, the same in all sequences.
    answers : int32[S, Q]
        The token that answers each query.
    pair : int64[S, Q]
        Which pair of the sequence each query asks for.
    stated : int64[S, pairs]
        Position of each pair's value in the prompt; its key stands just before.
    """

    tokens: NDArray[np.int32]
    asked: NDArray[np.int64]
    answers: NDArray[np.int32]
    pair: NDArray[np.int64]
    stated: NDArray[np.int64]


@dataclass(frozen=True)
class RecallTask:
    """What the sequences look like.

    The model that comes with evictlab has learnt ``noise=1`` and up to 512 tokens. It also answers other numbers of pairs,
    exponents and more noise, but ``noise=0`` and longer prompts cost it answers before anything is thrown away: look at
    `evictlab.sim.attention.recall.accuracy` first.

    Parameters
    ----------
    pairs : int
        Pairs that the prompt states, 1 to 96.
    prompt : int
        Tokens before the first query, at least ``1 + 2 * pairs``.
    queries : int
        Queries after the prompt.
    noise : int
        Noise tokens after each query.
    alpha : float
        Zipf's exponent of the queries; 0 asks for all pairs alike.

    Raises
    ------
    UsageError
        Such a task cannot be laid out.
    """

    pairs: int = 32
    prompt: int = 128
    queries: int = 64
    noise: int = 1
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.pairs <= len(KEYS):
            raise UsageError(f"recall task: pairs={self.pairs}, but there are {len(KEYS)} keys; give 1 to {len(KEYS)}")
        if self.prompt < 1 + 2 * self.pairs:
            raise UsageError(
                f"recall task: {self.pairs} pairs do not fit into a prompt of {self.prompt} tokens; "
                f"give prompt={1 + 2 * self.pairs} or more"
            )
        if self.queries < 1:
            raise UsageError(f"recall task: queries={self.queries}; give 1 or more")
        if self.noise < 0:
            raise UsageError(f"recall task: noise={self.noise} tokens after a query; give 0 or more")
        if not 0 <= self.alpha < np.inf:
            raise UsageError(f"recall task: alpha={self.alpha}; give 0 (all pairs alike) or more, for example 1.0")

    @classmethod
    def of_length(cls, length: int, pairs: int) -> RecallTask:
        """Return the task as it is trained: half of the tokens are the prompt, a quarter queries.

        Parameters
        ----------
        length : int
            Tokens of a sequence, a multiple of 4.
        pairs : int
        """
        if length < 8 or length % 4:
            raise UsageError(f"recall task: length={length} is no multiple of 4; give {max(8, length // 4 * 4)}")
        return cls(pairs, prompt=length // 2, queries=length // 4)

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self.prompt + self.queries * (1 + self.noise)

    def episodes(self, sequences: int, seed: int | Sequence[int]) -> Episodes:
        """Draw sequences.

        Parameters
        ----------
        sequences : int
        seed : int or sequence of int
            Of `numpy.random.default_rng`. Training draws from ``(0, ...)``, see `evictlab.rl.recall`; for sequences that no
            checkpoint has seen, begin with another number, for example ``(9, seed)``.

        Returns
        -------
        Episodes
        """
        rng = np.random.default_rng(seed)
        filler = self.prompt - 1 - 2 * self.pairs
        # The prompt is a row of units, pairs and noise tokens: choose which of the units are pairs.
        units = np.arange(self.pairs + filler)
        chosen = np.sort(rng.permuted(np.tile(units, (sequences, 1)), axis=1)[:, : self.pairs], axis=1)
        stated = chosen + np.arange(self.pairs) + 2  # each pair before it is one token longer than its unit

        tokens = rng.integers(NOISE.start, NOISE.stop, size=(sequences, self.length), dtype=np.int32)
        tokens[:, 0] = BEGIN
        keys = rng.permuted(np.tile(np.array(KEYS, np.int32), (sequences, 1)), axis=1)[:, : self.pairs]
        values = rng.integers(VALUES.start, VALUES.stop, size=(sequences, self.pairs), dtype=np.int32)
        np.put_along_axis(tokens, stated - 1, keys, axis=1)
        np.put_along_axis(tokens, stated, values, axis=1)

        popularity = rng.permuted(np.tile(np.arange(self.pairs), (sequences, 1)), axis=1)
        ranks = rng.choice(self.pairs, size=(sequences, self.queries), p=self._zipf())
        pair = np.take_along_axis(popularity, ranks, axis=1)
        asked = self.prompt + np.arange(self.queries) * (1 + self.noise)
        tokens[:, asked] = np.take_along_axis(keys, pair, axis=1)
        return Episodes(tokens, asked, np.take_along_axis(values, pair, axis=1), pair, stated)

    def _zipf(self) -> NDArray[np.float64]:
        weights = np.power(np.arange(1, self.pairs + 1, dtype=np.float64), -self.alpha)
        weights /= weights.sum()
        return weights
