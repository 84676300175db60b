"""nginx.conf: what holds where, in which unit, and what is said when it cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.errors import FormatError, MissingExtraError, UsageError
from evictlab.traces.weblog.nginx.conf import AccessLog, LogFormatText, read_nginx_conf
from evictlab.traces.weblog.nginx.parse import conf_files
from evictlab.traces.weblog.nginx.units import nginx_bytes, nginx_seconds

pytest.importorskip("crossplane", reason="crossplane (the extra nginx) is not installed")

CACHE = "proxy_cache_path /var/cache levels=1:2 keys_zone=web:10m max_size=25m inactive=1h30m use_temp_path=off"


def conf(tmp_path: Path, text: str, name: str = "nginx.conf") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_cache_and_its_log(tmp_path: Path) -> None:
    found = read_nginx_conf(
        conf(
            tmp_path,
            f"""
            events {{}}
            http {{
              log_format short escape=json '{{"t":$msec,'
                                           '"u":"$request_uri"}}';
              {CACHE} min_free=1g manager_files=50 manager_threshold=200ms manager_sleep=1s loader_files=7;
              server {{
                access_log /var/log/a.log short buffer=32k if=$loggable;
                location / {{
                  proxy_pass http://origin:8080/base/;
                  proxy_cache web;
                  proxy_cache_key $host$request_uri;
                  proxy_cache_valid 200 302 10m;
                  proxy_cache_valid any 1m;
                  proxy_cache_methods POST;
                  proxy_cache_min_uses 2;
                  proxy_cache_lock on; proxy_cache_lock_timeout 3s;
                  proxy_cache_use_stale error timeout updating;
                  proxy_cache_background_update on;
                  proxy_cache_revalidate on;
                  proxy_cache_convert_head off;
                  proxy_ignore_headers Set-Cookie Expires;
                  proxy_cache_bypass $cookie_nocache;
                }}
              }}
            }}
            """,
        )
    )
    assert found.log_formats == {"short": LogFormatText('{"t":$msec,"u":"$request_uri"}', "json")}
    assert found.access_logs == (AccessLog("/var/log/a.log", "short", "$loggable"),)
    cache = found.cache
    assert cache is not None
    assert cache.store is not None
    store = cache.store
    assert (store.zone, store.zone_bytes, store.max_size_bytes, store.min_free_bytes) == (
        "web",
        10 * 2**20,
        25 * 2**20,
        2**30,
    )
    assert (store.inactive_s, store.levels, store.use_temp_path) == (5400.0, "1:2", False)
    assert (store.manager_files, store.manager_threshold_s, store.manager_sleep_s) == (50, 0.2, 1.0)
    assert (store.loader_files, store.loader_threshold_s, store.loader_sleep_s) == (7, 0.2, 0.05)
    assert cache.key == "$host$request_uri"
    assert cache.valid == (((200, 302), 600.0), ((), 60.0))
    assert cache.methods == ("GET", "HEAD", "POST")
    assert (cache.min_uses, cache.lock, cache.lock_timeout_s, cache.lock_age_s) == (2, True, 3.0, 5.0)
    assert cache.use_stale == ("error", "timeout", "updating")
    assert (cache.background_update, cache.revalidate, cache.convert_head) == (True, True, False)
    assert cache.ignored == ("set-cookie", "expires")
    assert cache.proxy_host == "origin:8080"
    assert found.notes == (
        "the log is sampled: if=$loggable",
        "some requests are not answered from the cache: proxy_cache_bypass $cookie_nocache",
    )


def test_what_is_not_written_has_the_default_of_nginx(tmp_path: Path) -> None:
    text = "http { proxy_cache_path /c keys_zone=z:1m; server { location / { proxy_pass http://o; proxy_cache z; } } }"
    cache = read_nginx_conf(conf(tmp_path, text)).cache
    assert cache is not None
    assert cache.store is not None
    assert (cache.key, cache.valid, cache.methods) == ("$scheme$proxy_host$request_uri", (), ("GET", "HEAD"))
    assert (cache.min_uses, cache.lock, cache.use_stale, cache.convert_head) == (1, False, (), True)
    assert (cache.store.max_size_bytes, cache.store.inactive_s, cache.store.manager_files) == (None, 600.0, 100)
    assert (cache.store.manager_threshold_s, cache.store.manager_sleep_s) == (0.2, 0.05)


def test_inner_directives_replace_outer_ones_all_together(tmp_path: Path) -> None:
    text = f"""http {{
      {CACHE};
      proxy_cache web; proxy_cache_valid 200 1h; proxy_cache_valid 404 1m; access_log /outer.log;
      server {{
        proxy_cache_valid 301 2h;
        location /a {{ proxy_pass http://o; }}
        location /b {{ proxy_pass http://o; proxy_cache off; }}
      }}
    }}"""
    cache = read_nginx_conf(conf(tmp_path, text)).cache
    assert cache is not None
    assert cache.valid == (((301,), 7200.0),)  # 200 and 404 of the outer block are gone, not merged


def test_valid_without_status_means_three(tmp_path: Path) -> None:
    text = (
        f"http {{ {CACHE}; server {{ location / {{ proxy_pass http://o; proxy_cache web; proxy_cache_valid 5m; }} }} }}"
    )
    cache = read_nginx_conf(conf(tmp_path, text)).cache
    assert cache is not None
    assert cache.valid == (((200, 301, 302), 300.0),)


TWO = """http {
  proxy_cache_path /a keys_zone=one:1m; proxy_cache_path /b keys_zone=two:1m max_size=1g;
  server {
    location /a { proxy_pass http://o; proxy_cache one; access_log /logs/a.log; }
    location /b { proxy_pass http://o; proxy_cache two; access_log /logs/b.log combined; }
  }
}"""


def test_of_several_caches_one_is_named(tmp_path: Path) -> None:
    path = conf(tmp_path, TWO)
    with pytest.raises(
        UsageError, match=r"several caches: zone one in location /a \(.*line 4\); zone two in .*line 5.*zone=NAME"
    ):
        read_nginx_conf(path)
    for choice in ({"zone": "two"}, {"log_name": "b.log"}, {"log_name": "/logs/b.log"}):
        cache = read_nginx_conf(path, **choice).cache
        assert cache is not None
        assert cache.zone == "two"
    with pytest.raises(UsageError, match=r"no proxy_cache 'three'; it has: one, two"):
        read_nginx_conf(path, zone="three")
    with pytest.raises(UsageError, match=r"no access_log 'c\.log'; it has: /logs/a\.log, /logs/b\.log"):
        read_nginx_conf(path, log_name="c.log")


def test_locations_with_the_same_settings_are_one_cache(tmp_path: Path) -> None:
    places = "location /a { proxy_pass http://o; } location /b { proxy_pass http://o; }"
    text = f"http {{ {CACHE}; proxy_cache web; server {{ {places} }} }}"
    assert read_nginx_conf(conf(tmp_path, text)).cache is not None


ONE_ZONE = f"""http {{
  {CACHE}; log_format short '$request';
  access_log /logs/all.log short;
  server {{
    location / {{ proxy_pass http://o; proxy_cache web; }}
    location ~* "\\.(png|jpg)$" {{ proxy_pass http://o; proxy_cache web; proxy_cache_valid 1d; }}
    location /x {{ proxy_pass http://o; proxy_cache web; proxy_cache_valid 1m; access_log /logs/x.log gone if=$odd; }}
  }}
}}"""


def test_of_one_zone_that_is_used_in_several_ways_a_location_is_named(tmp_path: Path) -> None:
    path = conf(tmp_path, ONE_ZONE)
    with pytest.raises(UsageError, match=r"zone web in location / \(.*zone web in location /x \(.*location=PATTERN"):
        read_nginx_conf(path, zone="web")
    for location, seconds in (("/x", 60), (r"\.(png|jpg)$", 86400), ("7", 60)):
        cache = read_nginx_conf(path, location=location).cache
        assert cache is not None
        assert [each.seconds for each in cache.valid] == [seconds]
    with pytest.raises(UsageError, match=r"no location '/y' with a cache; it has: location /, "):
        read_nginx_conf(path, location="/y")
    with pytest.raises(UsageError, match=r"no cache with log=x\.log, location=/ at once"):
        read_nginx_conf(path, log_name="x.log", location="/")


@pytest.mark.parametrize("name", ["x.log", "x.log.1", "x.log.12.gz", "x.log-20260101.zst", "x.log*"])
def test_of_several_caches_the_one_of_the_log_that_is_read(tmp_path: Path, name: str) -> None:
    found = read_nginx_conf(conf(tmp_path, ONE_ZONE), file_name=name)
    assert found.cache is not None
    assert [each.seconds for each in found.cache.valid] == [60]
    assert found.notes == (
        "the log is sampled: if=$odd",
        "nginx.conf does not define log_format gone, in which /logs/x.log is written",
    )
    for other in ("x.logs", "ax.log", "all.log"):
        with pytest.raises(UsageError, match="several caches"):
            read_nginx_conf(conf(tmp_path, ONE_ZONE), file_name=other)


def test_that_another_log_is_sampled_is_not_said(tmp_path: Path) -> None:
    path = conf(tmp_path, ONE_ZONE)
    assert read_nginx_conf(path, location="/").notes == ()
    assert len(read_nginx_conf(path, location="/x").notes) == 2


def test_caches_that_differ_in_their_origin_only_are_one(tmp_path: Path) -> None:
    places = "location /a { proxy_pass http://o; } location /b { proxy_pass http://p; }"
    cache = read_nginx_conf(conf(tmp_path, f"http {{ {CACHE}; proxy_cache web; server {{ {places} }} }}")).cache
    assert cache is not None
    assert (cache.zone, cache.proxy_host) == ("web", "")


def test_a_conf_without_a_cache_or_without_http(tmp_path: Path) -> None:
    found = read_nginx_conf(conf(tmp_path, "log_format tiny '$status $request'; server { access_log off; }"))
    assert (found.cache, found.access_logs) == (None, ())
    assert found.log_formats["tiny"].text == "$status $request"


def test_includes_are_followed_and_listed(tmp_path: Path) -> None:
    conf(tmp_path, "log_format b '$request';", "formats.inc")
    main = conf(tmp_path, "http {\n include formats.inc;\n include none/*.conf;\n}")
    assert set(read_nginx_conf(main).log_formats) == {"b"}
    assert conf_files(main) == (main, tmp_path / "formats.inc")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http {\n include gone.inc;\n}", r"nginx\.conf, line 2: it includes '.*gone\.inc', but there is no such file"),
        ("http {\n server {\n}", r"nginx\.conf, line \d: unexpected end of file"),
        ("http {\n log_format a '$request'\n}", r"nginx\.conf, line \d: .*log_format.*not terminated"),
        ("http {\n proxy_cache_path /c keys_zone=z:1m max_size=25x;\n}", r"line 2: proxy_cache_path: '25x' is no size"),
        ("http {\n proxy_cache_path /c max_size=25m;\n}", "line 2: proxy_cache_path has no keys_zone"),
        (
            "http { location / {\n proxy_pass http://o; proxy_cache z;\n proxy_cache_valid 2000 1m; } }",
            "line 3: proxy_cache_valid: '2000' is no status",
        ),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_nginx_conf(conf(tmp_path, text))


def test_no_such_conf(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"gone\.conf: no such file"):
        read_nginx_conf(tmp_path / "gone.conf")
    with pytest.raises(FormatError, match=r"is a folder.*Name the file in it"):
        read_nginx_conf(tmp_path)


@pytest.mark.parametrize("text", ['{"uri":"/a","status":200}\n', "types { text/html html; }", ""])
def test_a_file_of_another_kind_is_no_conf(tmp_path: Path, text: str) -> None:
    with pytest.raises(FormatError, match=r"is no configuration of NGINX"):
        read_nginx_conf(conf(tmp_path, text))


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nginx\.conf: includes itself"):
        read_nginx_conf(conf(tmp_path, "http { include nginx.conf; }"))


def test_without_crossplane_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crossplane", None)
    with pytest.raises(MissingExtraError, match=r"evictlab\[nginx\]"):
        read_nginx_conf(conf(tmp_path, "http {}"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), ("10m", 600), ("1h30m", 5400), ("200ms", 0.2), ("1d 12h", 129600), ("1M", 2592000)],
)
def test_times(text: str, seconds: float) -> None:
    assert nginx_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "n_bytes"), [("0", 0), ("512k", 524288), ("25M", 26214400), ("1g", 2**30)])
def test_sizes(text: str, n_bytes: int) -> None:
    assert nginx_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "m", "1x", "1m1h", "1m1m", "-1", "1.5h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        nginx_seconds(text)


@given(st.lists(st.integers(0, 99), min_size=7, max_size=7))
def test_times_add_up(parts: list[int]) -> None:
    units = {"y": 31536000, "M": 2592000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
    text = "".join(f"{n}{unit}" for n, unit in zip(parts, units, strict=True))
    assert nginx_seconds(text) == sum(n * s for n, s in zip(parts, units.values(), strict=True))
