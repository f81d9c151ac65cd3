"""Texts that cannot be names of files, and numbers beyond all bounds: the user's mistake, told."""

import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.runlog.letters import DeadLetters

LONG = "a" * 300
DEEP = "a/" * 3000
HUGE = "9" * 25
ENDLESS = "9" * 5000


@pytest.fixture
def nothing_found(mporch, project):
    """Asks a command, which is to end with 2 and a word on `said`, never as a bug."""
    (project / "loop").symlink_to("loop")

    def ask(*arguments, said=""):
        answer = mporch(*arguments)
        assert (answer.code, "bug" in answer.err) == (2, False), answer.err
        assert said in answer.err
        return answer

    return ask


RUNS = ["show", "logs", "resume", "dead list", "dead show", "dead export", "dead debug 1"]
RUNS += ["dead replay --all"]


@pytest.mark.parametrize("name", [LONG, DEEP, "loop", "./loop", f"{DEEP}/{LONG}", ENDLESS])
@pytest.mark.parametrize("command", RUNS)
def test_a_run_that_cannot_be_is_not_there(finished, nothing_found, command, name):
    words = command.split()
    at = 1 + (words[0] == "dead")
    is_number = name == ENDLESS and words[0] == "dead"
    said = "is not the number of a letter" if is_number else "there is no run"
    nothing_found(*words[:at], name, *words[at:], said=said)


@pytest.mark.parametrize("name", [LONG, DEEP, "loop"])
@pytest.mark.parametrize("command", ["run", "plan", "graph", "validate", "test", "init"])
def test_a_first_word_that_cannot_be_a_file_is_told(nothing_found, command, name):
    nothing_found(command, name, said="aaa" if name == LONG else "")


@pytest.mark.parametrize("name", [LONG, DEEP, "loop"])
@pytest.mark.parametrize("option", ["-f", "--env-file"])
def test_a_file_of_an_option_that_cannot_be_is_told(nothing_found, option, name):
    nothing_found("validate", "jobs.yaml", option, name, said=name[:200])


@pytest.mark.parametrize("name", [LONG, DEEP, "loop"])
def test_neither_a_command_nor_a_file_is_told(nothing_found, name):
    nothing_found(name, said="There is no command")


@pytest.mark.parametrize("where", ["cwd: {}", "env: {{}}, cwd: {}"])
def test_a_folder_whose_name_is_too_long_is_an_error_at_its_place(nothing_found, project, where):
    for name in (LONG, DEEP):
        spec = (project / "jobs.yaml").read_text().splitlines()
        spec[4] = f'  work: {{target: "mine:work", input: todo, {where.format(name)}}}'
        (project / "jobs.yaml").write_text("\n".join(spec))
        column = spec[4].index(name) + 1
        for command in ("validate", "plan", "run"):
            nothing_found(command, said=f"jobs.yaml:5:{column}: error: there can be no folder")


def test_an_import_path_whose_name_is_too_long_is_an_error_at_its_place(nothing_found, project):
    (project / "jobs.yaml").write_text(
        f"pythonpath: [., {LONG}]\n{(project / 'jobs.yaml').read_text()}"
    )
    told = nothing_found("validate", said="jobs.yaml:1:17: error: there can be no folder")
    assert "[MP418]" in told.err


@pytest.mark.parametrize("name", ["é" * 127, "a" * 255, "/".join(["a" * 250] * 15)])
def test_a_folder_with_the_longest_name_that_there_can_be_is_only_not_there(mporch, project, name):
    (project / "jobs.yaml").write_text(
        f"pythonpath: [., {name}]\n{(project / 'jobs.yaml').read_text()}"
    )
    answer = mporch("validate")
    assert answer.code == 0
    assert "[MP411]" in answer.err


def test_bytes_are_counted_not_characters(nothing_found, project):
    (project / "jobs.yaml").write_text(
        f"pythonpath: [., {'é' * 128}]\n{(project / 'jobs.yaml').read_text()}"
    )
    nothing_found("validate", said="[MP418]")


@pytest.mark.parametrize("n", [HUGE, "9223372036854775807", "9223372036854775808"])
def test_more_lines_than_there_can_be_are_all_of_them(mporch, finished, n):
    assert mporch("logs", "-n", n).out == mporch("logs").out != ""


@pytest.mark.parametrize("arguments", [("logs", "-n", ENDLESS), ("logs", "-n", "1e9")])
def test_what_is_no_number_is_told(finished, nothing_found, arguments):
    nothing_found(*arguments, said="is not a valid integer")


@pytest.mark.parametrize("grep", ["a{99999999999}", "(" * 5000, "("])
def test_what_is_no_regular_expression_is_told(finished, nothing_found, grep):
    nothing_found("logs", "--grep", grep, said="not a regular expression")


@pytest.mark.parametrize("number", [HUGE, f"1-{HUGE}", f"{HUGE}-{HUGE}", "50-60"])
@pytest.mark.parametrize("command", ["show", "export", "debug", "replay"])
def test_a_letter_beyond_all_is_not_there(finished, nothing_found, command, number):
    nothing_found("dead", command, "last", number, said="has no dead letters")


@pytest.fixture
def letters(finished):
    """Two dead letters of the run."""
    kept = DeadLetters(finished.path)
    failure = Failure(kind="KeyError", message="7")
    for n in (1, 2):
        dead = ItemDead(
            job="work",
            worker="work-1",
            item=f"todo:{n}",
            queue="todo",
            attempts=1,
            failure=failure,
            chunk=b"",
            index=0,
            packed=False,
        )
        kept.add(dead, 1.0)
    kept.close()


@pytest.mark.parametrize("number", [HUGE, f"3-{HUGE}", f"{HUGE}-{HUGE}", "50-60", "3-4"])
@pytest.mark.parametrize("command", ["show", "export", "debug", "replay"])
def test_a_letter_beyond_the_last_is_named(letters, nothing_found, command, number):
    nothing_found("dead", command, "last", number, said=f"has no letter {number.partition('-')[0]}")


def test_letters_up_to_any_number_are_those_there_are(letters, mporch):
    assert mporch("dead", "show", "last", f"1-{HUGE}").out.count("KeyError") == 2
