"""Modules that are no chains as C headers: compiled, they compute what the module computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from module_kinds import KINDS, Net
from torch import nn
from user_modules import MODULES, samples_of

from benchmarks.shared.compiling import Library
from sklearn_mabprune import UnsupportedModuleError
from sklearn_mabprune.export.c.header import Interface, header
from sklearn_mabprune.export.c.operators.form import Network
from sklearn_mabprune.export.c.operators.integer_nodes import IntegerWeighted
from sklearn_mabprune.export.c.operators.integers import in_integers
from sklearn_mabprune.export.c.program import Program


def _pools(s, x):
    h = F.max_pool2d(s.n(F.relu(s.a(x))), 3, stride=2, padding=1)
    h = torch.cat([F.avg_pool2d(h, 3, 2, 1), F.adaptive_avg_pool2d(s.p(h), 2)[:, :2]], 1)
    h = F.pad(h, (0, 1, 1, 0)) * s.gain
    h = s.c(h.permute(0, 2, 3, 1)).clamp(-0.5)
    return torch.softmax(h.reshape(-1, 3 * 3, 2).amax(1) ** 2 - 1 / (3 + h.abs().sum((1, 2))), 1)


def _sequence(s, x):
    left, right = F.max_pool1d(F.gelu(s.a(x)), 2).split([2, 4], 1)
    h = F.avg_pool1d(torch.maximum(s.b(right), left), 2)
    return s.c(h.flatten(1).chunk(2, -1)[0] - h.mean(-1)).squeeze(-1)


def _padded(s, x):
    mask = (x != 0).float().unsqueeze(-1)
    h = (s.e(x) * mask).sum(1) / mask.sum(1).clamp(min=1)
    last = s.e(x).masked_fill((x == 0).unsqueeze(-1), -torch.inf)
    return s.c(torch.cat([h, last.amax(1).clamp(min=-3)], 1))


def _bags(s, x):
    pairs = s.several(x.reshape(-1, 2)).reshape(-1, 3 * 2)
    return s.c(torch.cat([s.mean(x), s.sum(x), s.max(x), s.padded(x), s.zeros(x), pairs], 1))


def _masks(s, x):
    h = s.a(x)
    one, other = h > 0.25, h <= s.bounds
    both = (one & ~other) | (h == s.b(x)) | (s.bounds < h)
    h = torch.where(both, h, torch.where(one ^ other, 2 * h, torch.tensor(0.5)))
    h = torch.where(torch.logical_and(one, h.bool()), -1.0, h)
    counts = (3 * h).long() + (one * other) + (one + other)
    return s.c(torch.cat([h, counts.float(), (one + 0 * h).ne(1).to(h)], 1))


OWN = {
    "padding": (
        lambda: Net(_padded, e=nn.Embedding(9, 4), c=nn.Linear(8, 2)),
        lambda n: torch.randint(0, 9, (n, 5)) * (torch.arange(5) <= torch.arange(n)[:, None] % 5),
        {},
    ),
    "bags": (
        lambda: Net(_bags, mean=nn.EmbeddingBag(9, 3), sum=nn.EmbeddingBag(9, 2, mode="sum"),
                    max=nn.EmbeddingBag(9, 2, mode="max"),
                    padded=nn.EmbeddingBag(9, 3, padding_idx=1),
                    zeros=nn.EmbeddingBag(9, 2, mode="sum", padding_idx=1),
                    several=nn.EmbeddingBag(9, 2), c=nn.Linear(18, 2)),
        lambda n: torch.randint(0, 9, (n, 6)).where(torch.arange(n)[:, None] % 7 > 0, 1),
        {},
    ),
    "masks": (
        lambda: Net(_masks, a=nn.Linear(4, 6), b=nn.Linear(4, 6), c=nn.Linear(18, 2),
                    bounds=nn.Parameter(torch.randn(6) / 2)),
        (4,), {},
    ),
    "pools": (
        lambda: Net(_pools, a=nn.Conv2d(2, 4, 3, stride=(1, 2), dilation=(2, 1)),
                    n=nn.BatchNorm2d(4), p=nn.PReLU(4), c=nn.Linear(6, 2),
                    gain=nn.Parameter(torch.rand(6, 1, 1))),
        (2, 12, 16), {},
    ),
    "sequence": (
        lambda: Net(_sequence, a=nn.Conv1d(3, 6, 3, padding=1), b=nn.Conv1d(4, 2, 1),
                    c=nn.Linear(2, 1)),
        (3, 8), {},
    ),
}  # fmt: skip

CASES = OWN | {
    name: (KINDS | MODULES)[name]
    for name in (
        "squeeze and excitation", "group norm", "text", "dense connections", "residual",
        "residual convolutions", "lstm, two layers, both directions", "gru, states in one tensor",
        "gru that starts from a layer", "rnn of both directions, added", "cells", "recurrent",
        "per feature", "weight norm", "rms norm", "transformer",
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """By name: module, samples, steps in numbers and in integers; and all of them in C."""
    found, sources = {}, {}
    for k, (name, (make, shape, _)) in enumerate(CASES.items()):
        torch.manual_seed(0)
        module, x = make().eval(), samples_of(shape, torch.float32, 40)
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
        network = Network.of(module, x[:4])
        whole = in_integers(network, x.flatten(1).double().numpy())
        found[name] = module, x, network, whole
        for key, form in ((f"float{k}", network), (f"int{k}", whole)):
            program = Program(x[0].numel(), static=True)
            program.output = form.write(program, program.input)
            sources[key] = header(program, Interface(key, name, program.output.size))
    return found, sources, Library(tmp_path_factory.mktemp("modules"), sources, ("-O0",))


def test_c_computes_what_the_module_computes(networks):
    found, _, library = networks
    for k, (name, (module, x, _, _)) in enumerate(found.items()):
        with torch.no_grad():
            expected = module(x).numpy().reshape(len(x), -1)
        outputs = library.outputs(f"float{k}", x.flatten(1))
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_integers_are_those_of_python_and_near_the_module(networks):
    found, _, library = networks
    for k, (name, (_, x, network, whole)) in enumerate(found.items()):
        flat = x.flatten(1).double().numpy()
        expected, exact = whole.run(flat), network.run(flat)
        np.testing.assert_allclose(
            library.outputs(f"int{k}", flat), expected, atol=2e-3, err_msg=name
        )
        if name != "masks":  # rounding makes another choice there
            assert np.sqrt(np.mean((expected - exact) ** 2)) < 0.03 * exact.std(), name


def test_no_sum_overflows(networks):
    found, _, _ = networks
    for name, (_, x, _, whole) in found.items():
        if not x.is_floating_point():
            continue
        flat = 1e30 * np.sign(x.flatten(1).double().numpy())
        values = whole.values(flat)
        for step in whole.steps:
            read = step.reads[0].read(values)
            if isinstance(step.node, IntegerWeighted):
                assert np.abs(step.node.sums(read)).max() < 2**31, name
            if values[step.value].dtype == np.int64:
                assert np.abs(values[step.value]).max() < 2**15, name


def test_norms_are_folded_and_memory_is_used_again(networks):
    found, sources, _ = networks
    k = list(found).index("residual convolutions")
    assert "scale_axis" not in sources[f"float{k}"]
    # The input is the caller's; a residual block needs its input, its inner and its outer value.
    assert f"static float work[{(4 + 6 + 4) * 36}]" in sources[f"float{k}"]
    weights = sources[f"int{k}"].count("static const int8_t")
    assert (weights, sources[f"int{k}"].count("_weights")) == (4, 8)


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("conv3d", r"conv3d of 'a' in Net\.forward \(module_net\.py:\d+\) has no C form"),
        (
            "lstm with projections",
            r"The recurrent layer 'r' in .* no C form\. Replace it, or export",
        ),
        ("upsampling", r"upsample_bilinear2d in Net\.forward .* has no C form"),
    ],
)
def test_other_operators_are_refused_by_name(name, what):
    make, shape, _ = (KINDS | MODULES)[name]
    with pytest.raises(UnsupportedModuleError, match=what):
        Network.of(make().eval(), samples_of(shape, torch.float32, 3))


def _bag(**params):
    return nn.EmbeddingBag(9, 3, **params)


@pytest.mark.parametrize(
    ("forward", "parts", "what"),
    [
        (lambda s, x: s.e(x), {"e": _bag(padding_idx=1, mode="max")}, "with padding_idx and mode="),
        (
            lambda s, x: s.e(x, per_sample_weights=x * s.scale),
            {"e": _bag(mode="sum"), "scale": nn.Parameter(torch.ones(()))},
            "embedding_bag of 'e' in .* with per_sample_weights has no C form",
        ),
        (
            lambda s, x: s.e(x.flatten(), torch.tensor([0, 4])).reshape(1, -1),
            {"e": _bag()},
            "with bags of several sizes",
        ),
        (
            lambda s, x: s.e(x & 3),
            {"e": _bag()},
            r"__and__ in Net\.forward .* of integers has no C",
        ),
        (lambda s, x: s.e(~x + 9), {"e": _bag()}, "bitwise_not in .* of integers has no C form"),
        (
            lambda s, x: s.e(x).masked_fill(s.gate > 0, 1.0),
            {"e": _bag(), "gate": nn.Parameter(torch.randn(3))},
            "masked_fill in .* with a mask or values that are the same for all samples has no C",
        ),
    ],
)
def test_other_bags_and_masks_are_refused_by_name(forward, parts, what):
    module = Net(forward, **parts).eval()
    with pytest.raises(UnsupportedModuleError, match=what):
        Network.of(module, torch.randint(0, 9, (1, 6)))


def test_attention_with_a_mask_is_refused_by_name():
    masked = Net(lambda s, x: s.c(F.scaled_dot_product_attention(x, x, x, is_causal=True)),
                 c=nn.Linear(3, 2)).eval()  # fmt: skip
    with pytest.raises(UnsupportedModuleError, match=r"product_attention in .* with a mask has no"):
        Network.of(masked, torch.randn(3, 4, 3))


def test_what_mixes_samples_or_reads_several_inputs_is_refused():
    with pytest.raises(UnsupportedModuleError, match=r"mean in Mixing\.forward .* along \[0\]"):
        Network.of(Mixing(), torch.randn(3, 4))
    half = Net(lambda s, x: s.a(x) * len(x), a=nn.Linear(4, 2)).eval()
    with pytest.raises(UnsupportedModuleError, match="something else for one sample than for"):
        Network.of(half, torch.randn(3, 4))
