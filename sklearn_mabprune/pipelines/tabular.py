"""Preprocessing of data frames with numeric and categorical columns."""

from __future__ import annotations

from typing import Any

from sklearn import config_context
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from .table_columns import CategoryEncoder, ColumnSelector, TableColumns
from .tabular_pipeline import TabularPipeline

# Fraction of values other than zero below which the estimator is given a CSR matrix.
_DENSITY = 0.05


def make_tabular_pipeline(estimator: Any, *, max_categories: int = 64) -> TabularPipeline:
    """Pipeline of preprocessing for columns of mixed types, followed by an estimator.

    Numeric columns, also of object dtype: missing values are imputed with the median and marked
    in an indicator column; then all columns are standardized.  Strings such as "?", "-" or "N/A"
    among numbers are missing values; strings with decimal points or commas, or with thousands
    separators, are numbers where they have one reading.  A warning names each column that is
    encoded as categories although most of its values are numbers.

    All other columns (strings, categories, booleans) are one-hot encoded.  If a column has more
    than `max_categories` categories, the least frequent share one column.  Missing values are a
    category of their own.  Equal numbers are one category: 1, 1.0 and True.  Categories that are
    unknown in ``fit`` are encoded as infrequent, or as all zeros if the column has no infrequent
    categories; a warning names a column of which no category is known.

    Identifiers, of which at least 95 % occur once, are left out, since nothing is known of new
    ones; a warning names them.

    A teacher (`teacher` of :class:`MABPrunedClassifier`) sees the columns as they were read, before
    they are scaled and encoded: numbers with NaN for missing values, all others as pandas
    categories.  What cannot be fitted on them is fitted on the encoded features.

    Parameters
    ----------
    estimator : estimator
        Last step of the pipeline: any classifier or regressor with the API of scikit-learn.
    max_categories : int, default=64
        Maximum number of one-hot columns per categorical column.

    Returns
    -------
    TabularPipeline
        A Pipeline of scikit-learn: a ``columntransformer`` with the steps ``numbers`` and
        ``categories``, followed by the estimator.  Change its parameters with ``set_params``.
        If less than 5 % of its output is non-zero and the estimator accepts sparse matrices, the
        output is a CSR matrix.

    Raises
    ------
    TypeError
        If `estimator` is a class, or has no ``fit`` method.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mabprune import MABPrunedClassifier, make_tabular_pipeline
    >>> age, job = [31, None, 58, 22], ["cook", "nurse", None, "cook"]
    >>> X = pd.DataFrame({"age": age * 10, "job": job * 10})
    >>> y = ["no", "yes", "yes", "no"] * 10
    >>> model = make_tabular_pipeline(MABPrunedClassifier(random_state=0))
    >>> model[:-1].fit_transform(X).shape
    (40, 5)
    """
    if isinstance(estimator, type):
        name = estimator.__name__
        raise TypeError(f"estimator={name} is a class. Pass an object: {name}().")
    if not hasattr(estimator, "fit"):
        raise TypeError(
            f"estimator={repr(estimator)[:80]} is not an estimator: it has no fit method. Pass an "
            "estimator, such as MABPrunedClassifier()."
        )
    # Requests can be set only while routing is enabled.
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), scaler
    )
    # Its sparse output is no DataFrame, whatever the global configuration asks for.
    categories = CategoryEncoder(
        handle_unknown="infrequent_if_exist", max_categories=max_categories
    ).set_output(transform="default")
    columns = TableColumns(
        [
            ("numbers", numbers, ColumnSelector(True)),
            ("categories", categories, ColumnSelector(False)),
        ],
        sparse_threshold=_DENSITY if _accepts_sparse(estimator) else 0,
    )
    name = type(estimator).__name__.lower()
    return TabularPipeline([("columntransformer", columns), (name, estimator)])


def _accepts_sparse(estimator: Any) -> bool:
    """Whether an estimator says that it accepts sparse matrices."""
    try:
        return bool(get_tags(estimator).input_tags.sparse)
    except (AttributeError, TypeError):
        return False  # not of scikit-learn's kind
