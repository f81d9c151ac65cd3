"""CPython's own queue tests, run against `orchestrator.Queue` and `orchestrator.JoinableQueue`.

They are imported from the interpreter that runs the suite. Its tests of processes run once for each
start method, its tests of threads once.
"""

import importlib.util
import multiprocessing
import queue
import unittest
from unittest import mock

import pytest

import orchestrator

if importlib.util.find_spec("test._test_multiprocessing") is None:
    pytest.skip("this interpreter comes without CPython's tests", allow_module_level=True)

import test._test_multiprocessing as cpython
import test.test_queue as cpython_threads

ON_PURPOSE = "raises in put instead of losing the item: see test_standalone_queue"
NOT_OURS = {
    "test_queue_feeder_donot_stop_onexc": ON_PURPOSE,
    "test_queue_feeder_on_queue_feeder_error": (
        "tests a hook of multiprocessing's own feeder thread, and no queue of ours"
    ),
}
NOT_MULTIPROCESSING = {
    "test_negative_timeout_raises_exception": (
        "multiprocessing.Queue, whose contract this is, takes a negative timeout for 0"
    ),
} | {
    name: "multiprocessing.Queue, whose contract this is, has no shutdown()"
    for name in dir(cpython_threads.BaseQueueTestMixin)
    if name.startswith("test_shutdown")
}


def skipping(reasons):
    """A class decorator that skips these tests, each for its reason."""

    def decorate(case):
        for name, reason in reasons.items():
            setattr(case, name, unittest.skip(reason)(getattr(case, name)))
        return case

    return decorate


class OfProcesses(cpython.ProcessesMixin, cpython._TestQueue):
    """The tests of processes, with our queues wherever they would make their own."""

    METHOD: str
    Queue = staticmethod(orchestrator.Queue)
    JoinableQueue = staticmethod(orchestrator.JoinableQueue)

    @classmethod
    def setUpClass(cls):
        cls._before = multiprocessing.get_start_method(allow_none=True)
        multiprocessing.set_start_method(cls.METHOD, force=True)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        multiprocessing.set_start_method(cls._before, force=True)

    def setUp(self):
        super().setUp()
        for name in ("Queue", "JoinableQueue"):
            patch = mock.patch.object(multiprocessing, name, getattr(orchestrator, name))
            patch.start()
            self.addCleanup(patch.stop)


@skipping(NOT_OURS)
class TestWithFork(OfProcesses, unittest.TestCase):
    METHOD = "fork"


@skipping(NOT_OURS)
class TestWithSpawn(OfProcesses, unittest.TestCase):
    METHOD = "spawn"


@skipping(NOT_OURS)
class TestWithForkserver(OfProcesses, unittest.TestCase):
    METHOD = "forkserver"


class BoundedQueue(orchestrator.JoinableQueue):
    """With the public attribute that the tests of threads read; `queue.Queue` has it."""

    def __init__(self, maxsize=0):
        super().__init__(maxsize)
        self.maxsize = maxsize


BoundedQueue.__name__ = "Queue"  # they look up the expected order by it


@skipping(NOT_MULTIPROCESSING)
class TestWithThreads(cpython_threads.BaseQueueTestMixin, unittest.TestCase):
    queue = queue

    def setUp(self):
        self.type2test = BoundedQueue
        super().setUp()
