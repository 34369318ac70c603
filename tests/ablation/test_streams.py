"""What readers on a residual stream take over, also through batch norms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_mabprune.ablation import module_activations
from sklearn_mabprune.ablation.module_activations import ModuleActivations
from sklearn_mabprune.ablation.streams import added_to
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.recovery import recover_network


def activations_of(module, shape, n_samples=60, residual_streams=False):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n_samples, *shape, generator=generator, dtype=torch.float64)
    network = recover_network(module.double(), x[:9], residual_streams=residual_streams)
    weights = torch.rand(n_samples, generator=generator, dtype=torch.float64) + 0.5
    targets = torch.arange(n_samples) % 2
    return ModuleActivations(
        network, Samples(x, targets, weights, SampleLoss(nn.CrossEntropyLoss()))
    )


def returned(network, x, value):
    return network.run(network.known(x), [value])[value]


class Stream(nn.Module):
    """Two blocks that add to a stream; the second is dropped out, which is nothing here."""

    def __init__(self):
        super().__init__()
        self.wide1, self.back1, self.wide2 = nn.Linear(3, 6), nn.Linear(6, 3), nn.Linear(3, 5)
        self.back2, self.leave = nn.Linear(5, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = x + self.back1(torch.tanh(self.wide1(x)))
        return self.leave(x + nn.functional.dropout(self.back2(self.wide2(x).relu()), 0.2, False))


class Branches(Stream):
    """A branch that is added to another, which is used once more."""

    def forward(self, x):
        one, other = self.back1(torch.tanh(self.wide1(x))), self.back2(self.wide2(x).relu())
        return self.leave(one + other + x * other)


def test_a_reader_makes_up_for_what_the_stream_lacks():
    torch.manual_seed(0)
    start = activations_of(Stream(), (3,))
    network, samples = start.graph, start.samples
    statistics = start.statistics("least_squares", 1e-10, 0.1).update(start)
    units = [torch.tensor([0, 1, 2]), torch.tensor([4])]
    smaller = start.without(units, statistics)
    narrow, dense, x = smaller.graph.narrowed(), network.module, samples.x
    roots = samples.weights.sqrt()[:, None]
    with torch.no_grad():
        stream = dense_stream = x
        for k, act in ((1, torch.tanh), (2, torch.relu)):
            wide, back = (getattr(narrow, f"{name}{k}") for name in ("wide", "back"))
            layers = getattr(dense, f"wide{k}"), getattr(dense, f"back{k}")
            dense_stream = dense_stream + layers[1](act(layers[0](dense_stream)))
            hidden = act(wide(stream))
            known = torch.cat([hidden, torch.ones(len(x), 1, dtype=torch.float64)], 1) * roots
            best = torch.linalg.lstsq(known, (dense_stream - stream) * roots).solution
            torch.testing.assert_close(back.weight, best[:-1].T, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(back.bias, best[-1], rtol=1e-4, atol=1e-5)
            stream = stream + back(hidden)
    # One weight after the other, each group counted once.
    assert statistics.n_factorisations == [2, 2]
    last = smaller.without([None, torch.tensor([0])], statistics).graph
    assert statistics.n_factorisations == [2, 3]
    changed = {name for name, w in last.weights.items() if not w.equal(smaller.graph.weights[name])}
    assert changed == {"back2.weight", "back2.bias"}


class Blocks(nn.Module):
    """Two blocks of convolutions without biases and batch norms, which add to a stream.

    Parameters
    ----------
    with_norms : bool
        Else the second convolutions of the blocks have biases.
    """

    def __init__(self, with_norms=True):
        super().__init__()
        self.enter, self.leave = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(4, 2)
        self.wide = nn.ModuleList(nn.Conv2d(4, 6, 3, padding=1) for _ in range(2))
        self.back = nn.ModuleList(
            nn.Conv2d(6, 4, 3, padding=1, bias=not with_norms) for _ in range(2)
        )
        norm = nn.BatchNorm2d if with_norms else nn.Identity
        self.norms = nn.ModuleList(norm(4) for _ in range(2))

    def forward(self, x):
        x = self.enter(x).relu()
        for wide, back, norm in zip(self.wide, self.back, self.norms, strict=True):
            x = (x + norm(back(wide(x).relu()))).relu()
        return self.leave(x.mean((2, 3)))


def blocks(seed=0):
    """A network with norms, and the same with the norms within the convolutions."""
    torch.manual_seed(seed)
    module, folded = Blocks(), Blocks(with_norms=False)
    for norm in module.norms:
        norm.weight.data = torch.tensor([0.5, -1.5, 2.0, 1.0])
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    folded.load_state_dict(module.state_dict(), strict=False)
    for layer, norm in zip(folded.back, module.norms, strict=True):
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        layer.weight.data *= factor[:, None, None, None]
        layer.bias.data = norm.bias - factor * norm.running_mean
    return module.eval(), folded.eval()


def pruned(start, ablation="least_squares"):
    """Without some channels inside of both blocks, then without one more."""
    statistics = start.statistics(ablation, 1e-2, 0.1).update(start)
    rest = [None] * (len(start.graph.groups) - 2)
    smaller = start.without([torch.tensor([0, 1, 4]), torch.tensor([2, 3]), *rest], statistics)
    return smaller.without([torch.tensor([1]), None, *rest], statistics), statistics


@pytest.mark.parametrize("ablation", ["least_squares", "mean", "zero"])
def test_norms_behind_readers_are_as_if_they_were_within(ablation):
    outputs, increases = [], []
    for module in blocks():
        start = activations_of(module, (2, 5, 5))
        assert start.graph.sizes == (6, 6)
        smaller, statistics = pruned(start, ablation)
        increases.append(smaller.block(statistics).loss_increase(1, torch.arange(3)))
        with torch.no_grad():
            outputs.append(smaller.graph.narrowed()(start.samples.x))
        torch.testing.assert_close(outputs[-1], smaller.graph.forward(start.samples.x))
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*increases)
    assert float(increases[0].abs().min()) > 0


def test_a_pruned_stream_is_made_up_for_where_it_is_left(monkeypatch):
    outputs = []
    for least_macs in (2**40, 0):
        # From how many MACs on networks run with smaller weights.
        monkeypatch.setattr(module_activations, "_SLIM_MACS", least_macs)
        start = activations_of(blocks()[0], (2, 5, 5), residual_streams=True)
        names = [group.name for group in start.graph.groups]
        statistics = start.statistics("least_squares", 1e-2, 0.1).update(start)
        units = [torch.tensor([1] if name == "enter" else [0, 2]) for name in names]
        smaller = start.without(units, statistics)
        smaller = smaller.without([torch.tensor([0]) for _ in names], statistics)
        assert (smaller.graph.small is None) == (least_macs > 0)
        with torch.no_grad():
            outputs.append(smaller.graph.narrowed()(start.samples.x))
        torch.testing.assert_close(outputs[-1], smaller.graph.forward(start.samples.x))
    torch.testing.assert_close(*outputs)


class Projecting(nn.Module):
    """A block whose two branches read units."""

    def __init__(self):
        super().__init__()
        self.enter, self.wide, self.back = nn.Linear(3, 6), nn.Linear(6, 7), nn.Linear(7, 4)
        self.skip, self.norm, self.leave = nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.enter(x).relu()
        return self.leave((self.norm(self.back(self.wide(x).relu())) + self.skip(x)).relu())


def test_a_branch_makes_up_for_the_one_that_it_is_added_to():
    torch.manual_seed(0)
    start = activations_of(Projecting(), (3,))
    network, x = start.graph, start.samples.x
    statistics = start.statistics("least_squares", 1e-10, 0.1).update(start)
    reader = next(r for g in network.groups for r in g.readers if r.weight == "skip.weight")
    added = added_to(network, reader, x[:2])
    # The branch that loses nothing is fitted to the sum without what is left of the other one.
    units = [torch.arange(5) if group.name == "wide" else None for group in network.groups]
    smaller = start.without(units, statistics).graph
    roots = start.samples.weights.sqrt()[:, None]
    missing = returned(network, x, added.total) - returned(smaller, x, added.stream)
    ones = torch.ones(len(x), 1, dtype=torch.float64)
    known = torch.cat([returned(smaller, x, reader.reads), ones], 1)
    best = known @ torch.linalg.lstsq(known * roots, missing * roots).solution
    torch.testing.assert_close(returned(smaller, x, reader.value), best, rtol=1e-4, atol=1e-5)


def test_streams_are_what_results_alone_are_added_to():
    for module, found in ((Stream(), [True, True]), (Branches(), [True, False])):
        start = activations_of(module, (3,))
        network, x = start.graph, start.samples.x
        readers = [group.readers[0] for group in network.groups]
        streams = [added_to(network, reader, x[:2]) for reader in readers]
        assert [stream is not None for stream in streams] == found
        for stream, reader in zip(streams, readers, strict=True):
            if stream is not None:
                difference = returned(network, x, stream.total) - returned(
                    network, x, stream.stream
                )
                assert torch.allclose(difference, returned(network, x, reader.value))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_norms_that_let_nothing_through_keep_targets_before_them(weight):
    module = blocks()[0]
    module.norms[1].weight.data[1] = weight
    start = activations_of(module, (2, 5, 5))
    readers = {r.weight: r for group in start.graph.groups for r in group.readers}
    found = added_to(start.graph, readers["back.1.weight"], start.samples.x[:2])
    assert (found is None) == (weight == 0)
