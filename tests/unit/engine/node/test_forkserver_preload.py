"""A request of a process that dies while it asks for a worker is cut off, and nobody is told."""

import subprocess
import sys

CUT_OFF = """\
import os
from multiprocessing import forkserver

forkserver.set_forkserver_preload(["orchestrator.engine.node.forkserver_preload"])
told, asked = forkserver.connect_to_new_process([])
os.close(asked)  # the child has been made, and what it is to do will never come
while os.read(told, 100):
    pass
"""


def test_a_child_whose_request_is_cut_off_ends_without_a_word():
    done = subprocess.run(
        [sys.executable, "-c", CUT_OFF], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
