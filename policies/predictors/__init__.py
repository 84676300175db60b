"""Who predicts what a request's object will do next; see `evictlab.policies.predictors.base`."""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {
    "KINDS": "base",
    "Noise": "base",
    "Predicted": "predicted",
    "Predictor": "base",
    "PredictorSpec": "base",
    "Source": "base",
    "all_predictors": "base",
    "parse_predictor": "base",
    "predictor": "base",
    "predictor_names": "base",
    "predictor_spec": "base",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
