"""Salvage of a run's plan from its log, where `plan.json` is damaged or gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.files import is_file
from orchestrator.plan.model import Plan, Selection
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.reader import LogReader

__all__ = ["plan_of_log"]

_BEGUN = frozenset({"run.started", "run.resumed"})


def plan_of_log(run: RunDirectory) -> Plan | None:
    """Return a plan without jobs: where its spec was, and which jobs of it were left out.

    None if the log does not tell, or the spec was no file, whose folder nothing else tells. A spec
    that is not what the run has kept has changed since, or had layers laid over it: what was kept
    is then taken for one. Raises DamagedStoreError if the spec is gone, too.
    """
    begun = _last_begin(run)
    spec, left_out = begun.get("spec"), begun.get("left_out") or []
    if not isinstance(spec, str) or not Path(spec).is_absolute() or not isinstance(left_out, list):
        return None
    names = tuple(map(str, left_out))
    is_same = not is_file(spec) or run.spec_is(Path(spec))
    return Plan(
        name=str(begun.get("name", "")),
        spec_path=spec,
        project_dir=str(Path(spec).parent),
        queues={},
        jobs={},
        layers=() if is_same else (spec, str(run.spec_path)),
        selection=Selection(skip=names, left_out=names),
    )


def _last_begin(run: RunDirectory) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    if is_file(run.log_path):
        with LogReader(run.log_path) as log:
            for record in log.available():
                if isinstance(record, dict) and record.get("event") in _BEGUN:
                    found = record
    return found
