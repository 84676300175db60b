"""What becomes of an error: one line on stderr and an exit code, never a traceback.

======  =====================================================================
code    meaning
======  =====================================================================
0       done
1       failure: a trace cannot be read, results cannot be written ...
2       usage: what was asked for makes no sense; nothing was done
3       a gate of ``report --fail-if`` failed
130     interrupted (Ctrl-C)
======  =====================================================================
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from typer.core import TyperCommand

from ...traces.errors import EvictlabError

__all__ = ["DEBUG", "FAILURE", "GATE", "INTERRUPTED", "Command", "one_interrupt", "say"]

FAILURE, GATE, INTERRUPTED = 1, 3, 130

DEBUG = "EVICTLAB_DEBUG"
"""Environment variable; set to 1, errors come with their traceback."""


def say(text: str) -> None:
    """Write a line about the work, not part of its result, to stderr."""
    sys.stderr.write(f"evictlab: {text}\n")
    sys.stderr.flush()


class Command(TyperCommand):
    """A command that ends in an exit code, whatever happens in it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command's function."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader, such as head, has seen enough
            _give_up_stdout()
            raise typer.Exit(FAILURE) from None
        except Exception as error:
            if isinstance(
                error.__context__, KeyboardInterrupt
            ):  # numba, interrupted while it compiles, says something else
                say("interrupted")
                raise typer.Exit(INTERRUPTED) from None
            code = _explain(error)
            _give_up_stdout()
            raise typer.Exit(code) from None


def _explain(error: Exception) -> int:
    """Say what happened and return the exit code for it."""
    if os.environ.get(DEBUG, "") not in ("", "0"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, EvictlabError):
        say(str(error))
        return error.exit_code
    if isinstance(error, OSError):
        say(f"{error.filename or 'standard output'}: {error.strerror or error}")
    elif isinstance(error, MemoryError):
        say("out of memory. Take a part of the trace: --sample 10%, or --limit 10000000")
    else:
        say(f"unexpected {type(error).__name__}: {error}. This is a fault of evictlab; {DEBUG}=1 shows where.")
    return FAILURE


def _give_up_stdout() -> None:
    """Where stdout cannot be written, drop what is left of it, so that Python does not complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C end the work in good order, and a second one end the process at once."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
