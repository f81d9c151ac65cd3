"""The resolved spec as YAML that reads as the same values, and as a tree."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.resolved import DEFAULT, Branch, Layer, Leaf, NamedSource, Origin, Place
from orchestrator.spec import loads
from orchestrator.views.plan import render_tree, render_yaml
from orchestrator.views.tables import Paper

PLACE = Place(file="jobs.yaml", line=3, column=7)
SOURCE = NamedSource(name="TOKEN", layer=Layer.ENVIRONMENT)
WRITTEN = Origin(layer=Layer.DEFAULTS, place=PLACE, within="defaults.env.A", sources=(SOURCE,))
TREE = Branch(
    inner={
        "args": Branch(
            is_list=True,
            inner={
                0: Leaf(value=1, origin=DEFAULT),
                1: Branch(is_list=True, inner={0: Leaf(value="a: b", origin=WRITTEN)}),
            },
        ),
        "env": Leaf(value={}, origin=DEFAULT),
    }
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def nodes(value):
    if isinstance(value, dict | list) and value:
        keyed = value if isinstance(value, dict) else dict(enumerate(value))
        inner = {key: nodes(each) for key, each in keyed.items()}
        return Branch(inner=inner, is_list=isinstance(value, list))
    return Leaf(value=value, origin=WRITTEN)


@given(VALUES)
def test_any_value_reads_as_itself_again(value):
    root = Branch(inner={"vars": Branch(inner={"v": nodes(value)})})
    for origins in (True, False):
        spec = loads(render_yaml(root, Paper(), origins=origins), environ={})
        assert spec.tree.plain() == {"vars": {"v": value}}


def test_origins_are_comments():
    assert render_yaml(TREE, Paper(), origins=True) == (
        "args:\n"
        "  - 1                                     # default\n"
        '  - - "a: b"                              # jobs.yaml:3:7, defaults.env.A, '
        "environment TOKEN\n"
        "env: {}                                   # default\n"
    )


def test_a_tree_has_a_branch_for_each_mapping_and_list():
    assert render_tree(TREE, "census", Paper(), origins=False) == (
        'census\n├─ args\n│  ├─ 0: 1\n│  └─ 1\n│     └─ 0: "a: b"\n└─ env: {}\n'
    )
