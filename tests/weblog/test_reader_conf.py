"""A log that is read by its nginx.conf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from access_logs import asked, read

from evictlab.traces import open_trace, scan
from evictlab.traces.errors import UsageError
from evictlab.traces.readers import open_reader
from evictlab.traces.readers.access_log import AccessLog

CONF = """http {
  log_format timed '$msec|$request_time|$request_method|$host|$request_uri|$status|$body_bytes_sent|$upstream_cache_status';
  log_format other '$request';
  proxy_cache_path /c keys_zone=z:1m max_size=1g;
  server {
    access_log /logs/a.log timed if=$sampled;
    location / { proxy_pass http://o; proxy_cache z; proxy_cache_key $host$request_uri; include valid.inc; }
  }
}
"""


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    pytest.importorskip("crossplane", reason="crossplane (the extra nginx) is not installed")
    (tmp_path / "nginx.conf").write_text(CONF)
    (tmp_path / "valid.inc").write_text("proxy_cache_valid 200 10m; proxy_cache_valid 404 1m;")
    (tmp_path / "a.log").write_text(
        "1.5|0.5|GET|h|/a|200|10|MISS\n2.0|0.0|GET|h|/a|200|10|HIT\n3.0|0.0|GET|h|/no|404|4|MISS\n3.5|0.0|GET|h|/r|302|4|MISS\n"
    )
    return tmp_path


def test_a_log_by_its_nginx_conf(configured: Path) -> None:
    trace = read(configured / "a.log", conf=str(configured / "nginx.conf"))
    assert asked(trace) == ["h/a", "h/a", "h/no"]
    assert trace.ttls.tolist() == [600, 600, 60]
    assert trace.times.tolist() == [1, 2, 3]
    account = trace.provenance.account
    assert account.dropped == {"status 302": 1}
    assert "the log is sampled: if=$sampled" in account.notes
    assert "the real cache answered 33.3% of these requests: MISS 2, HIT 1" in account.notes


def test_the_trace_is_another_when_its_conf_changes(configured: Path) -> None:
    def identity() -> dict[str, Any]:
        return scan(f"access_log:{configured / 'a.log'}", conf=str(configured / "nginx.conf")).identity()

    first = identity()
    assert identity() == first
    (configured / "valid.inc").write_text("proxy_cache_valid 200 20m;")
    second = identity()
    assert second != first
    (configured / "nginx.conf").write_text(CONF.replace("$host$request_uri;", "$request_uri;"))
    assert identity() != second


def test_options_of_the_user_come_before_the_conf(configured: Path) -> None:
    options = {"conf": str(configured / "nginx.conf"), "valid": "any 5s", "key": "$request_uri"}
    trace = open_trace(f"access_log:{configured / 'a.log'}", cache=False, **options)
    assert asked(trace) == ["/a", "/a", "/no", "/r"]
    assert trace.ttls.tolist() == [5] * 4


def test_results_know_what_their_conf_said(configured: Path) -> None:
    def told() -> Any:
        return read(configured / "a.log", conf=str(configured / "nginx.conf")).provenance.options["conf_digests"]

    first = told()
    assert [Path(name).name for name in first] == ["nginx.conf", "valid.inc"]
    (configured / "valid.inc").write_text("proxy_cache_valid 200 20m;")
    assert told() != first


def test_a_format_of_another_log_may_be_beyond_reading(configured: Path) -> None:
    other = "log_format glued '$host$status'; log_format bare '$request $status'; access_log /logs/b.log glued;"
    (configured / "nginx.conf").write_text(CONF.replace("log_format other", f"{other} log_format other"))
    assert read(configured / "a.log", conf=str(configured / "nginx.conf")).n_requests == 3
    (configured / "nginx.conf").write_text(f"http {{ {other} }}")
    with pytest.raises(UsageError, match=r"log_format glued: nothing separates \$host from \$status"):
        read(configured / "a.log", conf=str(configured / "nginx.conf"))
    with pytest.raises(UsageError, match=r"log_format bare: \$request holds blanks.*in quotes"):
        read(configured / "a.log", conf=str(configured / "nginx.conf"), format="bare")


def test_of_formats_that_fit_alike_that_of_the_log_with_the_name_is_taken(configured: Path) -> None:
    formats = "log_format one '$host $request_uri $status'; log_format two '$host $request_uri $bytes_sent';"
    logs = "access_log /logs/one.log one; access_log /logs/two.log two;"
    conf = configured / "nginx.conf"
    conf.write_text(
        f"http {{ {formats} log_format words '$host $uri $cookie_a'; {logs} access_log /logs/w.log words; }}"
    )
    for name, value, expected in (("one.log", 200, "one"), ("two.log.1", 200, "two"), ("two.log", "x", "words")):
        (configured / name).write_text(f"h /a {value}\n" * 3)
        reader = open_reader(f"access_log:{configured / name}", conf=str(conf))
        assert isinstance(reader, AccessLog)
        assert reader.log_format.name == expected, name  # what fits comes first
