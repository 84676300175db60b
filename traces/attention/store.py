"""An attention trace as a folder.

::

    manifest.json                     the model: see `evictlab.traces.attention.Manifest`
    requests.parquet                  request_id, source, split, token_ids, n_prompt, n_decode
    steps.parquet                     optional: request_id, step, pos, nll, logsumexp, top_ids, top_logits
    layers/<request>/<LL>.safetensors k, v, q; optional lse, columns, x
    weights/<LL>.safetensors          optional: wo, or wo_q4_1 (GGUF's blocks as they are)
    NOTICE, text.txt                  optional: licence terms that travel with the weights' output; the text

``<LL>`` is the layer's index in the model in two digits.
"""

from __future__ import annotations

import re
import shutil
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, TraceError, UsageError
from .layer import LayerTensors, check_layer
from .manifest import LayerInfo, Manifest
from .request import AttentionRequest, LazyLayers, Steps
from .tensors import read_tensors, write_tensors
from .trace import AttentionTrace
from .weights import OutputProjection

__all__ = ["read_folder", "write_attention"]

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""A request's name is also a folder's name; anything else could point out of the trace."""

COMPANIONS = ("NOTICE", "text.txt")
"""Files that are copied along when an opened trace is written again."""

REQUEST_COLUMNS = ("request_id", "source", "split", "token_ids", "n_prompt", "n_decode")
STEP_COLUMNS = ("request_id", "step", "pos", "nll", "logsumexp", "top_ids", "top_logits")


def read_folder(folder: Path) -> AttentionTrace:
    """Open a folder. Layers are mapped, and checked, when first asked for.

    Raises
    ------
    FormatError
        A file is missing, cannot be read, or contradicts another.
    """
    path = folder / "manifest.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FormatError(folder, "is no attention trace: it has no manifest.json") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(path, f"cannot be read: {error}") from error
    manifest = Manifest.from_json(text, path)
    steps = _read_steps(folder / "steps.parquet")
    rows = _read_table(folder / "requests.parquet", REQUEST_COLUMNS)
    requests = tuple(_request(folder, manifest, row, steps) for row in rows)
    projections = tuple(partial(_projection, folder / _file("weights", layer), manifest) for layer in manifest.layers)
    return AttentionTrace(manifest, requests, folder.name, folder, projections)


def write_attention(trace: AttentionTrace, folder: str | Path) -> Path:
    """Write a trace as a folder: whole, or not at all.

    Parameters
    ----------
    trace : AttentionTrace
    folder : str or Path
        Must not exist, or be empty.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UsageError
        The folder has something in it: nothing is ever overwritten.
    TraceError
        A request's name cannot name a folder, or the folder cannot be written.
    FormatError
        The trace is damaged.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; remove it first, or choose another name")
    ids = [request.id for request in trace.requests]
    for name in ids:
        if not REQUEST_ID.fullmatch(name) or ids.count(name) > 1:
            raise TraceError(f"request {name!r}: names are unique and consist of letters, digits, '_', '-' and '.'")
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}"
    try:
        temporary.mkdir(parents=True)
        _write(trace, temporary)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise TraceError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write(trace: AttentionTrace, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "manifest.json").write_text(trace.manifest.to_json(), encoding="utf-8")
    requests = trace.requests
    columns = {
        "request_id": pa.array([r.id for r in requests], pa.string()),
        "source": pa.array([r.source for r in requests], pa.string()),
        "split": pa.array([r.split for r in requests], pa.string()),
        "token_ids": pa.array([r.token_ids for r in requests], pa.list_(pa.int32())),
        "n_prompt": pa.array([r.n_prompt for r in requests], pa.int32()),
        "n_decode": pa.array([r.n_decode for r in requests], pa.int32()),
    }
    pq.write_table(pa.table(columns), folder / "requests.parquet", compression="zstd")
    if tables := [_steps_table(r.id, r.steps) for r in requests if r.steps is not None]:
        pq.write_table(pa.concat_tables(tables), folder / "steps.parquet", compression="zstd")
    for i, info in enumerate(trace.manifest.layers):
        for request in requests:
            path = folder / _file(f"layers/{request.id}", info)
            path.parent.mkdir(parents=True, exist_ok=True)
            layer = check_layer(request.layers[i], trace.manifest, request.tokens, request.n_prompt)
            write_tensors(path, layer.named())
        projection = trace.projections[i]() if trace.projections else None
        if projection is not None:
            path = folder / _file("weights", info)
            path.parent.mkdir(exist_ok=True)
            write_tensors(path, {projection.name: projection.stored})
    for name in COMPANIONS:
        if trace.path is not None and (trace.path / name).is_file():
            shutil.copyfile(trace.path / name, folder / name)


