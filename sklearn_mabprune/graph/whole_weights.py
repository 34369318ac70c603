"""Weights that make values of which no units are known, and why: their layers are kept whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .operators.step import Found
from .program import Operation, Program


def without_parametrization(name: str) -> str:
    """The name of a layer without that of what stands inside it, of ``torch.nn.utils``."""
    return name.partition(".parametrizations.")[0]


def _layer_of(parameter: str) -> str:
    """The layer that has a parameter; one of the network itself has its own name."""
    return without_parametrization(parameter.rpartition(".")[0]) or parameter


def whole_weights(
    found: Found, program: Program, weights: Mapping[str, Tensor], parameters: Iterable[str]
) -> dict[str, str]:
    """Layers with a weight that makes no units, and the operation that is the reason.

    Examples are weights that are computed, as by a parametrization, and those of operators that
    are not known.  Weights that only scale or move values are no layers.

    Parameters
    ----------
    found : Found
        Of a walk over the program.
    program : Program
    weights : mapping of str to Tensor
    parameters : iterable of str
        Names of those that are trained.

    Returns
    -------
    dict of str to str
        Reasons by the name of the layer.
    """
    classes, pinned, _ = found.labels.classes()
    known = {source.weight for source in found.sources}
    made = {
        number
        for source in found.sources
        if source.outputs >= 0
        for number in classes[found.labels.axes[source.weight, source.outputs].numpy()].tolist()
    }
    # Such as those of a depthwise convolution, whose channels are those of another layer.
    numbers: dict[str, set[int]] = {}
    for (name, _), ids in found.labels.axes.items():
        numbers.setdefault(name, set()).update(classes[ids.numpy()].tolist())
    known |= {name for name, own in numbers.items() if not made.isdisjoint(own)}
    reasons: dict[str, str] = {}
    for name in parameters:
        if name in known or sum(size > 1 for size in weights[name].shape) < 2:
            continue
        reader = _reader(name, program)
        if reader is not None:
            said = [why for number in numbers.get(name, ()) for why in pinned.get(number, ())]
            if name not in reader.weights:
                said = [f"the weight is computed that {reader.what} reads"]
            why = said[0] if said else f"{reader.what} is not known to keep units apart"
            reasons.setdefault(_layer_of(name), why)
    return reasons


def _reader(name: str, program: Program) -> Operation | None:
    """The first operation that joins a weight, or what is computed of it, with the samples.

    None if there is none, or if it treats each element by itself or normalises.
    """
    computed: set[int] = set()
    for operation in program.operations:
        if name not in operation.weights and computed.isdisjoint(operation.reads):
            continue
        if operation.value not in program.by_sample:
            computed.add(operation.value)
            continue
        pointwise = torch.Tag.pointwise in getattr(operation.operator, "tags", ())
        scales = pointwise or "norm" in operation.packet or "prelu" in operation.packet
        return None if scales else operation
    return None
