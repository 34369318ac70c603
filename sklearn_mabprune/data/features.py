"""Validation of X: arrays, data frames and sparse matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.utils.validation import validate_data

from ..utils.columns import has_date_dtype
from ..utils.compat import num_samples
from ..utils.words import counted
from .named import NamedSamples
from .named_features import INTEGERS, is_named, read_named, with_integers
from .sparse import as_csr, is_consistent

_DTYPES = [np.float64, np.float32]

# Parts of NumPy's messages for values that cannot be converted to floats; the first for strings.
_CONVERSION = (
    "could not convert",
    "setting an array element",
    "float() argument",
    "could not be promoted",
)


def read_table(estimator: Any, X: Any, *y: Any, any_shape: bool = False, **options: Any) -> Any:
    """Validate X, and y if given, with scikit-learn's ``validate_data``.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set, or with ``reset=False``
        compared with those of X.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        Features; float32 is kept, other dtypes are converted to float64.
    *y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets, if they are to be validated too.
    any_shape : bool, default=False
        Whether X may have more than two dimensions, and integers stay what they are: for modules
        of the user's own.  ``input_shape_``, the shape of a sample, is set, or compared.  X may
        also be a dictionary of arrays, see :func:`read_named`.
    **options
        Passed to ``validate_data``.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_features), or (n_samples, ...), or NamedSamples
        A CSR matrix has sorted column indices without duplicates.
    y : ndarray
        Only if targets are given.

    Raises
    ------
    ValueError
        If X is not numeric, or contains dates, missing or infinite values (the message names the
        columns of a DataFrame), if index arrays of a sparse matrix lead outside it, if y of a
        regressor is not numeric, or if ``validate_data`` refuses them.
    TypeError
        If X is a LazyFrame or a dictionary, or a list of dictionaries, or contains objects that
        no float is made of.
    """
    if any_shape and is_named(X):
        read = read_named(estimator, X, *y, **options)
        if y:
            _check_assumed(*read)
        return read
    _refuse_other_containers(X)
    _refuse_dates(X)
    if sparse.issparse(X) and not is_consistent(X):
        raise ValueError(
            f"X is a sparse matrix in format {X.format} whose index arrays lead outside its values "
            "or its columns: indptr or indices were changed. Build it anew, for example with "
            "scipy.sparse.csr_matrix((values, (rows, columns)), shape=shape)."
        )
    if options.get("y_numeric") and _has_strings(y[0]):
        raise ValueError(
            "y contains strings, but a regressor needs numeric targets. Use a classifier for "
            "classes."
        )
    dtype: list[Any] = [np.float32] if _is_float32(X) else _DTYPES
    if any_shape:
        X, dtype = with_integers(X), [*dtype, *INTEGERS]
        options["allow_nd"] = True
        if not options.get("reset", True):
            known = estimator.input_shape_
            if isinstance(known, dict) or max(len(known), len(np.shape(X)) - 1) > 1:
                # Better than a comparison of the number of channels alone.
                _check_shape(estimator, np.shape(X), reset=False)
    try:
        # A sum tells finite values from others, and may itself be infinity less infinity.
        with np.errstate(over="ignore", invalid="ignore"):
            read = validate_data(estimator, X, *y, dtype=dtype, accept_sparse="csr", **options)
    except (ValueError, TypeError) as error:
        message = _named(X, str(error))
        if message is None:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(message) from error
    if any_shape:
        _check_shape(estimator, (read[0] if y else read).shape, options.get("reset", True))
    if not y:
        return as_csr(read) if sparse.issparse(read) else read
    _check_assumed(*read)
    return (as_csr(read[0]), read[1]) if sparse.issparse(read[0]) else read


def _check_shape(estimator: Any, shape: tuple[int, ...], reset: bool) -> None:
    """Note the shape of a sample of X, or refuse another one than that of fit."""
    given, shape = shape, shape[1:]
    if reset:
        estimator.input_shape_ = shape
        return
    known = estimator.input_shape_
    if shape == known:
        return
    if isinstance(known, dict):
        raise ValueError(
            f"X is one array, but {type(estimator).__name__} was fitted on a dictionary. Pass a "
            f"dictionary of the inputs {', '.join(map(repr, known))}."
        )
    if given == known:
        raise ValueError(
            f"X has shape {given}, the shape of one sample of {type(estimator).__name__}. For one "
            "sample pass X[None]."
        )
    hint = ""
    if len(known) > 1 and shape == (*known[1:], known[0]):
        hint = f" The channels come last in X: pass numpy.moveaxis(X, {len(shape)}, 1)."
    raise ValueError(
        f"Each sample of X has shape {shape}, but {type(estimator).__name__} was fitted on samples "
        f"of shape {known}.{hint}"
    )


def read_validation(estimator: Any, X_val: Any, y_val: Any, any_shape: bool = False) -> Any:
    """Validate the features of validation samples like :func:`read_table`.

    Raises
    ------
    ValueError, TypeError
        As :func:`read_table`, with "X_val" in the message, and if X_val and y_val have
        different numbers of samples.
    """
    try:
        read = read_table(estimator, X_val, any_shape=any_shape, reset=False)
        _check_assumed(read)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"X_val cannot be used: {error} In a pipeline, X_val must be transformed by the steps "
            "before the estimator: pass pipe[:-1].fit(X, y).transform(X_val); or, with metadata "
            "routing enabled, Pipeline(..., transform_input=['X_val'])."
        ) from error
    if read.shape[0] != num_samples(y_val):
        raise ValueError(
            f"X_val has {counted(read.shape[0], 'sample')}, but y_val has "
            f"{num_samples(y_val):,}. Pass one target per sample."
        )
    return read


def _check_assumed(X: Any, y: Any = None) -> None:
    """Raise ValueError for samples of a fit that are not finite, but are assumed to be.

    A network is trained on them in any case, which takes far longer than to look.
    """
    if not get_config()["assume_finite"]:
        return
    parts = X.parts if isinstance(X, NamedSamples) else {}
    named = {f"X[{name!r}]": part for name, part in parts.items()} or {"X": X}
    for name, values in {**named, "y": y}.items():
        cells = values.data if sparse.issparse(values) else np.asarray(values)
        if cells.dtype.kind == "f" and not np.isfinite(cells).all():
            sample, *column = np.argwhere(~np.isfinite(cells))[0].tolist()
            where = "" if sparse.issparse(values) else f", first in sample {sample}"
            where += f", column {column[0]}" if column else ""
            raise ValueError(
                f"Input {name} contains NaN or infinity{where}, although assume_finite=True in "
                "scikit-learn's configuration says that it does not. Impute missing values, or "
                "drop these samples."
            )


def stacked(X: Any, below: Any) -> Any:
    """Concatenate two sets of samples, in the format (dense or CSR) and dtype of the first."""
    if isinstance(X, NamedSamples):
        return NamedSamples({name: stacked(X.parts[name], below.parts[name]) for name in X.parts})
    if sparse.issparse(X):
        return sparse.vstack([X, as_csr(below).astype(X.dtype)], format="csr")
    below = below.toarray() if sparse.issparse(below) else below
    return np.concatenate([X, below.astype(X.dtype)])


def _refuse_other_containers(X: Any) -> None:
    """Raise TypeError for X whose columns or samples stand in another container than a table."""
    if type(X).__name__ == "LazyFrame":
        raise TypeError("X is a LazyFrame, which contains no samples yet. Pass X.collect().")
    is_mapping = isinstance(X, Mapping) and not sparse.issparse(X)  # DOK is both
    if is_mapping or (isinstance(X, (list, tuple)) and any(isinstance(x, Mapping) for x in X[:1])):
        got = "a dictionary" if is_mapping else "a list of dictionaries"
        raise TypeError(
            f"X is {got}, but features must be an array, DataFrame or sparse matrix of shape "
            "(n_samples, n_features). Pass pandas.DataFrame(X) for columns by name, or the array."
        )


def _refuse_dates(X: Any) -> None:
    """Raise ValueError for dtypes of dates, which NumPy would convert to numbers or not at all."""
    names = [name for name in getattr(X, "columns", ()) if _of_dates(X[name])]
    if not names and not _of_dates(X):
        return
    which = f" in {_quoted(names)}" if names else ""
    raise ValueError(
        f"X contains dates or times{which}, but a network needs numbers. Replace them by "
        "numbers, such as the month, the hour, or the days since a first date."
    )


def _of_dates(values: Any) -> bool:
    """Whether an array or a column is of a dtype of dates; False for what has no dtype."""
    return hasattr(values, "dtype") and has_date_dtype(values)


def _named(X: Any, message: str) -> str | None:
    """A message of scikit-learn with columns and a way out; None if it says all there is to say."""
    columns = list(getattr(X, "columns", ()))
    for found, is_wrong in (("NaN", np.isnan), ("infinity", np.isinf)):
        if message.startswith(f"Input X contains {found}"):
            names = [name for name, values in _float_columns(X) if is_wrong(values).any()]
            where = f"Input X contains {found}" + f" in {_quoted(names)}" * bool(names)
            if found == "NaN":
                # scikit-learn would recommend estimators that are no networks.
                return where + _fill_in(X)
            said = message.replace(f"Input X contains {found}", where, 1).rstrip(".")
            return f"{said}. Replace it, or remove these samples."
    if not any(part in message for part in _CONVERSION):
        return None
    if not columns and np.iterable(X) and isinstance(next(iter(X), None), str):
        return (
            "X contains strings, one for each sample, but a network needs numbers. Put a "
            "vectorizer before the estimator: make_pipeline(TfidfVectorizer(), estimator)."
        )
    names = [name for name in columns if _as_floats(X[name]) is None]
    what, why = "objects other than numbers", f" ({message.rstrip('.')})"
    if _CONVERSION[0] in message:
        what, why = "strings or categories", ""
    which = f" in {_quoted(names)}" if names else ""
    return (
        f"X contains {what}{which}, but a network needs numbers{why}. Encode them, "
        "or use make_tabular_pipeline(estimator), which accepts columns of mixed types."
    )


def _float_columns(X: Any) -> list[tuple[Any, Any]]:
    """Names, or in an array numbers, of the columns of a table, and their values as floats."""
    if hasattr(X, "columns"):
        return [(name, _as_floats(X[name])) for name in X.columns]
    if sparse.issparse(X) or np.ndim(X) != 2:
        return []
    values = _as_floats(np.asarray(X))
    return [] if values is None else list(enumerate(values.T))


def _fill_in(X: Any) -> str:
    """The end of a message on missing values: what fills them."""
    is_table = not sparse.issparse(X) and np.ndim(X) == 2
    table = ", or use make_tabular_pipeline(estimator), which fills and marks missing values"
    return f", but a network needs numbers. Put a SimpleImputer before it{table * is_table}."


def _quoted(names: list[Any]) -> str:
    """Names of columns for a message."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"column{'s' * (len(names) > 1)} {', '.join(map(repr, names[:5]))}{more}"


def _has_strings(y: Any) -> bool:
    """Whether targets contain strings that are not numbers.

    Other invalid targets are left to ``validate_data``, whose messages describe them.
    """
    try:
        y = np.asarray(y)
        if y.dtype.kind in "USO":
            y.astype(np.float64)
    except TypeError:
        return False
    except ValueError as error:
        return "could not convert string" in str(error)
    return False


def _is_float32(X: Any) -> bool:
    """Whether all columns of a DataFrame are float32 that scikit-learn would convert to float64."""
    dtypes = X.dtypes if hasattr(X, "columns") and hasattr(X, "dtypes") else ()
    # Of polars, or pandas' nullable ones; scikit-learn recognizes NumPy's float32 itself.
    return {str(dtype) for dtype in dtypes} == {"Float32"}


def _as_floats(column: Any) -> Any:
    """A column as float64 with NaN for missing values; None if it cannot be converted."""
    try:
        if hasattr(column.dtype, "na_value") and column.dtype != object:  # pandas' own dtypes
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(column).astype(np.float64)
    except (AttributeError, TypeError, ValueError):
        return None
