"""However a run ends, no process and no folder of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from evictlab.traces import RequestTrace
from evictlab.traces.record.nginx import NginxError, RealConfig, record

pytestmark = pytest.mark.nginx

SLOW = """
import sys, numpy as np
from pathlib import Path
from evictlab.traces import RequestTrace
from evictlab.traces.record.nginx import RealConfig, record
trace = RequestTrace.from_columns(np.arange(1000, dtype=np.uint64), sizes=np.full(1000, 10))
record(trace, RealConfig(10**9, folder=Path(sys.argv[1])), rate_per_s=20)
"""


def processes_of(folder):
    """Numbers and names of the processes that say the folder in their command line or work in it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if str(folder).encode() in command or parent in found:
                found[int(entry.name)] = command
    return found


def eventually(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_nothing_stays_after_a_run(folder):
    record(RequestTrace.from_columns([1], sizes=[1]), RealConfig(10**6, folder=folder))
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == {}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_when_python_is_killed(folder, how):
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(folder)], stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: list(folder.glob("*/cache/*")), 20)  # requests are answered
        ours = {pid for pid, command in processes_of(folder).items() if b"nginx:" in command}
        assert len(ours) >= 2  # the master, the worker, the manager
    finally:
        child.send_signal(how)
        child.wait()
    assert eventually(lambda: not processes_of(folder) and not any(Path(f"/proc/{pid}").exists() for pid in ours))
    assert eventually(lambda: list(folder.iterdir()) == [])


@pytest.mark.parametrize("only_master", [True, False])
def test_an_nginx_that_dies_is_an_error_that_shows_its_log(folder, only_master):
    def kill():
        assert eventually(lambda: list(folder.glob("*/cache/*")))
        (pid_file,) = folder.glob("*/nginx.pid")
        master = int(pid_file.read_text())
        os.kill(master, signal.SIGKILL) if only_master else os.killpg(master, signal.SIGKILL)

    trace = RequestTrace.from_columns(np.arange(4000, dtype=np.uint64), sizes=np.full(4000, 10))
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(NginxError, match="NGINX ended by signal 9"):
        record(trace, RealConfig(10**9, folder=folder), rate_per_s=400)
    killer.join()
    assert eventually(lambda: not processes_of(folder))
    assert list(folder.iterdir()) == []


def test_a_configuration_that_nginx_refuses_is_shown_in_its_words(folder):
    with pytest.raises(NginxError, match=r"exit code 1.*\n.*too small"):
        record(RequestTrace.from_columns([1], sizes=[1]), RealConfig(10**6, keys_zone="1k", folder=folder))
    assert list(folder.iterdir()) == []


def test_a_folder_too_deep_for_a_socket_is_refused(tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(NginxError, match="too long a name for a socket"):
        record(RequestTrace.from_columns([1], sizes=[1]), RealConfig(10**6, folder=deep))
    assert list(deep.iterdir()) == []


def test_a_binary_that_is_no_nginx_is_refused(tmp_path, monkeypatch):
    fake = tmp_path / "nginx"
    fake.write_text("#!/bin/sh\necho hello >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("EVICTLAB_NGINX", str(fake))
    with pytest.raises(NginxError, match="does not answer as nginx does"):
        record(RequestTrace.from_columns([1], sizes=[1]), RealConfig(10**6))
