"""Readers that add to a residual stream, and what the sum is in the unpruned network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..graph.module_network import ModuleNetwork
from ..graph.program import Operation, Value
from ..graph.readers import Reader


@dataclass(frozen=True)
class Added:
    """What a reader's result is added to: a value that its block reads.

    Fitted to the sum in the unpruned network, less the stream as it is, the reader also makes up
    for what the layers before it miss (Kwon et al., 2022).

    Parameters
    ----------
    stream, total : int
        Numbers of the stream and of the sum.
    """

    stream: int
    total: int


def added_to(network: ModuleNetwork, reader: Reader, x: Any) -> Added | None:
    """The stream that a reader's result is added to, if nothing else is done with that.

    Parameters
    ----------
    network : ModuleNetwork
    reader : Reader
    x : samples
        A few, to compare the shapes of values.
    """
    value = reader.value
    while (operation := _only_use(network, value)) is not None and _keeps(operation):
        value = operation.value
    if operation is None or operation.packet != "add" or operation.kwargs:
        return None
    others = [part for part in operation.args if part != Value(value)]
    streams = [part.number for part in others if isinstance(part, Value)]
    if len(operation.args) != 2 or len(streams) != 1 or not _reads(network, reader, streams[0]):
        return None
    added = Added(streams[0], operation.value)
    with torch.inference_mode():
        wanted = [reader.value, added.stream, added.total]
        shapes = {v.shape for v in network.run(network.known(x), wanted).values()}
    return added if len(shapes) == 1 else None


def _only_use(network: ModuleNetwork, value: int) -> Operation | None:
    """The operation that reads a value; None where several do."""
    uses = [operation for operation in network.program.operations if value in operation.reads]
    return uses[0] if len(uses) == 1 and value != network.output else None


def _keeps(operation: Operation) -> bool:
    """Whether an operation returns what it reads, in evaluation mode."""
    return operation.packet in ("dropout", "clone", "alias", "detach", "contiguous")


def _reads(network: ModuleNetwork, reader: Reader, stream: int) -> bool:
    """Whether what a reader returns follows from this value."""
    return any(operation.value == reader.value for operation in network.downstream([stream]))
