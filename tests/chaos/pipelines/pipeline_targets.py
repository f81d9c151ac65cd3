"""The targets of random pipelines. Items are made, passed on and noted; see `fates`, `notebook`."""

import contextlib
import os
import queue
import random
import time
from multiprocessing import util
from pathlib import Path

from fates import DEAD, SKIP, children, fails, fate, is_flaky, number, parsed, source_id, text
from notebook import Notebook

import orchestrator

_POLL_S = 0.001
_BEAT_S = 0.05
_AMIDST_S = 0.002
"""Between what a generator gives, at most: others of the process have their turn."""


class Skipped(Exception):
    """`on_error` skips the item."""


class Dead(Exception):
    """`on_error` keeps the item as a dead letter."""


class Flaky(Exception):
    """The item is tried again."""


class Broken(Exception):
    """The job fails."""


class RolledBack(Exception):
    """A transaction is begun anew."""


# -- sources --------------------------------------------------------------------------------------


def source(role):
    """Yields its items, which are the same in each life."""
    for k in range(role["items"]):
        time.sleep(role["pace_s"])
        yield text(source_id(role, k), role["name"], role["pad"])


def source_by_handles(role, **ports):
    """Makes for each of its numbers what belongs on each port; some blocks are rolled back once."""
    chance = random.Random(os.getpid())  # the blocks are others in each life, the items are not
    ids = [source_id(role, k) for k in range(role["items"])]
    while ids:
        n = chance.randint(1, max(1, role["block"]))
        now, ids = ids[:n], ids[n:]
        time.sleep(role["pace_s"] * n)
        if role["block"] and chance.random() < 0.8:
            _in_transaction(chance, lambda now=now: _put_all(role, now, ports))
        else:
            _put_all(role, now, ports)


def _put_all(role, ids, ports):
    for ident in ids:
        for port, handle in ports.items():
            for child in children(role, port, ident):
                _put(handle, text(child, role["name"], role["pad"]))


def _put(handle, item):
    """Whoever has readers no more, since their job has failed, gets nothing."""
    with contextlib.suppress(orchestrator.ShutDown):
        handle.put(item)


def _in_transaction(chance, body):
    """Do all or nothing; whatever raises, and the block that is rolled back once, comes again."""
    rolled = chance.randrange(3)
    while True:
        try:
            with orchestrator.transaction():
                if rolled == 2:
                    raise RolledBack
                body()
                if rolled == 1:
                    raise RolledBack
        except RolledBack:
            rolled = 0
        except orchestrator.WouldWaitError:
            time.sleep(_POLL_S)
        else:
            return


# -- items and batches ----------------------------------------------------------------------------


class _Work:
    """What item and batch jobs have in common: a role, a notebook, and the fates of items."""

    def __init__(self, role):
        self._role = role
        self._notes = Notebook()
        self._ports = role["ports"]
        if role["lingers_s"]:  # its process takes a moment to exit
            util.Finalize(None, time.sleep, (role["lingers_s"],), exitpriority=1)

    def _meet(self, ident, token):
        """The work on an item, and the error that is its fate."""
        role = self._role
        time.sleep(role["pace_s"])
        error = None
        if fails(role, ident) and _first(role, "failed", ident, role["fails_once"]):
            error = Broken
        elif is_flaky(role, ident) and _first(role, "flaky", ident, True):
            error = Flaky
        elif (end := fate(role, ident)) in (SKIP, DEAD):
            error = Skipped if end == SKIP else Dead
        if error:
            self._notes.write("x", (ident, token), more=error.__name__)
            raise error(ident)

    def _made(self, port, ident):
        token = self._notes.token()
        return [
            text(child, token, self._role["pad"]) for child in children(self._role, port, ident)
        ]

    def _give(self, idents, handles):
        """Put what belongs on handles; returns what belongs on the unnamed port."""
        for ident in idents:
            for port, handle in handles.items():
                for made in self._made(port, ident):
                    _put(handle, made)
        return (
            [made for i in idents for made in self._made("out", i)] if "out" in self._ports else []
        )


class Item(_Work):
    """Called with an item; gives a value where there is one at most, else a generator."""

    def __call__(self, item, **handles):
        if self._ports.get("out", [0, 0])[1] > 1:
            return self._each(item)
        ident, token = parsed(item)
        made = self._once(ident, token, handles)
        return made[0] if made else None

    def _each(self, item):
        ident, token = parsed(item)
        for made in self._once(ident, token, {}):
            yield made
            time.sleep(min(self._role["pace_s"], _AMIDST_S))

    def _once(self, ident, token, handles):
        self._notes.write("b", (ident, token))
        self._meet(ident, token)
        made = self._give([ident], handles)
        self._notes.write("e", (ident, token))
        return made


class Batch(_Work):
    """Called with a list; all of it has ended, or nothing."""

    def __call__(self, batch, **handles):
        pairs = [parsed(item) for item in batch]
        self._notes.write("b", *pairs, more=len(batch))
        for pair in pairs:
            self._meet(*pair)
        made = self._give([ident for ident, _ in pairs], handles)
        self._notes.write("e", *pairs)
        return made


