"""Attention caches: replay of recorded attention against KV policies. See `evictlab.sim.attention.replay`."""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {
    "ActionError": "errors",
    "ActionLog": "log",
    "AttentionRun": "result",
    "AttentionTable": "sweep",
    "Budget": "budget",
    "Engine": "engine",
    "LayerPrompt": "prompts",
    "PasskeyBench": "passkey",
    "RecallBench": "accuracy",
    "Regret": "compare",
    "prepare": "replay",
    "regret": "compare",
    "replay_attention": "replay",
    "sweep_attention": "sweep",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
