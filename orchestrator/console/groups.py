"""Groups of commands that say what was meant by a word or an option of other tools."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, NamedTuple

import click

__all__ = ["COMMANDS", "Group", "hint_for_option"]


class Group(click.Group):
    """A group; `elsewhere` has words of other tools, and what to say to them."""

    elsewhere: ClassVar[Mapping[str, str]] = {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say what was probably meant."""
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        written = " ".join([*ctx.command_path.split()[1:], name])
        hint = self.hint_for(name, known)
        raise click.UsageError(f"There is no command {written!r}. {hint}", ctx)

    def hint_for(self, name: str, known: Collection[str]) -> str:
        """Return what to say to someone who wrote `name`, which is none of the `known`."""
        if (meant := self.elsewhere.get(name)) is not None:
            return meant
        import difflib  # noqa: PLC0415 -- only for what is misspelt

        if close := difflib.get_close_matches(name, known, n=1):
            return f"Did you mean {close[0]}?"
        return f"The commands are {', '.join(known)}."


_REMOVED_BY_HAND = "Runs are removed as folders: rm -r .mporch/runs/ID. `mporch runs` lists them."
COMMANDS = {
    **dict.fromkeys(("ps", "status", "list", "ls", "history"), "Did you mean runs?"),
    **dict.fromkeys(("lint", "check", "verify", "config"), "Did you mean validate?"),
    **dict.fromkeys(("up", "start", "exec", "launch", "execute"), "Did you mean run?"),
    **dict.fromkeys(("log", "tail"), "Did you mean logs?"),
    **dict.fromkeys(("inspect", "describe", "report", "info", "events"), "Did you mean show?"),
    **dict.fromkeys(("retry", "replay", "failed", "dlq"), "Did you mean dead?"),
    **dict.fromkeys(("continue", "restart", "rerun"), "Did you mean resume?"),
    **dict.fromkeys(("new", "create", "scaffold"), "Did you mean init?"),
    **dict.fromkeys(("down", "kill", "cancel", "halt", "end", "abort"), "Did you mean stop?"),
    **dict.fromkeys(("watch", "monitor", "live", "stats", "htop"), "Did you mean top?"),
    **dict.fromkeys(("peek", "sample", "listen", "consume", "spy"), "Did you mean tap?"),
    **dict.fromkeys(("clean", "rm", "remove", "prune", "delete", "purge"), _REMOVED_BY_HAND),
    "version": "That is mporch --version",
    "help": "That is mporch --help, and of a command mporch COMMAND --help",
}
"""Words that other tools have for commands of mporch, and what to say to them."""


class _Options(NamedTuple):
    """Options of other tools, what a command must have for the words to be true, and the words.

    `of` is the name of the command, or an option that it has; empty is any.
    """

    names: str
    of: str
    words: str


_OPTIONS = (
    _Options("--tail --last --limit -t", "logs", "That is -n N, the last N records"),
    _Options(
        "--since --until --from --to --after --before",
        "logs",
        "There is no filter by time: -n N shows the last N records, and of the records of "
        "--format json `jq 'select(.ts >= \"2026-11-23T08\")'` chooses by time",
    ),
    _Options("--event --type -e", "logs", "That is --field event=X, as in event=item.dead"),
    _Options("--error --errors", "logs", "That is --level error"),
    _Options("--search --filter --match -g", "logs", "That is --grep REGEX"),
    _Options("-v --verbose --debug", "logs", "All levels are shown, unless --level says otherwise"),
    _Options("-q --quiet --silent", "logs", "That is --level warning"),
    _Options("--limit --last -n", "runs", "The latest run comes first: mporch runs | head -n N"),
    _Options("--all -a", "runs", "All runs are listed"),
    _Options("--list --templates -l", "init", "`mporch init --help` has the templates"),
    _Options("--name", "init", "Name the folder: mporch init NAME"),
    _Options("-t", "init", "That is --template"),
    _Options("--config --spec -c", "--file", "The spec comes first, or by -f FILE (--file)"),
    _Options(
        "--workers --concurrency --parallel --processes --procs --jobs -j -w",
        "--set",
        "How many workers a job has is a key of the spec: --set jobs.JOB.workers=N",
    ),
    _Options("--retries --attempts", "--set", "That is --set jobs.JOB.retry.attempts=N"),
    _Options(
        "--timeout",
        "--set",
        "That is --set timeout=1h, or of one job --set jobs.JOB.timeouts.run=1h",
    ),
    _Options("--durable", "--set", "That is --set durable=true"),
    _Options(
        "-e --env",
        "--set",
        "A job gets a variable by --set jobs.JOB.env.NAME=VALUE; --env-file FILE is for ${NAME}",
    ),
    _Options("-e --env", "--env-file", "That is --env-file FILE, with lines NAME=value"),
    _Options(
        "--only --select --job --target",
        "--tags",
        "Name the jobs, as in mporch run parse store, or choose by --tags TAG",
    ),
    _Options("--profile --tag --label", "--tags", "Jobs are chosen by --tags TAG"),
    _Options("--exclude --except --without", "--tags", "That is --skip JOB"),
    _Options("--case --name --test --filter", "test", "That is -k NAME"),
    _Options("-n --dryrun --check --plan", "run", "That is --dry-run"),
    _Options(
        "--detach -d --background --daemon",
        "run",
        "A run stays with the command that started it: nohup mporch run & lets it outlive the "
        "terminal",
    ),
    _Options(
        "-o --out",
        "--run-dir",
        "--run-dir DIR keeps the run's files there; --output raw or none is for what functions "
        "print",
    ),
    _Options("-o --out --output", "graph", "It goes to standard output: mporch graph > FILE"),
    _Options(
        "-q --quiet --silent",
        "--output",
        "--output none keeps what your functions print in the log, --progress none shows no "
        "progress",
    ),
    _Options(
        "-v --verbose --debug --log-level",
        "--output",
        "The log has everything: mporch logs last --level debug",
    ),
    _Options("-q --quiet --silent", "", "The exit code alone tells how it went"),
    _Options("--json -j", "text|json", "That is --format json"),
)
"""The first that fits is told."""


def hint_for_option(option: str, command: str, options: Collection[str]) -> str:
    """Return what `command`, which has `options`, has for an `option` of other tools; or nothing.

    Of an option with a choice, `options` have that too: `text|json`.
    """
    for each in _OPTIONS:
        if option in each.names.split() and each.of in ("", command, *options):
            return each.words
    return ""
