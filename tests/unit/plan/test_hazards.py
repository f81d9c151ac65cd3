"""What may hang, or does nothing: told of specs that can be run."""

import pytest

DRAINS = "def join(a, b):\n    for x in a: pass\n    for y in b: pass\n"
TURNS = "def join(a, b):\n    for x, y in zip(a, b): pass\n"
JOIN = "target: 'joins:join', input: {a: a, b: b}"


def codes(problems):
    return [problem.code for problem in problems]


class TestBranches:
    @pytest.fixture
    def told(self, found, tmp_path):
        def check(jobs, queues, text=DRAINS):
            (tmp_path / "joins.py").write_text(text)
            return found({**jobs, "j": JOIN}, f"queues: {queues}")

        return check

    def test_a_queue_that_fills_while_its_reader_waits_at_another_is_told_at_its_wire(self, told):
        (problem,) = told({"w": "output: [a, b]"}, "{a: 5, b: 5}")
        assert (problem.code, problem.path) == ("MP310", "jobs.j.input.b")
        assert "reads a to its end before it takes from b" in problem.message
        assert "once that is full, w comes to wait for room, and a never ends" in problem.message

    @pytest.mark.parametrize(
        "jobs",
        [
            {"w": "output: [a, x]", "m": "input: x, output: b"},
            {"w": "output: [x, b]", "m": "input: x, output: a"},
            {"w": "output: x", "m": "input: x, output: {good: a, bad: b}"},
            {"w": "output: x", "m": "input: x, call: batch, output: [a, b]"},
            {"v": "output: b", "w": "output: a, after: v", "m": "output: x", "o": "input: x"},
        ],
    )
    def test_a_writer_may_be_far_upstream_or_waited_for(self, told, jobs):
        assert codes(told(jobs, "{a: 5, b: 5, x: 5}")) == ["MP310"]

    @pytest.mark.parametrize(
        ("jobs", "queues"),
        [
            ({"v": "output: a", "w": "output: b"}, "{a: 5, b: 5}"),
            ({"v": "output: a", "w": "output: b, after: {v: ready}"}, "{a: 5, b: 5}"),
            ({"w": "output: [a, b]"}, "{a: 5, b: 5000}"),
            ({"w": "output: [a, b]"}, "{a: 5, b: {maxsize: 5, when_full: drop_oldest}}"),
            ({"w": "output: [a, b]"}, "{a: 5, b: {maxsize: 5, when_full: fail}}"),
            ({"w": "output: [a, b]"}, "{a: 5, b: {maxsize: 5, put_timeout: 1s}}"),
            ({"w": "output: [a, b]", "r": "input: b"}, "{a: 5, b: 5}"),
            ({"w": "output: [a, x]", "m": "input: x, output: b"}, "{a: 5, b: 5, x: 5000}"),
            (
                {"w": "output: [a, x]", "m": "input: x, output: b", "r": "input: x"},
                "{a: 5, b: 5, x: 5}",
            ),
        ],
    )
    def test_nothing_is_told_where_the_writer_can_go_on(self, told, jobs, queues):
        assert "MP310" not in codes(told(jobs, queues))

    def test_nothing_is_told_of_a_job_that_takes_from_both_in_turn(self, told):
        assert told({"w": "output: [a, b]"}, "{a: 5, b: 5}", TURNS) == ()

    def test_a_job_whose_items_are_moved_takes_from_whichever_has_some(self, found):
        jobs = {"w": "output: [a, b]", "r": "input: [a, b], call: stream"}
        assert found(jobs, "queues: {a: 5, b: 5}") == ()

    def test_thousands_of_such_readers_take_no_time(self, told):
        jobs = {f"w{i}": f"output: [a{i}, b{i}]" for i in range(700)}
        joins = {f"t{i}": f"target: 'joins:join', input: {{a: a{i}, b: b{i}}}" for i in range(700)}
        queues = ", ".join(f"a{i}: 5, b{i}: 5" for i in range(700))
        jobs = {**jobs, **joins, "w": "output: [a, b]"}
        problems = told(jobs, f"{{a: 5, b: 5, {queues}}}")
        assert problems[-1].message == "and more of this kind" or len(problems) >= 200


