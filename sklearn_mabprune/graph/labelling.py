"""A walk over the operations of a network that finds which elements are the same unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from ..utils.memory import out_of_memory
from ..utils.randomness import global_generators
from .labels import Labels
from .operators.registry import labelled
from .operators.step import Found, Step, no_unit
from .program import N_SAMPLES, Program, Samples, Value, Weight, filled

#: Operators that give a weight with its axes in another order.
_ORDERS = {
    "t": lambda args, n: (1, 0)[:n],
    "numpy_T": lambda args, n: tuple(range(n))[::-1],
    "mT": lambda args, n: (*range(n - 2), n - 1, n - 2),
    "permute": lambda args, n: tuple(dim % n for dim in args[1]),
    "transpose": lambda args, n: _swapped(n, args[1], args[2]),
    "swapaxes": lambda args, n: _swapped(n, args[1], args[2]),
}


def _swapped(n_dims: int, one: int, other: int) -> tuple[int, ...]:
    axes = list(range(n_dims))
    axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


def find_labels(
    program: Program,
    x: Samples,
    weights: Mapping[str, Tensor],
    tied: Collection[str] = (),
    training: Program | None = None,
    in_parts: Collection[str] = (),
) -> Found:
    """What goes together in a network, from a run on a few samples.

    Parameters
    ----------
    program : Program
    x : samples
        Two are enough.
    weights : mapping of str to Tensor
        Parameters and buffers.
    tied : collection of str, optional
        Recurrent modules whose units of all layers and directions go together.
    training : Program, optional
        What runs in training mode.  Layers of it that the outputs do not follow from become
        smaller with what they read or are added to.
    in_parts : collection of str, optional
        Operators that divide units into parts as wide as each other, by `Operation.what`.
    """

    def walked(labels: Labels) -> Found:
        found = _walked(program, x, weights, Found(_n_samples(program, x), labels, tied, in_parts))
        if training is not None:
            _walk_beside(training, x, weights, found)
        return found

    found = walked(Labels())
    # Elements of a head are one unit because of what comes later: again, with that known.
    return walked(found.labels.again()) if found.heads else found


def _n_samples(program: Program, x: Samples) -> int:
    return len(program.known(x)[program.inputs[0]])


def _walk_beside(
    training: Program, x: Samples, weights: Mapping[str, Tensor], found: Found
) -> None:
    """Unite what layers of a training program must have in common to fit together."""
    # Batch norms change their statistics.
    weights = {name: weight.clone() for name, weight in weights.items()}
    device = next(iter(weights.values())).device
    found.labels.pinning = False
    try:
        with global_generators(0, device):
            own = Found(found.n_samples, found.labels, found.tied, found.in_parts)
            other = _walked(training, x, weights, own, shapes_alone=True)
    except Exception as error:
        if out_of_memory(error):
            raise
        return  # the comparison with the masked network tells what does not fit
    finally:
        found.labels.pinning = found.labels.merging = True
    found.widths = {**other.widths, **found.widths}


def _walked(
    program: Program,
    x: Samples,
    weights: Mapping[str, Tensor],
    found: Found,
    shapes_alone: bool = False,
) -> Found:
    weights = {**program.constants, **weights}
    values: dict[int, Any] = dict(program.known(x))
    labels_of: dict[int, Any] = {number: no_unit(value) for number, value in values.items()}
    values[N_SAMPLES] = found.n_samples
    views: dict[int, tuple[str, tuple[int, ...]]] = {}
    rows: dict[int, Any] = {}
    last_read = {
        number: operation.value for operation in program.operations for number in operation.reads
    }
    for operation in program.operations:
        args = filled(operation.args, values, weights)
        kwargs = filled(operation.kwargs, values, weights)
        with torch.no_grad():
            result = operation.operator(*args, **kwargs)
        values[operation.value] = result
        view = _view(operation, args, views)
        if view is not None:
            views[operation.value] = view
        part = _rows(operation, args, rows)
        if part is not None:
            rows[operation.value] = part
        step = Step(
            found, operation, args, kwargs, result, labels_of, views, rows, program.by_sample
        )
        # What mixes units takes any number of them, unless it has a weight for each.
        found.labels.merging = not shapes_alone or bool(operation.weights)
        if isinstance(result, Tensor | tuple | list):
            labels_of[operation.value] = labelled(step)
        for number in operation.reads:
            if last_read[number] == operation.value and number != program.output:
                values.pop(number, None)
                labels_of.pop(number, None)
    found.labels.pin(labels_of[program.output], "is the network's output")
    return found


#: Operators that give a part of a weight.
_PARTS = ("slice", "narrow", "split", "split_with_sizes", "chunk", "tensor_split", "getitem")


def _rows(operation: Any, args: Any, rows: Mapping[int, Any]) -> Any:
    """The weight, and the rows of it, that an operation returns; of several parts a list."""
    if operation.packet not in _PARTS or not operation.args:
        return None
    source = operation.args[0]
    if operation.packet == "getitem":
        before = rows.get(source.number) if isinstance(source, Value) else None
        return before[args[1]] if isinstance(before, list) else None
    if isinstance(source, Weight) and args[0].dim() == 2:
        name, n_rows, before = source.name, len(args[0]), torch.arange(len(args[0]))
    elif isinstance(source, Value) and isinstance(rows.get(source.number), tuple):
        name, n_rows, before = rows[source.number]
    else:
        return None
    # Each element says its row: parts of columns do not have as many as the weight.
    whole = operation.operator(before[:, None].expand(args[0].shape), *args[1:])
    parts = [
        (name, n_rows, part[:, 0]) if part.shape[1] == args[0].shape[1] else None
        for part in (whole if isinstance(whole, tuple | list) else [whole])
    ]
    return parts if isinstance(whole, tuple | list) else parts[0]


def _view(
    operation: Any, args: Any, views: Mapping[int, tuple[str, tuple[int, ...]]]
) -> tuple[str, tuple[int, ...]] | None:
    """The weight, with its axes in another order, that an operation returns."""
    order = _ORDERS.get(operation.packet)
    if order is None or not operation.args:
        return None
    source = operation.args[0]
    if isinstance(source, Weight):
        before: tuple[str, tuple[int, ...]] | None = source.name, tuple(range(args[0].dim()))
    else:
        before = views.get(source.number) if isinstance(source, Value) else None
    if before is None:
        return None
    return before[0], tuple(before[1][dim] for dim in order(args, args[0].dim()))
