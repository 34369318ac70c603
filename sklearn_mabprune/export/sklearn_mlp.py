"""Conversion of a pruned network to a fitted MLPClassifier or MLPRegressor of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelBinarizer
from torch import nn

from ..exceptions import UnsupportedModuleError
from ..graph.kinds.registry import kind_of
from .chain import Affine, Linear, folded
from .sklearn_inputs import EmbeddedFeatures
from .torch_layers import module_layers, nonlinearity, precision, to_predictions

Array = NDArray[Any]

#: scikit-learn's names of the activations that its MLP supports; no activation is "identity".
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "logistic",
}

_OUTPUTS = (nn.Softmax, nn.LogSoftmax)


@dataclass
class _Stage:
    """A Linear layer with the activation after it; the weight has shape (n_inputs, n_outputs)."""

    weight: Array
    bias: Array
    activation: str = "identity"


def sklearn_model(estimator: Any) -> MLPClassifier | MLPRegressor | Pipeline:
    """The pruned network of a fitted estimator in scikit-learn; see ``to_sklearn``."""
    first, *layers = module_layers(estimator)
    if not kind_of(first).encodes:
        return _mlp(estimator, [first, *layers])
    mlp = _mlp(estimator, layers)
    mlp.n_features_in_ = len(mlp.coefs_[0])
    # The features have the names, and the stage reads them.
    vars(mlp).pop("feature_names_in_", None)
    return Pipeline([("inputs", EmbeddedFeatures.of(first, estimator)), ("mlp", mlp)])


def _mlp(estimator: Any, layers: list[nn.Module]) -> MLPClassifier | MLPRegressor:
    """An MLP with the weights of these layers of a fitted estimator."""
    net, after = estimator.estimator_, nonlinearity(estimator.estimator_)
    if getattr(net, "one_output_", False):
        layers, after = to_predictions(layers, net), []
    n_inner = next((k for k, la in enumerate(layers) if isinstance(la, _OUTPUTS)), len(layers))
    stages = _stages(layers[:n_inner])
    multilabel = getattr(estimator, "multilabel_", False)
    outputs = [*layers[n_inner:], *after]
    last = stages[-1]
    if multilabel and last.activation == "logistic":
        last.activation, outputs = "identity", [nn.Sigmoid(), *outputs]
    activation = _shared_activation(stages)
    dtypes = [precision(layers)] * len(stages)
    if is_classifier(estimator):
        _check_probabilities(outputs, nn.Sigmoid if multilabel else nn.Softmax)
        if len(last.bias) == 2 and not multilabel:
            # The softmax of two logits is the logistic function of their difference.
            last.weight = last.weight[:, 1:] - last.weight[:, :1]
            last.bias = last.bias[1:] - last.bias[:1]
        mlp = MLPClassifier(activation=activation)
        mlp.classes_ = estimator.classes_.copy()
        labels = np.eye(len(mlp.classes_), dtype=int) if multilabel else mlp.classes_
        mlp._label_binarizer = LabelBinarizer().fit(labels)
        mlp.out_activation_ = "logistic" if multilabel or len(last.bias) == 1 else "softmax"
    else:
        _check_no_output_layer(outputs)
        if hasattr(net, "target_scale_"):
            last.weight = last.weight * net.target_scale_
            last.bias = last.bias * net.target_scale_ + net.target_mean_
        # Targets with a mean of 1e6 and a standard deviation of 1, for example, need float64.
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
    # State of the solver for partial_fit: scikit-learn's solver has not taken a step yet.
    mlp.n_iter_ = mlp.t_ = mlp._no_improvement_count = 0
    mlp.loss_, mlp.best_loss_, mlp.loss_curve_ = np.nan, np.inf, []
    mlp.validation_scores_ = mlp.best_validation_score_ = None
    return mlp


def _stages(layers: list[nn.Module]) -> list[_Stage]:
    """Linear layers in float64, with BatchNorm folded into their weights, and activations."""
    stages: list[_Stage] = []
    for part in folded(layers):
        kind: Any = type(part)
        if isinstance(part, Linear):
            stages.append(_Stage(part.weight.T, part.bias))
        elif stages and kind in _ACTIVATIONS and stages[-1].activation == "identity":
            stages[-1].activation = _ACTIVATIONS[kind]
        else:
            what = "BatchNorm1d" if isinstance(part, Affine) else part
            where = (
                f"after Linear layer {len(stages)}" if stages else "before the first Linear layer"
            )
            raise _refused(
                f"{what} {where}; it supports ReLU, Tanh, Sigmoid or no activation, the same "
                "after all hidden layers"
            )
    return stages


def _shared_activation(stages: list[_Stage]) -> str:
    """scikit-learn's name of the activation of all hidden layers.

    Raises
    ------
    UnsupportedModuleError
        If hidden layers have different activations, or the last Linear layer has one.
    """
    *hidden, output = [stage.activation for stage in stages]
    if len(set(hidden)) > 1:
        raise _refused(f"hidden layers with different activations: {', '.join(hidden)}")
    if output != "identity":
        raise _refused(f"the activation {output} after the last Linear layer")
    return hidden[0]


def _check_probabilities(outputs: list[nn.Module], wanted: type[nn.Module]) -> None:
    """Refuse outputs other than one Softmax or Sigmoid; LogSoftmax before Softmax has no effect."""
    *before, last = outputs or [nn.Identity()]
    idle = all(isinstance(m, nn.LogSoftmax) for m in before) if wanted is nn.Softmax else not before
    if not (isinstance(last, wanted) and idle):
        names = ", ".join(str(layer) for layer in outputs) or "nothing"
        raise _refused(
            f"{names} between the last Linear layer and the probabilities, which must be "
            f"one {wanted.__name__}"
        )


def _check_no_output_layer(outputs: list[nn.Module]) -> None:
    """Refuse layers between the last Linear layer and the values of a regressor."""
    if outputs:
        raise _refused(f"{outputs[0]} after the last Linear layer")


def _refused(what: str) -> UnsupportedModuleError:
    """The error for a network that scikit-learn's MLP cannot represent."""
    return UnsupportedModuleError(
        f"scikit-learn's MLP cannot have {what}. Export this network with to_torch() or to_onnx()."
    )
