"""Waiting for what must happen, with a deadline, for the tests of real processes."""

import contextlib
import os
import select
import time

DEADLINE_S = 20.0


def wait_readable(fd, within_s=DEADLINE_S):
    """Return when `fd` is readable; fail when it is not in time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(within_s * 1000), f"nothing came within {within_s} s"


def receive(sock, within_s=DEADLINE_S):
    """Return what the socket holds once there is something, up to its end or a pause."""
    wait_readable(sock, within_s)
    data = sock.recv(1 << 20)
    while data:
        try:
            more = sock.recv(1 << 20)
        except BlockingIOError:
            break
        if not more:
            break
        data += more
    return data


@contextlib.contextmanager
def pidfds(*pids):
    """The processes, held fast by pidfds."""
    opened = [os.pidfd_open(pid) for pid in pids]
    try:
        yield opened
    finally:
        for fd in opened:
            os.close(fd)


def all_ended(fds, within_s):
    """Return whether every process behind `fds` ends within that time."""
    end = time.monotonic() + within_s
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    left = set(fds)
    while left:
        fired = poll.poll(max(0.0, end - time.monotonic()) * 1000)
        if not fired:
            return False
        for fd, _ in fired:
            poll.unregister(fd)
            left.discard(fd)
    return True
