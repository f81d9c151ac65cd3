"""An exception of the user's code, made text where it was raised.

Called in the child. Nothing here raises, whatever the exception's own methods do, and no text is
without a bound. No attribute of an exception is set, and those that its class may have replaced are
read past it: a frozen dataclass refuses the one, a property may raise at the other.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile
from pathlib import Path
from traceback import FrameSummary, TracebackException
from types import TracebackType
from typing import Any

from orchestrator.compiled import is_compiled_source
from orchestrator.core.protocol.messages import Failure
from orchestrator.errors import MporchError
from orchestrator.files import PACKAGE

__all__ = [
    "describe",
    "is_ours",
    "name_of",
    "render",
    "stack_of",
    "text_of",
    "traceback_of",
    "users_traceback",
]

_STDLIB = Path(os.__file__).parent
_WAYS_IN = ("<frozen importlib.", str(_STDLIB / "importlib") + os.sep, str(_STDLIB / "contextlib"))
"""What mporch imports and enters the user's code by: of no interest in front of its frames."""
_TEXT_LIMIT = 64 * 1024
_MESSAGE_LIMIT = 4 * 1024
_NAME_LIMIT = 1024
_LONGEST_CHAIN = 100
_LINKS = ("__cause__", "__context__", "__suppress_context__")
"""In this order: to set a cause suppresses the context."""


def _read(owner: type, name: str) -> Callable[[Any], Any]:
    """Read that attribute of an object as `owner` keeps it, whatever its own class makes of it."""
    read: Callable[[Any], Any] = vars(owner)[name].__get__
    return read


traceback_of = _read(BaseException, "__traceback__")
_cause_of = _read(BaseException, "__cause__")
_context_of = _read(BaseException, "__context__")
_qualname_of = _read(type, "__qualname__")
_module_of = _read(type, "__module__")
_short_name_of = _read(type, "__name__")
_mro_of = _read(type, "__mro__")


def describe(error: BaseException, roots: Sequence[str] = (), target_place: str = "") -> Failure:
    """The exception as data; frames of mporch itself are left out of its traceback.

    `roots` are folders of the user's code: the innermost frame below one of them is *where* it was,
    `target_place` where there is none: what the target was given, or gave back, was wrong.
    """
    kind = type(error)
    names = [_clip(name, _NAME_LIMIT) for base in _mro_of(kind)[:-1] for name in _names(base)]
    bases = tuple(dict.fromkeys(names))
    try:
        place = _told(lambda: _where(error, roots), lambda _: "")
        return Failure(
            kind=_clip(name_of(kind), _NAME_LIMIT),
            message=_clip(_message(error), _MESSAGE_LIMIT),
            traceback=_clip(render(error), _TEXT_LIMIT),
            bases=bases,
            where=_clip(place or target_place, _MESSAGE_LIMIT),
        )
    except BaseException:  # noqa: BLE001 - no memory is left, say: the failure itself is what counts
        return Failure(kind=names[1], message="(its text could not be made)", bases=bases)


def users_traceback(error: BaseException) -> TracebackType | None:
    """The exception's traceback without mporch's own outer frames."""
    frame: TracebackType | None = traceback_of(error)
    while frame is not None and is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def stack_of(error: BaseException) -> str:
    """Return where the exception met the user's code, outermost call first; or empty."""
    frames = traceback.extract_tb(traceback_of(error))
    users = [frame for frame in frames if not is_ours(frame.filename)]
    return _clip("".join(traceback.format_list(users)), _TEXT_LIMIT)


def name_of(kind: type) -> str:
    """A class as its user would write it: `ValueError`, `package.module.Error`."""
    module, name = _plain(_module_of(kind)), _plain(_qualname_of(kind))
    if module == "builtins":
        return name
    if issubclass(kind, MporchError) and module.startswith("orchestrator."):
        return f"orchestrator.{name}"
    return f"{module}.{name}"


def text_of(error: BaseException) -> str:
    """Return `str(error)`, or what it raised: never raises, and gives no subclass of str."""
    return _told(lambda: str(error), lambda broken: f"(its str() raised {name_of(type(broken))})")


