"""What a network computes on samples: pulls, estimates and statistics start from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.losses import SampleLoss
from ..data.samples import Samples
from ..graph.graph import Graph
from ..graph.groups import Group
from ..graph.kinds.base import Fold

# Numbers that are kept at most: larger values are computed again instead.
_LARGEST = 2**26


class Activations:
    """A network on samples, and the values that it computes there.

    The values are those that groups of units are read as, and those that their readers return.
    They are computed when they are first asked for.

    Parameters
    ----------
    graph : Graph
    samples : Samples
    values : dict of int to Tensor of shape (n_units, n_samples), optional
        Values by number, where they are known.

    Attributes
    ----------
    keeps : bool
        Whether values are kept once they were computed: not those that would be too large.
    """

    def __init__(self, graph: Graph, samples: Samples, values: dict[int, Tensor] | None = None):
        self.graph, self.samples = graph, samples
        self._values = values
        self.keeps = len(samples) * sum(graph.sizes) <= _LARGEST

    def values(self) -> dict[int, Tensor]:
        """Values by number, each of shape (n_units, n_samples)."""
        if self._values is not None:
            return self._values
        with torch.inference_mode():
            values = self.graph.run({0: self.samples.x}, _wanted(self.graph), feature_major=True)
        if self.keeps:
            self._values = values
        return values

    def hidden(self, number: int) -> Tensor:
        """Activations of a group's units: what its readers read, (n_units, n_samples)."""
        return self.values()[self.graph.groups[number].value]

    @property
    def logits(self) -> Tensor:
        """What the output layer returns, (n_outputs, n_samples)."""
        return self.values()[self.graph.logits]

    def at(self, index: Tensor | slice) -> Activations:
        """On these samples only, in this order."""
        values = None
        if self._values is not None:
            # A tenth of the time of running them again.
            values = {
                number: z[:, index] if isinstance(index, slice) else z.index_select(1, index)
                for number, z in self._values.items()
            }
        return Activations(self.graph, self.samples.at(index), values)

    def losses(self) -> Tensor:
        """Loss of each sample, float64, (n_samples,)."""
        with torch.inference_mode():
            return sample_losses(self.graph, self.logits, self.samples.targets, self.samples.loss)

    def mean_loss(self) -> float:
        """Weighted mean loss."""
        weights = self.samples.weights
        return float(self.losses() @ weights / weights.sum())

    def after(
        self, smaller: Graph, keep: Sequence[Tensor | None], folds: Sequence[Fold]
    ) -> Activations:
        """Of the network without some units.

        The first group's activations stay.  What its reader returns moves by a term for each
        unit removed from it; only what is downstream of that runs again.

        Parameters
        ----------
        smaller : Graph
        keep : sequence of Tensor of bool, shape (size,), or None, one for each group
            None: all of them.
        folds : sequence of Fold, one for each group
            What the kept units take over; see :func:`~sklearn_mabprune.graph.surgery.cut`.
        """
        if self._values is None:
            return Activations(smaller, self.samples)
        first = self.graph.groups[0]
        with torch.inference_mode():
            known = self._moved(first, keep, folds[0])
            values = smaller.run(known, _wanted(smaller), feature_major=True)
        return Activations(smaller, self.samples, values)

    def _moved(self, group: Group, keep: Sequence[Tensor | None], fold: Fold) -> dict[int, Tensor]:
        """Activations of the first group and what its reader returns, after the removal."""
        reader, values = self.graph.reader(group), self.values()
        hidden, z = values[group.value], values[reader.value]
        stay = keep[0]
        if stay is not None:
            gone = (~stay).nonzero()[:, 0]
            lost, hidden = (
                hidden.index_select(0, gone),
                hidden.index_select(0, stay.nonzero()[:, 0]),
            )
            if fold is not None:
                slopes, constants = fold
                lost -= constants.to(lost.dtype)[:, None]
                if slopes is not None:
                    lost.addmm_(slopes.T.to(lost.dtype), hidden, alpha=-1)
            z = z - reader.kind.enter(reader.layer, lost, gone)
        if len(keep) > 1 and keep[1] is not None:
            # The reader's output units are the second group.
            z = z.index_select(0, keep[1].nonzero()[:, 0])
        return {group.value: hidden, reader.value: z}


def _wanted(graph: Graph) -> list[int]:
    """The values that groups are read as, and those that their readers return."""
    return [value for group in graph.groups for value in (group.value, graph.reader(group).value)]


def sample_losses(graph: Graph, logits: Tensor, targets: Tensor, loss: SampleLoss) -> Tensor:
    """Losses of raw outputs in the feature-major layout.

    Parameters
    ----------
    graph : Graph
        Says what follows the output layer.
    logits : Tensor of shape (n_outputs, ..., n_samples)
    targets : Tensor of shape (n_samples,) or (n_samples, n_outputs)
    loss : SampleLoss

    Returns
    -------
    Tensor of float64, shape (..., n_samples)
    """
    if not graph.has_tail and loss.takes_feature_major(targets):
        return loss.feature_major(logits, targets).double()
    outputs = predictions(graph, logits.flatten(1).T)
    repeated = targets.repeat(len(outputs) // len(targets), *[1] * (targets.dim() - 1))
    return loss(outputs, repeated).double().view(logits.shape[1:])


def predictions(graph: Graph, logits: Tensor) -> Tensor:
    """The network's outputs from those of the output layer, (n_samples, n_outputs)."""
    found: Any = graph.run({graph.logits: logits})[graph.output]
    return found
