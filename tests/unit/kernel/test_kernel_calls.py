"""Calls of the C library: what is set for a process is set for that process alone."""

import subprocess
import sys

import pytest

MAPPED = """
import ctypes
from orchestrator.kernel.calls import keep_freed_memory

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
                 "fordblks", "keepcost")]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info

def mapped():
    before = libc.mallinfo2().hblks
    block = bytearray(2 << 20)
    return libc.mallinfo2().hblks - before

first = mapped()
keep_freed_memory()
print(first, mapped())
"""


@pytest.mark.skipif(not hasattr(__import__("ctypes").CDLL(None), "mallinfo2"), reason="glibc 2.33")
def test_large_blocks_are_on_the_heap_once_freed_memory_is_kept() -> None:
    found = subprocess.run(
        [sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["1", "0"]
