"""Labels against brute force: what a perturbed unit touches, and networks drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from random_networks import RandomNetwork
from test_module_network import random_masks
from user_modules import made

from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference

N_DRAWN = 16


def drawn(seed):
    torch.manual_seed(seed)
    module = RandomNetwork(seed).double()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return module, module.samples(5)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [False, True])
def test_networks_drawn_at_random(streams):
    n_groups = 0
    for seed in range(streams, N_DRAWN, 2):
        module, x = drawn(seed)
        try:
            network = recover_network(module, x, residual_streams=streams)
        except UnsupportedModuleError:
            continue
        n_groups += len(network.groups)
        masked = network.masked(random_masks(network, seed))
        assert difference(masked, x) < 1e-9, f"seed {seed}"
        assert masked.cost()[0] == sum(p.numel() for p in masked.narrowed().parameters())
    assert n_groups > N_DRAWN


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
