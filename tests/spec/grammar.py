"""Specs to fuzz with: by a grammar, and with bytes changed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from orchestrator.spec.cases import Case, Expect, Expected
from orchestrator.spec.model import Document, JobSpec
from orchestrator.spec.parts import QueueSpec

__all__ = ["MUTATED", "WRITTEN"]

HERE = Path(__file__).parent
MODELS = (Document, JobSpec, QueueSpec, Case, Expect, Expected)
KEYS = sorted({key for model in MODELS for key in model.model_fields})
NAMES = ["a", "b", "c", "parse", "store", "find", "q-1", "größe", "1", "on", "", "x" * 70]
SCALARS = [
    "1", "0", "-1", "2.0", "1e3", "1e999", "010", "0x1F", "0o7", "0b1", "1_000", "1:30", ".nan",
    ".inf", "yes", "no", "on", "off", "true", "false", "null", "~", "", "2024-01-31",
    "2024-13-45", "9" * 500, "10", "10s", "1m30s", "1:30", "5 minutes", "500MB", "2GiB",
    "1e999GB", "SIGTERM", "TERM", "SIGKILL", "batch", "item", "stream", "block", "fail", "skip",
    "dead_letter", "stop", "drain", "ready", "done", "fork", "spawn", "mine:show",
    "mine:numbers", "mine:later", "mine:limit", "mine.show", "mien:x", "json:loads",
    "json.decodr:x", "__main__:f", ":", "'", '"', "a b", "a: b", "a #b", "*a", "&a x",
    "!!int 1", "!!python/name:os.system x", "|", ">", "@", "`", "%", "{{ x }}", "${HOME}",
    "${matrix.a}", "${run.id}", "<<",
    "\\", '"\\ud800"', '"\\0"', '"\\e[31m"', "\u202e", "é", "😀", "\ufeff", "\x85", "\u2028",
    "\t", "\x1b", "\0",
]  # fmt: skip

SCALAR = st.sampled_from(SCALARS) | st.text(max_size=4) | st.integers().map(str)
NAME = st.sampled_from(NAMES[:6]) | st.sampled_from(NAMES)


def _flow_list(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def _flow_map(entries: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"


VALUE = st.recursive(
    SCALAR | NAME,
    lambda inner: (
        st.lists(inner, max_size=3).map(_flow_list)
        | st.lists(st.tuples(st.sampled_from(KEYS) | NAME | SCALAR, inner), max_size=3).map(
            _flow_map
        )
    ),
    max_leaves=8,
)


def _sometimes(usual: st.SearchStrategy, seldom: st.SearchStrategy) -> st.SearchStrategy:
    """Draw from `seldom` one time in six."""
    return st.sampled_from(range(6)).flatmap(lambda n: usual if n else seldom)


QUEUES = {"q": "10", "r": "{maxsize: 5}"}
JOBS = {
    "a": {"target": "mine:numbers", "output": "q"},
    "b": {"target": "mine:double", "input": "q", "output": "r", "workers": "2"},
    "c": {"target": "mine:show", "input": "r", "call": "batch"},
    "d": {"target": "mine:report", "after": "c"},
}
QUEUE_NAME = st.sampled_from(["q", "r", "s"])
SOUND = {
    "target": st.sampled_from(
        ["mine:numbers", "mine:double", "mine:show", "mine:later", "mine:limit", "mine:sow"]
    ),
    "input": QUEUE_NAME | st.sampled_from(["[q, r]", "{number: q}", "[]", "{out-box: r}"]),
    "output": QUEUE_NAME | st.sampled_from(["[q, r]", "{number: r}", "[r, r]", "{}"]),
    "workers": st.sampled_from(["1", "2", "4", "0", "auto"]),
    "command": st.sampled_from(
        ["[sh, '{item}']", "[sh, 1, '|']", "'cat {item} <<E'", '"\'"', "[sh, '{itm}']", "[]", "''"]
    ),
    "stdin": st.sampled_from(["none", "text", "json", "null"]),
    "stdout": st.sampled_from(["lines", "json", "text", "log"]),
    "exit_codes": st.sampled_from(["[0, 1]", "[]", "[256]", "0"]),
    "tty": st.sampled_from(["true", "false", "1"]),
    "capture": st.sampled_from(["text", "auto", "json"]),
    "call": st.sampled_from(["item", "batch", "stream"]),
    "batch": st.sampled_from(["{size: 5}", "{size: 50}", "{within: 1s}"]),
    "after": st.sampled_from(["a", "b", "c", "d", "{a: ready}", "[a, b]", "[b, b]", "{b: failed}"]),
    "on_error": st.sampled_from(["skip", "{ValueError: skip, else: fail}", "{ValueEror: skip}"]),
    "retry": st.sampled_from(["{attempts: 3}", "{attempts: 0}", "{backoff: {max: 1s}}"]),
    "timeouts": st.sampled_from(["{item: 1s}", "{run: null}", "{start: 10}"]),
    "terminate": st.sampled_from(["{signal: SIGINT}", "{signal: TERM}", "{grace: 1m}"]),
    "limits": st.sampled_from(["{memory: 1GiB}", "{memory: 500}", "{open_files: 64}"]),
    "env": st.sampled_from(["{LEVEL: high}", "{A: null}", "{PYTHONPATH: x}", "{'A=B': x}"]),
    "restart": st.sampled_from(["{max: 3}", "{max: 3, replay: skip}", "{replay: again}"]),
    "daemon": st.sampled_from(["true", "false", "on"]),
    "enabled": st.sampled_from(["true", "false", "no"]),
    "cwd": st.sampled_from([".", "nowhere", '"a\\0b"']),
    "start_method": st.sampled_from(["spawn", "fork"]),
    "matrix": st.sampled_from(
        ["{a: [q, r]}", "{a: [1, 2], b: [x]}", "{a: [1], exclude: [{a: 1}]}", "{a: []}", "[a]"]
    ),
    "kwargs": st.sampled_from(["{most: 3}", "{number: 3}", "{since: 2024-01-31}", "*settings"]),
    "<<": st.sampled_from(["*base", "[*base, *settings]", "3"]),
}
SOUND_QUEUE = st.sampled_from(
    ["10", "", "0", "{maxsize: 5}", "{maxsize: 0, when_full: fail}", "{put_timeout: 5s}"]
)
OF_A_JOB = st.sampled_from(sorted(SOUND)).flatmap(
    lambda key: st.tuples(st.just(key), _sometimes(SOUND[key], VALUE) | st.none())
)
CHANGE = st.tuples(
    _sometimes(st.sampled_from("abcd"), NAME),
    _sometimes(OF_A_JOB, st.tuples(st.sampled_from(KEYS) | NAME, VALUE)),
)
QUEUE_CHANGE = st.tuples(_sometimes(QUEUE_NAME, NAME), _sometimes(SOUND_QUEUE, VALUE) | st.none())
TOP_CHANGE = st.tuples(st.sampled_from(sorted(Document.model_fields)) | NAME, VALUE)
ITEMS = st.sampled_from(
    ["[1, a]", "[]", "{items: [1]}", "{file: no.json}", '{target: "mine:numbers"}', "{args: [1]}"]
)
WANTED = st.sampled_from(
    ["[1, [2]]", "3", "[{$type: int}]", "{each: {$where: {a: 1}}}", "{contains: [{$tpye: x}]}",
     "{at_least: 1}", "[{$regex: '('}]", "[{$type: x, a: 1}]", "{in_any_order: [2.5, null]}"]
)  # fmt: skip
JOB_NAME = st.sampled_from("abcd")


def _map_of(keys: st.SearchStrategy, values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.tuples(keys, values), max_size=2, unique_by=lambda pair: pair[0]).map(
        _flow_map
    )


OF_EXPECT = {
    "queues": _map_of(QUEUE_NAME, WANTED),
    "dead": _map_of(JOB_NAME, WANTED),
    "jobs": _map_of(JOB_NAME, st.sampled_from(["succeeded", "failed", "fine"])),
    "exit_code": st.sampled_from(["0", "3", "300"]),
    "log": st.sampled_from(["[{event: output}]", "[{msg: {$regex: x}}]", "{event: output}"]),
}
OF_CASE = {
    "give": _map_of(QUEUE_NAME, ITEMS),
    "replace": _map_of(JOB_NAME, st.sampled_from(["null", "[1, 2]", "{q: [1]}", "{r: []}", "3"])),
    "kill": st.sampled_from(
        ["{job: b, at_item: 2}", "[{job: a}, {job: c}]", "{job: d}", "[]", "{at_item: 1}"]
    ),
    "timeout": st.sampled_from(["10s", "null", "3"]),
    "vars": st.sampled_from(["{}", "{x: 1}"]),
    "expect": st.fixed_dictionaries({}, optional=OF_EXPECT).map(
        lambda keys: _flow_map(keys.items())
    ),
}
CASE = st.fixed_dictionaries({}, optional=OF_CASE).map(lambda keys: _flow_map(keys.items()))
CASES = _sometimes(_map_of(NAME, CASE), VALUE).map(lambda cases: ("tests", cases))
ANCHORS = "x-base: &base {cwd: .}\nx-settings: &settings {number: 1}\n"


def _put(entries: dict[str, str], key: str, value: str | None) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value


def _written(top: list, queue_changes: list, changes: list) -> bytes:
    """Return the pipeline of QUEUES and JOBS with some entries set, or removed where None."""
    queues, jobs = dict(QUEUES), {name: dict(job) for name, job in JOBS.items()}
    for name, value in queue_changes:
        _put(queues, name, value)
    for name, (key, value) in changes:
        _put(jobs.setdefault(name, {"target": "mine:report"}), key, value)
    lines = [
        "version: 1",
        ANCHORS + "queues:",
        *(f"  {k}: {v}" for k, v in queues.items()),
        "jobs:",
    ]
    for name, job in jobs.items():
        lines += [f"  {name}:", *(f"    {key}: {value}" for key, value in job.items())]
    lines += [f"{key}: {value}" for key, value in top]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


WRITTEN = st.builds(
    _written,
    _sometimes(st.just([]) | st.lists(CASES, max_size=1), st.lists(TOP_CHANGE, max_size=1)),
    st.lists(QUEUE_CHANGE, max_size=1),
    st.lists(CHANGE, max_size=3),
)
"""Specs by a grammar: most are nearly right."""

SEEDS = [path.read_bytes() for path in sorted((HERE / "corpus").glob("*.yaml"))]
PIECES = [
    b"[", b"]", b"{", b"}", b": ", b"- ", b"? ", b"&a ", b"*a", b"<<: ", b"!!x ", b"'", b'"',
    b"|\n", b"\n", b"\n  ", b"\t", b"\r", b"---\n", b"...\n", b"%YAML 1.2\n", b"#", b"\\",
    b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85", b"\x1b[2J",
    b"9" * 50, b" " * 70,
]  # fmt: skip


def _edited(data: bytes, edits: list[tuple[int, int, int, bytes]]) -> bytes:
    """Cut, double, move or replace parts: each edit is (what, where, how much, with what)."""
    for what, where, length, piece in edits:
        start = where % (len(data) + 1)
        end = start + length
        part = data[start:end]
        match what:
            case 0:
                data = data[:start] + piece + data[end:]
            case 1:
                data = data[:start] + piece + data[start:]
            case 2:
                data = data[:start] + data[end:]
            case 3:
                data = data[:start] + part + part + data[end:]
            case _:
                data = data[:start] + bytes(byte ^ 1 << length % 8 for byte in part) + data[end:]
    return data[: 1 << 20]


EDIT = st.tuples(
    st.integers(0, 4),
    st.integers(0, 2000),
    st.integers(0, 40),
    st.sampled_from(PIECES) | st.binary(max_size=3),
)
MUTATED = st.builds(
    _edited, st.sampled_from(SEEDS) | WRITTEN, st.lists(EDIT, min_size=1, max_size=6)
)
"""Specs of the corpus and of the grammar, with bytes changed."""
