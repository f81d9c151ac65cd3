"""Parameters named for what processes share in `multiprocessing`, and what takes its place. Pure.

Nothing but handles is given to a target of a run: an event, a lock or a shared value has no name
that a spec could write.
"""

from __future__ import annotations

import re

__all__ = ["advice_for"]

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


def advice_for(parameter: str) -> str:
    """Advise on a parameter of that name that nothing gives; empty if nothing is known.

    A text to be formatted with `name`.
    """
    words = set(re.split(r"[^a-z]+", parameter.lower().strip("_"))) | {parameter.lower()}
    for names, advice in _ADVICE:
        if words & set(names.split("|")):
            return advice
    return ""
