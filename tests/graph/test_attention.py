"""Heads of attention: found in every form, removed in all places, counted and compensated."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
from attention_kinds import ATTENTION
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sklearn_mabprune.ablation.module_activations import ModuleActivations
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.data.samples import Samples
from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph import recovery
from sklearn_mabprune.graph.attention import PrunedMultiheadAttention
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference

FOUND = [kind for kind, (_, groups) in ATTENTION.items() if groups]


def samples(n_samples=9, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_samples, 5, 3, generator=generator, dtype=torch.float64).to(dtype)


@pytest.fixture(scope="module")
def networks():
    """A module of each kind and its network, recovered once."""
    known = {}

    def get(kind):
        if kind not in known:
            torch.manual_seed(0)
            module = ATTENTION[kind][0]().double()
            known[kind] = module, recover_network(module, samples())
        return known[kind]

    return get


def half(network, first=0):
    return [np.arange(size) % 2 == first for size in network.sizes]


def macs(module, x):
    """What torch counts, with attention as the products that it is."""
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        module(x)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("kind", FOUND)
def test_heads_are_removed_in_all_places(networks, kind):
    module, network = networks(kind)
    assert {group.name: group.size for group in network.groups} == ATTENTION[kind][1]
    kinds = ["neuron" if "linear1" in g.name or kind == "graph" else "head" for g in network.groups]
    assert [group.unit_kind for group in network.groups] == kinds
    with torch.no_grad():
        assert torch.allclose(network.forward(samples(4)), module.eval()(samples(4)))
    for first in (0, 1):
        masked = network.masked(half(network, first))
        assert difference(masked, samples(7, seed=1)) < 1e-9
        smaller = pickle.loads(pickle.dumps(masked.narrowed()))
        with torch.no_grad():
            single = copy.deepcopy(smaller).float()(samples(7, torch.float32)).double()
            assert (single - masked.forward(samples(7))).abs().max() < 1e-5
        assert masked.cost()[0] == sum(parameter.numel() for parameter in smaller.parameters())
        assert masked.cost()[1] == macs(smaller.eval(), samples(1))
        smaller.train()(samples()).square().sum().backward()
        assert all(parameter.grad is not None for parameter in smaller.parameters())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("width by division", "'attention': view of 'attention' in WidthByDivision.forward"),
        (
            "one number",
            "view .* in OneNumber.forward .* has fixed sizes, or sizes that follow from others: "
            "read the number of heads and the width of each from two attributes",
        ),
        ("one head", "'attention.0.qkv': view of 'attention.0' in Fused.forward"),
        ("mean of heads", "'attention.qkv': view of 'attention' in MeanOfHeads.forward"),
    ],
)
def test_heads_that_cannot_be_fewer_stay(kind, reason):
    with pytest.raises(UnsupportedModuleError, match=reason):
        recover_network(ATTENTION[kind][0](), samples(dtype=torch.float32))


def test_groups_that_are_the_same_another_way_are_compared_once(monkeypatch):
    """Comparisons of a large network take minutes, and heads in one part have no other places."""
    compared, verified = [], recovery.verified
    monkeypatch.setattr(
        recovery, "verified", lambda *args: compared.append(args) or verified(*args)
    )
    with pytest.raises(UnsupportedModuleError, match="fixed sizes"):
        recover_network(ATTENTION["one number"][0](), samples(dtype=torch.float32))
    assert len(compared) == 1


def test_attributes_and_repr_say_how_many_heads_are_left(networks):
    for kind, names in {"grouped": ("num_heads", "num_kv_heads"), "folded": ("heads",)}.items():
        module, network = networks(kind)
        smaller = network.masked(half(network)).narrowed().attention
        left, total = network.masked(half(network)).sizes[0], network.sizes[0]
        for name in names:
            assert getattr(smaller, name) * total == left * getattr(module.attention, name)
    _, network = networks("encoder")
    layer = network.masked(half(network)).narrowed().encoder.layers[0]
    assert "PrunedMultiheadAttention" in repr(layer)
    assert "embed_dim=8, num_heads=2, head_dim=2" in repr(layer)
    whole = network.masked([np.ones(4, bool), half(network)[1]]).narrowed().encoder.layers[0]
    assert type(whole.self_attn) is nn.MultiheadAttention


@pytest.mark.parametrize("kind", ["by hand", "encoder"])
@pytest.mark.parametrize("ablation", ["least_squares", "mean"])
def test_a_pull_measures_what_a_removal_leaves(networks, kind, ablation):
    _, network = networks(kind)
    x = samples(40)
    targets = (x.sum((1, 2)) > 0).long()
    data = Samples(
        x, targets, torch.ones(40, dtype=torch.float64), SampleLoss(nn.CrossEntropyLoss())
    )
    start = ModuleActivations(network, data)
    statistics = start.statistics(ablation, 1e-3, 0.2).update(start)
    block = start.block(statistics)
    units = torch.arange(network.sizes[0])
    pulled = block.loss_increase(0, units)
    estimated = block.estimate("linear", torch.Generator().manual_seed(0))[0, : len(units)]
    for unit in units:
        fresh = start.statistics(ablation, 1e-3, 0.2).update(start)
        removed = fresh.removed(network, [unit[None], *[None] * (len(network.groups) - 1)])
        with torch.no_grad():
            loss = nn.functional.cross_entropy(removed.narrowed()(x), targets)
        assert abs(float(loss) - start.mean_loss() - float(pulled[unit])) < 1e-9
    assert torch.corrcoef(torch.stack([pulled, estimated]))[0, 1] > 0.9


OPTIONS = [
    {}, {"bias": False, "batch_first": True}, {"kdim": 6, "vdim": 5},
    {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batched", [True, False])
def test_the_module_computes_what_torch_does(options, batched):
    torch.manual_seed(0)
    torchs = nn.MultiheadAttention(8, 2, dropout=0.1, **options).double().eval()
    own = PrunedMultiheadAttention(torchs)
    first = options.get("batch_first")
    n_keys, n_samples, n_queries = 4, 3, 5

    def made(length, width):
        x = torch.randn(*((n_samples, length) if first else (length, n_samples)), width).double()
        return x if batched else x[0] if first else x[:, 0]

    key, value = made(n_keys, options.get("kdim", 8)), made(n_keys, options.get("vdim", 8))
    query = made(n_queries, 8)
    pad = torch.zeros(n_samples, n_keys, dtype=bool)
    pad[0, 2:] = True
    masks = [None, torch.rand(n_queries, n_keys) > 0.8, torch.randn(n_queries, n_keys).double()]
    if batched:
        masks.append(torch.randn(2 * n_samples, n_queries, n_keys).double())
    everything = [masks, [None, pad if batched else pad[0]], [True, False], [True, False]]
    for mask, padding, weights, average in itertools.product(*everything):
        given = {
            "attn_mask": mask, "key_padding_mask": padding, "need_weights": weights,
            "average_attn_weights": average,
        }  # fmt: skip
        with warnings.catch_warnings(action="ignore"):  # masks of two dtypes
            wanted = torchs(query, key, value, **given)
        for got, one in zip(own(query, key, value, **given), wanted, strict=True):
            assert got is one is None or torch.allclose(got, one, atol=1e-12, equal_nan=True)
    with pytest.raises(RuntimeError, match="is_causal=True"):
        own(query, key, value, is_causal=True)


class Between(nn.Module):
    """An attention between layers of which units can be removed."""

    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True, **options)
        self.query = nn.Linear(3, 8)
        if options:
            self.key = nn.Linear(3, options["kdim"])
            self.value = nn.Linear(3, options["vdim"])
        self.hidden, self.leave = nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x):
        query = key = value = self.query(x)
        if hasattr(self, "key"):
            key, value = self.key(x), self.value(x)
        read = self.attention(query, key, value)[0]
        return self.leave(torch.relu(self.hidden(read)).mean(1))


@pytest.mark.parametrize("options", [{}, {"kdim": 6, "vdim": 5}], ids=str)
def test_any_one_of_its_widths_may_shrink(options):
    torch.manual_seed(0)
    network = recover_network(Between(**options).double(), samples())
    names = [group.name for group in network.groups]
    inputs = {"query", "key", "value"} if options else {"query"}
    assert {"attention", "attention.out_proj", "hidden"} | inputs == set(names)
    for place, name in enumerate(names):
        kept = [np.ones(size, bool) for size in network.sizes]
        kept[place][1::3] = False
        masked = network.masked(kept)
        smaller = masked.narrowed()
        changed = name != "hidden"
        assert isinstance(smaller.attention, PrunedMultiheadAttention) is changed
        assert smaller.attention.embed_dim == smaller.query.out_features
        if options:
            assert smaller.attention.kdim == smaller.key.out_features
            assert smaller.attention.vdim == smaller.value.out_features
        with torch.no_grad():
            for mode in (True, False):
                assert torch.allclose(smaller.train(mode)(samples(4)), masked.forward(samples(4)))
