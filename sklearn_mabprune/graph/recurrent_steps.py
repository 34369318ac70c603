"""What an LSTM, a GRU or a plain recurrent layer computes behind its product with the inputs.

The steps of one layer in one direction are one operator: it is given what the inputs add to the
gates, and the weight with which each step reads the hidden state of the step before.  The samples
are the first dimension and the steps the second one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Hidden states of all steps, those that each step reads, and the states after the last step.
Steps = tuple[Tensor, ...]


def offsets(gates: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The bias of the recurrent weight, at each step of each sample, (n_samples, n_steps, n_gates).

    Gradients with respect to it are those with respect to what the weight returns.
    """
    if bias is None:
        bias = gates.new_zeros(gates.shape[-1]).requires_grad_(weight.requires_grad)
    return bias.expand_as(gates)


def hidden_sums(before: Tensor, weight: Tensor, offsets: Tensor) -> Tensor:
    """What the recurrent weight returns at all steps, from the hidden states that it reads."""
    return before @ weight.T + offsets


def lstm_steps(
    gates: Tensor,
    offsets: Tensor,
    weight: Tensor,
    state: Tensor | None = None,
    cell: Tensor | None = None,
    backwards: bool = False,
) -> Steps:
    """The steps of an LSTM.

    Parameters
    ----------
    gates : Tensor of shape (n_samples, n_steps, 4 * n_units)
        What the inputs add to input gate, forget gate, cell and output gate.
    offsets : Tensor of the same shape
    weight : Tensor of shape (4 * n_units, n_units) or (n_networks, 4 * n_units, n_units)
        Several: the samples are those of one network after the other.
    state, cell : Tensor of shape (n_samples, n_units), optional
        Before the first step; zeros when not given.
    backwards : bool, default=False
        Whether the last step is the first one.

    Returns
    -------
    tuple of Tensor
        Hidden states and those read by each step, (n_samples, n_steps, n_units); the last hidden
        state and cell.
    """
    total, product = gates + offsets, _product(weight)
    state = _state(gates, weight) if state is None else state
    cell = _state(gates, weight) if cell is None else cell
    states = [state]
    for step in _order(gates, backwards):
        into, forget, new, out = product(total[:, step], state).chunk(4, -1)
        cell = torch.addcmul(into.sigmoid() * new.tanh(), forget.sigmoid(), cell)
        state = out.sigmoid() * cell.tanh()
        states.append(state)
    return (*_stacked(states, backwards), state, cell)


def gru_steps(
    gates: Tensor,
    offsets: Tensor,
    weight: Tensor,
    state: Tensor | None = None,
    backwards: bool = False,
) -> Steps:
    """The steps of a GRU: reset gate, update gate and new state; as :func:`lstm_steps`."""
    product, n_units = _product(weight), weight.shape[-1]
    state = _state(gates, weight) if state is None else state
    states = [state]
    for step in _order(gates, backwards):
        own = product(offsets[:, step], state)
        both = (gates[:, step, : 2 * n_units] + own[:, : 2 * n_units]).sigmoid()
        reset, update = both.chunk(2, -1)
        # The bias of the recurrent weight is inside the reset gate's product.
        new = torch.addcmul(gates[:, step, 2 * n_units :], reset, own[:, 2 * n_units :]).tanh()
        state = torch.lerp(new, state, update)
        states.append(state)
    return (*_stacked(states, backwards), state)


def rnn_tanh_steps(
    gates: Tensor,
    offsets: Tensor,
    weight: Tensor,
    state: Tensor | None = None,
    backwards: bool = False,
) -> Steps:
    """The steps of a plain recurrent layer; as :func:`lstm_steps`, with one gate."""
    return _plain_steps(torch.tanh, gates, offsets, weight, state, backwards)


def rnn_relu_steps(
    gates: Tensor,
    offsets: Tensor,
    weight: Tensor,
    state: Tensor | None = None,
    backwards: bool = False,
) -> Steps:
    """As :func:`rnn_tanh_steps`, with ReLU."""
    return _plain_steps(torch.relu, gates, offsets, weight, state, backwards)


def _plain_steps(
    activation: Callable[[Tensor], Tensor],
    gates: Tensor,
    offsets: Tensor,
    weight: Tensor,
    state: Tensor | None,
    backwards: bool,
) -> Steps:
    total, product = gates + offsets, _product(weight)
    state = _state(gates, weight) if state is None else state
    states = [state]
    for step in _order(gates, backwards):
        state = activation(product(total[:, step], state))
        states.append(state)
    return (*_stacked(states, backwards), state)


def _order(gates: Tensor, backwards: bool) -> range:
    n_steps = gates.shape[1]
    return range(n_steps - 1, -1, -1) if backwards else range(n_steps)


def _state(gates: Tensor, weight: Tensor) -> Tensor:
    return gates.new_zeros(len(gates), weight.shape[-1])


def _product(weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A function that adds the product of states with a weight, or with one for each network."""
    turned = weight.mT
    if weight.dim() == 2:
        return lambda added, state: torch.addmm(added, state, turned)

    def of_networks(added: Tensor, state: Tensor) -> Tensor:
        shape = len(weight), -1
        added = added.reshape(*shape, added.shape[-1])
        return torch.baddbmm(added, state.view(*shape, state.shape[-1]), turned).flatten(0, 1)

    return of_networks


def _stacked(states: list[Tensor], backwards: bool) -> tuple[Tensor, Tensor]:
    """Hidden states after each step, and before each step."""
    if backwards:
        both = torch.stack(states[::-1], 1)
        return both[:, :-1], both[:, 1:]
    both = torch.stack(states, 1)
    return both[:, 1:], both[:, :-1]


#: By the name under which a program calls them.
STEPS: dict[str, Callable[..., Tensor | Steps]] = {
    function.__name__: function
    for function in (offsets, hidden_sums, lstm_steps, gru_steps, rnn_tanh_steps, rnn_relu_steps)
}
