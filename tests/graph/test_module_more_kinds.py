"""Layers that outputs do not follow from, sizes in attributes, and products of other forms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from module_net import Net, head, lin
from test_module_network import random_masks
from torch import nn

from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference

SEQUENCE = (4, 6)


class Recurrent(nn.Module):
    """A recurrent layer by hand, whose gates are split by an attribute."""

    def __init__(self):
        super().__init__()
        self.hidden_dim = 5
        self.enter, self.gates, self.out = lin(6, 6), lin(6 + 5, 20), head(5)

    def forward(self, x):
        h = x.new_zeros(x.size(0), self.hidden_dim)
        c = torch.zeros_like(h)
        for step in F.relu(self.enter(x)).unbind(1):
            i, f, g, o = self.gates(torch.cat([step, h], 1)).split(self.hidden_dim, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.out(h)


class Flat(nn.Module):
    """Views with the channels, and with all elements of an image, as attributes."""

    def __init__(self):
        super().__init__()
        self.width, self.flat, self.others = 4, 36, 4
        self.a, self.b = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 9, 3)
        self.c, self.d = lin(36, 7), head(7)

    def forward(self, x):
        h = F.relu(self.a(x)).view(x.size(0), self.width, 4, 4)
        return self.d(F.relu(self.c(F.relu(self.b(h)).view(-1, self.flat))))


def noisy(s, x):
    """Noise of a width of its own in training, as of a variational network."""
    h = F.relu(s.a(x))
    mean, spread = s.b(h), s.spread(h)
    return s.c(mean + torch.randn_like(mean) * spread.exp() if s.training else mean)


def second_head(s, x):
    """A second output that counts in training alone."""
    h = F.relu(s.a(x))
    y = s.c(F.relu(s.b(h)))
    return y + 0.1 * s.second(s.norm(h)) if s.training else y


def last_block(s, x):
    """What the last block adds to the stream is read by nothing."""
    skips = 0.0
    for block, back, skip in zip(s.blocks, s.backs, s.skips, strict=True):
        h = block(x).tanh()
        x, skips = x + back(h), skips + skip(h)
    return s.c(F.relu(skips))


def additive_attention(s, x):
    h = F.relu(s.a(x))
    return s.c((h * (torch.tanh(s.b(h)) @ s.query).softmax(1)[..., None]).sum(1))


def one_head(s, x):
    h = F.relu(s.a(x))
    weights = (s.q(h) @ s.k(h).mT).softmax(-1)
    return s.c((weights @ s.v(h)).mean(1))


def learned_graph(s, x):
    h = F.relu(s.edges.softmax(-1) @ s.a(x))
    return s.c(torch.einsum("ij,bjc->bic", s.edges.softmax(-1), s.b(h)).sum(1))


def pooled_by_attention(s, x):
    h = F.relu(s.a(x))
    return s.c(F.relu(s.b(torch.bmm(s.scores(h).mT.softmax(-1), h).squeeze(1))))


def folded(s, x):
    h = F.relu(s.b(s.a(F.unfold(x, 2, stride=1).mT))).mT
    return s.d(F.relu(s.c(F.fold(h, (6, 6), 2, stride=1))).mean((2, 3)))


def shuffled(s, x):
    """Channels in two parts that are interleaved, as ShuffleNet has them."""
    one, other = F.relu(s.a(x)).chunk(2, 1)
    h = torch.cat([one, F.relu(s.b(other))], 1)
    n, c, height, width = h.shape
    h = h.view(n, 2, c // 2, height, width).transpose(1, 2).reshape(n, -1, height, width)
    return s.d(F.relu(s.c(s.shuffle(h))).mean((2, 3)))


def linears(n_inputs, n_outputs):
    return nn.ModuleList(lin(n_inputs, n_outputs) for _ in range(2))


#: How to make a module, the shape of a sample, and the sizes of its groups by name.
FORMS = {
    "noise in training": (
        lambda: Net(noisy, a=lin(6, 8), b=lin(8, 5), spread=lin(8, 5), c=head(5)),
        (6,), {"a": 8, "b": 5},
    ),
    "second head in training": (
        lambda: Net(second_head, a=lin(6, 8), b=lin(8, 5), norm=nn.LayerNorm(8), second=head(8),
                    c=head(5)),
        (6,), {"b": 5},
    ),
    "block that nothing reads": (
        lambda: Net(last_block, blocks=linears(6, 8), backs=linears(8, 6), skips=linears(8, 5),
                    c=head(5)),
        (6,), {"blocks.0": 8, "skips.0": 5, "blocks.1": 8},
    ),
    "recurrent by hand": (Recurrent, SEQUENCE, {"enter": 6, "gates": 5}),
    "views by attributes": (Flat, (2, 6, 6), {"a": 4, "b": 9, "c": 7}),
    "additive attention": (
        lambda: Net(additive_attention, a=lin(6, 8), b=lin(8, 5),
                    query=nn.Parameter(torch.randn(5)), c=head(8)),
        SEQUENCE, {"a": 8, "b": 5},
    ),
    "one head": (
        lambda: Net(one_head, a=lin(6, 8), q=lin(8, 4), k=lin(8, 4), v=lin(8, 5), c=head(5)),
        SEQUENCE, {"a": 8, "v": 5},
    ),
    "learned graph": (
        lambda: Net(learned_graph, a=lin(6, 8), b=lin(8, 5), c=head(5),
                    edges=nn.Parameter(torch.randn(4, 4))),
        SEQUENCE, {"a": 8, "b": 5},
    ),
    "pooled by attention": (
        lambda: Net(pooled_by_attention, a=lin(6, 8), scores=lin(8, 1), b=lin(8, 5), c=head(5)),
        SEQUENCE, {"a": 8, "b": 5},
    ),
    "bilinear": (
        lambda: Net(lambda s, x: s.c(F.relu(s.b(s.a(x), x))),
                    a=lin(6, 8), b=nn.Bilinear(8, 6, 5), c=head(5)),
        (6,), {"b": 5},
    ),
    "shuffled": (
        lambda: Net(shuffled, a=nn.Conv2d(2, 12, 3), b=nn.Conv2d(6, 6, 1), c=nn.Conv2d(12, 5, 1),
                    shuffle=nn.ChannelShuffle(2), d=head(5)),
        (2, 6, 6), {"a": 3, "c": 5},
    ),
    "folded": (
        lambda: Net(folded, a=lin(8, 7), b=lin(7, 16), c=nn.Conv2d(4, 5, 3), d=head(5)),
        (2, 6, 6), {"a": 7, "b": 4, "c": 5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_smaller_module_equals_masked_network(form):
    make, shape, groups = FORMS[form]
    torch.manual_seed(0)
    x = torch.randn(5, *shape, dtype=torch.float64)
    network = recover_network(make().double(), x)
    assert {group.name: group.size for group in network.groups} == groups
    masked = network.masked(random_masks(network, 0))
    assert difference(masked, x) < 1e-9
    smaller = masked.narrowed()
    assert masked.cost()[0] == sum(parameter.numel() for parameter in smaller.parameters())
    smaller.train()(x).square().sum().backward()
    assert all(parameter.grad is not None or form == "block that nothing reads"
               for parameter in smaller.parameters())  # fmt: skip


class Masked(nn.Module):
    """Weights that are multiplied with a mask, and others that no rule reads."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = lin(6, 8), lin(8, 8), head(8)
        self.register_buffer("mask", torch.tril(torch.ones(8, 6)))
        self.third = nn.Parameter(torch.randn(8, 3, 8))

    def forward(self, x):
        h = F.relu(F.linear(x, self.a.weight * self.mask, self.a.bias))
        h = torch.einsum("bi,ijk,bj->bk", h, self.third, x[:, :3])
        return self.c(F.relu(h))


def test_weights_that_are_kept_whole_are_named():
    with pytest.raises(UnsupportedModuleError) as caught:
        recover_network(Masked(), torch.randn(5, 6))
    assert "'a': the weight is computed that linear in Masked.forward" in str(caught.value)
    assert "'third': einsum in Masked.forward" in str(caught.value)


def test_units_at_fixed_places_are_told_by_the_operator_that_takes_them():
    order = torch.randperm(8)
    module = Net(lambda s, x: s.c(F.relu(s.b(s.a(x)[:, order]))),
                 a=lin(6, 8), b=lin(8, 5), c=head(5))  # fmt: skip
    assert recover_network(module, torch.randn(5, 6)).kept_whole["a"].startswith("index in ")
