"""Formats of access logs: what is a variable, what stands between, and what cannot be cut."""

from __future__ import annotations

import pytest

from evictlab.traces.errors import UnknownNameError, UsageError
from evictlab.traces.weblog.log_format import BUILTIN, json_log_format, parse_log_format, split_template


def test_literals_and_variables_in_order():
    found = parse_log_format('$remote_addr [${time_local}] "$request"', name="main")
    assert found.parts == (
        ("remote_addr", True),
        (" [", False),
        ("time_local", True),
        ('] "', False),
        ("request", True),
        ('"', False),
    )
    assert found.variables == ("remote_addr", "time_local", "request")
    assert (found.name, found.escape, found.is_json) == ("main", "default", False)


def test_formats_that_need_no_definition():
    assert parse_log_format("combined").parts == parse_log_format(BUILTIN["combined"]).parts
    assert parse_log_format("combined").name == "combined"
    assert parse_log_format("common").variables[-1] == "body_bytes_sent"
    assert parse_log_format("combined").variables[-1] == "http_user_agent"


def test_a_backslash_and_t_is_a_tab():
    assert parse_log_format(r"$msec\t$status").parts[1] == ("\t", False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("$host$uri$args", r"\$uri.*\$args"),
        ("$scheme$proxy_host$request_uri", r"\$scheme.*\$proxy_host"),
        ("nothing to see", r"no \$variable"),
        ("$status costs $ 5", r"a \$ without a name at character 15"),
        ('{"key":"$a$b"}', r"key 'key'.*\$a.*\$b"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(text: str, says: str):
    with pytest.raises(UsageError, match=says):
        parse_log_format(text)


def test_what_has_a_fixed_shape_needs_nothing_after_it():
    assert parse_log_format("$status$body_bytes_sent $msec$pipe$remote_addr").variables[0] == "status"
    assert parse_log_format("$host$request_uri").variables == ("host", "request_uri")


def test_an_unknown_escape_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'json'"):
        parse_log_format("combined", escape="jsn")


def test_a_flat_object_is_json_with_or_without_quotes():
    found = parse_log_format(
        '{"t":"$msec", "s":$status,"by":"nginx","u":"$scheme://$host$request_uri" }', escape="json"
    )
    assert found.is_json
    assert [key for key, _ in found.keys] == ["t", "s", "u"]
    assert found.variables == ("msec", "status", "scheme", "host", "request_uri")


def test_a_nested_object_and_one_without_escapes_are_cut_as_text():
    assert not parse_log_format('{"a":{"b":"$status"}}', escape="json").is_json
    assert not parse_log_format('{"b":"$status"}', escape="none").is_json


def test_json_without_a_template_goes_by_the_usual_names():
    found = json_log_format(["@timestamp", "method", "uri", "bytes", "cache", "request_length", "Status", "x_id"])
    assert {key: value[0].text for key, value in found.keys} == {
        "@timestamp": "time_iso8601",
        "method": "request_method",
        "uri": "request_uri",
        "bytes": "body_bytes_sent",
        "cache": "upstream_cache_status",
        "request_length": "request_length",
        "Status": "status",
        "x_id": "x_id",
    }


def test_a_variable_by_its_own_name_is_not_replaced_by_an_alias():
    found = json_log_format(["size", "body_bytes_sent", "uri", "request_uri"])
    assert found.variables == ("size", "body_bytes_sent", "uri", "request_uri")
    with pytest.raises(UsageError, match="no JSON key"):
        json_log_format([])


def test_templates_of_keys():
    assert split_template("$scheme$proxy_host") == (("scheme", True), ("proxy_host", True))
