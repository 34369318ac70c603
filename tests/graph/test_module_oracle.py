"""Labels against brute force: what a perturbed unit touches, and networks drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from user_modules import made

from benchmarks.networks.random_graphs import BAD, trial
from sklearn_mabprune.graph.recovery import recover_network

#: Networks of `make test`; the benchmark draws 500, of up to twice as many steps.
N_DRAWN, MOST_STEPS = 25, 3


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, N_DRAWN, 5))
def test_networks_drawn_at_random(first):
    """Smaller = masked, pull = surgery; what cannot be pruned is refused with a reason."""
    rows = [trial(seed, MOST_STEPS) for seed in range(first, first + 5)]
    assert [row for row in rows if row["result"] in BAD] == []
    assert sum(row["groups"] for row in rows) >= 3


@pytest.mark.parametrize(
    "name", ["gates", "residual convolutions", "concatenation", "convolutions"]
)
def test_a_perturbed_unit_reaches_only_its_columns_of_what_reads_it(name):
    """A hook changes one output of a producer; only that unit's columns of the patches change."""
    module, x = made(name)
    network = recover_network(module, x)
    module = module.eval()
    for group in network.groups:
        for reader in group.readers:
            layer = module.get_submodule(reader.module)
            clean = _input_of(module, layer, x)
            for unit in range(0, group.size, 3):
                changed = _perturbed(module, group, unit, layer, x)
                moved = reader.patches(changed) != reader.patches(clean)
                columns = np.flatnonzero(moved.any(0).any(0))
                assert set(columns) <= set(reader.columns[unit])
                assert len(columns)


def _input_of(module, layer, x):
    seen = []
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    with torch.no_grad():
        module(x)
    handle.remove()
    return seen[0]


def _perturbed(module, group, unit, reader, x):
    handles = []
    for source in group.producers:
        places = torch.as_tensor(group.members[source.weight, source.outputs][unit])

        def change(_, __, result, places=places):
            dim = 1 if result.dim() == 4 else -1
            return result.index_fill(dim, places, 1.25)

        handles.append(module.get_submodule(source.module).register_forward_hook(change))
    try:
        return _input_of(module, reader, x)
    finally:
        for handle in handles:
            handle.remove()
