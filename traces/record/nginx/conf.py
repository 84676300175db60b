"""The configuration file of the recorded NGINX, and the places in its folder."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .config import RealConfig

__all__ = ["LOG_FIELDS", "Places", "nginx_conf", "worker_account"]

LOG_FIELDS = {
    "id": "$http_x_request",
    "msec": "$msec",
    "request_time": "$request_time",
    "request_method": "$request_method",
    "scheme": "$scheme",
    "host": "$host",
    "request_uri": "$request_uri",
    "status": "$status",
    "body_bytes_sent": "$body_bytes_sent",
    "upstream_cache_status": "$upstream_cache_status",
    "upstream_response_time": "$upstream_response_time",
    "upstream_header_time": "$upstream_header_time",
    "upstream_http_content_length": "$upstream_http_content_length",
}
"""What NGINX logs of each request: name in the JSON object, variable."""


@dataclass(frozen=True)
class Places:
    """Files and sockets in the temporary folder."""

    folder: Path

    @property
    def cache(self) -> Path:
        """Where NGINX keeps the cached files."""
        return self.folder / "cache"

    @property
    def tick(self) -> Path:
        """The cache that only keeps the manager awake."""
        return self.folder / "tick"

    @property
    def conf(self) -> Path:
        """The configuration."""
        return self.folder / "nginx.conf"

    @property
    def access_log(self) -> Path:
        """One JSON object per request."""
        return self.folder / "access.log"

    @property
    def error_log(self) -> Path:
        """From warnings upwards."""
        return self.folder / "error.log"

    @property
    def manager_log(self) -> Path:
        """What the processes beside the requests do, in full."""
        return self.folder / "manager.log"

    @property
    def client(self) -> str:
        """Unix socket where NGINX listens."""
        return str(self.folder / "client.sock")

    @property
    def origin(self) -> str:
        """Unix socket where the origin listens."""
        return str(self.folder / "origin.sock")

    @property
    def samples(self) -> Path:
        """What the folder of the cache weighed over time."""
        return self.folder / "disk.bin"


def worker_account(folder: Path) -> tuple[str, str] | None:
    """User and group that NGINX's workers become when started by root; None for everybody else.

    Root only where nobody else may enter a folder on the way to `folder`.
    """
    if os.geteuid() != 0:
        return None
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in folder.resolve().parents):
        for name in ("www-data", "nginx", "nobody"):
            with suppress(KeyError):
                user = pwd.getpwnam(name)
                return name, grp.getgrgid(user.pw_gid).gr_name
    return "root", "root"


def nginx_conf(config: RealConfig, places: Places) -> str:
    """Return the text of the configuration.

    Bodies are buffered in full, so that what is cached does not depend on the speed of a client; temporary files lie
    beside the cache; only `RealConfig.ttl_s` says how long an answer is fresh. Logs are those of `Places`.
    """
    account = worker_account(places.folder)
    return "\n".join(
        [
            *(f"load_module {path};" for path in config.load_modules),
            *([f"user {account[0]} {account[1]};"] if account else []),
            f"worker_processes {config.workers};",
            "daemon off;",
            "master_process on;  # without it there is no cache manager",
            f"pid {places.folder}/nginx.pid;",
            *([f"error_log {places.manager_log} debug;"] if config.watch_manager else []),
            f"error_log {places.error_log} warn;",
            "events { worker_connections 1024; }",
            "http {",
            *(f"    {line}" for line in _http(config, places)),
            "}",
            "",
        ]
    )


def _http(config: RealConfig, places: Places) -> list[str]:
    fields = ",".join(f'"{name}":"{variable}"' for name, variable in LOG_FIELDS.items())
    pause_ms = round((config.manager_interval_s or 0) * 1000)
    stale = "updating" if config.use_stale_updating else "off"
    return [
        f"log_format requests escape=json '{{{fields}}}';",
        f"error_log {places.error_log} warn;",  # of requests, never more, however much the manager tells
        "access_log off;",  # else NGINX opens the one of the system, which a user may not
        *(f"{what}_temp_path {places.folder}/temp;" for what in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")),
        f"proxy_cache_path {places.cache} keys_zone=cache:{config.keys_zone} max_size={config.max_size_bytes}"
        f" inactive={config.inactive_s}s use_temp_path=off manager_files={config.manager_files}"
        f" manager_threshold={round(config.manager_threshold_s * 1000)}ms"
        f" manager_sleep={round(config.manager_sleep_s * 1000)}ms;",
        *(
            [
                f"proxy_cache_path {places.tick} keys_zone=tick:1m inactive=1s use_temp_path=off"
                f" manager_files=1 manager_sleep={pause_ms}ms;"
            ]
            if pause_ms
            else []
        ),
        *config.http_lines,
        "sendfile on;",
        "keepalive_requests 1000000000;",
        "keepalive_timeout 1h;",
        "large_client_header_buffers 4 32k;",
        f"upstream origin {{ server unix:{places.origin}; keepalive 64; keepalive_requests 1000000000; }}",
        "server {",
        f"    listen unix:{places.client};",
        "    proxy_http_version 1.1;",
        '    proxy_set_header Connection "";',
        "    proxy_buffer_size 16k;",
        "    proxy_buffers 16 32k;",
        "    proxy_busy_buffers_size 64k;",
        "    proxy_ignore_headers X-Accel-Expires Expires Cache-Control Set-Cookie Vary;",
        "    proxy_cache_key $request_uri;",
        "    location / {",
        f"        access_log {places.access_log} requests buffer=256k flush=1s;",
        "        proxy_cache cache;",
        f"        proxy_cache_valid any {config.ttl_s}s;",
        f"        proxy_cache_min_uses {config.min_uses};",
        f"        proxy_cache_lock {_switch(config.lock)};",
        f"        proxy_cache_lock_age {round(config.lock_age_s * 1000)}ms;",
        f"        proxy_cache_lock_timeout {round(config.lock_timeout_s * 1000)}ms;",
        f"        proxy_cache_use_stale {stale};",
        f"        proxy_cache_background_update {_switch(config.background_update)};",
        "        proxy_pass http://origin;",
        "    }",
        *(
            [
                "    location /tick/ {",
                "        access_log off;",
                "        proxy_cache tick;",
                "        proxy_cache_valid any 1d;",
                "        proxy_pass http://origin;",
                "    }",
            ]
            if pause_ms
            else []
        ),
        *(f"    {line}" for line in config.server_lines),
        "}",
    ]


def _switch(on: bool) -> str:
    return "on" if on else "off"
