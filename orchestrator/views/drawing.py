"""The block of lines of a terminal where frames are drawn over and over."""

from __future__ import annotations

from orchestrator.views.text import cells_of

__all__ = ["Live"]

# Clears the line, then from its second cell on: tmux takes what is cleared from the very first
# cell of the screen into its history, which would keep each frame there.
_CLEAR = "\x1b[K\x1b[C\x1b[J\r"


class Live:
    """The block of lines where frames are drawn over and over: its text; it does no I/O."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._drawn: list[int] = []

    def take(self, lines: list[str]) -> None:
        """Have these drawn from now on."""
        self._lines = lines

    def draw(self) -> str:
        """Return the text that draws the last frame, the cursor being where it shall begin."""
        self._drawn = [_visible(line) for line in self._lines]
        return "\n".join(self._lines)

    def erase(self, width: int) -> str:
        """Return the text that takes the drawn block away, the terminal now being `width` wide.

        A terminal that was made narrower has wrapped the block's lines.
        """
        if not self._drawn:
            return ""
        rows = sum(max(1, -(-cells // width)) for cells in self._drawn)
        self._drawn = []
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "") + _CLEAR

    def redraw(self, width: int) -> str:
        """Return the text that draws the last frame in the place of the one before.

        Where that had as many lines, and none was wrapped, they are written over.
        """
        drawn = self._drawn
        if len(drawn) != len(self._lines) or any(cells >= width for cells in drawn):
            return self.erase(width) + self.draw()
        up = f"\x1b[{len(drawn) - 1}A" if len(drawn) > 1 else ""
        return f"\r{up}" + self.draw().replace("\n", "\x1b[K\n") + "\x1b[K"


def _visible(line: str) -> int:
    """Return how many cells a painted line takes."""
    plain = ""
    inside = False
    for char in line:
        if char == "\x1b":
            inside = True
        elif inside:
            inside = char != "m"
        else:
            plain += char
    return cells_of(plain)
