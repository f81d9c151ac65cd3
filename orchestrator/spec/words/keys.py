"""The keys of the spec, and the words other tools have for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel

from orchestrator.spec.cases import Case, Expect, Expected, Given, Kill
from orchestrator.spec.model import Document, Job, JobSettings
from orchestrator.spec.parts import (
    Backoff,
    Batch,
    Limits,
    Ordered,
    Queue,
    Rate,
    Recycle,
    Restart,
    Retry,
    Terminate,
    Timeouts,
)
from orchestrator.spec.wording import Guesses, did_you_mean

__all__ = ["hint_for_key"]


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The keys of one kind of mapping, what others call them, and what is not built yet.

    `advice` is for words that stand for no key: what to do instead.
    """

    model: type[BaseModel]
    foreign: dict[str, str]
    advice: dict[str, str] = field(default_factory=dict)
    later: frozenset[str] = field(default_factory=frozenset)

    def has(self, folded: str) -> bool:
        """True if `folded` is a key, or a word that something is known of."""
        tables = (self.model.model_fields, self.foreign, self.advice, self.later)
        return any(folded in table for table in tables)

    def hint(self, key: str) -> str:
        if key in self.later:
            return f"{key} is not in this version of mporch; remove it"
        known = tuple(self.model.model_fields)
        folded = key.casefold().replace("-", "_")
        if folded in known:
            return f"did you mean {folded}?"
        if folded in self.advice:
            return self.advice[folded]
        if folded in self.foreign:
            return f"did you mean {self.foreign[folded]}?"
        return did_you_mean(key, known) or f"known here: {', '.join(known)}"


def _synonyms(**words: str) -> dict[str, str]:
    """Turn `ours="theirs and theirs"` round."""
    return {theirs: ours for ours, many in words.items() for theirs in many.split()}


