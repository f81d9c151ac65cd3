"""Queues whose spec gives no bound, in real runs: 10,000 items, and softly 16 MiB."""

import json

import pytest

MB = 1_000_000
SOFT = 16 << 20

PIPE = """
    queues: {images: }
    jobs:
      make: {target: "t:make", output: images, workers: %d}
      look: {target: "t:look", input: images}
"""
HANDLES = """
    queues: {images: }
    jobs:
      make: {target: "t:make", output: {images: images}%s}
      look: {target: "t:look", input: {images: images}%s}
"""
LATE = """
    def make(images):
        for n in range(40):
            images.put(bytes(1_000_000))

    def look(images):
        for image in images:
            assert len(image) == 1_000_000
"""


def test_of_large_items_sixteen_are_held(ran):
    end = ran(
        HANDLES % ("", ""),
        """
        import time
        def make(images):
            for n in range(60):
                images.put(bytes(1_000_000))
        def look(images):
            while not images.full():
                time.sleep(0.001)
            time.sleep(0.1)
            for image in images:
                assert len(image) == 1_000_000
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 60, "done": 60}
    assert SOFT <= end.summary["queues"]["images"]["peak_bytes"] < SOFT + 2 * MB


@pytest.mark.parametrize("workers", [1, 3])
def test_what_sources_yield_keeps_to_it(ran, workers):
    end = ran(
        PIPE % workers,
        """
        import time
        def make():
            for n in range(40):
                yield bytes(1_000_000)
        def look(image):
            time.sleep(0.005)
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 40 * workers, "done": 40 * workers}
    assert end.summary["queues"]["images"]["peak_bytes"] < SOFT + (workers + 1) * MB


def test_large_items_after_small_ones_exceed_it_by_half_at_most(ran):
    end = ran(
        PIPE % 1,
        """
        import time
        def make():
            yield from range(50)
            for n in range(60):
                yield bytes(1_000_000)
        def look(image):
            time.sleep(0.005)
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 110, "done": 110}
    assert end.summary["queues"]["images"]["peak_bytes"] < 1.5 * SOFT + 4 * MB


def test_a_reader_that_starts_after_its_writer_finds_all_of_it(ran):
    end = ran(HANDLES % ("", ", after: [make]"), LATE)
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 40, "done": 40}


def test_a_job_that_reads_one_queue_to_its_end_first_is_not_stopped_by_it(ran):
    end = ran(
        """
        queues: {names: , images: }
        jobs:
          make: {target: "t:make", output: {names: names, images: images}}
          look: {target: "t:look", input: {names: names, images: images}}
          beside: {target: "t:beside", daemon: true}
        """,
        """
        import time
        def make(names, images):
            for n in range(40):
                images.put(bytes(1_000_000))
                names.put(n)
        def look(names, images):
            assert len(list(names)) == 40
            assert sum(1 for image in images) == 40
        def beside():
            while True:
                time.sleep(0.01)
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 40, "done": 40}


def test_no_batch_is_smaller_than_it_is_written(ran):
    end = ran(
        """
        queues: {images: }
        jobs:
          make: {target: "t:make", output: images}
          look: {target: "t:look", input: images, call: batch, batch: {size: 40, within: 1m}}
        """,
        """
        def make():
            for n in range(80):
                yield bytes(1_000_000)
        def look(images):
            print("got", len(images))
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("look-1") == ["got 40", "got 40"]


def test_a_run_that_was_begun_with_another_default_is_resumed_with_it(begin):
    run = begin(
        """
        durable: true
        queues: {a: , b: }
        jobs:
          src: {target: "t:src", output: a}
          work: {target: "t:work", input: a, output: b}
          last: {target: "t:last", input: b}
        """,
        """
        import os, time
        def src():
            yield from range(3000)
        def work(n):
            if n == 20 and not os.path.exists("again"):
                open("again", "w").close()
                print("here")
                time.sleep(1000)
            return n
        def last(n):
            pass
        """,
    )
    run.said("here")
    run.guard.kill()
    run.guard.wait()
    run.gone()
    (path,) = run.folder.rglob("plan.json")
    plan = json.loads(path.read_bytes())
    for queue in plan["queues"].values():
        assert queue["soft_bytes"] == SOFT
        del queue["soft_bytes"]
        queue["maxsize"] = 1000
    path.write_text(json.dumps(plan))
    run.resume()
    end = run.end()
    assert end.exit_code == 0, end.stderr
    assert {each["maxsize"] for each in end.summary["queues"].values()} == {1000}
    assert end.ledger("b") == {"put": 3000, "done": 3000}


def test_a_thread_that_waits_at_one_queue_does_not_keep_another_from_room(ran):
    end = ran(
        """
        queues: {names: , images: }
        jobs:
          make: {target: "t:make", output: {names: names, images: images}}
          look: {target: "t:look", input: {names: names, images: images}}
        """,
        """
        import threading
        def make(names, images):
            for n in range(40):
                images.put(bytes(1_000_000))
            names.put("all")
        def look(names, images):
            thread = threading.Thread(target=lambda: print("got", names.get()))
            thread.start()
            thread.join()
            assert sum(1 for image in images) == 40
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 40, "done": 40}


@pytest.mark.parametrize(
    ("n", "size"), [(17, 1), (3_000, 1), (40, 1_000_000)], ids=["few", "many", "large"]
)
@pytest.mark.parametrize("queues", ["{numbers: 10, images: }", "{numbers: 10, images: 10000}"])
def test_what_one_transaction_puts_is_stopped_by_no_bound_that_is_not_written(ran, n, size, queues):
    end = ran(
        f"""
        queues: {queues}
        jobs:
          count: {{target: "t:count", output: numbers}}
          make:
            target: t:make
            args: [{n}, {size}]
            input: {{numbers: numbers}}
            output: {{images: images}}
          look: {{target: "t:look", args: [{n}], input: images, call: stream}}
        """,
        """
        import time
        from orchestrator import WouldWaitError, transaction
        def count():
            yield from range(3)
        def make(n, size, numbers, images):
            for number in numbers:
                while True:
                    put = 0
                    try:
                        with transaction():
                            for at in range(n):
                                images.put(bytes(size))
                                put += 1
                        break
                    except WouldWaitError:
                        assert put == 0, f"{put} were put"
                        time.sleep(0.01)
        def look(images, n):
            assert sum(1 for image in images) == 3 * n
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.ledger("images") == {"put": 3 * n, "done": 3 * n}
