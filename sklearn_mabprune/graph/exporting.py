"""The program of a module, read by ``torch.export``."""

from __future__ import annotations

import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..utils.memory import out_of_memory
from .decisions import answered
from .in_place import changed_input, changes_in_place, functional, in_place_of_others
from .program import (
    Operation,
    Program,
    SampleCount,
    Samples,
    Value,
    Weight,
    arguments,
    leaves,
    needed,
)  # fmt: skip
from .recurrent_layers import as_one_operator
from .recurrent_program import with_steps
from .source_lines import where, where_defined


def training_program(module: nn.Module, x: Samples) -> Program | None:
    """All that a module runs in training mode, from samples that it takes.

    Layers that its outputs do not follow from are in it.  None if it cannot be read.
    """
    module = copy.deepcopy(module).train()
    try:
        return exported_program(module, x, whole=True)
    except Exception as error:
        if out_of_memory(error):
            raise
        return None


def exported_program(
    module: nn.Module,
    x: Samples,
    any_number: bool = True,
    answers: list[Any] | None = None,
    whole: bool = False,
) -> Program:
    """The program of a module as its mode says, from samples that it takes.

    Parameters
    ----------
    module : nn.Module
    x : samples
    any_number : bool, default=True
        Whether the program is to take any number of samples.
    answers : list of bool, int or float, optional
        Numbers that ``forward`` makes of tensors, see :func:`answers_of`.
    whole : bool, default=False
        Whether operations that the outputs do not follow from are in it.

    Raises
    ------
    UnsupportedModuleError
        If ``forward`` changes its input in place.
    Exception
        Whatever ``torch.export`` raises for a module that it cannot read.
    """
    args, kwargs = arguments(x)
    # By tensor: names and nesting of forward's parameters do not matter.
    shapes: Any = torch.export.ShapesCollection() if any_number else None
    for tensor in (*args, *kwargs.values()) if any_number else ():
        shapes[tensor] = {0: torch.export.Dim.AUTO}
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), _quiet(), answered(module, answers), as_one_operator(module):
            exported = torch.export.export(
                module, args, kwargs or None, dynamic_shapes=shapes, strict=False
            )
            _refuse_changed_inputs(exported, module)
            if in_place_of_others(exported.graph.nodes):
                exported = exported.run_decompositions({})
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return with_steps(_read(exported, module, whole))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what ``torch.export`` prints, logs and warns of: what fails is said by an error.

    It warns of attributes that torch's own modules set, and prints half of the program on error.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


_LOGGERS = (
    "torch.fx.experimental.symbolic_shapes",
    "torch._subclasses.fake_tensor",
    "torch.export",
    "torch.export._trace",
)


def of_two_sizes(one: Program, other: Program, n_samples: tuple[int, int]) -> Program | None:
    """The program for any number of samples from those for two numbers of them.

    Parameters
    ----------
    one, other : Program
        Of the same module.
    n_samples : tuple of (int, int)
        Of each program.  Numbers among the arguments that differ as these do are numbers of
        samples.

    Returns
    -------
    Program or None
        None if the programs differ otherwise.
    """
    if len(one.operations) != len(other.operations) or one.output != other.output:
        return None
    operations = []
    for left, right in zip(one.operations, other.operations, strict=True):
        try:
            given = left.args, left.kwargs
            args, kwargs = _merged(given, (right.args, right.kwargs), n_samples)
        except _DifferentError:
            return None
        if left.name != right.name:
            return None
        operations.append(replace(left, args=args, kwargs=kwargs))
    return Program(operations, one.inputs, one.output, one.constants)


class _DifferentError(Exception):
    """Arguments of two programs differ by more than their numbers of samples."""


def _merged(left: Any, right: Any, n_samples: tuple[int, int]) -> Any:
    if isinstance(left, tuple | list) and len(left) == len(right):
        return type(left)(_merged(a, b, n_samples) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and left.keys() == right.keys():
        return {name: _merged(part, right[name], n_samples) for name, part in left.items()}
    if type(left) is type(right) and left == right:
        return left
    if type(left) is int and type(right) is int:
        times, rest = divmod(left, n_samples[0])
        if not rest and times * n_samples[1] == right:
            return SampleCount(times)
    raise _DifferentError


def _refuse_changed_inputs(exported: Any, module: nn.Module) -> None:
    what = changed_input(exported.graph.nodes, exported.graph_signature.user_inputs)
    if what is not None:
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward changes its input in place: {what}. Copy it first: "
            "x = x.clone()."
        )


def _read(exported: Any, module: nn.Module, whole: bool) -> Program:
    named: dict[int, str] = {}
    for kind in (module.named_parameters, module.named_buffers):
        for name, tensor in kind(remove_duplicate=False):
            named.setdefault(id(tensor), name)
    by_name: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    by_name |= dict(module.named_buffers(remove_duplicate=False))
    references: dict[Any, Any] = {}
    inputs: list[int] = []
    constants: dict[str, Tensor] = {}
    operations = []
    output = -1
    placeholders = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}
    for number, node in enumerate(exported.graph.nodes):
        if node.op == "placeholder":
            target = placeholders[node.name].target
            if target is None:
                inputs.append(number)
                references[node] = Value(number)
            elif target in by_name:
                references[node] = Weight(named[id(by_name[target])])
            else:
                constants[target] = exported.constants[target]
                references[node] = Weight(target)
        elif node.op == "output":
            output = references[next(iter(leaves(node.args)))].number
        elif node.op == "get_attr":
            raise UnsupportedModuleError(
                f"{where_defined(module)} runs {next(iter(node.users)).target}, which cannot be "
                "read as operators. Leave out torch.autocast, torch.cond and the like."
            )
        elif node.op == "call_function":
            references[node] = Value(number)
            operations.append(_operation(number, node, references))
            if changes_in_place(node):
                references[node.args[0]] = Value(number)
    if not whole:
        # Without operations that nothing follows from, such as weights that attention returns.
        operations = needed(operations, frozenset(), [output])
    return Program(operations, inputs, output, constants)


def _operation(number: int, node: Any, references: Mapping[Any, Any]) -> Operation:
    target = functional(node) if changes_in_place(node) else node.target
    name = (
        str(target)
        if hasattr(target, "overloadpacket")
        else f"{target.__module__}.{target.__name__}"
    )
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    module = re.sub(r"@\d+", "", stack[-1][0]) if stack else ""
    args, kwargs = (
        torch.fx.node.map_arg(part, references.__getitem__) for part in (node.args, node.kwargs)
    )
    return Operation(
        number, name, tuple(args), dict(kwargs), module, where(node.meta.get("stack_trace"), stack)
    )
