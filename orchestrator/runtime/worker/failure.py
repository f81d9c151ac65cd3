"""An exception of the user's code, made text where it was raised.

Called in the child. Nothing here may raise, whatever the exception's own methods do, and no text is
without a bound.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from orchestrator.core.messages import Failure

__all__ = ["describe", "own_frames_removed"]

_OWN = str(Path(__file__).parents[2])
_TEXT_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 4 * 1024


def describe(error: BaseException, roots: Sequence[str] = ()) -> Failure:
    """The exception as data; frames of mporch itself are left out of its traceback.

    `roots` are folders of the user's code: the innermost frame below one of them is *where* it was.
    """
    own_frames_removed(error)
    kind = type(error)
    return Failure(
        kind=_name(kind),
        message=_clip(_message(error), _MESSAGE_LIMIT),
        traceback=_clip(_traceback(error), _TEXT_LIMIT),
        bases=tuple(name for base in kind.__mro__[:-1] for name in _names(base)),
        where=_where(error.__traceback__, roots),
    )


def own_frames_removed(error: BaseException) -> BaseException:
    """Take mporch's own outer frames off the exception's traceback."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_OWN):
        frame = frame.tb_next
    error.__traceback__ = frame
    return error


def _name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _names(kind: type) -> tuple[str, ...]:
    return tuple(dict.fromkeys((f"{kind.__module__}.{kind.__qualname__}", kind.__name__)))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - str() of a foreign object may raise anything
        return f"(its str() raised {type(broken).__name__})"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as broken:  # noqa: BLE001 - formatting calls the exception's own methods
        frames = "".join(traceback.format_tb(error.__traceback__))
        kind = _name(type(error))
        return f"{frames}{kind}: (its text could not be made: {type(broken).__name__})\n"


def _clip(text: str, limit: int) -> str:
    """The text, its middle cut out where it is longer than `limit`; encodable whatever it holds."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - limit} characters left out …\n{text[-half:]}"


def _where(frame: TracebackType | None, roots: Sequence[str]) -> str:
    place = fallback = ""
    while frame is not None:
        code = frame.tb_frame.f_code
        fallback = f"{code.co_filename}:{frame.tb_lineno}"
        if any(code.co_filename.startswith(root) for root in roots):
            place = fallback
        frame = frame.tb_next
    return place or fallback
