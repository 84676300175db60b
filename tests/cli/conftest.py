"""The command line within this process, with a cache of traces of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evictlab.experiments.cli.main import app
from evictlab.traces import provenance, store


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbered traces go to a temporary folder; compiled kernels stay where they are, for they take seconds."""
    folder = tmp_path_factory.mktemp("cache")
    for module in (store, provenance):
        monkeypatch.setattr(module, "cache_home", lambda: folder)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR", "EVICTLAB_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli() -> Callable[..., Any]:
    """Run a command and return its result: exit_code, stdout, stderr. No traceback may ever be seen."""

    def run(*words: object, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert "Traceback" not in result.stderr + result.stdout
        assert result.exit_code == code, f"exit code {result.exit_code}: {result.stdout}{result.stderr}"
        return result

    return run


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """200 requests a second apart for 40 objects of 100 to 139 bytes, one of them half of the time."""
    lines = ["time_s,key,size"]
    for i in range(200):
        key = 0 if i % 2 else 1 + (i * 7) % 39
        lines.append(f"{i},{key},{100 + key}")
    path = tmp_path / "web.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
