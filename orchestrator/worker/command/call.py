"""The callable of a command job, in the place of a target: it runs the job's command.

Called in the child. Items become text for the program, and what it writes becomes items.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from orchestrator.encoding import HINT, unfit
from orchestrator.plan.model import Command, CommandInput, CommandOutput, JobPlan, Shape
from orchestrator.plan.script import SHELL, Piece, pieces_of, script_of
from orchestrator.worker.command.process import Process, feed

__all__ = [
    "CommandCall",
    "argument",
    "check_written",
    "from_json",
    "line_of",
    "lines_of",
    "text_of",
    "word_of",
]

_Prepared = tuple[tuple[str, ...], dict[str, str] | None]
"""A program with its arguments, and its environment if that is another than ours."""


class CommandCall:
    """Runs a command once, or once an item, batch or iterator, and gives back what it writes.

    As a context manager it ends what is still running.
    """

    def __init__(self, job: JobPlan) -> None:
        assert isinstance(job.target, Command)
        self._job = job
        self._command = command = job.target
        line = command.line
        self._prepare = (
            _of_a_shell(line, command.values) if isinstance(line, str) else _of_a_program(line)
        )
        self._running: Iterator[Any] | None = None

    def __enter__(self) -> CommandCall:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    def __call__(self, *given: Any) -> Iterator[Any] | None:
        """Run it with what is handed to a target of this job, if anything.

        Raises CommandError if it does not succeed, LookupError if the item lacks a part that is
        wanted, ValueError if the item cannot be handed over or what comes back is no JSON.
        """
        self._end()  # the run before, if nobody wanted the rest of what it gave
        self._running = run = self._run(given)
        if self._job.outputs:
            return run
        for _ in run:
            pass
        return None

    def _end(self) -> None:
        run, self._running = self._running, None
        if run is not None:
            run.close()  # type: ignore[attr-defined]  # a generator's

    def _run(self, given: tuple[Any, ...]) -> Iterator[Any]:
        command, job = self._command, self._job
        argv, env = self._prepare(*given[:1])
        process = Process(
            command.text,
            argv,
            env=env,
            reads=command.stdin is not CommandInput.NONE,
            writes=command.stdout is not CommandOutput.LOG,
            terminal=command.tty,
            tied=job.shape.called_once,
        )
        try:
            feeder = None
            if command.stdin is not CommandInput.NONE:
                feeder = feed(process.stdin, self._pieces(given[0]))
            yield from self._items(process.output())
            if feeder is not None:
                feeder.check()
            process.check(command.exit_codes)
        finally:
            process.close(job.terminate.signal, job.terminate.grace_s)

    def _pieces(self, given: Any) -> Iterable[bytes]:
        form = self._command.stdin
        if self._job.shape is Shape.STREAM:
            return (line_of(item, form) for item in given)
        if self._job.shape is Shape.BATCH:
            return [line_of(item, form) for item in given]
        return [text_of(given, form)]

    def _items(self, chunks: Iterator[bytes]) -> Iterator[Any]:
        match self._command.stdout:
            case CommandOutput.LINES:
                yield from map(os.fsdecode, lines_of(chunks))
            case CommandOutput.JSON:
                yield from from_json(lines_of(chunks))
            case CommandOutput.TEXT:
                yield os.fsdecode(b"".join(chunks))
            case CommandOutput.LOG:
                for _ in chunks:
                    pass


def _of_a_program(line: tuple[str, ...]) -> Callable[..., _Prepared]:
    words = [list(pieces_of(word)) for word in line]
    for n, word in enumerate(words):
        for piece in word:
            if isinstance(piece, str):
                check_written(piece, f"argument {n} of the command" if n else "the program")

    def prepare(item: Any = None) -> _Prepared:
        return tuple("".join(_told(piece, item) for piece in word) for word in words), None

    return prepare


def _of_a_shell(line: str, values: Iterable[tuple[str, str]]) -> Callable[..., _Prepared]:
    script, given = script_of(line), dict(values)
    argv = (SHELL, "-c", script.text)
    check_written(script.text, "the command")
    for value in given.values():
        check_written(value, "a value in the command")

    def prepare(item: Any = None) -> _Prepared:
        if not script.variables and not given:
            return argv, None
        told = {name: _told(field, item) for name, field in script.variables}
        return argv, {**os.environ, **given, **told}

    return prepare


def _told(piece: Piece, item: Any) -> str:
    return piece if isinstance(piece, str) else word_of(piece.value_of(item), piece.text)


_SHOWN = 80
_NO_JSON = (TypeError, ValueError, RecursionError)


def argument(value: Any) -> str:
    """An item, or a part of it, as an argument: text as it is, containers as JSON, else `str`.

    Bytes are what the system makes of them in names of files. Raises ValueError if JSON cannot hold
    it.
    """
    if isinstance(value, str | bytes | os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, dict | list | tuple | bool) or value is None:
        try:
            return json.dumps(value, ensure_ascii=False)
        except _NO_JSON as error:
            hint = "name the parts that are wanted, as in {item[name]}; or put it as text"
            raise _unfit(value, "as its text is to be", error, hint) from None
    return str(value)


def word_of(value: Any, placeholder: str) -> str:
    """Return what stands in a command in the place of a placeholder.

    Raises ValueError if no argument, and no variable of the environment, can hold it.
    """
    word = argument(value)
    if "\0" in word:
        raise ValueError(
            f"{placeholder} has a NUL in it, which no command line can hold: {_shown(value)}"
            " (hint: hand the item over on standard input: stdin: text)"
        )
    _encoded(word, placeholder)
    return word


def text_of(item: Any, form: CommandInput) -> bytes:
    """Return what a program reads of an item: it, and a newline; bytes are handed over as they are.

    Raises ValueError if it is to be JSON, or text, which cannot hold it.
    """
    if form is CommandInput.JSON:
        try:
            return json.dumps(item).encode("ascii") + b"\n"
        except _NO_JSON as error:
            hint = "put text, numbers, lists and maps; stdin: text takes bytes"
            raise _unfit(item, "stdin: json", error, hint) from None
    return item if isinstance(item, bytes) else _encoded(argument(item), "an item") + b"\n"


def line_of(item: Any, form: CommandInput) -> bytes:
    """The same where each line is an item. Raises ValueError if its text has several lines."""
    line = text_of(item, form)
    if not line.endswith(b"\n"):
        line += b"\n"
    if line.count(b"\n") > 1:
        shown = repr(item)[:_SHOWN]
        raise ValueError(
            f"an item with a newline would be read as several: {shown} (hint: stdin: json)"
        )
    return line


def _encoded(text: str, whose: str) -> bytes:
    if what := unfit(text):
        hint = "hand the item over on standard input, as JSON: stdin: json"
        raise ValueError(f"{whose} has {what}: {_shown(text)} (hint: {hint})")
    return os.fsencode(text)


def check_written(text: str, whose: str) -> None:
    """Raise ValueError if what the spec has written for a program cannot be handed to it."""
    if what := unfit(text):
        raise ValueError(f"{whose} has {what}: {ascii(text)[:_SHOWN]} (hint: {HINT})")


def _shown(value: Any) -> str:
    return reprlib.repr(value)[:_SHOWN]


def _unfit(value: Any, why: str, error: Exception, hint: str) -> ValueError:
    return ValueError(
        f"an item of type {type(value).__name__} cannot be written as JSON ({why}): {error}:"
        f" {_shown(value)} (hint: {hint})"
    )


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut into lines; the last one may lack its newline."""
    pending: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        if rest:
            yield b"".join(pending)
            *whole, last = rest
            yield from whole
            pending = [last]
    if last := b"".join(pending):
        yield last


def from_json(lines: Iterable[bytes]) -> Iterator[Any]:
    """The values of lines of JSON; blank ones are passed over. Raises ValueError for any other."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                shown = line[:_SHOWN].decode(errors="replace")
                raise ValueError(
                    f"line {number} of the command's output is no JSON ({error}): {shown}"
                ) from None
