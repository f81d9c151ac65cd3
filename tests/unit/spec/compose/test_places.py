"""Text that is handed to a program: letter by letter as it was written, or refused."""

import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads
from orchestrator.spec.compose.layers import Layers
from orchestrator.spec.compose.variables import environment_of

WHOLE = ["+2", "-0", "0x1F", "0o17", "5", "-5", "+49123"]
ENVIRONMENT = [
    "+2",
    "007",
    "08",
    "1.10",
    "5e10",
    "1e999",
    "true",
    "null",
    "",
    "~",
    ".inf",
    "a b",
    "1" * 500,
]
PLACES = ["command: [echo, {}]", "env: {{A: {}}}"]


def text_of(job_key, *, head="", layers=None, **environ):
    """Return what the program of the only job gets, by the key of it that is given."""
    command = "" if job_key.startswith("command") else "    command: [echo]\n"
    text = f"version: 1\n{head}jobs:\n  a:\n{command}    {job_key}\n"
    job = compile_spec(loads(text, environ=environ, layers=layers), this_machine()).plan.jobs["a"]
    return dict(job.env)["A"] if job_key.startswith("env") else job.target.line[1]


def only(text, *, layers=None, **environ):
    with pytest.raises(SpecError) as caught:
        compile_spec(loads(text, environ=environ, layers=layers), this_machine())
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("written", WHOLE)
def test_a_whole_number_is_handed_on_as_written(place, written):
    assert text_of(place.format(written)) == written
    assert text_of(place.format(f'"x{written}"')) == f"x{written}"
    assert text_of(place.format('"${vars.v}"'), head=f"vars: {{v: {written}}}\n") == written
    assert text_of(place.format('"x${vars.v}"'), head=f"vars: {{v: {written}}}\n") == f"x{written}"


@pytest.mark.parametrize("written", WHOLE)
def test_a_value_of_a_matrix_and_of_an_option_is_handed_on_as_written(written):
    text = f'  a: {{matrix: {{n: [{written}]}}, command: [echo, "${{matrix.n}}"]}}\n'
    text = f"version: 1\njobs:\n{text}"
    (job,) = compile_spec(loads(text, environ={}), this_machine()).plan.jobs.values()
    assert job.target.line == ("echo", written)
    layers = Layers(settings=[f"jobs.a.env.A={written}"])
    assert text_of("env: {A: b}", layers=layers) == written


@pytest.mark.parametrize("place", ["command:\n      - echo\n      - {}", "env:\n      A: {}"])
@pytest.mark.parametrize("value", ENVIRONMENT)
def test_what_the_environment_gives_is_handed_on_whatever_it_looks_like(place, value):
    assert text_of(place.format("${N}"), N=value) == value
    assert text_of(place.format("${N:-}"), N=value) == value
    assert text_of(place.format('"${vars.v}"'), head="vars:\n  v: ${N}\n", N=value) == value


@pytest.mark.parametrize("value", ["007", "1.10", "true", "5e10"])
def test_a_folder_named_like_a_number_by_the_environment_is_a_folder(tmp_path, value):
    (tmp_path / value).mkdir()
    text = "version: 1\njobs:\n  a:\n    command: [echo]\n    cwd: ${D}\n"
    plan = compile_spec(
        loads(text, environ={"D": value}, project_dir=tmp_path), this_machine()
    ).plan
    assert plan.jobs["a"].cwd == str(tmp_path / value)


def test_an_anchor_for_text_and_for_values_is_read_for_each():
    job = "    target: os:getcwd\n    env: &e\n      A: ${N}\n    kwargs: *e\n"
    text = f"version: 1\njobs:\n  a:\n{job}"
    job = compile_spec(loads(text, environ={"N": "8"}), this_machine()).plan.jobs["a"]
    assert (dict(job.env)["A"], job.kwargs["A"]) == ("8", 8)


def test_a_number_the_environment_gives_with_a_zero_is_refused_where_a_value_is_wanted():
    text = "version: 1\nvars:\n  n: ${N}\njobs:\n  a: {target: 'os:getcwd', args: ['${vars.n}']}\n"
    problem = only(text, N="007")
    assert (problem.code, problem.line, problem.column) == ("MP123", 5, 35)


