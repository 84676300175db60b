"""What only a process of its own shows: signals, pipes, terminals, a full disk behind stdout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evictlab.sim import Result

COMMAND = [sys.executable, "-m", "evictlab.experiments.cli.main"]

INTERRUPTS = '''
"""A cache in which somebody presses Ctrl-C as soon as another replay is finished."""
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from evictlab.policies import policy
from evictlab.policies.cache.recency.lru import Lru

@policy(name="interrupts", title="Interrupts", year=2026, source="none")
@dataclass(frozen=True)
class Interrupts(Lru):
    """Ctrl-C, unless the file `calm` is there."""

    def make(self, setting):
        if not Path("calm").exists():
            while not (journal := Path(".rows.parquet.journal")).exists() or not journal.read_text():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
        return super().make(setting)
'''


def run(*words, cwd, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120, **options}
    return subprocess.run([*COMMAND, *map(str, words)], cwd=cwd, **options)


def test_ctrl_c_keeps_what_is_finished_and_resume_goes_on(web):
    folder = web.parent
    (folder / "interrupts.py").write_text(INTERRUPTS)
    words = ("replay", "web.csv", "-p", "lru,./interrupts.py", "-s", "10obj", "--ignore-sizes", "--no-cache")
    words += ("--threads", 1, "-o", "rows.parquet")
    done = run(*words, cwd=folder)
    assert done.returncode == 130
    assert (
        done.stderr
        == "evictlab: interrupted: 1 of 2 replays are finished; go on with: --output rows.parquet --resume\n"
    )
    assert "\nlru     50.50 " in done.stdout
    assert not (folder / "rows.parquet").exists()
    again = run(*words, cwd=folder)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    (folder / "calm").touch()
    journal = (folder / ".rows.parquet.journal").read_text()
    resumed = run(*words, "--resume", cwd=folder)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    result = Result.read(folder / "rows.parquet")
    assert result.frame["policy"].tolist() == ["lru", "interrupts"]
    assert result.frame["misses"].tolist() == [101, 101]
    assert f'"cpu_s": {float(result.frame["cpu_s"][0])!r}' in journal  # the row of before, not a new one
    assert not (folder / ".rows.parquet.journal").exists()


def test_a_reader_that_leaves_early_hears_nothing(tmp_path):
    line = f"{' '.join(COMMAND)} trace formats | head -1"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("name ")
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("policies", "--json"), ("trace", "formats")])
def test_output_that_cannot_be_written_is_a_failure(tmp_path, words):
    with Path("/dev/full").open("w") as full:
        done = run(*words, cwd=tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "evictlab: standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(web):
    import pty

    words = ("replay", "web.csv", "-p", "lru", "-s", "10obj", "--ignore-sizes", "--no-cache")
    assert run(*words, cwd=web.parent).stderr == ""
    master, slave = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    done = run(*words, cwd=web.parent, stderr=slave, env={**env, "TERM": "xterm", "COLUMNS": "60"})
    os.close(slave)
    drawn = os.read(master, 100_000).decode()
    os.close(master)
    assert "replaying" in drawn
    assert done.returncode == 0
    assert "\x1b" not in done.stdout  # stdout was a pipe all the time


def test_a_terminal_without_block_characters_gets_plain_ones(web):
    words = ("replay", "web.csv", "-p", "lru,random", "-s", "10obj", "--ignore-sizes", "--no-cache", "--seeds", "0:2")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    done = run(*words, "--window", "20s", cwd=web.parent, env=env)
    assert done.returncode == 0
    assert "course" in done.stdout
    assert done.stdout.isascii()
