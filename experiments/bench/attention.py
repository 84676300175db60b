"""Speed of the attention engine: decisions per second, and how many passes of the bare attention arithmetic a replay takes.

    python -m evictlab.experiments.bench.attention [--quick] [--output FOLDER]

Shape: 30 layers, 9 query heads on 3 KV heads, 64 channels (SmolLM2-135M), 896 tokens of prompt and 128 decoded. A decision is
one KV head at one step. CPU time of one process, medians, rivals interleaved. Left out: reading the trace and full attention,
done once for all policies. The end of the prompt is a column of its own (a policy may look at hundreds of queries there),
found by replaying 8 decoding steps as well and taking the difference. Two yardsticks of bare arithmetic in numpy (queries
times keys, softmax, times values, float32): over all 1024 tokens, step by step as a model decodes; and over as many slots as
the budget holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..stamp import stamp
from .measure import interleaved

LAYERS, HEADS, KV_HEADS, DIM, PROMPT, DECODE, FEW = 30, 9, 3, 64, 896, 128, 8
POLICIES = ("window", "tova", "h2o", "lazyeviction", "scissorhands", "rkv", "lru", "snapkv", "snapkv:interval=16")
READS_WEIGHTS = {"tova", "h2o", "lazyeviction", "scissorhands", "lru"}
BUDGETS = ("64", "256")
DECISIONS_AIM, PASSES_AIM = 20_000, 3.0


def main() -> int:
    """Measure, print and write."""
    options = argparse.ArgumentParser(prog="python -m evictlab.experiments.bench.attention", description=__doc__)
    options.add_argument(
        "--quick", action="store_true", help="three layers, one round: to see that it works, not to quote"
    )
    options.add_argument("--output", type=Path, default=Path("experiments/results"), help="folder of the results")
    given = options.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one core, for both sides
        os.environ[name] = "1"
    layers, rounds = (3, 1) if given.quick else (LAYERS, 5)
    rows = measure(layers, rounds)
    found = {"stamp": stamp(" ".join(["python -m evictlab.experiments.bench.attention", *sys.argv[1:]])), "rows": rows}
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "bench_attention.json").write_text(json.dumps(found, indent=1) + "\n")
    text = page(found)
    (given.output / "bench_attention.md").write_text(text)
    print(text)  # noqa: T201 - the program's answer
    return 0


def measure(layers: int, rounds: int) -> list[dict[str, Any]]:
    """One row per policy and budget."""
    from ...sim.attention import prepare, replay_attention
    from ...traces.attention import random_attention

    def made(decode: int) -> Any:
        shape = {"layers": layers, "heads": HEADS, "kv_heads": KV_HEADS, "head_dim": DIM}
        return prepare(random_attention(0, **shape, prompt=PROMPT, decode=decode, prompt_queries=400))

    whole, few = made(DECODE), made(FEW)

    def replay(ready: Any, policy: str, budget: str) -> Callable[[], Callable[[], Any]]:
        return lambda: lambda: replay_attention(ready, policy, budget, record=False)

    def bare(slots: int) -> Callable[[], Callable[[], Any]]:
        return lambda: lambda: arithmetic(whole, slots)

    rows = []
    for budget in BUDGETS:
        rivals = {policy: replay(whole, policy, budget) for policy in POLICIES}
        rivals |= {f"{policy}, few": replay(few, policy, budget) for policy in POLICIES}
        rivals |= {"all tokens": bare(PROMPT + DECODE), "budget": bare(int(budget) + 1)}
        interleaved(rivals, 1)  # compilation, caches
        taken = interleaved(rivals, rounds)
        of_step = {name: taken[name][0] / DECODE for name in ("all tokens", "budget")}
        for policy in POLICIES:
            total, run = taken[policy]
            step = (total - taken[f"{policy}, few"][0]) / (DECODE - FEW)
            rows.append(
                {
                    "policy": policy,
                    "budget": int(budget),
                    "step_ms": 1000 * step,
                    "prompt_ms": 1000 * (total - DECODE * step),
                    "decisions_per_s": layers * KV_HEADS / step,
                    "passes_over_all": step / of_step["all tokens"],
                    "passes_over_budget": step / of_step["budget"],
                    "mass": run.row()["mass"],
                    "reads_weights": policy in READS_WEIGHTS,
                }
            )
    return rows


def arithmetic(ready: Any, slots: int) -> float:
    """Attention of every decoding step over `slots` keys per head, layer by layer, in numpy; returns a checksum."""
    import numpy as np

    total = 0.0
    keys = [k[:, :slots].swapaxes(1, 2) for k in ready.k]
    values = [v[:, :slots] for v in ready.v]
    for step in range(DECODE):
        for layer, of_layer in enumerate(ready.q):
            q = of_layer[:, of_layer.shape[1] - DECODE + step].reshape(KV_HEADS, -1, DIM)
            logits = q @ keys[layer]
            logits *= np.float32(DIM**-0.5)
            logits -= logits.max(-1, keepdims=True)
            np.exp(logits, out=logits)
            logits /= logits.sum(-1, keepdims=True)
            total += float((logits @ values[layer])[0, 0, 0])
    return total


def page(found: dict[str, Any]) -> str:
    """Everything as Markdown."""
    rows = found["rows"]
    reading = [row for row in rows if row["reads_weights"]]
    slowest = min(row["decisions_per_s"] for row in reading)
    most = max(row["passes_over_all"] for row in reading)
    lines = ["# Speed of the attention engine", ""]
    lines += [f"- {name}: {value}" for name, value in found["stamp"].items()]
    lines += ["", *(line for line in (__doc__ or "").split("\n\n", 2)[2].strip().splitlines()), ""]
    lines += ["| what | aim | measured | met |", "| --- | --- | --- | --- |"]
    for what, aim, value, ok in (
        (
            "decisions/s, slowest that reads weights",
            f">= {DECISIONS_AIM:,}",
            f"{slowest:,.0f}",
            slowest >= DECISIONS_AIM,
        ),
        ("passes of the arithmetic over all tokens, most", f"<= {PASSES_AIM:g}", f"{most:.2f}", most <= PASSES_AIM),
    ):
        lines.append(f"| {what} | {aim} | {value} | {'yes' if ok else '**no**'} |")
    columns = ("policy", "budget", "step_ms", "prompt_ms", "decisions_per_s", "passes_over_all", "passes_over_budget")
    lines += ["", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for row in rows:
        cells = [row["policy"], row["budget"], f"{row['step_ms']:.2f}", f"{row['prompt_ms']:.0f}"]
        cells += [f"{row[name]:,.0f}" if row[name] > 100 else f"{row[name]:.2f}" for name in columns[4:]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
