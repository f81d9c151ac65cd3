"""Queues that bound the bytes of their items, in real runs."""

import subprocess

import pytest
from life_runs import COMMAND, DEADLINE_S

MB = 1_000_000

PIPE = """
    queues: {images: {maxsize: 100, max_bytes: 1MB%s}}
    jobs:
      make: {target: "t:make", output: images}
      look: {target: "t:look", input: images}
"""

HANDLES = """
    queues: {images: {maxsize: 100, max_bytes: 1MB}}
    jobs:
      make: {target: "t:make", output: {images: images}}
      look: {target: "t:look", input: {images: images}}
"""


def test_a_queue_of_large_items_holds_no_more_than_its_bytes_and_one_item(ran):
    end = ran(
        HANDLES,
        """
        import time
        def make(images):
            for n in range(40):
                images.put(bytes(300_000))
        def look(images):
            while not images.full():
                time.sleep(0.001)
            for image in images:
                assert len(image) == 300_000
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 40, "done": 40}
    assert 1 * MB <= end.summary["queues"]["images"]["peak_bytes"] < 1.4 * MB
    assert "peak bytes" in end.stderr


def test_items_larger_than_the_bound_pass_one_by_one(ran):
    end = ran(
        PIPE % "",
        """
        def make():
            for n in range(5):
                yield bytes(3_000_000)
        def look(image):
            assert len(image) == 3_000_000
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 5, "done": 5}
    assert end.summary["queues"]["images"]["peak"] == 1


def test_small_items_share_chunks_and_keep_to_the_bound(ran):
    end = ran(
        """
        queues: {words: {maxsize: 0, max_bytes: 20kB}, odd: {max_bytes: 1kB}}
        jobs:
          make: {target: "t:make", output: words, workers: 2}
          look: {target: "t:look", input: words, output: odd, workers: 2}
          keep: {target: "t:keep", input: {odd: odd}}
        """,
        """
        def make():
            for n in range(5000):
                yield n if n % 2 else {"word": str(n)}
        def look(word):
            return word
        def keep(odd):
            print("kept", sum(1 for _ in odd))
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("odd") == {"put": 10_000, "done": 10_000}
    assert "kept 10000" in end.stdout
    queues = end.summary["queues"]
    assert queues["words"]["peak_bytes"] < 40_000
    assert queues["odd"]["peak_bytes"] < 2000


def test_an_item_that_gives_more_than_the_bound_gives_it_in_parts(ran):
    end = ran(
        """
        queues: {folders: 10, images: {max_bytes: 1MB}}
        jobs:
          list: {target: "t:list_", output: folders}
          make: {target: "t:make", input: folders, output: images}
          look: {target: "t:look", input: images}
        """,
        """
        def list_():
            yield from range(3)
        def make(folder):
            for n in range(20):
                yield bytes(200_000)
        def look(image):
            pass
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 60, "done": 60}
    assert end.summary["queues"]["images"]["peak_bytes"] < 2.3 * MB


@pytest.mark.parametrize("how", ["block=False", "timeout=0.05"])
def test_a_put_that_cannot_wait_finds_a_queue_full_in_bytes(ran, how):
    end = ran(
        HANDLES,
        f"""
        import os, queue, time
        def make(images):
            n = 0
            try:
                while True:
                    images.put(bytes(400_000), {how})
                    n += 1
            except queue.Full:
                print("put", n, images.full(), images.qsize())
            os.mkdir("told")
        def look(images):
            while not os.path.exists("told"):
                time.sleep(0.005)
            for image in images:
                pass
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert "put 3 True 3" in end.stdout
    assert end.ledger("images") == {"put": 3, "done": 3}


@pytest.mark.parametrize(
    ("policy", "code", "told"),
    [
        ("put_timeout: 100ms", 1, "found the queue images full"),
        ("when_full: fail", 1, "found the queue images full"),
        ("when_full: drop_newest", 0, "looked [0, 1, 2]"),
        ("when_full: drop_oldest", 0, "looked [7, 8, 9]"),
    ],
)
def test_what_a_full_queue_does_it_does_when_it_is_full_in_bytes(ran, policy, code, told):
    end = ran(
        f"""
        queues: {{images: {{max_bytes: 1MB, {policy}}}}}
        jobs:
          make: {{target: "t:make", output: images, on_failure: drain}}
          look: {{target: "t:look", input: {{images: images}}}}
        """,
        """
        import os, time
        def make():
            try:
                for n in range(10):
                    yield n, bytes(400_000)
            finally:
                os.mkdir("told")
        def look(images):
            while not os.path.exists("told"):
                time.sleep(0.005)
            time.sleep(0.1)
            print("looked", [n for n, _ in images])
        """,
    )
    assert end.exit_code == code, end.stderr
    assert told in end.stdout + end.stderr


def test_what_a_dead_worker_had_counts_again_and_nothing_is_lost(ran):
    end = ran(
        PIPE.replace("input: images", "input: images, workers: 2, retry: {attempts: 2}") % "",
        """
        import os
        def make():
            for n in range(30):
                yield n, bytes(200_000)
        def look(image):
            n, _ = image
            if n % 7 == 3 and not os.path.exists(f"been-{n}"):
                os.mkdir(f"been-{n}")
                os.kill(os.getpid(), 9)
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 30, "done": 30}
    assert end.summary["jobs"]["look"]["restarts"] == 4


def test_finished_items_are_committed_though_the_next_takes_long(ran):
    """A commit to such a queue waits for its answer, but not for the target."""
    end = ran(
        """
        queues: {numbers: 100, out: {max_bytes: 1kB}}
        jobs:
          make: {target: "t:make", output: numbers}
          work: {target: "t:work", input: numbers, output: out}
          keep: {target: "t:keep", input: out}
        """,
        """
        import os, time
        def make():
            yield from range(40)
        def work(n):
            deadline = time.monotonic() + 20
            while n in (20, 30) and not os.path.exists(f"kept-{n - 1}"):
                assert time.monotonic() < deadline, "what was finished before is not committed"
                time.sleep(0.005)
            return n
        def keep(n):
            os.mkdir(f"kept-{n}")
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("out") == {"put": 40, "done": 40}


def test_a_resumed_run_goes_on_with_the_bytes_it_had(begin):
    run = begin(
        """
        durable: true
        queues: {images: {maxsize: 100, max_bytes: 1MB}}
        jobs:
          make: {target: "t:make", output: images}
          look: {target: "t:look", input: images}
        """,
        """
        import os
        def make():
            for n in range(20):
                yield n, bytes(300_000)
        def look(image):
            if image[0] == 7 and not os.path.exists("mended"):
                raise ValueError("not yet")
        """,
    )
    assert run.end().exit_code == 1
    (run.folder / "mended").touch()
    subprocess.run(
        [COMMAND, "resume", "run"],
        cwd=run.folder,
        check=True,
        timeout=DEADLINE_S,
        capture_output=True,
    )
    ended = run.end()
    assert ended.ledger("images") == {"put": 20, "done": 20}
    assert ended.summary["queues"]["images"]["peak_bytes"] < 1.7 * MB
