"""Scores of budgets in one fold, the table of all folds, and rules to choose a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.base import clone

from ..data.table import Table
from ..reports.report import PruningReport
from ..utils.compat import safe_indexing
from .cv_scoring import SCORE, Scores, Scoring

RULES = ("best", "one_std_error")

# Mean scores closer than this are equal, so that summation order cannot change the choice.
_TIE = 1e-12

Budgets = list[float | int]


@dataclass(frozen=True)
class FoldScores:
    """What one fold has found.

    Parameters
    ----------
    test, train : list of dict of str to float
        Scores of each budget by name; NaN where they could not be computed.
    reports : list of PruningReport
        Report for each budget; empty where the fit failed.
    seconds : list of float
        Time of scoring the test samples, for each budget.
    error : ValueError, optional
        Why scores are missing, or are the `error_score`.
    n_failed : int
        Number of budgets that have such scores.
    """

    test: list[Scores]
    train: list[Scores]
    reports: list[PruningReport]
    seconds: list[float]
    error: ValueError | None = None
    n_failed: int = 0


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
    scoring: Scoring,
    table: Table | None = None,
) -> FoldScores:
    """Scores and reports of all budgets in one fold, from one training and one path.

    A ValueError of the fit or of a scorer, mostly of a class that the fold lacks, is returned.

    Parameters
    ----------
    model : MABPrunedClassifier or MABPrunedRegressor
        The estimator; cloned, never changed.
    budgets : list of float or int
    X, y, weights : ndarray
        All samples; weights may be None.
    fold : tuple of ndarray of int
        Indices of the training and test samples.
    scoring : Scoring
    table : Table, optional
        All samples, as a teacher sees them.

    Returns
    -------
    FoldScores

    Raises
    ------
    ValueError
        That of the fit or of a scorer, if ``error_score="raise"``.
    """
    train, _ = fold
    samples = [safe_indexing(X, train), safe_indexing(y, train)]
    samples.append(None if weights is None else weights[train])
    # The path to the largest fraction contains those to smaller ones; counts may be larger.
    longest = max([b for b in budgets if isinstance(b, float)] or budgets)
    fresh = clone(model).set_params(pruning_budget=longest)
    source = None if table is None else partial(table.at, train)
    with _labels_kept(fresh), fresh.seeing(source):
        return _scored(fresh, budgets, X, y, samples, fold, scoring)


def _scored(
    model: Any,
    budgets: Budgets,
    X: Any,
    y: NDArray[Any],
    samples: list[Any],
    fold: tuple[NDArray[np.intp], NDArray[np.intp]],
    scoring: Scoring,
) -> FoldScores:
    """Scores of all budgets, from a fit of `model`, of the largest one, on samples of the fold."""
    train, test = fold
    try:
        walked = model.fit(*samples)
    except ValueError as error:
        if scoring.error_score == "raise":
            raise
        nothing = [dict.fromkeys(scoring.names or [SCORE], float(scoring.error_score))]
        nothing *= len(budgets)
        train_scores = nothing if scoring.with_train else []
        return FoldScores(nothing, train_scores, [], [], error, len(budgets))
    found = FoldScores([], [], [], [])
    failed: list[ValueError | None] = []
    for budget in budgets:
        sized = walked if budget == model.pruning_budget else walked.at_budget(budget, *samples)
        if sized.pruning_report_.interrupted:
            # A single fit keeps an unfinished network, but its score is not that of the budget.
            raise KeyboardInterrupt
        found.reports.append(sized.pruning_report_)
        scores, seconds, wrong = scoring(sized, X, y, test)
        found.test.append(scores)
        found.seconds.append(seconds)
        failed.append(wrong)
        if scoring.with_train:
            scores, _, wrong = scoring(sized, X, y, train)
            found.train.append(scores)
            failed[-1] = failed[-1] or wrong
    errors = [error for error in failed if error]
    return replace(found, error=errors[0] if errors else None, n_failed=len(errors))


@contextmanager
def _labels_kept(model: Any) -> Iterator[None]:
    """Have a teacher label the samples of a fold once, not once for each budget."""
    if model.teacher is None or model.memory is not None:
        yield
        return
    with TemporaryDirectory() as folder:
        model.set_params(memory=Memory(folder, verbose=0))
        yield


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
        missing = np.array([any(map(np.isnan, scores.values())) for scores in fold.test])
        if not (missing.all() or fold.error):
            continue
        why = f"the {'scoring' if fold.reports else 'fit'} failed: {fold.error}"
        lacks = []
        for side, index in zip(("training", "test"), sides, strict=True):
            absent = np.setdiff1d(y, y[index])[:5].tolist() if classes and y.ndim == 1 else []
            lacks += [f" Its {side} samples lack the classes {absent}."] if absent else []
        meaning = "It is left out of the means" if missing.all() else "These are not chosen"
        if not missing.any():
            meaning = "error_score takes their place"
        texts.append(
            f"Fold {k + 1} of {len(folds)} has no scores for {max(fold.n_failed, missing.sum())} "
            f"of {len(missing)} budgets: {why if fold.error else 'they are NaN'}.{''.join(lacks)} "
            f"{meaning}. Pass other folds (cv), fewer of them, or another scoring."
        )
    return texts


def table(
    budgets: Budgets, folds: list[FoldScores], failed: Sequence[str] = (), decides: str = SCORE
) -> dict[str, Any]:
    """``cv_results_`` in the layout of ``GridSearchCV``, and the mean sizes of the networks.

    Means are over the folds that have a score for any budget.

    Parameters
    ----------
    budgets : list of float or int
    folds : list of FoldScores
    failed : sequence of str
        Why folds have no scores, for the error.
    decides : str
        Name of the score by which a budget is chosen; empty if none is.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If no budget has a score by which it can be chosen.
    """
    tables: dict[str, NDArray[np.float64]] = {
        f"{side}_{name}": found
        for side in ("test", "train")
        for name, found in _by_name([getattr(fold, side) for fold in folds]).items()
    }
    fitted = [fold for fold in folds if fold.reports]
    grid = np.ma.MaskedArray(np.empty(len(budgets), dtype=object), mask=False)
    grid[:] = budgets
    results: dict[str, Any] = {
        **_times(fitted),
        "param_pruning_budget": grid,
        "params": [{"pruning_budget": budget} for budget in budgets],
    }
    for name, scores in tables.items():
        results |= {f"split{k}_{name}": each for k, each in enumerate(scores)}
        scored = scores[~np.isnan(scores).all(axis=1)]
        unknown = np.full((1, len(budgets)), np.nan)
        scored = scored if len(scored) else unknown
        mean = scored.mean(axis=0)
        results |= {f"mean_{name}": mean, f"std_{name}": scored.std(axis=0)}
        if name.startswith("test"):
            order = rankdata(-np.where(np.isfinite(mean), mean, -np.inf), method="min")
            results[f"rank_{name}"] = order.astype(np.int32)
    if decides and not np.isfinite(results[f"mean_test_{decides}"]).any():
        why = f" {failed[0]}" if failed else ""
        raise ValueError(
            "No budget has a finite mean score over the folds: "
            f"{tables[f'test_{decides}'].tolist()}.{why} Pass a "
            "scoring that is defined on the test samples of every fold, or other folds (cv)."
        )
    sizes = {
        "neurons": lambda network: sum(network.hidden_layer_sizes),
        "parameters": lambda network: network.n_parameters,
        "macs": lambda network: network.n_macs,
    }
    for unit, size in sizes.items():
        results[f"mean_n_{unit}"] = np.mean(
            [[size(r.after) for r in fold.reports] for fold in fitted], axis=0
        )
    return results


def _by_name(folds: list[list[Scores]]) -> dict[str, NDArray[np.float64]]:
    """Scores by name, each of shape (n_folds, n_budgets)."""
    # A fold that failed may not know them all.
    names = dict.fromkeys(name for fold in folds for scores in fold for name in scores)
    if len(names) > 1 and any(set(scores) == {SCORE} for fold in folds for scores in fold):
        names.pop(SCORE)
    return {
        name: np.array([[scores.get(name, np.nan) for scores in fold] for fold in folds])
        for name in names
    }


def _times(folds: list[FoldScores]) -> dict[str, NDArray[np.float64]]:
    """Mean and standard deviation of the seconds of a fit to each budget, and of its scoring."""
    fit = [[_seconds(report) for report in fold.reports] for fold in folds]
    score = [fold.seconds for fold in folds]
    return {
        "mean_fit_time": np.mean(fit, axis=0),
        "std_fit_time": np.std(fit, axis=0),
        "mean_score_time": np.mean(score, axis=0),
        "std_score_time": np.std(score, axis=0),
    }


def _seconds(report: Any) -> float:
    """Time for all stages of a fit."""
    found = report.seconds_training + report.seconds_pruning + report.seconds_fine_tuning
    if report.inputs is not None:
        found += report.inputs.seconds
    if report.teacher is not None:
        found += report.teacher.seconds_teacher + report.teacher.seconds_comparison
    return float(found)


def choose(results: dict[str, Any], rule: str, unit: str, decides: str = SCORE) -> int:
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
    decides : str
        Name of the score.

    Returns
    -------
    int
        Index of the budget; among networks of equal size the one with the higher score.

    References
    ----------
    L. Breiman et al., "Classification and regression trees", 1984, section 3.4.3 (the
    one-standard-error rule).
    """
    mean, size = results[f"mean_test_{decides}"], results[f"mean_n_{unit}"]
    best = int(np.nanargmax(np.where(np.isfinite(mean), mean, np.nan)))
    margin = 0.0
    if rule == "one_std_error":
        n_folds = sum(name.startswith("split") for name in results)
        scores = np.array(
            [results.get(f"split{k}_test_{decides}", mean * np.nan)[best] for k in range(n_folds)]
        )
        scores = scores[np.isfinite(scores)]
        if len(scores) > 1:
            margin = float(scores.std(ddof=1) / np.sqrt(len(scores)))
    good = np.flatnonzero(mean >= mean[best] - margin - _TIE)
    return int(good[np.lexsort((-mean[good], size[good]))[0]])
