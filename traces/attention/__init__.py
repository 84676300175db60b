"""Recorded attention: the queries, keys and values of a model over a text, from which attention is computed again.

>>> from evictlab.traces.attention import open_attention, random_attention
>>> trace = random_attention(seed=1, layers=2, heads=4, kv_heads=2, head_dim=32, prompt=256, decode=32)
>>> keys = trace.request(0).layers[0].k32()  # [kv_heads, tokens, head_dim], rotated as they lie in the cache

Names are imported when first used. No name here may also be the name of a file
of this folder: once loaded, the file would hide it.
"""

from __future__ import annotations

from ..lazy import lazy_names

_HOME = {
    "AttentionRequest": "request",
    "AttentionTrace": "trace",
    "LayerInfo": "manifest",
    "LayerTensors": "layer",
    "Manifest": "manifest",
    "Steps": "request",
    "Verification": "verify",
    "open_attention": "open",
    "random_attention": "synthetic",
    "rotate": "rotary",
    "softmax_sums": "causal",
    "verify_attention": "verify",
    "write_attention": "store",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
