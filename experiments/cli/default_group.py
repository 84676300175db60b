"""A group with a command that is meant when none is named: ``attention trace/`` beside ``attention policies``."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

__all__ = ["default_group"]


def default_group(meant: str) -> type[TyperGroup]:
    """Make a class of groups that read words which name none of their commands as those of the command `meant`.

    Parameters
    ----------
    meant : str
        A command of the group.

    Returns
    -------
    type
        For ``typer.Typer(cls=...)``.
    """

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> Any:
            if not args or (args[0] not in self.commands and args[0] != "--help"):
                args = [meant, *args]
            return super().parse_args(ctx, args)

    return Group
