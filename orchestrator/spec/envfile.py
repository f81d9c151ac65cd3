"""Files of variables, `NAME=value` a line, that stand in for the environment."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

from orchestrator.errors import Problem, SpecError
from orchestrator.spec import source
from orchestrator.spec.rules import variables
from orchestrator.spec.wording import show

__all__ = ["environment_of"]


def environment_of(files: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `files`, later ones first, beneath those of `environ`.

    A value may name variables, `${NAME}` and `${NAME:-default}`: of the environment, or of a line
    above or a file before; one that is not there is empty, as in python-dotenv.

    Raises:
        SpecError: a file cannot be read, or a line of it is no `NAME=value`.

    """
    found: dict[str, str] = {}
    for name in files:
        found |= _read(name, found, environ)
    return found | dict(environ)


def _read(name: str, before: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 -- most specs need no such file
    from dotenv.variables import parse_variables  # noqa: PLC0415

    missing = "name a file with lines NAME=value"
    text = source.read(name, suffixes=(".env",), missing=missing).text
    bindings = list(parse_stream(io.StringIO(text)))
    wrong = [each.original for each in bindings if each.error]
    if wrong:
        raise SpecError(
            Problem(
                rule=variables.BAD_ENV_FILE,
                file=name,
                line=each.line + len(each.string) - len(each.string.lstrip("\n")),
                column=1,
                width=0,
                message=f"{show(each.string.strip())} is no NAME=value",
                hint="write NAME=value; quotes around a value are taken off",
            )
            for each in wrong
        )
    found: dict[str, str] = {}
    for each in bindings:
        if each.key and each.value is not None:
            known = {**before, **found, **environ}
            pieces = parse_variables(each.value)
            found[each.key] = "".join(piece.resolve(known) for piece in pieces)
    return found
