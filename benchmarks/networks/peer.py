"""What Torch-Pruning makes of a module: whether it finishes, and whether its outputs are right."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_mabprune.graph.program import called

#: Layers whose weights read channels, and the axis along which they do.
_AXES = {
    nn.Linear: 1, nn.Conv1d: 1, nn.Conv2d: 1, nn.Conv3d: 1, nn.ConvTranspose1d: 0,
    nn.ConvTranspose2d: 0,
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a peer did on a module.

    Parameters
    ----------
    result : str
        "equal", "other outputs", "nothing removed", or what failed.
    parameters_left : float
        Fraction of the parameters; 1 if nothing is removed.
    """

    result: str
    parameters_left: float = 1.0


def torch_pruning(module: nn.Module, x: Any, outputs: Sequence[str]) -> Outcome:
    """Half of the channels of all layers but those of the outputs, by magnitude.

    The smaller module is compared with the whole one in which the weights that read a removed
    channel are zero, in float64.
    """
    try:
        peer = importlib.import_module("torch_pruning")
    except ImportError:
        return Outcome("absent")
    whole = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for parameter in whole.parameters():
            # No two numbers are the same: slices are found again by them.
            parameter.add_(torch.randn_like(parameter) * 1e-3)
    smaller = copy.deepcopy(whole)
    x = as_float64(x)
    before = sum(parameter.numel() for parameter in whole.parameters())
    try:
        given = x if isinstance(x, dict | tuple) else (x,)
        ignored = [smaller.get_submodule(name) for name in outputs if name]
        peer.pruner.MetaPruner(
            smaller, given, importance=peer.importance.MagnitudeImportance(p=2), pruning_ratio=0.5,
            ignored_layers=ignored,
        ).step()  # fmt: skip
        with torch.no_grad():
            got = called(smaller, x)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        return Outcome(f"fails: {type(error).__name__}: {first[:60]}")
    left = sum(parameter.numel() for parameter in smaller.parameters()) / before
    if left == 1.0:
        return Outcome("nothing removed")
    try:
        with torch.no_grad():
            _mask(whole, smaller)
            wanted = called(whole, x)
    except (ValueError, IndexError) as error:
        return Outcome(f"not compared: {error}", left)
    if got.shape != wanted.shape:
        return Outcome("outputs of another shape", left)
    gap = float((got - wanted).abs().max() / wanted.abs().max())
    return Outcome("equal" if gap < 1e-9 else "other outputs", left)


def as_float64(x: Any) -> Any:
    """Samples in float64; codes stay integers."""
    if isinstance(x, dict):
        return {name: as_float64(part) for name, part in x.items()}
    return x.double() if x.is_floating_point() else x


def _mask(whole: nn.Module, smaller: nn.Module) -> None:
    """Set to zero in the whole module what reads channels that the smaller one does not have."""
    layers = dict(smaller.named_modules())
    for name, layer in whole.named_modules():
        axis, other = _AXES.get(type(layer)), layers.get(name)
        if axis is None or other is None:
            continue
        groups = getattr(layer, "groups", 1)
        # What a depthwise layer returns of a removed channel is read by nothing.
        if groups > 1 and groups == layer.in_channels:
            continue
        if getattr(other, "groups", 1) != groups:
            raise ValueError(f"{name} has other groups")
        parts = (each.weight.chunk(groups) for each in (layer, other))
        for own, left in zip(*parts, strict=True):
            gone = torch.ones(own.shape[axis], dtype=torch.bool)
            gone[_places(left, own, axis)] = False
            own.index_fill_(axis, gone.nonzero()[:, 0], 0.0)


def _places(smaller: Tensor, whole: Tensor, axis: int) -> Tensor:
    """Where the slices of a smaller weight were in the whole one, whose numbers are distinct."""
    line = [0] * smaller.dim()
    first = (whole == smaller[tuple(line)]).nonzero()[0].tolist()
    of_smaller, of_whole = (
        tensor[tuple(slice(None) if dim == axis else at for dim, at in enumerate(place))]
        for tensor, place in ((smaller, line), (whole, first))
    )
    return torch.isin(of_whole, of_smaller).nonzero()[:, 0]
