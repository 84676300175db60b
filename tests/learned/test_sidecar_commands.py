"""How a sidecar is compiled, started at a socket, ended and measured: by the package and by the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from learned.sidecar_process import BOTH, PATIENCE_S, Client, sidecar
from typer.testing import CliRunner

pytest.importorskip("onnx")

from tiny_model import random_candidates, random_context, write_tiny_model

from evictlab.experiments.cli.guard import Command
from evictlab.experiments.cli.sidecar import commands
from evictlab.rl.sidecar import native, pack_request, running_server
from evictlab.rl.sidecar.bench import bench_model, bench_socket
from evictlab.rl.sidecar.listener import listening, parse_mode
from evictlab.traces.errors import EvictlabError, UsageError

pytest.importorskip("onnxruntime")  # after tiny_model, which turns its telemetry off

WAITING = 8
"""Packets that may wait on a connection: the kernel's limit is often ten."""


@pytest.fixture
def cli():
    app = typer.Typer()
    for name, command in commands.items():
        app.command(name, cls=Command)(command)

    def run(*words, code=0):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == code, result.stdout + result.stderr
        return result

    return run


def test_the_programs_compile_without_a_warning_and_once(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "cache_home", lambda: tmp_path)
    monkeypatch.setattr(native, "FLAGS", (*native.FLAGS, "-Werror"))
    for sources in (native.SERVER, native.CLIENT):
        program = native.compiled(sources)
        made = program.stat().st_mtime_ns
        assert native.compiled(sources) == program
        assert program.stat().st_mtime_ns == made
    assert not list(tmp_path.rglob(".new-*"))


def test_without_a_compiler_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "cache_home", lambda: tmp_path)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no C compiler .* --python"):
        native.compiled()
    monkeypatch.setenv("CC", "/bin/false")
    with pytest.raises(EvictlabError, match="cannot compile"):
        native.compiled()


def test_a_socket_in_use_is_left_alone(tiny, folder, served):
    with pytest.raises(UsageError, match="another server listens"), running_server(tiny, served):
        pass
    with Client(served) as client:
        assert client.send(b"x").status == 1
    other = folder / "stream"
    with socket.socket(socket.AF_UNIX) as stream:
        stream.bind(str(other))
        stream.listen()
        with pytest.raises(UsageError, match="another server listens"), listening(other):
            pass
    (folder / "file").write_text("precious")
    with pytest.raises(UsageError, match="no socket"), listening(folder / "file"):
        pass
    assert (folder / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "group", "message"),
    [
        ("x" * 120, None, "too long"),
        ("none/s", None, "no folder"),
        ("s", "no-such-group", "no group"),
    ],
)
def test_sockets_that_cannot_be(name, group, message, folder):
    with pytest.raises(UsageError, match=message), listening(folder / name, group=group):
        pass
    assert list(folder.iterdir()) == []


def test_permissions_of_the_socket(folder):
    import grp

    group = grp.getgrgid(os.getgid()).gr_name
    with listening(folder / "s", parse_mode("0660"), group):
        facts = (folder / "s").stat()
        assert stat.S_IMODE(facts.st_mode) == 0o660
        assert facts.st_gid == os.getgid()
    with listening(folder / "s"):
        assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600
    for wrong in ("rw", "888", "7777", "-1"):
        with pytest.raises(UsageError, match="octal"):
            parse_mode(wrong)


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_answers_what_has_been_asked(python, number, tiny, folder):
    rng = np.random.default_rng(8)
    packet = pack_request(1, random_candidates(rng, 64), random_context(rng))
    with sidecar(tiny, folder, python=python) as running, Client(running.path) as client:
        client.send(packet)
        server = running.server()
        os.kill(server, signal.SIGSTOP)  # so that all of them wait
        for _ in range(WAITING):
            client.socket.send(packet)
        running.signal(number)
        time.sleep(0.05)
        os.kill(server, signal.SIGCONT)
        assert [client.receive().status for _ in range(WAITING)] == [0] * WAITING
        assert client.socket.recv(100) == b""
        assert running.process.wait(PATIENCE_S) == 0
    assert not running.path.exists()
    assert running.counters()["ok"] == WAITING + 1
    assert not Path(f"/proc/{server}").exists()


