"""`${…}` stands for a variable: of the environment, or of what is under `vars`."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.redact import MASK, masked
from orchestrator.spec import loads
from orchestrator.spec.compose.variables import pieces_of

JOB = "version: 1\njobs:\n  a:\n    target: os:getcwd\n"


def job_of(text, **environ):
    return compile_spec(loads(text, environ=environ), this_machine()).plan.jobs["a"]


def value(written, *, variables="", **environ):
    """Return the argument that `value: written` becomes."""
    head = f"version: 1\nvars:\n{variables}" if variables else "version: 1\n"
    text = f"{head}jobs:\n  a:\n    target: os:getcwd\n    kwargs:\n      value: {written}\n"
    return job_of(text, **environ).kwargs["value"]


def problems(text, **environ):
    with pytest.raises(SpecError) as caught:
        compile_spec(loads(text, environ=environ), this_machine())
    return caught.value.problems


def only(text, **environ):
    (problem,) = problems(text, **environ)
    return problem


def refused(written, *, variables="  x: 1\n", **environ):
    head = f"version: 1\nvars:\n{variables}"
    return only(
        f"{head}jobs: {{a: {{target: 'os:getcwd', kwargs: {{v: {written}}}}}}}\n", **environ
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${N}", 8),
        ('"${N}"', "8"),
        ("!!str ${N}", "8"),
        ("x${N}", "x8"),
        ("1${N}", 18),
        ("${N}s", "8s"),
        ("${TRUE}", True),
        ("${EMPTY}", None),
        ('"${EMPTY}"', ""),
        ("${LIST}", "[1, 2]"),
        ("${HASH}", "a: b # c"),
        ("${NONE:-5}", 5),
        ('"${NONE:-5}"', "5"),
        ("${EMPTY:-5}", 5),
        ("${NONE:-}", None),
        ("${NONE:-a:-b}", "a:-b"),
        ("${N:?is needed}", 8),
        ("|\n        ${N}", "8\n"),
    ],
)
def test_a_value_of_the_environment_is_typed_where_the_scalar_is_plain(written, expected):
    found = value(written, N="8", TRUE="true", EMPTY="", LIST="[1, 2]", HASH="a: b # c")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("$", "$"), ("$HOME", "$HOME"), ("5 $", "5 $"), ("$$", "$"), ("$$$$", "$$"),
        ("a$$b", "a$b"),
        ("$${N}", "${N}"), ("$$${N}", "$8"), ('"$(N)"', "$(N)"), ('"\\x24{N}"', "8"),
    ],
)  # fmt: skip
def test_a_dollar_is_itself_but_before_a_brace_and_a_dollar(written, expected):
    assert value(written, N="8") == expected


VARS = """\
  port: 5432
  version: 1.10
  quoted: "010"
  none:
  db: {host: h, port: "${vars.port}", url: "pg://${vars.db.host}:${vars.db.port}"}
  same: ${vars.db}
  list: [1, "${vars.port}"]
  dollars: $${x}
