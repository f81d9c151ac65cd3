"""Checks of the arguments that a job calls its target with."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.plan.calls import Call, GivenArguments
from orchestrator.plan.model import Shape
from orchestrator.plan.resolved_spec import ResolvedJob
from orchestrator.spec.yaml.nodes import Path

__all__ = ["CalledAs"]

_HANDED = {Shape.ITEM: "the item", Shape.BATCH: "the batch", Shape.STREAM: "the iterator"}
"""What is handed to the target with each call, by the job's shape."""


class CalledAs:
    """How a job calls its target: a function once, a class to make it and then what it makes."""

    def __init__(self, job: ResolvedJob) -> None:
        self._job = job

    def function(self) -> Call:
        """Return the call of a function: what is handed, args, kwargs and handles."""
        advice = "add it to kwargs (kwargs: {{{name}: …}})"
        if not self._job.reads:
            advice += ", or give the job an input" if not self._job.settings.args else ""
        positional = (*self._handed(), *self._args())
        return self._call(positional, {**self._kwargs(), **self._handles()}, advice)

    def making(self) -> Call:
        """Return the call that makes the object of a class: args and kwargs."""
        return self._call(self._args(), self._kwargs(), "add it to kwargs (kwargs: {{{name}: …}})")

    def process(self) -> Call:
        """Return the call that makes a process or a thread: args, kwargs and handles."""
        named = {**self._kwargs(), **self._handles()}
        return self._call(self._args(), named, "add it to kwargs (kwargs: {{{name}: …}})")

    def run(self) -> Call:
        """Return the call of its `run`: what is handed."""
        advice = "args, kwargs and handles go to __init__: take {name} there"
        return self._call(self._handed(), {}, advice)

    def made(self) -> Call:
        """Return the call of the object of a class: what is handed, and handles."""
        advice = "args and kwargs go to __init__: take {name} there"
        return self._call(self._handed(), self._handles(), advice)

    def _call(
        self,
        positional: tuple[GivenArguments, ...],
        named: Mapping[str, GivenArguments],
        advice: str,
    ) -> Call:
        path = self._job.path("target")
        return Call(path=path, positional=positional, named=named, advice=advice)

    def _handed(self) -> tuple[GivenArguments, ...]:
        what = _HANDED.get(self._job.shape)
        return (GivenArguments(what=what, path=self._job.path("input")),) if what else ()

    def _args(self) -> tuple[GivenArguments, ...]:
        return tuple(
            GivenArguments(what=f"args[{index}]", path=(*self._home("args"), index))
            for index in range(len(self._job.settings.args))
        )

    def _kwargs(self) -> dict[str, GivenArguments]:
        handles = self._handles()
        return {
            name: GivenArguments(what="in kwargs", path=(*self._home("kwargs", name), name))
            for name in self._job.settings.kwargs
            if name not in handles  # which is told by a rule of its own
        }

    def _home(self, key: str, name: str | None = None) -> Path:
        """Return where args or kwargs are written: at the job, or below `defaults`."""
        own = self._job.own
        here = key in own.model_fields_set if name is None else name in getattr(own, key)
        return self._job.path(key) if here else ("defaults", key)

    def _handles(self) -> dict[str, GivenArguments]:
        return {
            wire.parameter: GivenArguments(what=f"a handle to {wire.queue}", path=wire.path)
            for wire in (*self._job.reads, *self._job.writes)
            if wire.parameter is not None
        }
