"""What removals do to the weights of all readers of a network, kept up to date over a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..graph.module_network import ModuleNetwork
from ..graph.program import Weight, leaves
from ..graph.readers import Reader
from .channel_fit import ChannelFit
from .reader_fits import FITS, ZeroFit
from .reader_rows import (
    ChannelSample,
    RowSample,
    parts_of,
    sums_over_rows,
)
from .suffix import Suffix

if TYPE_CHECKING:
    from .module_activations import ModuleActivations

#: Most columns, or channels, of a matrix whose Gram matrix is made.
MOST_COLUMNS = 4096

_ABOVE = f"more than {MOST_COLUMNS:,} inputs"


@dataclass(frozen=True)
class Read:
    """How a group is read through one weight.

    Parameters
    ----------
    weight : str
    readers : tuple of Reader
        Operations that read it; those of one weight change together.
    columns : Tensor of int, shape (n_units, n_each)
        Columns of the matrix that belong to each unit of the unpruned network.
    """

    weight: str
    readers: tuple[Reader, ...]
    columns: Tensor

    @property
    def recurrent(self) -> bool:
        """Whether the weight reads what its own operation has returned."""
        return any(reader.runs != reader.value for reader in self.readers)

    def matrix(self, weight: Tensor) -> Tensor:
        """A weight as matrices, (n_blocks, n_outputs, n_columns)."""
        reader = self.readers[0]
        return torch.stack([reader.matrix(weight, block) for block in range(reader.blocks)])

    def weight_of(self, matrix: Tensor, weight: Tensor) -> Tensor:
        """The weight that these matrices are; `weight` says its form."""
        for block, part in enumerate(matrix):
            weight = self.readers[0].with_matrix(weight, part, block)
        return weight


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

    def __init__(self, name: str, ridge: float, refresh: float = 0.2):
        self.name, self.ridge, self.refresh = name, ridge, refresh
        self.reads: list[list[Read] | None] = []
        self.fits: dict[str, ZeroFit] = {}
        self.n_factorisations: list[int] = []
        self.remarks: dict[str, str] = {}
        self._sampled: dict[str, list[RowSample]] = {}
        self._parts: Sequence[slice] = ()
        self._suffixes: dict[int, Suffix] = {}

    def update(self, activations: ModuleActivations) -> ReaderStatistics:
        """The statistics for the network as it stands: those of the unpruned one at first."""
        if not self.reads:
            network = activations.graph
            self.reads = [_reads(network, group) for group in network.groups]
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
            fit = self._fit(network, read, matrix, families)
            self.fits[name] = fit
            if not fit.needs_rows:
                continue
            positions = [r.rows(shapes[r.value]).shape[2] for r in read.readers]
            drawn = (positions, len(samples), number)
            if isinstance(fit, ChannelFit):
                self._sampled[name] = [ChannelSample(read.readers, f, *drawn) for f in families]
            else:
                self._sampled[name] = [RowSample(read.readers, matrix.shape[-1], *drawn)]
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
        biased = all(reader.bias for reader in read.readers)
        kind, why = FITS[self.name], _other_uses(network, read)
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

    def measure(self, activations: ModuleActivations, unpruned: bool = False) -> None:
        """Statistics of the network as it stands; readers are fitted to the unpruned one."""
        if not self._sampled:
            return
        sampled = [
            (sample, live, self.fits[name].live)
            for name, samples in self._sampled.items()
            for sample, live in zip(samples, self.fits[name].sampled, strict=True)
        ]
        gram = any(self.fits[name].needs_gram for name in self._sampled)
        network, samples = activations.graph, activations.fitted_on
        rows = iter(sums_over_rows(network, samples, sampled, self._parts, gram, unpruned))
        for name, some in self._sampled.items():
            self.fits[name].measure([next(rows) for _ in some], self.ridge)
        for number, reads in enumerate(self.reads):
            self.n_factorisations[number] += bool(reads)

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

    def refitted(self, network: ModuleNetwork) -> ModuleNetwork:
        """The network with all readers fitted to the unpruned one, but for recurrent weights.

        What a recurrent weight is wrong by returns at each step, and a fit to single steps does
        not see that.
        """
        changed: dict[str, Tensor] = {}
        for name, fit in self.fits.items():
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
        """Whether a fraction `refresh` of all units is gone; until then statistics are down-dated.

        From then on they are computed anew after every removal.
        """
        total = sum(group.size for group in network.groups)
        # The tiny amount keeps .8 of 20 units from being more than 16.
        few = sum(network.sizes) <= (1 - self.refresh) * total + 1e-9
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
        for reader in read.readers:
            if bias is not None:
                old = network.weights[reader.bias]
                flat = bias.reshape(-1)
                changed[reader.bias] = (flat + old.double() if grows else flat).to(old.dtype)
        return changed


def _reads(network: ModuleNetwork, group: Any) -> list[Read] | None:
    """How a group is read, by weight; None where not by products alone."""
    found: dict[str, list[Reader]] = {}
    for reader in group.readers:
        found.setdefault(reader.weight, []).append(reader)
    reads = []
    for weight, readers in found.items():
        if len({(type(r), r.inputs, r.blocks) for r in readers}) > 1:
            return None
        if not all(reader.weighted for reader in readers):
            return None
        if any(reader.layout is None for reader in readers):
            return None  # the same product for all samples: the loss is measured without it
        columns = torch.as_tensor(readers[0].columns, device=network.device)
        reads.append(Read(weight, tuple(readers), columns))
    return reads


def _other_uses(network: ModuleNetwork, read: Read) -> str | None:
    """Why a weight cannot take anything over: it is used for something else as well."""
    values = {v for reader in read.readers for v in (reader.value, reader.runs)}
    others = [o for o in network.program.operations if o.value not in values]
    for operation in others:
        names = {
            p.name for p in leaves((operation.args, operation.kwargs)) if isinstance(p, Weight)
        }
        # A transposed weight that only these readers read is no other use.
        used = any(operation.value in other.reads for other in others)
        if read.weight in names and (used or operation.value == network.output):
            return f"the weight is used again by {operation.what}"
    return None
