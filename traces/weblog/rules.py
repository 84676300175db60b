"""What a cache keeps: which methods, which statuses for how long, under which key.

The rules come from nginx.conf, from options, or are NGINX's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError
from .nginx.units import nginx_seconds

if TYPE_CHECKING:
    from .nginx.conf import NginxConf

__all__ = ["DEFAULT_KEY", "DEFAULT_METHODS", "OF_THE_OBJECT", "CacheRules", "Valid", "read_valid"]

DEFAULT_KEY = "$scheme$proxy_host$request_uri"
DEFAULT_METHODS = ("GET", "HEAD")
USUAL_STATUSES = (200, 301, 302)
"""What ``proxy_cache_valid 10m`` stands for, and what counts as cacheable where nothing is known."""

OF_THE_OBJECT = (200, 206, 304, 499)
"""Statuses of a request for a stored 200: whole, a part, not modified, given up by the client."""


class Valid(NamedTuple):
    """One ``proxy_cache_valid``: responses of these statuses, of any if there are none, stay fresh so long."""

    statuses: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class CacheRules:
    """Rules of a cache.

    Attributes
    ----------
    methods : tuple of str
        Requests that are cached.
    valid : tuple of Valid
        The first that names a status, or any, decides; none: TTLs come from headers only.
    key : str
        Template of the key, with ``$variables``.
    ignored : frozenset of str
        Headers of the origin that do not count, in lower case.
    proxy_host : str
        ``$proxy_host`` where it is known, or ``""``.
    """

    methods: tuple[str, ...] = DEFAULT_METHODS
    valid: tuple[Valid, ...] = ()
    key: str = DEFAULT_KEY
    ignored: frozenset[str] = frozenset()
    proxy_host: str = ""

    @classmethod
    def of_conf(cls, conf: NginxConf) -> CacheRules:
        """The rules of the cache of a configuration; the defaults if it has none."""
        cache = conf.cache
        if cache is None:
            return cls()
        return cls(cache.methods, cache.valid, cache.key, frozenset(cache.ignored), cache.proxy_host)

    def changed(self, *, key: str = "", valid: str = "", methods: str = "") -> CacheRules:
        """The same rules with those that the user names, as text.

        Parameters
        ----------
        key : str
            Template.
        valid : str
            ``"200 302 10m; 404 1m"``, as in nginx.conf.
        methods : str
            ``"GET HEAD POST"``.

        Raises
        ------
        UsageError
            A text makes no sense.
        """
        rules = self
        if key:
            if "$" not in key:
                raise UsageError(f"key={key!r} has no variable, so that all requests would be for one object")
            rules = replace(rules, key=key)
        if valid:
            try:
                rules = replace(rules, valid=tuple(read_valid(part) for part in valid.split(";") if part.strip()))
            except ValueError as error:
                raise UsageError(f"valid={valid!r}: {error}; write it as '200 302 10m; 404 1m'") from None
        if methods:
            rules = replace(rules, methods=tuple(dict.fromkeys(methods.upper().replace(",", " ").split())))
        return rules

    def seconds(self, status: int) -> float | None:
        """How long a response of that status stays fresh by ``proxy_cache_valid``; None where it does not say."""
        status = 200 if status in OF_THE_OBJECT else status
        return next((each.seconds for each in self.valid if not each.statuses or status in each.statuses), None)

    def keeps(self, status: int, headers: bool) -> bool:
        """Whether a response of that status is stored.

        Parameters
        ----------
        status : int
        headers : bool
            Whether a header of the response gives it a TTL.
        """
        if headers:
            return True
        if self.valid:
            return bool(self.seconds(status))  # not for 0 seconds
        return status in OF_THE_OBJECT or status in USUAL_STATUSES


def read_valid(text: str) -> Valid:
    """Read ``200 302 10m``, ``any 1m`` or ``10m``, which stands for 200, 301 and 302.

    Raises
    ------
    ValueError
        A status or the time cannot be read.
    """
    *statuses, time = text.split() or [""]
    seconds = nginx_seconds(time)
    if "any" in statuses:
        return Valid((), seconds)
    for status in statuses:
        if not (status.isdecimal() and 100 <= int(status) <= 599):
            raise ValueError(f"{status!r} is no status from 100 to 599, nor 'any'")
    return Valid(tuple(int(status) for status in statuses) or USUAL_STATUSES, seconds)
