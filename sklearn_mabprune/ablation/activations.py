"""What a network computes on samples: pulls, estimates and statistics start from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.graph import Graph
from ..graph.groups import Group
from ..graph.kinds.base import Fold
from ..graph.surgery import cut
from .block import Block
from .compensation import LeastSquaresAblation, ZeroAblation, kept
from .outputs import predictions, sample_losses
from .statistics import AblationStatistics

# Numbers that are kept at most: larger values are computed again instead.
_LARGEST = 2**26

# Samples that run at a time where values are not kept.
_PART = 2**13


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

    def outputs(self) -> Tensor:
        """What the output layer returns, (n_samples, n_outputs)."""
        if self.keeps:
            return self.logits.T
        x, logits = self.samples.x, self.graph.logits
        starts = range(0, len(self.samples), _PART)
        with torch.inference_mode():
            return torch.cat(
                [self.graph.run({0: x[k : k + _PART]}, [logits])[logits] for k in starts]
            )

    def magnitudes(self) -> list[Tensor]:
        """Largest absolute activation of each sample, (n_samples,), for each group of units."""
        values = self.values()
        return [
            torch.linalg.vector_norm(values[group.value].flatten(0, -2), ord=torch.inf, dim=0)
            for group in self.graph.groups
        ]

    @property
    def logits(self) -> Tensor:
        """What the output layer returns, (n_outputs, n_samples)."""
        return self.values()[self.graph.logits]

    def for_pulls(self, seed: int) -> Activations:
        """All samples: pulls on chains cost little."""
        return self

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

    def weights(self, number: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Incoming weights and biases of a group's units, a unit in each row, and outgoing ones."""
        group = self.graph.groups[number]
        producer, reader = self.graph.producer(group), self.graph.reader(group)
        weight, bias = producer.kind.weights(producer.layer)
        return weight, bias, reader.kind.weights(reader.layer)[0]

    def gradients(self) -> list[Tensor]:
        """Gradients of each sample's loss with respect to activations, (n_samples, n_units)."""
        graph, samples = self.graph, self.samples
        values = [group.value for group in graph.groups]
        found = graph.run({0: samples.x}, [*values, graph.logits])
        losses = samples.loss(predictions(graph, found[graph.logits]), samples.targets)
        return list(torch.autograd.grad(losses.sum(), [found[value] for value in values]))

    def row_weights(self, n_rows: int) -> Tensor:
        """Weights of the samples, which sum to 1, (n_samples,)."""
        return self.samples.weights / self.samples.weights.sum()

    def residual_variance(self, number: int, ridge: float) -> Tensor:
        """1 / P_jj: the variance of each unit that the rest of its group cannot predict."""
        weights = self.samples.weights.double()
        normalised = weights / weights.sum()
        ablation = LeastSquaresAblation(self.hidden(number), normalised, ridge)
        return 1.0 / ablation.inverse.diagonal()

    def statistics(
        self, name: str, ridge: float, refresh: float, pruned: Sequence[bool] | None = None
    ) -> AblationStatistics:
        """The ablations of all groups, to be kept up to date over a path from here."""
        return AblationStatistics(name, ridge, refresh, pruned)

    def block(self, ablations: Sequence[ZeroAblation], chunk: int | None = None) -> Block:
        """All these samples, ready to measure ablations on; see :class:`Block`."""
        return Block(self.graph, self.samples, self.values(), ablations, chunk)

    def without(
        self, units: Sequence[Tensor | None], ablations: Sequence[ZeroAblation]
    ) -> Activations:
        """Of the network without some units, on the same samples.

        The first group's activations stay.  What its reader returns moves by a term for each
        unit removed from it; only what is downstream of that runs again.

        Parameters
        ----------
        units : sequence of Tensor of int or None, one for each group
            Positions of the units to remove, increasing; None: none.
        ablations : sequence of ZeroAblation, one for each group
            They say what the units' readers take over, and are brought up to date.
        """
        keep: list[Tensor | None] = []
        folds: list[Fold] = []
        for group, gone, ablation in zip(self.graph.groups, units, ablations, strict=True):
            keep.append(None if gone is None else kept(gone, group.size))
            folds.append(None if gone is None else ablation.fold(gone))
            if gone is not None:
                ablation.remove(gone)
        smaller = cut(self.graph, keep, folds)
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
