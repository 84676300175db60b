"""Train the recall model: short sequences first, longer ones once they are mastered, until unseen sequences are answered.

::

    python -m evictlab.rl.recall.train --out FOLDER

writes ``model.safetensors`` (float16) and ``model.json`` (sizes, seed, command, accuracy), which
`evictlab.sim.attention.recall.RecallModel.load` reads, and ``training.pt``, from which a second call goes on. Step n of seed s
always sees the sequences of seed ``(0, s, n)``, so an interrupted training ends with the same numbers as one that was not.
Whether to stop is judged on sequences of seed ``(1, s)``; the accuracy that is written comes from ``(2, s)``, which decide
nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...traces.errors import EvictlabError, MissingExtraError, UsageError
from .plan import Plan

__all__ = ["main", "train_recall"]

Report = Callable[[str], None]


def train_recall(
    folder: str | Path,
    plan: Plan | None = None,
    *,
    steps: int = 1500,
    resume: bool = True,
    command: str = "",
    report: Report | None = None,
) -> dict[str, Any]:
    """Train the model and write it, whether or not the target is reached.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    plan : Plan, optional
    steps : int
        Steps in all, those of an earlier call included, after which to give up.
    resume : bool
        Go on with the training in the folder; False begins anew.
    command : str
        What the description is to name as the command.
    report : callable, optional
        Told a line of progress now and then.

    Returns
    -------
    dict
        What ``model.json`` says; ``finished`` tells whether the target was reached.

    Raises
    ------
    UsageError
        The folder holds a training with another plan, or one that has done more steps.
    MissingExtraError
        torch or safetensors are not installed.
    """
    if steps < 1:
        raise UsageError(f"recall training: steps={steps}; give 1 or more, for example 1500")
    try:
        import torch

        from .run import Run
    except ImportError as error:
        raise MissingExtraError("training the recall model", "attention") from error
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the model is small: threads only wait for each other
    try:
        run = Run(Path(folder), plan or Plan(), report or (lambda line: None))
        if resume:
            run.load(steps)
        run.learn(steps)
        return run.write(command)
    finally:
        torch.set_num_threads(threads)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Train from the command line; the exit code is 0 where the target was reached and 1 where not."""
    parser = argparse.ArgumentParser(
        prog="python -m evictlab.rl.recall.train",
        description="Train the recall model (about a CPU minute, one thread). A second call goes on where the first stopped.",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the model and the checkpoint go")
    parser.add_argument("--seed", type=int, default=Plan.seed, help="of weights and sequences (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="give up after so many in all (default: %(default)s)")
    parser.add_argument(
        "--target", type=float, default=Plan.target, help="accuracy at which to stop (default: %(default)s)"
    )
    parser.add_argument("--anew", action="store_true", help="begin anew, whatever the folder holds")
    told = parser.parse_args(words)
    command = f"{parser.prog} --out FOLDER --seed {told.seed} --steps {told.steps} --target {told.target}"
    try:
        plan = Plan(seed=told.seed, target=told.target)
        about = train_recall(told.out, plan, steps=told.steps, resume=not told.anew, command=command, report=_say)
    except EvictlabError as error:
        _say(f"evictlab: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say("evictlab: interrupted; the same command goes on from the last checkpoint")
        return 130
    for row in about["held_out"]:
        sys.stdout.write(f"{row['tokens']} tokens, {row['pairs']} pairs: {row['accuracy']:.4f} right\n")
    if not about["finished"]:
        _say(
            f"evictlab: target {plan.target} not reached in {about['steps']} steps; give more --steps, or another --seed"
        )
    return 0 if about["finished"] else 1


if __name__ == "__main__":
    sys.exit(main())
