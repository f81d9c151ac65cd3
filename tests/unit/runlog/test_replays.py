"""Runs that are replays are known by their plans, those of older versions too."""

from __future__ import annotations

import pytest

from orchestrator.plan.model import JobPlan, Plan, Shape, Target
from orchestrator.runlog.letters import SOURCE, replayed_run


@pytest.mark.parametrize(
    "module",
    [
        SOURCE.module,
        "orchestrator.runtime.letters.source",
        "orchestrator.runtime.deadletters.replay_source",
    ],
)
def test_a_replay_is_known_by_the_names_that_its_source_has_had(module: str) -> None:
    source = JobPlan(
        name="letters",
        target=Target(module=module, qualname="letters"),
        shape=Shape.SOURCE,
        args=("/runs/20260101T000000-0000/dead", ()),
    )
    plan = Plan(name="p", spec_path="", project_dir="/", queues={}, jobs={"letters": source})
    run = replayed_run(plan)
    assert run is not None
    assert run.run_id == "20260101T000000-0000"
