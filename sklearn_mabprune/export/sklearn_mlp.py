"""A pruned network as a fitted MLPClassifier or MLPRegressor of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..graph.kinds.registry import kind_of
from .torch_layers import module_layers, nonlinearity, precision

Array = NDArray[Any]

#: What scikit-learn calls the activations that its MLP knows; none at all is "identity".
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "logistic",
}

_OUTPUTS = (nn.Softmax, nn.LogSoftmax)


@dataclass
class _Stage:
    """A Linear as scikit-learn has it, (n_inputs, n_outputs), and the activation behind it."""

    weight: Array
    bias: Array
    activation: str = "identity"


def sklearn_mlp(estimator: Any) -> MLPClassifier | MLPRegressor:
    """The pruned network of a fitted estimator, as scikit-learn's MLP; see ``to_sklearn``."""
    layers = module_layers(estimator)
    net = estimator.estimator_
    n_inner = next((k for k, la in enumerate(layers) if isinstance(la, _OUTPUTS)), len(layers))
    stages = _folded(layers[:n_inner])
    several = getattr(estimator, "multilabel_", False)
    behind = [*layers[n_inner:], *nonlinearity(net)]
    last = stages[-1]
    if several and last.activation == "logistic":
        last.activation, behind = "identity", [nn.Sigmoid(), *behind]
    activation = _shared_activation(stages)
    dtypes = [precision(layers)] * len(stages)
    if is_classifier(estimator):
        _check_probabilities(behind, nn.Sigmoid if several else nn.Softmax)
        if len(last.bias) == 2 and not several:
            # One logistic output says what two of a softmax say.
            last.weight = last.weight[:, 1:] - last.weight[:, :1]
            last.bias = last.bias[1:] - last.bias[:1]
        mlp = MLPClassifier(activation=activation)
        mlp.classes_ = estimator.classes_.copy()
        labels = np.eye(len(mlp.classes_), dtype=int) if several else mlp.classes_
        mlp._label_binarizer = LabelBinarizer().fit(labels)
        mlp.out_activation_ = "logistic" if several or len(last.bias) == 1 else "softmax"
    else:
        _check_nothing_behind(behind)
        if hasattr(net, "target_scale_"):
            last.weight = last.weight * net.target_scale_
            last.bias = last.bias * net.target_scale_ + net.target_mean_
        # Targets come in any units: a mean of 1e6 and a spread of 1 do not fit into float32.
        dtypes[-1] = "float64"
        mlp = MLPRegressor(activation=activation)
        mlp.out_activation_ = "identity"

    mlp.hidden_layer_sizes = tuple(len(stage.bias) for stage in stages[:-1])
    mlp.coefs_ = [s.weight.astype(t, order="C") for s, t in zip(stages, dtypes, strict=True)]
    mlp.intercepts_ = [s.bias.astype(t) for s, t in zip(stages, dtypes, strict=True)]
    mlp.n_layers_, mlp.n_outputs_ = len(stages) + 1, len(last.bias)
    mlp.n_features_in_ = estimator.n_features_in_
    if hasattr(estimator, "feature_names_in_"):
        mlp.feature_names_in_ = estimator.feature_names_in_.copy()
    # What partial_fit goes on from: scikit-learn's own solver has not taken a step yet.
    mlp.n_iter_ = mlp.t_ = mlp._no_improvement_count = 0
    mlp.loss_, mlp.best_loss_, mlp.loss_curve_ = np.nan, np.inf, []
    mlp.validation_scores_ = mlp.best_validation_score_ = None
    return mlp


def _folded(layers: list[nn.Module]) -> list[_Stage]:
    """Linear layers in float64, with BatchNorm in their weights.

    BatchNorm right behind a Linear goes into that one; behind an activation, or in front of
    all, into the next one.
    """
    stages: list[_Stage] = []
    # The next Linear is to read slope * x + shift.
    slope, shift = np.ones(1), np.zeros(1)
    for layer in layers:
        kind = kind_of(layer)
        affine = kind.affine(layer)
        if kind.produces:
            given, own = kind.weights(layer)
            weight = _float64(given).T
            bias = np.zeros(weight.shape[1]) if own is None else _float64(own)
            bias = bias + np.broadcast_to(shift, len(weight)) @ weight
            stages.append(_Stage(slope.reshape(-1, 1) * weight, bias))
            slope, shift = np.ones(1), np.zeros(1)
        elif affine is not None:
            factor, constant = map(_float64, affine)
            if stages and stages[-1].activation == "identity":
                stages[-1].weight = stages[-1].weight * factor
                stages[-1].bias = stages[-1].bias * factor + constant
            else:
                slope, shift = slope * factor, shift * factor + constant
        elif stages and type(layer) in _ACTIVATIONS and stages[-1].activation == "identity":
            stages[-1].activation = _ACTIVATIONS[type(layer)]
        else:
            where = f"behind Linear layer {len(stages)}" if stages else "before the first Linear"
            raise _refused(
                f"{layer} {where}. It has ReLU, Tanh, Sigmoid or nothing behind each hidden "
                "layer, and the same behind all"
            )
    return stages


def _float64(tensor: Tensor) -> Array:
    return tensor.detach().double().numpy()


def _shared_activation(stages: list[_Stage]) -> str:
    """The activation of all hidden layers; the last Linear has none."""
    *hidden, output = [stage.activation for stage in stages]
    if len(set(hidden)) > 1:
        raise _refused(f"hidden layers with different activations: {', '.join(hidden)}")
    if output != "identity":
        raise _refused(f"{output} behind the last Linear")
    return hidden[0]


def _check_probabilities(outputs: list[nn.Module], wanted: type[nn.Module]) -> None:
    """One Softmax, or one Sigmoid; before a Softmax, a LogSoftmax changes nothing."""
    *before, last = outputs or [nn.Identity()]
    idle = all(isinstance(m, nn.LogSoftmax) for m in before) if wanted is nn.Softmax else not before
    if not (isinstance(last, wanted) and idle):
        names = ", ".join(str(layer) for layer in outputs) or "nothing"
        raise _refused(
            f"{names} between the last Linear and the probabilities, but one {wanted.__name__}"
        )


def _check_nothing_behind(outputs: list[nn.Module]) -> None:
    if outputs:
        raise _refused(f"{outputs[0]} behind the last Linear")


def _refused(what: str) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"scikit-learn's MLP cannot have {what}. to_torch() and to_onnx() can export this network."
    )
