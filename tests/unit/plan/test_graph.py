"""Cycles and what comes before what, in graphs of any size."""

import itertools

from orchestrator.plan.graph import GraphNode, Moment, cycles


def node(name):
    return GraphNode(str(name), Moment.START)


def graph(**before):
    return {node(name): [node(other) for other in others] for name, others in before.items()}


def names(found):
    return ["".join(each.name for each in cycle) for cycle in found]


def test_a_cycle_is_told_in_order_its_first_node_again_last():
    (cycle,) = cycles(graph(a="b", b="c", c="a"))
    assert len(cycle) == 4
    assert cycle[0] == cycle[-1]
    before = graph(a="b", b="c", c="a")
    assert all(first in before[then] for first, then in itertools.pairwise(cycle))


def test_a_graph_without_a_cycle_has_none():
    assert list(cycles(graph(a="bc", b="d", c="d", d=""))) == []


def test_each_of_several_cycles_is_told():
    assert sorted(map(len, names(cycles(graph(a="b", b="a", c="d", d="c", e="e"))))) == [2, 3, 3]


def test_a_cycle_behind_a_way_to_it_is_told_without_the_way():
    assert names(cycles(graph(a="b", b="c", c="b")))[0] in {"bcb", "cbc"}


def test_a_cycle_of_thousands_ends_no_recursion():
    ring = {node(n): [node((n + 1) % 50_000)] for n in range(50_000)}
    (cycle,) = cycles(ring)
    assert len(cycle) == 50_001
