"""Access logs for tests: lines as a server writes them, and records as the scanner hands them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evictlab.traces import RequestTrace, open_trace
from evictlab.traces.batch import LOGGED, Account, Batch
from evictlab.traces.weblog.records import Records
from evictlab.traces.weblog.requests.convert import Choices, convert
from evictlab.traces.weblog.rules import CacheRules

NAN = float("nan")


def combined(*lines: tuple[Any, ...]) -> str:
    """Lines from (second of 10:00, request, status, body)."""
    return "".join(
        f'192.0.2.{i} - - [25/Nov/2026:10:{second // 60:02}:{second % 60:02} +0000] "{request}" {status} {body} "-" "UA"\n'
        for i, (second, request, status, body) in enumerate(lines)
    )


def read(path: str | Path | list[Path], **options: Any) -> RequestTrace:
    trace = open_trace(path, cache=False, **options)
    account = trace.provenance.account
    assert account.records == trace.n_requests + sum(account.dropped.values())
    return trace


def asked(trace: RequestTrace) -> list[Any]:
    return [trace.keys.tolist()[i] for i in trace.ids.tolist()]


def log(*lines: dict[str, Any]) -> Records:
    """A log of lines such as ``{"key": 7, "status": 200}``, a second apart if they do not say when they ended."""
    records = Records()
    columns: dict[str, Any] = {}
    names = {name for line in lines for name in line} - {"key", "method", "barred", "logged"}
    missing = {"body": -1, "length": -1, "total": -1, "status": 200, "unnamed": 0}
    for name in names | {"status", "end_s"}:
        columns[name] = np.array(
            [line.get(name, i if name == "end_s" else missing.get(name, NAN)) for i, line in enumerate(lines)]
        )
    columns["method"] = np.array([records.methods.code(line.get("method", "GET")) for line in lines])
    columns["barred"] = np.array([records.reasons.code(line.get("barred", "")) for line in lines])
    if any("logged" in line for line in lines):
        columns["logged"] = np.array([LOGGED.index(line.get("logged", "")) for line in lines])
    columns["coarse"] = columns["end_s"] == np.floor(columns["end_s"])
    records.append(np.array([line["key"] for line in lines], np.uint64), **columns)
    return records


def requests(
    *lines: dict[str, Any], rules: CacheRules | None = None, choices: Choices | None = None
) -> tuple[Batch, Account]:
    account = Account()
    (batch,) = convert(log(*lines), rules or CacheRules(), choices or Choices(), account)
    return batch, account


def column(values: Any) -> list[Any]:
    assert values is not None
    return list(values.tolist())
