"""Validation scores and losses of a network while it shrinks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import (
    get_scorer,
    log_loss,
    r2_score,
    root_mean_squared_error,
)

from ..data.targets import predicted
from ..graph.graph import Graph
from .initial import Data
from .predicting import network_outputs

Score = Callable[[Any, Graph], float]


def classification_scores(
    scoring: Any, validation: Data, classes: NDArray[Any]
) -> tuple[Score, Score, str, str]:
    """Functions for the score and the log-loss on validation samples, and their names.

    Parameters
    ----------
    scoring : str, callable or None
        As everywhere in scikit-learn; None: accuracy, for multilabel targets that of all labels
        together.
    validation : Data
    classes : ndarray of shape (n_classes,)
        Labels of the class indices; for multilabel targets the columns' numbers.
    """
    multilabel = validation.y.ndim == 2
    labels = validation.y.astype(np.int64) if multilabel else classes[validation.y]
    weights = _weights(validation)
    scorer = _scorer(scoring)

    def score(net: Any, graph: Graph) -> float:
        view = ClassifierView(net, graph, classes, multilabel)
        if scorer is None and multilabel:
            right = (view.predict(validation.x) == labels).all(axis=1)
            return float(np.average(right, weights=validation.weights))
        if scorer is None:
            # accuracy_score would look at what kind of labels these are in every round.
            right = view.predict_proba(validation.x).argmax(axis=1) == validation.y
            return float(np.average(right, weights=validation.weights))
        return float(scorer(view, validation.x, labels, **weights))

    def loss(net: Any, graph: Graph) -> float:
        proba = network_outputs(net, graph.forward, validation.x).astype(np.float64)
        if multilabel:
            # Each label of each sample is a prediction of its own, all with the same weight.
            each = {name: np.repeat(w, len(classes)) for name, w in weights.items()}
            return float(log_loss(labels.ravel(), proba.ravel(), labels=[0, 1], **each))
        proba /= proba.sum(axis=1, keepdims=True)
        return float(log_loss(labels, proba, labels=classes, **weights))

    return score, loss, _name(scoring, "accuracy"), "log-loss"


def regression_scores(scoring: Any, validation: Data) -> tuple[Score, Score, str, str]:
    """Functions for the score (None: R2) and the root mean squared error, and their names."""
    truth = validation.y[:, 0] if validation.y.shape[1] == 1 else validation.y
    weights = _weights(validation)
    scorer = _scorer(scoring)

    def score(net: Any, graph: Graph) -> float:
        view = RegressorView(net, graph)
        if scorer is None:
            return float(r2_score(truth, view.predict(validation.x), **weights))
        return float(scorer(view, validation.x, truth, **weights))

    def loss(net: Any, graph: Graph) -> float:
        predicted = RegressorView(net, graph).predict(validation.x)
        return float(root_mean_squared_error(truth, predicted, **weights))

    return score, loss, _name(scoring, "R2"), "RMSE"


def check_score(scoring: Any, score: Score, net: Any, graph: Graph) -> None:
    """Refuse a user's `scoring` that does not return a number, before time is spent.

    Raises
    ------
    ValueError
        If scoring the net fails, or returns NaN.
    """
    if scoring is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = score(net, graph)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"scoring={scoring!r} cannot be used: {error}. It is called as scoring(estimator, "
                "X, y) and returns a number; sklearn.metrics.make_scorer(metric) makes one of a "
                "metric."
            ) from error
    if np.isnan(found):
        raise ValueError(
            f"scoring={scoring!r} gives nan on the validation samples, so that networks cannot "
            "be compared. Pass a scoring that is defined on them, or other samples as X_val and "
            "y_val."
        )


def _scorer(scoring: Any) -> Any:
    """The scorer of a name, or a callable as it is; None for the default score."""
    if scoring is None:
        return None
    try:
        return get_scorer(scoring)
    except ValueError as error:
        raise ValueError(f"scoring={scoring!r}: {error}") from error


def _weights(validation: Data) -> dict[str, Any]:
    """Keyword arguments for a metric: none without weights, which not all scorers take."""
    return {} if validation.weights is None else {"sample_weight": validation.weights}


def _name(scoring: Any, default: str) -> str:
    if scoring is None:
        return default
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")


class ClassifierView(ClassifierMixin, BaseEstimator):
    """A network as a fitted classifier, for scorers."""

    def __init__(self, net: Any, graph: Graph, classes: NDArray[Any], multilabel: bool = False):
        self.net, self.graph, self.classes_, self.multilabel = net, graph, classes, multilabel

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        """Class probabilities, (n_samples, n_classes)."""
        return network_outputs(self.net, self.graph.forward, X)

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Labels, (n_samples,), or an indicator matrix, (n_samples, n_classes)."""
        return predicted(self.predict_proba(X), self.classes_, self.multilabel)


class RegressorView(RegressorMixin, BaseEstimator):
    """A network as a fitted regressor, for scorers."""

    def __init__(self, net: Any, graph: Graph):
        self.net, self.graph = net, graph

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Values, (n_samples,) or (n_samples, n_outputs)."""
        outputs = network_outputs(self.net, self.graph.forward, X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
