"""What an nginx.conf says about the cache that is to be simulated, where the command line says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...traces.errors import UsageError

if TYPE_CHECKING:
    import typer

    from ...sim.proxy import ProxyConfig

__all__ = ["as_configured", "is_given"]


def as_configured(config: ProxyConfig, conf: Path, reader: Mapping[str, str], context: typer.Context) -> ProxyConfig:
    """Take from nginx.conf what no option was given for.

    Parameters
    ----------
    config : ProxyConfig
        As the command line says.
    conf : Path
    reader : mapping
        Options of the log's reader; ``zone`` or ``location`` says which cache is meant, ``log`` which log's.
    context : typer.Context
        Knows which options were given, and the files.

    Raises
    ------
    UsageError
        The configuration has no cache.
    FormatError
        It cannot be read.
    """
    from ...traces.weblog.nginx.conf import read_nginx_conf

    named = {"log_name": reader.get("log", ""), "zone": reader.get("zone", ""), "location": reader.get("location", "")}
    named["file_name"] = Path(context.params["traces"][0]).name
    cache = read_nginx_conf(conf, **named).cache
    if cache is None:
        raise UsageError(
            f"{conf} sets up no proxy_cache; leave out --nginx-conf and say how the cache is, as in --size 1GiB"
        )
    stated: dict[str, dict[str, Any]] = {
        "min_uses": {"min_uses": cache.min_uses},
        "lock": {"lock": cache.lock, "lock_age_s": cache.lock_age_s, "lock_timeout_s": cache.lock_timeout_s},
        "revalidate": {"revalidate": cache.revalidate},
        "stale": {
            "use_stale_updating": "updating" in cache.use_stale,
            "background_update": cache.background_update and "updating" in cache.use_stale,
        },
    }
    working: dict[str, dict[str, Any]] = {}
    if store := cache.store:
        from ...sim.proxy import keys_zone_nodes

        stated["inactive"] = {"inactive_s": store.inactive_s}
        if store.max_size_bytes is not None:
            stated["size"] = {"size": f"{store.max_size_bytes}B"}
        if store.zone_bytes:
            stated["keys_zone"] = {"keys_zone_nodes": keys_zone_nodes(f"{store.zone_bytes}B")}
        working = {
            "files": {"files": store.manager_files},
            "threshold": {"threshold_s": store.manager_threshold_s},
            "sleep": {"sleep_s": store.manager_sleep_s},
        }
    if cache.valid:
        stated["ttl"] = {"ttl": "trace"}
    manager = config.manager
    if manager is not None:
        manager = replace(manager, **_not_given(working, context))
    return replace(config, manager=manager, **_not_given(stated, context))


def is_given(context: typer.Context, option: str) -> bool:
    """Return whether an option stands on the command line, by the name of its parameter."""
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _not_given(stated: Mapping[str, Mapping[str, Any]], context: typer.Context) -> dict[str, Any]:
    """The fields of all options that were left at their default."""
    return {
        field: value
        for option, fields in stated.items()
        if not is_given(context, option)
        for field, value in fields.items()
    }
