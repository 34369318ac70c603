"""Layers of all kinds, with a state that is not that of new ones, and samples for them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_mabprune.graph.kinds.registry import KINDS, kind_of

WIDTH, N_SAMPLES = 6, 9
KEEP = torch.tensor([1, 0, 0, 1, 1, 0]).bool()
LIMITS = {
    torch.float64: {"rtol": 1e-11, "atol": 1e-11},
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
}

#: Arguments unlike the defaults, beside the examples of the kinds.
ARGUMENTS = [
    (nn.Linear, {"in_features": 6, "out_features": 4, "bias": False}),
    (nn.Linear, {"in_features": 6, "out_features": 4, "bias": True}),
    (nn.LeakyReLU, {"negative_slope": 0.3}),
    (nn.ELU, {"alpha": 0.4}),
    (nn.CELU, {"alpha": 0.6}),
    (nn.GELU, {"approximate": "tanh"}),
    (nn.Softplus, {"beta": 2.0, "threshold": 1.0}),
    (nn.Softshrink, {"lambd": 0.2}),
    (nn.Hardshrink, {"lambd": 0.9}),
    (nn.Hardtanh, {"min_val": -0.3, "max_val": 0.2}),
    (nn.Threshold, {"threshold": 0.2, "value": -0.7}),
    (nn.Dropout, {"p": 0.15}),
    (nn.AlphaDropout, {"p": 0.25}),
    (nn.FeatureAlphaDropout, {"p": 0.35}),
    (nn.PReLU, {"num_parameters": 6}),
    (nn.PReLU, {"num_parameters": 1}),
    (nn.BatchNorm1d, {"num_features": 6, "eps": 0.01, "momentum": 0.3, "affine": False}),
    (nn.BatchNorm1d, {"num_features": 6, "momentum": None}),
    (nn.BatchNorm1d, {"num_features": 6, "bias": False}),
    (nn.Flatten, {"start_dim": 1, "end_dim": 1}),
    (nn.Softmax, {"dim": -1}),
    (nn.LogSoftmax, {"dim": 1}),
]


def _cases():
    """Kind, name and constructor of every example."""
    for kind in KINDS:
        for number, layer in enumerate(kind.examples(WIDTH)):
            make = lambda kind=kind, number=number: kind.examples(WIDTH)[number]  # noqa: E731
            yield kind, type(layer).__name__, make
    for module, arguments in ARGUMENTS:
        make = lambda module=module, arguments=arguments: module(**arguments)  # noqa: E731
        yield kind_of(make()), f"{module.__name__} {arguments}", make


CASES = list(_cases())


def each_of(cases):
    """A test for each of these examples."""
    return pytest.mark.parametrize(
        ("kind", "make"), [case[::2] for case in cases], ids=[case[1] for case in cases]
    )


def each(*capabilities):
    """All examples, or those of the kinds that have one of these capabilities."""
    return each_of(
        [c for c in CASES if not capabilities or any(getattr(c[0], name) for name in capabilities)]
    )


def made(make, dtype=torch.float64):
    """A layer in evaluation mode whose state is not that of a new one."""
    layer, source = make().to(dtype), torch.Generator().manual_seed(0)
    for value in layer.state_dict().values():
        if value.is_floating_point():
            value.copy_(0.5 + torch.rand(value.shape, generator=source))
        else:
            value.fill_(3)
    return layer.eval()


def samples(dtype=torch.float64, n_samples=N_SAMPLES, seed=1):
    """Values around zero, and a sample that is far from it on either side."""
    x = torch.randn(n_samples, WIDTH, generator=torch.Generator().manual_seed(seed))
    x[0], x[1] = 10.0 + x[0], -10.0 + x[1]
    return x.to(dtype)
