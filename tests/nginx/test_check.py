"""``evictlab check nginx``: the real NGINX and its prediction, small; and the page that comes of it, without any NGINX."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evictlab.experiments.checks import nginx as study
from evictlab.sim.check.nginx import Ground, check_nginx, predicted
from evictlab.traces.errors import UnknownNameError, UsageError
from evictlab.traces.generate import generate
from evictlab.traces.record.nginx import RealConfig

MIX = "one_hit:requests=2400,objects=100,alpha=0.8,one_hit_share=0.25,sizes=20kB,one_hit_sizes=200kB"
COMMAND = [sys.executable, "-m", "evictlab.experiments.cli.main", "check", "nginx"]


def run(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.nginx
@pytest.mark.slow
def test_a_tight_cache_is_predicted():
    made = check_nginx(generate(MIX), RealConfig(5 << 20, manager_interval_s=0.05), rate_per_s=600)
    row = made.to_row()
    assert row["failed"] == 0
    # 0.005 is what is aimed at and reached on a machine with nothing else to do; here tests may run beside it.
    assert abs(row["difference"]) < 0.02
    assert row["agreeing"] > 0.97
    # The folder is looked at every 50 ms: the top of a short peak may be missed.
    assert row["real_peak_bytes"] < 1.2 * row["predicted_peak_bytes"]
    assert row["real_peak_bytes"] > row["max_size_bytes"]
    assert made.manager_p90_s is None  # nobody watched it
    # What NGINX asked of the origin is what was no hit.
    assert row["real_origin_requests"] == len(made.real.source) - int(made.real.hits.sum())


@pytest.mark.nginx
@pytest.mark.slow
def test_a_check_leaves_a_page_and_can_go_on(tmp_path):
    words = (MIX, "--size", "5MiB", "--manager", "stock", "--rate", "1200/s", "--limit", 1200, "--tolerance", 0.02)
    done = run(*words, cwd=tmp_path)
    assert "A real NGINX and its simulation" in done.stdout
    page = (tmp_path / "checked" / "nginx.md").read_text()
    assert "- nginx: nginx/" in page
    assert "- command: evictlab check nginx" in page
    assert {path.name for path in (tmp_path / "checked").iterdir()} == {"nginx.md", "nginx.csv", "nginx.png"}
    (row,) = json.loads(run(*words, "--json", "-q", cwd=tmp_path).stdout)["rows"]
    # A stock manager does nothing in a second: all is kept, so a hit is whatever was asked for before.
    assert row["real_hit_ratio"] == pytest.approx(row["predicted_hit_ratio"], abs=0.02)
    assert row["real_peak_bytes"] > 10 * row["max_size_bytes"]


def test_the_manager_wakes_when_it_must():
    """It starts 1.5 s before the first request, so a stock one first looks 8.5 s after it."""
    trace = generate(MIX)  # 2400 requests at 200/s: 12 s
    late = predicted(trace, RealConfig(5 << 20), 200.0, Ground(-1.5))
    grown = late.series_size[late.series_s < 8.5].max()
    assert 40 << 20 < grown <= late.disk_peak < 1.01 * grown
    assert late.series_size[late.series_s > 10].max() < grown / 2
    soon = predicted(trace, RealConfig(5 << 20, manager_interval_s=0.05), 200.0, Ground(-1.5))
    assert soon.disk_peak < 7 << 20
    assert soon.hit_ratio < late.hit_ratio


ROW = {
    "workload": "zipf",
    "size": "25MiB",
    "repeat": 0,
    "trace": "t",
    "requests": 12_000,
    "max_size_bytes": 25 << 20,
    "manager": "stock",
    "rate_per_s": 1090.9,
    "real_hit_ratio": 0.70,
    "predicted_hit_ratio": 0.71,
    "difference": 0.01,
    "real_peak_bytes": 500_000_000,
    "predicted_peak_bytes": 490_000_000,
    "real_final_bytes": 82_000_000,
    "predicted_final_bytes": 80_000_000,
    "late_p99_ms": 31.0,
    "manager_p90_ms": None,
    "uncounted_bytes": None,
    "series": {"real_s": [0, 1], "real_bytes": [0, 5], "simulated_s": [0, 1], "simulated_bytes": [0, 6]},
}


def test_a_page_says_what_is_missed(tmp_path):
    page = study.reproduction([ROW])
    said = " ".join(page.remarks)
    assert "+0.0100 (zipf, 25MiB, stock), NOT within the 0.005 aimed at" in said
    assert "82.0 MB on disk (predicted 80.0 MB" in said
    assert "sent more than 20 ms late: zipf 25MiB stock." in said
    assert "rounds of the manager" not in said
    lost = " ".join(study.reproduction([ROW | {"uncounted_bytes": 480_000}]).remarks)
    assert "lost count" in lost
    assert "zipf 25MiB stock (0.48 MB)" in lost
    assert "lost count" not in said
    slow = ROW | {"manager": "50ms", "manager_p90_ms": 80.0, "late_p99_ms": 1.0}
    assert "1.5 times its interval: zipf 25MiB 50ms." in " ".join(study.reproduction([slow]).remarks)
    assert "series" not in page.rows[0]
    files = page.write(tmp_path, {"command": "c"})
    assert [file.suffix for file in files] == [".md", ".csv", ".png"]
    assert "within the 0.02 aimed at" in " ".join(study.reproduction([ROW], 0.02).remarks)


def test_what_cannot_be_checked_is_refused():
    trace = generate(MIX)
    with pytest.raises(UnknownNameError, match="unknown manager 'fast'"):
        study.plan([("t", trace)], ["5MiB"], ["fast"], None, 8)
    with pytest.raises(UsageError, match="--size 25MiB"):
        study.plan([("t", trace)], [], ["stock"], None, 8)
    with pytest.raises(UsageError, match="max_size is in bytes"):
        study.plan([("t", trace)], ["5obj"], ["stock"], None, 8)
    with pytest.raises(UnknownNameError, match="workload"):
        study.workload("trp")
    with pytest.raises(UsageError, match="nasa_19950801"):
        study.workload("nasa", Path("nowhere"))


def test_every_workload_times_size_times_manager():
    runs = study.plan([("zipf", generate(MIX)), ("mine", generate(MIX))], ["5MiB", "9MiB"], ["stock", "50ms"], 700.0, 4)
    assert len(runs) == len({run.key for run in runs}) == 8
    assert [run.config.manager_interval_s for run in runs[:2]] == [None, 0.05]
    thrice = study.plan([("mine", generate(MIX))], ["5MiB"], ["stock"], None, 4, 3)
    assert len({run.key for run in thrice}) == 3  # a journal tells them apart
    usual = study.plan([("zipf", generate(MIX))], [], ["stock"], None, 8)
    assert [run.size for run in usual] == ["25MiB", "50MiB", "100MiB"]
