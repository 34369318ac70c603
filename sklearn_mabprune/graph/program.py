"""The operators that a module's ``forward`` runs, as plain data that can be run again."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..data.named import NamedSamples
from .means import member_mean
from .recurrent_layers import recurrent
from .recurrent_steps import STEPS
from .whole_layers import WHOLE, lstm_layer, with_whole_layers

#: Samples of X: one tensor, or several by the names or places of ``forward``'s parameters, also as
#: :class:`NamedSamples`.
Samples = Any


@dataclass(frozen=True)
class Value:
    """Stands for a value among the arguments of an operation."""

    number: int


@dataclass(frozen=True)
class Weight:
    """Stands for a parameter, a buffer or a constant among the arguments of an operation."""

    name: str


@dataclass(frozen=True)
class SampleCount:
    """Stands for the number of samples, times a factor, among the arguments of an operation."""

    times: int


@dataclass(frozen=True)
class Operation:
    """One operator that runs, and the values that it reads and returns.

    Parameters
    ----------
    value : int
        The number of what it returns.
    name : str
        Such as "aten.relu.default".
    args, kwargs : tuple, dict
        Values and weights are references in them.
    module : str
        Name of the innermost module that runs it; empty for the network itself.
    where : str
        Where it is called: "in Net.forward (net.py:12)".
    """

    value: int
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    module: str
    where: str

    @property
    def operator(self) -> Any:
        """The function that is called."""
        return _operator(self.name)

    @property
    def packet(self) -> str:
        """The operator's name without its overload: "relu"."""
        return self.name.split(".")[1]

    @property
    def what(self) -> str:
        """The operator, its module and where it is called."""
        module = f" of {self.module!r}" if self.module else ""
        return f"{self.packet}{module} {self.where}".strip()

    @cached_property
    def reads(self) -> frozenset[int]:
        """Numbers of the values among its arguments."""
        return frozenset(
            part.number for part in leaves((self.args, self.kwargs)) if isinstance(part, Value)
        )

    @cached_property
    def weights(self) -> tuple[str, ...]:
        """Names of the weights among its arguments, each as often as it is one."""
        return tuple(
            part.name for part in leaves((self.args, self.kwargs)) if isinstance(part, Weight)
        )


#: The space of the operators that the package adds to those of torch.
OWN = "sklearn_mabprune"
OPERATORS = {**STEPS, "recurrent": recurrent, "member_mean": member_mean, WHOLE: lstm_layer}


@cache
def _operator(name: str) -> Any:
    space, rest = name.split(".", 1)
    if space == OWN:
        return OPERATORS[rest.removesuffix(".default")]
    if rest == "view.default":
        # Equal, and takes values in any memory format; nothing is changed in place here.
        rest = "reshape.default"
    if hasattr(torch.ops, space) and space not in ("_operator", "math", "torch"):
        packet, overload = rest.split(".")
        return getattr(getattr(getattr(torch.ops, space), packet), overload)
    return getattr(importlib.import_module(space), rest)


def leaves(args: Any) -> Iterable[Any]:
    """What stands inside nested tuples, lists and dictionaries."""
    if isinstance(args, Mapping):
        args = args.values()
    elif not isinstance(args, tuple | list):
        yield args
        return
    for part in args:
        yield from leaves(part)


#: The key of the number of samples among known values.
N_SAMPLES = -1


def filled(args: Any, values: Mapping[int, Any], weights: Mapping[str, Any]) -> Any:
    """Arguments with values and weights in place of the references to them."""
    if isinstance(args, Value):
        return values[args.number]
    if isinstance(args, Weight):
        return weights[args.name]
    if isinstance(args, SampleCount):
        return values[N_SAMPLES] * args.times
    if isinstance(args, tuple | list):
        return type(args)(filled(part, values, weights) for part in args)
    if isinstance(args, dict):
        return {name: filled(part, values, weights) for name, part in args.items()}
    return args


