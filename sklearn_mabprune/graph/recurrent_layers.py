"""Recurrent modules while their operators are read: all of a module is one operator.

``torch.export`` would follow each step of each layer, which takes minutes for long sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..exceptions import UnsupportedModuleError

_SCHEMA = (
    "recurrent(str kind, Tensor x, Tensor[] states, Tensor[] weights, bool has_biases, "
    "int num_layers, bool bidirectional, bool batch_first) -> Tensor[]"
)


def recurrent(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> list[Tensor]:
    """All layers of a module: hidden states of the last one, and the last states of all.

    Parameters
    ----------
    kind : {"lstm", "gru", "rnn_tanh", "rnn_relu"}
    x : Tensor
    states : sequence of Tensor
        Initial ones; none: zeros.
    weights : sequence of Tensor
        As torch's operators are given them.
    has_biases, num_layers, bidirectional, batch_first : bool, int, bool, bool
    """
    if not states:
        states = _zeros(kind, x, weights, num_layers, bidirectional, batch_first)
    run = getattr(torch, kind)
    given = list(states) if kind == "lstm" else states[0]
    return list(run(x, given, weights, has_biases, num_layers, 0.0, False, bidirectional,
                    batch_first))  # fmt: skip


def _zeros(
    kind: str,
    x: Tensor,
    weights: Sequence[Tensor],
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> list[Tensor]:
    n_layers, n_samples = num_layers * (2 if bidirectional else 1), x.shape[0 if batch_first else 1]
    # A projection is the last weight of a layer, and has a row for each of its outputs.
    each = len(weights) // n_layers
    size = weights[each - 1].shape[0] if each % 2 else weights[1].shape[1]
    sizes = [size] if kind != "lstm" else [size, weights[1].shape[0] // 4]
    return [x.new_zeros(n_layers, n_samples, width) for width in sizes]


def _shapes(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> list[Tensor]:
    """Tensors of the shapes that are returned."""
    last = _zeros(kind, x, weights, num_layers, bidirectional, batch_first)
    width = last[0].shape[-1] * (2 if bidirectional else 1)
    return [x.new_empty(*x.shape[:-1], width), *last]


@cache
def _operator() -> Any:
    """The operator, known to torch from the first use on."""
    library = torch.library.Library("sklearn_mabprune", "DEF")
    library.define(_SCHEMA)
    library.impl("recurrent", recurrent, "CompositeExplicitAutograd")
    torch.library.register_fake("sklearn_mabprune::recurrent", _shapes, lib=library)
    return library, torch.ops.sklearn_mabprune.recurrent.default


@contextmanager
def as_one_operator(module: nn.Module) -> Iterator[None]:
    """Let each recurrent module in a module be one operator; own forwards are left alone."""
    changed = {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, nn.RNNBase)
        and type(part).forward in (nn.LSTM.forward, nn.GRU.forward, nn.RNN.forward)
    }
    for name, part in changed.items():
        part.forward = _forward_of(part, name)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in changed.values():
            del part.forward


def _forward_of(part: nn.RNNBase, name: str) -> Callable[..., Any]:
    kind = part.mode.lower()

    def forward(input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            raise UnsupportedModuleError(
                f"The {type(part).__name__}{f' {name!r}' * bool(name)} is given a packed sequence: "
                "the operators depend on its lengths. Keep the padded tensor: leave out "
                "pack_padded_sequence, and take the last step of each sequence "
                "(outputs[torch.arange(len(x)), lengths - 1]) or mask the others."
            )
        states = [] if hx is None else [hx] if kind != "lstm" else list(hx)
        single = input.dim() == 2
        dim = 0 if part.batch_first else 1
        if single:
            input, states = input.unsqueeze(dim), [state.unsqueeze(1) for state in states]
        weights = [weight for layer in part.all_weights for weight in layer]
        given = part.bias, part.num_layers, part.bidirectional, part.batch_first
        outputs, *last = _operator()[1](kind, input, states, weights, *given)
        if single:
            outputs, last = outputs.squeeze(dim), [state.squeeze(1) for state in last]
        return outputs, last[0] if kind != "lstm" else tuple(last)

    return forward
