"""Pictures of one megabyte each, drawn, sharpened and measured by three processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
SIDE = 1024


def draw(total: int, seed: int) -> Iterator[Image]:
    """Yield grey pictures of SIDE by SIDE bytes."""
    chance = np.random.default_rng(seed)
    for _ in range(total):
        yield chance.integers(0, 256, size=(SIDE, SIDE), dtype=np.uint8)


def sharpen(image: Image, threshold: int) -> Image:
    """Make each pixel black or white."""
    return np.where(image < threshold, 0, 255).astype(np.uint8)


def measure(images: Iterable[Image]) -> None:
    """Print how much of each picture is white, then of all."""
    shares = []
    for number, image in enumerate(images, start=1):
        shares.append(float((image == 255).mean()))
        print(f"picture {number}: {shares[-1]:.4%} white")
    print(f"{len(shares)} pictures, {sum(shares) / len(shares):.4%} white")
