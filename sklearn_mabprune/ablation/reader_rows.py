"""Rows of what readers read, and of what they returned in the unpruned network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.layouts import PLAIN
from ..graph.module_network import ModuleNetwork
from ..graph.readers import Reader
from .compensation import gram_of
from .reader_fits import Rows
from .streams import Added

#: Rows for each column of a matrix, and rows at least: positions beside each other are alike.
_ROWS_PER_COLUMN, _LEAST_ROWS = 8, 2**13

#: Numbers of rows that are multiplied at a time.
_WAITING = 2**22


class RowSample:
    """Samples and positions whose rows stand for all rows of one weight's readers.

    Parameters
    ----------
    readers : tuple of Reader
        Of the same weight.
    n_columns : int
        Of the weight's matrix.
    n_positions : list of int
        Positions of each reader.
    n_samples : int
    seed : int

    Attributes
    ----------
    n_numbers : int
        Of one sample's rows.
    targets : list of list of Tensor
        What each reader returned in the unpruned network, in parts of the samples; where it adds
        to a stream the sum.
    added : list of Added or None
        The streams that readers add to.
    """

    def __init__(
        self,
        readers: tuple[Reader, ...],
        n_columns: int,
        n_positions: list[int],
        n_samples: int,
        seed: int,
    ):
        self.readers = readers
        wanted = max(_LEAST_ROWS, _ROWS_PER_COLUMN * n_columns)
        self.n_each = max(1, -(-wanted // (n_samples * len(readers))))
        self.generator = torch.Generator().manual_seed(seed)
        self.positions = [
            self.drawn(n, n_samples, self.n_each) if self.n_each < n else None for n in n_positions
        ]
        self.n_numbers = max(min(self.n_each, n) for n in n_positions) * n_columns
        self.n_numbers *= readers[0].blocks
        self.targets: list[list[Tensor]] = [[] for _ in readers]
        self.added: list[Added | None] = [None] * len(readers)

    def drawn(self, n: int, *shape: int) -> Tensor:
        """Integers below n."""
        return torch.randint(n, shape, generator=self.generator)

    @property
    def wanted(self) -> list[int]:
        """Values that targets are taken from."""
        return [
            reader.value if added is None else added.total
            for reader, added in zip(self.readers, self.added, strict=True)
        ]

    @property
    def reads(self) -> set[int]:
        """Values that inputs and targets follow from, in any network."""
        streams = {added.stream for added in self.added if added is not None}
        return {reader.reads for reader in self.readers} | streams

    def inputs(
        self, number: int, value: Tensor, part: slice, live: Tensor, there: Tensor
    ) -> Tensor:
        """The chosen rows of what one reader reads, (n_samples, n_blocks, n_chosen, n_live).

        Parameters
        ----------
        number : int
            Of the reader.
        value : Tensor
            Of the samples of `part`.
        part : slice
        live : Tensor of int
            Columns to return.
        there : Tensor of int
            Columns that are not removed.
        """
        value = live_channels(self.readers[number], value, live)
        return live_columns(self._patches(number, value, part), live)

    def note(self, values: Mapping[int, Tensor], part: slice) -> None:
        """Keep the chosen rows of what the readers return, in the unpruned network."""
        for number, value in enumerate(self.wanted):
            self.targets[number].append(self._returned(number, values[value], part).contiguous())

    def target(
        self,
        network: ModuleNetwork,
        number: int,
        place: int,
        values: Mapping[int, Tensor],
        part: slice,
    ) -> Tensor:
        """What the chosen rows of what one reader returns are to be.

        Of outputs that values no longer have it says nothing.

        Parameters
        ----------
        network : ModuleNetwork
            As it stands.
        number : int
            Of the reader.
        place : int
            Of the part among those that targets were kept in; `part` may have a step.
        values : mapping of int to Tensor
            `reads`, of that network.
        part : slice
        """
        target, added = self.targets[number][place][:: part.step], self.added[number]
        if added is None:
            return target
        stream = self._returned(number, values[added.stream], part)
        if stream.shape != target.shape:
            reader = self.readers[number]
            left = network.outputs_left(reader.weight, reader.outputs_axis)
            at = torch.as_tensor(left, device=stream.device)
            stream = torch.zeros_like(target).index_copy(-1, at, stream)
        return added.before(target - stream)

    def _returned(self, number: int, value: Tensor, part: slice) -> Tensor:
        """The chosen rows of a value of the form that a reader returns."""
        rows, chosen = self.readers[number].rows(value), self._chosen(number, part)
        if chosen is None:
            return rows
        places = chosen[:, None, :, None].to(rows.device)
        return rows.gather(2, places.expand(-1, rows.shape[1], -1, rows.shape[3]))

    def _patches(self, number: int, value: Tensor, part: slice) -> Tensor:
        reader, chosen = self.readers[number], self._chosen(number, part)
        if chosen is None:
            return all_patches(reader, value)
        chosen = chosen.to(value.device)
        blocks = range(reader.blocks)
        return torch.stack([reader.patches_at(value, chosen, block) for block in blocks], 1)

    def _chosen(self, number: int, part: slice) -> Tensor | None:
        chosen = self.positions[number]
        return None if chosen is None else chosen[part]


class ChannelSample(RowSample):
    """Channels at some positions and places, which stand for all of them.

    Parameters
    ----------
    readers, n_positions, n_samples, seed
        As of :class:`RowSample`.
    columns : Tensor of int, shape (n_channels, n_places)
        Columns of the weight's matrix: a channel at each place.

    Attributes
    ----------
    targets : list of list of Tensor
        The channels of the unpruned network.
    """

    def __init__(
        self,
        readers: tuple[Reader, ...],
        columns: Tensor,
        n_positions: list[int],
        n_samples: int,
        seed: int,
    ):
        n_channels, n_places = columns.shape
        super().__init__(readers, n_channels, n_positions, n_samples, seed)
        self.columns = columns
        each = max(1, self.n_each // min(n_positions))
        n_rows = [
            n if p is None else p.shape[1] for n, p in zip(n_positions, self.positions, strict=True)
        ]
        self.places = [
            self.drawn(n_places, n_samples, n, each) if each < n_places else None for n in n_rows
        ]
        self.n_numbers *= min(each, n_places)

    @property
    def wanted(self) -> list[int]:
        """Values that targets are taken from."""
        return [reader.reads for reader in self.readers]

    def inputs(
        self, number: int, value: Tensor, part: slice, live: Tensor, there: Tensor
    ) -> Tensor:
        """The chosen rows of these channels, (n_samples, n_blocks, n_chosen, n_live)."""
        patches, places = self._patches(number, value, part), self.places[number]
        columns = self.columns[live]
        if patches.shape[-1] == len(there):
            columns = torch.searchsorted(there, columns)
        if places is None:
            return patches[..., columns.T].flatten(2, 3)
        # (n_samples, n_chosen, n_each, n_live) of columns.
        at = columns.T[places[part].to(columns.device)].flatten(2)
        found = patches.gather(3, at[:, None].expand(-1, patches.shape[1], -1, -1))
        return found.unflatten(3, (-1, len(live))).flatten(2, 3)

    def note(self, values: Mapping[int, Tensor], part: slice) -> None:
        """Keep the channels of the unpruned network."""
        everything = torch.arange(len(self.columns), device=self.columns.device)
        for number, reader in enumerate(self.readers):
            value = values[reader.reads]
            rows = self.inputs(number, value, part, everything, self.columns.flatten().sort()[0])
            self.targets[number].append(rows)


def all_patches(reader: Reader, x: Tensor) -> Tensor:
    """Patches of all blocks, (n_samples, n_blocks, n_positions, n_columns)."""
    if reader.blocks == 1:
        return reader.patches(x)[:, None]
    return torch.stack([reader.patches(x, block) for block in range(reader.blocks)], 1)


def live_patches(reader: Reader, x: Tensor, live: Tensor) -> Tensor:
    """Patches of all blocks without the columns that are gone."""
    return live_columns(all_patches(reader, live_channels(reader, x, live)), live)


def live_channels(reader: Reader, x: Tensor, live: Tensor) -> Tensor:
    """What a convolution reads, without channels that are gone; other readers read all of it.

    Patches are as many times larger as the kernel has places.
    """
    n_live = len(live) // reader.taps
    if not reader.spatial or reader.blocks > 1 or reader.layout != PLAIN or x.shape[1] == n_live:
        return x
    # Units are whole channels, and the columns of the first place come first.
    return x.index_select(1, live[:n_live])


def live_columns(patches: Tensor, live: Tensor) -> Tensor:
    """Patches without the columns that are gone."""
    # All are there before the first removal: a copy would take as long as the products.
    return patches if len(live) == patches.shape[-1] else patches.index_select(-1, live)


def numbers_of_values(network: ModuleNetwork, x: Any) -> dict[int, int]:
    """How many numbers each value has, for one sample."""
    wanted = [operation.value for operation in network.program.operations]
    with torch.inference_mode():
        values = network.run(network.known(x[:2]), wanted)
    n_samples = len(x[:2])
    return {
        number: -(-value.numel() // n_samples)
        for number, value in values.items()
        if isinstance(value, Tensor)
    }


def sums_over_rows(
    network: ModuleNetwork,
    samples: Samples,
    sampled: Sequence[tuple[RowSample, Tensor, Tensor]],
    parts: Iterable[slice],
    with_gram: bool,
    unpruned: bool,
) -> list[Rows]:
    """Means and products of the live columns of each weight's readers.

    Parameters
    ----------
    network : ModuleNetwork
        As it stands.
    samples : Samples
    sampled : sequence of (RowSample, Tensor of int, Tensor of int)
        With the columns, or channels, that are measured, and the columns that are there.
    parts : iterable of slice
        Those that targets were kept in.
    with_gram : bool
        Whether products are needed, or means alone.
    unpruned : bool
        Whether the network is the unpruned one, whose targets are kept.
    """
    found = [SumsOfRows() for _ in sampled]
    weights = (samples.weights / samples.weights.sum()).double()
    wanted = {value for sample, _, _ in sampled for value in sample.reads}
    if unpruned and with_gram:
        wanted |= {value for sample, _, _ in sampled for value in sample.wanted}
    for place, part in enumerate(parts):
        with torch.inference_mode():
            values = network.run(network.known(samples.x[part]), sorted(wanted))
            for k, (sample, live, there) in enumerate(sampled):
                if unpruned and with_gram:
                    sample.note(values, part)
                for number, reader in enumerate(sample.readers):
                    rows = sample.inputs(number, values[reader.reads], part, live, there)
                    targets = None
                    if with_gram:
                        targets = sample.target(network, number, place, values, part)
                    each = weights[part] / (rows.shape[2] * len(sample.readers))
                    found[k].add(rows, targets, each)
    with torch.inference_mode():
        return [sums.total() for sums in found]


class SumsOfRows:
    """Sums over rows; many are added at a time, since a sum of products is a large matrix."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Tensor, Tensor | None, Tensor]] = []
        self._total: Rows | None = None

    def add(self, rows: Tensor, targets: Tensor | None, weights: Tensor) -> None:
        """Rows are (n_samples, n_blocks, n_rows, n_columns)."""
        # Half of the weights on either side: products with itself are symmetric.
        roots = weights.sqrt().repeat_interleave(rows.shape[2])
        a = rows.transpose(0, 1).flatten(1, 2).to(torch.float64, copy=True).mul_(roots[:, None])
        z = None
        if targets is not None:
            z = targets.transpose(0, 1).flatten(1, 2).to(torch.float64, copy=True)
            z.mul_(roots[:, None])
        self._waiting.append((a, z, roots))
        if sum(waiting.numel() for waiting, _, _ in self._waiting) >= _WAITING:
            self.total()

    def total(self) -> Rows:
        """With all rows so far."""
        if self._waiting:
            a = torch.cat([rows for rows, _, _ in self._waiting], 1)
            z = [targets for _, targets, _ in self._waiting if targets is not None]
            roots = torch.cat([roots for _, _, roots in self._waiting])
            self._total = _added(self._total, a, torch.cat(z, 1) if z else None, roots)
            self._waiting = []
        assert self._total is not None
        return self._total


def _added(old: Rows | None, a: Tensor, z: Tensor | None, roots: Tensor) -> Rows:
    """Add sums over rows, (n_blocks, n_rows, n_columns), times the roots of their weights."""
    none = a.new_zeros(0)
    new = Rows(roots @ a, none, none, none)
    if z is not None:
        new.gram = torch.stack([gram_of(block) for block in a])
        new.cross = a.transpose(1, 2) @ z
        new.targets = roots @ z
    if old is not None:
        for field in ("mean", "gram", "targets", "cross"):
            setattr(new, field, getattr(old, field).add_(getattr(new, field)))
    return new
