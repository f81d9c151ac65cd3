"""A task that uses a standalone queue beside the run's own, and kills those who get from it."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from notebook import Notebook

import orchestrator

_MAKERS = 2
_GETTERS = 2
_LONGEST_S = 60.0


class Unaccounted(Exception):
    """Items of the standalone queue are lost or doubled."""


def beside(role):
    """Makers put, getters get and are killed: each death may lose the one item in its hand."""
    notes = Notebook()
    notes.write("b", (role["name"], "-"))
    chance = random.Random(role["name"])
    ctx = multiprocessing.get_context(role["method"])
    box = orchestrator.Queue(role["maxsize"])
    folder = Path("beside") / f"{role['name']}.{os.getpid()}"
    folder.mkdir(parents=True)
    makers = [ctx.Process(target=_make, args=(box, n, role["items"])) for n in range(_MAKERS)]
    getters = [_getter(ctx, box, folder, role) for _ in range(_GETTERS)]
    for process in makers:
        process.start()
    killed = 0
    while any(process.is_alive() for process in makers):
        time.sleep(chance.uniform(0.02, 0.15))
        if killed < role["kills"]:
            at = chance.randrange(_GETTERS)
            os.kill(getters[at].pid, signal.SIGKILL)
            getters[at].join()
            killed += 1
            getters[at] = _getter(ctx, box, folder, role)
    _end(box, makers, getters)
    _account(folder, role["items"], killed)
    notes.write("e", (role["name"], "-"))


def _getter(ctx, box, folder, role):
    process = ctx.Process(target=_get, args=(box, str(folder), role["pace_s"]))
    process.start()
    return process


def _make(box, n, items):
    for k in range(items):
        box.put((n, k))


def _get(box, folder, pace_s):
    with Path(folder, str(os.getpid())).open("ab", buffering=0) as file:
        while (item := box.get(timeout=_LONGEST_S)) is not None:
            file.write(b"%d %d\n" % item)
            time.sleep(pace_s)


def _end(box, makers, getters):
    for process in makers:
        process.join()
    for _ in getters:
        box.put(None)
    for process in (*makers, *getters):
        process.join(_LONGEST_S)
        if process.exitcode != 0:
            raise Unaccounted(f"{process.name} ended with {process.exitcode}")
    box.close()


def _account(folder, items, killed):
    got = Counter()
    for path in folder.iterdir():
        got.update(path.read_text().splitlines())
    doubled = sum(n - 1 for n in got.values())
    lost = _MAKERS * items - len(got)
    if doubled or lost > killed:
        raise Unaccounted(f"{lost} lost, {doubled} doubled after {killed} kills")
