"""What NGINX wrote down: its access log, what it warned of, and what its cache manager saw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...batch import LOGGED
from .errors import NginxError

__all__ = ["Answers", "Rounds", "read_access_log", "read_manager_log", "warnings_in"]

CODES = {word: code for code, word in enumerate(LOGGED)}

_WARNING = re.compile(r"\[(warn|error|crit|alert|emerg)\]")
_SEEN = re.compile(r"http file cache size: (\d+) c:(\d+) ")
_DONE = re.compile(r"http file cache manager: (\d+) e:(\d+) n:(\d+)")
_TIMER = re.compile(r"event timer add: -?\d+: (\d+):(\d+)")


@dataclass(frozen=True)
class Answers:
    """NGINX's access log as columns, one value per request in the order of sending.

    Attributes
    ----------
    status : uint8[n_requests]
        ``$upstream_cache_status``, an index into `evictlab.traces.batch.LOGGED`.
    http_status : uint16[n_requests]
        0 where NGINX logged no such request.
    body_bytes : int64[n_requests]
        Sent to the client.
    upstream_s : float32[n_requests]
        ``$upstream_response_time``, with several attempts their sum; NaN where the origin was not asked.
    request_s : float32[n_requests]
        ``$request_time``; NaN where not logged.
    """

    status: npt.NDArray[np.uint8]
    http_status: npt.NDArray[np.uint16]
    body_bytes: npt.NDArray[np.int64]
    upstream_s: npt.NDArray[np.float32]
    request_s: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rounds:
    """What the cache manager saw and did, one value per round over the measured cache.

    Attributes
    ----------
    t_s : float64[n]
        End of the round, monotonic, to about 4 ms.
    seen_blocks, left_blocks : int64[n]
        Size of the cache as NGINX counts it, at the first and at the last look of the round; -1 where it did not
        look, because it was busy with inactive entries.
    entries : int64[n]
        Entries at the first look.
    removed : int64[n]
        Files removed in the round.
    worked_ms : int64[n]
        How long it took.
    asked_ms : int64[n]
        The sleep that this cache asked for.
    slept_ms : int64[n]
        The sleep that was begun: the shortest that any cache asked for.
    """

    t_s: npt.NDArray[np.float64]
    seen_blocks: npt.NDArray[np.int64]
    left_blocks: npt.NDArray[np.int64]
    entries: npt.NDArray[np.int64]
    removed: npt.NDArray[np.int64]
    worked_ms: npt.NDArray[np.int64]
    asked_ms: npt.NDArray[np.int64]
    slept_ms: npt.NDArray[np.int64]


def read_access_log(path: Path, n_requests: int) -> Answers:
    """Read the access log and put each line to the request whose number it bears.

    Raises
    ------
    NginxError
        A line that is not one of ours.
    """
    status, http_status = np.zeros(n_requests, np.uint8), np.zeros(n_requests, np.uint16)
    body_bytes = np.zeros(n_requests, np.int64)
    upstream_s = np.full(n_requests, np.nan, np.float32)
    request_s = np.full(n_requests, np.nan, np.float32)
    for count, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry: dict[str, Any] = json.loads(line)
            number = int(entry["id"])
            status[number] = CODES[entry["upstream_cache_status"].replace("-", "")]
            http_status[number] = int(entry["status"])
            body_bytes[number] = int(entry["body_bytes_sent"])
            request_s[number] = float(entry["request_time"])
            upstream_s[number] = _seconds(entry["upstream_response_time"])
        except (ValueError, KeyError, IndexError) as error:
            raise NginxError(f"line {count} of NGINX's access log cannot be read ({error!r}): {line[:300]!r}") from None
    return Answers(status, http_status, body_bytes, upstream_s, request_s)


def _seconds(text: str) -> float:
    """``0.001``, or several attempts as in ``0.001, 0.004 : 0.002``; nothing or a dash for none."""
    times = [float(part) for part in re.split(r"[,:\s]+", text) if part not in ("", "-")]
    return sum(times) if times else float("nan")


def warnings_in(path: Path) -> tuple[str, ...]:
    """Lines of an error log from warnings upwards."""
    return tuple(line for line in path.read_text(errors="replace").splitlines() if _WARNING.search(line))


def read_manager_log(path: Path, manager: int) -> Rounds:
    """Read what a cache manager logged at the level ``debug``.

    Parameters
    ----------
    path : Path
    manager : int
        Number of its process.

    Returns
    -------
    Rounds
        Empty for a binary that was built without ``--with-debug``.
    """
    rows = list(_rounds(path, f" {manager}#"))
    columns = np.array(rows, np.float64).reshape(len(rows), 8).T
    return Rounds(columns[0], *(column.astype(np.int64) for column in columns[1:]))


def _rounds(path: Path, mark: str) -> Iterator[tuple[float, ...]]:
    """Rounds end with the timer of the next; in between each cache says what it saw and did, the measured one first."""
    looks: list[tuple[int, int]] = []
    first: tuple[int, ...] | None = None
    with path.open(errors="replace") as lines:
        for line in lines:
            if mark not in line:
                continue
            if found := _SEEN.search(line):
                looks.append((int(found[1]), int(found[2])))
            elif found := _DONE.search(line):
                if first is None:
                    seen, left = (looks[0], looks[-1]) if looks else ((-1, -1), (-1, -1))
                    first = (seen[0], left[0], seen[1], *map(int, found.groups()))
                looks = []
            elif (found := _TIMER.search(line)) and first is not None:
                slept_ms, due_ms = int(found[1]), int(found[2])
                yield ((due_ms - slept_ms) / 1000, *first, slept_ms)
                first = None
