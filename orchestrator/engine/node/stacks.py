"""A worker's stack, written into its progress cell by the signal that kills it for its item.

Called in the child; imported by every worker: the standard library only.

faulthandler writes it in the handler of the signal itself, without the interpreter's lock: also
that of a target which hangs in C code. The handler does not return: a target that waits for a
signal, or in a system call that one interrupts, must not go on by this one.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal

__all__ = ["STACK_SIGNAL", "tell_stack_into"]

STACK_SIGNAL = signal.SIGRTMAX - 2
"""Of those that nobody gives a meaning to; the last ones are taken by debuggers."""


def tell_stack_into(cell: int) -> None:
    """Have the signal write the main thread's stack behind the cell's page, and then end it all.

    `cell` is its descriptor, which stays open. The signal's action until now is what ends it.
    """
    os.lseek(cell, mmap.PAGESIZE, os.SEEK_SET)
    faulthandler.register(STACK_SIGNAL, cell, all_threads=False, chain=True)
