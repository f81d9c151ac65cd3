"""The evidence of a round: what targets noted, what mporch told, what was left in `/proc`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.worker.chunks import load, unpack

from .model import Pipeline

CLEAN, FAILED, DRAINED, TERMINATED = "clean", "failed", "drained", "terminated"


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line of a notebook: `b` begins, `e` has ended, `x` has raised."""

    kind: str
    ident: str
    token: str
    at: float
    more: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that one process has noted; `killed`: it did not end by itself."""

    worker: str
    life: int
    pid: int
    notes: tuple[Note, ...]
    killed: bool = False

    @property
    def job(self) -> str:
        return self.worker.rpartition("-")[0]

    def idents(self, kind: str) -> list[str]:
        """The ids of its notes of a kind, in order."""
        return [note.ident for note in self.notes if note.kind == kind]


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A dead letter: the id of what it holds, and what `mporch dead list` says of it."""

    ident: str
    queue: str
    job: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is to be judged of a round.

    `end` is how its last life was to end. `listed` is the number of letters that `mporch dead list`
    tells. `complaints` are what was wrong on the way.
    """

    pipeline: Pipeline
    end: str
    life: int
    exit_code: int | None
    summary: Mapping[str, Any] | None
    pages: tuple[Page, ...]
    letters: tuple[Letter, ...] = ()
    listed: int = 0
    kills: int = 0
    complaints: tuple[str, ...] = field(default=())

    @property
    def forgone(self) -> set[str]:
        """The jobs that waited for another when the run was drained: what is queued for them stays.

        Only those that the summary tells as skipped, and that had somebody to wait for.
        """
        told = self.summary["jobs"] if self.end == DRAINED and self.summary else {}
        return {
            name
            for name, job in self.pipeline.jobs.items()
            if "after" in job.keys and told.get(name, {}).get("status") == "skipped"
        }


def pages(folder: Path, killed: set[tuple[int, int]]) -> Iterator[Page]:
    """The notebooks in a folder; `killed` are lives and processes."""
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        worker, life, pid = path.name.rsplit(".", 2)
        yield Page(
            worker=worker,
            life=int(life),
            pid=int(pid),
            notes=tuple(_notes(path.read_text())),
            killed=(int(life), int(pid)) in killed,
        )


def _notes(text: str) -> Iterator[Note]:
    for line in text.splitlines():
        kind, ident, token, at, more = line.split(" ", 4)
        yield Note(kind=kind, ident=ident, token=token, at=float(at), more=more)


def letters(run: Path) -> Iterator[Letter]:
    """The dead letters. Their items are our own, so they may be unpickled."""
    path = run / "dead" / "letters.jsonl"
    for line in path.open() if path.exists() else ():
        told = json.loads(line)
        blob, at = (run / "dead" / told["chunk"]).read_bytes(), told["index"]
        (value,) = unpack(load(blob, packed=told["packed"], start=at, stop=at + 1))
        yield Letter(
            ident=value.split(" ", 1)[0],
            queue=told["queue"],
            job=told["job"],
            error=told["error_type"],
        )
