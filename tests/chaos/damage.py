"""Damage to what a run has kept: `python -m tests.chaos.damage RUN [--step N]`.

RUN is the directory of a durable run that was killed. Copies of its store are damaged in every
place, each `step` bytes; each must give exactly what the undamaged one gives, or be refused, and
then salvaged, or be past that, in words. Only the last entry may be missed in silence, if it was
not acknowledged: nobody has heard of it. One line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orchestrator.core.durable.snapshot import SnapshotTracker
from orchestrator.errors import DamagedStoreError
from orchestrator.store.opening import open_store
from orchestrator.store.store import WITNESS_NAME
from orchestrator.store.witness import read_witness

_NAMES = ("state.db", "state.db-wal", WITNESS_NAME)
_SECTOR, _PAGE = 512, 4096
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Store:
    """The files of a store, by their names."""

    files: Files

    @classmethod
    def read(cls, run: Path) -> Store:
        return cls({name: (run / name).read_bytes() for name in _NAMES if (run / name).exists()})

    @property
    def acknowledged(self) -> int:
        """The last entry of which somebody may have heard."""
        number, _ = struct.unpack("<QI", self.files[WITNESS_NAME])
        return int(number)

    def having(self, name: str, data: bytes) -> Store:
        return Store({**self.files, name: data})

    def without(self, name: str) -> Store:
        return Store({other: data for other, data in self.files.items() if other != name})

    def write(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


class Kept(NamedTuple):
    """What a store gives: what it was made with, its image, its chunks, and its new last entry."""

    meta: Mapping[str, bytes] | None
    image: Any
    chunks: Mapping[int, tuple[bytes, bool]]
    last: int


def damages(store: Store, step: int) -> Iterator[tuple[str, Store]]:
    """The store with bits flipped, sectors and pages overwritten, files cut or gone."""
    chance = random.Random(step)
    for name, data in store.files.items():
        for at in range(chance.randrange(step), len(data), step):
            flipped = bytes([data[at] ^ 1 << chance.randrange(8)])
            yield f"{name}: a bit at {at}", store.having(name, _over(data, at, flipped))
        for at in range(0, len(data), _SECTOR):
            zeros = bytes(min(_SECTOR, len(data) - at))
            yield f"{name}: zeros at {at}", store.having(name, _over(data, at, zeros))
            yield f"{name}: cut at {at}", store.having(name, data[:at])
        for at in range(0, len(data), _PAGE):
            ones = b"\xff" * min(_PAGE, len(data) - at)
            yield f"{name}: ones at {at}", store.having(name, _over(data, at, ones))
        yield f"{name}: gone", store.without(name)
        yield f"{name}: another file", store.having(name, b"hello\n" * 1000)


def _over(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def judge_all(
    store: Store, damaged: Iterable[tuple[str, Store]], folder: Path
) -> tuple[Counter[str], list[str]]:
    """How often each came out, and what came out wrong."""
    store.write(folder)
    whole, flaws = _opened(folder, salvage=False)
    assert not flaws
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for label, one in damaged:
        for end in _ends(one, whole, store.acknowledged, folder):
            counts[end] += 1
            if end.startswith("wrong"):
                wrong.append(f"{label}: {end}")
    return counts, wrong


def _ends(damaged: Store, whole: Kept, acknowledged: int, folder: Path) -> Iterator[str]:
    """What comes of a damaged store, and if it is refused what comes of its salvage."""
    for salvage in (False, True):
        damaged.write(folder)
        try:
            found, flaws = _opened(folder, salvage=salvage)
        except DamagedStoreError:
            yield "past salvaging" if salvage else "refused"
            continue
        except Exception as error:  # whatever it is, it is a bug that is to be told
            yield f"wrong: {error!r}"
            return
        if flaws and salvage:
            yield "salvaged"
        elif not flaws and acknowledged < found.last < whole.last:
            yield "but for what nobody was told"
        elif flaws or found != whole:
            yield "wrong: less than was kept, and not a word"
        else:
            yield "exact"
        return


def _opened(folder: Path, *, salvage: bool) -> tuple[Kept, tuple[str, ...]]:
    opened = open_store(folder, {"made": b"anew"}, full=False, salvage=salvage, begun=True)
    try:
        resumption = opened.resumption
        assert resumption is not None
        chunks = {
            number: (bytes(resumption.load(number).blob), number in resumption.packed)
            for number in sorted(SnapshotTracker(resumption.stored).chunks)
        }
        image = msgspec.to_builtins(resumption.stored)
        last = read_witness(folder / WITNESS_NAME) or 0
        return Kept(opened.meta, image, chunks, last), opened.lost
    finally:
        opened.store.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--step", type=int, default=7, help="bytes from one flipped bit to the next"
    )
    options = parser.parse_args()
    store = Store.read(options.run)
    with tempfile.TemporaryDirectory(prefix="damage-") as base:
        folder = Path(base) / "run"
        counts, wrong = judge_all(store, damages(store, options.step), folder)
    print(json.dumps({**counts, "problems": wrong[:20]}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
