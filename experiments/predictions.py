"""Predictors as users write them, files of predictions included: ``pleco``, ``noisy:p=0.05``, ``file:bits.csv``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..traces.errors import PredictionError

if TYPE_CHECKING:
    from ..policies.predictors import Predictor

__all__ = ["read_predictors"]

FILE = "file:"


def read_predictors(words: Iterable[str], base: Path = Path()) -> list[Predictor]:
    """Turn words into predictors; ``file:PATH`` reads one number per request from .npy, .csv, .txt or .parquet.

    Parameters
    ----------
    words : iterable of str
    base : Path
        Where relative paths begin.

    Raises
    ------
    UsageError
        Also `UnknownNameError`: no such predictor.
    PredictionError
        A file that cannot be read as one column of numbers.
    """
    return [_read(word, base) for word in words]


def _read(word: str, base: Path) -> Predictor:
    from ..policies.predictors import Predictor, parse_predictor

    if not word.startswith(FILE):
        return parse_predictor(word)
    from ..policies.predictors.given import Given

    name, *noises = word.removeprefix(FILE).split("+")
    behind = parse_predictor("+".join(["truth", *noises])).noises
    return Predictor(Given(_column(base / name), name=FILE + name), behind)


def _column(path: Path) -> Any:
    """The numbers in a file of one column."""
    import numpy as np

    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            values = (
                table.column(0).to_numpy() if table.num_columns == 1 else np.empty((table.num_rows, table.num_columns))
            )
        else:
            values = _numbers(path)
    except OSError as error:
        raise PredictionError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise PredictionError(f"{path} cannot be read as one column of numbers: {error}") from error
    if values.ndim != 1:
        raise PredictionError(f"{path} has {values.shape[1]} columns; one number per request is needed")
    return values


def _numbers(path: Path) -> Any:
    """One number per line; a first line that is none is a heading."""
    import numpy as np

    lines = path.read_text(encoding="utf-8").split()
    if lines and not _is_number(lines[0]):
        lines = lines[1:]
    return np.asarray([float(line) for line in lines])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
