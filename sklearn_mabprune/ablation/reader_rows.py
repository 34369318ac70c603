"""Rows of what readers read, and of what they returned in the unpruned network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..data.samples import Samples
from ..graph.module_network import ModuleNetwork
from ..graph.readers import Reader
from .reader_fits import Rows

#: Rows for each column of a matrix, and rows at least: positions beside each other are alike.
_ROWS_PER_COLUMN, _LEAST_ROWS = 8, 2**13

#: Numbers of the patches that are made at a time.
_AT_ONCE = 2**24


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
        Of one sample's patches.
    targets : list of list of Tensor
        What each reader returned in the unpruned network, in parts of the samples.
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
        self.n_numbers = max(n_positions) * n_columns * readers[0].blocks
        wanted = max(_LEAST_ROWS, _ROWS_PER_COLUMN * n_columns)
        each = max(1, -(-wanted // (n_samples * len(readers))))
        generator = torch.Generator().manual_seed(seed)
        self.positions = [
            torch.randint(n, (n_samples, each), generator=generator) if each < n else None
            for n in n_positions
        ]
        self.targets: list[list[Tensor]] = [[] for _ in readers]

    def rows(self, number: int, patches: Tensor, part: slice) -> Tensor:
        """The chosen rows of one reader, (n_samples, n_blocks, n_chosen, n_columns)."""
        chosen = self.positions[number]
        if chosen is None:
            return patches
        places = chosen[part].to(patches.device)[:, None, :, None]
        return patches.gather(2, places.expand(-1, patches.shape[1], -1, patches.shape[3]))


def all_patches(reader: Reader, x: Tensor) -> Tensor:
    """Patches of all blocks, (n_samples, n_blocks, n_positions, n_columns)."""
    return torch.stack([reader.patches(x, block) for block in range(reader.blocks)], 1)


def live_columns(patches: Tensor, live: Tensor) -> Tensor:
    """Patches without the columns that are gone."""
    # All are there before the first removal: a copy would take as long as the products.
    return patches if len(live) == patches.shape[-1] else patches.index_select(-1, live)


def numbers_of_values(network: ModuleNetwork, x: Any) -> dict[int, int]:
    """How many numbers each value has, for one sample."""
    wanted = [operation.value for operation in network.program.operations]
    with torch.inference_mode():
        values = network.run(network.program.known(x[:2]), wanted)
    n_samples = len(x[:2])
    return {
        number: -(-value.numel() // n_samples)
        for number, value in values.items()
        if isinstance(value, Tensor)
    }


def parts_of(n_samples: int, numbers: int) -> Iterable[slice]:
    """Parts of the samples, each of which so many numbers are needed for."""
    at_once = max(1, min(n_samples, _AT_ONCE // max(1, numbers)))
    return [slice(first, min(first + at_once, n_samples)) for first in range(0, n_samples, at_once)]


def note_targets(
    network: ModuleNetwork, samples: Samples, sampled: Mapping[str, RowSample]
) -> None:
    """Keep what the readers of a network, which is the unpruned one, return on these samples."""
    wanted = sorted({r.value for s in sampled.values() for r in s.readers})
    for part in parts_of(len(samples), _numbers(sampled)):
        with torch.inference_mode():
            values = network.run(network.program.known(samples.x[part]), wanted)
            for sample in sampled.values():
                for number, reader in enumerate(sample.readers):
                    sums = reader.rows(values[reader.value])
                    sample.targets[number].append(sample.rows(number, sums, part).contiguous())


def sums_over_rows(
    network: ModuleNetwork,
    samples: Samples,
    sampled: Mapping[str, RowSample],
    live: Mapping[str, Tensor],
    with_gram: bool,
) -> dict[str, Rows]:
    """Means and products of the live columns of each weight's readers.

    Parameters
    ----------
    network : ModuleNetwork
        As it stands.
    samples : Samples
    sampled : mapping of str to RowSample
    live : mapping of str to Tensor of int
        Columns, by weight.
    with_gram : bool
        Whether products are needed, or means alone.
    """
    found: dict[str, Rows] = {}
    weights = (samples.weights / samples.weights.sum()).double()
    wanted = sorted({r.reads for s in sampled.values() for r in s.readers})
    for place, part in enumerate(parts_of(len(samples), _numbers(sampled))):
        with torch.inference_mode():
            values = network.run(network.program.known(samples.x[part]), wanted)
            for name, sample in sampled.items():
                for number, reader in enumerate(sample.readers):
                    patches = all_patches(reader, values[reader.reads])
                    rows = live_columns(sample.rows(number, patches, part), live[name])
                    targets = sample.targets[number][place] if with_gram else None
                    each = weights[part] / (rows.shape[2] * len(sample.readers))
                    _add(found, name, rows, targets, each)
    return found


def _add(
    found: dict[str, Rows], name: str, rows: Tensor, targets: Tensor | None, weights: Tensor
) -> None:
    """Add weighted sums over rows, (n_samples, n_blocks, n_rows, n_columns), of some samples."""
    a = rows.double().transpose(0, 1).flatten(1, 2)
    each = weights.repeat_interleave(rows.shape[2])
    weighted = a * each[:, None]
    none = a.new_zeros(0)
    new = Rows(weighted.sum(1), none, none, none)
    if targets is not None:
        z = targets.double().transpose(0, 1).flatten(1, 2)
        new.gram = weighted.transpose(1, 2) @ a
        new.cross = weighted.transpose(1, 2) @ z
        new.targets = (z * each[:, None]).sum(1)
    old = found.get(name)
    if old is not None:
        for field in ("mean", "gram", "targets", "cross"):
            setattr(new, field, getattr(old, field).add_(getattr(new, field)))
    found[name] = new


def _numbers(sampled: Mapping[str, RowSample]) -> int:
    """Numbers of one sample's largest patches."""
    return max(s.n_numbers for s in sampled.values())
