"""The outline of a path: its sizes and the order of removal, as small arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.units import UnitTable
from .path_record import PruningPath


def outline_of(path: PruningPath) -> dict[str, Any]:
    """What :func:`path_of_outline` needs, in the smallest types that hold it.

    Returns
    -------
    dict
        ``sizes``, the units of each layer of the unpruned network; ``removed``, arms in the order
        of their removal; ``rounds``, how many of them each round removed; ``n_parameters`` and
        ``n_macs`` of each step.
    """
    return {
        "sizes": tuple(int(size) for size in path.layer_sizes[0]),
        "removed": _small(np.concatenate(path.removed)),
        "rounds": _small([len(arms) for arms in path.removed[1:]]),
        "n_parameters": _small(path.n_parameters),
        "n_macs": _small(path.n_macs),
    }


def path_of_outline(
    sizes: Sequence[int],
    removed: NDArray[Any],
    rounds: NDArray[Any],
    n_parameters: NDArray[Any],
    n_macs: NDArray[Any],
) -> PruningPath:
    """A path without what was measured and kept along it; asked for that, it raises an error."""
    ends = np.cumsum(rounds, dtype=np.intp)
    arms = np.asarray(removed, dtype=np.intp)
    gone = np.zeros((len(ends) + 1, len(sizes)), dtype=np.intp)
    steps = np.repeat(np.arange(1, len(ends) + 1), np.asarray(rounds, dtype=np.intp))
    np.add.at(gone, (steps, UnitTable(tuple(sizes)).group(arms)), 1)
    left = np.asarray(sizes) - gone.cumsum(axis=0)
    path: PruningPath = object.__new__(PruningPath)
    vars(path).update(
        n_neurons=left.sum(axis=1),
        n_parameters=np.asarray(n_parameters, dtype=np.intp),
        n_macs=np.asarray(n_macs, dtype=np.intp),
        layer_sizes=[tuple(int(size) for size in step) for step in left],
        removed=[arms[:0], *np.split(arms, ends)[:-1]],
    )
    return path


def _small(numbers: Any) -> NDArray[np.unsignedinteger]:
    """Numbers that are not negative, in the smallest unsigned type that holds them all."""
    values = np.asarray(numbers, dtype=np.intp)
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
