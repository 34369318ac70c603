"""From a fitted estimator to plain layers: what all exports start from."""

from __future__ import annotations

import copy
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from ..data.losses import is_softmax, output_nonlinearity
from ..exceptions import UnsupportedModuleError
from ..graph.kinds.registry import kind_of
from ..utils.compat import is_identity, uncompiled


def plain_layers(estimator: Any) -> list[nn.Module]:
    """Layers from rows to predictions.

    Parameters
    ----------
    estimator : MABPrunedClassifier or MABPrunedRegressor
        Fitted.

    Returns
    -------
    list of nn.Module
        The module's layers and, in the end, what ``predict_proba`` or ``predict`` does to its
        outputs.

    Raises
    ------
    UnsupportedModuleError
        If that is a function of the user's.
    """
    layers = module_layers(estimator)
    net = estimator.estimator_
    if hasattr(net, "target_scale_"):
        layers = _in_units(layers, net.target_scale_, net.target_mean_)
    return [*layers, *nonlinearity(net)]


def module_layers(estimator: Any) -> list[nn.Module]:
    """The module's own layers: copies, on the CPU, in evaluation mode, idle ones left out."""
    told = "it is not fitted yet. Call fit."
    if hasattr(estimator, "refit"):
        told = "it is not fitted yet, or was fitted with refit=False. Call fit, with refit=True."
    check_is_fitted(estimator, "estimator_", msg=f"This %(name)s has no network: {told}")
    module = copy.deepcopy(uncompiled(estimator.estimator_.module_)).cpu().eval()
    return [layer for layer in module.children() if not _is_idle(layer)]


def precision(layers: list[nn.Module]) -> str:
    """The dtype of the weights, "float32" or "float64"."""
    first = _producing(layers)[0]
    return str(next(first.parameters()).dtype).removeprefix("torch.")


def n_outputs(layers: list[nn.Module]) -> int:
    """Outputs for each sample."""
    last = _producing(layers)[-1]
    return int(kind_of(last).n_outputs(last))


def _producing(layers: list[nn.Module]) -> list[nn.Module]:
    return [layer for layer in layers if kind_of(layer).produces]


def _is_idle(layer: nn.Module) -> bool:
    """Whether a layer changes nothing in samples when the network is in evaluation mode."""
    kind = kind_of(layer)
    return bool(kind.silent or kind.flattens)


def nonlinearity(net: Any) -> list[nn.Module]:
    """What a net does to its module's outputs in ``predict_proba``, as layers."""
    found: Any = output_nonlinearity(net)
    if is_identity(found):
        return []
    if is_softmax(found):
        return [nn.Softmax(dim=-1)]
    if found is torch.sigmoid:
        return [nn.Sigmoid()]
    if isinstance(found, nn.Module) and kind_of(found) is not None:
        return [] if _is_idle(found) else [copy.deepcopy(found).cpu().eval()]
    raise UnsupportedModuleError(
        f"The net has predict_nonlinearity={net.predict_nonlinearity!r}, a function that no layer "
        "stands for, and cannot be exported. Put the function into the module as its last layer, "
        "and set predict_nonlinearity=None."
    )


def _in_units(layers: list[nn.Module], scale: Any, mean: Any) -> list[nn.Module]:
    """Layers whose outputs are scaled and shifted, by the last Linear if nothing follows it."""
    dtype = getattr(torch, precision(layers))
    scale, mean = torch.as_tensor(scale), torch.as_tensor(mean)
    weight, bias = torch.eye(len(scale)).to(scale), torch.zeros_like(mean)
    if isinstance(layers[-1], nn.Linear):
        last = layers[-1]
        layers = layers[:-1]
        weight = last.weight.detach().to(scale)
        bias = bias if last.bias is None else last.bias.detach().to(mean)
    linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(weight * scale[:, None])
        linear.bias.copy_(bias * scale + mean)
    return [*layers, linear]
