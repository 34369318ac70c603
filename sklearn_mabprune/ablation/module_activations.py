"""What any network computes on samples: pulls, estimates and statistics start from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.module_network import ModuleNetwork
from ..graph.readers import Reader
from .chunks import parts_of
from .module_block import ModuleBlock
from .outputs import predictions, sample_losses
from .reader_rows import numbers_of_values
from .reader_statistics import ReaderStatistics

# Numbers of one group's values that criteria see.
_MOST_NUMBERS = 2**24

#: Samples of losses, pulls and estimates at least, and MACs of one run of the network on them.
_LEAST_PULLED, _PULLED_MACS = 256, 2**33

#: MACs per sample from which on smaller weights pay.
_SLIM_MACS = 2**20


class ModuleActivations:
    """A network of any form on samples, as :class:`~.activations.Activations` for chains.

    Values are computed where they are needed, in parts of the samples, and not kept.

    Parameters
    ----------
    network : ModuleNetwork
    samples : Samples
        Of losses, pulls and estimates.
    numbers : mapping of int to int, optional
        Numbers of each value, for one sample.
    fitted_on : Samples, optional
        Of statistics and criteria, which need one run of the network; `samples` if not given.
    """

    keeps = False

    def __init__(
        self,
        network: ModuleNetwork,
        samples: Samples,
        numbers: Mapping[int, int] | None = None,
        fitted_on: Samples | None = None,
    ):
        self.graph, self.samples = network, samples
        self.fitted_on = samples if fitted_on is None else fitted_on
        self.numbers = numbers_of_values(network, samples.x) if numbers is None else numbers
        self._losses: Tensor | None = None
        self._statistics: ReaderStatistics | None = None
        self._block: ModuleBlock | None = None

    def at(self, index: Tensor | slice) -> ModuleActivations:
        """On these samples only, in this order."""
        return ModuleActivations(self.graph, self.samples.at(index), self.numbers)

    def for_pulls(self, seed: int) -> ModuleActivations:
        """With fewer samples for losses, pulls and estimates where a network computes much.

        Statistics and criteria keep all of them.

        Parameters
        ----------
        seed : int
            Of the samples that are drawn.
        """
        n_samples, (_, macs) = len(self.samples), self.graph.cost()
        most = max(_LEAST_PULLED, _PULLED_MACS // max(1, macs))
        if n_samples <= most:
            return self
        generator = torch.Generator().manual_seed(seed)
        index = torch.randperm(n_samples, generator=generator)[:most].sort()[0]
        some = self.samples.at(index.to(self.graph.device))
        return ModuleActivations(self.graph, some, self.numbers, self.fitted_on)

    def losses(self) -> Tensor:
        """Loss of each sample, float64, (n_samples,)."""
        if self._losses is None and self._statistics is not None:
            # Pulls and estimates go on from the same run.
            self._losses = self.block(self._statistics).base
        if self._losses is None:
            network, samples = self.graph, self.samples
            found = []
            with torch.inference_mode():
                for part in parts_of(len(samples), max(self.numbers.values())):
                    known = network.known(samples.x[part])
                    logits = network.run(known, [network.logits])[network.logits]
                    found.append(
                        sample_losses(network, logits.T, samples.targets[part], samples.loss)
                    )
            self._losses = torch.cat(found)
        return self._losses

    def magnitudes(self) -> list[Tensor]:
        """Largest value that each group is read with, by sample, (n_samples,) of each group."""
        return self._first_run[1]

    def outputs(self) -> Tensor:
        """What the network returns, (n_samples, n_outputs)."""
        return self._first_run[0]

    @cached_property
    def _first_run(self) -> tuple[Tensor, list[Tensor]]:
        """Outputs and magnitudes, by one run of the network on all samples."""
        network = self.graph
        readers = [group.readers[0] for group in network.groups]
        reads = {reader.reads for reader in readers}
        outputs, found = [], list[list[Tensor]]([[] for _ in readers])
        for part in parts_of(len(self.samples), sum(self.numbers.values())):
            known = network.known(self.samples.x[part])
            with torch.inference_mode():
                values = network.run(known, sorted(reads | {network.output}))
                outputs.append(values[network.output])
                for each, reader in zip(found, readers, strict=True):
                    flat = _by_sample(reader, values[reader.reads])
                    if len(flat) != part.stop - part.start:
                        flat = flat.reshape(part.stop - part.start, -1)
                    others = tuple(range(1, flat.dim()))
                    each.append(torch.maximum(flat.amax(others), -flat.amin(others)))
        return torch.cat(outputs), [torch.cat(each) for each in found]

    def mean_loss(self) -> float:
        """Weighted mean loss."""
        weights = self.samples.weights
        return float(self.losses() @ weights / weights.sum())

    def statistics(
        self, name: str, ridge: float, refresh: float, pruned: Sequence[bool] | None = None
    ) -> ReaderStatistics:
        """The fits of all readers, to be kept up to date over a path from here."""
        return ReaderStatistics(name, ridge, refresh, pruned)

    def block(self, statistics: ReaderStatistics, chunk: int | None = None) -> ModuleBlock:
        """All these samples, ready to measure ablations on."""
        block = self._block
        if block is None or block.statistics is not statistics or chunk not in (None, block.chunk):
            block = ModuleBlock(self.graph, self.samples, statistics, self.numbers, chunk)
            self._block = block
        return block

    def without(
        self, units: Sequence[Tensor | None], statistics: ReaderStatistics
    ) -> ModuleActivations:
        """Of the network without some units, on the same samples.

        What the readers' other weights take over is what pulls measured; after that all readers
        are fitted to the unpruned network anew.

        Parameters
        ----------
        units : sequence of Tensor of int or None, one for each group
            Positions of the units to remove, increasing; None: none.
        statistics : ReaderStatistics
            Brought up to date.
        """
        smaller = self.of(statistics.removed(self.graph, units))
        if statistics.is_stale(smaller.graph):
            smaller = statistics.measured_again(smaller)
        smaller._statistics = statistics
        return smaller

    def of(self, network: ModuleNetwork) -> ModuleActivations:
        """Of a smaller network, which runs with smaller weights where that pays."""
        plain = {"neuron", "channel"}.issuperset(group.unit_kind for group in network.groups)
        readers = [reader for group in network.groups for reader in group.readers]
        if (
            network.program.convolves
            and network.cost()[1] >= _SLIM_MACS
            and plain
            and all(reader.blocks == 1 for reader in readers)
        ):
            network = network.slimmed(self.samples.x[:2])
        return ModuleActivations(network, self.samples, self.numbers, self.fitted_on)

    # ------------------------------------------------------------------- for criteria

    def weights(self, number: int) -> tuple[Tensor, Tensor | None, Tensor]:
        """Incoming weights and biases of a group's units, a unit in each row, and outgoing ones."""
        group = self.graph.groups[number]
        incoming = [self._slices(number, s.weight, s.outputs) for s in group.producers]
        outgoing = [self._slices(number, s.weight, s.inputs) for s in group.readers if s.weighted]
        outgoing = outgoing or [incoming[0].new_ones(len(incoming[0]), 1)]  # of a mean
        biases = [s.bias for s in group.producers if (s.bias, 0) in group.members]
        bias = self._slices(number, biases[0], 0)[:, 0] if biases else None
        return torch.cat(incoming, 1), bias, torch.cat(outgoing, 1).T

    def _slices(self, number: int, weight: str, axis: int) -> Tensor:
        """Slices of a weight along an axis, those of a unit in each row."""
        network = self.graph
        places = network.groups[number].members[weight, axis][network.kept[number]]
        tensor = network.weights[weight]
        chosen = torch.as_tensor(places, device=tensor.device)
        found = tensor.index_select(axis, chosen.flatten()).movedim(axis, 0)
        return found.reshape(len(places), -1)

    def hidden(self, number: int) -> Tensor:
        """A group's values, as its first reader reads them, (n_units, n_rows).

        Rows are samples and positions, of some samples where these are too many.
        """
        reader = self.graph.groups[number].readers[0]
        return torch.cat([self._rows(number, v[reader.reads]) for v, _ in self._traced(False)]).T

    def gradients(self) -> list[Tensor]:
        """Gradients of losses with respect to :meth:`hidden`, (n_rows, n_units), by group.

        Times the rows of a sample, so that means over rows are sums over positions.
        """
        traced, found = list(self._traced(True)), []
        for number, group in enumerate(self.graph.groups):
            rows = [self._rows(number, g[group.readers[0].reads]) for _, g in traced]
            every = torch.cat(rows)
            found.append(every * (len(every) // len(self._few.samples)))
        return found

    def row_weights(self, n_rows: int) -> Tensor:
        """Weights of the rows of :meth:`hidden`, which sum to 1, (n_rows,)."""
        weights = self._few.samples.weights
        repeated = weights.repeat_interleave(n_rows // len(weights))
        return repeated / repeated.sum()

    def residual_variance(self, number: int, ridge: float) -> Tensor:
        """The variance of each unit that the others cannot predict, summed over its columns."""
        statistics = ReaderStatistics("least_squares", ridge).update(self)
        units = torch.arange(self.graph.sizes[number], device=self.graph.device)
        reads = statistics.reads[number] or []
        total = torch.zeros(len(units), dtype=torch.float64, device=self.graph.device)
        for read, columns in zip(
            reads, statistics.columns(self.graph, number, units) or [], strict=True
        ):
            total += statistics.fits[read.weight].residual_variance(columns)
        return total

    @cached_property
    def _few(self) -> ModuleActivations:
        """On evenly spaced samples, if rows of all of them would be too many."""
        samples, device = self.fitted_on, self.graph.device
        most = max(self.numbers[group.readers[0].reads] for group in self.graph.groups)
        n_samples = min(len(samples), max(2, _MOST_NUMBERS // most))
        if n_samples < len(samples):
            index = torch.linspace(0, len(samples) - 1, n_samples, device=device)
            samples = samples.at(index.round().long())
        return ModuleActivations(self.graph.whole(), samples, self.numbers)

    def _rows(self, number: int, value: Tensor) -> Tensor:
        """A group's units in a value that its first reader reads, (n_rows, n_units)."""
        network = self.graph
        reader = network.groups[number].readers[0]
        columns = torch.as_tensor(reader.columns[network.kept[number]], device=value.device)
        value = _by_sample(reader, value)
        if reader.spatial:
            value = value.reshape(len(value), reader.blocks, -1, math.prod(value.shape[2:]))
            chosen = value[:, :, columns[:, :: reader.taps]]
            return chosen.permute(0, 1, 4, 3, 2).flatten(0, -2)
        chosen = value.reshape(len(value), -1, value.shape[-1])[..., columns]
        return chosen.transpose(2, 3).flatten(0, -2)

    def _traced(self, with_gradients: bool) -> Iterator[tuple[Any, Any]]:
        """Values that first readers read, and gradients of losses, in parts of some samples."""
        network, samples = self._few.graph, self._few.samples
        reads = sorted({group.readers[0].reads for group in network.groups})
        for part in parts_of(len(samples), sum(self.numbers.values())):
            known = network.known(samples.x[part])
            if not with_gradients:
                with torch.inference_mode():
                    yield network.run(known, reads), None
                continue
            # Parameters let torch record how values follow.
            weights = dict(network.weights)
            for name, _ in network.module.named_parameters():
                weights[name] = weights[name].clone().requires_grad_()
            with torch.enable_grad():
                values = network.run(known, [*reads, network.logits], weights)
                outputs = predictions(network, values[network.logits])
                losses = samples.loss(outputs, samples.targets[part])
                found = torch.autograd.grad(losses.sum(), [values[value] for value in reads])
            yield values, dict(zip(reads, found, strict=True))


def _by_sample(reader: Reader, value: Tensor) -> Tensor:
    """A value that a reader reads, sample by sample."""
    return value if reader.layout is None else reader.layout.by_sample(value)
