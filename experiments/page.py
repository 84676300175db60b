"""What a reproduction or a check leaves behind: tables as Markdown with a stamp, all numbers as CSV, and a picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Block", "Reproduction", "finding", "number"]


@dataclass(frozen=True)
class Block:
    """A table to be read: cells are text already.

    Attributes
    ----------
    title : str
    header : list of str
    rows : list of list of str
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the title and the table."""
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows]
        return "\n\n".join([f"## {self.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)])


@dataclass(frozen=True)
class Reproduction:
    """Results and what they are compared with: a paper's numbers, or those of the real thing.

    Attributes
    ----------
    name : str
        Of the files.
    title : str
    remarks : list of str
        What is run, what it is compared with, and where that is from.
    rows : list of dict
        One per number, tidy.
    blocks : list of Block
    draw : callable
        Returns the picture.
    """

    name: str
    title: str
    remarks: list[str]
    rows: list[dict[str, Any]]
    blocks: list[Block]
    draw: Callable[[], Figure] = field(repr=False)

    def write(self, folder: Path, stamp: dict[str, str]) -> list[Path]:
        """Write the page, the numbers and the picture to a folder; return their paths.

        Raises
        ------
        ResultError
            One cannot be written.
        """
        import pandas as pd

        from ..sim.files import write_whole
        from ..sim.plot import save_figure

        picture = save_figure(self.draw(), folder / f"{self.name}.png", pd.DataFrame(self.rows))
        page = folder / f"{self.name}.md"
        write_whole(page, lambda part: part.write_text(self._markdown(stamp, picture.name), encoding="utf-8"))
        return [page, picture.with_suffix(".csv"), picture]

    def _markdown(self, stamp: dict[str, str], picture: str) -> str:
        parts = [
            f"# {self.title}",
            "\n".join(f"- {key}: {value}" for key, value in stamp.items()),
            *self.remarks,
            f"![{self.title}]({picture})",
            *(block.markdown() for block in self.blocks),
        ]
        return "\n\n".join(parts) + "\n"


def number(value: float | None, sign: str = "", decimals: int = 4) -> str:
    """Write a number; with ``sign="+"`` a difference, with ``sign="±"`` a standard error; ``-`` for none."""
    if value is None:
        return "-"
    text = f"{value:{sign.strip('±')}.{decimals}f}"
    return sign.strip("+") + re.sub(r"^([+-]?)0\.", r"\1.", text) if sign else text


EQUAL = 5e-5
"""Ratios that look the same in a table are called equal."""


def finding(ratios: Mapping[float, Mapping[str, float]]) -> str:
    """Say who misses least, from where to where.

    Parameters
    ----------
    ratios : dict of float to dict
        For each strength of the noise, in rising order: by title, misses over the optimum's.
    """
    spans: list[tuple[str, list[float]]] = []
    for strength, by_title in ratios.items():
        least = min(by_title.values())
        winner = " = ".join(title for title, ratio in by_title.items() if ratio - least < EQUAL)
        if not spans or spans[-1][0] != winner:
            spans.append((winner, []))
        spans[-1][1].append(strength)
    (first, span), *others = spans
    if not others:
        return f"fewest misses: {first}, throughout"
    return f"fewest misses: {first} up to {span[-1]:g},\n" + ", ".join(
        f"{title} from {at[0]:g}" for title, at in others
    )
