"""Starting: help without heavy imports, version, exit codes, faults without tracebacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from evictlab.experiments.cli.guard import DEBUG

HEAVY = ("numba", "numpy", "pandas", "pyarrow", "matplotlib", "scipy", "torch", "pydantic")

SEE_WHAT_IS_LOADED = """
import sys
sys.argv = ["evictlab", *{words!r}]
from evictlab.experiments.cli.main import main
try:
    main()
finally:
    print("LOADED", [name for name in {heavy!r} if name in sys.modules])
"""


@pytest.mark.parametrize("words", [["--help"], ["replay", "--help"], ["trace", "--help"], ["trace", "info", "--help"]])
def test_help_loads_nothing_heavy(words):
    heavy = HEAVY if words == ["--help"] else [name for name in HEAVY if name != "pydantic"]  # typer's own use of it
    code = SEE_WHAT_IS_LOADED.format(words=words, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.strip().endswith("LOADED []"), done.stdout[-300:]


def test_help_names_every_command_and_exit_code(cli):
    text = " ".join(cli("--help").stdout.split())
    for command in ("replay", "curve", "trace", "policies", "sweep", "report"):
        assert f" {command} " in text
    assert "0 done, 1 failure, 2 usage, 3 a gate failed (report --fail-if), 130 interrupted" in text


def test_version(cli):
    from importlib.metadata import version

    assert cli("--version").stdout == f"evictlab {version('evictlab')}\n"


def test_unknown_commands_and_options_are_usage_errors(cli):
    assert "No such command" in cli("repaly", code=2).stderr
    assert "No such option" in cli("replay", "demo", "--polcy", "lru", code=2).stderr
    assert "Missing argument" in cli("replay", code=2).stderr


def test_a_fault_of_ours_is_one_line_and_a_traceback_on_request(cli, web, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("evictlab.sim.runs.plan_runs", broken)
    result = cli("replay", web, code=1)
    assert result.stderr == (
        f"evictlab: unexpected ZeroDivisionError: a fault. This is a fault of evictlab; {DEBUG}=1 shows where.\n"
    )
    monkeypatch.setenv(DEBUG, "1")
    with pytest.raises(AssertionError, match="Traceback"):
        cli("replay", web, code=1)


def test_scipy_is_left_out_until_a_kernel_needs_it():
    code = """
import sys
from evictlab.experiments.cli.blas import postpone_scipy
postpone_scipy()
import numba, numpy as np
assert "numba.np.arraymath" in sys.modules and "scipy.linalg" not in sys.modules
print(numba.njit(lambda a: np.dot(a, a))(np.full((2, 2), 3.0))[0, 0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "18.0\n", done.stderr
