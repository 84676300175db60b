"""One recording: a text, one forward pass with the text itself as the answer, and the trace it leaves.

The pass is teacher-forced: the model reads the text and its own predictions are noted, never followed. So one pass
gives the queries of all "decoded" tokens, and the text stays natural; what a small model writes by itself soon repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from ...attention import (
    AttentionRequest,
    AttentionTrace,
    LayerTensors,
    Manifest,
    Steps,
    open_attention,
    write_attention,
)
from ...attention.layer import to_bfloat16
from ...attention.weights import OutputProjection
from ...errors import UsageError
from .config import ModelConfig, Recordable
from .exact import column_sums, log_sum_exp
from .notice import notice
from .plan import Plan, make_plan

__all__ = ["TOP", "open_model", "record_attention"]

TOP = 64
"""Most likely tokens that are kept of each prediction."""


def record_attention(
    model: str | Path | Recordable,
    text: str | Path,
    *,
    out: str | Path,
    prompt: int = 1024,
    decode: int = 128,
    layers: Sequence[int] | None = None,
    prompt_queries: int | Literal["all"] = 64,
    dtype: str = "float16",
    with_x: bool = False,
    with_wo: bool = True,
    progress: Callable[[int], None] | None = None,
) -> AttentionTrace:
    """Record queries, keys and values of a model that reads a text.

    Parameters
    ----------
    model : str, Path or Recordable
        A ``.gguf`` file (llama or gemma3), a Hugging Face folder, or a model that is loaded already.
    text : str or Path
        The text itself, or (as a Path) the file that holds it, UTF-8. Only its beginning is read.
    out : str or Path
        Folder to write; see `write_attention`.
    prompt, decode : int
        Tokens that count as the prompt, and as answered one by one after it.
    layers : sequence of int, optional
        Of the model, from 0; negative ones count from the end. Default: all.
    prompt_queries : int or "all"
        Of so many last tokens of the prompt (at most all) the queries are kept. What all of them together have read is
        kept in any case, as one sum per key (`LayerTensors.columns`).
    dtype : {"float16", "bfloat16", "float32"}
        Of the stored queries, keys and values; the pass itself is float32.
    with_x : bool
        Keep what the projections of each layer have read, after the norm, [tokens, d_model].
    with_wo : bool
        Keep the output projection of each layer; a Q4_1 matrix stays as packed as it is in its file.
    progress : callable (int), optional
        Told that one more layer is done.

    Returns
    -------
    AttentionTrace
        As it lies in `out`.

    Raises
    ------
    UsageError
        The text is too short or not UTF-8, a layer does not exist, the model is not known, or `out` is taken.
    FormatError
        The weights cannot be read.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):  # said now, not after the work
        raise UsageError(f"{folder} exists and is not empty; remove it first, or choose another name")
    source = text.name if isinstance(text, Path) else "a text"
    words = _read(text) if isinstance(text, Path) else text
    loaded = open_model(model) if isinstance(model, (str, Path)) else model
    plan = make_plan(
        loaded.config,
        prompt,
        decode,
        layers=layers,
        prompt_queries=prompt_queries,
        dtype=dtype,
        with_x=with_x,
        with_wo=with_wo,
    )
    token_ids = _enough(loaded, words, plan, source)
    kept, logits = _pass(loaded, token_ids[: plan.tokens], plan, progress)
    request = AttentionRequest(
        id="0",
        source=source,
        token_ids=np.array(token_ids[: plan.tokens], dtype=np.int32),
        n_prompt=prompt,
        n_decode=decode,
        layers=tuple(kept[index] for index in plan.layers),
        steps=_steps(logits, token_ids[prompt + 1 : plan.tokens + 1], prompt),
    )
    projections = tuple(_projection(loaded, index, dtype) for index in plan.layers) if with_wo else ()
    trace = AttentionTrace(
        _manifest(loaded.config, plan, source), (request,), name=folder.name, projections=projections
    )
    write_attention(trace, folder)
    (folder / "NOTICE").write_text(notice(loaded.config, plan, source), encoding="utf-8")
    return open_attention(folder)


