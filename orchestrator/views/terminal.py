"""Abilities of standard output and error, and the settings that follow from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

from orchestrator.views.output import OutputMode
from orchestrator.views.screen import Settings

__all__ = ["colours", "settings_for", "targets_colours", "width_of"]

_UNLIMITED = 10_000


def colours(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Return whether to use colours on `stream`: a terminal, not a dumb one, and no NO_COLOR."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()


def targets_colours(environ: Mapping[str, str]) -> bool | None:
    """Return whether the colours of targets are shown; None: on terminals."""
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    if any(environ.get(name) not in (None, "", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return None


def width_of(stream: TextIO | None) -> int:
    """Return the width of the terminal behind `stream`; without one, lines are never folded."""
    if stream is None:
        return _UNLIMITED
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return _UNLIMITED


def settings_for(
    *,
    output: OutputMode,
    json_output: bool,
    live: bool | None,
    stderr: TextIO | None,
    environ: Mapping[str, str],
) -> Settings:
    """Return how to show a run; `live` None means: where standard error is a terminal.

    Raw output may leave a line open, so there is no live display beside it.
    """
    shown = stderr is not None and stderr.isatty()
    able = shown and environ.get("TERM") != "dumb" and output is not OutputMode.RAW
    return Settings(
        output=output,
        all_to_stderr=json_output,
        live=able and live is not False,
        colour=colours(stderr, environ),
        targets_colours=targets_colours(environ),
        unicode="utf" in (getattr(stderr, "encoding", None) or "").lower(),
    )