def render(error: BaseException) -> str:
    """The traceback as Python prints it, without mporch's own frames.

    A chain of causes is cut after a hundred. Empty if all it had were frames of mporch.
    """

    def formatted() -> str:
        make_whole = _shortened(error)
        try:
            found = TracebackException(type(error), error, traceback_of(error), compact=True)
        finally:
            make_whole()
        _clean(found)
        placeless = not (issubclass(type(error), SyntaxError) or _tells_a_place(found))
        return "" if placeless else "".join(found.format())

    def plainly(broken: BaseException) -> str:
        frames = "".join(traceback.format_tb(users_traceback(error)))
        reason = name_of(type(broken))
        return f"{frames}{name_of(type(error))}: (its text could not be made: {reason})\n"

    return _told(formatted, plainly)


def _told(make: Callable[[], str], instead: Callable[[BaseException], str]) -> str:
    """The text that `make` gives, which calls the user's code; else what `instead` has of its end.

    Whatever is raised ends here, SystemExit and KeyboardInterrupt too: it is not what the target
    has raised.
    """
    try:
        return _plain(make())
    except BaseException as broken:  # noqa: BLE001 - see above
        return instead(broken)


def _plain(text: object) -> str:
    """The text as a str that is no subclass of it; of no text, none."""
    return str.__str__(text) if issubclass(type(text), str) else ""


def _shortened(error: BaseException) -> Callable[[], None]:
    """Cut the chain of what caused the exception where it is longer than anybody reads.

    Returns what makes it whole again.
    """
    link = error
    for _ in range(_LONGEST_CHAIN):
        cause = _cause_of(link)
        following = _context_of(link) if cause is None else cause
        if following is None:
            return lambda: None
        link = following
    kept = [(name, _read(BaseException, name)(link)) for name in _LINKS]
    _link(link, [("__cause__", None), ("__context__", None)])
    return lambda: _link(link, kept)


def _link(error: BaseException, links: Sequence[tuple[str, Any]]) -> None:
    """Set them where BaseException keeps them, past what the class makes of an assignment."""
    for name, value in links:
        vars(BaseException)[name].__set__(error, value)


def _clean(root: TracebackException) -> None:
    """Take our frames out of a traceback, and exceptions that are all ours out of its chain."""
    todo = [root]
    while todo:
        found = todo.pop()
        theirs = (frame for frame in found.stack if not is_ours(frame.filename))
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
    return bool(stack) and all(is_ours(frame.filename) for frame in stack)


def is_ours(filename: str) -> bool:
    """True if it is a file of mporch itself."""
    return filename.startswith(PACKAGE) or is_compiled_source(filename)


def _names(kind: type) -> tuple[str, ...]:
    module, name = _plain(_module_of(kind)), _plain(_qualname_of(kind))
    return (f"{module}.{name}", name_of(kind), _plain(_short_name_of(kind)))


def _message(error: BaseException) -> str:
    kind = type(error)
    if issubclass(kind, SystemExit):
        return _told(lambda: f"sys.exit({error.code!r})", lambda _: "sys.exit()")  # type: ignore[attr-defined]
    text = text_of(error)
    if issubclass(kind, ModuleNotFoundError):
        return f"{text} (looked for by {sys.executable})"
    if issubclass(kind, MporchError):
        hint = _told(lambda: error.hint, lambda _: "")  # type: ignore[attr-defined]
        return f"{text} (hint: {hint})" if hint else text
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
        for frame in _frames(traceback_of(error))
        if not is_ours(frame.tb_frame.f_code.co_filename)
    ]
    theirs = [place for place in frames if _is_below(place[0], roots)]
    if issubclass(type(error), SyntaxError) and not theirs and error.filename:  # type: ignore[attr-defined]
        return f"{error.filename}:{error.lineno}"  # type: ignore[attr-defined]
    for filename, line in reversed(theirs or frames):
        if not filename.startswith(_WAYS_IN):
            return f"{filename}:{line}"
    return ""


def _frames(frame: TracebackType | None) -> Iterator[TracebackType]:
    while frame is not None:
        yield frame
        frame = frame.tb_next


def _is_below(filename: str, roots: Sequence[str]) -> bool:
    """True if a file is of the project, and not of a package installed inside of it."""
    below = any(filename.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
    return below and f"{os.sep}site-packages{os.sep}" not in filename
