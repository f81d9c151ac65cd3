"""Each rule, by what it says and where."""

import itertools

import pytest

from orchestrator.choices import StartMethod
from orchestrator.errors import Severity
from orchestrator.plan.model import Shape
from orchestrator.spec.model import FITS

WIRED = {"w": "output: q", "r": "input: q"}


def pipe_of_batches(maxsize, writers, size):
    """Jobs that put batches of these sizes on a queue, and one that reads such of `size`."""
    jobs = {"w": "output: p", "r": f"input: q, call: batch, batch: {{size: {size}}}"}
    for at, of_writer in enumerate(writers):
        jobs[f"m{at}"] = f"input: p, output: q, call: batch, batch: {{size: {of_writer}}}"
    return jobs, f"queues: {{p: 1000, q: {maxsize}}}"


QUEUE = "queues: {q: 10}"


def test_a_sound_spec_has_no_problem(found):
    assert found(WIRED, QUEUE) == ()


class TestWiring:
    def test_an_unknown_queue_says_what_was_meant(self, found):
        problems = found({"w": "output: facts", "r": "input: fatcs"}, "queues: {facts: 3}")
        unknown = next(p for p in problems if p.path == "jobs.r.input")
        assert unknown.message == "there is no queue fatcs"
        assert unknown.hint == "did you mean facts?"

    @pytest.mark.parametrize(
        ("keys", "path"),
        [
            ("input: [q, x]", "jobs.r.input.1"),
            ("input: {a: q, b: x}", "jobs.r.input.b"),
        ],
    )
    def test_an_unknown_queue_is_told_at_its_own_place(self, only, keys, path):
        assert only({"w": "output: q", "r": keys}, QUEUE).path == path

    @pytest.mark.parametrize(
        ("jobs", "message"),
        [
            ({"w": "output: q"}, "no job reads from the queue q"),
            ({"r": "input: q"}, "no job writes to the queue q"),
            ({"r": "input: {h: q}"}, "no job writes to the queue q"),
            ({"r": ""}, "no job writes to or reads from the queue q"),
        ],
    )
    def test_a_queue_needs_both_sides(self, only, jobs, message):
        problem = only(jobs, QUEUE)
        assert (problem.message, problem.path) == (message, "queues.q")

    def test_a_queue_whose_other_side_is_disabled_says_so(self, only):
        problem = only({"w": "output: q, enabled: false", "r": "input: q"}, QUEUE)
        assert problem.hint == "w would, but enabled is false"

    def test_a_queue_of_disabled_jobs_only_is_as_if_absent(self, compiled):
        jobs = {"w": "output: q, enabled: false", "r": "input: q, enabled: false", "a": ""}
        plan = compiled(jobs, QUEUE).plan
        assert (list(plan.jobs), list(plan.queues)) == (["a"], [])

    def test_no_queue_is_called_one_sided_while_a_job_is_not_understood(self, only):
        assert only({"w": "output: 3", "r": "input: q"}, QUEUE).path == "jobs.w.output"

    @pytest.mark.parametrize("keys", ["input: [q, q]", "input: {a: q, b: q}"])
    def test_a_queue_is_named_once_a_side(self, only, keys):
        assert "given twice" in only({"w": "output: q", "r": keys}, QUEUE).message

    @pytest.mark.parametrize("keys", ["input: []", "output: {}"])
    def test_a_wiring_names_a_queue(self, only, keys):
        assert "names no queue" in only({"a": keys}).message

    def test_a_parameter_is_not_both_handle_and_argument(self, only):
        jobs = {"w": "output: q", "r": "input: {h: q}, kwargs: {h: 1}"}
        problem = only(jobs, QUEUE)
        assert problem.message == "the parameter h is given twice"
        assert "kwargs" in problem.hint

    def test_a_parameter_is_not_both_input_and_output(self, only):
        jobs = {"w": "output: q", "m": "input: {h: q}, output: {h: p}", "r": "input: p"}
        assert only(jobs, "queues: {p: , q: }").path == "jobs.m.output.h"

    def test_a_batch_fits_into_its_queue(self, only):
        jobs = {"w": "output: q", "r": "input: q, call: batch, batch: {size: 11}"}
        problem = only(jobs, QUEUE)
        assert problem.message == "a batch of 11 never fits into q, which holds 10"
        assert problem.path == "jobs.r.batch.size"

    def test_a_batch_as_big_as_its_queue_fits(self, found):
        jobs = {"w": "output: q", "r": "input: q, call: batch, batch: {size: 10}"}
        assert found(jobs, QUEUE) == ()

    @pytest.mark.parametrize(
        ("maxsize", "writers", "size", "held"),
        [(10, (4,), 9, 8), (10, (4, 7), 9, 8), (10, (11,), 5, 0), (1000, (400,), 1000, 800)],
    )
    def test_whole_batches_that_never_add_up_to_a_batch_are_pointed_out(
        self, only, maxsize, writers, size, held
    ):
        problem = only(*pipe_of_batches(maxsize, writers, size))
        assert f"never holds more than {held:,} of {maxsize:,} items" in problem.message
        assert problem.path == "jobs.r.batch.size"

    @pytest.mark.parametrize(
        ("maxsize", "writers", "size"),
        [(10, (4,), 8), (10, (5,), 10), (10, (4, 3), 10), (10, (3, 7), 10), (10, (1, 11), 10)],
    )
    def test_whole_batches_that_add_up_to_a_batch_are_fine(self, found, maxsize, writers, size):
        assert found(*pipe_of_batches(maxsize, writers, size)) == ()

    def test_a_writer_that_puts_item_by_item_fills_any_batch(self, found):
        jobs, queues = pipe_of_batches(10, (4,), 9)
        assert found({**jobs, "z": "output: q"}, queues) == ()

    def test_an_unbounded_queue_is_a_warning(self, only):
        problem = only(WIRED, "queues: {q: 0}")
        assert problem.severity is Severity.WARNING
        assert problem.path == "queues.q.maxsize"

    def test_a_queue_bounded_by_bytes_alone_is_bounded(self, found):
        assert found(WIRED, "queues: {q: {maxsize: 0, max_bytes: 1MB}}") == ()
        assert found(WIRED, "queues: {q: {maxsize: 0, max_bytes: 1MB, when_full: fail}}") == ()


