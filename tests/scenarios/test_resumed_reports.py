"""The report of a run that was resumed tells of all its lives."""

SPEC = """
durable: true
queues: {a: 10}
jobs:
  src: {target: "t:src", output: a}
  work: {target: "t:work", input: a, on_error: %s}
"""
CODE = """
    import os, time

    def src():
        yield from range(6)

    def work(n):
        if n in (1, 4):
            raise ValueError(f"no {n}")
        if n == 2 and not os.path.exists("again"):
            open("again", "w").close()
            print("here")
            time.sleep(1000)
"""


def resumed(begin, on_error):
    """The end of a run that was killed after its first item had failed."""
    run = begin(SPEC % on_error, CODE)
    run.said("here")
    run.guard.kill()
    run.guard.wait()
    run.gone()
    run.resume()
    return run.end()


def test_dead_letters_of_an_earlier_life_are_named_and_counted(begin):
    ended = resumed(begin, "dead_letter")
    assert ended.exit_code == 3
    assert "kept by on_error: 2 dead letters" in ended.stderr
    assert "work a:2 (1): ValueError: no 1" in ended.stderr
    assert "work a:5 (4): ValueError: no 4" in ended.stderr


def test_items_that_an_earlier_life_has_skipped_are_named_and_counted(begin):
    ended = resumed(begin, "skip")
    assert ended.exit_code == 0
    assert "skipped by on_error: 2 items" in ended.stderr
    assert ended.stderr.count("work a:2 (1): ValueError: no 1 (") == 1
    assert ended.stderr.count("work a:5 (4): ValueError: no 4 (") == 1
