"""Calls against signatures: everything that does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature

from orchestrator.errors import Rule
from orchestrator.spec import rules
from orchestrator.spec.wording import did_you_mean, listed
from orchestrator.spec.yaml.nodes import Path
from orchestrator.targets.callees import Callee, CalleePart

__all__ = ["Call", "Calls", "GivenArguments", "Slip", "advice_for", "misfits", "slips"]

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_ADVICE = (
    (
        r"stop|quit|exit|shutdown|shut_down|cancel|abort|kill|terminate|done|finished|event|signal"
        r"|flag|alive|running",
        "no event is needed to stop a job: a queue ends when its writers have finished, and `get`"
        " raises EndOfStream; mporch stops a worker by a signal. Give {name} a default (None), or"
        " make a threading.Event where the function is called",
    ),
    (
        r"lock|rlock|mutex|sem|semaphore|barrier|condition|cond",
        "workers share nothing but queues. What one process at a time may do is a job with one"
        " worker, and what it needs comes by its queue; for a file, take fcntl.flock. Give {name} a"
        " default (None)",
    ),
    (
        r"value|counter|count|total|shared|array|progress",
        "workers share no memory: put what each has found on a queue, and let a job with `call:"
        " stream` add it up. Or add it to kwargs (kwargs: {{{name}: …}}), if it is plain data",
    ),
    (
        r"conn|connection|pipe|child_conn|parent_conn|sock|socket",
        "no pipe is needed between two jobs: give both a handle to a queue (output: {{{name}: …}}"
        " here)",
    ),
    (
        r"q|queue|in_q|out_q|inq|outq|inbox|outbox|jobs|tasks|results|todo",
        "if it is a queue, declare it: input: {{{name}: QUEUE}} to get from it, output: {{{name}:"
        " QUEUE}} to put on it",
    ),
)
"""Advice by what parameters are named that processes share in `multiprocessing`.

Nothing but handles is given to a target of a run: an event, a lock or a shared value has no name
that a spec could write.
"""


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
class Calls:
    """The calls by which a job reaches its target, whatever that turns out to be.

    A function is called once; a class is made, and then what it makes is called; the class of a
    process or a thread is made with the handles too, and then its `run` is called.
    """

    function: Call
    making: Call
    made: Call
    process: Call
    run: Call


@dataclass(frozen=True, kw_only=True)
class Slip:
    """One way in which a call does not fit. With `key` the key at `path` is meant."""

    rule: Rule
    path: Path
    message: str
    hint: str = ""
    key: bool = False


def misfits(callee: Callee, calls: Calls) -> Iterator[Slip]:
    """Yield what keeps a job from calling what its target is."""
    name = callee.name
    if callee.is_run:
        yield from _of_part(f"{name}.__init__", callee.make, calls.process)
        yield from _of_part(f"{name}.run", callee.call, calls.run)
    elif callee.is_class:
        yield from _of_part(f"{name}.__init__", callee.make, calls.making)
        yield from _of_part(f"{name}.__call__", callee.call, calls.made)
    else:
        yield from _of_part(name, callee.call, calls.function)


def _of_part(name: str, part: CalleePart | None, call: Call) -> Iterator[Slip]:
    if part is not None:
        yield from slips(name, part.place, part.signature, call)


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


def advice_for(parameter: str) -> str:
    """Advise on a parameter of that name that nothing gives; empty if nothing is known.

    A text to be formatted with `name`.
    """
    words = set(re.split(r"[^a-z]+", parameter.lower().strip("_"))) | {parameter.lower()}
    for names, advice in _ADVICE:
        if words & set(names.split("|")):
            return advice
    return ""
