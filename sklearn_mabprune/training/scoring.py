"""Validation scores and losses of a network while it shrinks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
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
from skorch import NeuralNetRegressor
from torch import nn

from ..data.samples import Data
from ..data.targets import predicted
from ..graph.graph import Graph
from ..utils.compat import uncompiled
from .predicting import network_outputs

Score = Callable[[Any, Graph], float]

#: Samples on which predictions are looked at before the training.
_N_FIRST = 64


@dataclass(frozen=True)
class Constant:
    """The best constant answer of the training samples, beside which networks are measured.

    Parameters
    ----------
    answer : str
        What it is, for messages.
    score : callable
        Without arguments: its validation score, NaN if the scorer cannot be applied to it.
    losses : callable
        From net and graph to the errors of the network and of the constant answer on each
        validation sample (fraction of wrong labels, or squared error), each (n_validation,).
    """

    answer: str
    score: Callable[[], float]
    losses: Callable[[Any, Graph], tuple[NDArray[np.float64], NDArray[np.float64]]]


def classification_scores(
    scoring: Any, data: Data, validation: Data, classes: NDArray[Any]
) -> tuple[Score, Score, str, str, Constant]:
    """Score and log-loss on validation samples, their names, and the constant answer.

    Parameters
    ----------
    scoring : str, callable or None
        As everywhere in scikit-learn; None: accuracy, for multilabel targets that of all labels
        together.
    data, validation : Data
        Training and validation samples.
    classes : ndarray of shape (n_classes,)
        Labels of the class indices; for multilabel targets the columns' numbers.
    """
    multilabel = validation.y.ndim == 2
    labels = validation.y.astype(np.int64) if multilabel else classes[validation.y]
    weights = _weights(validation)
    scorer = _scorer(scoring)

    def scored(view: ClassifierView) -> float:
        if scorer is None and multilabel:
            right = (view.predict(validation.x) == labels).all(axis=1)
            return float(np.average(right, weights=validation.weights))
        if scorer is None:
            # accuracy_score would look at what kind of labels these are in every round.
            right = view.predict_proba(validation.x).argmax(axis=1) == validation.y
            return float(np.average(right, weights=validation.weights))
        return float(scorer(view, validation.x, labels, **weights))

    def score(net: Any, graph: Graph) -> float:
        return scored(ClassifierView(net, graph, classes, multilabel))

    def loss(net: Any, graph: Graph) -> float:
        proba = network_outputs(net, graph.forward, validation.x).astype(np.float64)
        if multilabel:
            # Each label of each sample is a prediction of its own, all with the same weight.
            each = {name: np.repeat(w, len(classes)) for name, w in weights.items()}
            return float(log_loss(labels.ravel(), proba.ravel(), labels=[0, 1], **each))
        proba /= proba.sum(axis=1, keepdims=True)
        return float(log_loss(labels, proba, labels=classes, **weights))

    truth = validation.y if multilabel else np.eye(len(classes))[validation.y]
    trained = data.y if multilabel else np.eye(len(classes))[data.y]
    frequent = np.average(trained, axis=0, weights=data.weights)

    def wrong(proba: NDArray[Any]) -> NDArray[np.float64]:
        if multilabel:
            return np.asarray(((proba > 0.5) != truth).mean(axis=1))
        return (proba.argmax(axis=1) != validation.y).astype(np.float64)

    answer = "the most frequent class"
    if multilabel:
        answer = "the most frequent value of each label"
    else:
        answer += f" ({classes.tolist()[frequent.argmax()]!r})"
    view = _ConstantClassifier(frequent, classes, multilabel)
    constant = _constant(answer, scored, view, wrong, validation)
    return score, loss, _name(scoring, "accuracy"), "log-loss", constant


def _constant(
    answer: str,
    scored: Callable[[Any], float],
    view: Any,
    errors: Callable[[NDArray[Any]], NDArray[np.float64]],
    validation: Data,
) -> Constant:
    """A constant answer, from a view of it and a function for the errors of outputs."""

    def score() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return scored(view)
            except Exception:  # a user's scorer may ask for more than predictions
                return np.nan

    def losses(net: Any, graph: Graph) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        outputs = network_outputs(net, graph.forward, validation.x)
        return errors(outputs), errors(np.tile(view.outputs, (len(outputs), 1)))

    return Constant(answer, score, losses)


def _quiet() -> np.errstate:
    """Predictions may be huge: their squares are then infinite, which the scores say."""
    return np.errstate(over="ignore", invalid="ignore")


def regression_scores(
    scoring: Any, data: Data, validation: Data
) -> tuple[Score, Score, str, str, Constant]:
    """As :func:`classification_scores`, for R2 (None) and the root mean squared error."""
    truth = validation.y[:, 0] if validation.y.shape[1] == 1 else validation.y
    weights = _weights(validation)
    scorer = _scorer(scoring)

    def scored(view: RegressorView) -> float:
        if scorer is None:
            if len(truth) < 2:
                # Not defined: r2_score would warn in every round.
                return np.nan
            with _quiet():
                return float(r2_score(truth, view.predict(validation.x), **weights))
        with _quiet():
            return float(scorer(view, validation.x, truth, **weights))

    def score(net: Any, graph: Graph) -> float:
        return scored(RegressorView(net, graph))

    def loss(net: Any, graph: Graph) -> float:
        predicted = RegressorView(net, graph).predict(validation.x)
        with _quiet():
            return float(root_mean_squared_error(truth, predicted, **weights))

    spread = data.y.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)

    def errors(outputs: NDArray[Any]) -> NDArray[np.float64]:
        with _quiet():
            return np.asarray((((outputs - validation.y) / scale) ** 2).mean(axis=1))

    view = _ConstantRegressor(np.average(data.y, axis=0, weights=data.weights))
    constant = _constant("the mean of y", scored, view, errors, validation)
    return score, loss, _name(scoring, "R2"), "RMSE", constant


def check_probabilities(net: Any, graph: Graph, x: Any) -> None:
    """Refuse a classifier's net whose predictions are no probabilities, before time is spent.

    Parameters
    ----------
    net : skorch net
        Initialised; its weights do not matter.
    graph : Graph
        Of its module.
    x : ndarray, CSR matrix or NamedSamples
        Samples, of which the first are predicted.

    Raises
    ------
    ValueError
        If a prediction is below 0 or above 1; the message says what makes probabilities of it.
    """
    criterion = uncompiled(net.criterion_)
    if isinstance(net, NeuralNetRegressor) or isinstance(criterion, nn.NLLLoss):
        return  # of a module without a Softmax NLLLoss is NaN, which the training says
    try:
        outputs = network_outputs(net, graph.forward, x[:_N_FIRST])
    except ValueError:  # too large a sample, which is said when the fit comes to it
        return
    wrong = outputs[(outputs < 0) | (outputs > 1 + 1e-6)]
    if not wrong.size:
        return
    name = type(criterion).__name__
    if isinstance(criterion, nn.BCELoss):
        way_out = "Pass criterion=nn.BCEWithLogitsLoss, or end the module in a Sigmoid."
    else:
        way_out = (
            "Pass predict_nonlinearity=functools.partial(torch.softmax, dim=-1) to the net, or "
            "another function that makes probabilities of the module's outputs. For several labels "
            "pass torch.sigmoid, and callbacks__valid_acc=None: skorch's accuracy is of one label."
        )
    raise ValueError(
        f"The net predicts {wrong[0]:.3g}, which is not a probability: skorch makes probabilities "
        f"of logits for losses of torch that it knows, and criterion is {name}. {way_out}"
    )


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


class _ConstantClassifier(ClassifierView):
    """The same probabilities for all samples."""

    def __init__(self, outputs: NDArray[Any], classes: NDArray[Any], multilabel: bool):
        self.outputs, self.classes_, self.multilabel = outputs, classes, multilabel

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Class probabilities, (n_samples, n_classes)."""
        return np.tile(self.outputs, (X.shape[0], 1))


class _ConstantRegressor(RegressorView):
    """The same values for all samples."""

    def __init__(self, outputs: NDArray[Any]):
        self.outputs = outputs

    def predict(self, X: Any) -> NDArray[Any]:
        """Values, (n_samples,) or (n_samples, n_outputs)."""
        outputs = np.tile(self.outputs, (X.shape[0], 1))
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
