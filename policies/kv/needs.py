"""What a KV policy declares that it reads; the engine hands out this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Needs"]


@dataclass(frozen=True)
class Needs:
    """What a policy reads. The context raises on anything that is not declared here.

    Attributes
    ----------
    weights : bool
        At each decoding step, the attention weights that its queries gave to the live slots.
    window : int
        Attention of the last so many prompt queries over the whole prompt.
    columns : bool
        For each key of the prompt, the attention that it got from all prompt queries, summed.
    queries : int
        The last so many queries themselves.
    keys, values : bool
    projection : bool
        The output projection, as norms of projected values.
    query_statistics : bool
        Mean and covariance of the prompt's queries before their rotation.
    tokens : bool
        Token ids.
    full_weights : bool
        At each decoding step, the weights that its queries would give to the live slots by the uncompressed cache. No
        real cache that has evicted can know them; a trace does.
    future : bool
        The attention of steps to come: only oracles, which are bounds and no contestants.
    """

    weights: bool = False
    window: int = 0
    columns: bool = False
    queries: int = 0
    keys: bool = False
    values: bool = False
    projection: bool = False
    query_statistics: bool = False
    tokens: bool = False
    full_weights: bool = False
    future: bool = False
