"""How many neurons each round removes, and when enough is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

UNITS = ("neurons", "parameters", "macs")

Sizes = tuple[int, ...]
Cost = Callable[[Sizes], tuple[int, int]]


# "auto": shares of the neurons that are left, in the last rounds and on top of it in the first.
# A fixed share of all is finer than it need be while neurons stand in for each other, and too
# coarse where few are left.
_LATE, _EARLY = 0.06, 0.08


def step_size(step: float | int | str, n_neurons: int, n_left: int | None = None) -> int:
    """Neurons a round, at least 1.

    Parameters
    ----------
    step : int, float or "auto"
        As in RFE a count, or a share of the original number; "auto" is a share of those left,
        which falls from 14 % towards 6 %.
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


def round_sizes(step: float | int | str, n_neurons: int, target: int) -> NDArray[np.intp]:
    """How many neurons each round of a path removes, until so many are gone.

    Examples
    --------
    >>> from sklearn_mabprune.pruning.schedules import round_sizes
    >>> round_sizes(40, 100, 75), round_sizes("auto", 32, 16)
    (array([40, 35]), array([4, 3, 3, 2, 2, 1, 1]))
    """
    sizes: list[int] = []
    gone = 0
    while gone < target:
        sizes.append(min(step_size(step, n_neurons, n_neurons - gone), target - gone))
        gone += sizes[-1]
    return np.array(sizes, dtype=np.intp)


def share_of(budget: float | int, total: int) -> int:
    """What a budget means for a total: a count, or a share, floored.

    Examples
    --------
    >>> from sklearn_mabprune.pruning.schedules import share_of
    >>> share_of(0.29, 100), share_of(7, 100)
    (29, 7)
    """
    if isinstance(budget, Integral):
        return int(budget)
    # .29 * 100 is 28.999999999999996
    return int(np.floor(budget * total + 1e-9))


@dataclass(frozen=True)
class Budget:
    """How much is to go, in which unit.

    Parameters
    ----------
    target : int
        So much, at least.
    unit : {"neurons", "parameters", "macs"}
    original : tuple of int
        Hidden sizes of the unpruned network.
    cost : callable
        Hidden sizes to (parameters, multiply-adds a row).
    """

    target: int
    unit: str
    original: Sizes
    cost: Cost

    @classmethod
    def of(
        cls, budget: float | int | str, unit: str, original: Sizes, cost: Cost, min_neurons: int
    ) -> Budget:
        """Read a budget as users write it: a share, a count or "auto" (all that can go).

        Raises
        ------
        ValueError
            If a layer would be left with fewer than `min_neurons`.
        """
        everything = cls(0, unit, original, cost)
        least = tuple(min(min_neurons, size) for size in original)
        most = everything.gone(least)
        target = most if budget == "auto" else share_of(budget, everything.total)  # type: ignore[arg-type]
        if target > most:
            raise ValueError(
                f"pruning_budget={budget!r} of {everything.total} {unit} would leave a hidden "
                f"layer with fewer than min_neurons={min_neurons}: at most {most} {unit} "
                f"({np.floor(1000 * most / everything.total) / 1000:.3g}) can go. Lower "
                "pruning_budget or min_neurons, or train a wider network."
            )
        return cls(target, unit, original, cost)

    @property
    def total(self) -> int:
        """All there is."""
        return self._measure(self.original)

    def gone(self, sizes: Sizes) -> int:
        """How much is gone when the hidden layers have these sizes."""
        return self.total - self._measure(sizes)

    def reached(self, sizes: Sizes) -> bool:
        """Whether enough is gone."""
        return self.gone(sizes) >= self.target

    def _measure(self, sizes: Sizes) -> int:
        if self.unit == "neurons":
            return int(sum(sizes))
        parameters, macs = self.cost(sizes)
        return parameters if self.unit == "parameters" else macs


def share_evenly(
    order: NDArray[np.intp], layers: NDArray[np.intp], original: Sizes, sizes: Sizes
) -> NDArray[np.intp]:
    """Arms in an order whose every beginning takes the same share from every layer.

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
    >>> from sklearn_mabprune.pruning.schedules import share_evenly
    >>> arms = np.arange(6)  # the first four of one layer, the others of another
    >>> share_evenly(arms, arms // 4, (4, 2), (4, 2))
    array([0, 4, 1, 2, 5, 3])
    """
    share = np.empty(len(order))
    for layer, (before, now) in enumerate(zip(original, sizes, strict=True)):
        where = np.flatnonzero(layers == layer)
        # As much as the layer will have lost, counting half of the neuron itself, so that
        # rounding favours neither wide nor narrow layers.
        share[where] = (before - now + np.arange(where.size) + 0.5) / before
    return order[np.argsort(share, kind="stable")]


def choose_removals(
    order: NDArray[np.intp],
    layers: NDArray[np.intp],
    sizes: Sizes,
    n_remove: int,
    min_neurons: int,
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
    min_neurons : int
        Every layer keeps so many.
    budget : Budget
        No more than are needed to reach it: a prefix of what a larger budget removes.

    Returns
    -------
    ndarray of int
    """
    now = list(sizes)
    chosen: list[np.intp] = []
    for arm, layer in zip(order, layers, strict=True):
        if len(chosen) == n_remove or budget.reached(tuple(now)):
            break
        if now[layer] > min_neurons:
            now[layer] -= 1
            chosen.append(arm)
    return np.asarray(chosen, dtype=np.intp)
