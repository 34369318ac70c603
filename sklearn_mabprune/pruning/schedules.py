"""How many neurons each round removes, and which of the ranked ones."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from .budget import Budget, Sizes

# "auto": the fraction of the remaining neurons removed in the last rounds, and what is added to
# it in the first.  A fixed fraction of all neurons is finer than necessary while neurons are
# redundant, and too coarse when few are left.
_LATE, _EARLY = 0.06, 0.08


def step_size(step: float | int | str, n_neurons: int, n_left: int | None = None) -> int:
    """Number of neurons that a round removes, at least 1.

    Parameters
    ----------
    step : int, float or "auto"
        As in RFE a count, or a fraction of the original number; "auto" is a fraction of the
        remaining ones, which falls from 14 % towards 6 %.
    n_neurons : int
        The original number.
    n_left : int, optional
        All when not given.

    Examples
    --------
    >>> from sklearn_mabprune.pruning.schedules import step_size
    >>> step_size(0.02, 192), step_size(5, 192), step_size(0.001, 192)
    (3, 5, 1)
    >>> step_size("auto", 192), step_size("auto", 192, 48)
    (26, 3)
    """
    if isinstance(step, str):
        n_left = n_neurons if n_left is None else n_left
        step, n_neurons = _LATE + _EARLY * n_left / n_neurons, n_left
    if isinstance(step, Integral):
        return int(step)
    return max(1, int(step * n_neurons))


def spread_evenly(
    order: NDArray[np.intp], layers: NDArray[np.intp], original: Sizes, sizes: Sizes
) -> NDArray[np.intp]:
    """Arms in an order whose every prefix takes the same fraction from every layer.

    Parameters
    ----------
    order : ndarray of int, shape (n_arms,)
        Arms, safest first.
    layers : ndarray of int, shape (n_arms,)
        Hidden layer of each.
    original, sizes : tuple of int
        Neurons of each hidden layer, at first and now.

    Returns
    -------
    ndarray of int, shape (n_arms,)
        Within a layer still safest first.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.pruning.schedules import spread_evenly
    >>> arms = np.arange(6)  # the first four of one layer, the others of another
    >>> spread_evenly(arms, arms // 4, (4, 2), (4, 2))
    array([0, 4, 1, 2, 5, 3])
    """
    fraction = np.empty(len(order))
    for layer, (before, now) in enumerate(zip(original, sizes, strict=True)):
        where = np.flatnonzero(layers == layer)
        # The fraction that the layer will have lost, counting half of the neuron itself, so
        # that rounding favours neither wide nor narrow layers.
        fraction[where] = (before - now + np.arange(where.size) + 0.5) / before
    return order[np.argsort(fraction, kind="stable")]


def choose_removals(
    order: NDArray[np.intp],
    layers: NDArray[np.intp],
    sizes: Sizes,
    n_remove: int,
    budget: Budget,
) -> NDArray[np.intp]:
    """The safest neurons that may go this round, safest first.

    Parameters
    ----------
    order : ndarray of int, shape (n_arms,)
        Arms, safest first.
    layers : ndarray of int, shape (n_arms,)
        Hidden layer of each.
    sizes : tuple of int
        Live neurons of each hidden layer.
    n_remove : int
        At most so many.
    budget : Budget
        No more than are needed to reach it: a prefix of what a larger budget removes.  Every layer
        keeps as many as its limits say.

    Returns
    -------
    ndarray of int
    """
    now, least = list(sizes), budget.limits.least
    chosen: list[np.intp] = []
    for arm, layer in zip(order, layers, strict=True):
        if len(chosen) == n_remove or budget.reached(tuple(now)):
            break
        if now[layer] > least[layer]:
            now[layer] -= 1
            chosen.append(arm)
    return np.asarray(chosen, dtype=np.intp)
