"""What was measured of a model before a policy runs: which heads find things, and which layers suffer from eviction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...traces.errors import FormatError, UsageError

__all__ = ["Calibration"]

HINT = "evictlab.sim.attention.calibrate writes it"


@dataclass(frozen=True)
class Calibration:
    """Facts about some layers of a model.

    Attributes
    ----------
    model : str
    layers : tuple of int
        Numbers of the layers in the model.
    heads : tuple of tuple of int
        For each layer, its query heads, the best at finding first.
    errors : tuple of float
        For each layer, its share of the error that eviction makes; they sum to 1.
    about : dict
        How it was measured: trace, span, policy, budget.
    """

    model: str
    layers: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    errors: tuple[float, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.layers) == len(self.heads) == len(self.errors):
            raise UsageError(
                f"a calibration of {len(self.layers)} layers has heads of {len(self.heads)} and errors of "
                f"{len(self.errors)}: each layer has one of each"
            )

    def of(self, indices: Sequence[int]) -> Calibration:
        """Pick layers by their numbers in the model, in that order.

        Raises
        ------
        UsageError
            One of them was not measured.
        """
        missing = [index for index in indices if index not in self.layers]
        if missing:
            raise UsageError(
                f"the calibration of {self.model} holds layers {list(self.layers)}, and layers {missing} are asked for; "
                "calibrate on a trace that has them"
            )
        at = [self.layers.index(index) for index in indices]
        return Calibration(
            self.model,
            tuple(indices),
            tuple(self.heads[i] for i in at),
            tuple(self.errors[i] for i in at),
            self.about,
        )

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote.

        Raises
        ------
        FormatError
            It is missing, or no calibration.
        """
        try:
            held = json.loads(Path(path).read_text())
            return cls(
                model=str(held["model"]),
                layers=tuple(int(index) for index in held["layers"]),
                heads=tuple(tuple(int(head) for head in heads) for heads in held["heads"]),
                errors=tuple(float(error) for error in held["errors"]),
                about=dict(held.get("about", {})),
            )
        except OSError as error:
            raise FormatError(path, f"cannot be read ({error.strerror})", hint=HINT) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(path, f"no calibration ({type(error).__name__}: {error})", hint=HINT) from None
