"""The sidecar as NGINX sees it, in C and in Python: the same answers whatever is sent, and the same counters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from learned.sidecar_process import BOTH, Client, sidecar

pytest.importorskip("onnx")

from tiny_model import UNLUCKY, bad_packets, random_candidates, random_context, write_tiny_model

from evictlab.rl.sidecar import Reply, choose_victims, load_model, pack_request, running_server
from evictlab.rl.sidecar.bench import bench_socket
from evictlab.rl.sidecar.protocol import pack_wake
from evictlab.traces.errors import EvictlabError

pytest.importorskip("onnxruntime")  # after tiny_model, which turns its telemetry off


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
