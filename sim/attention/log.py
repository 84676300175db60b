"""The action log: what a policy did, step by step. The simulator writes it, any engine can carry it out again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...policies.kv.actions import Action, Evict, Merge, Move, Pin, PruneChannels, Quantise, Reposition, Select
from ...traces.errors import FormatError

__all__ = ["PROMPT", "ActionLog"]

PROMPT = -1
"""The step of what is done at the end of the prompt."""

VERSION = 1
"""Of the file."""

_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind for kind in (Evict, Merge, Quantise, PruneChannels, Move, Pin, Reposition)
}


@dataclass
class ActionLog:
    """Actions in the order in which they were carried out.

    Attributes
    ----------
    about : dict
        Policy, budget, protection, seed, shape and trace: what is needed to read it alone.
    entries : list of (int, Action)
        Decoding step (`PROMPT`: at the prompt's end) and action.
    selections : list of (int, int, Select)
        Decoding step, first stream, and what its queries read.
    """

    about: dict[str, Any] = field(default_factory=dict)
    entries: list[tuple[int, Action]] = field(default_factory=list)
    selections: list[tuple[int, int, Select]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"ActionLog({self.about.get('policy', '?')}, actions={len(self)}, evictions={self.evictions:,})"

    @property
    def evictions(self) -> int:
        """Slots that were evicted."""
        return sum(len(action.ids) for _, action in self.entries if isinstance(action, Evict))

    def of_step(self, step: int) -> Iterator[Action]:
        """The actions after a decoding step, in order."""
        return (action for at, action in self.entries if at == step)

    def died(self, streams: int, capacity: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """The step after which each slot was gone.

        Returns
        -------
        int32[streams, capacity]
            `PROMPT` for slots evicted at the prompt's end; the largest int32 for those that stayed.
        """
        table = np.full((streams, capacity), np.iinfo(np.int32).max, np.int32)
        for step, action in self.entries:
            if isinstance(action, Evict):
                table[action.streams, action.ids] = step
            elif isinstance(action, Merge):
                table[action.stream, action.sources] = step
        return table

    def write(self, path: Path) -> None:
        """Write a Parquet file: one row per action, ``about`` in its metadata."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [_row(step, action) for step, action in self.entries]
        rows += [
            {"step": step, "kind": "select", "streams": [first], "ids": [], "details": _selection(chosen)}
            for step, first, chosen in self.selections
        ]
        schema = pa.schema(
            [
                ("step", pa.int32()),
                ("kind", pa.string()),
                ("streams", pa.list_(pa.int32())),
                ("ids", pa.list_(pa.int32())),
                ("details", pa.string()),
            ],
            metadata={"evictlab.actions": json.dumps({"version": VERSION, **self.about})},
        )
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> ActionLog:
        """Read what `write` wrote.

        Raises
        ------
        FormatError
            It is missing, no action log, or one of another version.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[b"evictlab.actions"])
            if (found := about.pop("version")) != VERSION:
                raise ValueError(f"its version is {found}, and this evictlab reads {VERSION}")
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise FormatError(
                path, f"no action log ({error})", hint="evictlab attention --log FOLDER writes them"
            ) from None
        log = cls(about)
        for row in table.to_pylist():
            if row["kind"] == "select":
                chosen = json.loads(row["details"])
                bits = np.frombuffer(bytes.fromhex(chosen["read"]), np.uint8)
                shape = tuple(chosen["shape"])
                read = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)
                log.selections.append((row["step"], row["streams"][0], Select(read, chosen["metadata_bytes"])))
            else:
                log.entries.append((row["step"], _action(row)))
        return log


def _selection(chosen: Select) -> str:
    packed = np.packbits(chosen.read).tobytes().hex()
    return json.dumps({"read": packed, "shape": chosen.read.shape, "metadata_bytes": chosen.metadata_bytes})


def _row(step: int, action: Action) -> dict[str, Any]:
    values = {item.name: getattr(action, item.name) for item in dataclasses.fields(action)}
    streams = values.pop("streams", None)
    if streams is None:
        streams = [values.pop("stream")]
    ids = values.pop("ids", None)
    if ids is None:
        ids = values.pop("sources")
    plain = {
        name: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value for name, value in values.items()
    }
    return {
        "step": step,
        "kind": type(action).__name__.lower(),
        "streams": streams,
        "ids": ids,
        "details": json.dumps(plain) if plain else "",
    }


def _action(row: dict[str, Any]) -> Action:
    kind = _KINDS[row["kind"]]
    details = json.loads(row["details"]) if row["details"] else {}
    streams, ids = np.array(row["streams"], np.int32), np.array(row["ids"], np.int32)
    if kind is Merge:
        for name in ("key_weights", "value_weights"):
            details[name] = np.array(details[name], np.float64)
        return Merge(stream=int(streams[0]), sources=ids, **details)
    if kind is PruneChannels:
        return PruneChannels(stream=int(streams[0]), ids=ids, keep=np.array(details["keep"], bool))
    if kind is Reposition:
        details["positions"] = np.array(details["positions"], np.int32)
    made: Action = kind(streams=streams, ids=ids, **details)
    return made
