"""The sidecar as NGINX sees it, in C and in Python: the same answers, whatever is sent, through new models and to its end."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("onnx")

from tiny_model import OLD, UNLUCKY, bad_packets, random_candidates, random_context, write_tiny_model

from evictlab.experiments.cli.guard import Command
from evictlab.experiments.cli.sidecar import commands
from evictlab.rl.sidecar import Reply, choose_victims, load_model, native, pack_request, running_server, unpack_reply
from evictlab.rl.sidecar.bench import bench_model, bench_socket
from evictlab.rl.sidecar.listener import listening, parse_mode
from evictlab.rl.sidecar.protocol import pack_wake
from evictlab.traces.errors import EvictlabError, UsageError

pytest.importorskip("onnxruntime")  # after tiny_model, which turns its telemetry off

PATIENCE_S = 10

WAITING = 8
"""Packets that may wait on a connection: the kernel's limit is often ten."""

BOTH = pytest.mark.parametrize("python", [False, True], ids=["c", "python"])


class Client:
    """Asks as NGINX does."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))

    def send(self, packet: bytes) -> Reply:
        self.socket.send(packet)
        return self.receive()

    def receive(self) -> Reply:
        return unpack_reply(self.socket.recv(4096))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder near the root: names of sockets may have a hundred letters, and those of pytest are long."""
    with tempfile.TemporaryDirectory(prefix="sc-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module", params=[False, True], ids=["c", "python"])
def served(request, tiny) -> Iterator[Path]:
    """The socket of a server that several tests ask."""
    with tempfile.TemporaryDirectory(prefix="sc-") as made:
        path = Path(made) / "s"
        with running_server(tiny, path, python=request.param, stdout=subprocess.DEVNULL):
            yield path
        assert not path.exists()


SCRIPT = """
import sys, json
from evictlab.rl.sidecar import run_sidecar
folder, path, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
run_sidecar(folder, path, say=lambda text: print(text, file=sys.stderr, flush=True), **options)
"""


class Sidecar:
    """A whole sidecar: the process that a user starts, and the server below it."""

    def __init__(self, model: Path, folder: Path, env: dict[str, str] | None = None, **options) -> None:
        self.path, self.out, self.err = folder / "s", folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            words = [sys.executable, "-c", SCRIPT, str(model), str(self.path), json.dumps(options)]
            self.process = subprocess.Popen(words, stdout=out, stderr=err, env=env)
        self.wait_for("serving")

    def wait_for(self, words: str, times: int = 1) -> None:
        self.wait(lambda: self.err.read_text().count(words) >= times, words)

    def wait(self, happened, what="") -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < deadline, f"{what} did not happen: {self.err.read_text()}"
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def server(self) -> int:
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def counters(self) -> dict:
        """Those of the last line."""
        return json.loads(self.out.read_text().splitlines()[-1])


@contextmanager
def sidecar(model: Path, folder: Path, env: dict[str, str] | None = None, **options) -> Iterator[Sidecar]:
    made = Sidecar(model, folder, env, **options)
    try:
        yield made
    finally:
        made.process.terminate()
        try:
            made.process.wait(2 * PATIENCE_S)
        finally:
            made.process.kill()