def _first(role, what, ident, once):
    """Whether nobody has asked for this before; always, unless it is to be once."""
    if not once:
        return True
    with contextlib.suppress(FileExistsError):
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(Path("marks") / f"{role['name']}.{what}.{ident}", flags))
        return True
    return False


# -- jobs that are called once --------------------------------------------------------------------


class _Once:
    """A pass over all items of a job that is called once; what it gives is the same each time."""

    def __init__(self, role):
        self.role = role
        self.notes = Notebook()

    def begin(self, item):
        ident, token = parsed(item)
        self.notes.write("b", (ident, token))
        time.sleep(self.role["pace_s"])
        if fails(self.role, ident) and _first(self.role, "failed", ident, self.role["fails_once"]):
            raise Broken(ident)
        return ident, token

    def made(self, port, ident):
        role = self.role
        return [text(child, role["name"], role["pad"]) for child in children(role, port, ident)]

    def put(self, ident, handles):
        for port, handle in handles.items():
            for made in self.made(port, ident):
                _put(handle, made)

    def end(self, pair):
        self.notes.write("e", pair)


def stream(items, role, **handles):
    """Passes each item on, by handles or as what it yields."""
    once = _Once(role)
    for item in items:
        pair = once.begin(item)
        once.put(pair[0], handles)
        if "out" in role["ports"]:
            yield from once.made("out", pair[0])
        once.end(pair)


def relay(role, mode, **handles):
    """Passes on what it gets by handles, in the order in which it gets it."""
    once = _Once(role)
    inputs = [handles.pop(name) for name in sorted(handles) if name.startswith("in")]

    def pass_on(item):
        pair = once.begin(item)
        once.put(pair[0], handles)
        once.end(pair)

    _WAYS[mode](inputs, pass_on)


def _one_after_another(inputs, pass_on):
    for handle in inputs:
        for item in handle:
            pass_on(item)


def _in_turn(inputs, pass_on):
    open_ = list(inputs)
    while open_:
        for handle in list(open_):
            try:
                pass_on(handle.get())
            except orchestrator.EndOfStream:
                open_.remove(handle)


def _polling(inputs, pass_on):
    open_ = list(inputs)
    while open_:
        for handle in list(open_):
            try:
                item = handle.get_nowait()
            except orchestrator.EndOfStream:
                open_.remove(handle)
            except queue.Empty:
                time.sleep(_POLL_S)
            else:
                pass_on(item)


def _with_timeouts(inputs, pass_on):
    open_ = list(inputs)
    while open_:
        for handle in list(open_):
            try:
                if handle.qsize() >= 0:
                    pass_on(handle.get(timeout=0.002))
            except orchestrator.EndOfStream:
                open_.remove(handle)
            except queue.Empty:
                pass


_WAYS = {
    "one after another": _one_after_another,
    "in turn": _in_turn,
    "polling": _polling,
    "with timeouts": _with_timeouts,
}


def transact(role, in0, **handles):
    """Takes up to a block of items, and puts what they make, in one transaction."""
    once = _Once(role)
    for item in in0:  # the first of a block is got before it
        while not _block(once, item, in0, handles):
            time.sleep(_POLL_S)


def _block(once, item, more, handles):
    """Whether the block has been done; what it had got goes back if not."""
    role, done = once.role, []
    rolled = number(role["name"], "roll", item) % 3
    try:
        with orchestrator.transaction():
            while True:
                pair = once.begin(item)
                once.put(pair[0], handles)
                done.append(pair)
                if len(done) == role["block"]:
                    break
                try:
                    item = more.get_nowait()
                except (orchestrator.WouldWaitError, queue.Empty):
                    break
            if rolled == 0 and _first_here(role, done[0][0]):
                raise RolledBack
    except (RolledBack, orchestrator.WouldWaitError):
        return False
    once.notes.write("e", *done)
    return True


_met = set()


def _first_here(role, ident):
    """Whether this process has not asked for it yet."""
    new = (role["name"], ident) not in _met
    _met.add((role["name"], ident))
    return new


# -- tasks ----------------------------------------------------------------------------------------


def task(role):
    """Does its work, and notes when."""
    notes = Notebook()
    notes.write("b", (role["name"], "-"))
    time.sleep(role["pace_s"])
    if role["fails_at"] and _first(role, "failed", "task", role["fails_once"]):
        raise Broken(role["name"])
    notes.write("e", (role["name"], "-"))


def daemon(role):
    """Goes on until it is stopped."""
    notes = Notebook()
    while True:
        notes.write("b", (role["name"], "-"))
        time.sleep(_BEAT_S)


def ticks(role):
    """A source that goes on until it is stopped."""
    k = 0
    while True:
        time.sleep(role["pace_s"])
        yield text(source_id(role, k), role["name"], role["pad"])
        k += 1
