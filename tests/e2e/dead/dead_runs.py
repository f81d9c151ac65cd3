"""A pipeline with a bug, whose items become dead letters, and the same without it."""

import json
import re
import subprocess
from collections.abc import Callable

SPEC = """\
version: 1
queues: {a: 10, b: 10, c: 10}
jobs:
  make: {target: "mine:make", output: a}
  side: {target: "mine:make", output: c}
  work: {target: "mine:work", input: a, output: b, on_error: dead_letter, after: {side: ready}}
  join: {target: "mine:join", input: [b, c], call: batch}
  tidy: {target: "mine:tidy", after: join}
"""

BROKEN = """\
import dataclasses, os, signal, orchestrator

@dataclasses.dataclass
class Order:
    id: int

def make():
    if orchestrator.current().job == "make":
        yield from map(Order, range(6))

def work(order):
    if order.id == 1: raise ValueError("\\x1b[31mred\\u202e")
    if order.id == 3: os.kill(os.getpid(), signal.SIGKILL)
    if order.id == 4: return lambda: None
    return order.id

def join(ids):
    for i in ids: print("got", i)

def tidy():
    print("tidied")
"""

MENDED = re.sub(r"    if order.*\n", "", BROKEN)

Mporch = Callable[..., subprocess.CompletedProcess[str]]


def items(listed: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The letters' numbers by the words of their errors."""
    return {letter["error_type"]: letter["letter"] for letter in json.loads(listed.stdout)}
