"""Imported targets: what a child is asked about them, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.core.protocol.messages import Failure
from orchestrator.plan.model import LimitsPlan
from orchestrator.targets.target import Target

__all__ = ["Looked", "Parameter", "Probe", "ProbeReport"]


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Targets of one module, as the workers of a job would import them.

    `timeout_s` is for all of them together; paths are absolute.
    """

    targets: tuple[Target, ...]
    project_dir: str
    pythonpath: tuple[str, ...]
    env: tuple[tuple[str, str | None], ...] = ()
    cwd: str | None = None
    limits: LimitsPlan = LimitsPlan()
    timeout_s: float = 30.0


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter; `kind` is the number of `inspect.Parameter.kind`."""

    name: str
    kind: int
    has_default: bool


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One target: why it cannot be used, or how it is called.

    Signatures are those of the call, of making the object of a class, and of the function that a
    decorator says it stands for; None is not known. `unpicklable` says why pickle cannot name it.
    """

    failure: Failure | None = None
    is_missing: bool = False
    is_class: bool = False
    is_coroutine: bool = False
    is_never_called: bool = False
    is_run: bool = False
    place: str = ""
    make: tuple[Parameter, ...] | None = None
    call: tuple[Parameter, ...] | None = None
    stated: tuple[Parameter, ...] | None = None
    unpicklable: str = ""


class ProbeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says: `failure` where the import itself failed, else of each target."""

    failure: Failure | None = None
    looked: Mapping[str, Looked] = {}
