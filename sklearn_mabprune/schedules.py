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


def step_size(step: float | int, n_neurons: int) -> int:
    """Neurons a round, as in RFE: a count, or a share of the original number, at least 1.

    Examples
    --------
    >>> from sklearn_mabprune.schedules import step_size
    >>> step_size(0.02, 192), step_size(5, 192), step_size(0.001, 192)
    (3, 5, 1)
    """
    if isinstance(step, Integral):
        return int(step)
    return max(1, int(step * n_neurons))


def share_of(budget: float | int, total: int) -> int:
    """What a budget means for a total: a count, or a share, floored.

    Examples
    --------
    >>> from sklearn_mabprune.schedules import share_of
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
                f"pruning_budget={budget!r} of {everything.total} {unit} would leave a hidden layer "
                f"with fewer than min_neurons={min_neurons}: at most {most} {unit} "
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


def layer_quotas(original: Sizes, sizes: Sizes, n_remove: int, min_neurons: int) -> list[int]:
    """How many neurons of each layer a round removes when all layers lose the same share.

    Largest remainders, so that rounding evens out over rounds.

    Examples
    --------
    >>> from sklearn_mabprune.schedules import layer_quotas
    >>> layer_quotas((100, 50), (100, 50), 3, 1), layer_quotas((100, 50), (98, 49), 3, 1)
    ([2, 1], [2, 1])
    """
    removed = np.subtract(original, sizes)
    wanted = np.asarray(original) * (int(removed.sum()) + n_remove) / sum(original)
    whole = np.floor(wanted).astype(int)
    missing = int(round(wanted.sum())) - int(whole.sum())
    whole[np.argsort(-(wanted - whole), kind="stable")[:missing]] += 1
    room = np.asarray(sizes) - np.minimum(sizes, min_neurons)
    return [int(n) for n in np.clip(whole - removed, 0, room)]


def choose_removals(
    order: NDArray[np.intp],
    layers: NDArray[np.intp],
    sizes: Sizes,
    n_remove: int,
    quotas: list[int],
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
    quotas : list of int
        At most so many of each layer.
    budget : Budget
        No more than are needed to reach it: a prefix of what a larger budget removes.

    Returns
    -------
    ndarray of int
    """
    left, now, chosen = list(quotas), list(sizes), []
    for arm, layer in zip(order, layers, strict=True):
        if len(chosen) == n_remove or budget.reached(tuple(now)):
            break
        if left[layer] > 0:
            left[layer] -= 1
            now[layer] -= 1
            chosen.append(arm)
    return np.asarray(chosen, dtype=np.intp)
