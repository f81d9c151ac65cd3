"""The only place where exceptions become messages and exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

import click
from click.core import ParameterSource

from orchestrator.errors import (
    REFUSED,
    ExitCode,
    InternalError,
    MporchError,
    SpecError,
    SystemRefusedError,
    UsageError,
)
from orchestrator.views.text import escaped

__all__ = ["PIPE_CLOSED", "exit_code_of"]

PIPE_CLOSED = 141
"""What a shell shows for a command ended by SIGPIPE: the reader of a pipe has had enough."""


_NO_ROOM = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG})


def exit_code_of(command: Callable[[], object]) -> int:
    """Run `command` and return the exit code of what it returned or raised.

    What is to be said of an exception is said on standard error; nothing is raised.
    """
    try:
        code = command()
        if sys.stdout is not None:
            sys.stdout.flush()  # while a failure can still be told
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        _show(error)
        _name_variable(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INT
    except BrokenPipeError:
        _silence(sys.stdout)
        return PIPE_CLOSED
    except InternalError as error:
        return _bug(error)
    except MporchError as error:
        return _explained(error)
    except (MemoryError, OSError) as error:
        return _system(error)
    except Exception as error:  # noqa: BLE001 -- the last line of defence: no traceback reaches a user
        return _bug(error)
    return code if isinstance(code, int) else ExitCode.OK


@contextlib.contextmanager
def _saying() -> Iterator[None]:
    """Ignore in it that nothing can be said: the exit code is what it is all the same."""
    try:
        yield
    except OSError:  # a terminal that was closed, a file that may have no byte more
        _silence(sys.stderr)


def _say(line: str) -> None:
    with _saying():
        click.echo(line, err=True)


def _show(error: click.ClickException) -> None:
    """Show it as click does; it may hold anything that was on the command line."""
    shown = io.StringIO()
    error.show(shown)
    for line in shown.getvalue().splitlines():
        _say(escaped(line))


def _silence(stream: TextIO | None) -> None:
    """Let the interpreter flush into nothing when it exits."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


def _name_variable(error: click.ClickException) -> None:
    """Say so if the wrong value is not on the command line but in the environment."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return
    from orchestrator.console.words import variables_of  # noqa: PLC0415 -- not for --help

    name = error.param.name or ""
    if error.ctx.get_parameter_source(name) is ParameterSource.ENVIRONMENT:
        variable = next(each for each in variables_of(error.param) if os.environ.get(each))
        _say(f"  hint: the value is that of {variable} in the environment")


def _explain(error: MporchError) -> None:
    if isinstance(error, SpecError):
        from orchestrator.console.checking import show_problems  # noqa: PLC0415

        with _saying():
            show_problems(error.problems)
        return
    _say(f"mporch: error: {escaped(str(error))}")
    if error.hint:
        _say(f"  hint: {escaped(error.hint)}")


def _explained(error: MporchError) -> int:
    _explain(error)
    return error.exit_code


def _system(error: MemoryError | OSError) -> int:
    """Say what the machine lacks."""
    if isinstance(error, MemoryError) or error.errno in REFUSED:
        return _explained(SystemRefusedError.of(error))
    if error.errno == errno.ENOENT and _is_nowhere():
        hint = "cd to one that is there"
        return _explained(UsageError("the working directory is not there any more", hint=hint))
    if error.errno not in _NO_ROOM:
        return _bug(error)
    _silence(sys.stdout)
    _say(f"mporch: error: cannot write: {error.strerror}")
    return ExitCode.CANT_WRITE


def _is_nowhere() -> bool:
    """True if the working directory has been removed."""
    try:
        os.getcwd()  # noqa: PTH109 -- nothing but the question
    except FileNotFoundError:
        return True
    return False


def _bug(error: Exception) -> int:
    """Say that this is a bug of mporch, and where its traceback is."""
    import tempfile  # noqa: PLC0415 -- hardly ever needed
    import traceback  # noqa: PLC0415

    text = "".join(traceback.format_exception(error))
    what = escaped(f"{type(error).__name__}: {error}")
    _say(f"mporch: this is a bug of mporch: {what}")
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mporch-bug-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        _say("\n".join(map(escaped, text.split("\n"))))
    else:
        _say(f"  the traceback is in {file.name}; please report it")
    return ExitCode.BUG