SHAPES = {
    Shape.TASK: "",
    Shape.SOURCE: "output: p",
    Shape.ITEM: "input: q",
    Shape.BATCH: "input: q, call: batch",
    Shape.STREAM: "input: q, call: stream",
    Shape.HANDLES: "input: {h: q}",
}
KEYS = {
    ("call",): "call: item",
    ("batch",): "batch: {size: 2}",
    ("on_error",): "on_error: skip",
    ("timeouts", "item"): "timeouts: {item: 1s}",
    ("join",): "join: 3s",
}


def _jobs_of(shape, keys):
    others = {"w": "output: q"} if "q" in SHAPES[shape] else {"r": "input: p"}
    jobs = {"j": ", ".join(filter(None, [SHAPES[shape], keys]))}
    return jobs if shape is Shape.TASK else others | jobs


class TestShapes:
    @pytest.mark.parametrize(("keys", "shape"), list(itertools.product(KEYS, Shape)))
    def test_a_key_fits_the_shapes_of_the_table_and_no_other(self, found, keys, shape):
        if keys == ("call",) and "call" in SHAPES[shape]:
            return
        queue = {"w": "queues: {q: }", "r": "queues: {p: }"}.get(
            next(iter(_jobs_of(shape, ""))), ""
        )
        problems = found(_jobs_of(shape, KEYS[keys]), queue)
        messages = [p.message for p in problems]
        if shape in FITS[keys]:
            assert messages == []
        else:
            (message,) = messages
            assert message.startswith(f"{'.'.join(keys)} does not fit")
            assert problems[0].hint

    @pytest.mark.parametrize(
        ("keys", "top", "hint"),
        [
            ("call: stream", "", "write call: batch in the place of call: stream, or remove batch"),
            ("call: item", "", "write call: batch in the place of call: item, or remove batch"),
            ("", "", "add call: batch"),
            ("", "defaults: {call: stream}\n", "add call: batch"),
        ],
    )
    def test_a_batch_without_its_call_is_told_in_the_words_that_were_written(
        self, only, keys, top, hint
    ):
        keys = ", ".join(filter(None, ["input: q", keys, "batch: {size: 2}"]))
        assert only({"w": "output: q", "j": keys}, f"{top}queues: {{q: }}").hint == hint

    @pytest.mark.parametrize("more", ["", ", daemon: true"])
    def test_what_neither_takes_nor_gives_items_has_nothing_to_restart(self, only, more):
        problem = only({"j": f"restart: {{max: 3}}{more}", "other": ""})
        assert problem.message == "restart does not fit a job without input and output"

    @pytest.mark.parametrize("shape", Shape)
    def test_a_default_counts_only_where_it_fits(self, compiled, shape):
        defaults = "on_error: skip, join: 3s, timeouts: {item: 1s}, batch: {size: 2}"
        jobs = _jobs_of(shape, "")
        queue = {"w": "q: ", "r": "p: "}.get(next(iter(jobs)), "")
        job = compiled(jobs, f"defaults: {{{defaults}}}\nqueues: {{{queue}}}").plan.jobs["j"]
        assert (job.timeouts.item_s is not None) == (shape in FITS["timeouts", "item"])
        assert (job.on_error.otherwise.value == "skip") == (shape in FITS["on_error",])
        assert (job.join_s is not None) == (shape in FITS["join",])
        assert (job.batch is not None) == (shape is Shape.BATCH)

    @pytest.mark.parametrize(("keys", "count"), [("workers: 2", 1), ("workers: 1", 0)])
    def test_a_task_in_several_workers_is_a_warning(self, found, keys, count):
        problems = found({"a": keys})
        assert [p.severity for p in problems] == [Severity.WARNING] * count

    def test_a_daemon_may_not_keep_a_job_from_ending(self, only):
        problem = only({"w": "output: q, daemon: true", "r": "input: q"}, QUEUE)
        assert "r would never end" in problem.message

    def test_daemons_may_feed_each_other(self, found):
        jobs = {"w": "output: q, daemon: true", "r": "input: q, daemon: true", "j": ""}
        assert found(jobs, QUEUE) == ()

    def test_daemons_alone_do_nothing(self, only):
        problem = only({"w": "output: q, daemon: true", "r": "input: q, daemon: true"}, QUEUE)
        assert (problem.code, problem.path) == ("MP424", "jobs")
        assert problem.severity is Severity.WARNING


