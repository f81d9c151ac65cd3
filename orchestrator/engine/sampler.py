"""The sampler of a run: takes its figures four times a second, and hands each sample on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from orchestrator.core.run import Run
from orchestrator.core.samples import (
    SAMPLE_EVERY_S,
    Figures,
    Sample,
    Service,
    System,
    Window,
    total_service,
)
from orchestrator.engine.engine import Died, Engine
from orchestrator.machine.usage import UsageMeter

__all__ = ["Sampler"]

_MEASURE_EVERY_S = 1.0
_SLACK_S = 0.02
"""Who is woken a little early need not be woken again."""


class Sampler:
    """Takes samples of a run that `began` then, in monotonic seconds; `window` has those of late.

    What processes use is measured once a second; what it costs to take and show samples is a part
    of them. `disk_full_s` tells for how long the run has waited for room on the disk.
    """

    def __init__(
        self,
        run: Run,
        engine: Engine,
        *,
        began: float,
        takers: Sequence[Callable[[Sample], None]] = (),
        disk_full_s: Callable[[], float] = float,
    ) -> None:
        self.window = Window()
        self._run = run
        self._engine = engine
        self._began = began
        self._takers = takers
        self._disk_full_s = disk_full_s
        self._usage = UsageMeter()
        self._system = System()
        self._figures: dict[str, Figures] = {}
        self._ended: dict[str, Service] = {}
        """How long the items of each job took in workers that have died."""
        self._due = self._measured = -math.inf
        self._own_s = 0.0

    @property
    def due(self) -> float:
        """Return when the next sample is to be taken."""
        return self._due

    @property
    def newest(self) -> Sample | None:
        """Return the sample taken last."""
        return self.window.pair[1] if self.window.pair is not None else None

    def take_due(self, now: float) -> Sample | None:
        """Take a sample if it is time for one."""
        if now < self._due - _SLACK_S:
            return None
        self._due = now + SAMPLE_EVERY_S
        return self.take(now)

    def take(self, now: float, *, last: bool = False) -> Sample:
        """Take a sample of `now`, and hand it to all who want it."""
        began = time.thread_time()
        if last or now - self._measured >= _MEASURE_EVERY_S - _SLACK_S:
            self._measured = now
            self._measure()
        sample = self._run.sample(
            now,
            time.monotonic() - self._began,
            figures=self._figures,
            services=self._services(),
            system=self._system,
            last=last,
        )
        self.window.add(sample)
        for taker in self._takers:
            taker(sample)
        self._own_s += time.thread_time() - began
        return sample

    def died(self, death: Died) -> None:
        """Keep how long the dead worker's items took; called before the run knows of its death."""
        self._figures.pop(death.worker, None)
        if (job := self._run.workers.get(death.worker)) is None:
            return
        self._ended[job] = total_service((self._ended.get(job, Service()), death.service))

    def close(self) -> None:
        """Give its descriptors back."""
        self._usage.close()

    def _measure(self) -> None:
        self._figures = {
            worker: figures
            for worker in self._run.workers
            if (figures := self._engine.measure(worker)) is not None
        }
        usage = self._usage.read()
        self._system = System(
            cpu_s=round(usage.cpu_s, 3),
            rss=usage.rss,
            own_s=round(self._own_s, 4),
            busy_s=usage.busy_s,
            idle_s=usage.idle_s,
            group_s=usage.group_s,
            throttled_s=usage.throttled_s,
            available=usage.available,
            disk_full_s=round(self._disk_full_s(), 3),
            measured=round(time.monotonic() - self._began, 6),
        )

    def _services(self) -> dict[str, Service]:
        parts: dict[str, list[Service]] = {job: [service] for job, service in self._ended.items()}
        jobs = self._run.workers
        for worker, figures in self._figures.items():
            if figures.service.items and (job := jobs.get(worker)) is not None:
                parts.setdefault(job, []).append(figures.service)
        return {job: total_service(services) for job, services in parts.items()}
