"""Pruning budgets: how much is to be removed, in neurons, parameters or MACs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

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
class Limits:
    """How many units each group keeps at least, and which groups are pruned at all.

    Parameters
    ----------
    least : tuple of int
        All units of a group that is not pruned.
    pruned : tuple of bool
    said : mapping of str to object
        Parameters that say so, for messages.
    called : str, default="neurons"
        What units of the groups that are pruned are called.
    """

    least: Sizes
    pruned: tuple[bool, ...]
    said: Mapping[str, Any] = field(default_factory=dict)
    called: str = "neurons"

    @classmethod
    def even(cls, min_neurons: int, sizes: Sizes) -> Limits:
        """Every group keeps so many units, or all where it has fewer."""
        least = tuple(min(min_neurons, size) for size in sizes)
        return cls(least, (True,) * len(sizes), {"min_neurons": min_neurons})

    def n_pruned(self, sizes: Sizes) -> int:
        """Units of the groups that are pruned."""
        return sum(size for size, pruned in zip(sizes, self.pruned, strict=True) if pruned)


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
    limits : Limits
        Units that every group keeps.
    """

    target: int
    unit: str
    original: Sizes
    cost: Cost
    limits: Limits

    @classmethod
    def of(
        cls, budget: float | int | str, unit: str, original: Sizes, cost: Cost, limits: Limits | int
    ) -> Budget:
        """The budget that a user's value means: a fraction, a count or "auto" (all that can go).

        A fraction of neurons is one of the groups that are pruned, a fraction of parameters or MACs
        one of the whole network.

        Raises
        ------
        ValueError
            If a group would be left with fewer units than `limits` say.
        """
        if not isinstance(limits, Limits):
            limits = Limits.even(limits, original)
        everything = cls(0, unit, original, cost, limits)
        most = everything.gone(limits.least)
        target = most if budget == "auto" else count_of(budget, everything.total)  # type: ignore[arg-type]
        if target > most:
            said = limits.said
            called = everything.called
            inside = f" with layers={list(said['layers'])}" if "layers" in said else ""
            percent = isinstance(budget, Integral) and 1 < int(budget) < 100
            counted = (
                f" An integer is a count: {budget} % is {int(budget) / 100}." if percent else ""
            )
            raise ValueError(
                f"pruning_budget={budget!r} of {everything.total} {called}{inside} would leave a "
                f"hidden layer with fewer than min_neurons={said['min_neurons']}: at most {most} "
                f"{called} ({np.floor(1000 * most / everything.total) / 1000:.3g}) can go. Lower "
                f"pruning_budget or min_neurons, {'name more layers, ' if inside else ''}or train "
                f"a wider network.{counted}"
            )
        return cls(target, unit, original, cost, limits)

    @property
    def called(self) -> str:
        """What is counted, for messages: "units" where not all are neurons."""
        return self.limits.called if self.unit == "neurons" else self.unit

    @property
    def total(self) -> int:
        """Neurons that may be pruned, or parameters or MACs, of the unpruned network."""
        return self._measure(self.original)

    def gone(self, sizes: Sizes) -> int:
        """How much has been removed when the hidden layers have these sizes."""
        return self.total - self._measure(sizes)

    def reached(self, sizes: Sizes) -> bool:
        """Whether enough has been removed when the hidden layers have these sizes."""
        return self.gone(sizes) >= self.target

    def _measure(self, sizes: Sizes) -> int:
        if self.unit == "neurons":
            return self.limits.n_pruned(sizes)
        parameters, macs = self.cost(sizes)
        return parameters if self.unit == "parameters" else macs
