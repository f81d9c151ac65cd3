"""Orchestrators for the tests: `python os_orchestrators.py FUNCTION ARG…` prints JSON on stdout."""

import atexit
import contextlib
import json
import logging.handlers
import multiprocessing
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from multiprocessing import forkserver, util
from pathlib import Path

from os_deadlines import all_ended, pidfds, receive, wait_readable

from orchestrator.engine.node import process
from orchestrator.engine.node.capture import drain
from orchestrator.engine.node.process import ProcessFactory, Starting
from orchestrator.kernel import descendants as descendants_module
from orchestrator.kernel.descendants import (
    become_subreaper,
    children,
    descendants,
    kill_groups,
    look_up,
    reap_strangers,
    sweep,
)
from orchestrator.plan.model import StartMethod

HERE = str(Path(__file__).parent)
if "MPORCH_TEST_MAINS" in os.environ:
    with Path(os.environ["MPORCH_TEST_MAINS"]).open("a") as mains:
        mains.write(f"{__name__}\n")


def made(factory, **order):
    """A worker and our end of its channel; a forkserver is waited for, as a node does by steps."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        begun = factory.begin(channel=theirs, **order)
        worker = answered(factory, begun) if isinstance(begun, Starting) else begun
    except OSError:
        ours.close()
        raise
    worker.sock = ours
    return worker


def answered(factory, begun):
    """The worker that a forkserver was asked for."""
    deadline = time.monotonic() + begun.limit_s
    while (worker := factory.go_on(begun)) is None:
        if (left := deadline - time.monotonic()) <= 0:
            raise factory.give_up(begun)
        poll = select.poll()
        poll.register(begun.answer_fd, select.POLLIN)
        if begun.order_fd is not None:
            poll.register(begun.order_fd, select.POLLOUT)
        poll.poll(left * 1000)
    return worker


def start(factory, main, method=StartMethod.FORKSERVER, payload=b""):
    return made(
        factory,
        name="a-1",
        method=method,
        main=f"os_workers:{main}",
        payload=payload,
        pythonpath=[HERE],
    )


def exit_code(worker):
    wait_readable(worker.death_fd)
    return worker.exit_code()


def open_files():
    """Return the numbers of this process's descriptors."""
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.exists()}


def kill_group_of_the_dead(method):
    become_subreaper()
    worker = start(ProcessFactory(), "with_child", StartMethod(method), b"end")
    with pidfds(int(receive(worker.sock))) as fds:
        code = exit_code(worker)
        alive = not all_ended(fds, 0)
        assert not worker.kill_group()
        kill_groups({worker.pid})
        return {
            "exit_code": code,
            "child_alive_before": alive,
            "child_ended": all_ended(fds, 10),
        }


def have_things_to_do_at_its_end(method):
    """What this process would do at its end, a worker that ends well must not do for it."""
    folder = Path(tempfile.mkdtemp())
    atexit.register((folder / "atexit").touch)
    keeper = type("Keeper", (), {})()
    weakref.finalize(keeper, (folder / "finalized").touch)
    util.Finalize(keeper, (folder / "util").touch, exitpriority=1)
    handler = logging.handlers.MemoryHandler(100, target=logging.FileHandler(folder / "log"))
    handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 20}))
    with (folder / "rows").open("w") as rows, tempfile.TemporaryDirectory(dir=folder) as kept:
        rows.write("a row\n")
        worker = start(
            ProcessFactory(), "end_as_python_does", StartMethod(method), str(folder).encode()
        )
        code = exit_code(worker)
        seen = sorted(path.name for path in folder.iterdir() if path.name != Path(kept).name)
        sizes = [(folder / name).stat().st_size for name in ("rows", "log", "theirs")]
        return {"exit_code": code, "seen": seen, "sizes": sizes, "kept": Path(kept).is_dir()}


def start_the_forkserver_ahead():
    """And kill it, before anybody has asked it for a worker."""
    factory = ProcessFactory()
    told = []
    for kills in (False, True):
        factory.start_forkserver()
        ahead = factory.helper_pids()
        if kills:
            pid = forkserver._forkserver._forkserver_pid
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        worker = start(factory, "leave", payload=b"7")
        told.append([exit_code(worker), factory.helper_pids() == ahead])
        worker.close()
    factory.close()
    return told


