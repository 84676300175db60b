"""What can go wrong with a real NGINX."""

from __future__ import annotations

from ...errors import EvictlabError

__all__ = ["MissingNginxError", "NginxError"]


class MissingNginxError(EvictlabError):
    """No nginx is installed, or not where it was looked for."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"nginx was not found: looked {where}. Install it (Debian, Ubuntu: apt-get install nginx) "
            "or name the binary in EVICTLAB_NGINX"
        )


class NginxError(EvictlabError):
    """NGINX does not start, dies, or answers what makes no sense; its own last words are shown.

    Parameters
    ----------
    problem : str
        What happened.
    log : str, optional
        Last lines of its error log.
    """

    def __init__(self, problem: str, log: str = "") -> None:
        super().__init__(problem + (f". Its error log ends with:\n{log}" if log else ". Its error log is empty"))
        self.log = log
