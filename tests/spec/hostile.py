"""Specs made to be slow or large to check: each within the bounds of a spec, or just past one."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["HOSTILE"]

HEAD = "version: 1\n"
MIB = 1 << 20


def _jobs(lines: list[str], *, top: str = "") -> str:
    return f"{HEAD}{top}jobs:\n" + "".join(f"  {line}\n" for line in lines)


def _names(n: int) -> list[str]:
    return [f"a_rather_long_name_that_is_like_others_{i}_" for i in range(n)]


def waiting_for_unknown_jobs() -> str:
    return _jobs([f"{n}: {{target: 'os:getcwd', after: x{n}}}" for n in _names(4_000)])


def reading_unknown_queues() -> str:
    queues = "".join(f"  {n}: 1\n" for n in _names(3_500))
    jobs = [f"{n}: {{target: 'os:getcwd', input: x{n}}}" for n in _names(3_500)]
    return _jobs(jobs, top=f"queues:\n{queues}")


def exceptions_by_the_thousand() -> str:
    policies = ", ".join(f"ValueEro{i}: skip" for i in range(20_000))
    return _jobs([f"a: {{target: 'os:getcwd', input: q, on_error: {{{policies}}}}}"])


def cycles_by_the_thousand() -> str:
    return _jobs(
        [
            f"j{i}_: {{target: 'os:getcwd', after: j{i + 1 if i % 2 == 0 else i - 1}_}}"
            for i in range(8_000)
        ]
    )


def one_long_cycle() -> str:
    return _jobs(
        [f"j{i}_: {{target: 'os:getcwd', after: j{(i + 1) % 8_000}_}}" for i in range(8_000)]
    )


def one_long_wait() -> str:
    first = "j0_: {target: 'os:getcwd'}"
    return _jobs(
        [first, *(f"j{i}_: {{target: 'os:getcwd', after: j{i - 1}_}}" for i in range(1, 8_000))]
    )


def one_long_pipe() -> str:
    queues = "".join(f"  q{i}_: 9\n" for i in range(4_000))
    jobs = ["j0_: {target: 'os:getcwd', output: q0_}"]
    jobs += [
        f"j{i}_: {{target: 'os:getcwd', input: q{i - 1}_, output: q{i}_}}" for i in range(1, 4_000)
    ]
    return _jobs([*jobs, "end: {target: 'os:getcwd', input: q3999_}"], top=f"queues:\n{queues}")


def all_wait_for_all() -> str:
    names = [f"j{i}_" for i in range(200)]
    return _jobs(
        [
            f"{name}: {{target: 'os:getcwd', after: [{', '.join(names[:i])}]}}"
            for i, name in enumerate(names)
            if i
        ]
    )


def daemons_by_the_thousand() -> str:
    queues = "".join(f"  q{i}_: 9\n" for i in range(4_500))
    jobs = [f"j{i}_: {{target: 'os:getcwd', output: q{i}_, daemon: true}}" for i in range(4_500)]
    return _jobs(jobs, top=f"queues:\n{queues}")


def modules_by_the_thousand() -> str:
    return _jobs([f"j{i}_: {{target: 'pakage{i}.module:f'}}" for i in range(11_000)])


def broken_jobs_by_the_thousand() -> str:
    return _jobs([f"j{i}_: {{}}" for i in range(24_000)])


def unknown_keys_by_the_thousand() -> str:
    return (
        HEAD + "jobs: {a: {target: 'os:getcwd'}}\n" + "".join(f"k{i}: 1\n" for i in range(24_000))
    )


def wrong_values_by_the_thousand() -> str:
    return _jobs([f"j{i}_: {{target: 'os:getcwd', workers: x}}" for i in range(8_000)])


def wrong_arguments_by_the_thousand() -> str:
    return _jobs([f"a: {{target: 'os:getcwd', args: [{'no, ' * 48_000}]}}"])


def one_mapping_aliased_by_the_thousand() -> str:
    jobs = [f"j{i}_: {{<<: *b, target: 'os:getcwd'}}" for i in range(2_400)]
    return _jobs(jobs, top="x-b: &b {workers: x, timeouts: 3}\n")


def anchors_by_the_thousand() -> str:
    return HEAD + "x-a: [" + ", ".join(f"&a{i} 1" for i in range(48_000)) + "]\n"


def merges_of_merges() -> str:
    levels = "".join(
        f"x-{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}], k{i}: 1}}\n" for i in range(1, 40)
    )
    return f"{HEAD}x-0: &m0 {{a: 1}}\n{levels}"


def billion_laughs() -> str:
    levels = "".join(f"x-{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]\n" for i in range(1, 12))
    return f"{HEAD}x-0: &l0 [{', '.join(['lol'] * 10)}]\n{levels}"


_TEXTS: dict[str, Callable[[], str]] = {
    "open_brackets": lambda: "[" * (MIB - 10),
    "open_braces": lambda: "{a: " * (MIB // 4 - 10),
    "open_dashes": lambda: "- " * (MIB // 2 - 10),
    "open_questions": lambda: "? " * (MIB // 2 - 10),
    "list_of_a_quarter_million": lambda: "- 1\n" * (MIB // 4 - 10),
    "list_in_a_line": lambda: HEAD + "x-a: [" + "1," * 49_900 + "]",
    "one_long_text": lambda: HEAD + "name: " + "x" * (MIB - 100),
    "one_long_escaped_text": lambda: HEAD + 'name: "' + "\\x41" * (MIB // 4 - 100) + '"',
    "one_long_number": lambda: HEAD + "timeout: " + "9" * (MIB - 100),
    "one_long_quoted_number": lambda: HEAD + "timeout: '" + "9" * (MIB - 100) + "x'",
    "one_long_sum": lambda: HEAD + "timeout: '" + "1." * (MIB // 2 - 100) + "'",
    "one_huge_size": lambda: _jobs(
        ["a: {target: 'os:getcwd', limits: {memory: '" + "9" * 500_000 + "GB'}}"]
    ),
    "one_deep_module": lambda: _jobs(["a: {target: '" + "a." * 500_000 + "b:c'}"]),
    "one_deep_name": lambda: _jobs(["a: {target: 'os:" + "a." * 500_000 + "b'}"]),
    "one_comment": lambda: "#" * (MIB - 10),
    "blank_lines": lambda: "\n" * (MIB - 10),
    "one_long_indent": lambda: " " * (MIB - 10) + "a",
    "quotes": lambda: "'" * (MIB - 10),
    "one_long_key": lambda: "a" * (MIB - 10) + ": 1",
    "keys_of_keys": lambda: "a: " * (MIB // 3 - 10),
    "anchors_of_anchors": lambda: "&a " * (MIB // 3 - 10),
    "aliases_without_anchor": lambda: "*a " * (MIB // 3 - 10),
    "one_long_tag": lambda: "!" * (MIB - 10),
    "one_long_directive": lambda: "%" * (MIB - 10),
    "documents": lambda: "--- 1\n" * (MIB // 6 - 10),
    "block_of_blank_lines": lambda: "a: |\n" + " \n" * (MIB // 2 - 10),
    "open_quotes": lambda: "a: 'b\n\n" * (MIB // 7 - 10),
    "doubtful_numbers": lambda: HEAD + "x: [" + "010, " * 40_000 + "]",
}
_SPECS: tuple[Callable[[], str], ...] = (
    waiting_for_unknown_jobs,
    reading_unknown_queues,
    exceptions_by_the_thousand,
    cycles_by_the_thousand,
    one_long_cycle,
    one_long_wait,
    one_long_pipe,
    all_wait_for_all,
    daemons_by_the_thousand,
    modules_by_the_thousand,
    broken_jobs_by_the_thousand,
    unknown_keys_by_the_thousand,
    wrong_values_by_the_thousand,
    wrong_arguments_by_the_thousand,
    one_mapping_aliased_by_the_thousand,
    anchors_by_the_thousand,
    merges_of_merges,
    billion_laughs,
)
HOSTILE: dict[str, Callable[[], str]] = {make.__name__: make for make in _SPECS} | _TEXTS
"""What makes each text, by name; none is larger than a spec may be."""
