"""One fit of a teacher: weights under the name that it knows, several targets, constant targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from ..utils.compat import routing_enabled
from .teacher_targets import Targets

# Targets of which the largest is smaller, or larger than the inverse, are beyond float32, or near.
_SMALL = 1e-30


def is_constant(y: NDArray[Any]) -> bool:
    """Whether all samples have the same targets, so that there is nothing to learn.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.training.teacher_fits import is_constant
    >>> is_constant(np.array([1, 1])), is_constant(np.array([[1, 0], [1, 1]]))
    (True, False)
    """
    return bool((y == y[:1]).all())


def fitted_on(model: Any, x: Any, y: NDArray[Any], given: dict[str, Any]) -> Any:
    """A model that is fitted; where the target is constant, one that answers it.

    The samples of a fold may be of one class, or have or lack a rare label all of them: many
    estimators refuse these, or return probabilities of classes that they do not name.

    Parameters
    ----------
    model : estimator
        It is fitted itself, unless the target is constant.
    x : array, DataFrame or CSR matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
    given : dict
        Other arguments of ``fit``, sample weights under the name that it knows among them.
    """
    if y.ndim == 1 and is_constant(y):
        constant = DummyClassifier() if is_classifier(model) else DummyRegressor()
        return constant.fit(x, y)
    if not is_classifier(model) and y.dtype.kind == "f":
        largest = np.abs(y).max(axis=0)
        if ((largest > 1 / _SMALL) | (largest < _SMALL)).any():
            model = Rescaled(model, np.where(largest > 0, largest, 1.0))
    return model.fit(x, y, **given)


class Rescaled(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor of targets that are divided by their largest value.

    Boosted trees compute gradients in float32: of targets beyond it they learn nothing.

    Parameters
    ----------
    estimator : estimator
        It is fitted itself.
    units : ndarray of shape () or (n_targets,)
        What the targets are divided by.
    """

    def __init__(self, estimator: Any, units: Any):
        self.estimator = estimator
        self.units = units

    def fit(self, X: Any, y: NDArray[Any], **given: Any) -> Rescaled:
        """Fit the estimator to the quotients.

        Parameters
        ----------
        X : array, DataFrame or CSR matrix of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        **given
            Other arguments of the ``fit`` of the estimator.

        Returns
        -------
        self
        """
        self.estimator_ = self.estimator.fit(X, y / self.units, **given)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Values in the units of the targets, of the shape of y.

        Parameters
        ----------
        X : array, DataFrame or CSR matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray
        """
        return np.asarray(self.estimator_.predict(X) * self.units)


class _EachTarget:
    """Mixin of scikit-learn's multi-output estimators: a fit of each target by `fitted_on`.

    scikit-learn's own refuse weights for pipelines, and targets that are constant in a fold.
    """

    estimator: Any

    def fit(self, X: Any, Y: Any, **params: Any) -> Any:
        """Fit a copy of the estimator for each target.

        Parameters
        ----------
        X : array, DataFrame or CSR matrix of shape (n_samples, n_features)
        Y : ndarray of shape (n_samples, n_targets)
        **params
            Other arguments of the ``fit`` of the estimator.

        Returns
        -------
        self
        """
        self.estimators_ = [fitted_on(clone(self.estimator), X, y, params) for y in np.asarray(Y).T]
        if is_classifier(self):
            self.classes_ = [fitted.classes_ for fitted in self.estimators_]
        return self


class EachLabel(_EachTarget, MultiOutputClassifier):  # type: ignore[misc]
    """MultiOutputClassifier of any classifier, with weights, and of labels that are constant."""


class EachValue(_EachTarget, MultiOutputRegressor):  # type: ignore[misc]
    """MultiOutputRegressor of any regressor, with weights, and of targets that are constant."""


def for_several(model: Any, targets: Targets) -> Any:
    """A teacher that predicts several targets: itself, or one copy for each target."""
    if not targets.several:
        return model
    tags = get_tags(model)
    labels = tags.classifier_tags is not None and tags.classifier_tags.multi_label
    if tags.target_tags.multi_output or labels:
        return model
    return (EachLabel if targets.kind == "classifier" else EachValue)(model)


def weights_name(model: Any) -> str | None:
    """The name by which a teacher's ``fit`` takes sample weights; None if it does not.

    With metadata routing enabled, a teacher's request decides where it says anything.
    """
    if isinstance(model, _EachTarget):
        return weights_name(model.estimator)
    if routing_enabled():
        request = get_routing_for_object(model)
        if request.consumes("fit", ["sample_weight"]):
            return "sample_weight"
        asked = getattr(getattr(request, "fit", None), "requests", {})
        if isinstance(model, Pipeline) or asked.get("sample_weight") is False:
            return None
    name, inner = "", model
    while isinstance(inner, Pipeline):
        name, inner = f"{name}{inner.steps[-1][0]}__", inner.steps[-1][1]
    takes = all(has_fit_parameter(each, "sample_weight") for each in _fitted_inside(inner))
    return f"{name}sample_weight" if takes else None


def _fitted_inside(model: Any) -> list[Any]:
    """Estimators that an estimator hands its weights on to, all of which must take them."""
    if isinstance(model, (MultiOutputClassifier, MultiOutputRegressor)):
        return [model.estimator]
    if isinstance(model, (VotingClassifier, VotingRegressor)):
        return [each for _, each in model.estimators if each != "drop"]
    if isinstance(model, TransformedTargetRegressor) and model.regressor is not None:
        return [model.regressor]
    return [model]
