"""LSTM layers of a program as torch's own operator, where no gradient is wanted.

The operators of :mod:`~sklearn_mabprune.graph.recurrent_program` show how units are read; what is
asked of a program is often only what a layer returns, and torch's own operator takes a third of
the time for that.  Its operators for other kinds of layer are no faster on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .recurrent_steps import Steps, lstm_steps, offsets

#: The operator's name.
WHOLE = "lstm_layer"


def lstm_layer(
    x: Tensor,
    into: Tensor,
    bias: Tensor | None,
    weight: Tensor,
    own_bias: Tensor | None,
    state: Tensor | None = None,
    cell: Tensor | None = None,
    backwards: bool = False,
) -> Steps:
    """A layer in one direction; returns what :func:`~.recurrent_steps.lstm_steps` does.

    Parameters
    ----------
    x : Tensor of shape (n_samples, n_steps, n_inputs)
    into : Tensor of shape (4 * n_units, n_inputs)
    bias : Tensor of shape (4 * n_units,), optional
    weight : Tensor of shape (4 * n_units, n_units)
    own_bias : Tensor of shape (4 * n_units,), optional
        Of the recurrent weight.
    state, cell, backwards
        As of ``lstm_steps``.
    """
    if weight.dim() > 2 or x.device.type != "cpu":
        # Several networks at once; cuDNN wants all weights in one block of memory.
        gates = torch.nn.functional.linear(x, into, bias)
        return lstm_steps(gates, offsets(gates, weight, own_bias), weight, state, cell, backwards)
    nothing = x.new_zeros(len(x), weight.shape[1])
    first = nothing if state is None else state
    given = [each[None] for each in (first, nothing if cell is None else cell)]
    biases = [weight.new_zeros(len(weight)) if b is None else b for b in (bias, own_bias)]
    steps = x.flip(1) if backwards else x
    hidden, last, last_cell = torch.lstm(
        steps, given, [into, weight, *biases], True, 1, 0.0, False, False, True
    )
    before = torch.cat([first[:, None], hidden[:, :-1]], 1)
    if backwards:
        hidden, before = hidden.flip(1), before.flip(1)
    return hidden, before, last[0], last_cell[0]


def with_whole_layers(operations: Sequence[Any]) -> list[Any]:
    """Operations with whole layers in place of steps whose gates come from a linear operator.

    The linear operator stays, for whatever else reads the gates.

    Parameters
    ----------
    operations : sequence of Operation
        Those that are to run; values of others are known.
    """
    of = {operation.value: operation for operation in operations}
    return [_whole(operation, of) or operation for operation in operations]


def _whole(operation: Any, of: Mapping[int, Any]) -> Any:
    if operation.packet != "lstm_steps":
        return None
    gates, added, weight, *rest = operation.args
    linear, offset = (of.get(value.number) for value in (gates, added))
    if linear is None or offset is None or linear.packet != "linear" or linear.kwargs:
        return None
    x, into, *bias = linear.args
    _, _, *own_bias = offset.args
    args = x, into, *(bias or [None]), weight, *(own_bias or [None]), *rest
    space = operation.name.split(".")[0]
    return replace(operation, name=f"{space}.{WHOLE}", args=args)
