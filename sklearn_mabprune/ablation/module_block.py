"""How much the loss rises when units of any network are ablated: many units at once.

What a group's readers return moves by minus the product of their weights with the units' ablated
parts, so the samples run through the network once, and for each unit only what is downstream of
the readers runs again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.layouts import Layout
from ..graph.module_network import ModuleNetwork
from ..graph.readers import Reader
from .chunks import chunk_for, parts_of
from .loss_models import passes
from .module_estimates import estimate
from .outputs import sample_losses
from .reader_statistics import ReaderStatistics
from .suffix import Suffix
from .unit_moves import unit_moves

#: Numbers of the largest temporary, which fits into a cache of the second level, and of what a
#: block keeps.
CHUNK, KEPT = {"cpu": 2**20, "cuda": 2**26}, 2**27


class ModuleBlock:
    """One block of samples run through one network, ready to measure ablations on.

    Parameters
    ----------
    network : ModuleNetwork
        As it stands.
    samples : Samples
    statistics : ReaderStatistics
        Frozen while the block is used.
    numbers : mapping of int to int
        Numbers of each value, for one sample.
    chunk : int, optional
        Numbers of the largest temporary.

    Attributes
    ----------
    logits : Tensor of shape (n_outputs, n_samples)
    base : Tensor of float64, shape (n_samples,)
        Loss of each sample as it is.
    weight, mean_loss : float
        Sum of the sample weights, and the weighted mean loss.
    """

    def __init__(
        self,
        network: ModuleNetwork,
        samples: Samples,
        statistics: ReaderStatistics,
        numbers: Mapping[int, int],
        chunk: int | None = None,
    ):
        self.graph, self.samples, self.statistics = network, samples, statistics
        self.numbers = numbers
        self.chunk = chunk or chunk_for(network.device, CHUNK)
        self._kept: dict[int, Tensor] | None = None
        self._wanted = sorted(
            {value for number in range(len(network.groups)) for value in self._values_of(number)}
        )
        with torch.inference_mode():
            self.logits = self._run_all()
            self.base = sample_losses(network, self.logits, samples.targets, samples.loss)
            self.weight = float(samples.weights.sum())
            self.mean_loss = float(self.base @ samples.weights) / self.weight

    def _suffix(self, number: int) -> Suffix:
        return self.statistics.suffix(self.graph, number, self.samples.x)

    def _values_of(self, number: int) -> list[int]:
        """Values that measuring a group starts from."""
        reads = self.statistics.reads[number]
        if reads is None or not self._suffix(number).usable:
            return []
        readers = [reader for read in reads for reader in read.readers]
        return [
            *self._suffix(number).frontier,
            *(reader.reads for reader in readers),
            *(reader.value for reader in readers),
        ]

    def _run_all(self) -> Tensor:
        """The logits; values are kept where they are not too many."""
        network, wanted = self.graph, [*self._wanted, self.graph.logits]
        numbers = sum(self.numbers.get(value, 0) for value in wanted)
        if len(self.samples) * numbers <= KEPT:
            values = network.run(network.known(self.samples.x), wanted)
            self._kept = values
            return values[network.logits].T
        logits = [
            network.run(network.known(self.samples.x[part]), [network.logits])
            for part in parts_of(len(self.samples), max(self.numbers.values()), KEPT)
        ]
        return torch.cat([each[network.logits] for each in logits]).T

    def _values(self, number: int, part: slice) -> Any:
        """Values that measuring a group starts from, on some of the samples."""
        wanted = self._values_of(number)
        if self._kept is None:
            known = self.graph.known(self.samples.x[part])
            return self.graph.run(known, wanted)
        if part == slice(0, len(self.samples)):
            return self._kept
        held = self._layouts_of(number)
        if any(layout is not None and layout.each > 1 for layout in held.values()):
            # Samples and positions in one dimension.
            return self.graph.run(self.graph.known(self.samples.x[part]), wanted)
        return {
            value: self._kept[value][(*[slice(None)] * layout.axis, part)]
            if (layout := held[value])
            else self._kept[value]
            for value in wanted
        }

    def _layouts_of(self, number: int) -> dict[int, Layout | None]:
        """How the values hold the samples that measuring a group starts from."""
        readers = [r for read in self.statistics.reads[number] or [] for r in read.readers]
        of_readers = {value: r.layout for r in readers for value in (r.reads, r.value)}
        return {**self._suffix(number).frontier, **of_readers}

    # ------------------------------------------------------------------------- measuring

    def loss_increase(self, number: int, units: Tensor) -> Tensor:
        """Rise of the mean loss when each of these units alone is ablated.

        Parameters
        ----------
        number : int
            Of the group.
        units : Tensor of int, shape (n_units,)
            Positions in the group as it stands.

        Returns
        -------
        Tensor of float64, shape (n_units,)
            Weighted mean over the block's samples of masked minus unmasked loss.
        """
        with torch.inference_mode():
            if self.statistics.reads[number] is None or not self._suffix(number).usable:
                total = self._one_by_one(number, units)
            else:
                total = self._many_at_once(number, units)
        return total / self.weight - self.mean_loss

    def _many_at_once(self, number: int, units: Tensor) -> Tensor:
        samples, weights = self.samples, self.samples.weights
        suffix, total = self._suffix(number), weights.new_zeros(len(units))
        moves_of = unit_moves(self.graph, self.statistics, number, units)
        for part in parts_of(len(samples), self._numbers_each(number), self.chunk):
            values, n_samples = self._values(number, part), part.stop - part.start
            residuals = [
                (moves, reader, moves.residual(reader, values[reader.reads]))
                for moves in moves_of
                for reader in moves.readers
            ]
            at_once = max(1, self.chunk // (suffix.numbers * n_samples))
            targets, each = samples.targets[part], weights[part]
            for first in range(0, len(units), at_once):
                some = slice(first, min(first + at_once, len(units)))
                known = {
                    reader.value: moves.moved(reader, residual, some, values[reader.value])
                    for moves, reader, residual in residuals
                }
                n_units = some.stop - first
                logits = suffix.logits(self.graph, known, values, n_units, n_samples)
                logits = logits.reshape(n_units, n_samples, -1).permute(2, 0, 1)
                losses = sample_losses(self.graph, logits, targets, samples.loss)
                total[some] += losses @ each
        return total

    def _numbers_each(self, number: int) -> int:
        """Numbers of the largest temporary, for one sample: patches, or a value downstream."""
        reads = self.statistics.reads[number] or []
        patches = [
            self.numbers[reader.value] * read.columns.numel() // _n_outputs(self.graph, reader)
            for read in reads
            for reader in read.readers
        ]
        return max(self._suffix(number).numbers, *patches)

    def _one_by_one(self, number: int, units: Tensor) -> Tensor:
        """Units whose readers read each other: the whole network runs for each."""
        samples, weights = self.samples, self.samples.weights
        total = weights.new_zeros(len(units))
        for k, unit in enumerate(units):
            changed = self.statistics.weights_without(self.graph, number, unit)
            for part in parts_of(len(samples), max(self.numbers.values()), self.chunk):
                known = self.graph.known(samples.x[part])
                logits = self.graph.run(known, [self.graph.logits], changed)[self.graph.logits]
                targets = samples.targets[part]
                losses = sample_losses(self.graph, logits.T, targets, samples.loss)
                total[k] += losses @ weights[part]
        return total

    # ------------------------------------------------------------------------- estimates

    def estimate(
        self,
        kind: str,
        generator: torch.Generator,
        parts: Sequence[slice | Tensor] = (slice(None),),
        units: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Estimated rises, (n_parts, n_units); as :func:`~.estimates.estimate` for chains."""
        return estimate(self, kind, generator, parts, units)

    def passes(self, kind: str) -> int:
        """Backward passes that an estimate takes."""
        return passes(kind, self)


def _n_outputs(network: ModuleNetwork, reader: Reader) -> int:
    if reader.outputs_axis < 0:
        return 1
    return int(network.weights[reader.weight].shape[reader.outputs_axis])
