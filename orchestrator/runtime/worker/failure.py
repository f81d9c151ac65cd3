"""An exception of the user's code, made text where it was raised.

Called in the child. Nothing here may raise, whatever the exception's own methods do, and no text is
without a bound.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from pathlib import Path
from traceback import FrameSummary, TracebackException
from types import TracebackType

from orchestrator.core.messages import Failure
from orchestrator.errors import MporchError

__all__ = ["describe", "name_of", "own_frames_removed", "render", "stack_of"]

_OWN = str(Path(__file__).parents[2]) + os.sep
_STDLIB = Path(os.__file__).parent
_WAYS_IN = ("<frozen importlib.", str(_STDLIB / "importlib") + os.sep, str(_STDLIB / "contextlib"))
"""What mporch imports and enters the user's code by: of no interest in front of its frames."""
_TEXT_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 4 * 1024
_NAME_LIMIT = 1024
_LONGEST_CHAIN = 100


def describe(error: BaseException, roots: Sequence[str] = (), target_place: str = "") -> Failure:
    """The exception as data; frames of mporch itself are left out of its traceback.

    `roots` are folders of the user's code: the innermost frame below one of them is *where* it was,
    `target_place` where there is none: what the target was given, or gave back, was wrong.
    """
    own_frames_removed(error)
    kind = type(error)
    return Failure(
        kind=_clip(name_of(kind), _NAME_LIMIT),
        message=_clip(_message(error), _MESSAGE_LIMIT),
        traceback=_clip(render(error), _TEXT_LIMIT),
        bases=tuple(
            dict.fromkeys(
                _clip(name, _NAME_LIMIT) for base in kind.__mro__[:-1] for name in _names(base)
            )
        ),
        where=_clip(_where(error, roots) or target_place, _MESSAGE_LIMIT),
    )


def own_frames_removed(error: BaseException) -> BaseException:
    """Take mporch's own outer frames off the exception's traceback."""
    frame = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    error.__traceback__ = frame
    return error


def stack_of(error: BaseException) -> str:
    """Where in the user's code the exception met it, outermost call first; empty if nowhere."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if not _is_ours(frame.filename)]
    return _clip("".join(traceback.format_list(users)), _TEXT_LIMIT)


def name_of(kind: type) -> str:
    """A class as its user would write it: `ValueError`, `package.module.Error`."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    if issubclass(kind, MporchError) and kind.__module__.startswith("orchestrator."):
        return f"orchestrator.{kind.__qualname__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def render(error: BaseException) -> str:
    """The traceback as Python prints it, without mporch's own frames.

    A chain of causes is cut after a hundred. Empty if all it had were frames of mporch.
    """
    try:
        found = TracebackException.from_exception(_shortened(error), compact=True)
        _clean(found)
        placeless = not (isinstance(error, SyntaxError) or _tells_a_place(found))
        return "" if placeless else "".join(found.format())
    except Exception as broken:  # noqa: BLE001 - formatting calls the exception's own methods
        frames = "".join(traceback.format_tb(error.__traceback__))
        kind = name_of(type(error))
        return f"{frames}{kind}: (its text could not be made: {type(broken).__name__})\n"


def _shortened(error: BaseException) -> BaseException:
    """The exception, the chain of what caused it cut where it is longer than anybody reads."""
    link = error
    for _ in range(_LONGEST_CHAIN):
        following = link.__cause__ or link.__context__
        if following is None:
            return error
        link = following
    link.__cause__ = link.__context__ = None
    return error


def _clean(root: TracebackException) -> None:
    """Take our frames out of a traceback, and exceptions that are all ours out of its chain."""
    todo = [root]
    while todo:
        found = todo.pop()
        theirs = (frame for frame in found.stack if not _is_ours(frame.filename))
        found.stack[:] = dropwhile(lambda frame: frame.filename.startswith(_WAYS_IN), theirs)
        if found.__cause__ is not None and _all_ours(found.__cause__.stack):
            found.__cause__ = None
        if found.__context__ is not None and _all_ours(found.__context__.stack):
            found.__context__ = None
        todo += [link for link in (found.__cause__, found.__context__) if link is not None]
        todo += found.exceptions or ()


def _tells_a_place(found: TracebackException) -> bool:
    return any((found.stack, found.__cause__, found.__context__, found.exceptions))


def _all_ours(stack: Sequence[FrameSummary]) -> bool:
    return bool(stack) and all(_is_ours(frame.filename) for frame in stack)


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OWN)


def _names(kind: type) -> tuple[str, ...]:
    return (f"{kind.__module__}.{kind.__qualname__}", name_of(kind), kind.__name__)


def _message(error: BaseException) -> str:
    try:
        text = f"sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
    except Exception as broken:  # noqa: BLE001 - str() of a foreign object may raise anything
        return f"(its str() raised {type(broken).__name__})"
    if isinstance(error, ModuleNotFoundError):
        return f"{text} (looked for by {sys.executable})"
    if isinstance(error, MporchError) and error.hint:
        return f"{text} (hint: {error.hint})"
    return text


def _clip(text: str, limit: int) -> str:
    """The text, its middle cut out where it is longer than `limit`; encodable whatever it holds."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - limit} characters left out …\n{text[-half:]}"


def _where(error: BaseException, roots: Sequence[str]) -> str:
    """The innermost place in the user's code, else in anybody's; of a syntax error, where it is."""
    frames = [
        (frame.tb_frame.f_code.co_filename, frame.tb_lineno)
        for frame in _frames(error.__traceback__)
        if not _is_ours(frame.tb_frame.f_code.co_filename)
    ]
    theirs = [place for place in frames if _is_below(place[0], roots)]
    if isinstance(error, SyntaxError) and error.filename and not theirs:
        return f"{error.filename}:{error.lineno}"
    for filename, line in reversed(theirs or frames):
        if not filename.startswith(_WAYS_IN):
            return f"{filename}:{line}"
    return ""


def _frames(frame: TracebackType | None) -> Iterator[TracebackType]:
    while frame is not None:
        yield frame
        frame = frame.tb_next


def _is_below(filename: str, roots: Sequence[str]) -> bool:
    """Whether a file is of the project, and not of a package installed inside of it."""
    below = any(filename.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
    return below and f"{os.sep}site-packages{os.sep}" not in filename
