"""Hints for an unknown key: the key that was meant, by the words of other tools in `keys.toml`."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestrator.spec.cases import Case, Expect, Expected, Given, Kill
from orchestrator.spec.declaration import SpecPart
from orchestrator.spec.model import Document, JobSettings, JobSpec
from orchestrator.spec.parts import (
    Backoff,
    Batch,
    Limits,
    Ordered,
    QueueSpec,
    Rate,
    Recycle,
    Restart,
    Retry,
    Terminate,
    Timeouts,
)
from orchestrator.spec.wording import Guesses, did_you_mean
from orchestrator.spec.words import reversed_words, words_of

__all__ = ["MAPPINGS", "hint_for_key"]


_PARTS: Mapping[str, type[SpecPart]] = {
    "timeouts": Timeouts,
    "terminate": Terminate,
    "batch": Batch,
    "retry": Retry,
    "backoff": Backoff,
    "restart": Restart,
    "limits": Limits,
    "recycle": Recycle,
    "rate": Rate,
    "ordered": Ordered,
}
"""The parts of a job by their key."""
MAPPINGS: Mapping[str, type[SpecPart]] = {
    "document": Document,
    "defaults": JobSettings,
    "jobs": JobSpec,
    "queues": QueueSpec,
    **_PARTS,
    "case": Case,
    "given": Given,
    "expect": Expect,
    "expected": Expected,
    "kill": Kill,
}
"""The mappings of a spec by their names in `keys.toml`."""


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The keys of one kind of mapping, what others call them, and what is not built yet.

    `advice` is for words that stand for no key: what to do instead.
    """

    keys: tuple[str, ...]
    foreign: Mapping[str, str]
    advice: Mapping[str, str]
    later: Collection[str]

    def has(self, folded: str) -> bool:
        """True if `folded` is a key, or a word that something is known of."""
        return any(folded in table for table in (self.keys, self.foreign, self.advice, self.later))

    def hint(self, key: str) -> str:
        if key in self.later:
            return f"{key} is not in this version of mporch; remove it"
        folded = key.casefold().replace("-", "_")
        if folded in self.keys:
            return f"did you mean {folded}?"
        if folded in self.advice:
            return self.advice[folded]
        if folded in self.foreign:
            return f"did you mean {self.foreign[folded]}?"
        return did_you_mean(key, self.keys) or f"known here: {', '.join(self.keys)}"


@functools.cache
def _words_for(mapping: str) -> _Words:
    """Return the words for one of `MAPPINGS`; a job has those of `defaults` as well."""
    foreign: dict[str, str] = {}
    advice: dict[str, str] = {}
    later: list[str] = []
    for name in ("defaults", mapping) if mapping == "jobs" else (mapping,):
        data = words_of("keys")[name]
        foreign |= reversed_words(data["synonyms"])
        advice |= reversed_words(data.get("advice", {}))
        later += data.get("later", "").split()
    keys = tuple(MAPPINGS[mapping].model_fields)
    return _Words(keys=keys, foreign=foreign, advice=advice, later=later)


def hint_for_key(path: tuple[str | int, ...]) -> str:
    """Return what to write instead of the unknown key at the end of `path`."""
    key = str(path[-1])
    match path[:-1]:
        case ():
            return _hint_at_the_top(key)
        case ("jobs", _):
            return _words_for("jobs").hint(key)
        case ("defaults",):
            return _hint_in_defaults(key)
        case ("queues", _):
            return _words_for("queues").hint(key)
        case ("tests", _, *inner):
            return _hint_in_case(inner, key)
        case (*_, part) if part in _PARTS:
            return _words_for(str(part)).hint(key)
        case _:
            return ""


_ONLY_OF_A_JOB = JobSpec.model_fields.keys() - JobSettings.model_fields.keys()


def _hint_at_the_top(key: str) -> str:
    """Tell of a job's key that it belongs to a job, unless it is a word for a key of the top."""
    folded = key.casefold().replace("-", "_")
    words, ours = _words_for("document"), _words_for("jobs").foreign.get(folded, folded)
    first = ours.partition(":")[0].partition(" or ")[0]
    if words.has(folded) or first not in JobSpec.model_fields:
        return words.hint(key)
    if ours in _ONLY_OF_A_JOB:
        return f"{ours} belongs to a job: jobs: {{NAME: {{{ours}: …}}}}"
    return (
        f"that belongs to a job; for all jobs: defaults: {{{ours}{'' if ':' in ours else ': …'}}}"
    )


def _hint_in_defaults(key: str) -> str:
    """Tell of a key that only a job has, however it is called or misspelt, that it is one."""
    folded = key.casefold().replace("-", "_")
    words = _words_for("defaults")
    if words.has(folded):
        return words.hint(key)
    meant = _words_for("jobs").foreign.get(folded, folded)
    if meant not in _ONLY_OF_A_JOB:
        near = Guesses(JobSpec.model_fields).near(key)
        meant = near[0] if near and near[0] in _ONLY_OF_A_JOB else ""
    if meant == key:
        return f"{key} belongs to a job; it has no default"
    belongs = f"did you mean {meant}? It belongs to a job, and has no default"
    return belongs if meant else words.hint(key)


def _hint_in_case(path: list[str | int], key: str) -> str:
    match path:
        case []:
            return _words_for("case").hint(key)
        case ["give", _]:
            return _words_for("given").hint(key)
        case ["kill", *_]:
            return _words_for("kill").hint(key)
        case ["expect"]:
            return _words_for("expect").hint(key)
        case ["expect", "queues" | "dead", _]:
            return _words_for("expected").hint(key)
        case _:
            return ""
