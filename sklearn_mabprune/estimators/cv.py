"""Pruned classifier and regressor with a budget chosen by cross-validation."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from .base_cv import BudgetSearchMixin, of_best
from .classifier import MABPrunedClassifier
from .docstrings import documented
from .regressor import MABPrunedRegressor


@documented
class MABPrunedClassifierCV(BudgetSearchMixin, ClassifierMixin, BaseEstimator):
    """Pruned classifier with the budget chosen by cross-validation.

    The network is trained once per fold: all budgets are steps of one pruning path, and the
    network at each is fine-tuned before it is scored.  The estimator is then fitted on all
    samples with the chosen budget.

    Parameters
    ----------
    estimator : MABPrunedClassifier or None, default=None
        The estimator whose `pruning_budget` is chosen; its own `pruning_budget` is ignored.  It
        is cloned, never changed.  None is ``MABPrunedClassifier()``.  Pass one to set its
        parameters: ``estimator__policy`` and ``estimator__estimator__lr`` need one.
    {budgets}
    {cv}
    {rule}
    scoring : str, callable, list, tuple, set, dict or None, default=None
        Score in the folds and of :meth:`score`, as everywhere in scikit-learn; None: the
        `scoring` of the estimator, and accuracy if it has none either.  Several scorers, or a
        callable that returns a dict, give several scores, of which `refit` names the one that
        decides.
    {refit}
    {error_score}
    {return_train_score}
    {cv_random_state}
    {n_jobs}
    {cv_verbose}

    Attributes
    ----------
    {cv_results_}
    {best_budget_}
    {best_index_}
    {best_score_}
    {n_splits_}
    {refit_time_}
    best_estimator_ : MABPrunedClassifier
        Fitted on all samples with the chosen budget, if ``refit``.  The attributes below
        are read from it.
    {classes_}
    {multilabel_}
    {estimator_}
    {policy_}
    {neuron_support_}
    {neuron_ranking_}
    {hidden_layer_sizes_}
    {pruning_path_}
    {pruning_report_}
    {n_pulls_}
    {validation_fraction_}
    {n_iter_}
    {loss_curve_}
    {validation_scores_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    MABPrunedClassifier : With a given budget.

    Notes
    -----
    Randomness comes from `random_state`, or from ``estimator__random_state``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mabprune import MABPrunedClassifier, MABPrunedClassifierCV
    >>> from sklearn_mabprune import MLPNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPNetClassifier(module__hidden_layer_sizes=(16,), max_epochs=40, lr=0.03)
    >>> pruned = MABPrunedClassifier(net, random_state=0)
    >>> model = MABPrunedClassifierCV(pruned, budgets=(0, 0.75), cv=3).fit(X, y)
    >>> model.best_budget_
    0.75
    >>> model.cv_results_["mean_n_neurons"]
    array([16.,  4.])
    """

    _sized = MABPrunedClassifier
    _default_scoring = "accuracy"

    classes_ = of_best("classes_")
    multilabel_ = of_best("multilabel_")

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Class probabilities of ``best_estimator_``.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Each sample's probabilities sum to 1; if multilabel, each label has its own.

        Raises
        ------
        NotFittedError
            Before fit, or after fit with ``refit=False``.
        """
        return self._best().predict_proba(X)

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Logarithms of class probabilities, (n_samples, n_classes)."""
        return self._best().predict_log_proba(X)


@documented
class MABPrunedRegressorCV(BudgetSearchMixin, RegressorMixin, BaseEstimator):
    """Pruned regressor with the budget chosen by cross-validation.

    Budgets are scored and chosen as by :class:`MABPrunedClassifierCV`, for one or more real
    targets.

    Parameters
    ----------
    estimator : MABPrunedRegressor or None, default=None
        The estimator whose `pruning_budget` is chosen; its own `pruning_budget` is ignored.  It
        is cloned, never changed.  None is ``MABPrunedRegressor()``.  Pass one to set its
        parameters: ``estimator__policy`` and ``estimator__estimator__lr`` need one.
    {budgets}
    {cv}
    {rule}
    scoring : str, callable, list, tuple, set, dict or None, default=None
        Score in the folds and of :meth:`score`, as everywhere in scikit-learn; None: the
        `scoring` of the estimator, and R2 if it has none either.  Several scorers, or a
        callable that returns a dict, give several scores, of which `refit` names the one that
        decides.
    {refit}
    {error_score}
    {return_train_score}
    {cv_random_state}
    {n_jobs}
    {cv_verbose}

    Attributes
    ----------
    {cv_results_}
    {best_budget_}
    {best_index_}
    {best_score_}
    {n_splits_}
    {refit_time_}
    best_estimator_ : MABPrunedRegressor
        Fitted on all samples with the chosen budget, if ``refit``.  The attributes below
        are read from it.
    {estimator_}
    {policy_}
    {neuron_support_}
    {neuron_ranking_}
    {hidden_layer_sizes_}
    {pruning_path_}
    {pruning_report_}
    {n_pulls_}
    {validation_fraction_}
    {n_iter_}
    {loss_curve_}
    {validation_scores_}
    {n_features_in_}
    {feature_names_in_}

    See Also
    --------
    MABPrunedRegressor : With a given budget.

    Notes
    -----
    Randomness comes from `random_state`, or from ``estimator__random_state``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_mabprune import MABPrunedRegressor, MABPrunedRegressorCV, MLPNetRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> net = MLPNetRegressor(module__hidden_layer_sizes=(16,), max_epochs=20, lr=0.01)
    >>> pruned = MABPrunedRegressor(net, random_state=0)
    >>> model = MABPrunedRegressorCV(pruned, budgets=(0.25, 0.5), cv=3).fit(X, y)
    >>> sum(model.hidden_layer_sizes_) == 16 - int(16 * model.best_budget_)
    True
    """

    _sized = MABPrunedRegressor
    _default_scoring = "r2"

    y_ndim_ = of_best("y_ndim_")
