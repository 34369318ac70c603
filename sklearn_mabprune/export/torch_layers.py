"""Layers of a fitted estimator's network, from features to predictions: the base of all exports."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ..data.losses import is_softmax, output_nonlinearity
from ..exceptions import UnsupportedModuleError
from ..graph.analysis import is_plain
from ..graph.kinds.linear import LinearKind, uninitialised_linear
from ..graph.kinds.registry import kind_of
from ..graph.lazy import drawn
from ..graph.program import called
from ..utils.compat import is_identity, uncompiled


def plain_layers(estimator: Any) -> list[nn.Module]:
    """Layers from features to predictions.

    Parameters
    ----------
    estimator : MABPrunedClassifier or MABPrunedRegressor
        Fitted estimator.

    Returns
    -------
    list of nn.Module
        The layers of the module, followed by those that compute the outputs of
        ``predict_proba`` (classifier) or ``predict`` (regressor) from the module's outputs.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    UnsupportedModuleError
        If the net's ``predict_nonlinearity`` is a custom function.
    """
    return to_predictions(module_layers(estimator), estimator.estimator_)


def any_layers(estimator: Any) -> list[nn.Module]:
    """As :func:`plain_layers`; a module that is no chain is one layer."""
    module = module_of(estimator)
    layers = _layers(module) if is_plain(module) else [module]
    return to_predictions(layers, estimator.estimator_)


class NamedInputs(nn.Sequential):
    """Layers of which the first takes several inputs by name."""

    def forward(self, **inputs: Tensor) -> Tensor:  # type: ignore[override]
        """The outputs of the last layer."""
        first, *layers = self
        outputs: Tensor = first(**inputs)
        for layer in layers:
            outputs = layer(outputs)
        return outputs


def joined(layers: list[nn.Module], named: bool) -> nn.Sequential:
    """Layers as one module, of one input or of several by name."""
    return (NamedInputs if named else nn.Sequential)(*layers)


def is_chain(estimator: Any) -> bool:
    """Whether a fitted estimator's network is a chain of layers."""
    return is_plain(_module(estimator))


def to_predictions(layers: list[nn.Module], net: Any) -> list[nn.Module]:
    """Layers of a net's module, followed by those that compute predictions from its outputs."""
    if kind_of(layers[-1]) is None and _is_flat(layers[-1], net):
        layers = [*layers, nn.Unflatten(0, (-1, 1))]
    if hasattr(net, "target_scale_"):
        layers = _rescaled(layers, net.target_scale_, net.target_mean_)
    layers = [*layers, *nonlinearity(net)]
    return _both_classes(layers) if getattr(net, "one_output_", False) else layers


def _is_flat(module: nn.Module, net: Any) -> bool:
    """Whether a user's module returns a number for each sample, (n_samples,)."""
    with torch.no_grad():
        outputs: Tensor = called(module, drawn(net.input_form_, 2))
    return outputs.dim() == 1


def _both_classes(layers: list[nn.Module]) -> list[nn.Module]:
    """Layers to the probabilities of two classes, from those to that of the second.

    The sigmoid of a logit is the second softmax of 0 and the logit.
    """
    if not isinstance(layers[-1], nn.Sigmoid):
        weight, bias = torch.tensor([[-1.0], [1.0]]), torch.tensor([1.0, 0.0])
        return [*layers, _linear(weight, bias, layers)]
    layers = layers[:-1]
    weight, bias = torch.tensor([[0.0], [1.0]]), torch.zeros(2)
    if isinstance(layers[-1], nn.Linear):
        given, constant = LinearKind.weights(layers[-1])
        if constant is not None:
            bias = weight.to(given)[:, 0] * constant.detach()
        weight = weight.to(given) @ given.detach()
        layers = layers[:-1]
    return [*layers, _linear(weight, bias, layers), nn.Softmax(dim=-1)]