def kill_the_forkserver():
    become_subreaper()
    factory = ProcessFactory()
    workers = [start(factory, "wait"), start(factory, "wait")]
    for worker in workers:
        receive(worker.sock)
    forkservers = factory.helper_pids()
    os.kill(look_up(workers[0].pid).parent, signal.SIGKILL)
    codes = [exit_code(worker) for worker in workers]
    died = [worker.creator_died() for worker in workers]
    after = start(factory, "leave", payload=b"7")
    return {
        "exit_codes": codes,
        "creator_died": died,
        "next": {
            "exit_code": exit_code(after),
            "creator_died": after.creator_died(),
            "new_forkserver": factory.helper_pids() != forkservers,
        },
    }


def die_under_a_stopped_forkserver():
    """The worker is a zombie that nobody reaps, then its forkserver dies without a word."""
    become_subreaper()
    worker = start(ProcessFactory(), "wait")
    receive(worker.sock)
    forkserver = look_up(worker.pid).parent
    os.kill(forkserver, signal.SIGSTOP)
    worker.signal(signal.SIGUSR1)
    wait_readable(worker.death_fd)
    untold = worker.exit_code(wait_s=0)
    os.kill(forkserver, signal.SIGKILL)
    return {"untold": untold, "then": worker.exit_code(wait_s=20)}


def _killed_forkserver(factory):
    """A forkserver that has made a worker and is dead, not reaped."""
    receive(start(factory, "wait").sock)
    pid = forkserver._forkserver._forkserver_pid
    with pidfds(pid) as fds:
        os.kill(pid, signal.SIGKILL)
        assert all_ended(fds, 20)
    return pid


def start_after_another_hand_has_reaped_the_forkserver():
    factory = ProcessFactory()
    os.waitpid(_killed_forkserver(factory), 0)
    return exit_code(start(factory, "leave", payload=b"7"))


def have_multiprocessing_replace_the_forkserver():
    """It does so when the last has died just before a request; whether that one is known."""
    factory = ProcessFactory()
    _killed_forkserver(factory)
    forkserver.ensure_running()
    known = forkserver._forkserver._forkserver_pid in factory.helper_pids()
    code = exit_code(start(factory, "leave", payload=b"7"))
    factory.close()
    return [known, code, [kin.pid for kin in children(os.getpid())]]


def kill_the_forkserver_during_a_start():
    """It is stopped first, so that the start hangs on it until it dies."""
    factory = ProcessFactory()
    worker = start(factory, "wait")
    receive(worker.sock)
    forkserver = look_up(worker.pid).parent
    os.kill(forkserver, signal.SIGSTOP)
    killer = threading.Timer(0.2, os.kill, (forkserver, signal.SIGKILL))
    killer.start()
    return start_again(factory)


def start_again(factory, payload=b"7"):
    """Start a worker twice: what the first time told, if it failed, and the second's exit code."""
    try:
        start(factory, "leave", payload=payload)
    except ConnectionError as error:
        process._ANSWER_S = 30.0  # the next forkserver is a new interpreter, which takes a while
        return [str(error), exit_code(start(factory, "leave", payload=payload))]
    return ["it was started"]


def cut_off_a_request():
    """Connect to the forkserver, as for a worker, and go away; whether it ends."""
    factory = ProcessFactory()
    exit_code(start(factory, "leave", payload=b"0"))
    server = forkserver._forkserver
    with pidfds(server._forkserver_pid) as fds, socket.socket(socket.AF_UNIX) as request:
        request.connect(server._forkserver_address)
        request.close()
        return all_ended(fds, 20)


def start_after_an_early_death():
    """The forkserver's next child is killed before it has read its order, a long one."""
    with tempfile.TemporaryDirectory() as deaths:
        (Path(deaths) / "death").touch()
        factory = ProcessFactory(
            preload=["os_early_deaths"],
            environment={"PYTHONPATH": HERE, "EARLY_DEATHS": deaths},
        )
        return start_again(factory, b"7" + b" " * (1 << 20))


def stop_the_forkserver_before_a_start():
    """Nobody continues it; it is killed when it does not answer."""
    become_subreaper()
    factory = ProcessFactory()
    worker = start(factory, "wait")
    receive(worker.sock)
    os.kill(look_up(worker.pid).parent, signal.SIGSTOP)
    process._ANSWER_S = 0.2
    return [*start_again(factory), exit_code(worker)]


