"""What an attention cache should throw away. See `evictlab.policies.kv.registry` and `evictlab.policies.kv.context`."""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {
    "Evict": "actions",
    "FutureError": "context",
    "KVPolicy": "registry",
    "KVSpec": "registry",
    "Layer": "context",
    "Merge": "actions",
    "Move": "actions",
    "Needs": "needs",
    "Pin": "actions",
    "Prompt": "context",
    "PromptScorer": "prompt_scorer",
    "Protect": "protect",
    "PruneChannels": "actions",
    "Quantise": "actions",
    "Reposition": "actions",
    "Rotary": "setting",
    "ScoredSession": "step_scorer",
    "Select": "actions",
    "Session": "registry",
    "Setting": "setting",
    "Step": "context",
    "StepScorer": "step_scorer",
    "UndeclaredError": "context",
    "all_kv_specs": "registry",
    "kv_policy": "registry",
    "kv_policy_names": "registry",
    "kv_spec": "registry",
    "load_kv_policy": "registry",
    "parse_kv_policy": "registry",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
