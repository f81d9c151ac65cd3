"""What the end-to-end tests know of a run: its exit code, its words, its files."""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
SOCKETS = shutil.ignore_patterns("control.sock")
"""A run that was killed leaves its socket, which cannot be copied."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """How one `mporch run` went."""

    exit_code: int
    stdout: str
    stderr: str
    run_dir: Path

    @functools.cached_property
    def events(self) -> list[dict[str, Any]]:
        """The records of log.jsonl."""
        lines = (self.run_dir / "log.jsonl").read_text(encoding="ascii").splitlines()
        return [json.loads(line) for line in lines]

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json."""
        summary: dict[str, Any] = json.loads((self.run_dir / "summary.json").read_bytes())
        return summary

    def having(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The log's records of that event whose fields have these values."""
        wanted = {"event": event, **fields}.items()
        return [record for record in self.events if wanted <= _hashable(record).items()]

    def printed(self, worker: str) -> list[str]:
        """The lines that a worker wrote, as the log has them."""
        return [record["msg"] for record in self.having("output", worker=worker)]

    def place(self, event: str, **fields: object) -> int:
        """Where in the log the one such record is, counted from 0."""
        (record,) = self.having(event, **fields)
        return self.events.index(record)

    def statuses(self) -> dict[str, str]:
        """How each job ended."""
        return {name: job["status"] for name, job in self.summary["jobs"].items()}


def _hashable(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if not isinstance(value, dict | list)}


def finished(
    command: str | Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Runs a command, a line of shell if it is text, with nothing to read on its standard input.

    One that takes too long is asked to end, and fails the test with what it had said until then.
    """
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        stdout, stderr = process.communicate()
        raise AssertionError(f"not done after {timeout_s} s:\n{stdout}\n{stderr}") from None
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def kill_at_once(run: psutil.Popen) -> None:
    """Everything of the run dies in the same moment."""
    family: list[psutil.Process] = []
    while new := [p for p in (run, *run.children(recursive=True)) if p not in family]:
        for process in new:
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
                process.suspend()  # so that none sees another die
        family += new
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, 10)
