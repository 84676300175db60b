"""Renew what README.md shows: ``python -m evictlab.experiments.readme README.md``.

Three kinds of block are made here, so that none can grow old: tables between ``<!-- begin: NAME -->`` and
``<!-- end -->``, the answer to each ``$ command`` in a console block, and the answer to each Python block that a text block
follows. A test compares; figures that a clock gives are left out of the comparison.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["renew", "without_clocks"]

ROOT = Path(__file__).resolve().parent.parent
_TABLE = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
_PYTHON = re.compile(r"(```python\n(.*?)```\n\n```text\n).*?(```)", re.DOTALL)


def renew(text: str) -> str:
    """Return the document with all its answers made anew."""
    text = _TABLE.sub(lambda m: m[1] + _TABLES[m[2]]() + m[3], text)
    with tempfile.TemporaryDirectory() as folder:
        text = _CONSOLE.sub(lambda m: f"```console\n{_answered(m[1], folder)}```", text)
    return _PYTHON.sub(lambda m: m[1] + _printed(m[2]) + m[3], text)


def without_clocks(text: str) -> str:
    """Return the text with speeds and durations blotted out, for comparison."""
    text = re.sub(r"(?m)^((?:\w[\w+:.=@]*) .*\S)\s+\d+(?:\.\d+)?$", r"\1 #", text)
    return re.sub(r"\b\d+(?:\.\d+)? (?:s|ms)\b", "# s", text)


def _answered(block: str, folder: str) -> str:
    """Run each ``$ command`` of a console block in one folder and write its output under it."""
    lines = []
    for line in block.splitlines():
        if not line.startswith("$ "):
            continue
        words = shlex.split(line[2:].replace("experiments/examples/", f"{ROOT}/experiments/examples/"))
        program = Path(sys.executable).with_name(words[0])
        done = subprocess.run(
            [str(program), *words[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        )
        if done.returncode != 0:
            raise RuntimeError(f"{line}\n{done.stderr}")
        lines += [line, *(answer.rstrip() for answer in done.stdout.splitlines()), ""]
    return "\n".join(lines[:-1]) + "\n"


def _printed(code: str) -> str:
    """Run Python code and return what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def _policies() -> str:
    from ..policies.registry import all_specs

    rows = [
        "| policy | title | year | sizes | cost | TTL | offline | random | reads | source |",
        "| --- |" + " --- |" * 9,
    ]
    for spec in sorted(all_specs(), key=lambda spec: (spec.family, spec.year, spec.name)):
        if spec.family == "plug-in":
            continue
        file = "/".join(spec.params.__module__.split(".")[1:]) + ".py"
        marks = " | ".join("x" if yes else "" for yes in (spec.sizes, spec.cost, spec.ttl, spec.next_use, spec.random))
        kind = " (admission)" if spec.admission else " (combiner)" if spec.combines else ""
        rows.append(
            f"| [`{spec.name}`]({file}) | {spec.title}{kind} | {spec.year} | {marks} "
            f"| {spec.predictions} | [paper]({spec.source}) |"
        )
    return "\n".join(rows) + "\n"


def _predictors() -> str:
    from ..policies.predictors import all_predictors

    rows = ["| predictor | what it predicts |", "| --- | --- |"]
    for spec in all_predictors():
        kind = " (noise)" if spec.noise else ""
        rows.append(f"| [`{spec.name}`](policies/predictors/{spec.name}.py){kind} | {spec.summary} |")
    return "\n".join(rows) + "\n"


def _formats() -> str:
    from ..traces.readers import formats

    rows = ["| format | what it is |", "| --- | --- |"]
    rows += [f"| `{spec.name}` | {spec.description} |" for spec in formats()]
    return "\n".join(rows) + "\n"