def open_model(path: str | Path) -> Recordable:
    """Load a ``.gguf`` file with `load_model`, a folder with `load_hugging_face`."""
    path = Path(path)
    if path.is_dir():
        from .hugging_face import load_hugging_face

        return load_hugging_face(path)
    from .forward import load_model

    return load_model(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}, byte {error.start:,}: {error.object[error.start]:#04x} is not UTF-8 ({error.reason}). "
            "If it is text in another encoding, convert it first: iconv -f LATIN1 -t UTF-8"
        ) from error


def _enough(model: Recordable, text: str, plan: Plan, source: str) -> list[int]:
    token_ids = model.encode(text)
    needed = plan.tokens + 1
    if len(token_ids) < needed:
        raise UsageError(
            f"{source} has {len(token_ids):,} tokens, {needed - len(token_ids):,} too few: {plan.prompt:,} of the prompt "
            f"+ {plan.decode:,} decoded + 1 that the last one predicts = {needed:,}. Take a longer text or a shorter prompt"
        )
    return token_ids[:needed]


def _pass(
    model: Recordable, token_ids: list[int], plan: Plan, progress: Callable[[int], None] | None
) -> tuple[dict[int, LayerTensors], torch.Tensor]:
    """The one forward pass; returns the tensors of each wanted layer, and the logits [decode, vocab]."""
    kept: dict[int, LayerTensors] = {}
    config = model.config

    def tap(index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, x: torch.Tensor) -> None:
        if index in plan.layers:
            scale, window = config.scale, config.layers[index].window
            kept[index] = LayerTensors(
                k=_stored(k, plan.dtype),
                v=_stored(v, plan.dtype),
                q=_stored(q[:, plan.start :], plan.dtype),
                lse=log_sum_exp(q, k, scale, window, plan.start).numpy(),
                columns=column_sums(q, k, scale, window, plan.prompt).numpy(),
                x=_stored(x, plan.dtype) if plan.with_x else None,
                bfloat16=plan.dtype == "bfloat16",
                source=f"layer {index}",
            )
        if progress is not None:
            progress(1)

    return kept, model.forward(token_ids, tap, last=plan.decode)


def _stored(values: torch.Tensor, dtype: str) -> npt.NDArray[Any]:
    array = values.detach().numpy()
    if dtype == "bfloat16":
        return to_bfloat16(array)
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(array, dtype=dtype)
    if not np.isfinite(made).all():
        largest = float(np.abs(array).max())
        raise UsageError(f"values up to {largest:g} do not fit into {dtype}; record with dtype bfloat16 or float32")
    return made


def _steps(logits: torch.Tensor, follows: list[int], first: int) -> Steps:
    top = torch.topk(logits, min(TOP, logits.shape[1]), dim=1)
    total = logits.logsumexp(dim=1)
    said = logits.gather(1, torch.tensor(follows)[:, None])[:, 0]
    return Steps(
        pos=np.arange(first, first + len(logits), dtype=np.int32),
        nll=(total - said).numpy(),
        logsumexp=total.numpy(),
        top_ids=top.indices.numpy().astype(np.int32),
        top_logits=top.values.numpy().astype(np.float16),
    )


def _projection(model: Recordable, index: int, dtype: str) -> Callable[[], OutputProjection | None]:
    found: OutputProjection | None = None
    for name, matrix in model.projection(index).items():
        if name == "wo":
            matrix = to_bfloat16(matrix) if dtype == "bfloat16" else matrix.astype(dtype)
        found = OutputProjection(matrix, name, f"layer {index}")
    return lambda: found


def _manifest(config: ModelConfig, plan: Plan, source: str) -> Manifest:
    return Manifest(
        model=config.name,
        dtype=plan.dtype,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        scale=config.scale,
        layers=tuple(config.layers[index] for index in plan.layers),
        n_layers=len(config.layers),
        d_model=config.d_model,
        qk_norm=config.qk_norm,
        weights_sha256=config.sha256,
        licence=config.licence,
        recorder=f"evictlab {version('evictlab')}",
        mode="teacher-forced",
        source=source,
    )
