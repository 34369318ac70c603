"""What readers on a residual stream take over, also through batch norms."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sklearn_mabprune.ablation.module_activations import ModuleActivations
from sklearn_mabprune.ablation.streams import added_to
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.graph.recovery import recover_network


def activations_of(module, shape, n_samples=60):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n_samples, *shape, generator=generator, dtype=torch.float64)
    network = recover_network(module.double(), x[:9])
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


class Projecting(nn.Module):
    """A convolution, and a block whose other branch is a convolution too, all without biases.

    Parameters
    ----------
    through_norms : bool
        Whether batch norms stand behind the convolutions.  Else these have biases.
    """

    def __init__(self, through_norms=True):
        super().__init__()
        bias = not through_norms
        self.enter = nn.Conv2d(2, 6, 3, padding=1)
        self.inner = nn.Conv2d(6, 7, 3, padding=1)
        self.back = nn.Conv2d(7, 4, 3, padding=1, bias=bias)
        self.skip = nn.Conv2d(6, 4, 1, bias=bias)
        norms = [nn.BatchNorm2d(4) if through_norms else nn.Identity() for _ in range(2)]
        self.norm1, self.norm2 = norms
        self.leave = nn.Linear(4, 2)

    def forward(self, x):
        x = self.enter(x).relu()
        x = self.norm1(self.back(self.inner(x).relu())) + self.norm2(self.skip(x))
        return self.leave(x.relu().mean((2, 3)))


def with_norms(seed=0):
    """A network with norms, and the same with the norms within the convolutions."""
    torch.manual_seed(seed)
    module, folded = Projecting(), Projecting(through_norms=False)
    for norm in (module.norm1, module.norm2):
        norm.weight.data = torch.tensor([0.5, -1.5, 2.0, 1.0])
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    same = {n: w for n, w in module.state_dict().items() if n in folded.state_dict()}
    folded.load_state_dict(same, strict=False)
    for name, norm in (("back", module.norm1), ("skip", module.norm2)):
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        layer = getattr(folded, name)
        layer.weight.data *= factor[:, None, None, None]
        layer.bias.data = norm.bias - factor * norm.running_mean
    return module.eval(), folded.eval()


@pytest.mark.parametrize("ablation", ["least_squares", "mean", "zero"])
def test_norms_behind_readers_are_as_if_they_were_within(ablation):
    """Targets, streams, and what the norms' biases take."""
    activations = [activations_of(module, (2, 5, 5)) for module in with_norms()]
    outputs, increases = [], []
    for start in activations:
        statistics = start.statistics(ablation, 1e-2, 0.1).update(start)
        units = [torch.tensor(u) for u in ([0, 1], [2, 4])]
        names = [group.name for group in start.graph.groups]
        gone = [units[0] if name == "enter" else units[1] for name in names[:2]]
        smaller = start.without([*gone, *[None] * (len(names) - 2)], statistics)
        smaller = smaller.without([torch.tensor([1]), *[None] * (len(names) - 1)], statistics)
        increases.append(smaller.block(statistics).loss_increase(0, torch.arange(3)))
        with torch.no_grad():
            outputs.append(smaller.graph.narrowed()(start.samples.x))
        torch.testing.assert_close(outputs[-1], smaller.graph.forward(start.samples.x))
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*increases)
    assert float(increases[0].abs().min()) > 0


def test_branches_make_up_for_each_other():
    for module in with_norms():
        start = activations_of(module, (2, 5, 5))
        network, samples = start.graph, start.samples
        statistics = start.statistics("least_squares", 1e-10, 0.1).update(start)
        readers = {r.weight: r for group in network.groups for r in group.readers}
        added = added_to(network, readers["skip.weight"], samples.x[:2])
        number = [group.name for group in network.groups].index("inner")
        units = [None] * len(network.groups)
        units[number] = torch.arange(5)
        smaller = start.without(units, statistics).graph
        whole, now = (returned(n, samples.x, added.total) for n in (network, smaller))
        other = returned(smaller, samples.x, added.stream)
        roots = samples.weights.repeat_interleave(25).sqrt()[:, None]

        def rows(value):
            return value.movedim(1, -1).flatten(0, 2)

        # The branch that lost nothing makes up for the one that did.
        read = rows(returned(smaller, samples.x, readers["skip.weight"].reads))
        known = torch.cat([read, torch.ones(len(read), 1, dtype=torch.float64)], 1) * roots
        missing = rows(whole - other) * roots
        best = missing - known @ torch.linalg.lstsq(known, missing).solution
        left = (rows(whole - now) * roots).square().sum()
        assert float(left) == pytest.approx(float(best.square().sum()), rel=1e-5)


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
    module = copy.deepcopy(with_norms()[0])
    module.norm1.weight.data[1] = weight
    start = activations_of(module, (2, 5, 5))
    readers = {r.weight: r for group in start.graph.groups for r in group.readers}
    found = added_to(start.graph, readers["back.weight"], start.samples.x[:2])
    assert (found is None) == (weight == 0)
