"""How groups of units are read, weight by weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..graph.module_network import ModuleNetwork
from ..graph.readers import Reader


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
    def last(self) -> int:
        """The last value that readers return through it."""
        return max(reader.value for reader in self.readers)

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


def reads_of(network: ModuleNetwork, group: Any) -> list[Read] | None:
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


def other_uses(network: ModuleNetwork, read: Read) -> str | None:
    """Why a weight cannot take anything over: it is used for something else as well."""
    values = {v for reader in read.readers for v in (reader.value, reader.runs)}
    others = [o for o in network.program.operations if o.value not in values]
    for operation in others:
        # A transposed weight that only these readers read is no other use.
        used = any(operation.value in other.reads for other in others)
        if read.weight in operation.weights and (used or operation.value == network.output):
            return f"the weight is used again by {operation.what}"
    return None
