"""Pruning budgets: how much is to be removed, in neurons, parameters or MACs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import numpy as np

UNITS = ("neurons", "parameters", "macs")

Sizes = tuple[int, ...]
Cost = Callable[[Sizes], tuple[int, int]]


def count_of(budget: float | int, total: int) -> int:
    """A budget as a count: itself, or a fraction of the total, floored.

    Examples
    --------
    >>> from sklearn_mabprune.pruning.budget import count_of
    >>> count_of(0.29, 100), count_of(7, 100)
    (29, 7)
    """
    if isinstance(budget, Integral):
        return int(budget)
    # .29 * 100 is 28.999999999999996
    return int(np.floor(budget * total + 1e-9))


@dataclass(frozen=True)
class Budget:
    """How much is to be removed, and in which unit it is counted.

    Parameters
    ----------
    target : int
        At least so much is to be removed.
    unit : {"neurons", "parameters", "macs"}
    original : tuple of int
        Hidden sizes of the unpruned network.
    cost : callable
        From hidden sizes to (parameters, MACs per sample).
    """

    target: int
    unit: str
    original: Sizes
    cost: Cost

    @classmethod
    def of(
        cls, budget: float | int | str, unit: str, original: Sizes, cost: Cost, min_neurons: int
    ) -> Budget:
        """The budget that a user's value means: a fraction, a count or "auto" (all that can go).

        Raises
        ------
        ValueError
            If a layer would be left with fewer than `min_neurons`.
        """
        everything = cls(0, unit, original, cost)
        least = tuple(min(min_neurons, size) for size in original)
        most = everything.gone(least)
        target = most if budget == "auto" else count_of(budget, everything.total)  # type: ignore[arg-type]
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
        """Neurons, parameters or MACs of the unpruned network."""
        return self._measure(self.original)

    def gone(self, sizes: Sizes) -> int:
        """How much has been removed when the hidden layers have these sizes."""
        return self.total - self._measure(sizes)

    def reached(self, sizes: Sizes) -> bool:
        """Whether enough has been removed when the hidden layers have these sizes."""
        return self.gone(sizes) >= self.target

    def _measure(self, sizes: Sizes) -> int:
        if self.unit == "neurons":
            return int(sum(sizes))
        parameters, macs = self.cost(sizes)
        return parameters if self.unit == "parameters" else macs
