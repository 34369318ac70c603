"""Parts of a fitted pipeline."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..estimators.base import BaseMABPruned
from ..estimators.base_cv import BudgetSearchMixin

#: The package's estimators.
OURS = (BaseMABPruned, BudgetSearchMixin)


def fitted_pipeline(given: Any, call: str) -> Any:
    """A fitted pipeline, or the best one of a search, that is to be exported.

    Parameters
    ----------
    given : object
        What the user passed first.
    call : str
        How the export is called, for the message.

    Raises
    ------
    TypeError
        If it is not an estimator.
    NotFittedError
        If it is not fitted.
    """
    pipeline = getattr(given, "best_estimator_", given)
    if isinstance(pipeline, type) or not hasattr(pipeline, "fit"):
        what = "a class" if isinstance(pipeline, type) else f"of type {type(pipeline).__name__}"
        raise TypeError(
            f"pipeline is {what}, but must be a fitted pipeline or search. The call is {call}."
        )
    check_is_fitted(pipeline)
    return pipeline


def parts_of(part: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """All parts of an estimator, fitted ones and those that it clones, itself among them."""
    # Of parts alone: what is made here on the way, such as lists, may get the same id again.
    seen = set() if seen is None else seen
    if isinstance(part, np.ndarray) and part.dtype == object:
        part = part.ravel().tolist()
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for item in part:
            yield from parts_of(item, seen)
    elif id(part) not in seen and _is_part(part):
        seen.add(id(part))
        yield part
        if not isinstance(part, OURS):
            for value in list(vars(part).values()):
                yield from parts_of(value, seen)


def _is_part(value: Any) -> bool:
    """Whether a value is an estimator, or another object of scikit-learn."""
    is_known = hasattr(value, "get_params") or type(value).__module__.startswith("sklearn.")
    return is_known and hasattr(value, "__dict__") and not isinstance(value, type)


def without_frozen(pipeline: Any) -> Any:
    """The pipeline with the estimators inside FrozenEstimators, which predict the same."""
    frozen = [part for part in parts_of(pipeline) if isinstance(part, FrozenEstimator)]
    if not frozen:
        return pipeline
    # A copy in which each of them is replaced, and our estimators are shared.
    memo = {id(part): part for part in parts_of(pipeline) if isinstance(part, OURS)}
    for part in frozen:
        inner = part
        while isinstance(inner, FrozenEstimator):
            inner = inner.estimator
        memo[id(part)] = inner
    return copy.deepcopy(pipeline, memo)


def names_of_steps(pipeline: Any) -> str:
    """Class names of the parts that skl2onnx converts by itself, for messages."""
    names = {
        type(part).__name__
        for part in parts_of(pipeline)
        if hasattr(part, "get_params")
        and not isinstance(part, (*OURS, Pipeline, ColumnTransformer, FrozenEstimator))
    }
    return ", ".join(sorted(names)) or "no other step"


def check_thresholds(pipeline: Any) -> None:
    """Raise RuntimeError for a tuned threshold, which skl2onnx replaces by 0.5 in silence."""
    for part in parts_of(pipeline):
        threshold = getattr(part, "best_threshold_", 0.5)
        if threshold != 0.5:
            raise RuntimeError(
                f"{type(part).__name__} cannot be exported: its labels are decided at "
                f"best_threshold_ = {threshold:.6g}, but skl2onnx writes 0.5. Export its "
                "estimator_ with pipeline_to_onnx, and compare the probability of the positive "
                "class, the second column of the output, with this threshold."
            )
