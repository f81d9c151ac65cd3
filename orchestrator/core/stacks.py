"""Stacks of workers, as data: what a node tells of one, and what the run adds to it."""

from __future__ import annotations

import msgspec

from orchestrator.core.protocol.events import Blame

__all__ = ["ProgramState", "ShownStack", "ThreadStack", "WorkerStack"]


class ThreadStack(msgspec.Struct, frozen=True, kw_only=True):
    """One thread of a worker: the user's frames, the innermost last, each file, line and name.

    `name` is its number where Python does not write its name.
    """

    name: str
    is_main: bool
    frames: tuple[tuple[str, int, str], ...]


class ProgramState(msgspec.Struct, frozen=True, kw_only=True):
    """A process that a command has started; `state` is the kernel's letter for it."""

    pid: int
    name: str
    state: str


class WorkerStack(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker is, as its own machine sees it.

    `threads` are those that are in code of the user's, `threads_ours` how many others there are.
    `why` there is no stack, or what else is to be said of it. `blame` and `at_item_s` are those of
    Figures.
    """

    pid: int
    state: str = ""
    blame: Blame = Blame()
    at_item_s: float = 0.0
    threads: tuple[ThreadStack, ...] = ()
    threads_ours: int = 0
    programs: tuple[ProgramState, ...] = ()
    why: str = ""


class ShownStack(msgspec.Struct, frozen=True, kw_only=True):
    """A worker with its stack. `doing`: at which item it is, or what it waits for, if known.

    Without a stack, `state` says how far the worker has come.
    """

    worker: str
    job: str
    state: str
    doing: str = ""
    stack: WorkerStack | None = None
