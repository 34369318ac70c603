"""Cross-validation over budgets, with one training per fold."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ..exceptions import PruningWarning
from ..export.mixin import Exports
from ..utils.compat import (
    Interval,
    StrOptions,
    check_sample_weight,
    fit_context,
    raise_for_params,
    routing_enabled,
)
from ..utils.progress import Progress
from .base import BaseMABPruned
from .cv_estimator import copy_of
from .cv_scores import RULES, check_budgets, choose, failures, score_fold, table
from .cv_scoring import Scoring, deciding
from .fitted_attributes import forget
from .parameters import resolve_net, resolve_policy
from .pickling import PicklesOfSearch
from .seeing import SeesTables


def of_best(name: str) -> Any:
    """A fitted attribute of ``best_estimator_``, as a property."""
    return property(lambda self: getattr(self._best(), name))


class BudgetSearchMixin(SeesTables, Exports, PicklesOfSearch, MetaEstimatorMixin):
    """Mixin of the CV estimators: scores budgets in folds, chooses one, and refits.

    ``_sized`` is the class of `estimator`, ``_default_scoring`` the name of its default scorer.
    """

    _parameter_constraints: dict[str, Any] = {
        # copy_of checks it, with messages that say what to pass instead.
        "estimator": "no_validation",
        "budgets": ["array-like"],
        "cv": ["cv_object"],
        "rule": [StrOptions(set(RULES))],
        "scoring": [str, callable, list, tuple, set, dict, None],
        "refit": ["boolean", str],
        "error_score": [StrOptions({"raise"}), Real],
        "return_train_score": ["boolean"],
        "random_state": ["random_state"],
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
        refit: bool | str = True,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ):
        self.estimator = estimator
        self.budgets = budgets
        self.cv = cv
        self.rule = rule
        self.scoring = scoring
        self.refit = refit
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.random_state = random_state
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
    n_iter_ = of_best("n_iter_")
    loss_curve_ = of_best("loss_curve_")
    validation_scores_ = of_best("validation_scores_")
    n_features_in_ = of_best("n_features_in_")
    input_shape_ = of_best("input_shape_")
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
        raise_for_params({k: v for k, v in params.items() if k != "groups"}, self, "fit")
        forget(self)
        budgets = check_budgets(self.budgets)
        model = copy_of(self.estimator, self._sized, self, self.random_state)
        with model.seeing(self._table_source):
            found = self._search(model, budgets, X, y, sample_weight, params)
            if self.refit:
                started = time.perf_counter()
                model.set_params(pruning_budget=found["best_budget_"])
                found["best_estimator_"] = model.fit(X, y, sample_weight=sample_weight)
                found["refit_time_"] = time.perf_counter() - started
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
        found = self._scoring().scorer(self._best(), X, y, **weights)
        return found[self.refit] if isinstance(found, Mapping) else found

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
        best = self._best()
        with best.seeing(self._table_source):
            return best.at_budget(budget, X, y, sample_weight, X_val, y_val)

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
            .add(scorer=self._scoring().scorer, method_mapping=score)
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
        resolve_policy(model.policy)
        resolve_net(model.estimator, model._default_net, model._net_base)
        X, y = model._validate_training(X, y)
        seen = model._table_of(X)
        model._encode(y)
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        split, score = self._routed(weights, params)
        scoring = self._scoring(score)
        decides = deciding(scoring.names, self.refit)
        cv = check_cv(self.cv, y, classifier=is_classifier(self))
        folds = list(cv.split(X, y, **split))
        if not folds:
            raise ValueError(
                f"cv={self.cv!r} gives no folds. A generator can be read once, by one fit: pass "
                "list(cv), or a splitter."
            )
        # Large budgets are expected to lower the score: no warnings in the folds.
        quiet = {"tolerance": sys.float_info.max, "keep_path": "memory", "verbose": 0}
        model = clone(model).set_params(**quiet)
        found = []
        given = budgets, X, y, weights
        jobs = (delayed(score_fold)(model, *given, f, scoring, seen) for f in folds)
        stage = "cross-validation"
        with (
            Progress(self.verbose, [stage]) as progress,
            progress.stage(stage, len(folds), "folds"),
        ):
            for scored in Parallel(n_jobs=self.n_jobs, return_as="generator")(jobs):
                found.append(scored)
                progress.advance(1)
        failed = failures(found, folds, y, is_classifier(self))
        if not scoring.names:  # a scorer alone knows whether it returns several
            decides = deciding({name for fold in found for name in fold.test[0]}, self.refit)
        results = table(budgets, found, failed, decides)
        for text in failed:
            warnings.warn(text, PruningWarning, stacklevel=4)
        fitted = {"cv_results_": results, "n_splits_": len(folds)}
        if decides:
            best = choose(results, self.rule, model.budget_unit, decides)
            fitted |= {
                "best_index_": best,
                "best_budget_": budgets[best],
                "best_score_": float(results[f"mean_test_{decides}"][best]),
            }
        return fitted

    def _routed(
        self, weights: NDArray[np.float64] | None, params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Metadata for the splitter, and for the scorers."""
        if routing_enabled():
            routed = process_routing(self, "fit", sample_weight=weights, **params)
            return routed.splitter.split, routed.scorer.score
        score = {} if weights is None else {"sample_weight": weights}
        return {"groups": params.get("groups")}, score

    def _scoring(self, params: dict[str, Any] | None = None) -> Scoring:
        scoring = self.scoring
        if scoring is None:
            scoring = getattr(self.estimator, "scoring", None)
        return Scoring.of(
            scoring,
            self._default_scoring,
            with_train=self.return_train_score,
            error_score=self.error_score,
            params=params or {},
        )

    def _best(self) -> Any:
        """The refitted estimator.

        Raises
        ------
        NotFittedError
            Before fit, or after fit with ``refit=False``.
        """
        best = vars(self).get("best_estimator_")
        if best is None:
            check_is_fitted(self)
            budget = getattr(self, "best_budget_", "...")
            raise NotFittedError(
                f"This {type(self).__name__} was fitted with refit=False: there is no network to "
                f"predict with. Fit with refit=True, or a {self._sized.__name__}"
                f"(pruning_budget={budget})."
            )
        return best
