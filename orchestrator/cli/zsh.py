"""Completion for zsh: click's, with files and other words side by side."""

from __future__ import annotations

from typing import Any

from click import shell_completion

__all__ = ["ZshComplete"]


class ZshComplete(shell_completion.ZshComplete):
    """Gives each item three lines that are not empty.

    The function of the shell reads three lines an item, and the shell drops empty ones: the place
    for files, whose word is empty at first, would eat the item behind it.
    """

    def format_completion(self, item: shell_completion.CompletionItem[Any]) -> str:
        """Return the lines of an item: its kind, its word, and what is said of it."""
        return super().format_completion(item) if item.value else f"{item.type}\n_\n_"
