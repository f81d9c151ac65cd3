"""A call is bound as Python would bind it."""

import inspect

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.targets.calls import Call, GivenArguments, slips

NAMES = ["a", "b", "c", "d"]
KINDS = [*inspect._ParameterKind]


@st.composite
def signatures(draw):
    parameters, seen_default = [], False
    names = iter(NAMES)
    for kind in KINDS:
        most = 1 if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD) else 2
        for _ in range(draw(st.integers(0, most))):
            name = next(names, None)
            if name is None:
                break
            default = inspect.Parameter.empty
            if kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
                if seen_default or draw(st.booleans()):
                    default, seen_default = 0, True
            elif kind is inspect.Parameter.KEYWORD_ONLY and draw(st.booleans()):
                default = 0
            parameters.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(parameters)


@given(signatures(), st.integers(0, 4), st.sets(st.sampled_from([*NAMES, "e"])))
def test_a_call_slips_exactly_if_python_could_not_bind_it(signature, n, names):
    call = Call(
        path=("target",),
        positional=[GivenArguments(what=f"args[{i}]", path=("args", i)) for i in range(n)],
        named={
            name: GivenArguments(what="in kwargs", path=("kwargs", name)) for name in sorted(names)
        },
        advice="give {name}",
    )
    scope = {}
    exec(f"def f{signature}: ...", scope)  # Signature.bind of Python 3.11 differs from a call
    try:
        scope["f"](*range(n), **dict.fromkeys(names))
        binds = True
    except TypeError:
        binds = False
    found = list(slips("f", "f.py:1", signature, call))
    assert (not found) is binds
    assert all("f.py:1" in slip.message for slip in found)
