"""Access logs, lines per second: the compiled scanner against `re`, `json` and Arrow's JSON reader, on one core.

    python -m evictlab.experiments.bench.weblog [--lines N] [--rounds N]

Everyone delivers the same five columns (time, method, URI, status, bytes) of the same requests, except that
`re` and `json` leave the time as text and Arrow converts all columns. The log is made here.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ...traces.weblog.fields import scan
from ...traces.weblog.log_format import LogFormat, json_log_format, parse_log_format
from ..stamp import stamp
from .measure import interleaved

__all__ = ["main"]

_BLOCK_BYTES = 1 << 23
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36"
_COMBINED = re.compile(
    rb'(\S+) - (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d+) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)


def main() -> int:
    """Measure and print one table."""
    options = argparse.ArgumentParser(prog="python -m evictlab.experiments.bench.weblog", description=__doc__)
    options.add_argument("--lines", type=int, default=200_000, help="lines of each log")
    options.add_argument("--rounds", type=int, default=5, help="medians are taken of as many")
    given = options.parse_args()
    records = list(_records(given.lines))
    text = "".join(map(_combined, records)).encode()
    objects = "".join(json.dumps(record) + "\n" for record in records).encode()
    rivals: dict[str, tuple[str, bytes, Callable[[bytes], Any]]] = {
        "evictlab, combined": ("text", text, lambda block: _columns(parse_log_format("combined"), block)),
        "evictlab, JSON": ("json", objects, lambda block: _columns(json_log_format(records[0]), block)),
        "re": ("text", text, _by_re),
        "json": ("json", objects, _by_json),
        "pyarrow.json": ("json", objects, _by_arrow),
    }
    work = {name: _over(list(_blocks(log)), one) for name, (_, log, one) in rivals.items()}
    interleaved({name: work[name] for name in list(work)[:2]}, 1)  # compiles
    found = interleaved(work, given.rounds)
    rows = ["| reader | log | bytes per line | lines/s | MB/s |", "| --- | --- | --- | --- | --- |"]
    for name, (kind, log, _) in rivals.items():
        seconds = found[name][0]
        per_second = f"{given.lines / seconds:,.0f} | {len(log) / seconds / 1e6:,.1f}"
        rows.append(f"| {name} | {kind} | {len(log) / given.lines:.0f} | {per_second} |")
    about = stamp(" ".join(["python -m evictlab.experiments.bench.weblog", *sys.argv[1:]]))
    print("\n".join([*(f"- {key}: {value}" for key, value in about.items()), "", *rows]))  # noqa: T201 - the answer
    return 0


def _records(n: int) -> Iterator[dict[str, Any]]:
    """Requests with ten fields; popular objects are asked for more often."""
    rng = np.random.default_rng(0)
    objects = np.minimum(rng.zipf(1.3, n), 100_000)
    for i, k in enumerate(objects.tolist()):
        yield {
            "msec": f"{1431857103 + i / 500:.3f}",
            "remote_addr": f"10.{i % 200}.{k % 256}.7",
            "request_method": "HEAD" if i % 50 == 0 else "GET",
            "request_uri": f"/assets/images/{k % 97}/picture-{k}.jpg?width={k % 1000}",
            "server_protocol": "HTTP/1.1",
            "status": 304 if i % 11 == 0 else 200,
            "body_bytes_sent": 0 if i % 11 == 0 else 512 + k * 37 % 200_000,
            "request_time": round(k % 400 / 1000, 3),
            "http_referer": "https://www.example.org/gallery/index.html",
            "http_user_agent": _AGENT,
        }


def _combined(record: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(float(record["msec"]), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    request = f"{record['request_method']} {record['request_uri']} {record['server_protocol']}"
    return (
        f'{record["remote_addr"]} - - [{when}] "{request}" {record["status"]} {record["body_bytes_sent"]} '
        f'"{record["http_referer"]}" "{record["http_user_agent"]}"\n'
    )


def _blocks(log: bytes) -> Iterator[bytes]:
    """Whole lines, as the readers of trace files pass them on."""
    at = 0
    while at < len(log):
        end = len(log) if at + _BLOCK_BYTES >= len(log) else log.rindex(b"\n", at, at + _BLOCK_BYTES) + 1
        yield log[at:end]
        at = end


def _over(blocks: list[bytes], one: Callable[[bytes], Any]) -> Callable[[], Callable[[], Any]]:
    def work() -> None:
        for block in blocks:
            one(block)

    return lambda: work


def _columns(log_format: LogFormat, block: bytes) -> tuple[Any, ...]:
    fields = scan(log_format, block)
    numbers = fields.integers("status"), fields.integers("body_bytes_sent"), fields.stamps()
    return (*numbers, fields.words("request_method"), fields.texts("$request_uri"))


def _by_re(block: bytes) -> list[tuple[Any, ...]]:
    rows = []
    for line in block.splitlines():
        if found := _COMBINED.fullmatch(line):
            method, _, rest = found[4].partition(b" ")
            rows.append((found[3], method, rest.rpartition(b" ")[0].decode(), int(found[5]), int(found[6])))
    return rows


def _by_json(block: bytes) -> list[tuple[Any, ...]]:
    rows = []
    for line in block.splitlines():
        r = json.loads(line)
        rows.append((r["msec"], r["request_method"], r["request_uri"], r["status"], r["body_bytes_sent"]))
    return rows


def _by_arrow(block: bytes) -> Any:
    from pyarrow import json as arrow_json

    options = arrow_json.ReadOptions(use_threads=False, block_size=2 * _BLOCK_BYTES)
    return arrow_json.read_json(io.BytesIO(block), read_options=options)


if __name__ == "__main__":
    sys.exit(main())