@pytest.mark.parametrize(
    ("job", "message", "hint"),
    [
        ("command: [git, 5e10]", "the number 5e10", 'quotes: "5e10"'),
        ("command: [git, 1.10]", "the number 1.10", 'quotes: "1.10"'),
        ("command: [git, .inf]", "the number .inf", 'quotes: ".inf"'),
        ("command: [git, True]", "the truth value true", 'quotes: "True"'),
        ("command: [git], env: {V: 1.10}", "the number 1.10", 'quotes: "1.10"'),
        ("command: [git], tags: [1.10]", "the number 1.10", 'quotes: "1.10"'),
        ("command: [git], cwd: 1.0", "the number 1.0", 'quotes: "1.0"'),
        ("command: [git], description: 2.50", "the number 2.50", 'quotes: "2.50"'),
        ("command: [git], cwd: 0x10", "the number 0x10", 'quotes: "0x10"'),
        (
            'command: [git, "${vars.py}"]',
            "the number 3.10",
            'put it in quotes at vars.py, line 2: py: "3.10"',
        ),
    ],
)
def test_a_hint_quotes_what_was_written_where_it_was_written(job, message, hint):
    problem = only(f"version: 1\nvars: {{py: 3.10}}\njobs:\n  a: {{{job}}}\n")
    assert message in problem.message
    assert problem.hint.endswith(hint)


def test_a_hint_for_an_option_writes_the_option():
    spec = 'version: 1\nvars: {py: a}\njobs:\n  a: {command: [git, "${vars.py}"], env: {V: a}}\n'
    of_var = only(spec, layers=Layers(variables=["py=3.10"]))
    assert of_var.hint == "write --var 'py=\"3.10\"'"
    of_set = only(spec, layers=Layers(settings=["jobs.a.env.V=1.10"]))
    assert of_set.hint == "write --set 'jobs.a.env.V=\"1.10\"'"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("B=${A}/x", "1/x"),
        ('B="${A}/x"', "1/x"),
        ("B=${NOPE:-dd}", "dd"),
        ("B=${NOPE}", ""),
        ("B=${C}", "of the environment"),
        ("B=$A", "$A"),
    ],
)
def test_a_file_of_variables_is_read_as_python_dotenv_reads_it(tmp_path, line, value):
    (tmp_path / "first.env").write_text("A=1\nC=of a file\n")
    (tmp_path / "b.env").write_text(f"{line}\n")
    files = [str(tmp_path / "first.env"), str(tmp_path / "b.env")]
    assert environment_of(files, {"C": "of the environment"})["B"] == value


@pytest.mark.parametrize(
    ("job", "code", "hint"),
    [
        ("limits: {memory: 1Gi}", "MP208", "did you mean 1GiB?"),
        ("limits: {memory: 512m}", "MP208", "did you mean 512MB?"),
        ("limits: {memory: 100%}", "MP208", "write a number and a unit"),
        ("limits: {memory: 100000000%}", "MP208", "write a number and a unit"),
        ("limits: {memory: \uff11GB}", "MP208", "write a number and a unit"),
        ("timeouts: {run: 0}", "MP207", "write null for no limit"),
        ("env_file: x", "MP201", "give it by --env-file"),
        ("outs: x", "MP201", "did you mean output?"),
        ("shutdown: x", "MP201", "did you mean terminate?"),
        ("stopwaitsecs: 1", "MP201", "did you mean terminate: {grace: …}?"),
        ("every: 1h", "MP201", "cron, or a timer"),
        ("extends: x", "MP201", "use an anchor"),
        ("deps: x", "MP201", "did you mean after?"),
        ("cmds: x", "MP201", "did you mean command?"),
        ("name: x", "MP201", "did you mean description?"),
        ("when: x", "MP201", "did you mean enabled?"),
        ("healthcheck: x", "MP201", "after: {JOB: ready}"),
        ("status: x", "MP201", "there is nothing like it here"),
    ],
)
def test_what_other_tools_write_leads_on(job, code, hint):
    problem = only(f"version: 1\njobs:\n  a: {{command: [echo], {job}}}\n")
    assert problem.code == code
    assert problem.hint.startswith(hint)


def test_a_list_given_as_a_variable_is_told_at_its_option():
    spec = "version: 1\nvars: {p: a}\njobs:\n  a: {matrix: {n: '${vars.p}'}, command: [echo]}\n"
    assert only(spec, layers=Layers(variables=["p=[c]"])).hint.startswith("--var takes single")


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_a_layer_with_nothing_in_it_is_a_warning(tmp_path, text):
    (tmp_path / "over.yaml").write_text(text)
    spec = loads(
        "version: 1\njobs:\n  a: {command: [echo]}\n",
        environ={},
        layers=Layers(files=[str(tmp_path / "over.yaml")]),
    )
    (problem,) = compile_spec(spec, this_machine()).warnings
    assert (problem.code, problem.file) == ("MP127", str(tmp_path / "over.yaml"))
