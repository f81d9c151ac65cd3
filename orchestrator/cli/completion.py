"""`mporch completion`: have a shell complete mporch's command lines, by click's own mechanism."""

from __future__ import annotations

import click

from orchestrator.errors import ExitCode

__all__ = ["VARIABLE", "complete", "completion"]

VARIABLE = "_MPORCH_COMPLETE"
"""Set by the shell's function when it asks what would fit."""

_EPILOG = """\b
For every new shell, one of:
  echo 'eval "$(mporch completion bash)"' >> ~/.bashrc
  echo 'eval "$(mporch completion zsh)"' >> ~/.zshrc
  mporch completion fish > \\
    ~/.config/fish/completions/mporch.fish

\b
Examples:
  mporch completion bash
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print what SHELL must read to complete commands, options, runs, jobs, workers and queues."""
    return complete(ctx.find_root().command, f"{shell}_source")


def complete(root: click.Command, instruction: str) -> int:
    """Do what the shell asks for, such as `bash_complete`; return the exit code."""
    from click.shell_completion import add_completion_class, shell_complete  # noqa: PLC0415

    from orchestrator.console.completing import ZshComplete  # noqa: PLC0415 -- hardly ever needed

    add_completion_class(ZshComplete)
    failed = shell_complete(root, {}, "mporch", VARIABLE, instruction)
    return ExitCode.USAGE if failed else ExitCode.OK
