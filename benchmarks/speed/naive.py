"""The other side of each comparison, written out plainly."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def network(sizes: tuple[int, ...], device: str = "cpu", seed: int = 0) -> nn.Sequential:
    """Linear layers with ReLU between them, torch's own initialisation."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(device).eval()


def mask_forward_restore(module: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """Loss increase of every hidden unit: mask it, run the network, put it back."""
    linears = [layer for layer in module if isinstance(layer, nn.Linear)]
    increase = []
    with torch.inference_mode():
        whole = F.cross_entropy(module(x), y)
        for following in linears[1:]:
            for unit in range(following.in_features):
                outgoing = following.weight[:, unit].clone()
                following.weight[:, unit] = 0.0
                increase.append(F.cross_entropy(module(x), y) - whole)
                following.weight[:, unit] = outgoing
    return torch.stack(increase)


def train(
    module: nn.Module, x: Tensor, y: Tensor, epochs: int, batch_size: int, **adam: Any
) -> nn.Module:
    """A training loop with Adam's defaults, shuffled batches from memory."""
    optimizer = torch.optim.Adam(module.parameters(), **adam)
    module.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch_size):
            some = order[start : start + batch_size]
            optimizer.zero_grad()
            F.cross_entropy(module(x[some]), y[some]).backward()
            optimizer.step()
    return module
