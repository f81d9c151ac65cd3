"""Values in a text for the shell: one word each, whatever is in them and wherever they stand."""

import subprocess

import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.redact import masked
from orchestrator.spec import loads
from orchestrator.spec.compose.layers import Layers

PLACES = [
    "printf %s {}",
    "printf %s '{}'",
    'printf %s "{}"',
    'printf %s "$(printf %s {})"',
    'printf %s "$(printf %s "{}")"',
    'v=`printf %s {}`; printf %s "$v"',
    'printf %s "`printf %s "{}"`"',
    "(printf %s {})",
    "# don't ({})\nprintf %s {}",
    "printf %s {} # {}",
    'v={}; printf %s "$v"',
    "case x in x) printf %s {};; esac",
    'printf %s "$(case x in x) printf %s {};; esac)"',
]
HOSTILE = [
    "a b",
    "'",
    '"',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "\\",
    "-n",
    "#",
    "{item}",
    "a\nb",
]


def command_of(place, value, reference="${N}"):
    text = place.replace("{}", reference).replace("\n", "\n      ")
    spec = f"version: 1\njobs:\n  a:\n    command: |-\n      {text}\n"
    return compile_spec(loads(spec, environ={"N": value}), this_machine()).plan.jobs["a"].target


def run(command, folder):
    done = subprocess.run(
        ["/bin/sh", "-c", command.line],
        env=dict(command.values),
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("place", PLACES)
def test_no_value_is_read_as_source(place, tmp_path):
    for value in HOSTILE:
        run(command_of(place, value), tmp_path)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", PLACES[:11])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_one_word_letter_by_letter(place, value, tmp_path):
    if place.count("{}") == 1 or "#" not in place:
        assert run(command_of(place, value), tmp_path) == value
    else:
        assert value in run(command_of(place, value), tmp_path)


@pytest.mark.parametrize("place", PLACES)
def test_what_the_shell_reads_depends_on_no_value(place):
    assert len({command_of(place, value).line for value in HOSTILE}) == 1


def problem_of(spec, *, layers=None, **environ):
    with pytest.raises(SpecError) as caught:
        compile_spec(loads(spec, environ=environ, layers=layers), this_machine())
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cat <<E\n      ${N}\n      E", "stands after <<"),
        ("echo \\${N}", "a backslash stands before ${N}"),
        ("echo ${N:shell}", "the environment gives its value"),
        ("echo ${vars.n:shell}", "the environment gives its value"),
    ],
)
def test_a_place_without_room_for_a_word_is_refused(command, message):
    spec = f"version: 1\nvars: {{n: '${{N}}'}}\njobs:\n  a:\n    command: |\n      {command}\n"
    problem = problem_of(spec, N="x")
    assert problem.code == "MP152"
    assert message in problem.message


@pytest.mark.parametrize("layers", [Layers(variables=["f=-l"]), Layers(settings=["vars.f=-l"])])
def test_an_option_gives_no_source(layers):
    spec = (
        'version: 1\nvars: {f: -a, g: "${vars.f}"}\njobs:\n  a: {command: "ls ${vars.g:shell}"}\n'
    )
    assert (
        compile_spec(loads(spec, environ={}), this_machine()).plan.jobs["a"].target.line == "ls -a"
    )
    assert "the command line gives its value" in problem_of(spec, layers=layers).message


@pytest.mark.parametrize(
    ("written", "layers", "source"),
    [
        ("${vars.f}", None, "; to have it read, ${vars.f:shell}"),
        ("${vars.g:-x y}", None, ""),
        ("${vars.f:?none}", None, "; to have it read, ${vars.f:shell}"),
        ("${vars.f}", Layers(variables=["f=x y"]), ""),
        ("${vars.f}", Layers(settings=["vars.f=x y"]), ""),
        ("${NONE:-x y}", None, ""),
        ("${GIVEN}", None, ""),
        ("${GIVEN:-x y}", None, ""),
    ],
)
def test_a_hint_on_a_bare_value_offers_only_what_is_valid(written, layers, source):
    spec = (
        f"version: 1\nvars: {{f: -l -a, g: }}\njobs:\n  a:\n    command: |-\n      echo {written}\n"
    )
    environ = {"GIVEN": "a b"}
    (problem,) = compile_spec(loads(spec, environ=environ, layers=layers), this_machine()).warnings
    assert problem.code == "MP678"
    assert problem.hint == f'if that is what you want, write "{written}"{source}'
    offers = [f'"{written}"'] + ([source.split()[-1]] if source else [])
    for offered in offers:
        mended = spec.replace(written, offered)
        assert not compile_spec(
            loads(mended, environ=environ, layers=layers), this_machine()
        ).warnings


@pytest.mark.parametrize(
    "command",
    [
        "echo @${vars.f} and @${vars.f}",
        '"echo $${vars.f} @${vars.f}"',
        "'x @${vars.f}'",
        "|-\n      echo one\n      echo @${vars.f}",
        ">\n      echo @${vars.f}\n      more @${vars.f}",
        "|\n      # ${vars.f}\n      echo @${vars.f}",
        "@${vars.f}",
        "echo '${vars.f}' @${vars.f}",
    ],
)
def test_a_warning_marks_the_reference_and_not_the_whole_command(command):
    """Each that is warned of has an @ before it here."""
    lines = f"version: 1\nvars: {{f: a b}}\njobs:\n  a:\n    command: {command}\n".split("\n")
    wanted = []
    for number, line in enumerate(lines, 1):
        parts = line.split("@")
        wanted += [(number, len("".join(parts[:n])) + 1) for n in range(1, len(parts))]
    text = "\n".join(lines).replace("@", "")
    warnings = compile_spec(loads(text), this_machine()).warnings
    assert [(each.line, each.column) for each in warnings] == wanted
    assert {(each.code, each.width) for each in warnings} == {("MP678", len("${vars.f}"))}


def test_source_is_for_a_command_that_is_text():
    spec = 'version: 1\nvars: {f: -l}\njobs:\n  a: {command: [ls, "${vars.f:shell}"]}\n'
    problem = problem_of(spec)
    assert (problem.code, problem.hint) == ("MP141", "write ${vars.f}")


def test_a_command_that_is_all_one_list_stays_a_list():
    spec = 'version: 1\nvars: {c: [ls, -l]}\njobs:\n  a: {command: "${vars.c}"}\n'
    assert compile_spec(loads(spec), this_machine()).plan.jobs["a"].target.line == ("ls", "-l")


def test_what_is_told_and_kept_has_no_value_of_the_environment():
    command = command_of("printf %s {}", "hush")
    assert command.text == "printf %s ${N}"
    spec = loads('version: 1\njobs:\n  a: {command: "echo ${N}"}\n', environ={"N": "hush"})
    assert "hush" not in repr(masked(compile_spec(spec, this_machine()).plan).jobs["a"])
