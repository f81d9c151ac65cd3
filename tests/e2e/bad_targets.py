"""Targets that go wrong, each in its own way; `# here` marks the line that mporch must name.

None shows it in its text so plainly that `validate` would refuse it.
"""

import asyncio
import ctypes
import os
import signal
import sys
import threading


def one():
    yield 1


def take(item):
    return None


def raises():
    raise ValueError("boom")  # here


def half_way():
    yield 1
    raise RuntimeError("half-way")  # here


def none():
    return {}.get("a")


def text():
    return os.sep


def mapping():
    return dict(os.environ)


def number():
    return int("3")


def unpicklable_source():
    yield lambda: 1


def exits_with_3():
    sys.exit(3)  # here


def exits_with_words():
    sys.exit("last words")  # here


def os_exits():
    yield 1
    os._exit(0)


def kills_itself(item):
    os.kill(os.getpid(), signal.SIGKILL)


def segfaults(item):
    ctypes.string_at(0)  # here


def aborts():
    os.abort()  # here


def raises_for_the_item(item):
    raise KeyError(item)  # here


def exits_in_an_item(item):
    sys.exit(0)  # here


def interrupts(item):
    raise KeyboardInterrupt  # here


def ends_an_iteration(item):
    next(iter(()))  # here


def ends_a_generator(item):
    raise GeneratorExit  # here


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def speechless(item):
    raise Speechless  # here


class Stuck(Exception):
    def __init__(self, a, b):
        super().__init__("stuck")
        self.lock = threading.Lock()


def stuck(item):
    raise Stuck(1, 2)  # here


def deep_cause(item):
    error = ValueError("first")
    for _ in range(10_000):
        following = ValueError("next")
        following.__cause__ = error
        error = following
    raise error  # here


def group(item):
    raise ExceptionGroup("several", [ValueError(1), KeyError("k")])  # here


def recursion(item):
    return recursion(item)  # here


def takes_nothing():
    pass


takes_nothing = min([takes_nothing])


def coroutine(item):
    return asyncio.sleep(0)


def gives_a_lock(item):
    return threading.Lock()


def yields_a_lock(item):
    yield 1
    yield threading.Lock()


def batch_tuple(items):
    return tuple(items)


def batch_lock(items):
    return [threading.Lock()]


def stream_lambda(items):
    for _ in items:
        pass
    return lambda: 1


def stream_raises(items):
    for item in items:
        raise LookupError(item)  # here


def puts_a_lambda(q):
    q.put(lambda: 1)  # here


class BadInit:
    def __init__(self):
        raise OSError("no connection")  # here

    def __call__(self, item):
        pass


class BadEnter:
    def __enter__(self):
        raise OSError("no entry")  # here

    def __exit__(self, *exc):
        pass

    def __call__(self, item):
        pass


class BadExit:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        raise OSError("no exit")  # here

    def __call__(self, item):
        pass


class EntersNothing:
    def __enter__(self):
        pass

    def __exit__(self, *exc):
        pass

    def __call__(self, item):  # here
        pass


class Bomb:
    def __reduce__(self):
        return explode, ()


def explode():
    raise RuntimeError("exploded")  # here


def bombs():
    yield Bomb()


def take_batch(items):
    pass


def take_stream(items):
    for _ in items:
        pass


def take_handle(q):
    for _ in q:
        pass
