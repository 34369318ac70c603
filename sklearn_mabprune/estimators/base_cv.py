"""Cross-validation over budgets, with one training a fold."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ..utils.compat import (
    check_sample_weight,
    fit_context,
    manual_routing,
    raise_for_params,
    routing_enabled,
)
from ..utils.progress import Progress
from ..utils.randomness import draw_seeds
from .base import BaseMABPruned
from .cv_scores import check_budgets, choose, score_fold, table


class BaseBudgetCV(BaseMABPruned):
    """Folds, choice and refit around an estimator with a budget.

    ``_sized`` is that estimator's class, ``_default_scoring`` the scorer of its kind.
    """

    budgets: Any
    cv: Any
    rule: str
    refit: bool
    n_jobs: int | None
    best_estimator_: Any

    _sized: Any
    _default_scoring: str

    @fit_context(prefer_skip_nested_validation=False)
    def fit(  # type: ignore[override]
        self, X: Any, y: Any, sample_weight: Any = None, **params: Any
    ) -> Any:
        """Choose the budget by cross-validation, then fit with it on all rows.

        In each fold the network is trained once and one path is walked, to the largest
        budget; each budget is then fine-tuned and scored on the fold's test rows.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Training rows; scale them first (StandardScaler).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets: values, classes, or an indicator matrix of several labels a row.
        sample_weight : array-like of shape (n_samples,), optional
            Used in training and, unless metadata routing says otherwise, in scores.
        **params : dict
            ``groups`` for the splitter; with metadata routing enabled whatever splitter
            and scorer ask for.

        Returns
        -------
        object
            Itself, fitted.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message names it.
        """
        raise_for_params(params, self, "fit", allow=["groups"])
        self._forget()
        budgets = check_budgets(self.budgets)
        try:
            model = self._make()
            self._search(model, budgets, X, y, sample_weight, params)
            if self.refit:
                best = model.set_params(pruning_budget=self.best_budget_)
                self.best_estimator_ = best.fit(X, y, sample_weight=sample_weight)
                # All that a fitted estimator has, this one has.
                for name, value in vars(best).items():
                    if name.endswith("_") and not name.startswith("_"):
                        setattr(self, name, value)
        except BaseException:
            self._forget()
            raise
        return self

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
            As `pruning_budget` of the estimator without folds.
        X : array-like of shape (n_samples, n_features), optional
            The rows of fit; without them only networks that were kept are there, not
            fine-tuned but for the size that was chosen.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Their targets.
        sample_weight : array-like of shape (n_samples,), optional
            Their weights, as in fit.
        X_val : array-like of shape (n_validation, n_features), optional
            Validation rows.
        y_val : array-like, optional
            Their targets.

        Returns
        -------
        object
            As ``best_estimator_.at_budget`` gives it: an estimator without folds.

        Raises
        ------
        ValueError
            As there.
        AttributeError
            With ``refit=False``.
        """
        self._check_refitted()
        return self.best_estimator_.at_budget(budget, X, y, sample_weight, X_val, y_val)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score by `scoring`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self._scorer()(self, X, y, **weights)

    def get_metadata_routing(self) -> MetadataRouter:
        """What splitter and scorer may ask for.

        Returns
        -------
        MetadataRouter
        """
        fit = MethodMapping().add(caller="fit", callee="split")
        score = MethodMapping().add(caller="fit", callee="score")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(splitter=check_cv(self.cv), method_mapping=fit)
            .add(scorer=self._scorer(), method_mapping=score)
        )

    def _search(
        self,
        model: Any,
        budgets: list[float | int],
        X: Any,
        y: Any,
        sample_weight: Any,
        params: dict[str, Any],
    ) -> None:
        """Score all budgets in all folds, and choose one."""
        # What is wrong with the data is said before any fold is cut from them.
        X, y = self._validate_training(X, y)
        self._encode(y)
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
        # That large budgets cost much is what is to be found out: no reason to warn.
        quiet = {"tolerance": sys.float_info.max, "keep_path": True, "verbose": 0}
        model = clone(model).set_params(**quiet)
        scorer, found = self._scorer(), []
        jobs = (
            delayed(score_fold)(
                model, budgets, X, y, weights, train, test, scorer, routed.scorer.score
            )
            for train, test in folds
        )
        stage = "cross-validation"
        with (
            Progress(self.verbose, [stage]) as progress,
            progress.stage(stage, len(folds), "folds"),
        ):
            for fold in Parallel(n_jobs=self.n_jobs, return_as="generator")(jobs):
                found.append(fold)
                progress.advance(1)
        self.cv_results_ = table(budgets, found)
        self.best_index_ = choose(self.cv_results_, self.rule, self.budget_unit)
        self.best_budget_ = budgets[self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])

    def _make(self) -> Any:
        """The estimator with a budget, its parameters copies of one's own."""
        mine, names = self.get_params(deep=False), self._sized().get_params(deep=False)
        model = clone(self._sized(**{name: mine[name] for name in names if name in mine}))
        if isinstance(self.random_state, np.random.RandomState):
            # Its copies would stand still: a second fit is to differ from the first.
            model.random_state = draw_seeds(self.random_state, 1)[0]
        return model

    def _scorer(self) -> Any:
        return get_scorer(self._default_scoring if self.scoring is None else self.scoring)

    def _check_refitted(self) -> None:
        check_is_fitted(self)
        if not hasattr(self, "best_estimator_"):
            raise AttributeError(
                f"This {type(self).__name__} was fitted with refit=False: there is no network to "
                "predict with. Fit with refit=True, or a "
                f"{self._sized.__name__}(pruning_budget={self.best_budget_})."
            )

    def _outputs(self, X: Any) -> NDArray[Any]:
        self._check_refitted()
        return super()._outputs(X)
