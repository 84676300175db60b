"""The sidecar: a process beside NGINX that is asked whom to evict, and answers with a learned model.

Names are imported when first used.
"""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {
    "CONTEXT": "protocol",
    "FEATURES": "protocol",
    "MAX_K": "protocol",
    "Model": "model",
    "PacketError": "protocol",
    "Reply": "protocol",
    "Request": "protocol",
    "Server": "server",
    "choose_victims": "victims",
    "load_model": "model",
    "pack_reply": "protocol",
    "pack_request": "protocol",
    "run_sidecar": "supervise",
    "running_server": "server",
    "unpack_reply": "protocol",
    "unpack_request": "protocol",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
