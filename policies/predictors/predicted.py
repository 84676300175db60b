"""A policy together with who predicts for it: ``mark0@noisy:p=0.05``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...traces.errors import CapabilityError, UsageError
from ..registry import Policy
from ..setting import Setting
from .base import Predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Predicted"]


@dataclass(frozen=True)
class Predicted(Policy):
    """A policy that reads predictions, and the predictor that makes them.

    Raises
    ------
    UsageError
        When the policy reads none.
    """

    inner: Policy
    predictor: Predictor

    def __post_init__(self) -> None:
        if not self.kinds:
            raise UsageError(f"{self.inner.label} reads no predictions; write it without @{self.predictor.label}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of prediction that are read, each once."""
        return self.inner.predictions

    @property
    def label(self) -> str:
        """As written on the command line."""
        return f"{self.inner.label}@{self.predictor.label}"

    @property
    def random(self) -> bool:
        """Whether results depend on the seed."""
        return self.inner.random or self.predictor.random

    @property
    def offline(self) -> bool:
        """Whether it knows the future, also through predictions that are the truth, disturbed or not."""
        return self.inner.offline or self.predictor.source.label == "truth"

    def parts(self) -> tuple[Policy, ...]:
        """Return the registered policies this one is made of."""
        return self.inner.parts()

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the policy, and who predicts."""
        return {
            **self.inner.parameters(),
            "predictor": self.predictor.label,
            **self.predictor.source.facts(),
        }

    def make(self, setting: Setting) -> Any:
        """Return an empty cache that knows the predictions.

        Raises
        ------
        CapabilityError
            The requests are not known in advance.
        PredictionError
        """
        trace = setting.trace
        if trace is None:
            raise CapabilityError(f"{self.label} predicts a trace beforehand; here requests arrive one by one")
        return self.inner.make(
            replace(setting, forecast=lambda kind: self.predictor.forecast(kind, trace, setting.capacity, setting.seed))
        )

    def errors(self, trace: RequestTrace, capacity: int, seed: int) -> dict[str, float | int]:
        """Return how wrong the predictions are, see `evictlab.policies.predictors.errors`.

        Returns
        -------
        dict
            ``eta0`` and ``eta1`` for a policy that reads bits, ``eta`` for one that reads times.
        """
        from .errors import errors

        found: dict[str, float | int] = {}
        for kind in self.kinds:
            found |= errors(kind, self.predictor.forecast(kind, trace, capacity, seed), trace, capacity)
        return found
