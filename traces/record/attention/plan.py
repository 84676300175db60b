"""What of a forward pass is kept: checked before a model has worked for minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...attention.manifest import DTYPES
from ...errors import UnknownNameError, UsageError
from .config import ModelConfig

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What of a pass is kept.

    Attributes
    ----------
    prompt, decode : int
        Tokens.
    layers : tuple of int
        Of the model, ascending.
    queries : int
        Last positions whose queries are kept: some of the prompt, and all decoded ones.
    dtype : str
    with_x, with_wo : bool
    """

    prompt: int
    decode: int
    layers: tuple[int, ...]
    queries: int
    dtype: str
    with_x: bool
    with_wo: bool

    @property
    def tokens(self) -> int:
        """Positions that are recorded."""
        return self.prompt + self.decode

    @property
    def start(self) -> int:
        """The first position whose query is kept."""
        return self.tokens - self.queries


def make_plan(
    config: ModelConfig,
    prompt: int,
    decode: int,
    *,
    layers: Sequence[int] | None,
    prompt_queries: int | Literal["all"],
    dtype: str,
    with_x: bool,
    with_wo: bool,
) -> Plan:
    """Check what is asked for; see `record_attention` for the parameters.

    Raises
    ------
    UsageError
        The model has no such layer or was not made for so many tokens, or a number makes no sense.
    """
    if prompt < 1 or decode < 1:
        raise UsageError(f"a prompt of {prompt} and {decode} decoded tokens: each must be at least 1")
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, DTYPES)
    if config.context and prompt + decode > config.context:
        raise UsageError(
            f"{config.name} was made for {config.context:,} tokens, and {prompt:,} + {decode:,} are {prompt + decode:,}"
        )
    n_layers = len(config.layers)
    asked = range(n_layers) if layers is None else layers
    for layer in asked:
        if not -n_layers <= layer < n_layers:
            raise UsageError(f"layer {layer}: {config.name} has the layers 0 .. {n_layers - 1}")
    wanted = tuple(sorted({layer % n_layers for layer in asked}))
    if not wanted:
        raise UsageError("no layer is to be recorded; leave layers out for all of them")
    queries = prompt if prompt_queries == "all" else min(prompt_queries, prompt)
    if queries < 0:
        raise UsageError(f"prompt_queries is {prompt_queries}; write a number from 0 on, or 'all'")
    return Plan(prompt, decode, wanted, queries + decode, dtype, with_x, with_wo)
