"""Directives of nginx.conf, and which of them hold inside a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from ...errors import FormatError

__all__ = ["Directive", "Inherited"]

V = TypeVar("V")


class Directive(NamedTuple):
    """One directive with the place where it stands."""

    file: str
    line: int
    name: str
    args: tuple[str, ...]

    @property
    def place(self) -> str:
        """``file, line 7``."""
        return f"{self.file}, line {self.line}"

    def read(self, text: str, how: Callable[[str], V]) -> V:
        """Return ``how(text)``; what it cannot read is reported with file and line.

        Raises
        ------
        FormatError
        """
        try:
            return how(text)
        except ValueError as error:
            raise FormatError(self.file, f"{self.name}: {error}", f"line {self.line}") from None


class Inherited:
    """The directives of a block, and through it those of the blocks around it.

    Parameters
    ----------
    outer : Inherited or None
    place : str
        ``file, line 7``.
    title : str
        Such as ``location /images/``.
    """

    def __init__(self, outer: Inherited | None, place: str, title: str) -> None:
        self.outer, self.place, self.title = outer, place, title
        self._own: dict[str, list[Directive]] = {}

    def add(self, directive: Directive) -> None:
        """Put a directive into this block."""
        self._own.setdefault(directive.name, []).append(directive)

    def own(self, name: str) -> tuple[Directive, ...]:
        """The directives of that name in this very block."""
        return tuple(self._own.get(name, ()))

    def all(self, name: str) -> tuple[Directive, ...]:
        """Those that hold here: the block's own ones, or else those of the nearest block around it."""
        if name in self._own or self.outer is None:
            return self.own(name)
        return self.outer.all(name)

    def first(self, name: str, default: str) -> str:
        """The first argument of the last directive of that name that holds here."""
        found = self.all(name)
        return found[-1].args[0] if found and found[-1].args else default

    def flag(self, name: str, default: bool = False) -> bool:
        """Whether ``name on`` holds here."""
        return self.first(name, "on" if default else "off") == "on"
