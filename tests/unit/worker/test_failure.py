"""What a user's exception becomes: bounded text, the user's own frames, a place."""

import pickle

import pytest

from orchestrator.errors import UnpicklableItemError, WrongDirectionError
from orchestrator.worker.failure import describe, name_of, text_of, users_traceback

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


def test_nothing_of_an_exception_is_changed_however_long_its_chain():
    error = first = caught(int, "x")
    for n in range(300):
        following = ValueError(n)
        following.__cause__, following.__context__ = error, first
        following.__suppress_context__ = n % 2 == 0
        error = following
    at = error.__traceback__ = first.__traceback__
    describe(error)
    assert error.__traceback__ is at
    link = error
    for n in reversed(range(300)):
        assert (link.__context__, link.__suppress_context__) == (first, n % 2 == 0)
        link = link.__cause__
    assert link is first


def test_what_no_memory_is_left_to_tell_is_a_failure_all_the_same(monkeypatch):
    def render(_):
        raise MemoryError

    monkeypatch.setattr("orchestrator.worker.failure.render", render)
    failure = describe(KeyError(1), ["/"])
    assert (failure.kind, failure.bases[:2]) == ("KeyError", ("builtins.KeyError", "KeyError"))


def test_a_text_is_a_str_and_no_subclass_and_asking_for_it_raises_nothing():
    class Odd(str):
        __str__ = __format__ = None

    class Gives(Exception):
        def __str__(self):
            return Odd("x")

    class Exits(Exception):
        def __str__(self):
            raise SystemExit(3)

    assert type(text_of(Gives())) is str
    assert text_of(Exits()) == "(its str() raised SystemExit)"


def test_a_debugger_is_shown_the_users_frames_only():
    assert users_traceback(caught(describe)) is not None
    assert users_traceback(caught(int, "x")).tb_frame.f_code.co_filename == HERE
    assert users_traceback(ValueError()) is None
