"""What is known of NGINX's variables: whose values are numbers, whose length is fixed, what JSON logs call them.

Source: NGINX documentation, ngx_http_core_module, ngx_http_log_module and ngx_http_upstream_module, embedded variables.
"""

from __future__ import annotations

__all__ = ["ALIASES", "HOSTS", "NUMBERS", "PATHS", "TIMES", "WIDTHS"]

NUMBERS = frozenset(
    {"status", "body_bytes_sent", "bytes_sent", "request_length", "msec", "request_time", "connection", "pid"}
)
"""Values are digits, dots and ``-`` only (or empty): a line with anything else there does not fit its format."""

WIDTHS = {"time_local": 26, "time_iso8601": 25, "status": 3, "pipe": 1, "msec": -1, "request_time": -1}
"""Bytes of a value; -1: digits, a dot and three digits. What follows such a variable needs no literal before it."""

HOSTS = frozenset({"host", "http_host", "server_name", "proxy_host", "server_port", "proxy_port", "server_addr"})
PATHS = frozenset({"request_uri", "uri", "document_uri"})
"""Values of the second begin with ``/``, which those of the first never hold: ``$host$request_uri`` can be cut."""

TIMES = ("msec", "time_iso8601", "time_local")
"""Variables that say when a request ended, the most exact first."""

ALIASES = {
    "msec": "epoch unix_time unixtime ts time_msec timestamp_s",
    "time_iso8601": "@timestamp timestamp time date datetime time_iso iso8601",
    "time_local": "timelocal local_time",
    "request": "request_line",
    "request_method": "method http_method verb",
    "request_uri": "uri url path request_url",
    "status": "code response response_code status_code http_status",
    "body_bytes_sent": "bytes size body_bytes response_size response_bytes",
    "request_time": "duration response_time rt",
    "upstream_response_time": "upstream_time urt",
    "upstream_cache_status": "cache cache_status",
    "upstream_http_cache_control": "cache_control",
    "remote_addr": "client client_ip clientip remote_ip ip addr",
    "http_host": "vhost domain",
    "http_referer": "referer referrer http_referrer",
    "http_user_agent": "user_agent useragent agent ua",
    "server_protocol": "protocol http_version",
}
"""Variable to the names that JSON logs give it besides its own, the likeliest first."""
