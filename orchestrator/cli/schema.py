"""`mporch schema`: the JSON Schema of a spec, or of a log."""

from __future__ import annotations

import click

from orchestrator.console.printing import print_json

__all__ = ["schema"]

_EPILOG = """\b
Examples:
  mporch schema > jobs.schema.json

Then, as the first line of jobs.yaml, for editors with the YAML language server:

\b
  # yaml-language-server: $schema=jobs.schema.json
"""


@click.command(epilog=_EPILOG)
@click.option("--log", is_flag=True, help="That of a line of log.jsonl instead.")
def schema(*, log: bool) -> None:
    """Print the JSON Schema (2020-12) of a spec, with which editors complete, explain and check.

    It knows each key and value, and which keys fit together; `mporch validate` knows more: queues,
    targets, cycles.
    """
    if log:
        from orchestrator.runlog.schema import log_schema  # noqa: PLC0415

        print_json(log_schema())
        return
    from orchestrator.spec.schema import spec_schema  # noqa: PLC0415 -- brings the spec's model

    print_json(spec_schema())