class TestJobs:
    @pytest.mark.parametrize(
        ("signal", "hint"),
        [
            ("TERM", "write SIGTERM"),
            ("SIGTREM", "did you mean SIGTERM"),
            ("SIGKILL", "it is killed after its grace anyway"),
        ],
    )
    def test_a_stop_signal_can_be_sent_and_handled(self, only, signal, hint):
        problem = only({"a": f"terminate: {{signal: {signal}}}"})
        assert problem.path == "jobs.a.terminate.signal"
        assert problem.hint.startswith(hint)

    def test_a_wrong_default_is_told_once(self, only):
        problem = only({"a": "", "b": ""}, "defaults: {terminate: {signal: SIGFOO}}")
        assert problem.path == "defaults.terminate.signal"

    def test_a_start_method_is_one_the_system_has(self, only):
        problem = only({"a": "start_method: fork"}, start_methods=(StartMethod.SPAWN,))
        assert problem.hint == "write spawn"

    @pytest.mark.parametrize("method", ["fork", "forkserver"])
    def test_pythonpath_in_env_points_to_the_key(self, only, method):
        problem = only({"a": f"env: {{PYTHONPATH: x}}, start_method: {method}"})
        assert method in problem.message
        assert "pythonpath:" in problem.hint

    def test_pythonpath_in_env_has_its_effect_with_spawn(self, found):
        assert found({"a": "env: {PYTHONPATH: x}, start_method: spawn"}) == ()

    @pytest.mark.parametrize("name", ["''", "'A=B'"])
    def test_a_variable_has_a_possible_name(self, only, name):
        assert "environment variable" in only({"a": f"env: {{{name}: x}}"}).message

    @pytest.mark.parametrize(("name", "count"), [("a.B", 0), ("else", 0), ("'a b'", 1), ("'*'", 1)])
    def test_an_exception_has_a_possible_name(self, found, name, count):
        jobs = {"w": "output: q", "r": f"input: q, on_error: {{{name}: skip}}"}
        assert len(found(jobs, QUEUE)) == count

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("SyntaxEror", "did you mean SyntaxError?"),
            ("valueerror", "did you mean ValueError?"),
            ("KeyErorr", "did you mean KeyError?"),
            ("IOError", "write OSError"),
        ],
    )
    def test_an_exception_that_is_nearly_pythons_is_a_warning(self, only, name, meant):
        policy = f"on_error: {{{name}: skip, else: fail}}"
        problem = only({"w": "output: q", "r": f"input: q, {policy}"}, QUEUE)
        assert (problem.severity, problem.path) == (Severity.WARNING, f"jobs.r.on_error.{name}")
        assert (problem.line, problem.column) == (5, 49)
        assert problem.hint.startswith(meant)

    @pytest.mark.parametrize(
        "name",
        ["SyntaxError", "OSError", "ParseError", "NotFoundError", "HTTPError", "mine.SyntaxEror"],
    )
    def test_an_exception_that_may_well_be_ones_own_is_none(self, found, name):
        jobs = {"w": "output: q", "r": f"input: q, on_error: {{{name}: skip}}"}
        assert found(jobs, QUEUE) == ()

    @pytest.mark.parametrize(("keys", "top"), [("cwd: no", ""), ("", "pythonpath: [no]")])
    def test_a_folder_that_is_not_there_is_a_warning(self, only, keys, top):
        problem = only({"a": keys}, top)
        assert problem.severity is Severity.WARNING
        assert "there is no folder" in problem.message

    @pytest.mark.parametrize(
        ("jobs", "message"),
        [({"a": "enabled: false"}, "every job is disabled")],
    )
    def test_there_is_a_job_to_run(self, only, jobs, message):
        assert only(jobs).message == message


