"""One or several scorers of a search over budgets, on test and training samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import check_scoring, get_scorer

from ..utils.compat import check_method_params, safe_indexing

#: Name of a score that has no name of its own, as in GridSearchCV.
SCORE = "score"

Scores = dict[str, float]


@dataclass(frozen=True)
class Scoring:
    """How networks are scored in the folds.

    Parameters
    ----------
    scorer : callable
        scorer(estimator, X, y) returns a number, or several by name.
    names : tuple of str
        Names of several scores; empty if there is one, or if the scorer alone knows.
    with_train : bool
        Whether training samples are scored, too.
    error_score : "raise" or float
        Score where the scorer raises an error.
    params : dict
        Metadata that the scorer requests, for all samples.
    """

    scorer: Callable[..., Any]
    names: tuple[str, ...] = ()
    with_train: bool = False
    error_score: Any = np.nan
    params: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, scoring: Any, default: str, **options: Any) -> Scoring:
        """The scoring that a parameter describes.

        Parameters
        ----------
        scoring : str, callable, list, tuple, set, dict or None
        default : str
            Name of the scorer if `scoring` is None.
        **options
            Other attributes.

        Raises
        ------
        ValueError, TypeError
            If a name is unknown, or given twice.
        """
        if isinstance(scoring, (list, tuple, set, Mapping)):
            named = dict(scoring) if isinstance(scoring, Mapping) else scoring
            # It asks the estimator for nothing but its existence.
            scorer = check_scoring(_Fitted(), scoring=named, raise_exc=False)
            return cls(scorer, tuple(sorted(named)), **options)
        return cls(get_scorer(default if scoring is None else scoring), **options)

    def __call__(
        self, model: Any, X: Any, y: Any, index: NDArray[np.intp]
    ) -> tuple[Scores, float, ValueError | None]:
        """Scores on some of the samples.

        Parameters
        ----------
        model : estimator
            Fitted.
        X, y : array-like
            All samples.
        index : ndarray of int
            Those that are scored.

        Returns
        -------
        scores : dict of str to float
            `error_score` where the scorer raised an error.
        seconds : float
        error : ValueError or None
            That of the scorer.

        Raises
        ------
        ValueError
            That of the scorer, if ``error_score="raise"``.
        """
        params = check_method_params(X, self.params, indices=index)
        samples = safe_indexing(X, index), safe_indexing(y, index)
        started = time.perf_counter()
        error = None
        try:
            found = self.scorer(model, *samples, **params)
        except ValueError as raised:
            found, error = dict.fromkeys(self.names or [SCORE], np.nan), raised
        seconds = time.perf_counter() - started
        scores = dict(found) if isinstance(found, Mapping) else {SCORE: found}
        failed = {name: text for name, text in scores.items() if isinstance(text, str)}
        if failed:  # tracebacks of scorers among several
            name, text = next(iter(failed.items()))
            error = ValueError(f"{name}: {text.strip().splitlines()[-1]}")
        if error is not None:
            if self.error_score == "raise":
                raise error
            wrong = failed or scores
            scores |= dict.fromkeys(wrong, self.error_score)
        return {name: float(score) for name, score in scores.items()}, seconds, error


def deciding(names: Collection[str], refit: bool | str) -> str:
    """Name of the score by which a budget is chosen; empty if there is none.

    Parameters
    ----------
    names : collection of str
        Names of several scores; empty if there is one.
    refit : bool or str
        The parameter of the search.

    Raises
    ------
    ValueError
        If there are several scores and `refit` does not say which one.
    """
    names = sorted(set(names) - {SCORE})
    if not names:
        return SCORE
    if not refit:
        return ""
    if refit not in names:
        raise ValueError(
            f"refit={refit!r}, but scoring gives several scores: {', '.join(names)}. Pass "
            f"refit={names[0]!r} or another of these names, by whose score the budget is chosen, "
            "or refit=False."
        )
    return str(refit)


class _Fitted:
    """An estimator as `check_scoring` wants one."""

    def fit(self) -> None:
        raise NotImplementedError
