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
    return torch.nn.functional.linear(before, weight) + offsets


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
    total, product = _by_step(gates + offsets, backwards), _product(weight)
    state = _state(gates, weight) if state is None else state
    cell = _state(gates, weight) if cell is None else cell
    states = [state]
    for added in total:
        into, forget, new, out = product(added, state).chunk(4, -1)
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
    sizes = 2 * n_units, n_units
    state = _state(gates, weight) if state is None else state
    states = [state]
    for given, offset in zip(_by_step(gates, backwards), _by_step(offsets, backwards), strict=True):
        both, new = given.split(sizes, -1)
        own, own_new = product(offset, state).split(sizes, -1)
        reset, update = (both + own).sigmoid().chunk(2, -1)
        # The bias of the recurrent weight is inside the reset gate's product.
        state = torch.lerp(torch.addcmul(new, reset, own_new).tanh(), state, update)
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
    product = _product(weight)
    state = _state(gates, weight) if state is None else state
    states = [state]
    for added in _by_step(gates + offsets, backwards):
        state = activation(product(added, state))
        states.append(state)
    return (*_stacked(states, backwards), state)


def _by_step(gates: Tensor, backwards: bool) -> tuple[Tensor, ...]:
    """The gates of each step, in the order in which they run."""
    # Taken apart at once: the gradient of each single step would be as large as that of all.
    steps = gates.unbind(1)
    return steps[::-1] if backwards else steps


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