class TestOrder:
    @pytest.mark.parametrize(
        ("jobs", "message", "hint"),
        [
            ({"a": "after: a"}, "a waits for itself", "remove"),
            ({"parse": "", "b": "after: prase"}, "there is no job prase", "did you mean parse?"),
            (
                {"a": "enabled: false", "b": "after: {a: failed}"},
                "a is disabled, so it never fails",
                "enable a",
            ),
            ({"a": "daemon: true", "b": "after: a"}, "the daemon a ends", "write after: {a"),
            ({"a": "daemon: true", "b": "after: {a: failed}"}, "the daemon a", "write after"),
            ({"a": "", "b": "after: [a, a]"}, "a is given twice", "name it once"),
        ],
    )  # fmt: skip
    def test_an_after_that_never_holds_is_an_error(self, only, jobs, message, hint):
        problem = only(jobs)
        assert message in problem.message
        assert problem.hint.startswith(hint)

    def test_a_job_may_wait_until_a_daemon_is_ready(self, found):
        assert found({"a": "daemon: true", "b": "after: {a: ready}"}) == ()

    @pytest.mark.parametrize(
        ("jobs", "path"),
        [
            ({"a": "input: q, output: p", "b": "input: p, output: q"}, "a → p → b → q → a"),
            ({"a": "input: {x: q}, output: {y: q}"}, "a → q → a"),
            ({"a": "after: b", "b": "after: a"}, "a → b → a"),
            ({"c": "", "a": "after: [b, c]", "b": "after: {a: ready}"}, "a → b → a"),
            ({"a": "output: q, after: b", "b": "input: q"}, "a → q → b → a"),
        ],
    )
    def test_a_cycle_is_told_as_a_path(self, found, jobs, path):
        queues = "queues: {" + ", ".join(f"{q}: " for q in "pq" if f" {q}" in path) + "}"
        (problem,) = (p for p in found(jobs, queues) if p.severity is Severity.ERROR)
        assert problem.message.endswith(f": {path}")
        assert problem.path == f"jobs.{path[0]}"

    def test_each_cycle_is_told(self, found):
        jobs = {"a": "after: b", "b": "after: a", "c": "after: d", "d": "after: c"}
        assert [p.path for p in found(jobs)] == ["jobs.a", "jobs.c"]

    def test_a_job_may_wait_until_the_writer_of_its_input_is_ready(self, found):
        assert found({"w": "output: q", "r": "input: q, after: {w: ready}"}, QUEUE) == ()

    def test_a_reader_that_starts_after_its_writer_has_ended_is_a_warning(self, only):
        problem = only({"w": "output: q", "r": "input: q, after: w"}, QUEUE)
        assert problem.severity is Severity.WARNING
        assert "more than 10 items" in problem.message

    def test_the_wait_of_a_reader_over_other_jobs_counts_too(self, only):
        jobs = {"w": "output: q", "x": "after: w", "r": "input: q, after: x"}
        assert only(jobs, QUEUE).path == "jobs.w.output"

    def test_one_reader_that_starts_at_once_is_enough(self, found):
        jobs = {"w": "output: q", "r": "input: q, after: w", "s": "input: q"}
        assert found(jobs, QUEUE) == ()


def test_problems_of_values_and_of_wiring_are_told_together(found):
    jobs = {"w": "output: q, workers: 0", "r": "input: qq", "x": "target: os, after: y"}
    assert [p.path for p in found(jobs, QUEUE)] == [
        "jobs.w.workers",
        "jobs.r.input",
        "jobs.x.target",
        "jobs.x.after",
    ]


class TestDefaultsOfAMatrix:
    """A default is typed as what stands around it, the values as they were written."""

    @pytest.mark.parametrize(
        ("reference", "include", "told"),
        [
            ('"${matrix.b:-1}"', "b: 2", True),
            ('"${matrix.b:-1.5}"', "b: true", True),
            ('"${matrix.b:-1}"', "b: x", False),
            ('"${matrix.b:-x}"', "b: 2", False),
            ('"n${matrix.b:-1}"', "b: 2", False),
            ('"${matrix.b:-1}"', "c: 2", False),
        ],
    )
    def test_text_beside_a_number_is_a_warning(self, found, reference, include, told):
        matrix = f"matrix: {{a: [1, 2], include: [{{a: 2, {include}}}]}}"
        problems = found({"x": f"{matrix}, target: 'time:sleep', kwargs: {{v: {reference}}}"})
        warned = [each.path for each in problems if each.code == "MP151"]
        assert warned == (["jobs.x_1.kwargs.v"] if told else [])


def test_problems_of_one_kind_are_cut_short(found):
    problems = found({f"j{n}_": "after: nobody" for n in range(300)})
    assert len(problems) == 201
    assert problems[-1].message == "and more of this kind"