def _linear(weight: Tensor, bias: Tensor, others: list[nn.Module]) -> nn.Linear:
    """A Linear layer in the precision of others, or of its weights if there are none."""
    known = [parameter.dtype for layer in others for parameter in layer.parameters()]
    dtype = known[0] if known else weight.dtype
    linear = uninitialised_linear(weight.shape[1], len(weight), dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear


def module_of(estimator: Any) -> nn.Module:
    """A copy of a fitted estimator's module, on the CPU, in evaluation mode."""
    copied: nn.Module = copy.deepcopy(_module(estimator)).cpu().eval()
    return copied


def _module(estimator: Any) -> Any:
    """A fitted estimator's own module."""
    reason = "it is not fitted yet. Call fit."
    if hasattr(estimator, "refit"):
        reason = "it is not fitted yet, or was fitted with refit=False. Call fit with refit=True."
    check_is_fitted(estimator, "estimator_", msg=f"This %(name)s has no network: {reason}")
    return uncompiled(estimator.estimator_.module_)


def module_layers(estimator: Any) -> list[nn.Module]:
    """Copies of the module's layers, on the CPU, in evaluation mode, without idle layers.

    Raises
    ------
    UnsupportedModuleError
        If the module is not a chain of layers.
    """
    module = module_of(estimator)
    if not is_plain(module):
        raise UnsupportedModuleError(
            f"{type(module).__name__} is not a chain of layers, and only chains are exported here. "
            "Use to_torch(), to_onnx() or to_c(), or pickle the estimator."
        )
    return _layers(module)


def _layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.children() if not _is_idle(layer)]


def drawn_samples(estimator: Any) -> Any:
    """Samples of the shape of those of fit, in the precision of the network or integers."""
    net = estimator.estimator_
    shapes = getattr(estimator, "input_shape_", None) or (estimator.n_features_in_,)
    if isinstance(shapes, dict):
        return {name: _of_form(net, shape, kind) for name, shape, kind in net.input_form_}
    integers = getattr(net, "reads_integers_", False)
    return _of_form(net, shapes, "int64" if integers else precision([net.module_]))


def _of_form(net: Any, shape: Any, kind: str) -> NDArray[Any]:
    """Numbers in the range of all embeddings, or from a normal distribution."""
    rng, shape = np.random.default_rng(0), (64, *shape)
    if kind.startswith("float"):
        return rng.standard_normal(shape).astype(kind)
    modules = net.module_.modules()
    codes = [part.num_embeddings for part in modules if hasattr(part, "num_embeddings")]
    largest = min([*codes, 2**31]) if codes else 1
    found = rng.integers(0, 2 if kind == "bool" else largest, size=shape)
    # No sample is masked as a whole, nor all padding: its softmax would be NaN.
    if kind == "bool" and shape[-1] > 1:
        found[..., :2] = 1, 0
    elif largest > 1:
        found[..., 0] = np.maximum(found[..., 0], 1)
    return found.astype(kind)


def precision(layers: list[nn.Module]) -> str:
    """Name of the dtype of the weights, "float32" or "float64"."""
    first = next(parameter for layer in layers for parameter in layer.parameters())
    return str(first.dtype).removeprefix("torch.")


def n_outputs(layers: list[nn.Module]) -> int:
    """Number of outputs per sample."""
    last = _producing(layers)[-1]
    return int(kind_of(last).n_outputs(last))


def _producing(layers: list[nn.Module]) -> list[nn.Module]:
    """Layers that produce units, such as Linear."""
    return [layer for layer in layers if kind_of(layer).produces]


def _is_idle(layer: nn.Module) -> bool:
    """Whether a layer is the identity for samples in evaluation mode, such as Dropout."""
    kind = kind_of(layer)
    return bool(kind.silent or kind.flattens)


def nonlinearity(net: Any) -> list[nn.Module]:
    """Layers that compute a net's predictions from its module's outputs, such as Softmax.

    Raises
    ------
    UnsupportedModuleError
        If the net's ``predict_nonlinearity`` is a custom function.
    """
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
        f"The net has predict_nonlinearity={net.predict_nonlinearity!r}, a custom function, which "
        "cannot be exported. Make the function the last layer of the module and set "
        "predict_nonlinearity=None."
    )


def _rescaled(layers: list[nn.Module], scale: Any, mean: Any) -> list[nn.Module]:
    """Layers with their outputs multiplied by `scale` and shifted by `mean`, in a Linear layer.

    A Linear at the end absorbs scale and shift; otherwise one is appended.
    """
    scale, mean = torch.as_tensor(scale), torch.as_tensor(mean)
    weight, bias = torch.eye(len(scale)).to(scale), torch.zeros_like(mean)
    if isinstance(layers[-1], nn.Linear):
        last = layers[-1]
        layers = layers[:-1]
        weight = last.weight.detach().to(scale)
        bias = bias if last.bias is None else last.bias.detach().to(mean)
    return [*layers, _linear(weight * scale[:, None], bias * scale + mean, layers)]