"""


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${vars.port}", 5432),
        ('"${vars.port}"', 5432),
        ("x${vars.port}", "x5432"),
        ("${vars.version}", 1.1),
        ("v${vars.version}", "v1.10"),
        ("${vars.quoted}", "010"),
        ("${vars.none}", None),
        ("a${vars.none}b", "ab"),
        ("${vars.none:-3}", 3),
        ("${vars.db}", {"host": "h", "port": 5432, "url": "pg://h:5432"}),
        ("${vars.same}", {"host": "h", "port": 5432, "url": "pg://h:5432"}),
        ("${vars.same.url}", "pg://h:5432"),
        ("${vars.list}", [1, 5432]),
        ("${vars.missing:-d}", "d"),
        ("${vars.port.inner:-d}", "d"),
        ("${vars.dollars}", "${x}"),
    ],
)
def test_a_scalar_that_is_one_of_vars_takes_its_value_with_its_type(written, expected):
    found = value(written, variables=VARS)
    assert (found, type(found)) == (expected, type(expected))


def test_a_variable_fits_every_key_whose_value_it_has():
    text = (
        "version: 1\ntimeout: ${LIMIT}\nvars: {stop: {grace: 3s}}\n"
        "jobs:\n  a:\n    target: os:getcwd\n    workers: ${W:-2}\n    daemon: ${D:-false}\n"
        "    terminate: ${vars.stop}\n    env:\n      N: ${LIMIT}\n"
    )
    plan = compile_spec(loads(text, environ={"LIMIT": "1m"}), this_machine()).plan
    job = plan.jobs["a"]
    assert (plan.timeout_s, job.workers, job.daemon, job.terminate.grace_s) == (60, 2, False, 3)
    assert job.env == (("N", "1m"),)


def test_keys_and_what_is_free_stay_as_they_are():
    spec = loads(
        "version: 1\nx-a: ${NO}\nvars: {a: {'${b}': 1}}\njobs: {a: {target: 'os:getcwd'}}\n"
    )
    assert spec.tree.plain()["x-a"] == "${NO}"
    assert spec.document.vars == {"a": {"${b}": 1}}
    assert compile_spec(spec, this_machine()).warnings == ()


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        (
            '"${HOM}"',
            "the environment has no variable HOM",
            "did you mean HOME? Else set HOM, or give a default: ${HOM:-…}",
        ),
        ('"${x}"', "the environment has no variable x", "did you mean ${vars.x}?"),
        ('"${Q}"', "the environment has no variable Q", "set Q, or give a default: ${Q:-…}"),
        ('"${vars.y}"', "there is no y in vars", "add y to vars"),
        ('"${vars.x.y}"', "vars.x is no mapping: it holds no y", ""),
        ('"${Q:?say where}"', "say where (the environment has no variable Q)", "set Q, or give "),
        ('"${EMPTY:?say}"', "say (EMPTY is empty)", "give it a value"),
        ('"${RAW}"', "the value of RAW in the environment is not UTF-8", "set it anew"),
        ('"${run.idd}"', "nothing is named run.idd", "did you mean run.id?"),
        ('"${worker.x}"', "nothing is named worker.x", "did you mean worker.index"),
        ('"${matrix.x}"', "matrix. names what differs between the jobs", "it may stand within"),
        ('"${var.x}"', "${var.x} names no namespace: var", "did you mean vars?"),
        ('"${}"', "${} names no variable", "write ${NAME}"),
        ('"${1}"', "${1} names no variable", "write ${NAME}"),
        ('"${A-b}"', "${A-b} is no form that mporch knows", "write ${NAME}"),
        ('"${A:+b}"', "${A:+b} is no form that mporch knows", "write ${NAME}"),
        ('"${A"', "this ${ is never closed", "close it with }"),
        ('"${A:-${B}"', "a ${ within another", "put the inner one into vars:"),
    ],
)
def test_what_names_nothing_is_told_at_its_place(written, message, hint):
    problem = refused(written, HOME="/h", EMPTY="", RAW="\udcff")
    assert problem.message.startswith(message)
    assert problem.hint.startswith(hint)
    assert (problem.line, problem.column) == (4, 46)
    assert problem.path == "jobs.a.kwargs.v"
    assert problem.width == len(written) - 2


def test_the_place_is_that_of_the_variable_within_its_line():
    problem = only(f"{JOB}    description: from ${{A}} to ${{B}}\n", A="")
    assert (problem.line, problem.column, problem.width) == (5, 31, 4)


def test_all_that_is_missing_is_told_once_and_nothing_that_follows_from_it():
    found = problems(
        "version: 1\nvars:\n  n: ${N}\nqueues: {q: 1}\njobs:\n"
        "  a:\n    target: os:getcwd\n    workers: ${vars.n}\n    output: ${Q}\n"
        "  b:\n    target: os:${T}\n    input: q\n    after: [c]\n"
    )
    assert [(p.line, p.code) for p in found] == [
        (3, "MP140"),
        (9, "MP140"),
        (11, "MP140"),
        (13, "MP501"),
    ]


def test_a_value_that_does_not_fit_is_told_where_it_is_used():
    problem = only(f"{JOB}    workers: ${{W}}\n", W="two")
    assert (problem.line, problem.column) == (5, 14)
    assert problem.message == 'expected a whole number or auto, got the text "${W}"'


def test_a_value_that_readers_do_not_agree_on_is_refused_as_a_written_one_is():
    problem = only(f"{JOB}    workers: ${{W}}\n", W="08")
    assert (problem.code, problem.line, problem.column) == ("MP123", 5, 14)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ("  a: ${vars.a}\n", "vars.a stands for itself: vars.a -> vars.a"),
        (
            "  a: x${vars.b}\n  b: ${vars.a}\n",
            "vars.a stands for itself: vars.a -> vars.b -> vars.a",
        ),
        ("  a: {b: '${vars.a}'}\n", "vars.a.b stands for itself: vars.a.b -> vars.a.b"),
        ("  a: ${vars.a.b}\n", "vars.a stands for itself: vars.a -> vars.a"),
    ],
)
def test_a_cycle_is_named(variables, told):
    problem = only(f"version: 1\nvars:\n{variables}jobs: {{a: {{target: 'os:getcwd'}}}}\n")
    assert (problem.message, problem.code, problem.line) == (told, "MP142", 3)


def test_a_mapping_does_not_stand_within_a_text():
    problem = refused('"a ${vars.x}"', variables="  x: {y: 1}\n")
    assert problem.message == "vars.x is a mapping, which cannot stand within a text"
    assert (problem.line, problem.column, problem.width) == (4, 48, 9)


def bomb(body, *, levels=40):
    lines = [f"  v{n + 1}: {body.replace('@', f'${{vars.v{n}}}')}\n" for n in range(levels)]
    head = f"version: 1\nvars:\n  v0: lollollol\n{''.join(lines)}"
    return f"{head}jobs: {{a: {{target: 'os:getcwd'}}}}\n"


@pytest.mark.parametrize("body", ['["@", "@"]', '"@@@@"', '{a: "@", b: "@"}', '"${E}@"'])
def test_a_bomb_of_variables_is_refused_at_once(body):
    began = time.process_time()
    problem = problems(bomb(body), E="x" * 100_000)[-1]
    assert problem.code == "MP143"
    assert time.process_time() - began < 2


def test_a_long_chain_of_variables_is_refused_and_not_followed_without_end():
    assert problems(chain(5_000))[-1].code == "MP113"
    assert compile_spec(loads(chain(50)), this_machine()).plan.jobs["a"].description == "end"


def chain(length):
    """Return a spec whose first variable leads through all others."""
    lines = [f"  v{n}: ${{vars.v{n + 1}}}\n" for n in range(length)]
    job = "jobs: {a: {target: 'os:getcwd', description: '${vars.v0}'}}\n"
    return f"version: 1\nvars:\n{''.join(lines)}  v{length}: end\n{job}"


def test_levels_that_variables_add_count_as_written_ones():
    half = "[" * 40 + "1" + "]" * 40
    other = half.replace("1", "'${vars.a}'")
    text = f"version: 1\nvars:\n  a: {half}\n  b: {other}\n"
    assert only(f"{text}jobs: {{a: {{target: 'os:getcwd'}}}}\n").code == "MP113"


def test_an_unquoted_reference_in_brackets_is_told_to_be_quoted():
    for line, word in (
        ("    args: [a-${N}]\n", "a-${N}"),
        ("    kwargs: {a: ${N}, b: 1}\n", "${N}"),
        ("    args: [one, ${vars.out}/x.csv, two]\n", "${vars.out}/x.csv"),
        ("    args: ['${A}', ${B:-b c}, 3]\n", "${B:-b c}"),
        ("    args: [x, ${A}-${B}]\n", "${A}-${B}"),
    ):
        problem = only(JOB + line)
        assert (problem.message, problem.hint) == (
            f"{word} within {{ }} or [ ] needs quotes",
            f'write "{word}"',
        )


@given(st.text(alphabet="${}aA.:-?1 ", max_size=20))
def test_any_text_is_read_or_refused_and_a_dollar_can_always_be_escaped(text):
    escaped = text.replace("$", "$$")
    assert "".join(map(str, pieces_of(escaped))) == text


KEPT = """\
version: 1
vars:
  url: pg://me:${PW}@h/${DB}
  all: {token: "${PW}", n: "${N}"}
