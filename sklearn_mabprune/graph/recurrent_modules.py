"""Recurrent modules whose layers and directions have numbers of units of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class States(tuple[Tensor, ...]):
    """The last states of all layers and directions, as the rows of a tensor would be.

    Where all have as many units, modules return a tensor.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune.graph.recurrent_modules import States
    >>> states = States([torch.ones(5, 3), torch.ones(5, 2)])  # (n_samples, n_units)
    >>> states[-1].shape, states[0, :, 1].shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __getitem__(self, place: Any) -> Any:
        """A state, or elements of one; a slice of states."""
        if isinstance(place, tuple):
            return self[place[0]][place[1:]]
        found = super().__getitem__(place)
        return States(found) if isinstance(place, slice) else found


class _Uneven(nn.RNNBase):
    """What the three kinds have in common: parameters have the names that torch gives them."""

    #: Places of the units among those of the large module, by layer and direction.
    units: list[list[int]]
    _of_one: Callable[..., Any]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch's own module.

        Parameters
        ----------
        input : Tensor of shape (n_samples, n_steps, n_inputs)
            Steps first without `batch_first`; one sample without the dimension of the samples.
        hx : initial states, optional
            With the module's own numbers of units, or with those of the large module.

        Returns
        -------
        Tensor, and last states
            States are a `States` where layers have different numbers of units.
        """
        if not isinstance(input, Tensor):
            raise TypeError(f"{type(self).__name__} takes padded tensors, no packed sequences.")
        single = input.dim() == 2
        x = input.unsqueeze(0) if single else input if self.batch_first else input.transpose(0, 1)
        n_directions = 2 if self.bidirectional else 1
        last: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for backwards in (False, True)[:n_directions]:
                states = self._initial(hx, len(last), x)
                hidden, *ends = self._direction(x, layer, backwards, states)
                outputs.append(hidden)
                last.append(tuple(ends))
            x = torch.cat(outputs, -1) if n_directions == 2 else outputs[0]
            if self.dropout and layer + 1 < self.num_layers:
                x = nn.functional.dropout(x, self.dropout, self.training)
        ends = [_together(states, single) for states in zip(*last, strict=True)]
        x = x.squeeze(0) if single else x if self.batch_first else x.transpose(0, 1)
        return x, ends[0] if len(ends) == 1 else tuple(ends)

    def _initial(self, hx: Any, place: int, x: Tensor) -> tuple[Tensor, ...]:
        """The initial states of one layer and direction, (1, n_samples, n_units)."""
        n_units, is_lstm = self.hidden_sizes[place], isinstance(self, nn.LSTM)
        if hx is None:
            return (x.new_zeros(1, x.size(0), n_units),) * (2 if is_lstm else 1)
        found = []
        for states in hx if is_lstm else (hx,):
            state = states[place]
            if state.shape[-1] != n_units:
                state = state[..., self.units[place]]
            found.append(state.reshape(1, x.size(0), n_units))
        return tuple(found)

    def _direction(
        self, x: Tensor, layer: int, backwards: bool, states: tuple[Tensor, ...]
    ) -> list[Tensor]:
        end = f"l{layer}{'_reverse' if backwards else ''}"
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        weights = [getattr(self, f"{name}_{end}") for name in names]
        given = states if isinstance(self, nn.LSTM) else states[0]
        run = type(self)._of_one
        x = x.flip(1) if backwards else x
        hidden, *ends = run(self, x, given, weights, self.bias, 1, 0.0, False, False, True)
        return [hidden.flip(1) if backwards else hidden, *(state[0] for state in ends)]

    @property
    def hidden_sizes(self) -> list[int]:
        """Units of each layer and direction."""
        return [weight.shape[1] for weight in _recurrent_weights(self)]

    def flatten_parameters(self) -> None:
        """Layers of different widths have no common block of memory."""

    def extra_repr(self) -> str:
        """As torch's own module, with the units of all layers."""
        text: str = super().extra_repr()
        return text.replace(f", {self.hidden_size}", f", {self.hidden_sizes}", 1)


class UnevenLSTM(_Uneven, nn.LSTM):
    """An ``nn.LSTM`` whose layers and directions have numbers of units of their own."""

    def _of_one(self, *args: Any) -> Any:
        return torch.lstm(*args)


class UnevenGRU(_Uneven, nn.GRU):
    """An ``nn.GRU`` whose layers and directions have numbers of units of their own."""

    def _of_one(self, *args: Any) -> Any:
        return torch.gru(*args)