def _speed() -> str:
    found = json.loads((ROOT / "experiments" / "results" / "bench.json").read_text())
    about = found["stamp"]
    rows = ["| what | aim | measured | met |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {row['what']} | {row['aim']} | {row['measured']:.3g} | {'yes' if row['met'] else '**no**'} |"
        for row in found["verdict"]
    ]
    return (
        "\n".join([*rows, "", f"`{about['command']}` at {about['commit']}; {about['machine']}; {about['versions']}."])
        + "\n"
    )


def _nginx() -> str:
    folder = ROOT / "experiments" / "results" / "checked"
    with (folder / "nginx.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    rows = [
        "| workload | cache | manager | real NGINX, hit ratio | predicted | difference | real, most on disk | predicted |",
        "| --- |" + " --- |" * 7,
    ]
    for row in found:
        real, predicted = float(row["real_hit_ratio"]), float(row["predicted_hit_ratio"])
        what = " | ".join(row[name] for name in ("workload", "size", "manager"))
        peaks = " | ".join(f"{float(row[f'{who}_peak_bytes']) / 1e6:.1f} MB" for who in ("real", "predicted"))
        difference = round(predicted - real, 4) + 0.0  # never -0
        rows.append(f"| {what} | {real:.4f} | {predicted:.4f} | {difference:+.4f} | {peaks} |")
    return "\n".join([*rows, "", _made_by(folder / "nginx.md")]) + "\n"


def _learned() -> str:
    folder = ROOT / "experiments" / "results" / "checked"
    with (folder / "learned.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    rows = [
        "| pair | who evicts | real NGINX, hit ratio | predicted | hits, p50 / p99 | round trip, p95 | rounds left to LRU "
        "| sidecar and manager |",
        "| --- |" + " --- |" * 7,
    ]
    for row in sorted(found, key=lambda row: (int(row["repeat"]), row["policy"] != "native")):
        ratios = " | ".join(f"{float(row[name]):.4f}" for name in ("hit_ratio", "predicted_hit_ratio"))
        hits = " / ".join(f"{float(row[f'hit_latency_{share}_ms']):.2f}" for share in ("p50", "p99"))
        asked = (
            f"{float(row['round_trip_p95_us']):.0f} us | {100 * float(row['fallback_share']):.2f} %"
            if row["rounds"]
            else "- | -"
        )
        who = "native LRU" if row["policy"] == "native" else "learned"
        core = 100 * float(row["core_share"])
        rows.append(f"| {int(row['repeat']) + 1} | {who} | {ratios} | {hits} ms | {asked} | {core:.1f} % of a core |")
    return "\n".join([*rows, "", _made_by(folder / "learned.md")]) + "\n"