_TOP = _Words(
    model=Document,
    foreign=_synonyms(
        jobs="services stages tasks processes steps workflows pipeline pipelines nodes programs",
        queues="channels pipes topics streams queue buffers edges",
        pythonpath="path python_path paths",
        defaults="default default_args job_defaults",
        timeout="timelimit time_limit deadline max_runtime",
        name="id title project",
        vars="params parameters variables",
        tests="test cases specs checks scenarios examples",
    )
    | {"env": "defaults: {env: …}", "environment": "defaults: {env: …}"},
    later=frozenset({"store", "include", "resources", "schedule"}),
)
_WHEN = "cron, or a timer of systemd, starts `mporch run` at its times; remove it here"
_SHARED = "use an anchor (&name, and <<: *name), defaults:, or a file laid over with -f"
_CHECKED = "after: {JOB: ready} waits until a job's workers are ready; remove it here"
_NOTHING_LIKE_IT = "there is nothing like it here; remove it"
_ADVICE = {
    "env_file": "give it by --env-file for ${NAME}, or write the variables under env:",
    **dict.fromkeys(("extends", "inherits", "template", "anchors"), _SHARED),
    **dict.fromkeys(("schedule", "every", "cron", "interval", "at"), _WHEN),
    **dict.fromkeys(("healthcheck", "health_check", "readiness", "probe"), _CHECKED),
    **dict.fromkeys(
        ("status", "state", "generates", "image", "volumes", "ports"), _NOTHING_LIKE_IT
    ),
}
_SETTINGS = _Words(
    advice=_ADVICE,
    model=JobSettings,
    foreign=_synonyms(
        workers="replicas concurrency processes parallelism parallel procs num_workers instances "
        "numprocs n_workers nproc scale count threads",
        kwargs="parameters params options keyword_arguments with",
        args="arguments arg argv positional",
        call="mode shape",
        env="environment environ envs vars",
        cwd="working_dir workdir working_directory directory dir chdir",
        on_error="onerror error_policy errors ignore_errors",
        retry="retry_policy",
        restart="restarts restart_policy max_restarts",
        rate="rate_limit ratelimit throttle max_rate qps rps per_second",
        ordered="order keep_order preserve_order in_order sorted",
        limits="limit resources rlimits ulimits ulimit",
        on_failure="onfailure failure_policy fail_policy",
        start_method="context mp_context method",
        description="comment doc help desc name title",
        enabled="disabled active enable if when only_if",
        tags="tag labels label groups group profiles",
        daemon="background service",
    )
    | {
        "timeout": "timeouts: {run: …} or timeouts: {item: …}",
        "time_limit": "timeouts: {item: …}",
        "batch_size": "batch: {size: …}",
        "batchsize": "batch: {size: …}",
        "chunksize": "batch: {size: …}",
        "stop_signal": "terminate: {signal: …}",
        "stopwaitsecs": "terminate: {grace: …}",
        "shutdown": "terminate",
        "stop": "terminate",
        "stopsignal": "terminate: {signal: …}",
        "grace": "terminate: {grace: …}",
        "stop_grace_period": "terminate: {grace: …}",
        "start_timeout": "timeouts: {start: …}",
        "dead_letter": "on_error: dead_letter",
        "backoff": "retry: {backoff: {initial: …}}",
        **dict.fromkeys(("retries", "max_retries", "attempts"), "retry: {attempts: …}"),
        "memory": "limits: {memory: …}",
        "max_items": "recycle: {max_items: …}",
        "max_rss": "recycle: {max_rss: …}",
        "maxtasksperchild": "recycle: {max_items: …}",
        "max_tasks_per_child": "recycle: {max_items: …}",
        "worker_lifespan": "recycle: {max_items: …}",
    },
    later=frozenset({"nice"}),
)
_JOB = _Words(
    advice=_ADVICE,
    model=Job,
    foreign=_SETTINGS.foreign
    | _synonyms(
        after="needs depends_on dependson depends dependencies deps requires wait_for upstream",
        target="entrypoint function func callable module",
        command="cmd cmds commands run script exec program shell sh bash argv cmdline",
        exit_codes="ok_exit_codes success_exit_codes ok_codes success_codes returncodes",
        input="inputs source sources from in consumes reads subscribe",
        output="outputs to out outs sink produces writes publishes publish",
        matrix="strategy parallel_matrix foreach for_each expand sweep with_items",
    )
    | {"queue": "input or output", "queues": "input or output"},
    later=_SETTINGS.later,
)
_QUEUE = _Words(
    model=Queue,
    foreign=_synonyms(
        maxsize="size capacity max_size maxlen limit length max_items bound buffer",
        max_bytes="bytes maxbytes max_size_bytes memory max_memory",
        when_full="on_full overflow overflow_policy full policy",
        put_timeout="timeout wait",
    ),
    later=frozenset({"dead_letter", "durable"}),
)
_TIMEOUTS = _Words(
    model=Timeouts,
    foreign=_synonyms(
        run="execution total worker max_runtime job",
        start="startup start_timeout ready boot",
        item="per_item each call task batch",
    )
    | {"join": "join, a key of the job"},
)
_TERMINATE = _Words(
    model=Terminate,
    foreign=_synonyms(
        grace="timeout wait kill_after period grace_period", signal="sig stop_signal"
    ),
)
_BATCH = _Words(
    model=Batch,
    foreign=_synonyms(
        size="max max_size count n length items",
        within="timeout interval linger max_wait wait time period",
    ),
)
_RETRY = _Words(
    model=Retry,
    foreign=_synonyms(
        attempts="max times count tries retries max_attempts max_retries limit",
        backoff="delay wait interval",
    ),
)
_BACKOFF = _Words(
    model=Backoff,
    foreign=_synonyms(
        initial="min start first base delay initial_delay", max="max_delay limit most cap"
    ),
)
_RESTART = _Words(
    model=Restart,
    foreign=_synonyms(
        max="count times attempts max_restarts limit", within="window period interval time"
    ),
)
_LIMITS = _Words(
    model=Limits,
    foreign=_synonyms(
        memory="mem ram max_memory memory_limit as rss",
        cpu="cpu_time time cputime",
        open_files="nofile files fds max_open_files",
    ),
)
_RECYCLE = _Words(
    model=Recycle,
    foreign=_synonyms(max_items="items after count max_tasks", max_rss="memory rss max_memory"),
)
_CASE = _Words(
    model=Case,
    foreign=_synonyms(
        give="given input inputs feed in items fixtures arrange",
        replace="mock mocks stub stubs patch fake fakes stand_in replaces",
        expect="expected then output outputs assert assertions want checks",
        kill="kills faults fault crash",
        description="comment doc help desc",
        timeout="time_limit limit",
    )
    | {name: f"expect: {{{name}: …}}" for name in Expect.model_fields},
)
_GIVEN = _Words(
    model=Given,
    foreign=_synonyms(items="values list data", file="path from", target="function call func"),
)
_EXPECT = _Words(
    model=Expect,
    foreign=_synonyms(
        queues="queue items output outputs",
        dead="dead_letters letters deadletters",
        jobs="job states status statuses",
        exit_code="exit code exitcode returncode rc",
        log="logs events event",
    ),
)
_EXPECTED = _Words(
    model=Expected,
    foreign=_synonyms(
        equals="equal eq items exactly is",
        in_any_order="any_order unordered set sorted",
        contains="contain has includes include",
        each="all every",
        count="len length size number n",
        at_least="min minimum least",
        at_most="max maximum most",
    ),
)
_KILL = _Words(model=Kill, foreign=_synonyms(job="worker target", at_item="item at nth n"))
_RATE = _Words(
    model=Rate,
    foreign=_synonyms(limit="rate max per_second qps", burst="bucket capacity size tokens"),
)
_ORDERED = _Words(
    model=Ordered,
    foreign=_synonyms(window="size max limit buffer ahead"),
)
_PARTS = {
    "timeouts": _TIMEOUTS,
    "terminate": _TERMINATE,
    "batch": _BATCH,
    "retry": _RETRY,
    "backoff": _BACKOFF,
    "restart": _RESTART,
    "limits": _LIMITS,
    "recycle": _RECYCLE,
    "rate": _RATE,
    "ordered": _ORDERED,
}


