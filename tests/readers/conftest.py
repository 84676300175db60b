"""Reading a whole trace file at once, as plain lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evictlab.traces.batch import Account
from evictlab.traces.readers import BATCH_RECORDS, Reader, open_reader


@dataclass(frozen=True)
class Whole:
    """All requests of a file; columns that the file lacks are None."""

    name: str
    keys: list[Any]
    sizes: list[int] | None
    times: list[float] | None
    ttls: list[float] | None
    costs: list[float] | None
    ops: list[int] | None
    predictions: list[float] | None
    account: Account


def whole(reader: Reader) -> Whole:
    columns: dict[str, Any] = {}
    keys: list[Any] = []
    for batch in reader.batches():
        assert 0 < len(batch) <= BATCH_RECORDS
        if isinstance(batch.keys, np.ndarray):
            assert batch.keys.dtype == np.uint64
            keys += batch.keys.tolist()
        else:
            keys += batch.keys.to_pylist()
        for name, dtype in [
            ("sizes", np.int64),
            ("times", np.float64),
            ("ttls", np.float32),
            ("costs", np.float32),
            ("ops", np.uint8),
            ("predictions", np.float64),
        ]:
            column = getattr(batch, name)
            if column is not None:
                assert column.dtype == dtype
                assert len(column) == len(batch)
                columns.setdefault(name, []).extend(column.tolist())
    lists = {name: columns.get(name) for name in ("sizes", "times", "ttls", "costs", "ops", "predictions")}
    return Whole(reader.name, keys, account=reader.account, **lists)


@pytest.fixture
def read() -> Callable[..., Whole]:
    """Open a file, by format or by content, and return all of it."""

    def read(source: str | Path, **options: Any) -> Whole:
        return whole(open_reader(source, **options))

    return read
