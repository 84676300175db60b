"""How the pages about Cold-RL write numbers, and how sure a mean is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["half_interval", "short"]


def half_interval(values: Sequence[float] | np.ndarray[Any, Any]) -> float | None:
    """Half the 95 % confidence interval of a mean, by Student's t; None for a single value."""
    from scipy.stats import t

    if len(values) < 2:
        return None
    return float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def short(value: float | None, sign: str = "") -> str:
    """Write four decimals without the leading zero; ``-`` for none; with ``sign="+"`` a difference, with ``±`` an error."""
    if value is None or np.isnan(value):
        return "-"
    text = f"{value:{'+' if sign == '+' else ''}.4f}".replace("0.", ".", 1)
    return text if sign == "+" else sign + text
