"""Cutting neurons out: a new, smaller chain; the one it is cut from stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from .graph import Chain, Stage
from .kinds.registry import BETWEEN, LinearKind

Fold = tuple[Tensor | None, Tensor] | None


def cut(chain: Chain, keep: list[Tensor | None], folds: list[Fold]) -> Chain:
    """Remove neurons and let the next layer take over what they did.

    Parameters
    ----------
    chain : Chain
        Left as it is; the new chain shares no tensor with it.
    keep : list of Tensor of bool, shape (width,), or None, one a hidden layer
        Which neurons stay; None: all of them.
    folds : list of (Tensor of shape (n_kept, n_removed) or None, Tensor of shape (n_removed,)) or None
        For each hidden layer the removed neurons' activations, as predicted from the
        kept ones (slopes) and constants; None: taken as zero.

    Returns
    -------
    Chain
        In evaluation mode.
    """  # noqa: E501
    before: Tensor | None = None
    fold: Fold = None
    stages = []
    for k, stage in enumerate(chain.stages):
        here = keep[k] if k < len(keep) else None
        linear = LinearKind.cut(stage.linear, before, here, fold)
        everything = torch.ones(stage.linear.out_features, dtype=torch.bool, device=chain.device)
        after = [_narrow(layer, everything if here is None else here) for layer in stage.after]
        stages.append(Stage(linear, after))
        before, fold = (here, folds[k]) if k < len(keep) else (None, None)
    inputs = torch.ones(chain.n_inputs, dtype=torch.bool, device=chain.device)
    return Chain([_narrow(layer, inputs) for layer in chain.head], stages)


def _narrow(layer: torch.nn.Module, keep: Tensor) -> torch.nn.Module:
    kind = BETWEEN.get(type(layer))
    # What stands behind the last Linear has no neurons of its own.
    return layer if kind is None else kind.narrow(layer, keep)
