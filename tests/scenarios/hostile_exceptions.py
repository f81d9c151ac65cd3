"""Exceptions whose classes raise, or give what they should not, wherever they are asked.

Called in a worker: a test hands it to its targets as a module of theirs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Frozen(Exception):
    code: int = 404


class NoSet(Exception):
    def __setattr__(self, name, value):
        raise RuntimeError(name)


class NoTraceback(Exception):
    @property
    def __traceback__(self):
        raise RuntimeError("no")


class NoCause(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no")

    __context__ = __notes__ = __suppress_context__ = __cause__


class NoAttributes(Exception):
    def __getattribute__(self, name):
        raise SystemExit(9)


class NoClass(Exception):
    @property
    def __class__(self):
        raise KeyboardInterrupt


class NotEvenTrue(Exception):
    def __bool__(self):
        raise SystemExit(9)


class Nameless(type):
    @property
    def __module__(cls):
        raise RuntimeError("no")

    __name__ = __mro__ = __module__

    def __instancecheck__(cls, _):
        raise RuntimeError("no")

    def __subclasscheck__(cls, _):
        raise RuntimeError("no")


class OfNoName(Exception, metaclass=Nameless):
    pass


class Text(str):
    def __str__(self):
        raise SystemExit(9)

    __repr__ = __format__ = encode = __len__ = __getitem__ = startswith = __str__


class OddText(Exception):
    def __str__(self):
        return Text("odd")


class OddModule(Exception):
    pass


OddModule.__module__ = Text("odd")
OddModule.__qualname__ = Text("name")


class Exits(Exception):
    def __str__(self):
        raise SystemExit(7)

    __repr__ = __str__


class Interrupts(Exception):
    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


class Raises(Exception):
    def __str__(self):
        raise Frozen

    __repr__ = __str__


class Recurses(Exception):
    def __str__(self):
        return str(self)


class OddExit(SystemExit):
    @property
    def code(self):
        raise Frozen


class OddSyntax(SyntaxError):
    @property
    def filename(self):
        raise Frozen

    lineno = text = offset = msg = filename


class OddHint(Exception):
    @property
    def hint(self):
        raise Frozen


class OddGroup(ExceptionGroup):
    @property
    def exceptions(self):
        raise Frozen


def chained():
    """A frozen one at the end of a chain that is too long to be shown."""
    error = Frozen()
    for _ in range(300):
        link = NoSet()
        BaseException.__cause__.__set__(link, error)
        error = link
    return error


MAKERS = [
    Frozen,
    NoSet,
    NoTraceback,
    NoCause,
    NoAttributes,
    NoClass,
    NotEvenTrue,
    OfNoName,
    OddText,
    OddModule,
    Exits,
    Interrupts,
    Raises,
    Recurses,
    OddExit,
    OddSyntax,
    OddHint,
    lambda: OddGroup("some", [Frozen()]),
    lambda: SystemExit(Exits()),
    lambda: SystemExit(Text("odd")),
    chained,
]


class Unpicklable:
    """An item whose pickling raises one."""

    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        raise MAKERS[self.n]()


class Unloadable:
    """An item whose loading raises one."""

    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        return raised, (self.n,)


def raised(n):
    """Raise the n-th of them, if there is one; else give n back."""
    if n < len(MAKERS):
        raise MAKERS[n]()
    return n


class Guarded:
    """A target that is entered, and raises as it is left."""

    def __init__(self, n):
        self.n, self.where = n, type(self).__name__
        if self.where == "Made":
            raised(n)

    def __enter__(self):
        if self.where == "Entered":
            raised(self.n)
        return self

    def __exit__(self, *_):
        if self.where == "Left":
            raised(self.n)

    def __call__(self, *_):
        if self.where == "Called":
            raised(self.n)
