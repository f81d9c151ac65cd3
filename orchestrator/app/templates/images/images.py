"""Grey pictures, drawn, made smaller and saved as PNG with the standard library alone."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """A square picture: `side` rows of `side` bytes, 0 is black."""

    name: str
    side: int
    pixels: bytes


def draw(total: int, side: int) -> Iterator[Picture]:
    """Yield pictures of rings, each with its centre elsewhere."""
    for number in range(total):
        x0 = side * number / total
        pixels = bytes(
            int(127.5 + 127.5 * math.cos(math.hypot(x - x0, y - side / 2) / 6))
            for y in range(side)
            for x in range(side)
        )
        yield Picture(f"rings-{number:02}", side, pixels)


def shrink(picture: Picture, factor: int) -> Picture:
    """Return the picture with each square of `factor` by `factor` pixels as their mean."""
    side, square = picture.side // factor, range(factor)
    pixels = bytes(
        sum(
            picture.pixels[(y * factor + dy) * picture.side + x * factor + dx]
            for dy in square
            for dx in square
        )
        // factor**2
        for y in range(side)
        for x in range(side)
    )
    return Picture(picture.name, side, pixels)


def save(pictures: list[Picture], folder: str) -> None:
    """Write each picture into the folder; writing one twice does no harm."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        Path(folder, f"{picture.name}.png").write_bytes(png(picture))
    print(f"{len(pictures)} pictures saved")


def png(picture: Picture) -> bytes:
    """Return the picture as a PNG file: 8 bits of grey."""
    side = picture.side
    rows = (picture.pixels[y * side : (y + 1) * side] for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
