"""The catalogue: every rule a spec can break, by its stable code; the texts are in `rules.toml`.

`docs/rules.md` and `mporch explain` are made of it. To add a rule:

1. Give it a name and the next free code of its theme here, and its title, reasons and examples in
   `rules.toml`. A code that was released keeps its meaning for ever.
2. Raise it: `yield draft.spec.problem(rules.UNKNOWN_QUEUE, path, message, hint)`. A `Problem`
   cannot be made without its rule, and has the rule's severity.
3. Run `mporch explain --format markdown > docs/rules.md`.

A test proves that each wrong example raises its own code and nothing else, and each right one
nothing at all.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from orchestrator.errors import Rule, Severity

__all__ = ["CATALOGUE", "RuleText", "Theme", "examples_module", "text_of", "themes"]

# MP101 to MP109: the file as a whole, before anything is read as YAML.
NO_FILE = Rule("MP101")
NOT_A_FILE = Rule("MP102")
UNREADABLE = Rule("MP103")
TOO_LARGE = Rule("MP104")
NOT_UTF8 = Rule("MP105")
CONTROL_CHARACTER = Rule("MP106")

# MP110 to MP139: the text as YAML 1.2, and the bounds that keep it from growing without end.
NOT_YAML = Rule("MP110")
TAB = Rule("MP111")
SECOND_DOCUMENT = Rule("MP112")
TOO_DEEP = Rule("MP113")
TOO_MANY_NODES = Rule("MP114")
ALIAS_BOMB = Rule("MP115")
NO_ANCHOR = Rule("MP116")
ANCHOR_TWICE = Rule("MP117")
RECURSION = Rule("MP118")
TAG = Rule("MP119")
KEY_TWICE = Rule("MP120")
BAD_KEY = Rule("MP121")
BAD_MERGE = Rule("MP122")
DOUBTFUL_NUMBER = Rule("MP123")
HALF_CHARACTER = Rule("MP124")
NOT_A_MAPPING = Rule("MP125")
OLD_YAML = Rule("MP126")
EMPTY_LAYER = Rule("MP127", Severity.WARNING)

# MP140 to MP159: `vars`, and what `${…}` stands for.
UNSET_VARIABLE = Rule("MP140")
BAD_REFERENCE = Rule("MP141")
VARIABLE_CYCLE = Rule("MP142")
BOMB = Rule("MP143")
NOT_TEXT = Rule("MP144")
BAD_VARIABLE_NAME = Rule("MP145")
BAD_OPTION = Rule("MP146")
BAD_ENV_FILE = Rule("MP147")
BAD_MATRIX = Rule("MP148")
MADE_NAME = Rule("MP149")
NOT_YET_KNOWN = Rule("MP150")
TEXT_DEFAULT = Rule("MP151", Severity.WARNING)
NO_PLACE_FOR_A_VALUE = Rule("MP152")
UNUSED_OPTION = Rule("MP153", Severity.WARNING)

# MP201 to MP299: which keys there are, and what their values look like.
UNKNOWN_KEY = Rule("MP201")
MISSING_KEY = Rule("MP202")
EMPTY_VALUE = Rule("MP203")
WRONG_TYPE = Rule("MP204")
UNKNOWN_WORD = Rule("MP205")
OUT_OF_RANGE = Rule("MP206")
BAD_DURATION = Rule("MP207")
BAD_SIZE = Rule("MP208")
BAD_NAME = Rule("MP209")
BAD_PARAMETER = Rule("MP210")
BAD_VERSION = Rule("MP211")
NUL_IN_TEXT = Rule("MP212")
DOUBTFUL_WORD = Rule("MP213", Severity.WARNING)
BAD_RATE = Rule("MP214")
BAD_ITEM_NAME = Rule("MP215")

# MP301 to MP399: queues, and how jobs are wired to them.
UNKNOWN_QUEUE = Rule("MP301")
ONE_SIDED_QUEUE = Rule("MP302")
QUEUE_TWICE = Rule("MP303")
EMPTY_WIRING = Rule("MP304")
PARAMETER_TWICE = Rule("MP305")
LARGE_BATCH = Rule("MP306")
UNBOUNDED_QUEUE = Rule("MP307", Severity.WARNING)
POINTLESS_POLICY = Rule("MP308")
MORE_THAN_MEMORY = Rule("MP309", Severity.WARNING)
JOINED_BRANCHES = Rule("MP310", Severity.WARNING)
UNFILLED_BATCH = Rule("MP311", Severity.WARNING)

# MP401 to MP499: the keys of a single job, and which shape of job they fit.
NO_JOB = Rule("MP401")
MISFIT_KEY = Rule("MP402")
WORKERS_REPEAT = Rule("MP403", Severity.WARNING)
ENDLESS_DAEMON = Rule("MP404")
BAD_SIGNAL = Rule("MP405")
NO_START_METHOD = Rule("MP406")
PYTHONPATH_IN_ENV = Rule("MP407")
BAD_VARIABLE = Rule("MP408")
BAD_EXCEPTION = Rule("MP409")
DOUBTFUL_EXCEPTION = Rule("MP410", Severity.WARNING)
NO_FOLDER = Rule("MP411", Severity.WARNING)
SOURCE_REPEATS = Rule("MP412")
FORKED_DURABLE = Rule("MP413")
NO_ORDER = Rule("MP414")
NARROW_WINDOW = Rule("MP415", Severity.WARNING)
VOID_KEY = Rule("MP416", Severity.WARNING)
IDLE_DEFAULT = Rule("MP417", Severity.WARNING)
LONG_PATH = Rule("MP418")
OUTRUN_LIMIT = Rule("MP421", Severity.WARNING)
LONG_GRACE = Rule("MP422", Severity.WARNING)
MANY_WORKERS = Rule("MP423", Severity.WARNING)
ONLY_DAEMONS = Rule("MP424", Severity.WARNING)

# MP501 to MP599: what waits for what, and waits that never end.
UNKNOWN_JOB = Rule("MP501")
WAITS_FOR_ITSELF = Rule("MP502")
WAITS_FOR_DISABLED = Rule("MP503")
WAITS_FOR_DAEMON = Rule("MP504")
WAITS_TWICE = Rule("MP505")
CYCLE = Rule("MP506")
READ_TOO_LATE = Rule("MP507", Severity.WARNING)
NEVER_TRUE = Rule("MP508", Severity.WARNING)

# MP601 to MP649: targets, looked up without running anything of them.
BAD_TARGET = Rule("MP601")
NO_MODULE = Rule("MP602")
NO_SUCH_NAME = Rule("MP603")
COROUTINE = Rule("MP604")
NOT_CALLABLE = Rule("MP605")
NOT_PYTHON = Rule("MP606")
UNREADABLE_MODULE = Rule("MP607")
MAIN_MODULE = Rule("MP608")
NAMELESS = Rule("MP609")
MISSING_ARGUMENT = Rule("MP610")
TOO_MANY_ARGUMENTS = Rule("MP611")
UNKNOWN_ARGUMENT = Rule("MP612")
GIVEN_TWICE = Rule("MP613")
POSITIONAL_ONLY = Rule("MP614")
BAD_RESULT = Rule("MP615")
EMITS_NOTHING = Rule("MP616", Severity.WARNING)
TYPES_DISAGREE = Rule("MP617", Severity.WARNING)

# MP651 to MP699: targets, imported by `mporch validate --import`.
IMPORT_FAILS = Rule("MP651")
IMPORT_PRINTS = Rule("MP652", Severity.WARNING)
NOT_BY_NAME = Rule("MP653", Severity.WARNING)
WRAPPED_CALL = Rule("MP654", Severity.WARNING)

# MP671 to MP699: commands, in the place of targets.
TWO_CALLS = Rule("MP671")
COMMAND_MISFIT = Rule("MP672")
BAD_PLACEHOLDER = Rule("MP673")
DOUBTFUL_PLACEHOLDER = Rule("MP674", Severity.WARNING)
NO_PROGRAM = Rule("MP675")
BAD_SCRIPT = Rule("MP676")
DOUBTFUL_COMMAND = Rule("MP677", Severity.WARNING)
ONE_WORD = Rule("MP678", Severity.WARNING)

# MP701 to MP799: the cases under `tests`.
UNKNOWN_NAME = Rule("MP701")
NOT_IN_CASE = Rule("MP702")
BAD_STAND_IN = Rule("MP703")
BAD_MATCHER = Rule("MP704")
BAD_ITEMS = Rule("MP705")
POINTLESS_KILL = Rule("MP706")


CATALOGUE: Mapping[str, Rule] = MappingProxyType(
    {each.code: each for each in tuple(globals().values()) if isinstance(each, Rule)}
)
"""Every rule by its code."""


class RuleText(NamedTuple):
    """What the catalogue says of a rule: `why` is prose, `wrong` and `right` are examples."""

    title: str
    why: str
    wrong: str
    right: str


class Theme(NamedTuple):
    """Rules that belong together, in the order of their codes."""

    title: str
    rules: tuple[Rule, ...]


def text_of(rule: Rule) -> RuleText:
    """Return the title, reasons and examples of a rule."""
    return _texts()[rule.code]


def themes() -> tuple[Theme, ...]:
    """Return all rules by theme."""
    return tuple(
        Theme(title, tuple(CATALOGUE[code] for code in rules))
        for title, rules in _data().items()
        if title != _MINE
    )


def examples_module() -> str:
    """Return the text of the `mine.py` beside each example."""
    return str(_data()[_MINE])


_MINE = "mine"


@functools.cache
def _texts() -> Mapping[str, RuleText]:
    data = {title: rules for title, rules in _data().items() if title != _MINE}
    return {
        code: RuleText(**{**text, "why": " ".join(text["why"].split())})
        for rules in data.values()
        for code, text in rules.items()
    }


@functools.cache
def _data() -> Mapping[str, Any]:
    # Only a problem that is told with its title, and `explain`, need the texts.
    import tomllib  # noqa: PLC0415
    from importlib.resources import files  # noqa: PLC0415

    return tomllib.loads((files(__package__) / "rules.toml").read_text("utf-8"))
