"""A worker that turns on mporch hurts only itself: all items arrive once, and the run ends."""

import time
from pathlib import Path

import pytest

CODE = Path(__file__).with_name("hostile_targets.py").read_text()
N = 400
SPEC = """
defaults: {{terminate: {{grace: 1s}}}}
queues: {{q: 50, out: 50}}
jobs:
  numbers: {{target: "t:numbers", args: [{n}], output: q}}
  work:
    target: "t:work"
    args: [{attack}, attacked]
    input: q
    output: out
    workers: 2
    timeouts: {{item: 2s}}
    retry: {{attempts: 2, backoff: {{initial: 1ms, max: 1ms}}}}
  keep:
    target: "t:keep"
    args: [kept]
    input: out
    call: stream
    start_method: fork
"""

BREACHES = (
    "print_into_the_socket",
    "announce_four_gigabytes",
    "commit_what_others_hold",
    "ask_and_never_read",
    "nest",
    "fill_the_cell_with_garbage",  # by which its own harness counts, too
)
SLOW = (
    "send_what_was_announced_for_ever",
    "talk_without_a_pause",
    "write_without_an_end",
)
MIXED_BY_TCP = "talk_without_a_pause"
"""With agents: a write to TCP that blocks lets another thread's in between, which is no frame."""
DEATHS = ("cut_the_cell_off", "leave_the_socket_to_a_child")
HARMLESS = ("send_descriptors", "log_garbage")


@pytest.mark.parametrize("attack", [*BREACHES, *SLOW, *DEATHS, *HARMLESS])
def test_every_item_arrives_once_whatever_one_worker_does(attack, ran, on):
    started = time.monotonic()
    end = ran(SPEC.format(n=N, attack=attack), CODE, "--output", "none")
    assert end.exit_code == 0, end.stderr
    kept = [int(line) for line in (end.log.path.parents[1] / "kept").read_text().split()]
    assert sorted(kept) == list(range(N))
    assert end.ledger("out") == {"put": N, "done": N}
    replaced = end.log.having("worker.replaced", job="work")
    assert len(replaced) == (attack not in HARMLESS)
    broke = [("broke the protocol" in r["reason"]) is (attack in BREACHES) for r in replaced]
    assert all(broke) or (on, attack) == ("agent", MIXED_BY_TCP)
    peak, fds = (int(line.split()[1]) for line in end.log.printed("keep-1"))
    assert peak < (2300 if attack == "send_what_was_announced_for_ever" else 200)
    assert fds < 80
    assert time.monotonic() - started < 100  # hundreds of times what its items take
    assert "Traceback" not in end.stderr


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_files_that_a_target_replaces_are_neither_followed_nor_waited_for(kind, begin):
    code = """
        import os
        from pathlib import Path
        def replace(kind):
            def put(path):
                os.symlink("/".join([os.getcwd(), "outside", "file"]), path)
            if kind == "pipe":
                put = os.mkfifo
            for name in ("log.jsonl", "plan.json", "spec.yaml"):
                Path("run", name).rename(Path("run", f"old.{name}"))
                put(Path("run", name))
            for name in ("summary.json", ".summary.json.draft"):
                put(Path("run", name))
            print("replaced")
            yield from range(3)
        def fail(n):
            raise ValueError
    """
    spec = f"""
        queues: {{q: 5}}
        jobs:
          replace: {{target: "t:replace", args: [{kind}], output: q}}
          fail: {{target: "t:fail", input: q, on_error: dead_letter}}
    """
    life = begin(spec, code, "--output", "none")
    outside = life.folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("untouched")
    end = life.end()
    assert end.exit_code == 3, end.stderr
    assert end.summary["queues"]["q"]["dead"] == 3
    log = (life.folder / "run" / "old.log.jsonl").read_text()
    assert '"replaced"' in log
    assert '"run.ended"' in log
    assert (outside / "file").read_text() == "untouched"
    assert [path.name for path in outside.iterdir()] == ["file"]


BATCH = "call: batch, batch: {size: 4, within: 50ms}"
FORGED = """
    import msgspec, pickle, zlib
    def numbers():
        from orchestrator.worker import outbox
        real, calls = outbox._output, iter(range(100))
        def output(*args, **keys):
            told, chunk = real(*args, **keys)
            if next(calls) == 2:
                chunk = %s
                told = msgspec.structs.replace(told, size=len(chunk), crc=zlib.crc32(chunk))
            return told, chunk
        outbox._output = output
        yield from range(20)
    def same(n): return n
    def all_the_same(ns): return list(ns)
    def keep(ns):
        for n in ns: print(n)
"""


@pytest.mark.pure_only  # it patches what is compiled
@pytest.mark.parametrize("chunk", ["pickle.dumps([])", "pickle.dumps({0: 0})", "b'no chunk'"])
@pytest.mark.parametrize("keys", ["target: t:same", f"target: t:all_the_same, {BATCH}"])
def test_what_is_no_chunk_costs_its_own_items_only(ran, chunk, keys):
    end = ran(
        f"""
        queues: {{q: 10, out: 10}}
        jobs:
          numbers: {{target: "t:numbers", output: q}}
          work: {{input: q, output: out, on_error: dead_letter, {keys}}}
          keep: {{target: "t:keep", input: out, call: stream}}
        """,
        FORGED % chunk,
    )
    assert end.exit_code == 3, end.stdout + end.stderr
    dead = end.log.having("item.dead")
    assert dead
    assert all("its producer has sent what is no chunk" in record["msg"] for record in dead)
    assert len(end.log.printed("keep-1")) == 20 - len(dead)
    assert end.summary["jobs"]["work"]["restarts"] == 0
