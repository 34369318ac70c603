"""Arm ids of the original network against plain lists."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from builders import make_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_mabprune.graph.units import UnitTable, worth


@settings(deadline=None, max_examples=60, derandomize=True)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), data=st.data())
def test_ids_groups_and_positions_over_removals(sizes, data):
    table = UnitTable(sizes)
    groups = [[(group, unit) for unit in range(size)] for group, size in enumerate(sizes)]
    ids = {unit: arm for arm, unit in enumerate(chain.from_iterable(groups))}
    assert len(table) == sum(sizes)
    while any(groups):
        live = sorted(ids[unit] for group in groups for unit in group)
        np.testing.assert_array_equal(table.live_arms(), live)
        assert table.sizes == tuple(len(group) for group in groups)
        for number, group in enumerate(groups):
            for position, unit in enumerate(group):
                arm = ids[unit]
                assert (table.group(arm), table.unit(arm)) == unit == (number, unit[1])
                assert table.position(arm) == position
        np.testing.assert_array_equal(
            table.position(live), [place for group in groups for place in range(len(group))]
        )
        gone = data.draw(st.lists(st.sampled_from(live), min_size=1, unique=True))
        table.remove(gone)
        groups = [[unit for unit in group if ids[unit] not in gone] for group in groups]
    assert table.sizes == (0,) * len(sizes)
    assert table.original_sizes == tuple(sizes)


def test_a_single_group_may_be_given_as_a_number():
    table = UnitTable(4)
    assert table.original_sizes == (4,)
    assert table.live.tolist() == [True] * 4


def test_live_units_are_in_their_original_places():
    table = UnitTable([2, 3, 1])
    table.remove([0, 3, 4])
    assert table.live.dtype == bool
    assert table.live.tolist() == [False, True, True, False, False, True]
    assert table.sizes == (1, 1, 1)


def test_the_units_of_a_graphs_groups():
    graph = make_graph(hidden=(7, 5))
    table = UnitTable.of(graph.groups)
    assert table.sizes == table.original_sizes == graph.sizes == (7, 5)
    assert table.live.all()
    table.remove([3])
    assert UnitTable.of(graph.groups).live.all()


@pytest.mark.parametrize("bias", [True, False])
def test_worth_is_what_a_removal_saves(bias):
    graph = make_graph(hidden=(9, 30, 6), bias=bias)
    table = UnitTable.of(graph.groups)
    assert worth(graph, table, "loss").tolist() == [1.0] * 45
    saved = np.repeat([6 + 30, 9 + 6, 30 + 3], (9, 30, 6))
    found = worth(graph, table, "loss_per_mac")
    np.testing.assert_allclose(found, saved.mean() / saved)


def test_worth_is_that_of_the_network_as_it_stands():
    """Of every id of the original network, with the mean over those that are live."""
    graph, smaller = make_graph(hidden=(9, 30, 6)), make_graph(hidden=(8, 28, 6))
    table = UnitTable.of(graph.groups)
    table.remove([4, 20, 38])
    found = worth(smaller, table, "loss_per_mac")
    saved = np.repeat([6 + 28, 8 + 6, 28 + 3], (9, 30, 6))
    np.testing.assert_allclose(found, saved[table.live].mean() / saved)


@pytest.mark.parametrize("arms", [[4, 0, 2], [0], []])
def test_questions_are_answered_in_the_order_asked(arms):
    table = UnitTable([2, 3])
    table.remove([1])
    assert table.group(arms).tolist() == [[0, 0, 1, 1, 1][arm] for arm in arms]
    assert table.unit(arms).tolist() == [[0, 1, 0, 1, 2][arm] for arm in arms]
    assert table.position(arms).tolist() == [[0, None, 0, 1, 2][arm] for arm in arms]
