"""What is done with a reader's result: a norm that shifts it, a residual stream it is added to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..graph.module_network import ModuleNetwork
from ..graph.program import Operation, Value, Weight
from ..graph.readers import Reader
from .reads import Read

#: Least factor of a norm, as a fraction of its largest: through less nothing can be made up for.
_LEAST_FACTOR = 1e-6


@dataclass(frozen=True, eq=False)
class Added:
    """What a reader's result is added to: the stream that its block reads, or another branch.

    Fitted to the sum in the unpruned network, less the stream as it is, the reader also makes up
    for what the layers before it miss (Kwon et al., 2022).  A batch norm between the reader and
    the sum multiplies each output by a factor and shifts it.

    Parameters
    ----------
    stream, total : int
        Numbers of the stream and of the sum.
    shift, factor : Tensor of shape (1, n_blocks, 1, n_outputs)
        Of each output of the reader on its way to the sum, in the unpruned network.
    """

    stream: int
    total: int
    shift: Tensor
    factor: Tensor

    def before(self, rows: Tensor) -> Tensor:
        """What the reader is to return, so that these rows are added to the stream."""
        return (rows - self.shift) / self.factor


@dataclass(frozen=True, eq=False)
class Shifts:
    """The parameter that takes what a reader's results are shifted by.

    Parameters
    ----------
    name : str
        The reader's own bias, or that of the batch norm behind it.
    factor : Tensor of shape (n_outputs,) or float
        What the parameter grows by where the results are shifted by one.
    start : Tensor of shape (n_outputs,) or float
        What it is where the results are not shifted.
    """

    name: str
    factor: Tensor | float = 1.0
    start: Tensor | float = 0.0

    def of(self, shift: Tensor, old: Tensor | None) -> Tensor:
        """The parameter with a shift that is added to an old one; without that, in its place."""
        first = self.start if old is None else old.double()
        return first + self.factor * shift


def shifts_of(network: ModuleNetwork, read: Read, x: Any) -> list[Shifts]:
    """The parameters that take shifts of all results of a weight's readers; none if there are none.

    Parameters
    ----------
    network : ModuleNetwork
        With all units.
    read : Read
    x : samples
        A few.
    """
    if all(reader.bias for reader in read.readers):
        return [Shifts(reader.bias) for reader in read.readers]
    reader = read.readers[0]
    operation = _only_use(network, reader.value)
    if len(read.readers) > 1 or read.recurrent or operation is None:
        return []
    bias = operation.args[2] if operation.packet == "batch_norm" else None
    if not isinstance(bias, Weight) or _n_uses(network, bias.name) > 1:
        return []
    scaled = _scaled(network, reader, operation.value, x)
    if scaled is None:
        return []
    start = network.weights[bias.name].double()
    return [Shifts(bias.name, scaled[1].double().flatten(), start)]


def added_to(network: ModuleNetwork, reader: Reader, x: Any) -> Added | None:
    """The stream that a reader's result is added to, if nothing else is done with that.

    Parameters
    ----------
    network : ModuleNetwork
        With all units.
    reader : Reader
    x : samples
        A few, to compare the shapes of values.
    """
    value = reader.value
    while (operation := _only_use(network, value)) is not None and _scales(operation):
        value = operation.value
    if operation is None or operation.packet != "add" or operation.kwargs:
        return None
    others = [part for part in operation.args if part != Value(value)]
    streams = [part.number for part in others if isinstance(part, Value)]
    if len(operation.args) != 2 or len(streams) != 1:
        return None
    with torch.inference_mode():
        wanted = [reader.value, streams[0], operation.value]
        shapes = {v.shape for v in network.run(network.known(x), wanted).values()}
    scaled = _scaled(network, reader, value, x) if len(shapes) == 1 else None
    return None if scaled is None else Added(streams[0], operation.value, *scaled)


def _only_use(network: ModuleNetwork, value: int) -> Operation | None:
    """The operation that reads a value; None where several do."""
    uses = [operation for operation in network.program.operations if value in operation.reads]
    return uses[0] if len(uses) == 1 and value != network.output else None


def _n_uses(network: ModuleNetwork, name: str) -> int:
    return sum(operation.weights.count(name) for operation in network.program.operations)


def _scales(operation: Operation) -> bool:
    """Whether an operation returns what it reads in evaluation mode, or that scaled by outputs."""
    return operation.packet in ("dropout", "clone", "alias", "detach", "contiguous", "batch_norm")


def _scaled(
    network: ModuleNetwork, reader: Reader, value: int, x: Any
) -> tuple[Tensor, Tensor] | None:
    """Shift and factor of each output of a reader on its way to a value, (1, n_blocks, 1, n).

    None where they are not the same at all positions, or nothing of an output arrives.
    """
    with torch.inference_mode():
        like = network.run(network.known(x), [reader.value])[reader.value]
        shifts, sums = (
            reader.rows(network.run({reader.value: torch.full_like(like, one)}, [value])[value])
            for one in (0, 1)
        )
        shift, factor = shifts[:1, :, :1], (sums - shifts)[:1, :, :1]
        alike = torch.allclose(shifts, shift) and torch.allclose(sums, shift + factor)
        if not alike or bool((factor.abs() <= _LEAST_FACTOR * factor.abs().max()).any()):
            return None
    return shift.clone(), factor.clone()
