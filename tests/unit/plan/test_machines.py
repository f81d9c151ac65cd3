"""A plan is that of the machine it is made for, whichever machine makes it."""

from orchestrator.choices import StartMethod


def test_programs_are_looked_for_on_the_path_of_the_machine(found, only, tmp_path):
    problem = only({"a": "command: [cat]"}, path=str(tmp_path))
    assert (problem.code, problem.message) == ("MP675", "there is no program cat on PATH")
    (tmp_path / "cat").write_text("#!/bin/sh\n")
    (tmp_path / "cat").chmod(0o755)
    assert found({"a": "command: [cat]"}, path=str(tmp_path)) == ()


def test_a_jobs_own_path_goes_before_that_of_the_machine(found, tmp_path):
    job = f"command: [mine], env: {{PATH: {tmp_path}}}"
    (tmp_path / "mine").write_text("#!/bin/sh\n")
    (tmp_path / "mine").chmod(0o755)
    assert found({"a": job}, path="/nonesuch") == ()


def test_a_job_starts_by_the_best_method_of_the_machine(compiled):
    ways = (StartMethod.SPAWN, StartMethod.FORK)
    plan = compiled({"a": "", "b": "start_method: fork"}, start_methods=ways).plan
    assert plan.jobs["a"].start_method is StartMethod.SPAWN
    assert plan.jobs["b"].start_method is StartMethod.FORK


def test_a_stop_signal_is_one_of_the_machine(compiled, only):
    signals = {"SIGTERM": 15, "SIGMINE": 99}
    job = {"a": "terminate: {signal: SIGMINE}"}
    assert compiled(job, stop_signals=signals).plan.jobs["a"].terminate.signal == 99
    problem = only({"a": "terminate: {signal: SIGUSR1}"}, stop_signals=signals)
    assert problem.message == "SIGUSR1 is no signal here"