def _steps_table(name: str, steps: Steps) -> Any:
    import pyarrow as pa

    n = len(steps.pos)
    return pa.table(
        {
            "request_id": pa.array([name] * n, pa.string()),
            "step": pa.array(np.arange(n, dtype=np.int32)),
            "pos": pa.array(steps.pos, pa.int32()),
            "nll": pa.array(steps.nll, pa.float32()),
            "logsumexp": pa.array(steps.logsumexp, pa.float32()),
            "top_ids": pa.array(list(steps.top_ids), pa.list_(pa.int32())),
            "top_logits": pa.array(list(steps.top_logits), pa.list_(pa.float16())),
        }
    )


def _read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
    except FileNotFoundError as error:
        raise FormatError(path, "is missing", hint="Copy the whole folder again.") from error
    except (OSError, pa.ArrowException) as error:
        raise FormatError(path, f"is no readable Parquet file: {error}") from error
    if missing := [name for name in columns if name not in table.column_names]:
        raise FormatError(path, f"lacks the column {missing[0]!r}; it has {', '.join(table.column_names)}")
    rows: list[dict[str, Any]] = table.select(columns).to_pylist()
    return rows


def _read_steps(path: Path) -> dict[str, Steps]:
    """Steps by request; none where the file is not there."""
    if not path.exists():
        return {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _read_table(path, STEP_COLUMNS):
        rows.setdefault(row["request_id"], []).append(row)

    def column(part: list[dict[str, Any]], name: str, dtype: type) -> Any:
        try:
            return np.array([row[name] for row in part], dtype=dtype)
        except (TypeError, ValueError) as error:
            raise FormatError(path, f"{name} of request {part[0]['request_id']!r}: {error}") from error

    return {
        name: Steps(
            column(part, "pos", np.int32),
            column(part, "nll", np.float32),
            column(part, "logsumexp", np.float32),
            column(part, "top_ids", np.int32),
            column(part, "top_logits", np.float16),
        )
        for name, part in rows.items()
    }


def _request(folder: Path, manifest: Manifest, row: dict[str, Any], steps: dict[str, Steps]) -> AttentionRequest:
    path, name = folder / "requests.parquet", row["request_id"]
    if not isinstance(name, str) or not REQUEST_ID.fullmatch(name):
        raise FormatError(path, f"request_id is {name!r}, which cannot name a folder")
    try:
        ids = np.array(row["token_ids"], dtype=np.int32).reshape(-1)
        n_prompt, n_decode = int(row["n_prompt"]), int(row["n_decode"])
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(
            path, f"request {name!r}: token_ids, n_prompt and n_decode must be whole numbers ({error})"
        ) from error
    files = [folder / _file(f"layers/{name}", info) for info in manifest.layers]
    if missing := [file for file in files if not file.is_file()]:
        raise FormatError(
            missing[0],
            f"is missing, and manifest.json lists {len(files)} layers of which {len(missing)} have no file",
            hint="Copy the whole folder again, or record the trace again.",
        )
    openers = [partial(_layer, file, manifest, len(ids), n_prompt) for file in files]
    try:
        return AttentionRequest(
            name, row["source"] or "", ids, n_prompt, n_decode, LazyLayers(openers), steps.get(name), row["split"] or ""
        )
    except TraceError as error:
        raise FormatError(path, str(error)) from error


def _layer(path: Path, manifest: Manifest, tokens: int, n_prompt: int) -> LayerTensors:
    tensors = read_tensors(path)
    if missing := [name for name in ("k", "v", "q") if name not in tensors]:
        raise FormatError(path, f"lacks {missing[0]!r}; it holds {', '.join(sorted(tensors)) or 'nothing'}")
    known = {name: tensors[name] for name in ("k", "v", "q", "lse", "columns", "x") if name in tensors}
    layer = LayerTensors(**known, bfloat16=manifest.dtype == "bfloat16", source=str(path))
    return check_layer(layer, manifest, tokens, n_prompt)


def _projection(path: Path, manifest: Manifest) -> OutputProjection | None:
    if not path.is_file():
        return None
    tensors = read_tensors(path)
    for name in ("wo", "wo_q4_1"):
        if name in tensors:
            return OutputProjection(tensors[name], name, str(path)).check(manifest)
    raise FormatError(path, f"holds {', '.join(sorted(tensors)) or 'nothing'}; expected 'wo' or 'wo_q4_1'")


def _file(folder: str, info: LayerInfo) -> str:
    return f"{folder}/{info.index:02d}.safetensors"