def hint_for_key(path: tuple[str | int, ...]) -> str:
    """Return what to write instead of the unknown key at the end of `path`."""
    key = str(path[-1])
    match path[:-1]:
        case ():
            return _hint_at_the_top(key)
        case ("jobs", _):
            return _JOB.hint(key)
        case ("defaults",):
            return _hint_in_defaults(key)
        case ("queues", _):
            return _QUEUE.hint(key)
        case ("tests", _, *inner):
            return _hint_in_case(inner, key)
        case (*_, part) if part in _PARTS:
            return _PARTS[str(part)].hint(key)
        case _:
            return ""


_ONLY_OF_A_JOB = Job.model_fields.keys() - JobSettings.model_fields.keys()


def _hint_at_the_top(key: str) -> str:
    """Tell of a job's key that it belongs to a job, unless it is a word for a key of the top."""
    folded = key.casefold().replace("-", "_")
    if _TOP.has(folded):
        return _TOP.hint(key)
    ours = _JOB.foreign.get(folded, folded)
    if ours.partition(":")[0] not in Job.model_fields:
        return _TOP.hint(key)
    if ours in _ONLY_OF_A_JOB:
        return f"{ours} belongs to a job: jobs: {{NAME: {{{ours}: …}}}}"
    return (
        f"that belongs to a job; for all jobs: defaults: {{{ours}{'' if ':' in ours else ': …'}}}"
    )


def _hint_in_defaults(key: str) -> str:
    """Tell of a key that only a job has, however it is called or misspelt, that it is one."""
    folded = key.casefold().replace("-", "_")
    if _SETTINGS.has(folded):
        return _SETTINGS.hint(key)
    meant = _JOB.foreign.get(folded, folded)
    if meant not in _ONLY_OF_A_JOB:
        near = Guesses(Job.model_fields).near(key)
        meant = near[0] if near and near[0] in _ONLY_OF_A_JOB else ""
    if meant == key:
        return f"{key} belongs to a job; it has no default"
    belongs = f"did you mean {meant}? It belongs to a job, and has no default"
    return belongs if meant else _SETTINGS.hint(key)


def _hint_in_case(path: list[str | int], key: str) -> str:
    match path:
        case []:
            return _CASE.hint(key)
        case ["give", _]:
            return _GIVEN.hint(key)
        case ["kill", *_]:
            return _KILL.hint(key)
        case ["expect"]:
            return _EXPECT.hint(key)
        case ["expect", "queues" | "dead", _]:
            return _EXPECTED.hint(key)
        case _:
            return ""
