"""Names with parameters, as people write them: ``s3fifo:small=0.2``. For policies and for predictors alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from ..traces.errors import UnknownNameError, UsageError

__all__ = ["from_words", "in_words"]

_T = TypeVar("_T")


def in_words(name: str, thing: Any, always: int = 0) -> str:
    """Write `name` with the first `always` parameters of a dataclass and those that differ from their defaults."""
    bare = getattr(thing, "bare", None)
    changed = [
        _written(getattr(thing, field.name))
        if field.name == bare and "=" not in _written(getattr(thing, field.name))
        else f"{field.name}={_written(getattr(thing, field.name))}"
        for place, field in enumerate(dataclasses.fields(thing))
        if place < always or getattr(thing, field.name) != field.default
    ]
    return ":".join([name, *changed])


def from_words(cls: type[_T], name: str, settings: Sequence[str], what: str, hint: str) -> _T:
    """Make a dataclass of parameters from ``["small=0.2", ...]``.

    Parameters
    ----------
    cls : type
        A dataclass whose fields all have defaults; a value is read as the type of its default. A class attribute ``bare``
        names the field that the first setting without an equals sign is for.
    name : str
        What the thing is called.
    settings : sequence of str
    what : str
        What kind of thing it is, for messages: ``"policy"``.
    hint : str
        The next command, for messages.

    Raises
    ------
    UnknownNameError
        No such parameter, with the nearest names.
    UsageError
        A value that does not fit.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for place, setting in enumerate(settings):
        key, equals, value = setting.partition("=")
        if not equals and not place and (bare := getattr(cls, "bare", "")):
            key, equals, value = bare, "=", setting
        key = key.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"{what} {':'.join([name, *settings])!r}: {setting!r} is not of the form parameter=value")
        if key not in fields:
            raise UnknownNameError(f"parameter of {name}", key, fields, hint)
        if key in values:
            raise UsageError(f"{what} {':'.join([name, *settings])!r}: {key} is given twice")
        values[key] = _value(name, fields[key], value.strip())
    return cls(**values)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(name: str, field: dataclasses.Field[Any], text: str) -> Any:
    """Convert a parameter's text to the type of the field's default."""
    kind: Any = type(field.default)
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise UsageError(f"{name}: {field.name}={text!r} is not a valid {kind.__name__}") from None