class Program:
    """The operators of a module in evaluation mode, for any number of samples.

    Parameters
    ----------
    operations : sequence of Operation
        In the order in which they run.
    inputs : sequence of int
        Numbers of the values that ``forward`` is given.
    output : int
        The number of what it returns.
    constants : dict of str to Tensor
        Tensors that are neither parameters nor buffers.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_mabprune.graph.exporting import exported_program
    >>> module, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.ones(2, 4)
    >>> program = exported_program(module, x)
    >>> [operation.packet for operation in program.operations]
    ['linear', 'relu', 'linear']
    >>> program.run(program.known(torch.ones(5, 4)), weights=dict(module.named_parameters())).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        inputs: Iterable[int],
        output: int,
        constants: dict[str, Tensor],
    ):
        self.operations = tuple(operations)
        self.inputs, self.output, self.constants = tuple(inputs), output, constants
        self._plans: dict[Any, list[tuple[Operation, list[int]]]] = {}

    def to(self, dtype: torch.dtype) -> Program:
        """The same operations with constants in another dtype."""
        constants = {
            name: constant.to(dtype) if constant.is_floating_point() else constant
            for name, constant in self.constants.items()
        }
        return Program(self.operations, self.inputs, self.output, constants)

    def of_columns(self) -> Program:
        """The same operations; a number for each sample, (n_samples,), becomes a column."""
        value = 1 + max([*self.inputs, *(operation.value for operation in self.operations)])
        column = Operation(
            value, "aten.unsqueeze.default", (Value(self.output), 1), {}, "", "at the end"
        )
        return Program([*self.operations, column], self.inputs, value, self.constants)

    def known(self, x: Samples) -> dict[int, Tensor]:
        """The values that samples are, by their numbers."""
        args, kwargs = arguments(x)
        return dict(zip(self.inputs, (*args, *kwargs.values()), strict=True))

    def run(
        self,
        known: Mapping[int, Any],
        wanted: Collection[int] | None = None,
        *,
        weights: Mapping[str, Tensor],
        n_samples: int | None = None,
    ) -> Any:
        """Values computed from known values; the only loop over the operations.

        Parameters
        ----------
        known : mapping of int to object
            Values by number.
        wanted : collection of int, optional
            Numbers of the values to return; the output alone when not given.
        weights : mapping of str to Tensor
            Parameters, buffers by name; the program's own constants need not be among them.
        n_samples : int, optional
            Needed where no input is known and an operator asks for their number.

        Returns
        -------
        dict of int to object, or Tensor
            The output alone if `wanted` is not given.
        """
        values = dict(known)
        if n_samples is None:
            given = [known[number] for number in self.inputs if number in known]
            values[N_SAMPLES] = len(given[0]) if given else None
        else:
            values |= dict.fromkeys([N_SAMPLES, *self._n_samples], n_samples)
        weights = {**self.constants, **weights}
        numbers = (self.output,) if wanted is None else tuple(wanted)
        for operation, done in self._plan(frozenset(values), numbers):
            values[operation.value] = operation.operator(
                *filled(operation.args, values, weights),
                **filled(operation.kwargs, values, weights),
            )
            for number in done:
                del values[number]
        if wanted is None:
            return values[self.output]
        return {number: values[number] for number in numbers}

    @cached_property
    def recurrent(self) -> dict[str, str]:
        """Modules of recurrent weights, which read what their operation has returned."""
        sums = [o for o in self.operations if o.name == f"{OWN}.hidden_sums"]
        return {o.args[1].name: o.module for o in sums if isinstance(o.args[1], Weight)}

    def downstream(self, values: Iterable[int]) -> tuple[Operation, ...]:
        """The operations that must run again when these values change."""
        changed, found = set(values), []
        for operation in self.operations:
            if operation.value not in changed and operation.reads & changed:
                changed.add(operation.value)
                found.append(operation)
        return tuple(found)

    @cached_property
    def by_sample(self) -> frozenset[int]:
        """Values that depend on the samples."""
        return frozenset({*self.inputs, *(o.value for o in self.downstream(self.inputs))})

    @cached_property
    def convolves(self) -> bool:
        """Whether a convolution is among the operations."""
        return any("conv" in operation.packet for operation in self.operations)

    @cached_property
    def _n_samples(self) -> list[int]:
        """Values that are the number of samples."""
        return [
            operation.value
            for operation in self.operations
            if operation.name == "aten.sym_size.int"
            and operation.args[0] in [Value(number) for number in self.inputs]
            and operation.args[1] == 0
        ]

    def _plan(
        self, known: frozenset[int], wanted: tuple[int, ...]
    ) -> list[tuple[Operation, list[int]]]:
        """The operations to run, and the values that nothing reads after each of them."""
        with_gradients = torch.is_grad_enabled()
        key = known, wanted, with_gradients
        if key not in self._plans:
            chosen = needed(self.operations, known, wanted)
            missing = {read for operation in chosen for read in operation.reads} | set(wanted)
            missing -= known | {operation.value for operation in chosen}
            if missing:
                raise KeyError(f"values {sorted(missing)} are needed and not known")
            if not with_gradients:
                chosen = needed(with_whole_layers(chosen), known, wanted)
            kept, plan = set(wanted), []
            for operation in reversed(chosen):  # the last reader comes first
                plan.append((operation, sorted(operation.reads - kept)))
                kept |= operation.reads
            self._plans[key] = plan[::-1]
        return self._plans[key]

    def __getstate__(self) -> dict[str, Any]:
        """Plans are made again where they are needed."""
        return {**self.__dict__, "_plans": {}}


def needed(
    operations: Sequence[Operation], known: Set[int], wanted: Collection[int]
) -> list[Operation]:
    """Those of some operations that values which are wanted depend on."""
    missing, chosen = set(wanted) - known, list[Operation]()
    for operation in reversed(operations):
        if operation.value in missing:
            chosen.append(operation)
            missing |= operation.reads - known
    return chosen[::-1]


def tensorwise(x: Samples, change: Callable[[Tensor], Tensor]) -> Samples:
    """Samples of which each tensor is changed."""
    if isinstance(x, NamedSamples):
        return x.mapped(change)
    if isinstance(x, Mapping):
        return {name: tensorwise(part, change) for name, part in x.items()}
    if isinstance(x, tuple | list):
        return type(x)(tensorwise(part, change) for part in x)
    return change(x)


def arguments(x: Samples) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """What ``forward`` is called with for samples, as skorch calls it."""
    if isinstance(x, NamedSamples):
        return (), x.parts
    if isinstance(x, Mapping):
        return (), dict(x)
    return (tuple(x), {}) if isinstance(x, tuple | list) else ((x,), {})


def called(module: nn.Module, x: Samples) -> Any:
    """What a module returns for samples."""
    args, kwargs = arguments(x)
    return module(*args, **kwargs)
