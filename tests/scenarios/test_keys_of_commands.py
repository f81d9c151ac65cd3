"""Each key of a job with a command has the effect that docs/keys.md promises for its shape."""

import signal

import pytest
from keys_page import COMMANDS, Draft, ran_once, slug, those

COMMAND = {
    "exit_codes": ("exit_codes: [5]", "exit 5"),
    "timeouts.item": ("timeouts: {item: 200ms}", "sleep 30"),
    "timeouts.run": ("timeouts: {run: 200ms}", "sleep 30"),
    "terminate.signal": ("timeouts: {run: 200ms}, terminate: {signal: SIGUSR1}", "sleep 30"),
    "on_error": ("on_error: skip", "exit 4"),
    "retry.attempts": ("retry: {attempts: 2, backoff: {initial: 1ms}}, on_error: skip", "exit 4"),
    "limits.open_files": ("limits: {open_files: 123}", "echo limit $(ulimit -n) >&2"),
    "recycle.max_items": ("recycle: {max_items: 1}", "true"),
    "env": ("env: {MARK: here}", "echo mark $$MARK >&2"),
    "cwd": ("cwd: sub", "echo in $$(basename $$PWD) >&2"),
    "stdin: text": ("stdin: text", "cat >&2"),
    "stdin: json": ("stdin: json", "cat >&2"),
    "stdin: none": ("stdin: none", "echo read $$(wc -c) >&2"),
    "stdout: lines": ("stdout: lines, OUT", "printf '[1, 2]\\n[3]\\n'"),
    "stdout: json": ("stdout: json, OUT", "printf '[1, 2]\\n[3]\\n'"),
    "stdout: text": ("stdout: text, OUT", "printf '[1, 2]\\n[3]\\n'"),
    "stdout: log": ("stdout: log", "echo to the log"),
}


def made_of_commands():
    draft = Draft(items=(["x"],))
    for key, shape, cell in COMMANDS:
        if cell != "yes":
            continue
        keys, script = COMMAND[key]
        reads = "cat >/dev/null; " if shape == "stream" and "stdin" not in key else ""
        out = f"o_{slug('c', key, shape)}"
        keys = keys if "OUT" in keys or shape != "source" else f"{keys}, OUT"
        command = f'command: "{reads}{script}"'.replace("\\n", "\\\\n").replace("$(", "$$(")
        command = command.replace("$$$(", "$$(")
        draft.add(slug("c", key, shape), shape, keys, command)
        if key in ("stdout: lines", "stdout: json", "stdout: text"):
            draft.drained.remove(out)
            draft.jobs[f"of_{out}"] = f'target: "t:tell_each", input: {out}, call: stream'
    return draft


COMMAND_CODE = """
def feed(items): return items

def drain(items):
    for item in items: pass

def tell_each(items):
    for item in items: print(repr(item))
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return ran_once(tmp_path_factory, made_of_commands(), COMMAND_CODE)


def _printed(text):
    def witness(ended, name, shape):
        assert text in ended.log.printed(f"{name}-1")

    return witness


def _emitted(*items):
    def witness(ended, name, shape):
        assert ended.log.printed(f"of_o_{name}-1") == list(items)

    return witness


def _counted(key):
    def witness(ended, name, shape):
        assert ended.summary["jobs"][name][key] == 1

    return witness


def _ended(status, said=""):
    def witness(ended, name, shape):
        assert ended.statuses()[name] == status
        assert said in ended.summary["jobs"][name]["reason"]

    return witness


def _stopped(ended, name, shape):
    assert ended.codes()[name] == [-signal.SIGUSR1]


OF_COMMANDS = {
    "exit_codes": _ended("succeeded"),
    "timeouts.item": _ended("timed_out", "timeouts.item"),
    "timeouts.run": _ended("timed_out", "timeouts.run"),
    "terminate.signal": _stopped,
    "on_error": _counted("skipped"),
    "retry.attempts": _counted("retried"),
    "limits.open_files": _printed("limit 123"),
    "recycle.max_items": _counted("recycled"),
    "env": _printed("mark here"),
    "cwd": _printed("in sub"),
    "stdin: text": _printed('["x"]'),
    "stdin: json": _printed('["x"]'),
    "stdin: none": _printed("read 0"),
    "stdout: lines": _emitted("'[1, 2]'", "'[3]'"),
    "stdout: json": _emitted("[1, 2]", "[3]"),
    "stdout: text": _emitted(repr("[1, 2]\n[3]\n")),
    "stdout: log": _printed("to the log"),
}


@pytest.mark.parametrize(("key", "shape"), **those(COMMANDS, "yes"))
def test_a_key_of_a_command_has_its_effect(commands, key, shape):
    OF_COMMANDS[key](commands, slug("c", key, shape), shape)
