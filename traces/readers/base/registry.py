"""The formats by name, each from its own file, loaded when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .reader import Reader
    from .sniff import Head

__all__ = ["FORMATS", "FormatSpec", "trace_format"]

_MODULES = (
    "access_log",
    "address",
    "arc",
    "big_endian",
    "cachelib",
    "csv",
    "fiu",
    "libcachesim",
    "lirs",
    "mooncake",
    "msr",
    "oracle_general",
    "parquet",
    "plain",
    "spc",
    "twitter",
    "vscsi",
    "webcachesim",
)
_specs: dict[str, FormatSpec] = {}

R = TypeVar("R", bound="type[Reader]")


@dataclass(frozen=True)
class FormatSpec:
    """One trace format, as the table of formats shows it.

    Attributes
    ----------
    name : str
        What ``format:path`` and the registry call it.
    title : str
        One short phrase.
    description : str
        A record as it stands in the file.
    source : str
        Where the format is defined.
    reader : type of Reader
    suffixes : tuple of str
        Usual file suffixes; they only break ties.
    address_bytes : int or None
        Bytes from one key to the next where keys are block addresses, so that a
        long request can be split into blocks; None where keys are names.
    """

    name: str
    title: str
    description: str
    source: str
    reader: type[Reader]
    suffixes: tuple[str, ...] = ()
    address_bytes: int | None = None

    def sniff(self, head: Head) -> float:
        """How much the start of a file looks like this format: 0 not, 1 may be, 2 likely, 3 sure."""
        return self.reader.sniff(head)


class Formats(Mapping[str, FormatSpec]):
    """All formats by name. Reading it loads the files that define them."""

    def _load(self) -> dict[str, FormatSpec]:
        for module in _MODULES:
            import_module(f"...{module}", __name__)
        return _specs

    def __getitem__(self, name: str) -> FormatSpec:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def __len__(self) -> int:
        return len(self._load())


FORMATS = Formats()
"""Every format by name."""


def trace_format(
    name: str,
    *,
    title: str,
    description: str,
    source: str,
    suffixes: tuple[str, ...] = (),
    address_bytes: int | None = None,
) -> Callable[[R], R]:
    """Register the reader class of a trace format; the parameters are those of `FormatSpec`."""

    def register(reader: R) -> R:
        if name in _specs:
            raise ValueError(f"two readers are called {name!r}")
        _specs[name] = FormatSpec(name, title, description, source, reader, suffixes, address_bytes)
        reader.name = name
        return reader

    return register
