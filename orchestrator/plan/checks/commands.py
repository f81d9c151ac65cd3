"""Rules on commands: they go with their job's keys, can be started, and get their items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePath

from orchestrator.encoding import HINT, unfit
from orchestrator.errors import Problem
from orchestrator.machine.programs import Programs
from orchestrator.plan.hidden_values import shown_beneath
from orchestrator.plan.model import CommandInput, CommandOutput, Shape
from orchestrator.plan.resolved_spec import ResolvedJob, ResolvedSpec, node_at
from orchestrator.plan.script import PLACEHOLDER, SHELL, ScriptError, fields_of, script_of
from orchestrator.spec import LoadedSpec, rules
from orchestrator.spec.model import ONLY_COMMANDS, ONLY_TARGETS
from orchestrator.spec.wording import Guesses, listed, show
from orchestrator.spec.yaml.nodes import Path, ScalarNode, Word

__all__ = ["HOME", "RULES"]

HOME = re.compile(r"~[A-Za-z0-9_-]*(?:/.*)?", re.DOTALL)
"""`~`, `~/x` and `~user/x`."""

_FILES = re.compile(r"(?:[^\s*?]*/)?\*(?:\.[A-Za-z0-9_.]+)?")
_VARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)(?:/\S*)?", re.ASCII)
_READ_THEM_THEMSELVES = frozenset({
    "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "ssh", "awk", "gawk", "mawk", "perl",
    "envsubst", "find", "fd", "git", "rg", "zip", "unzip", "tar", "rsync", "aws", "docker",
    "kubectl", "make",
})  # fmt: skip
"""Programs to which such words mean something, or that hand them to a shell."""
_BRACES = re.compile(r"\{\s*([A-Za-z]+)[^{}]*\}")
_NEAR = 0.7
_OF_A_SHELL = frozenset({"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "<<<"})


def nothing_to_run(draft: ResolvedSpec) -> Iterator[Problem]:
    """Each job has a target or a command, and not both."""
    for name, job in {**draft.jobs, **draft.disabled}.items():
        has_target = "target" in job.own.model_fields_set
        if has_target and job.runs_command:
            hint = "remove one of them, or write two jobs"
            message = f"{name} has both a target and a command"
            yield draft.spec.problem(rules.TWO_CALLS, job.path("command"), message, hint, key=True)
        elif not has_target and not job.runs_command and name not in draft.broken:
            message = "the key target is missing"
            hint = draft.meant_below("jobs", name)
            hint = hint or "add target: package.module:function, or command: [program, argument]"
            yield draft.spec.problem(rules.MISSING_KEY, job.path(), message, hint, key=True)


def misfit_with_command(draft: ResolvedSpec) -> Iterator[Problem]:
    """A job has only keys that go with what it runs."""
    for job in draft.jobs.values():
        if job.name in draft.broken or {"target", "command"} <= job.own.model_fields_set:
            continue
        for key in ONLY_TARGETS if job.runs_command else ONLY_COMMANDS:
            if key not in job.own.model_fields_set:
                continue
            message = (
                f"{key} is only for a job with a {'target' if job.runs_command else 'command'}"
            )
            hint = "write the arguments into the command" if job.runs_command else f"remove {key}"
            yield draft.spec.problem(rules.COMMAND_MISFIT, job.path(key), message, hint, key=True)
        if job.runs_command:
            yield from _wires(draft, job)


def _wires(draft: ResolvedSpec, job: ResolvedJob) -> Iterator[Problem]:
    """Tell of queues that a command cannot use, and of what it reads or writes without one."""
    problem, misfit = draft.spec.problem, rules.COMMAND_MISFIT
    for wire in (*job.reads, *job.writes):
        if wire.parameter is not None:
            key = str(wire.path[2])
            message = "a command cannot be given a handle to a queue"
            yield problem(misfit, wire.path, message, f"write {key}: {wire.queue}", key=True)
    if job.stdin is not CommandInput.NONE and not job.reads:
        message = "there is nothing to read: the job has no input"
        yield problem(misfit, job.path("stdin"), message, "remove stdin, or add an input", key=True)
    logs = job.stdout is CommandOutput.LOG
    if logs and job.writes:
        message = f"what is logged is not put on {listed(w.queue for w in job.writes)}"
        hint = "write lines, json or text, or remove output"
        yield problem(misfit, job.path("stdout"), message, hint, key=True)
    elif not (logs or job.writes):
        message = "there is no queue to put it on: the job has no output"
        hint = "write log, or add an output"
        yield problem(misfit, job.path("stdout"), message, hint, key=True)


def misplaced_item(draft: ResolvedSpec) -> Iterator[Problem]:
    """A placeholder is in a command that is run once an item."""
    for job, path, text in _texts(draft):
        if job.shape is Shape.ITEM or not (fields := fields_of(text)):
            continue
        what = "has no input" if not job.reads else f"is called with a {job.shape.value}"
        message = f"there is no item for {fields[0].text}: the job {what}"
        hint = (
            "add an input, or write {{item}} for the text"
            if not job.reads
            else ("write call: item, or have the items on standard input")
        )
        yield draft.spec.problem(rules.BAD_PLACEHOLDER, path, message, hint)


def unread_items(draft: ResolvedSpec) -> Iterator[Problem]:
    """A command that is called with batches or a stream reads them."""
    for job in draft.jobs.values():
        many = job.runs_command and job.shape in (Shape.BATCH, Shape.STREAM)
        if not many or job.name in draft.broken:
            continue
        if job.stdin is CommandInput.NONE and not job.has_field:
            message = (
                f"nobody would take the items: a command with call: {job.shape.value} reads them"
            )
            hint = "write stdin: text or json, or remove it"
            yield draft.spec.problem(rules.COMMAND_MISFIT, job.path("stdin"), message, hint)


def doubtful_braces(draft: ResolvedSpec) -> Iterator[Problem]:
    """A word in braces that is nearly `item` is pointed out."""
    near = Guesses(["item"], cutoff=_NEAR)
    for job, path, text in _texts(draft):
        for found in _BRACES.finditer(text):
            around = text[max(0, found.start() - 1) : found.end() + 1]
            if PLACEHOLDER.search(around) or not job.reads or not near.hint(found[1]):
                continue
            message = f"{found[0]} is handed over as it is"
            hint = "did you mean {item}?"
            yield draft.spec.problem(rules.DOUBTFUL_PLACEHOLDER, path, message, hint)


def no_program(draft: ResolvedSpec) -> Iterator[Problem]:
    """The program of a list is there and can be started."""
    known: dict[tuple[str | None, str], Programs] = {}
    for job in _jobs(draft):
        line, settings = job.own.command, job.settings
        if isinstance(line, str) or fields_of(line[0]):
            continue
        search = settings.env.get("PATH", draft.machine.path)
        folder = draft.spec.project_dir / settings.cwd
        programs = known.setdefault((search, settings.cwd), draft.machine.programs(search, folder))
        if flaw := programs.flaw(line[0]):
            path: Path = (*job.path("command"), 0)
            message, hint = flaw
            for _, shown in shown_beneath("cwd", job, draft.spec):
                message = message.replace(str(PurePath(settings.cwd)), shown)
            yield draft.spec.problem(rules.NO_PROGRAM, path, message, hint)


def unreadable_script(draft: ResolvedSpec) -> Iterator[Problem]:
    """A shell can read the command, and be given the item in it."""
    flaws: dict[str, str | None] = {}
    for job in _jobs(draft):
        if not isinstance(line := job.own.command, str):
            continue
        path = job.path("command")
        try:
            script = script_of(line).text
        except ScriptError as error:
            hint = "put the item on standard input (stdin: text)"
            yield draft.spec.problem(rules.BAD_PLACEHOLDER, path, str(error), hint)
            continue
        if what := unfit(script):
            yield draft.spec.problem(rules.BAD_SCRIPT, path, f"the command has {what}", HINT)
            continue
        if script not in flaws:
            flaws[script] = draft.machine.script_flaw(SHELL, script)
        if flaw := flaws[script]:
            message = f"the shell cannot read this: {flaw}"
            hint = "look at its quotes and brackets; a list is run without a shell"
            yield draft.spec.problem(rules.BAD_SCRIPT, path, message, hint)


def one_word(draft: ResolvedSpec) -> Iterator[Problem]:
    """A value outside of quotes that the shell would read as more than a word is pointed out."""
    for job in _jobs(draft):
        path = job.path("command")
        node = node_at(draft.spec.tree, path)
        for word in node.words if isinstance(node, ScalarNode) else ():
            if not word.would_be_read:
                continue
            value = "" if word.given else f": {show(word.value)}"
            message = f"{word.written} is one word, whatever the shell would read in it{value}"
            hint = f'if that is what you want, write "{word.written}"'
            if word.source:
                hint += f"; to have it read, {word.source}"
            problem = draft.spec.problem(rules.ONE_WORD, path, message, hint)
            yield _marking(problem, word, draft.spec)


def _marking(problem: Problem, word: Word, spec: LoadedSpec) -> Problem:
    """Return the problem of a command at the reference in it, wherever that is in its lines."""
    text = spec.texts.get(problem.file, "")
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: problem.line - 1]) + problem.column - 1
    written = rf"(?<!\$)(?:\$\$)*({re.escape(word.written)})"
    found = next(islice(re.finditer(written, text[start:]), word.before, None), None)
    if found is None:
        return problem
    before = text[: start + found.start(1)]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return replace(problem, line=line, column=column, width=len(word.written))


def words_of_a_shell(draft: ResolvedSpec) -> Iterator[Problem]:
    """A list that has words of a shell in it is pointed out."""
    for job, path, text in _texts(draft):
        if text in _OF_A_SHELL and not isinstance(job.own.command, str):
            message = f"{text} is handed to {job.own.command[0]} as an argument"
            hint = "write the command as one text, for /bin/sh"
            yield draft.spec.problem(rules.DOUBTFUL_COMMAND, path, message, hint)


def _jobs(draft: ResolvedSpec) -> Iterator[ResolvedJob]:
    return (job for job in draft.jobs.values() if job.runs_command)


def _texts(draft: ResolvedSpec) -> Iterator[tuple[ResolvedJob, Path, str]]:
    """Yield each text of each command, with its place."""
    for job in _jobs(draft):
        line, path = job.own.command, job.path("command")
        if isinstance(line, str):
            yield job, path, line
        else:
            yield from ((job, (*path, n), text) for n, text in enumerate(line))


# Words of a list that a shell would expand: nobody does without one.


def unexpanded(draft: ResolvedSpec) -> Iterator[Problem]:
    """A word of a list that a shell would have expanded is pointed out."""
    for job in draft.jobs.values():
        line = job.own.command
        if not job.runs_command or isinstance(line, str):
            continue
        for n in range(len(line)):
            path = (*job.path("command"), n)
            node = node_at(draft.spec.tree, path)
            is_given = isinstance(node, ScalarNode) and node.shown is not None
            if found := _told(line, n, is_given=is_given):
                message, hint = found
                yield draft.spec.problem(rules.DOUBTFUL_COMMAND, path, message, hint)


def _told(line: Sequence[str], n: int, *, is_given: bool) -> tuple[str, str] | None:
    """Return what to say of a word; of one that `is_given` by the environment nothing is shown."""
    word = line[n]
    if HOME.fullmatch(word):
        return _message("~"), "write ${HOME}, or the command as one text, for /bin/sh"
    if PurePath(line[0]).name in _READ_THEM_THEMSELVES:
        return None
    if (variable := _VARIABLE.fullmatch(word)) and not is_given:
        name = variable[1]
        hint = f"write ${{{name}}}, or the command as one text, for /bin/sh"
        return _message(f"${name}"), hint
    if n and not line[n - 1].startswith("-") and _FILES.fullmatch(word):
        return _message("*"), "write the command as one text, for /bin/sh"
    return None


def _message(what: str) -> str:
    return f"{what} is handed over as it is: there is no shell to expand it"


RULES = (
    nothing_to_run,
    misfit_with_command,
    misplaced_item,
    unread_items,
    doubtful_braces,
    no_program,
    unreadable_script,
    one_word,
    words_of_a_shell,
    unexpanded,
)
