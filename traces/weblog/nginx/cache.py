"""One proxy cache of nginx.conf: where it lies, how large it is, and what it keeps for how long.

What is not written down has NGINX's default.

Source: nginx.org, ngx_http_proxy_module; defaults as of NGINX 1.22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import FormatError
from ..rules import DEFAULT_KEY, DEFAULT_METHODS, Valid, read_valid
from .directives import Directive, Inherited
from .units import nginx_bytes, nginx_seconds

__all__ = ["CachePath", "ProxyCache", "cache_path", "proxy_cache"]


@dataclass(frozen=True)
class CachePath:
    """``proxy_cache_path``: sizes in bytes, times in seconds; None is no limit.

    Attributes
    ----------
    path, zone : str
    zone_bytes : int
        Of the shared memory that holds the keys.
    max_size_bytes, min_free_bytes : int or None
    inactive_s : float
        An object that is not asked for so long is deleted.
    levels : str
    use_temp_path : bool
    manager_files, loader_files : int
        At most so many are handled in one go,
    manager_threshold_s, loader_threshold_s : float
        at most so long,
    manager_sleep_s, loader_sleep_s : float
        and then it pauses.
    """

    path: str
    zone: str
    zone_bytes: int = 0
    max_size_bytes: int | None = None
    min_free_bytes: int | None = None
    inactive_s: float = 600.0
    levels: str = ""
    use_temp_path: bool = True
    manager_files: int = 100
    manager_threshold_s: float = 0.2
    manager_sleep_s: float = 0.05
    loader_files: int = 100
    loader_threshold_s: float = 0.2
    loader_sleep_s: float = 0.05


@dataclass(frozen=True)
class ProxyCache:
    """The cache of one location, or of several with the same settings.

    Attributes
    ----------
    zone : str
    store : CachePath or None
        None where the configuration has no ``proxy_cache_path`` of that zone.
    key : str
        Template.
    valid : tuple of Valid
    methods : tuple of str
    min_uses : int
    lock : bool
    lock_age_s, lock_timeout_s : float
    use_stale : tuple of str
    background_update, revalidate, convert_head : bool
    ignored : tuple of str
        Headers of the origin that are ignored, in lower case.
    bypass, no_cache : tuple of str
        Conditions.
    proxy_pass : str
        Where requests go.
    """

    zone: str
    store: CachePath | None = None
    key: str = DEFAULT_KEY
    valid: tuple[Valid, ...] = ()
    methods: tuple[str, ...] = DEFAULT_METHODS
    min_uses: int = 1
    lock: bool = False
    lock_age_s: float = 5.0
    lock_timeout_s: float = 5.0
    use_stale: tuple[str, ...] = ()
    background_update: bool = False
    revalidate: bool = False
    convert_head: bool = True
    ignored: tuple[str, ...] = ()
    bypass: tuple[str, ...] = ()
    no_cache: tuple[str, ...] = ()
    proxy_pass: str = ""

    @property
    def proxy_host(self) -> str:
        """``$proxy_host``, or ``""`` where it is not a constant."""
        host = self.proxy_pass.partition("://")[2].partition("/")[0]
        return "" if "$" in host else host

    @property
    def notes(self) -> list[str]:
        """What keeps requests from the cache by conditions that a log does not show."""
        notes = []
        if self.bypass:
            notes.append(f"some requests are not answered from the cache: proxy_cache_bypass {' '.join(self.bypass)}")
        if self.no_cache:
            notes.append(f"some responses are not stored: proxy_no_cache {' '.join(self.no_cache)}")
        if "$" in self.zone:
            notes.append(f"the cache depends on a variable: proxy_cache {self.zone}")
        return notes


_READ: dict[str, tuple[str, Any]] = {
    "max_size": ("max_size_bytes", nginx_bytes),
    "min_free": ("min_free_bytes", nginx_bytes),
    "inactive": ("inactive_s", nginx_seconds),
    "levels": ("levels", str),
    "use_temp_path": ("use_temp_path", lambda text: text == "on"),
    **{f"{who}_files": (f"{who}_files", int) for who in ("manager", "loader")},
    **{
        f"{who}_{what}": (f"{who}_{what}_s", nginx_seconds)
        for who in ("manager", "loader")
        for what in ("threshold", "sleep")
    },
}
"""Parameter of ``proxy_cache_path`` -> field of `CachePath`, and how it is read."""


def cache_path(found: Directive) -> CachePath:
    """Read a ``proxy_cache_path``.

    Raises
    ------
    FormatError
        It has no ``keys_zone``, or a value that cannot be read.
    """
    path, *parameters = found.args
    values: dict[str, Any] = {}
    for parameter in parameters:
        name, _, text = parameter.partition("=")
        if name == "keys_zone":
            values["zone"], _, size = text.partition(":")
            values["zone_bytes"] = found.read(size, nginx_bytes)
        elif name in _READ:
            field, how = _READ[name]
            values[field] = found.read(text, how)
    if not values.get("zone"):
        raise FormatError(found.file, "proxy_cache_path has no keys_zone=NAME:SIZE", f"line {found.line}")
    return CachePath(path, **values)


def proxy_cache(block: Inherited, paths: Mapping[str, CachePath]) -> ProxyCache:
    """Collect what holds in a block that has a ``proxy_cache``.

    Raises
    ------
    FormatError
        A value cannot be read.
    """
    zone = block.first("proxy_cache", "")
    uses, age, timeout = (block.all(f"proxy_cache_{name}") for name in ("min_uses", "lock_age", "lock_timeout"))
    return ProxyCache(
        zone,
        paths.get(zone),
        block.first("proxy_cache_key", DEFAULT_KEY),
        tuple(each.read(" ".join(each.args), read_valid) for each in block.all("proxy_cache_valid")),
        # NGINX adds these two even where they are not listed.
        tuple(dict.fromkeys((*DEFAULT_METHODS, *_words(block, "proxy_cache_methods")))),
        uses[-1].read(uses[-1].args[0], int) if uses else 1,
        block.flag("proxy_cache_lock"),
        age[-1].read(age[-1].args[0], nginx_seconds) if age else 5.0,
        timeout[-1].read(timeout[-1].args[0], nginx_seconds) if timeout else 5.0,
        tuple(word for word in _words(block, "proxy_cache_use_stale") if word != "off"),
        block.flag("proxy_cache_background_update"),
        block.flag("proxy_cache_revalidate"),
        block.flag("proxy_cache_convert_head", default=True),
        tuple(word.lower() for word in _words(block, "proxy_ignore_headers")),
        _words(block, "proxy_cache_bypass"),
        _words(block, "proxy_no_cache"),
        next((each.args[0] for each in block.own("proxy_pass")), ""),
    )


def _words(block: Inherited, name: str) -> tuple[str, ...]:
    return tuple(word for directive in block.all(name) for word in directive.args)
