"""Batches that nothing can fill go out at once, those that a slow source will fill wait."""

import pytest

CODE = """
    import os, time
    def numbers(n):
        yield from range(n)
    def slow(n):
        for i in range(n):
            yield i
            time.sleep(0.05)
    def same(items):
        return list(items)
    def less(items):
        return [item for item in items if item != 7]
    def two(item, out, more):
        out.put(item)
        more.put(item)
    def load(items):
        print("batch", len(items))
"""
WITHIN_S = 20


def batches(end, worker="load-1"):
    return [int(line.split()[1]) for line in end.log.printed(worker)]


@pytest.mark.parametrize(("target", "size"), [("same", 400), ("less", 1000)])
def test_batches_that_do_not_add_up_do_not_wait_for_within(ran, target, size):
    spec = f"""
        queues: {{a: 1000, b: 1000}}
        jobs:
          numbers: {{target: "t:numbers", args: [6000], output: a}}
          map: {{target: "t:{target}", input: a, output: b, workers: 2,
                 call: batch, batch: {{size: {size}}}}}
          load: {{target: "t:load", input: b, call: batch,
                  batch: {{size: 1000, within: {WITHIN_S}s}}}}
    """
    end = ran(spec, CODE)
    assert end.exit_code == 0, end.stderr
    assert sum(batches(end)) == 6000 - (target == "less")
    assert end.summary["jobs"]["load"]["short_batches"] == 0
    assert end.summary["duration_s"] < WITHIN_S / 2


def test_two_readers_of_copies_do_not_wait_for_each_other(ran):
    spec = f"""
        queues: {{a: 100, b: 10, c: 7}}
        jobs:
          numbers: {{target: "t:numbers", args: [500], output: a}}
          two: {{target: "t:two", input: a, output: {{out: b, more: c}}, workers: 2}}
          load: {{target: "t:load", input: b, call: batch,
                  batch: {{size: 10, within: {WITHIN_S}s}}}}
          other: {{target: "t:load", input: c, call: batch,
                   batch: {{size: 7, within: {WITHIN_S}s}}}}
    """
    end = ran(spec, CODE)
    assert end.exit_code == 0, end.stderr
    assert sum(batches(end)) == sum(batches(end, "other-1")) == 500
    assert end.summary["duration_s"] < WITHIN_S / 2


def test_a_batch_waits_for_a_slow_source_and_the_report_says_for_how_long(ran):
    spec = """
        queues: {a: 100}
        jobs:
          slow: {target: "t:slow", args: [24], output: a}
          load: {target: "t:load", input: a, call: batch, batch: {size: 50, within: 400ms}}
    """
    end = ran(spec, CODE)
    assert end.exit_code == 0, end.stderr
    job = end.summary["jobs"]["load"]
    assert sum(batches(end)) == 24 and min(batches(end)[:-1]) > 1
    assert job["short_batches"] >= 1 and job["waiting_within_s"] >= 0.4 * job["short_batches"]
    assert "for more until `within` was over, and went out short" in end.stderr + end.stdout
