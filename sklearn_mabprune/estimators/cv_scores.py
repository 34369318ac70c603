"""Scores of budgets in one fold, the table of all folds, and rules to choose a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.base import clone

from ..reports.report import PruningReport
from ..utils.compat import check_method_params, safe_indexing

RULES = ("best", "one_std_error")

# Mean scores closer than this are equal, so that summation order cannot change the choice.
_TIE = 1e-12

Budgets = list[float | int]


@dataclass(frozen=True)
class FoldScores:
    """What one fold has found.

    Parameters
    ----------
    scores : list of float
        Test score of each budget; NaN where it could not be computed.
    reports : list of PruningReport
        Report for each budget; empty where the fit failed.
    error : ValueError, optional
        Why scores are missing.
    """

    scores: list[float]
    reports: list[PruningReport]
    error: ValueError | None = None


def check_budgets(budgets: ArrayLike) -> Budgets:
    """A grid of budgets as a list of integers (counts) and floats (fractions).

    Raises
    ------
    ValueError
        If the grid is empty, has a budget twice, or one that is neither a fraction nor a count.

    Examples
    --------
    >>> from sklearn_mabprune.estimators.cv_scores import check_budgets
    >>> check_budgets((0, 0.5, 20))
    [0, 0.5, 20]
    """
    found: Budgets = []
    for each in np.asarray(budgets, dtype=object).ravel():
        number = isinstance(each, Real) and not isinstance(each, (bool, np.bool_))
        count = number and isinstance(each, Integral)
        if not (number and (each >= 0 if count else 0 <= float(each) < 1)):
            raise ValueError(
                f"budgets={budgets!r}: {each!r} is neither a fraction in [0, 1) nor a count. Pass "
                "numbers; 'auto' cannot be compared with other budgets."
            )
        found.append(int(each) if count else float(each))
    if not found or len(set(found)) < len(found):
        raise ValueError(
            f"budgets={budgets!r} is empty or has a budget twice: pass at least one budget, and "
            "each one once."
        )
    return found


def score_fold(
    model: Any,
    budgets: Budgets,
    X: Any,
    y: NDArray[Any],
    weights: NDArray[np.float64] | None,
    fold: tuple[NDArray[np.intp], NDArray[np.intp]],
    scorer: Any,
    score_params: dict[str, Any],
) -> FoldScores:
    """Scores and reports of all budgets in one fold, from one training and one path.

    A ValueError of the fit or of the scorer, mostly of a class that the fold lacks, is returned.

    Parameters
    ----------
    model : MABPrunedClassifier or MABPrunedRegressor
        The estimator; cloned, never changed.
    budgets : list of float or int
    X, y, weights : ndarray
        All samples; weights may be None.
    fold : tuple of ndarray of int
        Indices of the training and test samples.
    scorer : callable
    score_params : dict
        Metadata that the scorer requests, for all samples.

    Returns
    -------
    FoldScores
    """
    train, test = fold
    samples = [safe_indexing(X, train), safe_indexing(y, train)]
    samples.append(None if weights is None else weights[train])
    held_out = safe_indexing(X, test), safe_indexing(y, test)
    params = check_method_params(X, score_params, indices=test)
    # The path to the largest fraction contains those to smaller ones; counts may be larger.
    longest = max([b for b in budgets if isinstance(b, float)] or budgets)
    nothing = [np.nan] * len(budgets)
    try:
        walked = clone(model).set_params(pruning_budget=longest).fit(*samples)
    except ValueError as error:
        return FoldScores(nothing, [], error)
    scores, failed = nothing, None
    reports: list[PruningReport] = []
    for k, budget in enumerate(budgets):
        sized = walked if budget == longest else walked.at_budget(budget, *samples)
        if sized.pruning_report_.interrupted:
            # A single fit keeps an unfinished network, but its score is not that of the budget.
            raise KeyboardInterrupt
        reports.append(sized.pruning_report_)
        try:
            scores[k] = float(scorer(sized, *held_out, **params))
        except ValueError as error:
            failed = error
    return FoldScores(scores, reports, failed)


def failures(
    found: list[FoldScores],
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
    y: NDArray[Any],
    classes: bool,
) -> list[str]:
    """A warning for each fold that has failed: why, and which classes it lacks.

    Parameters
    ----------
    found : list of FoldScores
    folds : list of tuple of ndarray of int
        Indices of training and of test samples.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Targets of all samples.
    classes : bool
        Whether these are classes.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        That of the first fold, if the fit has failed in all of them.
    """
    if not any(fold.reports for fold in found) and found[0].error:
        raise found[0].error
    texts = []
    for k, (fold, sides) in enumerate(zip(found, folds, strict=True)):
        missing = np.isnan(fold.scores)
        if not (missing.all() or fold.error):
            continue
        why = f"the {'scoring' if fold.reports else 'fit'} failed: {fold.error}"
        lacks = []
        for side, index in zip(("training", "test"), sides, strict=True):
            absent = np.setdiff1d(y, y[index])[:5].tolist() if classes and y.ndim == 1 else []
            lacks += [f" Its {side} samples lack the classes {absent}."] if absent else []
        texts.append(
            f"Fold {k + 1} of {len(folds)} has no scores for {missing.sum()} of {len(missing)} "
            f"budgets: {why if fold.error else 'they are NaN'}.{''.join(lacks)} "
            f"{'It is left out of the means' if missing.all() else 'These are not chosen'}. Pass "
            "other folds (cv), fewer of them, or another scoring."
        )
    return texts


def table(budgets: Budgets, folds: list[FoldScores], failed: Sequence[str] = ()) -> dict[str, Any]:
    """``cv_results_`` in the layout of ``GridSearchCV``, and the mean sizes of the networks.

    Means are over the folds that have a score for any budget.

    Parameters
    ----------
    budgets : list of float or int
    folds : list of FoldScores
    failed : sequence of str
        Why folds have no scores, for the error.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If no budget has a score.
    """
    scores = np.array([fold.scores for fold in folds])
    scored = scores[~np.isnan(scores).all(axis=1)]
    mean = scored.mean(axis=0) if len(scored) else np.full(len(budgets), np.nan)
    if not np.isfinite(mean).any():
        why = f" {failed[0]}" if failed else ""
        raise ValueError(
            f"No budget has a finite mean score over the folds: {scores.tolist()}.{why} Pass a "
            "scoring that is defined on the test samples of every fold, or other folds (cv)."
        )
    reports = [fold.reports for fold in folds if fold.reports]
    sizes = {
        "neurons": lambda network: sum(network.hidden_layer_sizes),
        "parameters": lambda network: network.n_parameters,
        "macs": lambda network: network.n_macs,
    }
    grid = np.ma.MaskedArray(np.empty(len(budgets), dtype=object), mask=False)
    grid[:] = budgets
    ranks = rankdata(-np.where(np.isfinite(mean), mean, -np.inf), method="min")
    return {
        "param_pruning_budget": grid,
        "params": [{"pruning_budget": budget} for budget in budgets],
        **{f"split{k}_test_score": each for k, each in enumerate(scores)},
        "mean_test_score": mean,
        "std_test_score": scored.std(axis=0),
        "rank_test_score": ranks.astype(np.int32),
        **{
            f"mean_n_{unit}": np.mean([[size(r.after) for r in fold] for fold in reports], axis=0)
            for unit, size in sizes.items()
        },
    }


def choose(results: dict[str, Any], rule: str, unit: str) -> int:
    """Index of the budget with the smallest network whose mean score is good enough.

    Parameters
    ----------
    results : dict
        The result of :func:`table`.
    rule : {"best", "one_std_error"}
        Which scores are good enough: the highest mean score, or at most one standard error of
        the highest below it.
    unit : {"neurons", "parameters", "macs"}
        Measure of the size of networks.

    Returns
    -------
    int
        Index of the budget; among networks of equal size the one with the higher score.

    References
    ----------
    L. Breiman et al., "Classification and regression trees", 1984, section 3.4.3 (the
    one-standard-error rule).
    """
    mean, size = results["mean_test_score"], results[f"mean_n_{unit}"]
    best = int(np.nanargmax(np.where(np.isfinite(mean), mean, np.nan)))
    margin = 0.0
    if rule == "one_std_error":
        names = [name for name in results if name.startswith("split")]
        scores = np.array([results[name][best] for name in names])
        scores = scores[np.isfinite(scores)]
        if len(scores) > 1:
            margin = float(scores.std(ddof=1) / np.sqrt(len(scores)))
    good = np.flatnonzero(mean >= mean[best] - margin - _TIE)
    return int(good[np.lexsort((-mean[good], size[good]))[0]])
