"""Which arm is which neuron: ids count the neurons of the original network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class NeuronTable:
    """Arm ids of all hidden neurons, and which of them live.

    Ids run through the hidden layers of the *original* network, layer after layer, and
    never change.  A live neuron's *position* is its place in its present layer.

    Parameters
    ----------
    sizes : sequence of int
        Neurons of each hidden layer.

    Examples
    --------
    >>> from sklearn_mabprune.graph.units import NeuronTable
    >>> table = NeuronTable([2, 3])
    >>> table.remove([0, 3])
    >>> table.live_arms()
    array([1, 2, 4])
    >>> table.layer([4]), table.unit([4]), table.position([4])
    (array([1]), array([2]), array([1]))
    """

    def __init__(self, sizes: ArrayLike):
        self.original_sizes = tuple(int(size) for size in np.atleast_1d(sizes))
        self._layer = np.repeat(np.arange(len(self.original_sizes)), self.original_sizes)
        self._first = np.concatenate([[0], np.cumsum(self.original_sizes)])
        self.live = np.ones(len(self._layer), dtype=bool)

    def __len__(self) -> int:
        return len(self._layer)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Live neurons of each hidden layer."""
        return tuple(int(n) for n in np.add.reduceat(self.live, self._first[:-1], dtype=int))

    def live_arms(self) -> NDArray[np.intp]:
        """Ids of the live neurons, increasing."""
        return np.flatnonzero(self.live)

    def layer(self, arms: ArrayLike) -> NDArray[np.intp]:
        """Hidden layer of each arm, from 0."""
        return self._layer[np.asarray(arms, dtype=np.intp)]

    def unit(self, arms: ArrayLike) -> NDArray[np.intp]:
        """Place of each arm in its layer of the original network."""
        ids = np.asarray(arms, dtype=np.intp)
        return ids - self._first[self._layer[ids]]

    def position(self, arms: ArrayLike) -> NDArray[np.intp]:
        """Place of each live arm in its present layer."""
        ids = np.asarray(arms, dtype=np.intp)
        seen = np.cumsum(self.live) - 1
        before = np.concatenate([[0], np.cumsum(self.sizes)])
        return seen[ids] - before[self._layer[ids]]

    def remove(self, arms: ArrayLike) -> None:
        """These neurons are gone."""
        self.live[np.asarray(arms, dtype=np.intp)] = False

    def support(self) -> list[NDArray[np.bool_]]:
        """For each hidden layer which of its original neurons live."""
        return [part.copy() for part in np.split(self.live, self._first[1:-1])]
