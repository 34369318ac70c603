"""Recurrent layers in a program, as operators that show how their units are read.

A layer of ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` in one direction becomes a linear operator, which
reads the inputs of all steps, and one operator for the steps.  A cell is a layer of one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .program import OWN, Operation, Program, Value

#: Operators of torch for layers, and for one step.
_LAYERS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_CELLS = {f"{name}_cell": name for name in _LAYERS}


def with_steps(program: Program) -> Program:
    """The program with all recurrent layers and cells rewritten; others are left alone."""
    if not any(o.packet in ("recurrent", *_LAYERS, *_CELLS) for o in program.operations):
        return program
    rewriting = _Rewriting(program)
    for operation in program.operations:
        rewriting.add(operation)
    return rewriting.program()


class _Rewriting:
    """A program in the making, whose values have numbers of their own.

    Parameters
    ----------
    old : Program
    """

    def __init__(self, old: Program):
        self.old, self.operations = old, list[Operation]()
        #: What stands for each value of the old program: a value, or several of a tuple.
        self.new: dict[int, Any] = {n: Value(place) for place, n in enumerate(old.inputs)}

    def add(self, operation: Operation) -> None:
        """The next operation of the old program."""
        args, kwargs = self._of(operation.args), self._of(operation.kwargs)
        self.here = operation
        packet = operation.packet
        if packet == "getitem" and isinstance(args[0], list):
            self.new[operation.value] = args[0][args[1]]
        elif (form := _form(operation, args)) and (layers := _layers(form)):
            self.new[operation.value] = self._recurrent(layers, *form)
        elif packet in _CELLS:
            self.new[operation.value] = self._cell(_CELLS[packet], *args)
        else:
            self.new[operation.value] = self.emit(operation.name, *args, **kwargs)

    def emit(self, name: str, *args: Any, **kwargs: Any) -> Value:
        """An operation that runs in place of the current one; the value that it returns."""
        number = len(self.old.inputs) + len(self.operations)
        self.operations.append(
            replace(self.here, value=number, name=name, args=args, kwargs=kwargs)
        )
        return Value(number)

    def program(self) -> Program:
        """The new program."""
        inputs = [self.new[number].number for number in self.old.inputs]
        output = self.new[self.old.output].number
        return Program(self.operations, inputs, output, self.old.constants)

    def _of(self, args: Any) -> Any:
        if isinstance(args, Value):
            return self.new[args.number]
        if isinstance(args, tuple | list):
            return type(args)(self._of(part) for part in args)
        if isinstance(args, dict):
            return {name: self._of(part) for name, part in args.items()}
        return args

    # -------------------------------------------------------------------------- layers

    def _recurrent(
        self, layers: list[list[Any]], kind: str, x: Value, given: list[Any], *form: Any
    ) -> list[Value]:
        """What the layers return: hidden states of the last one, and last states of all."""
        bidirectional, batch_first = form[-2:]
        n_states = 2 if kind == "lstm" else 1
        given = given or [None] * n_states
        n_directions = 2 if bidirectional else 1
        if not batch_first:
            x = self.emit("aten.transpose.int", x, 0, 1)
        last: list[list[Value]] = [[] for _ in range(n_states)]
        for first in range(0, len(layers), n_directions):
            outputs = []
            for number in range(first, first + n_directions):
                states = [s and self.emit("aten.select.int", s, 0, number) for s in given]
                weights = layers[number]
                hidden, *ends = self._direction(kind, x, weights, states, number > first)
                outputs.append(hidden)
                for same, state in zip(last, ends, strict=True):
                    same.append(state)
            x = outputs[0] if n_directions == 1 else self.emit("aten.cat.default", outputs, -1)
        if not batch_first:
            x = self.emit("aten.transpose.int", x, 0, 1)
        return [x, *(self.emit("aten.stack.default", states, 0) for states in last)]

    def _direction(
        self, packet: str, x: Value, weights: list[Any], states: list[Any], backwards: bool
    ) -> list[Value]:
        into, own, *biases = weights
        gates = self.emit("aten.linear.default", x, into, *biases[:1])
        offsets = self.emit(f"{OWN}.offsets", gates, own, *biases[1:])
        name = f"{packet}_steps"
        steps = self.emit(f"{OWN}.{name}", gates, offsets, own, *states, backwards)
        hidden, before, *ends = (
            self.emit("_operator.getitem", steps, place) for place in range(2 + len(states))
        )
        self.emit(f"{OWN}.hidden_sums", before, own, offsets)
        return [hidden, *ends]

    def _cell(self, packet: str, x: Value, states: Any, *weights: Any) -> Any:
        """One step of a layer."""
        states = list(states) if isinstance(states, list | tuple) else [states]
        step = self.emit("aten.unsqueeze.default", x, 1)
        _, *ends = self._direction(packet, step, list(weights), states, False)
        return ends[0] if len(ends) == 1 else ends


def _form(operation: Operation, args: Sequence[Any]) -> Sequence[Any]:
    """What the operator for a whole module is given; nothing: it is another operator."""
    if operation.packet == "recurrent":
        return args
    if operation.packet not in _LAYERS or not operation.name.endswith(".input"):
        return ()
    x, states, weights, has_biases, n_layers, _, _, bidirectional, batch_first = args
    states = states if isinstance(states, list | tuple) else [states]
    kind = operation.packet
    return kind, x, states, weights, has_biases, n_layers, bidirectional, batch_first


def _layers(args: Sequence[Any]) -> list[list[Any]] | None:
    """Weights and biases of each layer and direction; None for a layer with projections."""
    weights, has_biases, n_layers, bidirectional = args[3:7]
    each = 4 if has_biases else 2
    if len(weights) != each * n_layers * (2 if bidirectional else 1):
        return None
    return [list(weights[first : first + each]) for first in range(0, len(weights), each)]
