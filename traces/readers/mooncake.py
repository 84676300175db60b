"""Mooncake's LLM requests: each block of a prompt that could be cached is one request.

One JSON object per line: ``timestamp`` (ms), ``input_length``, ``output_length``
(tokens) and ``hash_ids``, the 512-token blocks of the prompt from its start, equal
where prefixes are equal. Source: Qin et al., FAST 2025, and kvcache-ai/Mooncake.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..batch import Batch
from .base.reader import TORN, Reader
from .base.registry import trace_format
from .base.runs import runs
from .base.sniff import CERTAIN, Head

__all__ = ["Mooncake"]


@trace_format(
    "mooncake",
    title="Mooncake prefix blocks",
    description="JSON lines with timestamp (ms) and hash_ids: one request per block",
    source="https://github.com/kvcache-ai/Mooncake/tree/main/FAST25-release",
    suffixes=(".jsonl",),
)
class Mooncake(Reader):
    """Reader of Mooncake's traces; all blocks of a prompt come at the time of the prompt."""

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if the first line is a JSON object with ``hash_ids``."""
        start = head.text[:65536].lstrip()
        return CERTAIN * (start.startswith("{") and '"hash_ids"' in start)

    def _read(self) -> Iterator[Batch]:
        for first_line, block in self.source.blocks():
            times, counts, keys = self._parse(block) or self._sift(first_line, block)
            self.drop("prompt without blocks", int((counts == 0).sum()))
            start = 0
            for record, _ in runs(counts):
                part = slice(start, start := start + len(record))
                yield Batch(keys=keys[part].view(np.uint64), times=times[record] / 1e3)

    def _parse(self, block: bytes) -> tuple[Any, Any, Any] | None:
        """Return times in ms and numbers of blocks per prompt, and all blocks; None if a line is damaged."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import json as arrow_json

        schema = pa.schema([("timestamp", pa.float64()), ("hash_ids", pa.list_(pa.int64()))])
        try:
            table = arrow_json.read_json(
                pa.BufferReader(block),
                arrow_json.ReadOptions(block_size=len(block) + 1),
                arrow_json.ParseOptions(schema, unexpected_field_behavior="ignore"),
            )
        except pa.ArrowException:
            return None
        times, blocks = table.column("timestamp"), table.column("hash_ids")
        ids = pc.list_flatten(blocks)
        if times.null_count or blocks.null_count or ids.null_count or not pc.all(pc.is_finite(times)).as_py():
            return None
        self.account.records += table.num_rows
        counts = np.asarray(pc.list_value_length(blocks).to_numpy(), dtype=np.int64)
        return times.to_numpy(), counts, np.asarray(ids.to_numpy(), dtype=np.int64)

    def _sift(self, first_line: int, block: bytes) -> tuple[Any, Any, Any]:
        """As `_parse`, line by line; lines that are no such objects are counted."""
        times: list[float] = []
        counts: list[int] = []
        keys: list[int] = []
        bad: list[str] = []
        lines = block.split(b"\n")
        for number, line in enumerate(lines, start=first_line):
            if not line.strip():
                continue
            self.account.records += 1
            try:
                prompt = json.loads(line)
                time_ms = float(prompt["timestamp"])
                ids = np.array(prompt["hash_ids"], dtype=object).astype(np.int64).ravel().tolist()
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
                example = f"line {number}: {line[:80].decode('utf-8', 'backslashreplace')!r}"
                if number == first_line + len(lines) - 1:
                    self.drop(TORN, 1, [example])
                else:
                    bad.append(example)
                continue
            times.append(time_ms)
            counts.append(len(ids))
            keys += ids
        self.refuse("unreadable", len(bad), bad[:3])
        return np.array(times), np.array(counts, dtype=np.int64), np.array(keys, dtype=np.int64)
