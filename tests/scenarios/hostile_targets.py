"""Targets that turn on mporch with all that a worker's process has. Called in the child."""

import contextlib
import gc
import os
import signal
import socket
import struct
import zlib
from pathlib import Path

import msgspec

from orchestrator.core.protocol.messages import Ask, Commit, Hello, Unpull
from orchestrator.ipc import wire
from orchestrator.ipc.cell import Cell


def own_sockets(kind):
    """The worker's own sockets of that kind, by duplicates."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            sock = socket.socket(fileno=os.dup(int(path.name)))
            if sock.family in (socket.AF_UNIX, socket.AF_INET) and sock.type is kind:
                yield sock


def channel():
    """Half of a pair, which has no name; with agents a TCP connection."""
    (sock,) = (
        s
        for s in own_sockets(socket.SOCK_STREAM)
        if s.family is socket.AF_INET or not s.getsockname()
    )
    return sock


def frame(message):
    return b"".join(map(bytes, wire.encode(message)))


def headed(head, body, crc=0):
    """A header that announces so much."""
    return struct.pack("<4sIQI", b"MP\x02\x00", head, body, crc)


def pause():
    while True:
        signal.pause()


def print_into_the_socket():
    channel().sendall(b"hello, world\n" * 10)
    pause()


def announce_four_gigabytes():
    channel().sendall(headed(20, 4 << 30))
    pause()


def send_what_was_announced_for_ever():
    commit = msgspec.msgpack.encode([7, 1, [], [], [[["q"], 1, 2 << 30, False, None]]])
    sock = channel()
    sock.sendall(headed(len(commit), 2 << 30, zlib.crc32(commit, 2 << 30)) + commit)
    for _ in range(2047):  # with the last MiB it would break the protocol, before its time is up
        sock.sendall(bytes(1 << 20))
    pause()


def commit_what_others_hold():
    sock = channel()
    everything = tuple((lease, 1) for lease in range(200))
    for seq in range(200):
        sock.sendall(frame(Commit(seq=seq, finished=everything)))
    pause()


def ask_and_never_read():
    sock, question = channel(), frame(Ask(ask=1, queue="numbers")) * 500
    while True:
        sock.sendall(question)


def talk_without_a_pause():
    sock, nothing = channel(), frame(Unpull(pull=1 << 40)) * 500
    while True:
        sock.sendall(nothing)


def nest():
    head = b"\x92\x02" + b"\x91" * 100_000
    sock = channel()
    sock.sendall(struct.pack("<4sIQI", b"MP\x02\x00", len(head), 0, zlib.crc32(head)) + head)
    pause()


def cut_the_cell_off():
    """If it could, the next look at the cell would kill the orchestrator."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if "mporch-cell" in str(path.readlink()):
                os.truncate(int(path.name), 0)
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_cell_with_garbage():
    (cell,) = (found for found in gc.get_objects() if type(found) is Cell)
    for index in range(8):
        cell.words[index] = 0x7F7F7F7F7F7F7F7F
    cell.words[2] = 1
    while True:
        cell.words[3] = 0x7F7F7F7F7F7F7F7F


def leave_the_socket_to_a_child():
    sock, nothing = channel(), frame(Unpull(pull=1 << 40)) * 500
    if os.fork() == 0:
        os.setsid()
        while True:
            with contextlib.suppress(OSError):
                sock.sendall(nothing)
    os.kill(os.getpid(), signal.SIGKILL)


def write_without_an_end():
    while True:
        os.write(1, b"\x1b[31m\xff\x00" * 8192)


def send_descriptors():
    """Somebody else's pidfd among them, and a Hello that lies."""
    sock = channel()
    fds = [os.pidfd_open(os.getppid()), *(os.dup(0) for _ in range(200))]
    for _ in range(20):
        socket.send_fds(sock, [frame(Hello(pid=1))], fds)


def log_garbage():
    for sock in own_sockets(socket.SOCK_SEQPACKET):
        record = [1.0, "info", "l", "\x1b[2J", "", {}]
        for data in (
            b"\xff" * 1000,
            msgspec.msgpack.encode(record[:5])[:-1] + b"\xa0" + b"\x81\xa1a" + b"\x91" * 50_000,
            b"\x96\xcb" + bytes(8) + b"\xa1i\xa1l\xa1m\xa0\x81\xa1a\xdd\xff\xff\xff\xff",
            b"\x96\xcb" + bytes(8) + b"\xa2\xff\xfe\xa1l\xa1m\xa0\x80",
            msgspec.msgpack.encode(record),
        ):
            sock.send(data)


ATTACKS = {name: value for name, value in globals().items() if callable(value)}


def numbers(n):
    yield from range(n)


def work(n, attack, mark):
    """Item 20 is attacked at its first attempt."""
    if n == 20:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return n
        ATTACKS[attack]()
    return n


def keep(items, path):
    """What arrives, and what the orchestrator, this process's parent, is like at the end."""
    Path(path).write_text("".join(f"{item}\n" for item in items))
    parent = Path(f"/proc/{os.getppid()}")
    status = (parent / "status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print(f"peak {int(peak) // 1024} MiB")
    print(f"fds {len(list((parent / 'fd').iterdir()))}")
