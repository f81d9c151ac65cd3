"""Calls against signatures: everything that does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature

from orchestrator.errors import Rule
from orchestrator.plan.shared_state import advice_for
from orchestrator.spec import rules
from orchestrator.spec.wording import did_you_mean, listed
from orchestrator.spec.yaml.nodes import Path

__all__ = ["Call", "GivenArguments", "Slip", "slips"]

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, kw_only=True)
class GivenArguments:
    """An argument: what it is, in words, and where it is written."""

    what: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Call:
    """What something is called with. `advice` says how a parameter `{name}` can be given."""

    path: Path
    positional: Sequence[GivenArguments]
    named: Mapping[str, GivenArguments]
    advice: str


@dataclass(frozen=True, kw_only=True)
class Slip:
    """One way in which a call does not fit. With `key` the key at `path` is meant."""

    rule: Rule
    path: Path
    message: str
    hint: str = ""
    key: bool = False


def slips(name: str, place: str, signature: Signature, call: Call) -> Iterator[Slip]:
    """Yield what keeps `call` from being made: `name` is what is called, `place` where it is."""
    parameters = signature.parameters
    taken = [each for each in parameters.values() if each.kind in _POSITIONAL]
    filled = {each.name: given for each, given in zip(taken, call.positional, strict=False)}
    told = f"{name} ({place})" if place else name
    kinds = {each.kind for each in parameters.values()}
    if Parameter.VAR_POSITIONAL not in kinds:
        yield from _too_many(told, parameters, taken, call)
    missed: set[str] = set()
    for key, given in call.named.items():
        parameter = parameters.get(key)
        if parameter is not None and parameter.kind in _BY_NAME:
            if key in filled:
                yield _twice(told, key, filled[key], given)
        elif Parameter.VAR_KEYWORD not in kinds:
            slip, meant = _unknown(told, key, given, parameters, {*filled, *call.named})
            missed |= meant
            yield slip
    for parameter in parameters.values():
        needed = parameter.kind in {*_POSITIONAL, Parameter.KEYWORD_ONLY}
        known = {*filled, *missed}
        if parameter.kind is not Parameter.POSITIONAL_ONLY:
            known |= call.named.keys()
        if needed and parameter.default is Parameter.empty and parameter.name not in known:
            yield Slip(
                rule=rules.MISSING_ARGUMENT,
                path=call.path,
                message=f"{told} needs {parameter.name}, which nothing gives",
                hint=_how_to_give(parameter, call),
            )


def _how_to_give(parameter: Parameter, call: Call) -> str:
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        return f"{parameter.name} is positional-only: give it in args"
    advice = advice_for(parameter.name) or call.advice
    return advice.format(name=parameter.name)


def _too_many(
    told: str, parameters: Mapping[str, Parameter], taken: Sequence[Parameter], call: Call
) -> Iterator[Slip]:
    if len(call.positional) <= len(taken):
        return
    excess = call.positional[len(taken)]
    takes = f"only {listed((p.name for p in taken), last='and')}" if taken else "none"
    hint = "remove it, or give the function a parameter for it"
    only = [p.name for p in parameters.values() if p.kind is Parameter.KEYWORD_ONLY]
    if free := [name for name in only if name not in call.named]:
        hint = f"{listed(free)} can be given by name only, in kwargs"
    yield Slip(
        rule=rules.TOO_MANY_ARGUMENTS,
        path=excess.path,
        message=f"{told} has no place for {excess.what}: of positional arguments it takes {takes}",
        hint=hint,
    )


def _twice(told: str, key: str, first: GivenArguments, again: GivenArguments) -> Slip:
    return Slip(
        rule=rules.GIVEN_TWICE,
        path=again.path,
        message=f"{key} of {told} is given twice: it is {first.what}, and {again.what}",
        hint="positional arguments fill the parameters from the first on; give it only once",
        key=True,
    )


def _unknown(
    told: str, key: str, given: GivenArguments, parameters: Mapping[str, Parameter], used: set[str]
) -> tuple[Slip, set[str]]:
    """Return what is wrong with a name, and the parameters that it may have been meant for."""
    if key in parameters and parameters[key].kind is Parameter.POSITIONAL_ONLY:
        slip = Slip(
            rule=rules.POSITIONAL_ONLY,
            path=given.path,
            message=f"{key} of {told} cannot be given by name, but is {given.what}",
            hint="it is positional-only: give it in args",
            key=True,
        )
        return slip, {key}
    free = [p.name for p in parameters.values() if p.kind in _BY_NAME and p.name not in used]
    hint = did_you_mean(key, free)
    meant = set(hint.removeprefix("did you mean ").removesuffix("?").split(" or "))
    takes = listed(free) if free else "nothing more"
    slip = Slip(
        rule=rules.UNKNOWN_ARGUMENT,
        path=given.path,
        message=f"{told} has no parameter {key}, which is {given.what}",
        hint=hint or f"by name it takes {takes}",
        key=True,
    )
    return slip, meant
