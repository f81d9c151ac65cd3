"""The callable of a command job, in the place of a target: it runs the job's command.

Called in the child.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from orchestrator.plan.model import Command, CommandInput, CommandOutput, JobPlan, Shape
from orchestrator.plan.script import SHELL, Piece, pieces_of, script_of
from orchestrator.worker.command.feeding import feed
from orchestrator.worker.command.process import Process
from orchestrator.worker.command.text import (
    check_written,
    from_json,
    line_of,
    lines_of,
    text_of,
    word_of,
)

__all__ = ["CommandCall"]

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
