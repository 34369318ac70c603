"""The ablations of all groups, kept up to date over a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from .compensation import ZeroAblation, make_ablation

if TYPE_CHECKING:
    from .activations import Activations


class AblationStatistics:
    """The ablations of all groups, kept up to date over a path.

    A removal down-dates its own group.  Groups downstream become stale, since what their layers
    read has changed; a group's statistics are computed again when another fraction `refresh` of
    the units upstream is gone: five times over a whole path, by default.  What the first layer
    reads never changes.

    Parameters
    ----------
    name : {"least_squares", "mean", "zero"}
    ridge : float
        Fraction of the mean variance of a group's activations.
    refresh : float
        Fraction of the original units in the groups upstream of one.
    pruned : sequence of bool, optional
        Groups whose units may go, the others do not count; all if not given.

    Attributes
    ----------
    n_factorisations : list of int
        How often each group's statistics were computed.
    remarks : dict of str to str
        Of no layer: all are compensated as `name` says.
    """

    def __init__(
        self,
        name: str,
        ridge: float,
        refresh: float = 0.2,
        pruned: Sequence[bool] | None = None,
    ):
        self.name, self.pruned = name, pruned
        self.ridge = ridge
        self.refresh = refresh
        self.ablations: list[ZeroAblation] = []
        self.n_factorisations: list[int] = []
        self.remarks: dict[str, str] = {}
        self._original: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._made_at: NDArray[np.intp] = self._original

    def update(self, activations: Activations) -> list[ZeroAblation]:
        """Ablations for the network as it stands, computed again where they are stale."""
        sizes = np.asarray(activations.graph.sizes)
        if self.pruned is not None:
            sizes = sizes * np.asarray(self.pruned)
        # Where no unit upstream can go, as of the first layer, nothing becomes stale.
        left = np.maximum(np.cumsum([0, *sizes[:-1]]), 1)
        if not self.ablations:
            # The list stays the same object: others hold it.
            self.n_factorisations[:] = [0] * len(left)
            self._original = left
            self._made_at = np.full(len(left), -1)
            self.ablations = [None] * len(left)  # type: ignore[list-item]
        # The tiny amount keeps .8 of 20 units from being less than 16.
        periods = np.floor((1 - left / self._original) / self.refresh + 1e-9).astype(np.intp)
        stale = np.flatnonzero(periods > self._made_at)
        if stale.size:
            values = activations.values()
            with torch.inference_mode():
                for number in stale:
                    hidden = values[activations.graph.groups[number].value]
                    self.ablations[number] = make_ablation(
                        self.name, hidden, activations.samples.weights, self.ridge
                    )
                    self.n_factorisations[number] += 1
                    self._made_at[number] = periods[number]
        return self.ablations
