"""Arm ids of the original network against plain lists."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_mabprune.graph.units import NeuronTable


@settings(deadline=None, max_examples=60, derandomize=True)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), data=st.data())
def test_ids_layers_and_positions_over_removals(sizes, data):
    table = NeuronTable(sizes)
    layers = [[(layer, unit) for unit in range(size)] for layer, size in enumerate(sizes)]
    ids = {neuron: arm for arm, neuron in enumerate(chain.from_iterable(layers))}
    assert len(table) == sum(sizes)
    while any(layers):
        live = sorted(ids[neuron] for layer in layers for neuron in layer)
        np.testing.assert_array_equal(table.live_arms(), live)
        assert table.sizes == tuple(len(layer) for layer in layers)
        for number, layer in enumerate(layers):
            for position, neuron in enumerate(layer):
                arm = ids[neuron]
                assert (table.layer(arm), table.unit(arm)) == neuron == (number, neuron[1])
                assert table.position(arm) == position
        np.testing.assert_array_equal(
            table.position(live), [place for layer in layers for place in range(len(layer))]
        )
        gone = data.draw(st.lists(st.sampled_from(live), min_size=1, unique=True))
        table.remove(gone)
        layers = [[neuron for neuron in layer if ids[neuron] not in gone] for layer in layers]
    assert table.sizes == (0,) * len(sizes)
    assert table.original_sizes == tuple(sizes)


def test_a_single_layer_may_be_given_as_a_number():
    table = NeuronTable(4)
    assert table.original_sizes == (4,)
    assert [part.tolist() for part in table.support()] == [[True] * 4]


def test_support_is_a_copy_in_original_places():
    table = NeuronTable([2, 3, 1])
    table.remove([0, 3, 4])
    support = table.support()
    assert [part.tolist() for part in support] == [[False, True], [True, False, False], [True]]
    support[1][:] = True
    assert table.sizes == (1, 1, 1)


@pytest.mark.parametrize("arms", [[4, 0, 2], [0], []])
def test_questions_are_answered_in_the_order_asked(arms):
    table = NeuronTable([2, 3])
    table.remove([1])
    assert table.layer(arms).tolist() == [[0, 0, 1, 1, 1][arm] for arm in arms]
    assert table.unit(arms).tolist() == [[0, 1, 0, 1, 2][arm] for arm in arms]
    assert table.position(arms).tolist() == [[0, None, 0, 1, 2][arm] for arm in arms]
