"""What removals do to the weights of all readers of a network, kept up to date over a path."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..graph.module_network import ModuleNetwork
from .channel_fit import ChannelFit
from .chunks import parts_of
from .head_values import HeadValues, head_values
from .reader_fits import FITS, LeastSquaresFit, ZeroFit
from .reader_rows import ChannelSample, RowSample, sums_over_rows
from .reads import Read, other_uses, reads_of
from .streams import Shifts, added_to, shifts_of
from .suffix import Suffix

if TYPE_CHECKING:
    from .module_activations import ModuleActivations

#: Most columns, or channels, of a matrix whose Gram matrix is made.
MOST_COLUMNS = 4096

_ABOVE = f"more than {MOST_COLUMNS:,} inputs"


class ReaderStatistics:
    """The fits of all weights that read units.

    Parameters
    ----------
    name : {"least_squares", "mean", "zero"}
    ridge : float
        Fraction of the mean variance of a reader's columns.
    refresh : float
        Fraction of the units from whose removal on statistics are computed anew in every round,
        and readers fitted to the unpruned network.
    pruned : sequence of bool, optional
        Groups whose units may go, the others do not count; all if not given.

    Attributes
    ----------
    reads : list of list of Read or None, one for each group
        None: a group that is read by something else than a product, whose weights become zero.
    fits : dict of str to ZeroFit
        By weight.
    n_factorisations : list of int
        How often each group's statistics were computed.
    remarks : dict of str to str
        What takes the place of least squares where modules read units, and why, by their names.
    """

    def __init__(
        self,
        name: str,
        ridge: float,
        refresh: float = 0.2,
        pruned: Sequence[bool] | None = None,
    ):
        self.name, self.ridge, self.refresh, self.pruned = name, ridge, refresh, pruned
        self.reads: list[list[Read] | None] = []
        self.fits: dict[str, ZeroFit] = {}
        self.n_factorisations: list[int] = []
        self.remarks: dict[str, str] = {}
        self._sampled: dict[str, list[RowSample]] = {}
        self._shifts: dict[str, list[Shifts]] = {}
        self._parts: Sequence[slice] = ()
        self._suffixes: dict[int, Suffix] = {}
        self._values: dict[int, HeadValues | None] = {}
        self._changed_values: set[int] = set()

    def update(self, activations: ModuleActivations) -> ReaderStatistics:
        """The statistics for the network as it stands: those of the unpruned one at first."""
        if not self.reads:
            network = activations.graph
            self.reads = [reads_of(network, group) for group in network.groups]
            self.n_factorisations[:] = [0] * len(self.reads)
            self._start(activations)
            self.measure(activations, unpruned=True)
        return self

    def _start(self, activations: ModuleActivations) -> None:
        """A fit for each weight, and what its readers return in the unpruned network."""
        network, samples = activations.graph, activations.fitted_on
        weights = {read.weight: read for reads in self.reads for read in reads or []}
        values = [r.value for read in weights.values() for r in read.readers]
        with torch.inference_mode():
            shapes = network.run(network.known(samples.x[:2]), sorted(set(values)))
        for number, (name, read) in enumerate(weights.items()):
            matrix = read.matrix(network.weights[name])
            families = self._families(read, matrix.shape[-1])
            self._shifts[name] = shifts_of(network, read, samples.x[:2])
            fit = self._fit(network, read, matrix, families)
            self.fits[name] = fit
            if not fit.needs_rows:
                continue
            positions = [r.rows(shapes[r.value]).shape[2] for r in read.readers]
            drawn = (positions, len(samples), number)
            if isinstance(fit, ChannelFit):
                self._sampled[name] = [ChannelSample(read.readers, f, *drawn) for f in families]
            else:
                sample = RowSample(read.readers, matrix.shape[-1], *drawn)
                if fit.needs_gram and len(read.readers) == 1 and not read.recurrent:
                    sample.added = [added_to(network, read.readers[0], samples.x[:2])]
                self._sampled[name] = [sample]
        sampled = [sample for some in self._sampled.values() for sample in some]
        if sampled:
            numbers = activations.numbers
            reads = {r.reads for sample in sampled for r in sample.readers}
            of_rows = sum(sample.n_numbers for sample in sampled)
            most = max(numbers.values())
            self._parts = parts_of(len(samples), most + of_rows + sum(numbers[r] for r in reads))

    def _fit(
        self, network: ModuleNetwork, read: Read, matrix: Tensor, families: list[Tensor]
    ) -> ZeroFit:
        """What a weight's readers do about removed columns."""
        live = torch.arange(matrix.shape[-1], device=network.device)
        biased = bool(self._shifts[read.weight])
        kind, why = FITS[self.name], other_uses(network, read)
        module = read.readers[0].module or read.weight
        if why is not None:
            if kind.needs_rows:
                self.remarks[module] = f"nothing, as {why}"
            return FITS["zero"](live, biased)
        if not kind.needs_gram or len(live) <= MOST_COLUMNS:
            return kind(live, biased)
        if max(map(len, families)) <= MOST_COLUMNS:
            self.remarks[module] = f"{_ABOVE}, so channels are predicted as wholes"
            return ChannelFit(live, biased, families, matrix)
        self.remarks[module] = f"{_ABOVE}, so removed ones count as their means"
        return FITS["mean"](live, biased)

    def _families(self, read: Read, n_columns: int) -> list[Tensor]:
        """Columns of the channels that one weight reads, (n_channels, n_places), by places."""
        taps, found = read.readers[0].taps, dict[int, list[Tensor]]()
        for reads in self.reads:
            for other in reads or []:
                if other.weight == read.weight:
                    found.setdefault(other.columns.shape[1], []).append(other.columns)
        if taps > 1 and set(found) == {taps}:
            # Channels that belong to no group help to predict.
            return [torch.arange(n_columns, device=read.columns.device).view(taps, -1).T]
        return [torch.cat(columns) for columns in found.values()]

    def measure(
        self,
        activations: ModuleActivations,
        names: Collection[str] | None = None,
        unpruned: bool = False,
    ) -> None:
        """Statistics of the network as it stands, of all weights or some."""
        names = self._sampled if names is None else names
        if not names:
            return
        sampled = [
            (sample, live, self.fits[name].live)
            for name in names
            for sample, live in zip(self._sampled[name], self.fits[name].sampled, strict=True)
        ]
        gram = any(self.fits[name].needs_gram for name in names)
        network, samples = activations.graph, activations.fitted_on
        rows = iter(sums_over_rows(network, samples, sampled, self._parts, gram, unpruned))
        for name in names:
            self.fits[name].measure([next(rows) for _ in self._sampled[name]], self.ridge)
        for number, reads in enumerate(self.reads):
            # Groups whose weights are measured one after the other count once.
            self.n_factorisations[number] += bool(reads and reads[0].weight in names)

    # ------------------------------------------------------------------------ removals

    def columns(self, network: ModuleNetwork, number: int, units: Tensor) -> list[Tensor] | None:
        """Columns of units of a group as it stands, (n_units, n_each), by read."""
        reads = self.reads[number]
        if reads is None:
            return None
        stay = torch.as_tensor(np.flatnonzero(network.kept[number]), device=units.device)
        return [read.columns[stay[units]] for read in reads]

    def removed(self, network: ModuleNetwork, units: Sequence[Tensor | None]) -> ModuleNetwork:
        """The network without these units of each group; the fits are brought up to date."""
        masks = [mask.copy() for mask in network.kept]
        together: dict[str, list[Tensor]] = {}
        for number, gone in enumerate(units):
            if gone is None:
                continue
            masks[number][np.flatnonzero(masks[number])[gone.cpu().numpy()]] = False
            for reader in network.groups[number].readers:
                self._changed_values |= {reader.value, reader.runs}
            columns_of = self.columns(network, number, gone) or []
            for read, columns in zip(self.reads[number] or [], columns_of, strict=True):
                together.setdefault(read.weight, []).append(columns.flatten())
        changed: dict[str, Tensor] = {}
        for name, parts in together.items():
            columns = torch.cat(parts).unique()
            matrix = self._matrix(network, name)
            changed |= self._changed(network, name, *self.fits[name].together(matrix, columns))
            self.fits[name].remove(columns)
        # Weights of zero for what is read by something else than a product.
        return network.with_weights(changed).masked(masks)

    def measured_again(self, activations: ModuleActivations) -> ModuleActivations:
        """Statistics of the network as it stands, whose readers are fitted to the unpruned one.

        Where readers add to a residual stream one weight is fitted after the other, as each makes
        up for what those before it miss; else all at once.
        """
        changed, self._changed_values = self._changed_values, set()
        after = {operation.value for operation in activations.graph.downstream(changed)}
        for names in self._stages:
            if len(self._stages) > 1 and (after | changed).isdisjoint(self._noticed(names[0])):
                continue  # nothing that it follows from is other than when it was fitted
            activations = activations.of(self._with_values(activations, names))
            self.measure(activations, names)
            activations = activations.of(self.refitted(activations.graph, names))
        return activations

    def _noticed(self, name: str) -> set[int]:
        """Values that change where a weight's readers read, or are to return, something else."""
        added = [found for sample in self._sampled[name] for found in sample.added]
        return {self._read(name).last} | {found.total for found in added if found is not None}

    @cached_property
    def _streams(self) -> bool:
        """Whether a reader adds to a residual stream."""
        return any(any(sample.added) for some in self._sampled.values() for sample in some)

    @cached_property
    def _stages(self) -> list[list[str]]:
        """Weights in the order in which they are fitted, those that are fitted at once together."""
        names = list(self._sampled)
        if not self._streams:
            return [names]
        return [[name] for name in sorted(names, key=lambda name: self._read(name).last)]

    def _with_values(self, activations: ModuleActivations, names: Collection[str]) -> ModuleNetwork:
        """The network whose heads' values are fitted, where others of their layer are gone."""
        network = activations.graph
        for number, (mask, reads) in enumerate(zip(network.kept, self.reads, strict=True)):
            if mask.all() or not reads or reads[0].weight not in names:
                continue
            values = self._values_of(network, number, activations)
            if values is not None and values.n_columns(network) <= MOST_COLUMNS:
                (sample,) = self._sampled[values.reader.weight]
                rows = activations.fitted_on, sample, self._parts
                network = network.with_weights(values.fitted(network, *rows, self.ridge))
        return network

    def _values_of(
        self, network: ModuleNetwork, number: int, activations: ModuleActivations
    ) -> HeadValues | None:
        if number not in self._values:
            reads = self.reads[number] or []
            fits = [self.fits[read.weight] for read in reads]
            fitted = len(fits) == 1 and isinstance(fits[0], LeastSquaresFit)
            some = self._sampled[reads[0].weight] if fitted else []
            x = activations.fitted_on.x
            self._values[number] = head_values(network, number, some[0], x) if some else None
        return self._values[number]

    def refitted(self, network: ModuleNetwork, names: Collection[str]) -> ModuleNetwork:
        """The network with these readers fitted to the unpruned one, but for recurrent weights.

        What a recurrent weight is wrong by returns at each step, and a fit to single steps does
        not see that.
        """
        changed: dict[str, Tensor] = {}
        for name in names:
            fit = self.fits[name]
            if fit.needs_gram and not self._read(name).recurrent:
                matrix, bias = fit.refitted(self._matrix(network, name))
                changed |= self._changed(network, name, matrix, bias, grows=False)
        return network.with_weights(changed)

    def weights_without(
        self, network: ModuleNetwork, number: int, unit: Tensor
    ) -> Mapping[str, Tensor]:
        """Weights that change when one unit of a group is removed."""
        reads = self.reads[number]
        if reads is None:
            masks = [mask.copy() for mask in network.kept]
            masks[number][np.flatnonzero(masks[number])[int(unit)]] = False
            masked = network.masked(masks)
            return {**masked.weights, **masked.masks}
        changed: dict[str, Tensor] = {}
        columns_of = self.columns(network, number, unit[None]) or []
        for read, columns in zip(reads, columns_of, strict=True):
            matrix = self._matrix(network, read.weight)
            found = self.fits[read.weight].together(matrix, columns.flatten())
            changed |= self._changed(network, read.weight, *found)
        return changed

    def is_stale(self, network: ModuleNetwork) -> bool:
        """Whether a fraction `refresh` of the units is gone; until then statistics are down-dated.

        From then on they are computed anew after every removal.
        """
        pruned = self.pruned or [True] * len(network.groups)
        total = sum(group.size for group in compress(network.groups, pruned))
        # The tiny amount keeps .8 of 20 units from being more than 16.
        few = sum(compress(network.sizes, pruned)) <= (1 - self.refresh) * total + 1e-9
        return bool(self._sampled) and few

    def suffix(self, network: ModuleNetwork, number: int, x: Any) -> Suffix:
        """What runs again when a group's readers return something else."""
        if number not in self._suffixes:
            changed = [r.runs for read in self.reads[number] or [] for r in read.readers]
            self._suffixes[number] = Suffix(network, changed, x)
        return self._suffixes[number]

    def _read(self, name: str) -> Read:
        return next(r for reads in self.reads for r in reads or [] if r.weight == name)

    def _matrix(self, network: ModuleNetwork, name: str) -> Tensor:
        return self._read(name).matrix(network.weights[name])

    def _changed(
        self,
        network: ModuleNetwork,
        name: str,
        matrix: Tensor,
        bias: Tensor | None,
        grows: bool = True,
    ) -> dict[str, Tensor]:
        """A weight and the biases that go with it, by name."""
        read = self._read(name)
        changed = {name: read.weight_of(matrix, network.weights[name])}
        for shifts in self._shifts[name]:
            if bias is not None:
                old = network.weights[shifts.name]
                flat = shifts.of(bias.reshape(-1), old if grows else None)
                changed[shifts.name] = flat.to(old.dtype)
        return changed
