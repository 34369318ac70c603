"""Recurrent layers, step by step: in Python, and as calls of C functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....graph.program import Operation, Weight
from ...chain import Array
from ..kernel import Kernel
from ..program import Constant, Program, Vector
from .places import Operand
from .reading import Reading

_TEXT = """\
/* Steps of {what}: hidden states of all steps, then what is needed meanwhile. */
static void @@(const float *w, const float *b, const float *state,{cell} int steps, int n,
    int backwards, const float *g, float *y)
{{
    float *s = y + steps * n{start};
    int t, i, j;
{copy}    for (t = 0; t < steps; t++) {{
        const int at = backwards ? steps - 1 - t : t;
        const float *x = g + at * {gates} * n;
        float *h = y + at * n;
        for (i = 0; i < {gates} * n; i++) {{
            s[i] = {added};
            for (j = 0; j < n; j++)
                s[i] += w[i * n + j] * state[j];
        }}
        for (j = 0; j < n; j++) {{
{update}
        }}
        state = h;
    }}
}}
"""


def _squashed(value: str) -> str:
    return f"1.0f / (1.0f + expf(-{value}))"


_LSTM = f"""\
            const float into = {_squashed("s[j]")};
            const float kept = {_squashed("s[n + j]")};
            c[j] = into * tanhf(s[2 * n + j]) + kept * c[j];
            h[j] = tanhf(c[j]) / (1.0f + expf(-s[3 * n + j]));"""

_GRU = f"""\
            const float reset = {_squashed("(x[j] + s[j])")};
            const float kept = {_squashed("(x[n + j] + s[n + j])")};
            const float new = tanhf(x[2 * n + j] + reset * s[2 * n + j]);
            h[j] = new + kept * (state[j] - new);"""


def _kernel(
    kind: str, update: str, n_gates: int, library: tuple[str, ...], code: int, inside: int
) -> Kernel:
    is_lstm = kind == "lstm"
    text = _TEXT.format(
        what={"lstm": "an LSTM", "gru": "a GRU"}.get(kind, "a plain recurrent layer"),
        gates=n_gates,
        update=update,
        # The reset gate of a GRU stands between its product and what its inputs give.
        added="b[i]" if kind == "gru" else "b[i] + x[i]",
        cell=" const float *cell," if is_lstm else "",
        start=", *c = s + 4 * n" if is_lstm else "",
        copy="    for (j = 0; j < n; j++)\n        c[j] = cell[j];\n" if is_lstm else "",
    )
    return Kernel(kind, text, code, library=library, inside_bytes=inside, stack_bytes=84)


#: By the name of the layer.
KERNELS = {
    kernel.name: kernel
    for kernel in (
        _kernel("lstm", _LSTM, 4, ("expf", "tanhf"), 360, 300),
        _kernel("gru", _GRU, 3, ("expf", "tanhf"), 275, 250),
        _kernel("rnn_tanh", "            h[j] = tanhf(s[j]);", 1, ("tanhf",), 170, 140),
        _kernel("rnn_relu", "            h[j] = s[j] < 0.0f ? 0.0f : s[j];", 1, (), 170, 140),
    )
}

#: Gates of a layer, by its name.
_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}

_PLAIN_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "rnn_tanh": np.tanh,
    "rnn_relu": lambda x: np.maximum(x, 0),
}


@dataclass(frozen=True)
class Recurrent:
    """The steps of a layer in one direction, from what its inputs give.

    Parameters
    ----------
    kind : str
        One of `KERNELS`.
    weight : ndarray of shape (n_gates * n_units, n_units)
    bias : ndarray of shape (n_gates * n_units,)
    n_steps : int
    backwards : bool
    starts : bool
        Whether the states before the first step are operands; else they are 0.
    """

    kind: str
    weight: Array
    bias: Array
    n_steps: int
    backwards: bool
    starts: bool

    @property
    def n_units(self) -> int:
        """Hidden units."""
        return int(self.weight.shape[1])

    @property
    def at_cell(self) -> int:
        """Where the cells of an LSTM stand in its value."""
        return (self.n_steps + _GATES[self.kind]) * self.n_units

    @property
    def size(self) -> int:
        """Elements of its value."""
        return self.at_cell + (self.n_units if self.kind == "lstm" else 0)

    def run(self, gates: Array, *states: Array) -> Array:
        """Hidden states of all steps, and the last cells, (n_samples, n_elements)."""
        n = self.n_units
        state, cell = (*states, *[np.zeros((len(gates), n))] * 2)[:2]
        found = np.zeros((len(gates), self.size))
        given = gates.reshape(len(gates), self.n_steps, -1)
        order = range(self.n_steps)
        for step in reversed(order) if self.backwards else order:
            x, own = given[:, step], state @ self.weight.T + self.bias
            if self.kind == "lstm":
                into, kept, new, out = np.split(x + own, 4, axis=1)
                cell = _sigmoid(into) * np.tanh(new) + _sigmoid(kept) * cell
                state = _sigmoid(out) * np.tanh(cell)
            elif self.kind == "gru":
                reset, kept = np.split(_sigmoid((x + own)[:, : 2 * n]), 2, axis=1)
                new = np.tanh(x[:, 2 * n :] + reset * own[:, 2 * n :])
                state = new + kept * (state - new)
            else:
                state = _PLAIN_FUNCTIONS[self.kind](x + own)
            found[:, step * n : (step + 1) * n] = state
        if self.kind == "lstm":
            found[:, self.at_cell :] = cell
        return found

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        gates, *states = xs
        n_states = 2 if self.kind == "lstm" else 1
        start: list[Vector | Constant] = [*states]
        if not self.starts:
            start = [program.constant("zeros", np.zeros(self.n_units))] * n_states
        y = Vector(self.size)
        weight = program.constant("weights", self.weight)
        bias = program.constant("biases", self.bias)
        macs = self.n_steps * self.weight.size
        program.call(
            KERNELS[self.kind], weight, bias, *start, self.n_steps, self.n_units,
            int(self.backwards), gates, y, macs=macs,
        )  # fmt: skip
        return y


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def offsets(reading: Reading, operation: Operation) -> Array:
    """The bias of the recurrent weight."""
    weight = reading.array(operation, operation.args[1])
    return reading.bias(operation, 2, len(weight))


def nothing(reading: Reading, operation: Operation) -> None:
    """What no C form needs."""


def zeros(reading: Reading, operation: Operation) -> Operand:
    """States before the first step, all 0."""
    key = next(operand.value for operand in reading.values.values())
    return Operand(key, np.full(reading.shapes[operation.value], -1))


def steps(reading: Reading, operation: Operation) -> list[Any]:
    """Hidden states, those that steps read, and the last states."""
    kind = operation.packet.removesuffix("_steps")
    gates, bias = reading.operand(operation), reading.values[operation.args[1].number]
    weight = operation.args[2]
    if not isinstance(weight, Weight) or reading.weights[weight.name].dim() != 2:
        raise reading.refused(operation)
    *given, backwards = operation.args[3:]
    states = [reading.operand(operation, 3 + k) for k, state in enumerate(given) if state]
    if all((state.places < 0).all() for state in states):
        states = []
    n_steps = gates.places.shape[1]
    node = Recurrent(
        kind, reading.array(operation, weight), bias, n_steps, bool(backwards), bool(states)
    )
    whole = reading.append(operation, node, gates, *states)
    n = node.n_units
    hidden = np.arange(n_steps * n).reshape(1, n_steps, n)
    last = hidden[:, 0 if backwards else -1]
    ends = [last, node.at_cell + np.arange(n)[None]]
    found = [Operand(whole, places) for places in (hidden, *ends)]
    return [found[0], None, *found[1 : 1 + (2 if kind == "lstm" else 1)]]