def ask_a_stopped_forkserver():
    factory = ProcessFactory()
    first = start(factory, "wait")
    receive(first.sock)
    forkserver = look_up(first.pid).parent
    told = {"waited": [], "unwritten": [], "codes": []}
    for more in (0, 1 << 20):
        os.kill(forkserver, signal.SIGSTOP)
        asked = factory.begin(
            channel=socket.socketpair()[1],
            name="a-1",
            method=StartMethod.FORKSERVER,
            main="os_workers:leave",
            payload=b"7" + b" " * more,
            pythonpath=[HERE],
        )
        told["waited"].append(factory.go_on(asked) is None)
        told["unwritten"].append(asked.order_fd is not None)
        os.kill(forkserver, signal.SIGCONT)
        told["codes"].append(exit_code(answered(factory, asked)))
    return told


def unmarked(data):
    """What was written, without the marks that tell whose it is."""
    return re.sub(rb"\x00m[^\x00]*\x00", b"", data).decode()


def print_last_words(method):
    worker = start(ProcessFactory(), "last_words", StartMethod(method))
    return {
        "exit_code": exit_code(worker),
        "stdout": sorted(unmarked(drain(worker.stdout_fd)).splitlines()),
        "stderr": unmarked(drain(worker.stderr_fd)).splitlines(),
    }


def leave_a_worker_to_multiprocessing(method):
    start(ProcessFactory(), "wait", StartMethod(method))
    return [child.name for child in multiprocessing.active_children()]


def start_one_by_each_method():
    factory = ProcessFactory()
    return [exit_code(start(factory, "leave", method, b"7")) for method in StartMethod]


def raise_the_limit(method):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
    factory = ProcessFactory(descriptors=200)
    worker = start(factory, "limit", StartMethod(method))
    return {"soft": int(receive(worker.sock))}


def start_and_close(directory):
    before = open_files()
    factory = ProcessFactory(directory=directory)
    for method in StartMethod:
        worker = start(factory, "leave", method, b"0")
        exit_code(worker)
        worker.close()
        worker.sock.close()
    factory.close()
    return {
        "children": [kin.pid for kin in children(os.getpid())],
        "files": sorted(open_files() - before),
        "directory": [path.name for path in Path(directory).iterdir()],
    }


def sweep_everybody():
    become_subreaper()
    factory = ProcessFactory()
    workers = [start(factory, "wait"), start(factory, "with_child"), start(factory, "with_daemon")]
    wait, child, daemon = (receive(worker.sock) for worker in workers)
    assert wait == b"running"
    everybody = [*(w.pid for w in workers), int(child), int(daemon), *factory.helper_pids()]
    with pidfds(*everybody) as fds:
        swept = sweep(within_s=2)
        return {
            "ended_in_time": all_ended(fds, 0),
            "expected": sorted(everybody),
            "killed": sorted(swept.killed),
            "survived": swept.survived,
            "left": [kin.pid for kin in descendants(os.getpid())],
        }


def sweep_a_chain():
    become_subreaper()
    if os.fork() == 0:
        while os.fork() == 0:
            pass
        os._exit(0)
    swept = sweep(within_s=10)
    return {
        "left": [kin.pid for kin in descendants(os.getpid())],
        "survived": swept.survived,
    }


def sweep_sparing_one():
    spared, other = (subprocess.Popen(["sleep", "1000"]) for _ in range(2))
    with pidfds(spared.pid, other.pid) as fds:
        sweep(within_s=2, spare={spared.pid})
        return {"spared_alive": not all_ended(fds[:1], 0), "other_ended": all_ended(fds[1:], 0)}


def sweep_without_time():
    child = subprocess.Popen(["sleep", "1000"])
    with pidfds(child.pid) as fds:
        sweep(within_s=0)
        return {"ended": all_ended(fds, 10)}


def reap_strangers_only():
    """A known child and strangers, all dead: adopted ones look no different."""
    become_subreaper()
    known = os.fork()
    if known == 0:
        os._exit(7)
    read_fd, write_fd = os.pipe()
    maker = os.fork()
    if maker == 0:
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.write(write_fd, f"{child} ".encode())
        os._exit(0)
    with pidfds(known, maker) as fds:
        assert all_ended(fds, 10)
    strangers = [maker, *map(int, os.read(read_fd, 1000).split())]
    with contextlib.ExitStack() as held:
        for stranger in strangers:
            wait_readable(held.enter_context(pidfds(stranger))[0])
    return {
        "reaped": sorted(reap_strangers({known})),
        "strangers": sorted(strangers),
        "again": reap_strangers({known}),
        "known_exit_code": os.waitstatus_to_exitcode(os.waitpid(known, 0)[1]),
    }


