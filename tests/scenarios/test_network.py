"""Nothing of a run listens on a network, but with `--on agent` one port, on loopback only."""

import re
from pathlib import Path

import pytest
from life_runs import until

SPEC = """
queues: {q: 5}
jobs:
  numbers: {target: "t:numbers", output: q}
  served: {target: "t:rest", input: q}
  spawned: {target: "t:rest", input: q, start_method: spawn}
  forked: {target: "t:rest", input: q, start_method: fork}
"""
CODE = """
    import signal
    def numbers():
        yield from range(9)
    def rest(n):
        print("here")
        signal.pause()
"""
_LISTENS = 1 << 16
_LISTEN, _LOOPBACK = "0A", "0100007F"


def sockets(pid):
    """The inodes of a process's sockets."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = path.readlink()
        except FileNotFoundError:
            continue
        if inode := re.fullmatch(r"socket:\[(\d+)\]", link.name):
            found.add(inode[1])
    return found


def table(name):
    """The rows of a table of /proc/net; none where the kernel has no such protocol."""
    path = Path("/proc/net", name)
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


@pytest.fixture
def life(begin):
    life = begin(SPEC, CODE, "--output", "none")
    until(lambda: len(life.log.having("output", msg="here")) == 3, "three workers at work")
    return life


@pytest.mark.only_on("local", "agents speak TCP: the next test says what they have")
def test_no_process_of_a_run_has_a_socket_of_a_network(life):
    assert not rows_of(life, "tcp")
    no_other_network(life)


@pytest.mark.only_on("agent", "a local run has no port at all: the test before")
def test_with_agents_the_orchestrator_has_one_port_and_all_is_on_loopback(life):
    rows = rows_of(life, "tcp")
    own = sockets(life.orchestrator)
    [listening] = [row for row in rows if row[3] == _LISTEN]
    assert listening[9] in own
    port = listening[1].partition(":")[2]
    for row in rows:
        (here, near), (there, far) = row[1].split(":"), row[2].split(":")
        assert here == _LOOPBACK
        assert (near if row[9] in own else far) == port or row is listening
        assert there in (_LOOPBACK, "00000000")
    no_other_network(life)


def rows_of(life, protocol):
    """The rows of the sockets of a run's processes."""
    own = set().union(*(sockets(process.pid) for process in life.processes()))
    assert len(own) > 10
    return [row for row in table(protocol) if row[9] in own]


def no_other_network(life):
    own = set().union(*(sockets(process.pid) for process in life.processes()))
    for protocol in ("tcp6", "udp", "udp6", "udplite", "raw", "raw6"):
        assert not own & {row[9] for row in table(protocol)}, protocol
    for protocol in ("packet", "netlink"):
        assert not own & {row[-1] for row in table(protocol)}, protocol


def test_what_listens_is_in_a_directory_that_is_the_users_alone(life):
    own = set().union(*(sockets(process.pid) for process in life.processes()))
    rows = [row for row in table("unix") if row[6] in own]
    assert len(rows) > 10
    assert not [row for row in rows if row[7:] and row[7].startswith("@")], "abstract sockets"
    listening = {Path(row[7]) for row in rows if int(row[3], 16) & _LISTENS}
    # The control socket was bound below a descriptor of the run's directory, and then renamed.
    control = {path for path in listening if path.is_relative_to("/proc/self/fd")}
    assert len(control) == 1
    assert ((life.folder / "run").stat().st_mode & 0o777) == 0o700
    assert ((life.folder / "run" / "control.sock").stat().st_mode & 0o777) == 0o600
    assert listening > control, "the forkserver's"
    for path in listening - control:
        private = [p for p in path.parents if p.is_relative_to(life.temporary)]
        assert any((p.stat().st_mode & 0o777) == 0o700 for p in private if p != life.temporary)
