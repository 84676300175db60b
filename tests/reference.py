"""Tables of independent results in the shared data folder."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path


def cells(path: Path, trace: str, *columns: str) -> dict[str, list[list[str]]]:
    """Rows of a CSV table, only these columns, grouped by the column `trace`."""
    by_trace = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            by_trace[row[trace]].append([row[column] for column in columns])
    return by_trace
