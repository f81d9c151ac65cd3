"""What the end-to-end tests know of a run: its exit code, its words, its files."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


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
