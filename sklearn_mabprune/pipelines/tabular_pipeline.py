"""The pipeline of `make_tabular_pipeline`, whose last step knows the columns before the first."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if

from ..data.table import Table


def _can_be_resized(pipeline: Any) -> bool:
    return hasattr(pipeline.steps[-1][1], "at_budget")


class TabularPipeline(Pipeline):
    """Pipeline of scikit-learn in which a teacher of the last step sees the columns of X.

    :func:`make_tabular_pipeline` makes it.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if hasattr(self.steps[0][1], "table"):
            # What wraps the pipeline may ask before it hands on a table.
            given = tags.input_tags
            given.allow_nan = given.string = given.categorical = True
        return tags

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit all steps, as scikit-learn's Pipeline.

        Parameters
        ----------
        X : DataFrame (pandas or polars) or array of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        **params
            Parameters of the steps' ``fit``.

        Returns
        -------
        self
        """
        last = self.steps[-1][1]
        if not (hasattr(last, "seeing") and hasattr(self.steps[0][1], "table")):
            return super().fit(X, y, **params)
        with last.seeing(partial(self._table, X)):
            return super().fit(X, y, **params)

    @available_if(_can_be_resized)
    def at_budget(self, budget: Any, X: Any = None, y: Any = None, **data: Any) -> Any:
        """A new fitted pipeline whose last step has another size; the other steps are shared.

        Parameters
        ----------
        budget : float in [0, 1), int or "auto"
            See :meth:`MABPrunedClassifier.at_budget`.
        X : DataFrame (pandas or polars) or array of shape (n_samples, n_features), optional
            The samples of fit.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            The targets of fit.
        **data
            Other data of fit, for the last step's ``at_budget``.

        Returns
        -------
        TabularPipeline

        Raises
        ------
        ValueError
            That of the last step's ``at_budget``.
        """
        name, last = self.steps[-1]
        new = copy.copy(self)
        if X is None:
            sized = last.at_budget(budget, None, y, **data)
        else:
            encoded = self[:-1].transform(X)
            with last.seeing(partial(self._table, X)):
                sized = last.at_budget(budget, encoded, y, **data)
        new.steps = [*self.steps[:-1], (name, sized)]
        return new

    def _table(self, X: Any) -> Table:
        """The columns that the fitted first step reads, and what encodes them."""
        found: Table = self.steps[0][1].table(X, self[:-1].transform)
        return found
