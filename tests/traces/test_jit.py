"""Compiled kernels are kept on disk, in our folder, and numba's settings stay the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from evictlab.traces import home
from evictlab.traces.jit import compiled, source_digest

PROGRAM = """
import sys
from pathlib import Path
from evictlab.traces.jit import compiled

@compiled(Path(sys.argv[1]), nogil=True)
def twice(x):
    return 2 * x

print(twice(21), sum(twice.stats.cache_hits.values()), sum(twice.stats.cache_misses.values()))
"""


def test_a_second_process_compiles_only_what_is_damaged(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run() -> list[str]:
        command = [sys.executable, str(program), str(tmp_path / "kernels")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert run() == ["42", "0", "1"]
    assert run() == ["42", "1", "0"]
    for file in (tmp_path / "kernels").rglob("*.nb?"):
        os.truncate(file, 20)
    assert run() == ["42", "0", "1"]
    assert run() == ["42", "1", "0"]


def test_numbas_settings_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "theirs"), raising=False)
    ours = tmp_path / "ours"

    @compiled(ours)
    def thrice(x: int) -> int:
        return 3 * x

    assert thrice(2) == 6
    assert list(ours.rglob("*.nbi"))
    assert str(tmp_path / "theirs") == numba.config.CACHE_DIR
    assert not (tmp_path / "theirs").exists()


def test_without_a_place_to_write_the_function_still_works(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    @compiled(tmp_path / "file" / "below")
    def four_times(x: int) -> int:
        return 4 * x

    assert four_times(2) == 8


def test_a_full_disk_costs_only_the_cache(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    @compiled(tmp_path / "kernels")
    def five_times(x: int) -> int:
        return 5 * x

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert five_times(2) == 10
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_digest_follows_the_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    a.write_text("1")
    b.write_text("2")
    before = source_digest([a, b])
    assert source_digest([a, b]) == before
    b.write_text("3")
    assert source_digest([a, b]) != before


def test_the_cache_folder_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "mine"))
    assert home.cache_home() == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()


def test_a_folder_that_cannot_be_written_is_replaced_by_a_private_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "file" / "below"))
    first = home.cache_home()
    assert first.parent == tmp_path
    assert first.name.startswith("evictlab-")
    assert os.name == "nt" or first.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits for groups and others")
def test_a_temporary_folder_that_others_could_fill_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    usual = home._private_temporary_folder()
    usual.chmod(0o777)
    other = home._private_temporary_folder()
    assert other != usual
    assert other.stat().st_mode & 0o077 == 0