@BOTH
def test_the_server_ends_when_its_parent_is_killed_and_its_socket_is_taken_over(python, tiny, folder):
    with sidecar(tiny, folder, python=python) as running:
        server = running.server()
        running.process.kill()
        running.process.wait()
        running.wait(lambda: not Path(f"/proc/{server}").exists(), "the server's end")
        assert stat.S_ISSOCK(running.path.lstat().st_mode), "nobody was left to remove it"
    with running_server(tiny, running.path, stdout=subprocess.DEVNULL), Client(running.path):
        pass


def test_the_sidecar_ends_when_its_server_dies(tiny, folder):
    with sidecar(tiny, folder) as running:
        os.kill(running.server(), signal.SIGKILL)
        assert running.process.wait(PATIENCE_S) == 1
    assert "the server ended by signal 9" in running.err.read_text()
    assert not running.path.exists()


def test_serve_by_the_command_line(tiny, folder):
    script = (
        "import typer; from evictlab.experiments.cli.guard import Command; "
        "from evictlab.experiments.cli.sidecar import commands\n"
        "app = typer.Typer()\nfor name, command in commands.items(): app.command(name, cls=Command)(command)\napp()"
    )
    words = ["serve", str(tiny), "--socket", str(folder / "s"), "--priority", "19", "--mode", "0666"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("evictlab: serving ")
        (server,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert os.getpriority(os.PRIO_PROCESS, int(server)) == 19
        assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o666
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert json.loads(out)["requests"] == 0


def test_serve_says_why_it_does_not_start(cli, tiny, folder, tmp_path):
    assert "metadata.json" in cli("serve", tmp_path, "--socket", folder / "s", code=1).stderr
    assert "no nice value" in cli("serve", tiny, "--socket", folder / "s", "--priority", 99, code=2).stderr
    assert list(folder.iterdir()) == []


def test_a_round_trip_takes_well_under_a_millisecond(tiny):
    """Loosely: a busy machine may be slow, so it is the median, and ten times what it takes on one that is busy."""
    (row,) = bench_model(tiny, (64,), (0.0,), 300, ("c",))
    assert 1 < row.p50_us < 1000
    assert row.p50_us <= row.p95_us <= row.p99_us <= row.max_us
    assert 0 <= row.late <= 1
    assert 0 < row.cpu_s_per_1000 < 1


def test_measuring_a_sidecar_that_runs(served):
    rows = list(bench_socket(served, (1, 64), (0.0, 0.001), 20))
    assert [(row.k, row.gap_s) for row in rows] == [(1, 0.0), (1, 0.001), (64, 0.0), (64, 0.001)]
    with pytest.raises(UsageError, match="65 candidates"):
        list(bench_socket(served, (65,)))


def test_by_default_it_asks_with_as_many_as_the_model_takes(cli, tmp_path):
    model = write_tiny_model(tmp_path / "flat", k=40, network="flat")
    rows = json.loads(cli("bench", model, "--gap", "0s", "--rounds", 5, "--json").stdout)["bench"]
    assert [(row["server"], row["k"]) for row in rows] == [("c", 16), ("c", 32), ("python", 16), ("python", 32)]
    assert "takes at most 40" in cli("bench", model, "--k", 64, code=2).stderr


def test_bench_prints_a_table_or_json(cli, tiny, served):
    words = ("bench", "--socket", served, "--k", "4,8", "--gap", "0s", "--rounds", 20)
    rows = json.loads(cli(*words, "--json").stdout)["bench"]
    assert [(row["k"], row["rounds"]) for row in rows] == [(4, 20), (8, 20)]
    table = cli(*words).stdout
    assert "p99" in table
    assert ">500" in table
    both = json.loads(cli("bench", tiny, "--k", 4, "--gap", "0s", "--rounds", 20, "--json").stdout)["bench"]
    assert [row["server"] for row in both] == ["c", "python"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench"], "name what to measure"),
        (["bench", "here", "--socket", "there"], "name what to measure"),
        (["bench", "--socket", "/none/s"], "No such file"),
        (["bench", "--socket", "/none/s", "--k", "many"], "'many' is no number"),
        (["bench", "--socket", "/none/s", "--gap", "1"], "no unit"),
        (["bench", "--socket", "/none/s", "--k", ""], "at least one value"),
        (["bench", "--socket", "/none/s", "--python"], "needs a BUNDLE"),
        (["serve", "/none", "--socket", "/none/s", "--mode", "rw"], "octal"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(cli, words, message):
    assert message in cli(*words, code=2).stderr
