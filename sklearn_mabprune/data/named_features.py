"""Validation of X that is a dictionary: arrays by the names of forward's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_array, check_X_y
from torch import Tensor

from .named import NamedSamples

#: The name under which a net is given sample weights.
_WEIGHTS = "sample_weight"
#: Dtypes of integers, which stay what they are where a module of the user's own needs them.
INTEGERS = [np.int64, np.int32, np.int16, np.int8, np.uint8, np.uint16, np.uint32, np.uint64]
_DTYPES = [np.float64, np.float32, *INTEGERS, np.bool_]


def is_named(X: Any) -> bool:
    """Whether X has an array for each of several inputs."""
    # A DOK matrix is a mapping, too.
    return isinstance(X, NamedSamples) or (isinstance(X, Mapping) and not sparse.issparse(X))


def read_named(estimator: Any, X: Any, *y: Any, reset: bool = True, **options: Any) -> Any:
    """Validate X of several inputs, and y if given.

    Parameters
    ----------
    estimator : estimator
        Its ``input_shape_``, the shape of a sample of each input by name, is set, or with
        ``reset=False`` compared.
    X : mapping of str to array-like of shape (n_samples, ...)
        Floating-point numbers, integers or booleans.
    *y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    reset : bool, default=True
    **options
        Passed to ``check_X_y``.

    Returns
    -------
    X : NamedSamples
    y : ndarray
        Only if targets are given.

    Raises
    ------
    ValueError
        If an input is missing, unknown, has another shape than in fit or another number of
        samples than the others, or is refused by scikit-learn; the message names it.
    TypeError
        If the names are not strings.
    """
    given = X.parts if isinstance(X, NamedSamples) else dict(X)
    known = None if reset else estimator.input_shape_
    if known is not None and not isinstance(known, dict):
        raise ValueError(
            f"X is a dictionary, but {type(estimator).__name__} was fitted on one array, samples "
            f"of shape {known}. Pass an array."
        )
    _check_names(given, known)
    # In the order of fit: that of forward's parameters does not matter.
    read = {name: _read(given[name], name) for name in known or given}
    lengths = {name: len(part) for name, part in read.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "The inputs in X have different numbers of samples: "
            f"{', '.join(f'{name!r} has {n:,}' for name, n in lengths.items())}."
        )
    shapes = {name: part.shape[1:] for name, part in read.items()}
    for name, shape in (known or {}).items():
        if shapes[name] != shape:
            raise ValueError(
                f"Each sample of X[{name!r}] has shape {shapes[name]}, but "
                f"{type(estimator).__name__} was fitted on samples of shape {shape}."
            )
    if reset:
        estimator.input_shape_ = shapes
    samples = NamedSamples(read)
    if not y:
        return samples
    rows = np.zeros((len(samples), 1))
    _, targets = check_X_y(rows, *y, estimator=estimator, **options)
    return samples, targets


def _check_names(given: Mapping[Any, Any], known: dict[str, Any] | None) -> None:
    """Refuse names that are not strings, and others than those of fit."""
    if not given:
        raise ValueError("X is an empty dictionary: pass an array for each parameter of forward.")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(
                f"X is a dictionary with the key {name!r}, but keys must be strings, the names of "
                "the parameters of the module's forward."
            )
    if _WEIGHTS in given:
        raise ValueError(
            f"X has an input {_WEIGHTS!r}, which is how nets are given weights. Rename the "
            "parameter of forward; pass weights as fit(X, y, sample_weight=...)."
        )
    for name in sorted(set(given) ^ set(given if known is None else known)):
        raise ValueError(
            f"X {'has' if name in given else 'lacks'} the input {name!r}: pass the inputs of fit, "
            f"{', '.join(map(repr, known or ()))}."
        )


def with_integers(values: Any) -> Any:
    """Tensors, and lists of integers or booleans, as arrays; what else is given as it is.

    scikit-learn makes floats of what has no dtype of NumPy's, and no embedding reads these.

    Examples
    --------
    >>> from sklearn_mabprune.data.named_features import with_integers
    >>> with_integers([[1, 2], [3, 4]]).dtype.kind, with_integers([[0.5]])
    ('i', [[0.5]])
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if isinstance(values, (list, tuple)):
        try:
            found = np.asarray(values)
        except (ValueError, TypeError):
            return values  # scikit-learn says what is wrong with it
        return found if found.dtype.kind in "iub" else values
    return values


def _read(values: Any, name: str) -> NDArray[Any]:
    """An input as an array."""
    values = with_integers(values)
    if sparse.issparse(values):
        raise ValueError(
            f"X[{name!r}] is a sparse matrix, and inputs by name must be arrays: pass "
            f"X[{name!r}].toarray(), or a sparse matrix alone as X."
        )
    if not np.ndim(values):
        raise ValueError(f"X[{name!r}] is {values!r}: pass an array with an entry for each sample.")
    options = {"dtype": _DTYPES, "ensure_2d": False, "allow_nd": True}
    try:
        found: NDArray[Any] = check_array(values, input_name=f"X[{name!r}]", **options)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X[{name!r}] cannot be used: {error}") from error
    return found