def _cold_rl() -> str:
    folder = ROOT / "experiments" / "results" / "reproduced"
    ratios: dict[tuple[str, str, int], list[float]] = {}
    with (folder / "cold_rl.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["part"] == "measured":
                key = row["policy"], row["clock"], round(float(row["capacity_mib"]))
                ratios.setdefault(key, []).append(float(row["hit_ratio"]))
    cells = [(clock, mib) for clock in ("scrambled", "cumulative") for mib in (25, 100, 400)]
    mean = {key: sum(values) / len(values) for key, values in ratios.items()}
    shown = ["learned", "gdsf", "lfu_perfect", "mq", "lhd", "wtinylfu", "sieve", "s3fifo", "lfu", "lru"]
    shown += ["authors' SizeBased", "informed, refusing", "oracle K=64", "belady_size"]
    head = " | ".join(f"{mib} MiB, {clock}" for clock, mib in cells)
    rows = [f"| hit ratio | {head} |", "| --- |" + " --- |" * len(cells)]
    rows.append("| paper: Cold-RL | .3538 | .8675 | .918 | | | |")
    rows += [
        f"| {name} | " + " | ".join(f"{mean[name, clock, mib]:.4f}".lstrip("0") for clock, mib in cells) + " |"
        for name in shown
        if (name, *cells[0]) in mean
    ]
    return "\n".join([*rows, "", _made_by(folder / "cold_rl.md")]) + "\n"


def _kv_policies() -> str:
    from ..policies.kv import all_kv_specs

    rows = ["| KV policy | title | year | scored by | GQA | budget | evicts | source |", "| --- |" + " --- |" * 7]
    for spec in all_kv_specs():
        if spec.family == "plug-in":
            continue
        file = "/".join(spec.params.__module__.split(".")[1:]) + ".py"
        when = "oracle" if spec.oracle else "end of prompt" if spec.prompt_only else "each step"
        rows.append(
            f"| [`{spec.name}`]({file}) | {spec.title} | {spec.year} | {spec.scorer} | {spec.gqa} | {spec.budget} | {when} "
            f"| [paper]({spec.source}) |"
        )
    return "\n".join(rows) + "\n"


def _block_of(page: Path, title: str) -> list[str]:
    """The lines of a table of a page, by its title."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(title)}\n\n((?:\|.*\n)+)", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{page} has no table {title!r}")
    return found[1].rstrip("\n").split("\n")


def _attention_gpu() -> str:
    folder = ROOT / "experiments" / "results" / "gpu"
    found = json.loads((folder / "attention.json").read_text())
    cells: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for row in found["rows"]:
        cells.setdefault((row["policy"], row["budget"]), {}).setdefault(row["quantity"], row)
    rows = [
        "| policy | budget | sets as predicted | resident bytes, predicted | measured | output error, predicted | measured |",
        "| --- |" + " --- |" * 6,
    ]
    for (policy, budget), of in cells.items():
        sets, held, error = of["retained sets"], of["resident bytes, mean"], of["output error, sdpa"]
        rows.append(
            f"| {policy} | {budget} | {sets['measured']:,} of {sets['predicted']:,} "
            f"| {held['predicted']:,.0f} | {held['measured']:,.0f} | {error['predicted']:.5f} | {error['measured']:.5f} |"
        )
    where = f"On {found['device']} ({found['kind']}), {found['dtype']}; "
    if found["kind"] == "cpu":
        where += "**no GPU was used**: the same code runs with `--device cuda`; "
    fitted = found["steptime"]
    where += f"step times of policies and budgets that were not fitted: median error {100 * found['time_error']:.1f} % "
    where += f"(fitted ones {100 * fitted['fit_error']:.1f} %)."
    return "\n".join([*rows, "", where, "", _made_by(folder / "attention.md")]) + "\n"


def _attention_speed() -> str:
    found = (ROOT / "experiments" / "results" / "bench_attention.md").read_text()
    table = found[found.index("| what |") :].split("\n\n")[0].rstrip("\n")
    return f"{table}\n\n{_made_by(ROOT / 'experiments' / 'results' / 'bench_attention.md')}\n"


def _attention_study() -> str:
    page = ROOT / "experiments" / "results" / "attention" / "study.md"
    return "\n".join([*_block_of(page, "Spearman's rank correlation with accuracy"), "", _made_by(page)]) + "\n"


def _made_by(page: Path) -> str:
    """One line: how the results of a page were made."""
    text = page.read_text(encoding="utf-8")
    about = dict(re.findall(r"^- (command|commit|machine|nginx|versions): (.*)$", text, re.MULTILINE))
    words = [about[name] for name in ("machine", "nginx", "versions") if name in about]
    return f"`{about['command']}` at {about['commit']}; {'; '.join(words)}."


_TABLES = {
    "policies": _policies,
    "predictors": _predictors,
    "formats": _formats,
    "speed": _speed,
    "nginx": _nginx,
    "learned": _learned,
    "cold_rl": _cold_rl,
    "kv_policies": _kv_policies,
    "attention_gpu": _attention_gpu,
    "attention_speed": _attention_speed,
    "attention_study": _attention_study,
}


def main() -> int:
    """Rewrite the files named on the command line."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renew(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
