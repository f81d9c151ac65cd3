"""Values from the command line are laid over a spec, and what is then kept says the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import Layers, load, loads
from orchestrator.spec.compose.layers import merged, written
from orchestrator.spec.compose.variables import environment_of
from orchestrator.spec.yaml.composer import Composer

SPEC = """\
version: 1
vars: {n: 1}
queues: {q: 3, r: , s: {maxsize: 4}}
jobs:
  a:
    target: os:getcwd
    args: [one, two]
    kwargs: {value: "${vars.n}"}
    env:
      TOKEN: ${TOKEN:-none}
"""


READ = SPEC.replace("queues: {q: 3, r: , s: {maxsize: 4}}\n", "")


def spec_of(*settings, variables=(), text=SPEC, **environ):
    layers = Layers(variables=variables, settings=settings)
    return loads(text, name="jobs.yaml", environ=environ, layers=layers)


def only(*settings, **keys):
    (problem,) = spec_of(*settings, **keys).problems
    return problem


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("n=8", 8), ("n=08a", "08a"), ("n=true", True), ("n=", None), ("n=a=b", "a=b"),
        ('n="8"', "8"), ("n='x y'", "x y"), ("n=${TOKEN}", "s3cret"), ("n=a: b", "a: b"),
        ("n=[1]", "[1]"), ("n=$$", "$"),
    ],
)  # fmt: skip
def test_a_var_is_typed_as_a_scalar_without_quotes(option, expected):
    found = spec_of(variables=(option,), TOKEN="s3cret").document.jobs["a"].kwargs["value"]
    assert (found, type(found)) == (expected, type(expected))


def test_what_is_set_later_wins_and_mappings_on_the_way_are_made():
    document = spec_of(
        "jobs.a.workers=2", "jobs.a.workers=4", "jobs.a.timeouts.item=3s", "queues.r.maxsize=5",
        "queues.s.maxsize=6", "jobs.a.args.1=changed", "defaults.daemon=true", "name=x",
        "timeout=${LIMIT}", LIMIT="1m",
    ).document  # fmt: skip
    job = document.jobs["a"]
    assert (job.workers, job.timeouts.item, job.args) == (4, 3.0, ("one", "changed"))
    assert [document.queues[q].maxsize for q in "qrs"] == [3, 5, 6]
    assert (document.defaults.daemon, document.name, document.timeout) == (True, "x", 60.0)


@pytest.mark.parametrize(
    ("option", "message", "hint"),
    [
        ("jobs.b.workers=2", "there is no job b", "--set changes what is there"),
        ("queues.qq.maxsize=2", "there is no queue qq", "did you mean q?"),
        (
            "jobs.a.workers",
            '"jobs.a.workers" gives no value to anything',
            "write --set jobs.a.workers=value",
        ),
        ("jobs..workers=3", '"jobs..workers=3" gives no value to anything', "write --set jobs."),
        ("=3", '"=3" gives no value to anything', "write --set jobs."),
        ("queues.q.maxsize=2", "queues.q is 3, no mapping", "set queues.q itself"),
        ("jobs.a.args.2=x", "jobs.a.args is a list of 2", "items are counted from 0"),
    ],
)
def test_an_option_that_sets_nothing_is_told(option, message, hint):
    problem = only("name=first", option)
    assert (problem.code, problem.message) == ("MP146", message)
    assert problem.hint.startswith(hint)
    assert (problem.file, problem.line, problem.column) == ("--set", 2, 1)


@pytest.mark.parametrize(
    ("option", "code", "column", "message"),
    [
        ("jobs.a.workers=two", "MP204", 16, 'expected a whole number or auto, got the text "two"'),
        ("jobs.a.workers=08", "MP123", 16, "08 starts with a zero"),
        ("jobs.a.wrkers=2", "MP201", 1, 'unknown key "wrkers"'),
        ("jobs.a.workers=${NO}", "MP140", 16, "the environment has no variable NO"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_its_place_in_the_option(
    option, code, column, message
):
    problem = only(option)
    assert (problem.file, problem.line, problem.column) == ("--set", 1, column)
    assert problem.code == code
    assert problem.message.startswith(message)
    assert spec_of(option).texts["--set"] == option


def test_a_var_of_no_name_and_one_that_is_missing_are_told():
    assert only(variables=("a.b=1",)).code == "MP145"
    assert only(variables=("n",)).hint == "write --var n=value"


def test_what_is_kept_has_the_options_in_it_and_says_the_same_without_them():
    spec = spec_of("jobs.a.workers=${N}", variables=('n="08"',), N="3", TOKEN="s3cret", text=READ)
    assert spec.layers == ("jobs.yaml", "--var", "--set")
    assert "s3cret" not in spec.source
    assert "${N}" in spec.source
    again = loads(spec.source, environ={"N": "3", "TOKEN": "s3cret"})
    assert again.document == spec.document
    assert (
        compile_spec(again, this_machine()).plan.jobs
        == compile_spec(spec, this_machine()).plan.jobs
    )


def test_without_options_the_text_is_kept_as_it_is():
    spec = spec_of()
    assert (spec.source, spec.layers) == (SPEC, ())


WORDS = st.one_of(
    st.sampled_from(
        ["yes", "no", "010", "1e3", "0o7", "~", "null", "${A}", "a: b", "# c", "- x", "1.10", "",
         "true", "0x1F", "é", "a\nb", " a", "a ", "'", '"', "<<", "*a", "&a", "!t", "|", "%", "@"]
    ),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8),
)  # fmt: skip
PLAIN = st.sampled_from(
    ["yes", "no", "1e3", "0o7", "~", "null", "${A}", "x${A}", "1.10", "true", "a", "-1", ".inf"]
)


def quoted(text):
    return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'


SCALARS = PLAIN | WORDS.map(quoted)
FLOWS = st.recursive(
    SCALARS.map(lambda word: [word]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: ["-", parts]),
        st.dictionaries(WORDS.map(quoted), inner, max_size=3).map(lambda parts: [":", parts]),
    ),
    max_leaves=8,
)


def block(tree, indent="  "):
    """Write a tree in block style, where any scalar may be plain."""
    if len(tree) == 1:
        return f" {tree[0]}\n"
    kind, parts = tree
    if not parts:
        return " []\n" if kind == "-" else " {}\n"
    inner = f"{indent}  "
    if kind == "-":
        return "\n" + "".join(f"{indent}-{block(part, inner)}" for part in parts)
    return "\n" + "".join(f"{indent}{key}:{block(part, inner)}" for key, part in parts.items())


def shape(node):
    """Return a tree without its places."""
    if hasattr(node, "entries"):
        return {key: shape(entry.value) for key, entry in node.entries.items()}
    if hasattr(node, "items"):
        return [shape(item) for item in node.items]
    return (repr(node.value), node.quoted, node.text)


@given(FLOWS)
def test_a_tree_that_is_written_reads_as_the_same_tree(tree):
    before = Composer().compose(f"x-a:{block(tree)}")
    after = Composer().compose(written(before))
    assert shape(after) == shape(before)


def test_files_of_variables_are_read_later_ones_first_and_the_environment_before_both(tmp_path):
    (tmp_path / "a").write_text("A=1\nexport B='x y'\n# c\n\nC=\"a\\nb\"\nONLY\nD=${A}\nE=\n")
    (tmp_path / "b").write_text("A=2\n")
    found = environment_of([str(tmp_path / "a"), str(tmp_path / "b")], {"B": "mine"})
    assert found == {"A": "2", "B": "mine", "C": "a\nb", "D": "1", "E": ""}


@pytest.mark.parametrize(
    ("text", "line"), [("A=1\n= b\n", 2), ('A=1\n\n\nB="open\nC=1\n', 4), ("A B\n", 1)]
)
def test_a_line_that_is_no_variable_is_told_at_its_place(tmp_path, text, line):
    (tmp_path / "e").write_text(text)
    with pytest.raises(SpecError) as caught:
        environment_of([str(tmp_path / "e")], {})
    assert [(p.code, p.line) for p in caught.value.problems] == [("MP147", line)]


def test_a_missing_file_of_variables_is_told():
    with pytest.raises(SpecError) as caught:
        environment_of(["/nowhere/e"], {})
    assert caught.value.problems[0].code == "MP101"


@pytest.fixture
def layered(tmp_path):
    """Load a spec with files laid over it, each given as text."""

    def load_all(base, *texts):
        (tmp_path / "base.yaml").write_text(base)
        files = [tmp_path / f"over{n}.yaml" for n in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        return load(tmp_path / "base.yaml", layers=Layers(files=list(map(str, files))), environ={})

    return load_all


@pytest.mark.parametrize(
    ("base", "above", "expected"),
    [
        ("{a: 1}", "{b: 2}", {"a": 1, "b": 2}),
        ("{a: 1}", "{a: 2}", {"a": 2}),
        ("{a: true}", "{a: false}", {"a": False}),
        ("{a: [1, 2]}", "{a: [3]}", {"a": [3]}),
        ("{a: [1, 2]}", "{a: []}", {"a": []}),
        ("{a: {b: 1, c: 2}}", "{a: {c: 3, d: 4}}", {"a": {"b": 1, "c": 3, "d": 4}}),
        ("{a: {b: 1}}", "{a: {}}", {"a": {"b": 1}}),
        ("{a: {b: 1}, c: 2}", "{a: null}", {"c": 2}),
        ("{a: {b: 1, c: 2}}", "{a: {b: }}", {"a": {"c": 2}}),
        ("{a: {b: 1}}", '{a: "null"}', {"a": "null"}),
        ("{a: 1}", "{b: null}", {"a": 1, "b": None}),
        ("{a: {b: 1}}", "{a: 5}", {"a": 5}),
        ("{a: 5}", "{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_maps_merge_lists_and_values_replace_and_null_removes(base, above, expected):
    trees = [Composer().compose(text) for text in (base, above)]
    assert merged(*trees).plain() == expected


def test_the_last_file_counts_most_and_variables_are_put_in_afterwards(layered):
    spec = layered(
        SPEC,
        "vars: {n: 2}\njobs: {a: {workers: 3, args: null}}\n",
        "vars: {n: 5}\njobs:\n  b: {target: 'os:getcwd'}\n",
    )
    jobs = spec.document.jobs
    assert (jobs["a"].kwargs, jobs["a"].workers, jobs["a"].args) == ({"value": 5}, 3, ())
    assert "b" in jobs
    assert [name.rpartition("/")[2] for name in spec.layers] == [
        "base.yaml", "over0.yaml", "over1.yaml",
    ]  # fmt: skip
    assert loads(spec.source, environ={}).document == spec.document


def test_a_problem_names_the_file_that_it_is_in(layered):
    spec = layered(
        "version: 1\njobs:\n  a:\n    target: os:getcwd\n    wrkers: 2\n",
        "jobs:\n  a:\n    cwd: ${NO}\n    workers: 01\n",
        "jobs:\n  a:\n    daemon: 3\n    daemn: 3\n",
    )
    found = {(p.file.rpartition("/")[2], p.line, p.column, p.code) for p in spec.problems}
    assert found == {
        ("base.yaml", 5, 5, "MP201"),
        ("over0.yaml", 3, 10, "MP140"),
        ("over0.yaml", 4, 14, "MP123"),
        ("over1.yaml", 3, 13, "MP204"),
        ("over1.yaml", 4, 5, "MP201"),
    }
    assert spec.texts[next(p.file for p in spec.problems if p.line == 3)].startswith("jobs:")


@pytest.mark.parametrize(
    ("text", "code"), [("a: [", "MP110"), ("- a\n", "MP125"), ("~", "MP125"), ("a: *b", "MP116")]
)
def test_a_layer_that_is_no_mapping_is_told_by_its_name(layered, text, code):
    with pytest.raises(SpecError) as caught:
        layered(SPEC, text)
    assert [p.code for p in caught.value.problems] == [code]
    assert caught.value.problems[0].file.endswith("over0.yaml")


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("jobs.a.args=[1]", "--set takes single values: jobs.a.args.0=…"),
        ("jobs.a.tags=[a, b]", "--set takes single values: jobs.a.tags.0=…"),
        ("jobs.a.kwargs={a: 1}", "--set takes single values: write jobs.a.kwargs.KEY=…"),
        ("jobs.a.kwargs=3", ""),
        ("jobs.a.item_name={item[a]", "write fields, as in {item[path]}"),
        ("jobs.a.item_nam={item[a]}", "did you mean item_name?"),
    ],
)
def test_a_list_or_mapping_given_to_set_is_told_to_be_no_single_value(option, hint):
    assert only(option).hint.startswith(hint)
    assert bool(only(option).hint) is bool(hint)


def test_an_item_of_a_list_is_set_as_the_hint_says():
    assert spec_of("jobs.a.args.0=1").document.jobs["a"].args == (1, "two")


def test_a_file_of_variables_that_is_not_there_is_not_looked_for_among_specs(tmp_path):
    (tmp_path / "other.yaml").touch()
    with pytest.raises(SpecError) as caught:
        environment_of([str(tmp_path / "none.env")], {})
    (problem,) = caught.value.problems
    assert problem.hint == "name a file with lines NAME=value"
    (tmp_path / "nine.env").touch()
    with pytest.raises(SpecError) as caught:
        environment_of([str(tmp_path / "none.env")], {})
    assert caught.value.problems[0].hint == "did you mean nine.env?"


@pytest.mark.parametrize(
    ("above", "hint"),
    [
        ("jobs: {prise: {workers: 3}}", "did you mean price?"),
        ("jobs: {quite_else: {workers: 3}}", "add target: "),
        ("queues: {todos: 5}", "did you mean todo?"),
    ],
)
def test_what_only_a_layer_names_may_be_meant_for_what_is_there(layered, above, hint):
    base = "version: 1\nqueues: {todo: 3}\njobs:\n  price: {target: 'os:getcwd', output: todo}\n"
    spec = layered(f"{base}  save: {{target: 'os:chdir', input: todo}}\n", above)
    with pytest.raises(SpecError) as caught:
        compile_spec(spec, this_machine())
    (problem,) = caught.value.problems
    assert problem.hint.startswith(hint)
    assert problem.file.endswith("over0.yaml")