class UnevenRNN(_Uneven, nn.RNN):
    """An ``nn.RNN`` whose layers and directions have numbers of units of their own."""

    def _of_one(self, *args: Any) -> Any:
        run = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        return run(*args)


class _NarrowedCell(nn.RNNCellBase):
    """A cell that takes states of the large cell, such as zeros for the first step."""

    #: Places of the units among those of the large cell.
    units: list[list[int]]

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """As torch's own cell."""
        states = hx if isinstance(hx, tuple | list) else () if hx is None else (hx,)
        found = tuple(
            state if state.shape[-1] == self.hidden_size else state[..., self.units[0]]
            for state in states
        )
        given = None if hx is None else found if isinstance(self, nn.LSTMCell) else found[0]
        return super().forward(input, given)


class NarrowedLSTMCell(_NarrowedCell, nn.LSTMCell):
    """An ``nn.LSTMCell`` that takes states of the large cell, too."""


class NarrowedGRUCell(_NarrowedCell, nn.GRUCell):
    """An ``nn.GRUCell`` that takes states of the large cell, too."""


class NarrowedRNNCell(_NarrowedCell, nn.RNNCell):
    """An ``nn.RNNCell`` that takes states of the large cell, too."""


_CELLS: dict[type[nn.Module], type[_NarrowedCell]] = {
    nn.LSTMCell: NarrowedLSTMCell,
    nn.GRUCell: NarrowedGRUCell,
    nn.RNNCell: NarrowedRNNCell,
}
_UNEVEN: dict[type[nn.Module], type[_Uneven]] = {
    nn.LSTM: UnevenLSTM,
    nn.GRU: UnevenGRU,
    nn.RNN: UnevenRNN,
}


def fit_to_weights(
    module: nn.Module, units: Sequence[Sequence[int]], with_states: bool = False
) -> None:
    """Let a recurrent module, in place, be what its narrowed weights say.

    It stays a module of torch where all layers and directions have as many units.

    Parameters
    ----------
    module : nn.Module
        Other kinds are left alone.
    units : sequence of sequence of int
        Places of the units among those of the large module, by layer and direction.
    with_states : bool, default=False
        Whether initial states of the large module are given to it.

    Raises
    ------
    TypeError
        If layers of a subclass have different numbers of units.
    """
    if isinstance(module, nn.RNNCellBase):
        module.hidden_size, module.input_size = (
            weight.shape[1] for weight in (module.weight_hh, module.weight_ih)
        )
        narrowed = type(module) if isinstance(module, _NarrowedCell) else _CELLS.get(type(module))
        if with_states and narrowed is not None:
            _change(module, narrowed, units)
    if not isinstance(module, nn.RNNBase):
        return
    sizes = {weight.shape[1] for weight in _recurrent_weights(module)}
    uneven = type(module) if isinstance(module, _Uneven) else _UNEVEN.get(type(module))
    if len(sizes) > 1 and uneven is None:
        raise TypeError(f"Layers of {type(module).__name__} cannot have different numbers of units")
    # What code outside takes for the width of its outputs: that of the last layer, forwards.
    last = _recurrent_weights(module)[-2 if module.bidirectional else -1]
    first: Tensor = module.get_parameter("weight_ih_l0")
    module.hidden_size, module.input_size = last.shape[1], first.shape[1]
    if uneven is not None and (len(sizes) > 1 or with_states):
        _change(module, uneven, units)


def _change(module: Any, kind: type[nn.Module], units: Sequence[Sequence[int]]) -> None:
    """Make a module of another class of it, which knows where its units were."""
    module.__class__ = kind
    before = getattr(module, "units", None) or [range(max(part) + 1) for part in units]
    module.units = [[old[k] for k in part] for old, part in zip(before, units, strict=True)]


def _together(states: Sequence[Tensor], single: bool) -> Any:
    """States of all layers and directions: one tensor where they have as many units."""
    states = [state.squeeze(0) for state in states] if single else states
    if len({state.shape[-1] for state in states}) == 1:
        return torch.stack(list(states))
    return States(states)


def _recurrent_weights(module: nn.RNNBase) -> list[Tensor]:
    return [getattr(module, name) for name in recurrent_names(module)]


def recurrent_names(module: nn.Module) -> list[str]:
    """Names of the recurrent weights of a module, by layer and direction."""
    return [name for name, _ in module.named_parameters(recurse=False) if "weight_hh" in name]
