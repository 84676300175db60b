"""My window: throw away the oldest key, but not the first few. A KV policy of one's own, in one file."""

from dataclasses import dataclass

import numpy as np

from evictlab.policies.kv import ScoredSession, StepScorer, kv_policy


@kv_policy(title="My window", year=2026, source="https://arxiv.org/abs/2309.17453", scorer="position")
@dataclass(frozen=True)
class MyKvWindow(StepScorer):
    """Keeps the newest tokens, and the first `sinks`."""

    sinks: int = 4

    def session(self, setting):
        """What it is while it runs."""
        return Scores(self, setting)


class Scores(ScoredSession):
    """A score for each slot, higher = keep; the lowest leave until each head fits its budget."""

    def prompt_scores(self, layer):
        """Score the keys of the prompt, at its end: [streams of the layer, keys]."""
        positions = np.arange(layer.n, dtype=np.float32)
        rows = layer.streams.stop - layer.streams.start
        return np.broadcast_to(self.of(positions), (rows, layer.n))

    def scores(self, step):
        """Score the live slots, after each decoded token: [streams, slots]."""
        return self.of(step.ids.astype(np.float32))

    def of(self, positions):
        """Return the position itself, and more than any position for the sinks."""
        return np.where(positions < self.policy.sinks, np.inf, positions)
