"""Which arm is which unit: ids count the units of the original network's groups."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .graph import Graph
from .groups import Group


class UnitTable:
    """Arm ids of all units that can be removed, and which of them are live.

    Ids run through the groups of the *original* network, one after the other, and never
    change.  The *position* of a live unit is its place in its present layer.

    Parameters
    ----------
    sizes : sequence of int
        Units of each group.

    Examples
    --------
    >>> from sklearn_mabprune.graph.units import UnitTable
    >>> table = UnitTable([2, 3])
    >>> table.remove([0, 3])
    >>> table.live_arms()
    array([1, 2, 4])
    >>> table.group([4]), table.unit([4]), table.position([4])
    (array([1]), array([2]), array([1]))
    """

    def __init__(self, sizes: ArrayLike):
        self.original_sizes = tuple(int(size) for size in np.atleast_1d(sizes))
        self._group = np.repeat(np.arange(len(self.original_sizes)), self.original_sizes)
        self._first = np.concatenate([[0], np.cumsum(self.original_sizes)])
        self.live = np.ones(len(self._group), dtype=bool)

    @classmethod
    def of(cls, groups: Iterable[Group]) -> UnitTable:
        """The table of the units of these groups, all live."""
        return cls([group.size for group in groups])

    def __len__(self) -> int:
        return len(self._group)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Live units of each group."""
        return tuple(int(n) for n in np.add.reduceat(self.live, self._first[:-1], dtype=int))

    def live_arms(self) -> NDArray[np.intp]:
        """Ids of the live units, increasing."""
        return np.flatnonzero(self.live)

    def arms_of(self, groups: ArrayLike) -> NDArray[np.intp]:
        """Ids of the live units of some groups, for a mask of all groups."""
        arms = self.live_arms()
        return arms[np.asarray(groups, dtype=bool)[self._group[arms]]]

    def group(self, arms: ArrayLike) -> NDArray[np.intp]:
        """Group of each arm, from 0."""
        return self._group[np.asarray(arms, dtype=np.intp)]

    def unit(self, arms: ArrayLike) -> NDArray[np.intp]:
        """Place of each arm in its group of the original network."""
        ids = np.asarray(arms, dtype=np.intp)
        return ids - self._first[self._group[ids]]

    def position(self, arms: ArrayLike) -> NDArray[np.intp]:
        """Place of each live arm in its present layer."""
        ids = np.asarray(arms, dtype=np.intp)
        seen = np.cumsum(self.live) - 1
        before = np.concatenate([[0], np.cumsum(self.sizes)])
        return seen[ids] - before[self._group[ids]]

    def remove(self, arms: ArrayLike) -> None:
        """These units are gone."""
        self.live[np.asarray(arms, dtype=np.intp)] = False


def worth(graph: Graph, table: UnitTable, rank_by: str) -> NDArray[np.float64]:
    """Factor on every arm's loss increase, (n_ids,).

    1 for "loss".  For "loss_per_mac" the mean number of MACs that removing a live unit saves,
    divided by the number that removing this one saves.
    """
    if rank_by == "loss":
        return np.ones(len(table))
    sizes, (_, macs) = graph.sizes, graph.cost()
    saved = np.empty(len(sizes))
    for number in range(len(sizes)):
        fewer = [size - (k == number) for k, size in enumerate(sizes)]
        saved[number] = macs - graph.cost(fewer)[1]
    mean = np.average(saved, weights=table.sizes)
    return (mean / saved)[table.group(np.arange(len(table)))]
