"""Which models the sidecar serves: a new one takes over while it runs, and one that is not sound is refused."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess

import numpy as np
import pytest
from learned.sidecar_process import BOTH, Client, sidecar

pytest.importorskip("onnx")

from tiny_model import OLD, write_tiny_model

from evictlab.rl.sidecar import load_model, pack_request, running_server
from evictlab.traces.errors import EvictlabError

pytest.importorskip("onnxruntime")  # after tiny_model, which turns its telemetry off


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