class TestLimits:
    QUEUE = "queues: {q: 10}"

    @pytest.mark.parametrize(
        ("keys", "top", "path", "message"),
        [
            (
                "timeouts: {item: 1h, run: 10m}", "", "timeouts.item",
                "1h is never reached: timeouts.run ends the worker after 10m",
            ),
            (
                "join: 90s, timeouts: {run: 1m}", "", "join",
                "1m30s is never reached: timeouts.run ends the worker after 1m",
            ),
            (
                "timeouts: {run: 2h}", "timeout: 1h", "timeouts.run",
                "2h is never reached: timeout ends the whole run after 1h",
            ),
            (
                "timeouts: {start: 61s}", "timeout: 1m", "timeouts.start",
                "1m1s is never reached: timeout ends the whole run after 1m",
            ),
            ("join: 2s", "timeout: 1500ms", "join", "2s is never reached: timeout ends the"),
        ],
    )  # fmt: skip
    def test_a_limit_beneath_a_shorter_one_is_told(self, only, keys, top, path, message):
        jobs = {"w": "output: q", "r": f"input: q, {keys}"}
        problem = only(jobs, f"{self.QUEUE}\n{top}")
        assert (problem.code, problem.path) == ("MP421", f"jobs.r.{path}")
        assert problem.message.startswith(message)

    @pytest.mark.parametrize(
        ("keys", "top"),
        [
            ("timeouts: {item: 1h, run: 1h}", ""),
            ("timeouts: {start: 1h, run: 1m}", ""),
            ("timeouts: {item: null, run: 1m}", "timeout: 1m"),
            ("", "timeout: 1s"),
            ("timeouts: {run: 1m}", "defaults: {timeouts: {item: 1h}}"),
        ],
    )
    def test_limits_that_agree_or_were_not_written_for_the_job_are_not(self, found, keys, top):
        jobs = {"w": "output: q", "r": f"input: q, {keys}"}
        assert found(jobs, f"{self.QUEUE}\n{top}") == ()

    def test_defaults_that_contradict_themselves_are_told_once(self, only):
        jobs = {"w": "output: q", "r": "input: q", "s": "input: q"}
        top = f"{self.QUEUE}\ndefaults: {{timeouts: {{item: 1h, run: 1m}}}}"
        assert only(jobs, top).path == "defaults.timeouts.item"

    def test_a_grace_longer_than_the_run_is_told_where_it_was_written(self, only, found):
        top = "timeout: 30s\ndefaults: {terminate: {grace: 1m}}"
        problem = only({"a": "", "b": ""}, top)
        assert (problem.code, problem.path) == ("MP422", "defaults.terminate.grace")
        assert problem.message == "a stop may take 1m, and the whole run has 30s"
        assert found({"a": "terminate: {grace: 30s}"}, "timeout: 30s") == ()
        assert found({"a": ""}, "timeout: 1s") == ()

    @pytest.mark.parametrize(("cores", "workers"), [(1, 32), (2, 32), (16, 64)])
    def test_many_times_more_workers_than_processors_are_told(self, found, only, cores, workers):
        jobs = {"w": "output: q", "r": f"input: q, workers: {workers}"}
        assert found(jobs, self.QUEUE, processors=cores) == ()
        jobs["r"] = f"input: q, workers: {workers + 1}"
        problem = only(jobs, self.QUEUE, processors=cores)
        assert (problem.code, problem.path) == ("MP423", "jobs.r.workers")
        assert problem.message.startswith(f"{workers + 1} processes would share {cores} processor")

    @pytest.mark.parametrize(
        ("queues", "path", "message"),
        [
            ("{q: {max_bytes: 9GiB}}", "queues.q", "the queue q may hold 9.0GiB, and this machine"),
            (
                "{q: {max_bytes: 3GiB}, p: {max_bytes: 6GiB}}",
                "queues.p",
                "2 queues may hold 9.0GiB together, and this machine has 8.0GiB of memory",
            ),
        ],
    )
    def test_queues_that_may_hold_more_than_the_memory_are_told(self, only, queues, path, message):
        jobs = {"w": "output: [q, p]", "r": "input: [q, p]"}
        if "p:" not in queues:
            jobs = {"w": "output: q", "r": "input: q"}
        problem = only(jobs, f"queues: {queues}", memory_bytes=8 << 30)
        assert (problem.code, problem.path) == ("MP309", f"{path}.max_bytes")
        assert problem.message.startswith(message)

    def test_queues_that_fit_and_machines_that_tell_nothing_are_silent(self, found):
        jobs, top = {"w": "output: q", "r": "input: q"}, "queues: {q: {max_bytes: 8GiB}}"
        assert found(jobs, top, memory_bytes=8 << 30) == ()
        top = top.replace("8GiB", "8EiB").replace("8EiB", "3EiB")
        assert found(jobs, top, memory_bytes=None) == ()


class TestConditions:
    @pytest.mark.parametrize(
        ("jobs", "message"),
        [
            (
                {"a": "", "b": "after: a", "c": "after: {a: failed, b: succeeded}"},
                "b is skipped when a has failed",
            ),
            (
                {"a": "", "m": "after: a", "b": "after: m", "c": "after: {b: ready, a: failed}"},
                "b is skipped when a has failed",
            ),
            (
                {
                    "a": "on_failure: continue",
                    "b": "after: {a: succeeded}",
                    "c": "after: {a: failed, b: ready}",
                },
                "b is skipped when a has failed",
            ),
            (
                {"a": "output: q", "b": "input: q", "c": "after: {a: failed, b: succeeded}"},
                "the run stops when a fails, before b has succeeded",
            ),
            (
                {"a": "", "b": "after: {a: finished}", "c": "after: {a: failed, b: ready}"},
                "the run stops when a fails, before b has become ready",
            ),
            (
                {"a": "", "b": "", "c": "after: {a: failed, b: failed}"},
                "a and b: the failure of one stops the other",
            ),
            (
                {
                    "a": "",
                    "b": "after: {a: failed}",
                    "c": "after: {a: failed, b: succeeded}",
                },
                "the run stops when a fails, before b has succeeded",
            ),
        ],
    )
    def test_waits_that_cannot_all_come_true_are_told(self, only, jobs, message):
        problem = only(jobs, "queues: {q: 10}" if "input" in str(jobs) else "")
        assert (problem.code, problem.message) == ("MP508", message)
        assert problem.path.startswith("jobs.c.after.")

    @pytest.mark.parametrize(
        "jobs",
        [
            {"a": "", "b": "", "c": "after: {a: failed, b: succeeded}"},
            {"a": "", "b": "after: a", "c": "after: {a: failed, b: finished}"},
            {
                "a": "on_failure: drain",
                "b": "after: {a: finished}",
                "c": "after: {a: failed, b: ready}",
            },
            {
                "a": "output: q, on_failure: continue",
                "b": "input: q",
                "c": "after: {a: failed, b: succeeded}",
            },
            {
                "a": "output: q",
                "b": "input: q, call: stream",
                "c": "after: {a: failed, b: succeeded}",
            },
            {"a": "on_failure: continue", "b": "", "c": "after: {a: failed, b: failed}"},
        ],
    )
    def test_waits_that_may_come_true_are_not(self, found, jobs):
        top = "queues: {q: 10}" if "input" in str(jobs) else ""
        assert found(jobs, top) == ()
