"""Validation scores and losses of a network while it shrinks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    get_scorer,
    log_loss,
    r2_score,
    root_mean_squared_error,
)

from ..graph.graph import Chain
from .initial import Data
from .predicting import ClassifierView, RegressorView, network_outputs

Score = Callable[[Any, Chain], float]


def classification_scores(
    scoring: Any, validation: Data, classes: NDArray[Any]
) -> tuple[Score, Score, str, str]:
    """Score and log-loss of a net's chain on validation rows, and their names.

    Parameters
    ----------
    scoring : str, callable or None
        As everywhere in scikit-learn; None: accuracy, of several labels a row that of all
        together.
    validation : Data
    classes : ndarray of shape (n_classes,)
        Labels of the class indices; of several labels a row the columns' numbers.
    """
    several = validation.y.ndim == 2
    labels = validation.y.astype(np.int64) if several else classes[validation.y]
    weights = _weights(validation)
    scorer = _scorer(scoring)

    def score(net: Any, chain: Chain) -> float:
        view = ClassifierView(net, chain, classes, several)
        if scorer is None and several:
            right = (view.predict(validation.x) == labels).all(axis=1)
            return float(np.average(right, weights=validation.weights))
        if scorer is None:
            # accuracy_score would look at what kind of labels these are in every round.
            right = view.predict_proba(validation.x).argmax(axis=1) == validation.y
            return float(np.average(right, weights=validation.weights))
        return float(scorer(view, validation.x, labels, **weights))

    def loss(net: Any, chain: Chain) -> float:
        proba = network_outputs(net, chain.forward, validation.x).astype(np.float64)
        if several:
            # Each label of each row is a decision of its own, all counting the same.
            each = {name: np.repeat(w, len(classes)) for name, w in weights.items()}
            return float(log_loss(labels.ravel(), proba.ravel(), labels=[0, 1], **each))
        proba /= proba.sum(axis=1, keepdims=True)
        return float(log_loss(labels, proba, labels=classes, **weights))

    return score, loss, _name(scoring, "accuracy"), "log-loss"


def regression_scores(scoring: Any, validation: Data) -> tuple[Score, Score, str, str]:
    """Score (None: R2) and root mean squared error of a net's chain, and their names."""
    truth = validation.y[:, 0] if validation.y.shape[1] == 1 else validation.y
    weights = _weights(validation)
    scorer = _scorer(scoring)

    def score(net: Any, chain: Chain) -> float:
        view = RegressorView(net, chain)
        if scorer is None:
            return float(r2_score(truth, view.predict(validation.x), **weights))
        return float(scorer(view, validation.x, truth, **weights))

    def loss(net: Any, chain: Chain) -> float:
        predicted = RegressorView(net, chain).predict(validation.x)
        return float(root_mean_squared_error(truth, predicted, **weights))

    return score, loss, _name(scoring, "R2"), "RMSE"


def check_score(scoring: Any, score: Score, net: Any, chain: Chain) -> None:
    """Refuse a `scoring` of the user's that gives no number, before time is spent.

    Raises
    ------
    ValueError
        If there is no score of the net, or if it is not a number.
    """
    if scoring is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = score(net, chain)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"scoring={scoring!r} cannot be used: {error}. It is called as scoring(estimator, "
                "X, y) and returns a number; sklearn.metrics.make_scorer(metric) makes one of a "
                "metric."
            ) from error
    if np.isnan(found):
        raise ValueError(
            f"scoring={scoring!r} gives nan on the validation rows, which says nothing of a "
            "network. Pass a score that they have a value of, or other rows as X_val and y_val."
        )


def _scorer(scoring: Any) -> Any:
    """The scorer of a name, or a callable as it is; None: the default, which is none of these."""
    if scoring is None:
        return None
    try:
        return get_scorer(scoring)
    except ValueError as error:
        raise ValueError(f"scoring={scoring!r}: {error}") from error


def _weights(validation: Data) -> dict[str, Any]:
    """Keyword for a metric; scorers without weights need not know of them."""
    return {} if validation.weights is None else {"sample_weight": validation.weights}


def _name(scoring: Any, default: str) -> str:
    if scoring is None:
        return default
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")
