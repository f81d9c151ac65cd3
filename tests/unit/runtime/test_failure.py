"""What a user's exception becomes: bounded text, the user's own frames, a place."""

import pickle

import pytest

from orchestrator.errors import UnpicklableItemError, WrongDirectionError
from orchestrator.runtime.worker.failure import describe, name_of

HERE = __file__


def caught(call, *args):
    try:
        call(*args)
    except BaseException as error:
        return error
    raise AssertionError


def module(tmp_path, text, name="mine.py"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    scope = {}
    exec(compile(text, str(path), "exec"), scope)
    return scope


def test_the_place_is_the_innermost_line_of_the_project_not_of_a_library_within(tmp_path):
    lib = module(tmp_path, "def fail(): raise OSError(1)\n", "v/site-packages/lib.py")
    mine = module(tmp_path, "def f(g):\n    g()\n")
    error = caught(mine["f"], lib["fail"])
    failure = describe(error, [str(tmp_path)])
    assert failure.where == f"{tmp_path}/mine.py:2"
    assert "lib.py" in failure.traceback


def test_a_folder_whose_name_only_begins_alike_is_not_the_project(tmp_path):
    other = module(tmp_path, "def f(): raise OSError\n", "project-2/other.py")
    mine = module(tmp_path, "def f(g): g()\n", "project/mine.py")
    error = caught(mine["f"], other["f"])
    assert describe(error, [str(tmp_path / "project")]).where == f"{tmp_path}/project/mine.py:1"


def test_what_has_no_frame_of_the_user_is_placed_where_the_target_is():
    failure = describe(TypeError("f() takes nothing"), ["/nowhere"], "/nowhere/mine.py:3")
    assert (failure.where, failure.traceback) == ("/nowhere/mine.py:3", "")


def test_a_syntax_error_is_placed_where_the_syntax_is_wrong(tmp_path):
    error = caught(compile, "def f(:\n", str(tmp_path / "torn.py"), "exec")
    error.__traceback__ = None
    failure = describe(error, [str(tmp_path)])
    assert failure.where == f"{tmp_path}/torn.py:1"
    assert "def f(:" in failure.traceback


def test_causes_inside_of_mporch_are_left_out_and_those_of_the_user_kept():
    ours = caught(pickle.dumps, lambda: 1)
    ours.__traceback__ = None
    error = UnpicklableItemError("no")
    error.__cause__ = caught(int, "x")
    assert "ValueError: invalid literal" in describe(error).traceback


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_a_chain_without_end_and_one_in_a_circle_come_to_an_end(link):
    first = last = ValueError("n")
    for _ in range(20_000):
        following = ValueError("n")
        setattr(following, link, last)
        last = following
    assert len(describe(last).traceback) < 70_000
    setattr(first, link, circle := ValueError("c"))
    setattr(circle, link, first)
    describe(circle)


def test_text_is_bounded_and_can_be_encoded():
    failure = describe(ValueError("\ud800" + "x" * 100_000))
    assert len(failure.message) < 5000
    assert failure.message.startswith("\\ud800")
    failure.message.encode()


def test_hints_of_mporch_and_words_of_exits_are_in_the_message():
    assert describe(WrongDirectionError("no", hint="do so")).message == "no (hint: do so)"
    assert describe(SystemExit(3)).message == "sys.exit(3)"
    assert describe(SystemExit()).message == "sys.exit(None)"


def test_a_policy_may_name_an_exception_in_any_way_its_user_could():
    bases = describe(UnpicklableItemError("no")).bases
    assert {"UnpicklableItemError", "orchestrator.UnpicklableItemError", "TypeError"} <= set(bases)
    assert name_of(ValueError) == "ValueError"
