"""The only place where exceptions become messages and exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

import click

from orchestrator.errors import ExitCode, InternalError, MporchError, SpecError

__all__ = ["PIPE_CLOSED", "exit_code_of"]

PIPE_CLOSED = 141
"""What a shell shows for a command ended by SIGPIPE: the reader of a pipe has had enough."""


def exit_code_of(command: Callable[[], object]) -> int:
    """Run `command` and return the exit code of what it returned or raised.

    What is to be said of an exception is said on standard error; nothing is raised.
    """
    try:
        code = command()
        _flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INT
    except BrokenPipeError:
        _silence_stdout()
        return PIPE_CLOSED
    except InternalError as error:
        return _bug(error)
    except MporchError as error:
        _explain(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 -- the last line of defence: no traceback reaches a user
        return _bug(error)
    return code if isinstance(code, int) else ExitCode.OK


def _flush() -> None:
    """Write what is buffered now, while a failure can still be told."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _silence_stdout()
        message = f"cannot write to standard output: {error.strerror}"
        raise _OutputError(message) from error


class _OutputError(MporchError):
    """Standard output takes nothing more."""

    exit_code = ExitCode.CANT_WRITE


def _silence_stdout() -> None:
    """Let the interpreter flush into nothing when it exits."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _explain(error: MporchError) -> None:
    if isinstance(error, SpecError):
        from orchestrator.cli.problems import show_problems  # noqa: PLC0415 -- rarely needed

        show_problems(error.problems)
        return
    from orchestrator.views.text import escaped  # noqa: PLC0415 -- rarely needed

    click.echo(f"mporch: error: {escaped(str(error))}", err=True)
    if error.hint:
        click.echo(f"  hint: {escaped(error.hint)}", err=True)


def _bug(error: Exception) -> int:
    """Say that this is a bug of mporch, and where its traceback is."""
    import tempfile  # noqa: PLC0415 -- hardly ever needed
    import traceback  # noqa: PLC0415

    text = "".join(traceback.format_exception(error))
    click.echo(f"mporch: this is a bug of mporch: {type(error).__name__}: {error}", err=True)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mporch-bug-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        click.echo(text, err=True)
    else:
        click.echo(f"  the traceback is in {file.name}; please report it", err=True)
    return ExitCode.BUG
