"""``evictlab attention accuracy``: exact answers of a model whose caches are evicted from."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from ....traces.errors import UsageError
from .. import options as of
from ..guard import say
from ..progress import progress_bar
from .replay import Protection

__all__ = ["accuracy"]

POLICIES = (
    "random,window,streaming_llm,lru,tova,h2o,lazyeviction:window=8,snapkv:window=8,"
    "snapkv:window=8:interval=1,keydiff,oracle"
)


def accuracy(
    policy: Annotated[
        list[str],
        typer.Option("--policy", "-p", metavar="NAME,...", help="See: evictlab attention policies."),
    ] = [POLICIES],  # noqa: B006 - never changed
    budget: Annotated[
        list[str], typer.Option("--budget", "-b", metavar="N|N%,...", help="Slots per head, or a share of the prompt.")
    ] = ["32,64,96"],  # noqa: B006 - never changed
    protect: Protection = "none",
    task: Annotated[
        str,
        typer.Option(
            metavar="recall|passkey",
            help="recall: the recall model that comes along; passkey: SmolLM2, where its weights are.",
        ),
    ] = "recall",
    sequences: Annotated[int, typer.Option("--sequences", "-n", min=2, help="Texts that are asked about.")] = 24,
    question: Annotated[
        str | None,
        typer.Option(metavar="after|before", help="Asked after the caches are cut (default), or before (passkey)."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .gguf of llama or gemma3 (passkey); default: the fetched SmolLM2."),
    ] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Pairs that a prompt states (recall); default: 32.")] = None,
    length: Annotated[int, typer.Option(min=64, help="Tokens of a text.")] = 256,
    seed: of.Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Rows as .csv or .json.", rich_help_panel=of.OUTPUT),
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Count right answers under eviction: the model reads a prompt, its caches are cut, then it is asked.

    The recall model (2 layers, trained in this project) must look up pairs that its prompt stated once; nobody knows
    at the cut which will be asked for. Each answer is right or wrong, and what one layer forgets the next one misses.

    evictlab attention accuracy --policy h2o,snapkv,oracle --budget 32,64,96
    """
    from ....policies.kv.protect import BudgetError
    from ....policies.kv.registry import parse_kv_policy
    from ....sim.attention.budget import Budget
    from ....traces.errors import CapabilityError

    policies, budgets = of.listed(policy), of.listed(budget)
    if task not in ("recall", "passkey"):
        raise UsageError(f"--task {task!r} is neither recall nor passkey")
    chosen = [parse_kv_policy(name) for name in policies]  # before anything is computed
    asked = [Budget.parse(size) for size in budgets]
    if not chosen or not asked:
        raise UsageError("name at least one policy and one budget")
    for option, value, of_task in (
        ("question", question, "passkey"),
        ("model", model, "passkey"),
        ("pairs", pairs, "recall"),
    ):
        if value is not None and task != of_task:
            raise UsageError(f"--{option} is for --task {of_task}")
    if output is not None and output.suffix not in (".csv", ".json"):
        raise UsageError(f"--output {output}: rows can be written as .csv or .json")
    with progress_bar(len(policies) * len(budgets), quiet=quiet, unit="runs") as progress:
        if task == "recall":
            from ....sim.attention.accuracy import RecallBench
            from ....sim.attention.recall import RecallTask

            bench: Any = RecallBench(sequences, seed, RecallTask.of_length(length, pairs or 32))
        else:
            bench = _passkey(model, sequences, length, question or "after", seed)
        rows = []
        refused: dict[str, str] = {}
        for wanted in chosen:
            for size in asked:
                try:
                    rows.append(bench.run(wanted, size, protect=protect, seed=seed).row())
                except (BudgetError, CapabilityError) as error:
                    refused[f"{wanted.label} at {size.text}"] = str(error)
                if progress is not None:
                    progress(1)
    for label, reason in refused.items():
        say(f"{label} is left out: {reason}")
    if not rows:
        raise UsageError("nothing could be run")
    about = {
        "task": task,
        "what": bench.words,
        "sequences": sequences,
        "tokens": length,
        "protect": protect,
        "seed": seed,
        "version": version("evictlab"),
    }
    document = {"schema": 1, **about, "full": bench.full_accuracy, "rows": rows, "refused": refused}
    if output is not None:
        _write(document, output)
    if json:
        from json import dumps

        typer.echo(dumps(document, indent=1))
        return
    from rich.console import Console

    _print(Console(highlight=False), document, bench.words)


def _passkey(model: Path | None, trials: int, tokens: int, question: str, seed: int) -> Any:
    from ....sim.attention.passkey import PasskeyBench
    from ....traces.attention import open_attention
    from ....traces.record.attention import find_smollm2, load_model

    path = model or find_smollm2()
    if path is None:
        raise UsageError("no weights of SmolLM2 here; get them: evictlab trace fetch smollm2, or name a .gguf: --model")
    demo = open_attention("demo").path
    assert demo is not None
    return PasskeyBench(
        load_model(path), (demo / "text.txt").read_text(encoding="utf-8"), trials, tokens, question, seed
    )


def _write(document: dict[str, Any], path: Path) -> None:
    from json import dumps

    import pandas as pd

    from ....sim.files import write_whole

    same = {name: document[name] for name in ("task", "sequences", "tokens", "protect", "seed", "version")}
    frame = pd.DataFrame(document["rows"]).assign(**same)
    if path.suffix == ".csv":
        write_whole(path, lambda part: frame.to_csv(part, index=False))
    else:
        write_whole(path, lambda part: part.write_text(dumps(document, indent=1) + "\n"))


def _print(console: Any, document: dict[str, Any], words: str) -> None:
    from rich.text import Text

    from ..table import print_table

    rows = document["rows"]
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    console.print(Text.assemble((document["task"], "bold"), f"  {words}"))
    console.print(
        Text(
            "right answers in %, with their standard error, and mean slots of a head in brackets; "
            f"full cache {100 * document['full']:.1f}; * knows the future, + keeps generated tokens on top",
            style="dim",
        )
    )
    columns = []
    for budget in dict.fromkeys(row["budget"] for row in rows):
        mine = {row["policy"]: row for row in rows if row["budget"] == budget}
        contest = {
            policy: f"{100 * row['accuracy']:.1f}"
            for policy, row in mine.items()
            if not row["oracle"] and not row["prompt_only"] and policy != "full"
        }
        best = max(contest.values(), key=float, default="") if len(contest) > 1 else ""
        cells = []
        for name in policies:
            if name not in mine:
                cells.append(Text("-"))
                continue
            row = mine[name]
            slots = f"[{row['live_slots']:.0f}]"
            text = f"{100 * row['accuracy']:.1f} ±{100 * row['standard_error']:4.1f} {slots:>5}"
            cells.append(Text(text, style="bold" if contest.get(name) == best else ""))
        columns.append(([f"budget {budget}"], cells))
    marks = {row["policy"]: " *" if row["oracle"] else " +" if row["prompt_only"] else "" for row in rows}
    marks["full"] = ""
    print_table(console, (["policy"], [Text(name + marks[name]) for name in policies]), columns)