def test_masks_are_those_of_a_plain_reading(served, tiny):
    """Sort by value, take until the sizes suffice: written once more, without a thought for speed."""
    model, rng = load_model(tiny), np.random.default_rng(5)
    masks = set()
    with Client(served) as client:
        for id in range(300):
            k = int(rng.integers(1, 65))
            rows, context = random_candidates(rng, k), random_context(rng)
            q = model.values(rows, context)
            present = [i for i in range(k) if rows[i, 1] >= 0]
            chosen: list[int] = []
            for i in sorted(present, key=lambda i: (-q[i], i)):
                if chosen and (len(chosen) >= max(1, k // 8) or sum(float(rows[j, 1]) for j in chosen) >= context[3]):
                    break
                chosen.append(i)
            mask = sum(1 << i for i in chosen)
            assert client.send(pack_request(id, rows, context)) == Reply(0, id, mask)
            masks.add(mask)
    assert len(masks) > 80, "many different decisions"


def test_whatever_is_sent_is_answered_and_the_next_one_too(served, tiny):
    rng = np.random.default_rng(1)
    good = pack_request(5, random_candidates(rng, 9), random_context(rng))
    with Client(served) as client:
        expected = client.send(good)
        assert expected.status == 0
        for wrong, (packet, status, id) in bad_packets().items():
            assert client.send(packet) == Reply(status, id, 0), wrong
            assert client.send(good) == expected, wrong
        for _ in range(200):
            assert client.send(rng.bytes(int(rng.integers(1, 3000)))).status == 1
        assert client.send(good) == expected


def test_a_value_that_is_no_number_is_said_to_be_a_failure(served):
    rng = np.random.default_rng(2)
    rows, context = random_candidates(rng, 16, absent=0), random_context(rng)
    rows[3, 0] = UNLUCKY
    with Client(served) as client:
        assert client.send(pack_request(1, rows, context)) == Reply(3, 1, 0)
        rows[3] = -1  # absent: whatever its value
        assert client.send(pack_request(2, rows, context)).status == 0
        assert client.send(pack_request(3, np.full((16, 11), -1), context)) == Reply(0, 3, 0)


@BOTH
def test_a_flat_network_gets_absent_candidates_up_to_its_number(python, folder):
    """And more than that it cannot take, which is said, so that NGINX evicts by itself."""
    model = write_tiny_model(folder / "flat", k=24, tail=12, network="flat")
    loaded, rng = load_model(model), np.random.default_rng(9)
    with running_server(model, folder / "s", python=python, stdout=subprocess.DEVNULL), Client(folder / "s") as client:
        for k in (24, 1, 23, 7):
            rows, context = random_candidates(rng, k), random_context(rng)
            q = loaded.values(rows, context)
            assert q.shape == (k,)
            mask = choose_victims(q, rows, float(context[3])).mask
            assert client.send(pack_request(k, rows, context)) == Reply(0, k, mask)
        assert client.send(pack_request(5, random_candidates(rng, 25), random_context(rng))) == Reply(2, 5, 0)
        with pytest.raises(EvictlabError, match="does not take so many"):
            list(bench_socket(folder / "s", (25,), (0.0,), 10))


def test_the_protocol_names_what_policies_remember():
    """The sidecar does not import policies, which would cost it numba; so the names stand twice."""
    from evictlab.policies.learned import facts, model
    from evictlab.rl.sidecar import model as ours
    from evictlab.rl.sidecar import protocol

    assert list(facts.FEATURES) == list(protocol.FEATURES)
    assert list(facts.CONTEXT) == list(protocol.CONTEXT)
    assert (list(facts.HALF_LIVES), facts.MISSING) == (ours.HALF_LIVES, protocol.MISSING)
    for name in ("FORMAT", "VERSION", "MODEL", "METADATA", "PARITY"):
        assert getattr(model, name) == getattr(ours, name)


def test_two_clients_get_their_own_answers(served, tiny):
    rng = np.random.default_rng(3)
    with Client(served) as one, Client(served) as other:
        for id in range(0, 100, 2):
            for client, number in ((one, id), (other, id + 1)):
                client.socket.send(pack_request(number, random_candidates(rng, 64), random_context(rng)))
            assert other.receive().id == id + 1
            assert one.receive().id == id


def test_a_client_that_never_reads_is_dropped(served):
    rng = np.random.default_rng(4)
    packet = pack_request(1, random_candidates(rng, 4), random_context(rng))
    with Client(served) as deaf, Client(served) as other:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(20_000):
                deaf.socket.send(packet)
        assert other.send(packet).status == 0


def test_a_client_that_leaves_with_its_answer_on_the_way_harms_nobody(served):
    rng = np.random.default_rng(4)
    packet = pack_request(1, random_candidates(rng, 64), random_context(rng))
    for _ in range(20):
        with Client(served) as client:
            client.socket.send(packet)
    with Client(served) as client:
        assert client.send(packet).status == 0


@BOTH
def test_counters_and_a_shadow_that_evicts_nothing(python, tiny, folder):
    """A flag of one request is only counted; a sidecar in shadow answers with nothing."""
    rng = np.random.default_rng(6)
    rows, context = random_candidates(rng, 64, absent=0), np.array([0.1, 1e6, 10, 1e9], np.float32)
    with sidecar(tiny, folder, python=python, shadow=True) as running:
        with Client(running.path) as client:
            assert client.send(pack_request(1, rows, context)) == Reply(0, 1, 0)
            client.send(b"x")
            client.send(bad_packets()["6 features"][0])
            running.signal(signal.SIGUSR1)
            running.wait(running.out.read_text, "counters")
        counters = running.counters()
    expected = {"requests": 3, "ok": 1, "malformed": 1, "mismatched": 1, "model_errors": 0, "shadow": 1, "victims": 8}
    assert {name: counters[name] for name in expected} == expected
    assert 0 < counters["not_lru"] <= 8
    assert (counters["clients"], counters["connections"]) == (1, 1)
    assert sum(counters["latency_us"]["counts"]) == 3
    assert len(counters["latency_us"]["counts"]) == len(counters["latency_us"]["edges"]) + 1
    assert running.counters()["clients"] in (0, 1), "the end says them again"


@BOTH
def test_a_wake_gets_no_answer_and_changes_none(python, tiny, folder):
    rng = np.random.default_rng(7)
    packets = [pack_request(id, random_candidates(rng, k), random_context(rng)) for id, k in enumerate((64, 3, 1, 40))]
    with sidecar(tiny, folder, python=python) as running:
        with Client(running.path) as client:
            client.socket.send(pack_wake())
            plain = [client.send(packet) for packet in packets]
            for packet, expected in zip(packets, plain, strict=True):
                client.socket.send(pack_wake())
                client.socket.send(pack_wake())
                assert client.send(packet) == expected
            for almost in (pack_wake()[:-1], pack_wake() + b"\0", b"E" + pack_wake()[1:5] + b"\7" + pack_wake()[6:]):
                assert client.send(almost).status == 1
        running.signal(signal.SIGUSR1)
        running.wait(running.out.read_text, "counters")
        assert (running.counters()["wakes"], running.counters()["requests"]) == (9, 11)


@BOTH
def test_nobody_is_told(python, tiny, folder):
    """onnxruntime reports to its makers unless told not to in time: a thread that sends, and a number kept at home."""
    home = folder / "home"
    home.mkdir()
    spoken = ("ORT_", "XDG_", "CI", "GITHUB_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(spoken)} | {"HOME": str(home)}
    with sidecar(tiny, folder, env, python=python) as running:
        if not python:
            running.wait(lambda: len(list(Path(f"/proc/{running.server()}/task").iterdir())) == 1, "a single thread")
    assert list(home.rglob("*")) == []
    assert "telemetry" not in running.err.read_text()


def test_both_servers_count_the_same_things(tiny, folder):
    lines = []
    for python in (False, True):
        with sidecar(tiny, folder, python=python):
            pass
        lines.append(json.loads((folder / "out").read_text()))
    assert list(lines[0]) == list(lines[1])
    assert list(lines[0]["latency_us"]) == list(lines[1]["latency_us"])
    assert lines[0]["latency_us"]["edges"] == lines[1]["latency_us"]["edges"]


def test_a_flag_of_shadow_is_answered_and_counted(tiny, folder):
    rng = np.random.default_rng(7)
    rows, context = random_candidates(rng, 64), random_context(rng)
    with sidecar(tiny, folder) as running, Client(running.path) as client:
        assert client.send(pack_request(1, rows, context, shadow=True)).mask
    assert running.counters()["shadow"] == 1


@BOTH
def test_a_new_model_takes_over_and_one_that_is_not_sound_does_not(python, tmp_path, folder):
    model = write_tiny_model(tmp_path / "model")
    rows = np.ones((64, 11), np.float32)
    rows[7, 1], rows[9, 6] = 1e6, 1e6  # the largest; the longest unused
    packet = pack_request(1, rows, np.zeros(4, np.float32))
    with sidecar(model, folder, python=python) as running, Client(running.path) as client:
        assert client.send(packet).mask == 1 << 7
        write_tiny_model(model, OLD)  # by its metadata.json alone
        running.wait(lambda: client.send(packet).mask == 1 << 9, "the new model")
        (model / "model.onnx").write_bytes(b"no model")
        running.signal(signal.SIGHUP)
        running.wait_for("refused")
        assert "sha256" in running.err.read_text()
        assert client.send(packet).mask == 1 << 9
        write_tiny_model(model)
        running.wait(lambda: client.send(packet).mask == 1 << 7, "the third model")
    assert running.process.returncode == 0
    assert running.counters()["reloads"] == 2
    assert running.counters()["reload_refusals"] >= 1
    assert running.counters()["connections"] == 1, "through all of that, the client stayed"


@BOTH
def test_the_server_itself_holds_a_model_against_its_rows(python, tiny, folder):
    """Were its own onnxruntime to compute otherwise, the check by the process that started it would say nothing."""
    model = load_model(tiny)
    q = model.q + np.where(np.arange(64) == np.argmax(model.candidates[-1, :, 1] >= 0), np.float32(0.01), np.float32(0))
    q[:-1] = model.q[:-1]
    other = dataclasses.replace(model, q=q)
    path = folder / "parity.npz"
    np.savez(path, candidates=model.candidates, context=model.context, q=q)
    other.files["parity.npz"] = path.read_bytes()  # type: ignore[index]
    with running_server(tiny, folder / "s", python=python, stdout=subprocess.DEVNULL) as server:
        with pytest.raises(EvictlabError, match=r"in training"):
            server.load(other)
        with Client(folder / "s") as client:
            assert client.send(pack_request(1, model.candidates[0], model.context[0])).status == 0


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


def change(name, value):
    def spoil(folder):
        path = folder / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return spoil


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def shift_parity(by):
    def spoil(folder):
        with np.load(folder / "parity.npz") as arrays:
            rows = dict(arrays)
        rows["q"][2] += np.float32(by) * np.maximum(1, np.abs(rows["q"][2]))
        np.savez(folder / "parity.npz", **rows)

    return spoil


def cut_parity(folder):
    with np.load(folder / "parity.npz") as arrays:
        rows = dict(arrays)
    np.savez(folder / "parity.npz", **rows | {"candidates": rows["candidates"][:, :32]})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change("format", "other"), "its format is 'other'"),
        (change("version", 2), "version is 2"),
        (change("features", ["age_s"]), "features is"),
        (change("context", None), "context is null"),
        (change("half_lives", [128, 4096]), "half_lives"),
        (change("k", 65), "k is 65"),
        (change("tail", 70), "tail 70"),
        (change("network", "tree"), "network is 'tree'"),
        (change("model_sha256", "0" * 64), "its sha256 is"),
        (change("model_sha256", None), "model_sha256 is missing"),
        (write("metadata.json", b"{"), "no JSON"),
        (write("metadata.json", b"[]"), "its format"),
        (write("model.onnx", b"rubbish"), "its sha256 is"),
        (write("parity.npz", b"rubbish"), "no arrays"),
        (cut_parity, "expected float32"),
        (shift_parity(2e-4), "row 2 of parity.npz: its q of candidate"),
        (shift_parity(np.nan), "row 2 of parity.npz"),
        (lambda folder: (folder / "parity.npz").unlink(), "No such file"),
    ],
)
def test_a_model_that_is_not_sound_is_refused(spoil, message, tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    spoil(folder)
    with pytest.raises(EvictlabError) as error:
        load_model(folder)
    assert message in str(error.value)


def test_a_difference_of_rounding_is_no_other_model(tmp_path):
    folder = write_tiny_model(tmp_path / "model")
    shift_parity(5e-5)(folder)
    load_model(folder)


def test_a_model_that_onnxruntime_cannot_load_is_refused(tmp_path):
    import hashlib

    folder = write_tiny_model(tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"rubbish")
    change("model_sha256", hashlib.sha256(b"rubbish").hexdigest())(folder)
    with pytest.raises(EvictlabError, match="onnxruntime cannot load it"):
        load_model(folder)


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