defaults:
  env:
    A: ${PW}
    B: plain
    C: ${PW}
  kwargs: {d: "${PW}"}
jobs:
  a:
    target: os:getcwd
    args: ["${vars.url}", ["${PW}"], "${NONE:-d}"]
    kwargs: {all: "${vars.all}", key: "k${PW}", pass: "${PW}", own: 1}
    env: {C: own, TOKEN: "${PW}"}
"""


def test_values_of_the_environment_are_not_in_a_plan_that_is_shown_or_kept():
    job = job_of(KEPT, PW="s3cret", DB="base", N="77")
    assert job.kwargs["all"] == {"token": "s3cret", "n": "77"}
    kept = masked(
        compile_spec(
            loads(KEPT, environ={"PW": "s3cret", "DB": "base", "N": "77"}), this_machine()
        ).plan
    )
    written = json.dumps(msgspec.to_builtins(kept))
    assert "s3cret" not in written
    assert "base" not in written
    assert "77" not in written
    shown = kept.jobs["a"]
    assert shown.args[1:] == (["${PW}"], "d")
    assert shown.args[0] == f"pg://me:{MASK}@h/${{DB}}"
    shared = {"token": "${PW}", "n": "${N}"}
    assert shown.kwargs == {"all": shared, "key": MASK, "pass": "${PW}", "own": 1, "d": "${PW}"}
    assert dict(shown.env) == {"A": "${PW}", "B": "plain", "C": "own", "TOKEN": "${PW}"}


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("command: 'echo ${item}'", "write {item}, without the dollar"),
        ("command: [echo, '${item.name}']", "write {item.name}, without the dollar"),
        ("command: [echo, '${item[0]}']", "write {item[0]}, without the dollar"),
        ("command: 'echo ${items}'", "write {item}, without the dollar"),
        ("target: 'os:stat', args: ['${item}']", "the target is called with the item"),
        ("target: 'os:stat', args: ['${worker}']", "write ${worker.name}, ${worker.job}, "),
        ("command: 'echo ${worker}'", 'as in env: {IT: "${worker.name}"}, and write $IT here'),
        ("command: 'echo ${itemised}'", "set itemised, or give a default"),
    ],
)
def test_what_is_known_only_later_has_its_own_form(line, hint):
    assert hint in only(f"version: 1\njobs: {{a: {{{line}}}}}\n").hint


def test_a_variable_of_the_spec_comes_before_what_is_known_later():
    text = "version: 1\nvars: {item: 3}\njobs: {a: {command: 'echo ${item}'}}\n"
    assert only(text).hint == "did you mean ${vars.item}?"


@pytest.mark.parametrize(
    ("top", "workers", "hint"),
    [
        ("vars: {n: '5'}", '"${vars.n}"', "write n: 5 under vars, without quotes"),
        ("vars: {a: {n: '5'}}", '"${vars.a.n}"', "write n: 5 under vars.a, without quotes"),
        ("", '"${N}"', "write ${N} on a line of its own, without quotes"),
        ("", '"${M:-3}"', "write ${M:-3} on a line of its own, without quotes"),
        ("", '"4"', "write 4, without quotes"),
    ],
)
def test_a_number_that_is_text_is_mended_where_it_was_written(top, workers, hint):
    assert only(f"{top}\n{JOB}    workers: {workers}\n", N="7").hint == hint


def test_what_a_queue_holds_is_mended_under_vars():
    text = f"vars: {{n: '5'}}\nqueues: {{q: '${{vars.n}}'}}\n{JOB}    output: q\n"
    found = [problem.hint for problem in problems(text) if problem.code == "MP204"]
    assert found == ["write n: 5 under vars, without quotes"]


@pytest.mark.parametrize(
    "line",
    [
        "env: ${S}", "env: ['${S}=3']", "kwargs: ['${S}']", "kwargs: ${S}", "timeouts: ${S}",
        "terminate: ${S}", "after: [a, {a: '${S}'}]", "args: ['${S}', {a: 1}]\n    retry: ${S}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("secret", ["topsecret", "A=topsecret", "SIGTOPSECRET", "17s"])
def test_no_hint_has_a_value_of_the_environment(line, secret):
    told = "\n".join(map(str, problems(f"{JOB}    {line}\n", S=secret)))
    assert not any(part in told for part in (secret, "topsecret"))
