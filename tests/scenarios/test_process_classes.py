"""The class of a process as a target: made with its handles, and run in the worker."""

import subprocess

import pytest
from life_runs import COMMAND

SPEC = """
    queues: {a: 100}
    jobs:
      w: {target: "t:Writer", output: {q: a}, kwargs: {n: 3}}
      r: {target: "t:%s", input: {q: a}, workers: 1}
"""

CODE = """
import multiprocessing, os, queue, threading
from multiprocessing import Process

class Writer(Process):
    def __init__(self, q, n):
        super().__init__(name="the writer", daemon=True)
        self.q = q
        self.n = n
    def run(self):
        for number in range(self.n):
            self.q.put(number)
        print(self.name, self.pid == os.getpid(), multiprocessing.current_process() is self)

class Base(multiprocessing.Process):
    def __init__(self, q):
        Process.__init__(self)
        self.q = q
        self.exit = multiprocessing.Event()

class Reader(Base):
    def run(self):
        while not self.exit.is_set():
            try:
                print(self.q.get(timeout=.1))
            except queue.Empty:
                continue

class SpawnedReader(multiprocessing.get_context("spawn").Process):
    def __init__(self, q):
        super().__init__()
        self.q = q
    def run(self):
        for number in self.q:
            print(number)

class ThreadedReader(threading.Thread):
    def __init__(self, q):
        super().__init__(daemon=True)
        self.q = q
    def run(self):
        for number in self.q:
            print(number)

class CalledReader(Process):
    def __call__(self, q):
        for number in q:
            print(number)
"""


@pytest.mark.parametrize("name", ["Reader", "SpawnedReader", "ThreadedReader", "CalledReader"])
def test_the_class_of_a_process_is_a_target_unchanged(ran, name):
    ended = ran(SPEC % name, CODE)
    assert ended.exit_code == 0, ended.stderr
    assert ended.log.printed("w-1") == ["the writer True True"]
    assert ended.log.printed("r-1") == ["0", "1", "2"]


@pytest.mark.parametrize("options", [("--strict",), ("--import",)])
@pytest.mark.parametrize(
    ("job", "said"),
    [
        ('{target: "t:Reader", input: {q: a}}', ""),
        ('{target: "t:Reader", input: {queue: a}}', "t.Reader.__init__"),
        ('{target: "t:Reader", input: a}', "t.Reader.__init__"),
        ('{target: "t:Writer", input: {q: a}}', "needs n, which nothing gives"),
        ('{target: "t:SpawnedReader", input: {q: a}}', ""),
    ],
)
def test_validate_tells_whether_the_class_is_made_with_what_it_takes(tmp_path, job, said, options):
    (tmp_path / "t.py").write_text(CODE)
    (tmp_path / "jobs.yaml").write_text(
        "version: 1\nqueues: {a: 100}\njobs:\n"
        '  w: {target: "t:Writer", output: {q: a}, kwargs: {n: 3}}\n'
        f"  r: {job}\n"
    )
    told = subprocess.run(
        [COMMAND, "validate", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (told.returncode == 0) is (not said), told.stdout + told.stderr
    assert said in told.stdout + told.stderr
