"""The input stage of our nets: its scales and bins come from training samples."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse

from ..data.splitting import are_so_many
from ..graph.kinds.embeddings import PiecewiseLinearEmbedding
from ..graph.kinds.registry import describe

Floats = NDArray[np.float64]

#: Bins and functions of each feature.
N_BINS, N_FUNCTIONS = 15, 3
#: Functions that a fit tries beside those of "auto", from so many training samples on, and from so
#: many for each feature that has functions.
N_TRIED, LEAST_TRIED, LEAST_TRIED_FOR_EACH = 8, 300, 25
#: "auto" makes functions of features from so many training samples on, and from so many for each
#: feature that has functions: of fewer samples they would learn the noise.
LEAST_SAMPLES, LEAST_FOR_EACH = 1000, 50
#: And of at most so many features: those of images and texts are left as they are.
MOST_FEATURES = 256
#: Fraction of hidden units set to zero in training behind an input stage, unless it is given.
DROPOUT = 0.1
#: Scaled values are bounded by this number of interquartile ranges.
_BOUND = 3.0
#: Two values that are smaller than this, such as those of one-hot columns, stay as they are.
_MODERATE = 100.0
#: Largest factor: the reciprocal of a smaller range is not finite in float32.
_STEEPEST = 1e30


@dataclass(frozen=True)
class InputStage:
    """An input stage as arguments and arrays: a skorch net keeps modules in its module alone."""

    arguments: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def of(
        cls, X: Any, y: Any, weights: Any, inputs: str | None, n_functions: int | str = "auto"
    ) -> InputStage | None:
        """The stage for these samples; see :func:`embedding_of`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
            Samples of the same features and targets are copies, and count as one.
        weights : array-like of shape (n_samples,) or None
        inputs : {"auto", "piecewise_linear"} or None
        n_functions : int or "auto", default="auto"
            Of each feature.  A number says that the stage is wanted, whatever the limits of
            ``inputs="auto"``.
        """
        auto = inputs == "auto" and n_functions == "auto"
        if inputs is None or issparse(X) or (auto and X.shape[1] > MOST_FEATURES):
            return None
        if auto and not are_so_many(X, y, LEAST_SAMPLES):
            return None
        number = N_FUNCTIONS if n_functions == "auto" else int(n_functions)
        layer = embedding_of(X, weights, number)
        if layer is None or (auto and not are_so_many(X, y, LEAST_FOR_EACH * layer.n_embedded)):
            return None
        return cls(describe(layer)[1], {n: v.numpy() for n, v in layer.state_dict().items()})

    def layer(self) -> PiecewiseLinearEmbedding:
        """The stage as a layer in float64."""
        layer = PiecewiseLinearEmbedding(**self.arguments).double()
        layer.load_state_dict({name: torch.tensor(v) for name, v in self.arrays.items()})
        return layer


def stage_missing(net: Any) -> list[str]:
    """A warning if a fitted net of ours has no input stage, and its parameters ask for one.

    Parameters
    ----------
    net : skorch net
    """
    inputs, n_functions = getattr(net, "inputs", None), getattr(net, "n_functions", "auto")
    asked = ["inputs='piecewise_linear'"] if inputs == "piecewise_linear" else []
    asked += [] if n_functions == "auto" else [f"n_functions={n_functions}"]
    if not asked or getattr(net, "input_stage_", True) is not None:
        return []
    module = net.module
    if inputs is None:
        why = "inputs=None leaves features as they are"
    elif "inputs" not in inspect.signature(module).parameters:
        name = getattr(module, "__name__", type(module).__name__)
        why = f"module={name} takes no `inputs`"
    else:
        why = "X is sparse, or none of its features has more than two values"
    return [f"{' and '.join(asked)} of {type(net).__name__} made no input stage: {why}."]


def embedding_of(
    X: Any, weights: Any = None, n_functions: int = N_FUNCTIONS
) -> PiecewiseLinearEmbedding | None:
    """The input stage for these samples, its functions not yet initialised.

    Features with more than two values are centered at the median, divided by the interquartile
    range and bounded smoothly; their bins lie between quantiles, of samples among which no value
    counts for more than one bin.  A weight counts as that many copies of a sample.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features)
    weights : array-like of shape (n_samples,), optional
        Of the samples.
    n_functions : int, default=3
        Functions of each feature.

    Returns
    -------
    PiecewiseLinearEmbedding or None
        In float64.  None where samples are sparse, or no feature has more than two values.
    """
    if issparse(X):
        return None
    X = np.asarray(X)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64)
    columns = [_weighted(X[:, k], weights) for k in range(X.shape[1])]
    embedded = [k for k, (values, _) in enumerate(columns) if len(values) > 2]
    if not embedded:
        return None
    knots = [_knots(*columns[k]) for k in embedded]
    n_bins = max(map(len, knots)) - 1
    layer = PiecewiseLinearEmbedding(
        n_features=X.shape[1],
        n_passed=X.shape[1],
        n_embedded=len(embedded),
        n_bins=n_bins,
        n_functions=n_functions,
        n_chosen=len(embedded) * n_functions,
    ).double()
    layer.embedded.copy_(torch.tensor(embedded))
    for k, (values, shares) in enumerate(columns):
        parts = zip((layer.center, layer.scale, layer.bend), _scale(values, shares), strict=True)
        for buffer, value in parts:
            buffer[k] = value
    for row, edges in enumerate(knots):
        # Bins that a feature does not have are at its largest value, and flat.
        layer.start[row] = edges[-1]
        layer.start[row, : len(edges) - 1] = torch.from_numpy(edges[:-1])
        widths = np.diff(edges)
        layer.slope[row, : len(widths)] = torch.from_numpy(_reciprocal(widths))
    return layer


def _weighted(column: NDArray[Any], weights: Floats) -> tuple[Floats, Floats]:
    """Different values of a feature in order, and the fraction of samples up to each of them."""
    column, weights = column[weights > 0].astype(np.float64), weights[weights > 0]
    order = np.argsort(column, kind="stable")
    column, total = column[order], np.cumsum(weights[order])
    last = np.append(np.flatnonzero(np.diff(column)), len(column) - 1)
    return column[last], total[last] / total[-1]


def _quantiles(values: Floats, shares: Floats, levels: Floats) -> Floats:
    """The smallest value up to which there is at least this fraction of samples."""
    # Sums of weights and counts of copies differ by rounding.
    found = np.searchsorted(shares, levels - 1e-9)
    return values[np.minimum(found, len(values) - 1)]


def _knots(values: Floats, shares: Floats) -> Floats:
    """Ends of the bins of a feature."""
    if len(values) <= N_BINS + 1:
        return values
    return np.unique(_quantiles(values, _level(shares), np.linspace(0, 1, N_BINS + 1)))


def _level(shares: Floats) -> Floats:
    """Fractions of samples up to each value, where no value counts for more than one bin.

    Where most samples have the same value, as in amounts that are mostly zero, quantiles of all
    samples would leave no bins to the others.
    """
    counts = np.diff(shares, prepend=0.0)
    most, frequent = 1 / N_BINS, np.zeros(len(counts), dtype=bool)
    while (counts > most * (1 + 1e-9)).sum() > frequent.sum():
        frequent = counts > most * (1 + 1e-9)
        most = counts[~frequent].sum() / max(1, N_BINS - int(frequent.sum()))
    if not frequent.any():
        return shares
    total = np.cumsum(np.minimum(counts, most))
    return np.asarray(total / total[-1])


def _scale(values: Floats, shares: Floats) -> tuple[float, float, float]:
    """Center, factor, and reciprocal of the bound of a feature."""
    low, high = float(values[0]), float(values[-1])
    if len(values) <= 2:
        if max(-low, high) <= _MODERATE:
            return 0.0, 1.0, 0.0
        return low, float(_reciprocal(np.array(high - low or 1.0))), 0.0
    first, median, third = _quantiles(values, shares, np.array([0.25, 0.5, 0.75]))
    # Where most samples have the same value: half of the range.
    width = third - first or (high - low) / 2
    return float(median), float(_reciprocal(np.array(width))), 1 / _BOUND


def _reciprocal(widths: Floats) -> Floats:
    return 1 / np.maximum(widths, 1 / _STEEPEST)
