"""A script gets variables in the place of items, each quoted as its place demands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.script import ScriptError, script_of

V = "${MPORCH_ITEM_1}"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("echo {item}", f'echo "{V}"'),
        ("echo '{item}'", f"echo ''\"{V}\"''"),
        ('echo "{item}"', f'echo "{V}"'),
        ('echo \\"{item}', f'echo \\""{V}"'),
        ('echo "it\'s {item}"', f'echo "it\'s {V}"'),
        ("echo 'a\"b' {item}", f'echo \'a"b\' "{V}"'),
        ('echo "$(cat {item})"', f'echo "$(cat "{V}")"'),
        ('echo "`cat {item}`"', f'echo "`cat "{V}"`"'),
        ('echo "$(cat \'a\' "b {item}")"', f'echo "$(cat \'a\' "b {V}")"'),
        ("(cd x; cat {item})", f'(cd x; cat "{V}")'),
        ("# don't\ncat {item}", f'# don\'t\ncat "{V}"'),
        ("cat a#'b' {item}", f"cat a#'b' \"{V}\""),
        ("cat {{item}}", "cat {item}"),
    ],
)
def test_a_variable_is_quoted_as_its_place_demands(written, read):
    assert script_of(written).text == read


def test_each_place_has_a_variable_of_its_own():
    script = script_of("cp {item[from]} {item[to]}")
    assert script.text == 'cp "${MPORCH_ITEM_1}" "${MPORCH_ITEM_2}"'
    assert [field.text for _, field in script.variables] == ["{item[from]}", "{item[to]}"]


@pytest.mark.parametrize("text", ["cat <<E\n{item}\nE", "echo 'a {item}", 'echo "$(cat {item}"'])
def test_a_place_that_no_variable_can_be_given_to_is_refused(text):
    with pytest.raises(ScriptError, match="item"):
        script_of(text)


@given(st.text(alphabet="ab '\"`$(){}\\#\n<;&|").filter(lambda text: "item" not in text))
def test_a_text_without_an_item_stays_as_it_is(text):
    assert script_of(text) == (text, ())
