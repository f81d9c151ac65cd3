"""The targets of the traps `call-*`, `result-*` and `types-*`; nothing of it is ever run."""

import abc
import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar


def source() -> Iterator[int]:
    yield 1


def sink(item): ...


def no_parameter():
    return 1


def parse(path, encoding, *, strict=False):
    return path, encoding, strict


def strict_only(item, *, strict):
    return item, strict


def first_only(item, /, scale=1):
    return item * scale


def anything(*args, **kwargs):
    return args, kwargs


def split(item, good, bad):
    (good if item else bad).put(item)


def read(q):
    yield from q


def outer():
    def inner(item):
        return item

    return inner


shortened = functools.partial(parse, encoding="utf-8")
nameless = lambda item: item  # noqa: E731


@functools.lru_cache(maxsize=8)
def cached(item):
    return item


@functools.singledispatch
def unclear(item):
    return item


@contextlib.contextmanager
def managed(item):
    yield item


class Store:
    def __init__(self, path, mode="r"):
        self.path, self.mode = path, mode

    def __call__(self, items): ...


class Child(Store):
    pass


class Uncallable:
    pass


class Entered:
    def __enter__(self):
        return print

    def __exit__(self, *exc): ...


class Waiting:
    async def __call__(self, item):
        return item


class Stated(abc.ABC):  # noqa: B024 -- a base that mporch knows
    @staticmethod
    def work(item):
        return item

    @classmethod
    def made(cls, item):
        return cls, item


@dataclass
class Base:
    url: str
    kind: ClassVar[str] = "x"
    cache: dict[str, str] = field(init=False, default_factory=dict)


@dataclass
class Loader(Base):
    retries: int = 3
    _: KW_ONLY
    timeout_s: float = field()

    def __call__(self, item): ...


def gives_none():
    print("nothing")


def gives_text():
    return "a" if print() else "b"


def gives_mapping():
    return {"a": 1}


def forgets(item):
    print(item)


def gives_tuple(items):
    return (items, items)


def words() -> list[str]:
    return ["a"]


def count(number: int) -> "float | None":
    return number * 2.0


def count_all(numbers: list[int]): ...


def count_each(numbers: Iterable[int]): ...


def lenient(value: object): ...


def same(item):
    return item


def join(first, second):
    known = list(first)
    for each in second:
        print(each in known)


def pairs(first, second):
    for each, other in zip(first, second, strict=True):
        print(each, other)
