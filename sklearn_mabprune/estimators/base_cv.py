"""Cross-validation over budgets, with one training per fold."""

from __future__ import annotations

import sys
import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from ..exceptions import PruningWarning
from ..export.mixin import Exports
from ..utils.compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    fit_context,
    manual_routing,
    raise_for_params,
    routing_enabled,
)
from ..utils.progress import Progress
from ..utils.randomness import draw_seeds
from .base import BaseMABPruned
from .cv_scores import RULES, check_budgets, choose, failures, score_fold, table
from .fitted_attributes import forget


def of_best(name: str) -> Any:
    """A fitted attribute of ``best_estimator_``, as a property."""
    return property(lambda self: getattr(self._best(), name))


class BudgetSearchMixin(Exports, MetaEstimatorMixin):
    """Mixin of the CV estimators: scores budgets in folds, chooses one, and refits.

    ``_sized`` is the class of `estimator`, ``_default_scoring`` the name of its default scorer.
    """

    _parameter_constraints: dict[str, Any] = {
        # _copy_of_estimator checks it, with messages that say what to pass instead.
        "estimator": "no_validation",
        "budgets": ["array-like"],
        "cv": ["cv_object"],
        "rule": [StrOptions(set(RULES))],
        "scoring": [str, callable, None],
        "refit": ["boolean"],
        "n_jobs": [Interval(Integral, None, None, closed="neither"), None],
        "verbose": ["verbose"],
    }
    _sized: type[BaseMABPruned]
    _default_scoring: str

    def __init__(
        self,
        estimator: Any = None,
        *,
        budgets: Any = (0, 0.25, 0.5, 0.75, 0.9),
        cv: Any = None,
        rule: str = "best",
        scoring: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.budgets = budgets
        self.cv = cv
        self.rule = rule
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
        self.verbose = verbose

    estimator_ = of_best("estimator_")
    policy_ = of_best("policy_")
    neuron_support_ = of_best("neuron_support_")
    neuron_ranking_ = of_best("neuron_ranking_")
    hidden_layer_sizes_ = of_best("hidden_layer_sizes_")
    pruning_path_ = of_best("pruning_path_")
    pruning_report_ = of_best("pruning_report_")
    n_pulls_ = of_best("n_pulls_")
    validation_fraction_ = of_best("validation_fraction_")
    n_features_in_ = of_best("n_features_in_")
    feature_names_in_ = of_best("feature_names_in_")

    def set_params(self, **params: Any) -> Any:
        """Set parameters of this estimator or, as ``estimator__...``, of `estimator`.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        object
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter does not exist, or a nested one is set while ``estimator=None``.
        """
        if params.get("estimator", self.estimator) is None:
            for name in params:
                if name.startswith("estimator__"):
                    raise ValueError(
                        f"{name} cannot be set while estimator=None. Pass an estimator: "
                        f"{type(self).__name__}({self._sized.__name__}())."
                    )
        return super().set_params(**params)  # type: ignore[misc]

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Any:
        """Choose the budget by cross-validation, then fit on all samples with that budget.

        In each fold the network is trained once and pruned along one path, to the largest
        budget; the network at each budget is fine-tuned and scored on the fold's test samples.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Training samples; scale them first (StandardScaler).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: values, classes, or a multilabel indicator matrix.
        sample_weight : array-like of shape (n_samples,), optional
            Used in training and, unless metadata routing says otherwise, in scores.
        **params : dict
            ``groups`` for the splitter; with metadata routing enabled, all metadata that the
            splitter and the scorer request.

        Returns
        -------
        object
            The fitted estimator itself.

        Raises
        ------
        TypeError
            If `estimator` is not of the supported class.
        ValueError
            If a parameter or the data is invalid; the message says which and why.

        Warns
        -----
        PruningWarning
            If the fit or the score of a fold fails: its scores are NaN, and it is left out of the
            means.
        """
        raise_for_params(params, self, "fit", allow=["groups"])
        forget(self)
        budgets = check_budgets(self.budgets)
        model = self._copy_of_estimator()
        found = self._search(model, budgets, X, y, sample_weight, params)
        if self.refit:
            model.set_params(pruning_budget=found["best_budget_"])
            found["best_estimator_"] = model.fit(X, y, sample_weight=sample_weight)
        # All at once: whatever ends the fit before leaves nothing fitted.
        self.__dict__.update(found)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predictions of ``best_estimator_``.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The result of ``best_estimator_.predict``.

        Raises
        ------
        NotFittedError
            Before fit, or after fit with ``refit=False``.  It is an AttributeError and a
            ValueError.
        """
        return self._best().predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score of ``best_estimator_``, by `scoring`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float

        Raises
        ------
        NotFittedError
            Before fit, or after fit with ``refit=False``.
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self._scorer()(self._best(), X, y, **weights)

    def at_budget(
        self,
        budget: Any,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Any:
        """A new fitted estimator of another size, without the initial training.

        Parameters
        ----------
        budget : float in [0, 1), int or "auto"
            Allowed values are those of `pruning_budget` of the estimator.
        X : array-like of shape (n_samples, n_features), optional
            The samples of fit; without them only networks that were kept on the path are
            available, not fine-tuned except at the chosen budget.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            The targets of fit.
        sample_weight : array-like of shape (n_samples,), optional
            The sample weights of fit.
        X_val : array-like of shape (n_validation, n_features), optional
            Validation samples.
        y_val : array-like of shape (n_validation,) or (n_validation, n_outputs), optional
            Targets of the validation samples.

        Returns
        -------
        object
            The result of ``best_estimator_.at_budget``, without cross-validation.

        Raises
        ------
        ValueError
            If ``best_estimator_.at_budget`` raises it.
        NotFittedError
            Before fit, or after fit with ``refit=False``.
        """
        return self._best().at_budget(budget, X, y, sample_weight, X_val, y_val)

    def get_metadata_routing(self) -> MetadataRouter:
        """Metadata that the splitter and the scorer may request.

        Returns
        -------
        MetadataRouter
        """
        fit = MethodMapping().add(caller="fit", callee="split")
        score = MethodMapping().add(caller="fit", callee="score")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            # As it is: check_cv would use up a generator.
            .add(splitter=self.cv, method_mapping=fit)
            .add(scorer=self._scorer(), method_mapping=score)
        )

    def __sklearn_tags__(self) -> Any:
        # The tags of the estimator do not depend on its parameters.
        return get_tags(self._sized())

    def _search(
        self,
        model: Any,
        budgets: list[float | int],
        X: Any,
        y: Any,
        sample_weight: Any,
        params: dict[str, Any],
    ) -> dict[str, Any]:
        """Score all budgets in all folds, and choose one: fitted attributes by name."""
        # Errors in parameters and data are raised before any fold is made.
        model._validate_params()
        X, y = model._validate_training(X, y)
        model._encode(y)
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        if routing_enabled():
            routed = process_routing(self, "fit", sample_weight=weights, **params)
        else:
            score = {} if weights is None else {"sample_weight": weights}
            routed = manual_routing(
                {
                    "splitter": {"split": {"groups": params.get("groups")}},
                    "scorer": {"score": score},
                }
            )
        cv = check_cv(self.cv, y, classifier=is_classifier(self))
        folds = list(cv.split(X, y, **routed.splitter.split))
        if not folds:
            raise ValueError(
                f"cv={self.cv!r} gives no folds. A generator can be read once, by one fit: pass "
                "list(cv), or a splitter."
            )
        # Large budgets are expected to lower the score: no warnings in the folds.
        quiet = {"tolerance": sys.float_info.max, "keep_path": True, "verbose": 0}
        model = clone(model).set_params(**quiet)
        scorer, found = self._scorer(), []
        jobs = (
            delayed(score_fold)(model, budgets, X, y, weights, fold, scorer, routed.scorer.score)
            for fold in folds
        )
        stage = "cross-validation"
        with (
            Progress(self.verbose, [stage]) as progress,
            progress.stage(stage, len(folds), "folds"),
        ):
            for scored in Parallel(n_jobs=self.n_jobs, return_as="generator")(jobs):
                found.append(scored)
                progress.advance(1)
        failed = failures(found, folds, y, is_classifier(self))
        results = table(budgets, found, failed)
        for text in failed:
            warnings.warn(text, PruningWarning, stacklevel=4)
        best = choose(results, self.rule, model.budget_unit)
        return {
            "cv_results_": results,
            "best_index_": best,
            "best_budget_": budgets[best],
            "best_score_": float(results["mean_test_score"][best]),
        }

    def _copy_of_estimator(self) -> Any:
        """A clone of the estimator, or the default one."""
        given = self._sized() if self.estimator is None else self.estimator
        if not isinstance(given, self._sized):
            raise TypeError(
                f"estimator must be a {self._sized.__name__} or None, got "
                f"{_called(given)}. {self._what_to_pass(given)}"
            )
        model = clone(given).set_params(pruning_budget=0)
        if isinstance(given.random_state, np.random.RandomState):
            # A clone would always start from the same state, but a second fit must differ.
            model.random_state = draw_seeds(given.random_state, 1)[0]
        return model

    def _what_to_pass(self, given: Any) -> str:
        """The part of the error message that says what to pass instead of `given`."""
        name = self._sized.__name__
        if isinstance(given, type):
            return f"Pass an object: {type(self).__name__}({name}(...))."
        if isinstance(given, (FrozenEstimator, NeuralNet)):
            frozen = isinstance(given, FrozenEstimator)
            return f"Wrap it: {name}({'FrozenEstimator(net)' if frozen else 'net'})."
        if isinstance(given, BaseMABPruned):
            return f"Use {type(given).__name__}CV."
        return f"Pass a {name}; steps before it belong in a pipeline around this estimator."

    def _scorer(self) -> Any:
        scoring = self.scoring
        if scoring is None:
            scoring = getattr(self.estimator, "scoring", None)
        return get_scorer(self._default_scoring if scoring is None else scoring)

    def _best(self) -> Any:
        """The refitted estimator.

        Raises
        ------
        NotFittedError
            Before fit, or after fit with ``refit=False``.
        """
        check_is_fitted(self)
        if not hasattr(self, "best_estimator_"):
            raise NotFittedError(
                f"This {type(self).__name__} was fitted with refit=False: there is no network to "
                "predict with. Fit with refit=True, or a "
                f"{self._sized.__name__}(pruning_budget={self.best_budget_})."
            )
        return self.best_estimator_


def _called(given: Any) -> str:
    """Name of an object's class, or of a class, for error messages."""
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
