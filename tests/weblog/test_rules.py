"""What a cache keeps: by status, by header, and under which key."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import numpy as np
import pytest

from evictlab.traces.errors import UsageError
from evictlab.traces.readers.base.fields import Words
from evictlab.traces.weblog.fields import scan
from evictlab.traces.weblog.headers import response_headers
from evictlab.traces.weblog.keys import key_template, salt_of
from evictlab.traces.weblog.log_format import parse_log_format
from evictlab.traces.weblog.rules import CacheRules, Valid, read_valid


def words(*texts: str) -> Words:
    distinct = list(dict.fromkeys(texts))
    return Words(np.array([distinct.index(text) for text in texts], np.int32), [*distinct, ""])


def test_without_a_word_three_statuses_are_kept_and_what_belongs_to_them() -> None:
    rules = CacheRules()
    assert [s for s in (200, 206, 301, 302, 304, 403, 404, 499, 502) if rules.keeps(s, headers=False)] == [
        200,
        206,
        301,
        302,
        304,
        499,
    ]
    assert rules.keeps(404, headers=True)
    assert rules.seconds(200) is None


def test_the_first_that_names_a_status_decides() -> None:
    rules = CacheRules().changed(valid="200 302 10m; 404 1m; any 5s")
    assert [rules.seconds(s) for s in (200, 206, 304, 499, 302, 404, 301)] == [600, 600, 600, 600, 600, 60, 5]
    rules = CacheRules().changed(valid="404 0; 10m")
    assert rules.seconds(301) == 600
    assert rules.seconds(500) is None
    assert not rules.keeps(404, headers=False)  # for 0 seconds is not at all
    assert not rules.keeps(500, headers=False)


def test_rules_in_words() -> None:
    assert read_valid("200 302 1h") == Valid((200, 302), 3600)
    assert read_valid("any 1m") == Valid((), 60)
    assert CacheRules().changed(methods="get,post").methods == ("GET", "POST")
    for option, text, said in (
        ("valid", "200 ten", "'ten' is no time.*write it as"),
        ("valid", "20x 1m", "'20x' is no status"),
        ("key", "/constant", "has no variable"),
    ):
        with pytest.raises(UsageError, match=said):
            CacheRules().changed(**{option: text})


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "reason", "ttl_s"),
    [
        ({}, "", np.nan),
        ({"cache-control": "public, max-age=60"}, "", 60),
        ({"cache-control": "max-age=60, s-maxage=5"}, "", 5),
        ({"cache-control": "Max-Age=60"}, "", 60),
        ({"cache-control": "max-age=0"}, "Cache-Control: max-age=0", 0),
        ({"cache-control": "no-store"}, "Cache-Control: no-store", np.nan),
        ({"cache-control": "Private, max-age=60"}, "Cache-Control: private", 60),
        ({"cache-control": "no-cache"}, "Cache-Control: no-cache", np.nan),
        ({"cache-control": "public"}, "", np.nan),
        ({"x-accel-expires": "7", "cache-control": "no-store"}, "", 7),
        ({"x-accel-expires": "0", "cache-control": "max-age=60"}, "X-Accel-Expires: 0", 0),
        ({"x-accel-expires": "@1700000030"}, "", 30),
        ({"expires": formatdate(NOW + 90, usegmt=True)}, "", 90),
        ({"expires": formatdate(NOW - 90, usegmt=True)}, "Expires in the past", np.nan),
        ({"expires": "0"}, "Expires in the past", np.nan),
        ({"expires": "-"}, "", np.nan),
        ({"expires": formatdate(NOW - 90, usegmt=True), "cache-control": "max-age=60"}, "", 60),
        ({"set-cookie": "id=1", "cache-control": "max-age=60"}, "Set-Cookie", 60),
        ({"set-cookie": "-", "cache-control": "max-age=60"}, "", 60),
        ({"vary": "*"}, "Vary: *", np.nan),
        ({"vary": "Accept-Encoding"}, "", np.nan),
    ],
)
def test_headers(headers: dict[str, str], reason: str, ttl_s: float) -> None:
    said = response_headers({name: words(text) for name, text in headers.items()}, np.array([NOW]))
    assert said.reasons[said.barred[0]] == reason
    if not reason:
        assert said.ttl_s.tolist() == pytest.approx([ttl_s], nan_ok=True)
    assert said.varies == (headers.get("vary", "-") != "-")
    assert said.dated[0] == (headers.get("expires", "-") != "-" and "cache-control" not in headers) or "@" in str(
        headers
    )


def keys(log_format: str, line: str, rules: CacheRules | None = None, salt: int | None = None) -> tuple[Any, Any]:
    fields = scan(parse_log_format(log_format), line.encode() + b"\n")
    template = key_template(rules or CacheRules(), fields.has)
    return template.keys(fields, salt).tolist()[0], template.notes


def test_the_key_is_made_of_what_the_log_has() -> None:
    key, notes = keys("$status $request_uri", "200 /a?b=1")
    assert (key, notes) == ("/a?b=1", ("the log lacks $scheme, $proxy_host: keys are $request_uri",))
    key, notes = keys("$scheme $host $request_uri", "https h.example /a")
    assert (key, notes) == ("httpsh.example/a", ("$host stands for $proxy_host in the key",))
    key, notes = keys("$scheme $host $request_uri", "https h /a", CacheRules(proxy_host="origin:80"))
    assert (key, notes) == ("httpsorigin:80/a", ())


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("$scheme://$host$request_uri", "https://h/a?b=1"),
        ("${host}x$request_uri", "hx/a?b=1"),
        ("$host$uri$is_args$args", "h/a?b=1"),
        ("$host$uri?$args", "h/a?b=1"),
        ("$host$uri", "h/a"),
    ],
)
def test_templates(template: str, key: str) -> None:
    assert keys("$scheme $host $request_uri", "https h /a?b=1", CacheRules(key=template))[0] == key


def test_a_target_with_blanks_ends_at_the_first() -> None:
    rules = CacheRules(key="$host$request_uri")
    assert keys('$host "$request"', 'h "GET /a b/c HTTP/1.1"', rules)[0] == "h/a"


def test_salted_keys_differ_by_salt_and_not_by_run() -> None:
    line = ("$request_uri", "/a")
    one, two = (keys(*line, salt=salt_of(word))[0] for word in ("pepper", "paprika"))
    assert one != two
    assert one == keys(*line, salt=salt_of("pepper"))[0]
    assert isinstance(one, int)
    # Whether the path had to be cut makes no difference.
    rules = CacheRules(key="$request_uri")
    assert keys('"$request"', '"GET /a b HTTP/1.1"', rules, 5) == keys('"$request"', '"GET /a HTTP/1.1"', rules, 5)
