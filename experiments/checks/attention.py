"""Attention caches on real tensors beside the simulator: policies x budgets, slots, bytes, output errors and step times.

Runs through ``evictlab check gpu attention``, or alone where only torch, numpy, numba, pandas, pyarrow and safetensors are
installed, as on many GPU machines::

    python -m evictlab.experiments.checks.attention demo --device cuda --out checked/
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...traces.errors import EvictlabError, UsageError
from ..page import Block
from .attention_page import TITLE, blocks_of, draw, page, summary

if TYPE_CHECKING:
    from ...sim.check.gpu.closed_loop import Text
    from ...traces.attention import AttentionTrace

__all__ = ["BUDGETS", "POLICIES", "PROTECT", "Checked", "check", "extent", "main", "try_out"]

POLICIES = ("full", "window", "snapkv", "adakv", "tova", "h2o")
"""One of each kind: all slots, by position, once at the prompt, heads of several lengths, at every step by a row or by sums."""

BUDGETS = ("15%", "25%", "50%")
PROTECT = "sink=4,recent=16"

REPEATS = 30
QUICK: dict[str, Any] = {"budgets": ("25%", "50%"), "repeats": 5}
"""What ``--quick`` changes where nothing else is asked for: a look whether it works, no measurement."""


@dataclass(frozen=True)
class Checked:
    """What a check has found.

    Attributes
    ----------
    rows : list of dict
        See `evictlab.sim.check.attention.AttentionCheck`.
    closed : list of dict
        One row per policy in the closed loop.
    notes : list of str
        What was left out, and why.
    passed : bool
    failed : list of dict
        Rows that the tensors contradict.
    about : dict
        Device, torch, dtype, trace and the coefficients of step times.
    """

    rows: list[dict[str, Any]]
    closed: list[dict[str, Any]]
    notes: list[str]
    passed: bool
    failed: list[dict[str, Any]]
    about: dict[str, Any]
    steptime: Any = field(repr=False, default=None)

    def blocks(self) -> list[Block]:
        """The tables."""
        return blocks_of(self.rows, self.closed)

    def summary(self) -> list[Block]:
        """Narrow tables, for a terminal."""
        return summary(self.rows, self.closed)

    def document(self, stamp: dict[str, str]) -> str:
        """Everything as JSON; a number that is none becomes null."""
        parts = {
            "schema": 1,
            "title": TITLE,
            "stamp": stamp,
            "passed": self.passed,
            "notes": self.notes,
            **self.about,
            "rows": self.rows,
            "closed_loop": self.closed,
        }
        return json.dumps(_plain(parts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def write(self, folder: Path, stamp: dict[str, str]) -> list[Path]:
        """Write page, numbers, coefficients and, where matplotlib is installed, a picture; return their paths.

        Raises
        ------
        ResultError
            One cannot be written.
        """
        from ...sim.files import write_whole

        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / "attention.json", folder / "attention.md"]
        write_whole(files[0], lambda part: part.write_text(self.document(stamp), encoding="utf-8"))
        picture = folder / "attention.png"
        if importlib.util.find_spec("matplotlib") is not None:
            figure = draw(self.rows)
            write_whole(picture, lambda part: figure.savefig(part, format="png", dpi=150))
            files.append(picture)
        text = page(self.blocks(), stamp | _facts(self.about), self.notes, picture.name if len(files) > 2 else None)
        write_whole(files[1], lambda part: part.write_text(text, encoding="utf-8"))
        if self.steptime is not None:
            files.append(self.steptime.write(folder))
        return files


def extent(quick: bool, budgets: Sequence[str] | None, repeats: int | None) -> dict[str, Any]:
    """Return budgets and repetitions: those asked for, else those of a quick look or of a measurement."""
    asked = {"budgets": budgets or None, "repeats": repeats}
    usual = QUICK if quick else {"budgets": BUDGETS, "repeats": REPEATS}
    return {name: usual[name] if value is None else value for name, value in asked.items()}


def try_out(folder: Path) -> None:
    """See whether results can be written into a folder, before minutes of work; it is left as it was.

    Raises
    ------
    UsageError
        It is a file, cannot be made, or nothing can be written into it.
    """
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = "it is a file" if folder.is_file() else error.strerror or error
        raise UsageError(f"--out {folder}: no folder that can be written ({why}); name another one") from error
    finally:
        for path in new:
            with suppress(OSError):
                path.rmdir()


def check(
    trace: AttentionTrace,
    *,
    device: str = "cpu",
    policies: Sequence[str] = POLICIES,
    budgets: Sequence[str] = BUDGETS,
    protect: str = PROTECT,
    seed: int = 0,
    request: int = 0,
    attention: str = "sdpa",
    repeats: int = REPEATS,
    weights: str | Path | None = None,
    coefficients: str | Path | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> Checked:
    """Compare predictions with tensors on a device, and with the whole model where its weights are.

    Parameters
    ----------
    trace : AttentionTrace
    device, policies, budgets, protect, seed, request, attention, repeats
        See `evictlab.sim.check.attention.check_attention`.
    weights : str or Path, optional
        A .gguf file of the model that was recorded; default: that of SmolLM2 where it was put or fetched. ``"none"``: no
        closed loop.
    coefficients : str or Path, optional
        Folder with step times that were fitted before on this kind of device; nothing is fitted then.
    command : str
        Noted with the coefficients.
    say : callable (str)
        Told how far it is.

    Raises
    ------
    UsageError
        The device or the file of weights is not there; a budget lies below what is protected.
    """
    if weights not in (None, "none") and not Path(weights).is_file():
        raise UsageError(f"--weights {weights}: there is no such file; name a .gguf file, or none for no closed loop")
    import torch

    from ...sim.check.attention import check_attention
    from ...sim.check.gpu.measure import device_name, find_device
    from ...sim.check.gpu.steptime import StepTime

    name, dtype = device_name(find_device(device)), trace.manifest.dtype
    known = None if coefficients is None else StepTime.load(Path(coefficients), name, dtype, attention)
    pairs = sum(1 if name.startswith("full") else len(budgets) for name in policies)
    done = iter(range(1, pairs + 1))
    found = check_attention(
        trace,
        policies,
        budgets,
        device,
        protect=protect,
        seed=seed,
        request=request,
        attention=attention,
        repeats=repeats,
        steptime=known,
        progress=lambda _: say(f"{next(done)} of {pairs} policies and budgets"),
    )
    steptime = found.steptime
    if steptime is not None and known is None:
        steptime.about.update(trace=trace.name, command=command, protect=protect)
    notes = [
        "Predicted: by the simulator, in float32; measured: torch, in the model's own dtype. "
        "Tolerances of output errors are bounds from eps, see evictlab.sim.check.gpu.rounding."
    ]
    timed = {row["policy"] for row in found.rows if row["unit"] == "s"}
    checked = dict.fromkeys(row["policy"] for row in found.rows if row["quantity"] == "retained sets")
    if repeats and (untimed := [policy for policy in checked if policy not in timed]):
        notes.append(f"Not timed, because their logs select, merge or change positions: {', '.join(untimed)}.")
    if any(row["verdict"] == "not fitted" for row in found.rows):
        notes.append("Step times are not fitted: too few different amounts of work; give more policies or budgets.")
    if found.kind == "cpu":
        notes.append(
            "No GPU was used: the tensors are a processor's. Step times of one that does other work as well say little; "
            "they do not count for the verdict."
        )
    notes += sorted(
        {f"{row['policy']} is {row['verdict']}" for row in found.rows if row["verdict"].startswith("not checked")}
    )
    closed: list[dict[str, Any]] = []
    if weights != "none":
        closed, why = _closed_loop(trace, weights, policies, budgets, protect, seed, request, say)
        notes += why
    about = {
        "device": name,
        "kind": found.kind,
        "torch": torch.__version__,
        "dtype": dtype,
        "attention": attention,
        "trace": trace.name,
        "trace_sha256": trace.sha256,
        "model": trace.manifest.model,
        "time_error": found.time_error,
        "steptime": None if steptime is None else asdict(steptime),
    }
    fitted = steptime if known is None else None
    return Checked(found.rows, closed, notes, found.passed, found.failed, about, fitted)


def _closed_loop(
    trace: AttentionTrace,
    weights: str | Path | None,
    policies: Sequence[str],
    budgets: Sequence[str],
    protect: str,
    seed: int,
    request: int,
    say: Callable[[str], None],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the whole model, with the middle budget; or none, and the reason."""
    from ...traces.errors import CapabilityError

    try:
        text = _text(trace, weights, request)
    except (EvictlabError, ImportError) as error:
        return [], [f"Closed loop left out: {error}"]
    from ...sim.check.gpu.closed_loop import run_closed_loop

    rows, why = [], []
    for policy in policies:
        say(f"closed loop of {policy}")
        try:
            budget = "100%" if policy == "full" else budgets[len(budgets) // 2]
            rows.append(run_closed_loop(text, policy, budget, protect, seed=seed).row())
        except CapabilityError as error:
            why.append(f"Closed loop of {policy} left out: {error}")
    return rows, why


def _text(trace: AttentionTrace, weights: str | Path | None, request: int) -> Text:
    from ...sim.check.gpu.closed_loop import read_text
    from ...traces.record.attention import find_smollm2, load_model

    path = Path(weights) if weights is not None else find_smollm2()
    if path is None:
        raise UsageError("no weights here (evictlab trace fetch smollm2, or name a .gguf file with --weights)")
    model = load_model(path)
    manifest, one = trace.manifest, trace.requests[request]
    same = manifest.weights_sha256 == model.config.sha256
    if not manifest.weights_sha256:  # older recordings name the file only
        same = manifest.model.removesuffix(".gguf") == model.config.name.removesuffix(".gguf")
    if not same:
        raise UsageError(f"{path.name} is not the model that was recorded, {manifest.model}")
    return read_text(model, one.token_ids, one.n_prompt)


def _facts(about: dict[str, Any]) -> dict[str, str]:
    """What the page says of device and trace, and the fitted step time."""
    facts = {name: str(about[name]) for name in ("device", "torch", "dtype", "trace", "model")}
    held = about["steptime"]
    if held is not None:
        facts["step time"] = (
            f"{held['fixed_s'] * 1e6:.1f} us + {held['s_per_read_byte'] * 1e12:.2f} ps per byte read "
            f"+ {held['s_per_moved_byte'] * 1e12:.2f} ps per byte moved + {held['s_per_call'] * 1e6:.2f} us per call "
            f"({held['attention']}; fitted to {held['configurations']} steps, median error {held['fit_error']:.1%}; "
            f"the others: {about['time_error']:.1%})"
        )
    return facts


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(words: Sequence[str] | None = None) -> int:
    """Run without the command line's packages; return the exit code: 0, 1, 2, or 3 where a check fails."""
    parser = argparse.ArgumentParser(prog="python -m evictlab.experiments.checks.attention", description=__doc__)
    parser.add_argument("trace", help="'demo', a folder with a manifest.json, or a .safetensors file")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--policy", default=",".join(POLICIES), help="names, separated by commas")
    parser.add_argument("--budget", help=f"sizes, separated by commas; default: {','.join(BUDGETS)}".replace("%", "%%"))
    parser.add_argument("--protect", default=PROTECT)
    parser.add_argument("--attention", default="sdpa", choices=("sdpa", "eager"), help="how timed steps attend")
    parser.add_argument("--repeats", type=int, help=f"of each timed step, 0: no times; default: {REPEATS}")
    parser.add_argument("--weights", help="a .gguf file for the closed loop, or 'none'")
    parser.add_argument("--coefficients", help="folder with step times that were fitted before")
    parser.add_argument("--out", type=Path, default=Path("checked"), help="folder of the results")
    parser.add_argument("--commit", help="of the sources, where they are no git repository")
    parser.add_argument("--threads", type=int, help="of torch, on a processor")
    parser.add_argument("--quick", action="store_true", help="two budgets, few repetitions")
    given = parser.parse_args(words)
    command = shlex.join(["python", "-m", "evictlab.experiments.checks.attention", *(words or sys.argv[1:])])

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    with ExitStack() as stack:
        if importlib.util.find_spec("platformdirs") is None and not os.environ.get("EVICTLAB_CACHE_DIR"):
            # What finds the user's cache folder is not installed: compiled kernels live as long as this process.
            os.environ["EVICTLAB_CACHE_DIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="evictlab-"))
        try:
            return _main(given, command, say)
        except EvictlabError as error:
            say(str(error))
            return error.exit_code


def _main(given: argparse.Namespace, command: str, say: Callable[[str], None]) -> int:
    import torch

    from ...traces.attention import open_attention
    from ..stamp import stamp

    if given.threads:
        torch.set_num_threads(given.threads)
    try_out(given.out)
    options = extent(given.quick, given.budget.split(",") if given.budget else None, given.repeats)
    found = check(
        open_attention(given.trace),
        device=given.device,
        policies=given.policy.split(","),
        protect=given.protect,
        attention=given.attention,
        weights=given.weights,
        coefficients=given.coefficients,
        command=command,
        say=say,
        **options,
    )
    about = stamp(command, ("numpy", "numba", "torch"))
    if given.commit:
        about["commit"] = given.commit
    files = found.write(given.out, about)
    sys.stdout.write("\n\n".join(block.markdown() for block in found.blocks()) + "\n")
    for note in found.notes:
        say(note)
    say(f"wrote {', '.join(map(str, files))}")
    for row in found.failed:
        say(f"{row['policy']}, {row['budget']}: {row['quantity']} {row['verdict']}. {row.get('why', '')}".rstrip())
    if not found.passed:
        say("a prediction is contradicted" if found.failed else "step times are off")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
