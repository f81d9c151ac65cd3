"""One list, as far as the module is concerned."""

from __future__ import annotations

BASKET = ["empty so far"]


def fill(fruit: str) -> None:
    """Change the list in place."""
    BASKET.clear()
    BASKET.extend([fruit] * 3)
    print(BASKET)


def look() -> None:
    """Print the list."""
    print(BASKET)
