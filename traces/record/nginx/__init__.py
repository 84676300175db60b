"""A real NGINX as a cache: started, driven with HTTP, and recorded.

Names are imported when first used.
"""

from __future__ import annotations

from ...lazy import lazy_names

_HOME = {
    "MissingNginxError": "errors",
    "NginxError": "errors",
    "RealConfig": "config",
    "Recording": "recording",
    "find_nginx": "binary",
    "nginx_version": "binary",
    "record": "session",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