WAYS = ("child", "grandchild", "orphan", "own_group", "own_session", "daemon")
"""How somebody is left behind by a leader: the first three are in its group."""


def _left_behind(way, write_fd):
    """Called in the leader of a group. Leave somebody, who tells its pid and waits."""
    if os.fork() == 0:
        if way in ("grandchild", "orphan", "daemon") and os.fork() > 0:
            if way == "grandchild":
                os.wait()
            os._exit(0)
        if way == "own_group":
            os.setpgid(0, 0)
        elif way in ("own_session", "daemon"):
            os.setsid()
        os.write(write_fd, f"{way} {os.getpid()}\n".encode())
        signal.pause()
    signal.pause()


def kill_what_leaders_left():
    """One dead leader for each way, and one that has left nobody; all killed in one call."""
    become_subreaper()
    read_fd, write_fd = os.pipe()
    leaders = [_leader(lambda way=way: _left_behind(way, write_fd)) for way in WAYS]
    leaders.append(_leader(lambda: os._exit(0)))
    with os.fdopen(read_fd) as told:
        pids = dict(told.readline().split() for _ in WAYS)
    for leader in leaders:
        os.kill(leader, signal.SIGKILL)
        os.waitpid(leader, 0)
    looks, pids_of = [], descendants_module._pids
    descendants_module._pids = lambda: looks.append("look") or pids_of()
    with pidfds(*map(int, pids.values())) as fds:
        before = [not all_ended([fd], 0) for fd in fds]
        kill_groups(leaders)
        after = {
            way: all_ended([fd], 10 if way in WAYS[:3] else 0)
            for way, fd in zip(pids, fds, strict=True)
        }
        kill_groups(leaders[-1:])
        return {"before": all(before), "ended": after, "looks": len(looks)}


def _leader(act):
    leader = os.fork()
    if leader == 0:
        os.setpgid(0, 0)
        act()
    return leader


def spare_a_group_whose_number_has_passed():
    """The leader lives, so it is another one; nobody in its group is touched."""
    become_subreaper()
    stranger = _leader(signal.pause)
    with pidfds(stranger) as fds:
        until_leads(stranger)
        kill_groups({stranger})
        return {"ended": all_ended(fds, 0.1)}


def until_leads(pid):
    while os.getpgid(pid) != pid:
        os.sched_yield()


def kill_a_group_that_forks_while_it_is_killed():
    """Its member forks after it was found, and before it is killed."""
    become_subreaper()
    read_fd, write_fd = os.pipe()

    def fork_when_asked():
        # Waited for, not handled: a signal just before `pause` would be handled after it, never.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        while os.write(write_fd, f"{os.getpid()}\n".encode()):
            signal.sigwait({signal.SIGUSR1})
            while os.fork():
                signal.pause()

    def leave():
        if os.fork() == 0:
            fork_when_asked()
        os._exit(0)

    leader = _leader(leave)
    os.waitpid(leader, 0)
    told = os.fdopen(read_fd)
    first = int(told.readline())
    kill, forked = descendants_module.kill_kin, []

    def kill_late(kin, *signum):
        if not forked:
            os.kill(kin.pid, signal.SIGUSR1)
            forked.extend(os.pidfd_open(int(told.readline())) for _ in "1")
        return kill(kin, *signum)

    descendants_module.kill_kin = kill_late
    with pidfds(first) as fds:
        kill_groups({leader})
        return {"ended": all_ended([*fds, *forked], 10)}


def command(function, *args):
    """Return the command that runs a function of this file in a process of its own."""
    return [sys.executable, __file__, function, *args]


def environment():
    """Return an environment in which that command finds the package, and buffers what it writes."""
    env = {**os.environ, "PYTHONPATH": str(Path(HERE).parents[1])}
    env.pop("PYTHONUNBUFFERED", None)
    return env


def orchestrate(function, *args, cwd=None):
    """Run a function of this file in a process of its own; return what it tells."""
    done = subprocess.run(
        command(function, *args),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


if __name__ == "__main__":
    try:
        told = globals()[sys.argv[1]](*sys.argv[2:])
        sys.stdout.write(json.dumps(told))
        sys.stdout.flush()
    finally:
        sweep(within_s=5)
