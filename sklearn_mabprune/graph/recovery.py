"""A network from a user's module: a chain by its classes or its operators, or any other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..data.sparse import outputs_of
from ..exceptions import UnsupportedModuleError
from ..utils.compat import uncompiled
from ..utils.memory import out_of_memory
from ..utils.modes import modes_kept
from ..utils.randomness import global_generators
from .analysis import is_plain
from .attention import with_prunable_attention, without_nested_tensors
from .copies import uncompiled_copy
from .decisions import answers_of
from .exporting import exported_program, of_two_sizes, training_program
from .graph import Graph
from .members import means_members, with_members
from .module_network import ModuleNetwork, weights_of
from .program import Program, Samples, arguments, called, tensorwise
from .refusals import (
    depends_on_number,
    failing,
    not_finite,
    not_readable,
    other_form_in_training,
    outputs_of_other_form,
    refuse_compiled_code,
)
from .source_lines import where_defined
from .tracing import recover_graph
from .verification import called_eval, uneven_modules, verified

#: Samples that a module is run on, and those that tell what in its program is their number.
_N_SAMPLES = 9
_TWO_SIZES = (5, 7)
#: Operators that may divide units into parts of the same width.
_DIVIDING = {"view", "_unsafe_view", "reshape", "unflatten", "channel_shuffle"}
# Operators that put minus infinity where a user wants it.
_FILLS = {"masked_fill", "where", "full", "full_like", "triu", "tril"}


def network_of(module: nn.Module, x: Samples) -> Graph | ModuleNetwork:
    """A chain where the classes or the operators of a module say so; else a network.

    Groups that have to be named are in it where there are no others.

    Parameters
    ----------
    module : nn.Module
        Left alone.
    x : Tensor, or tuple or dict of Tensor
        Real samples, on the module's device and in its dtype.

    Raises
    ------
    UnsupportedModuleError
        If nothing of the module can be removed; the message says why.
    ValueError
        If the first layer of a chain reads another number of features than X has.
    """
    refuse_compiled_code(module)
    if not isinstance(x, Tensor) or x.dim() != 2 or not x.is_floating_point():
        return recover_network(module, x, or_named=True)
    try:
        return recover_graph(module, x)
    except UnsupportedModuleError:
        if is_plain(uncompiled(module)):
            raise
        return recover_network(module, x, or_named=True)


def recover_network(
    module: nn.Module,
    x: Samples,
    *,
    residual_streams: bool = False,
    members: bool = False,
    or_named: bool = False,
) -> ModuleNetwork:
    """The network that a module of any form computes; the module itself is left alone.

    Parameters
    ----------
    module : nn.Module
    x : Tensor, or tuple or dict of Tensor
        Real samples, on the module's device and in its dtype, as skorch gives them to ``forward``.
    residual_streams : bool, default=False
        Whether units that residual blocks add to can be removed.
    members : bool, default=False
        Whether members of ensembles can be removed.
    or_named : bool, default=False
        Whether units of both kinds can be removed where no others can.

    Returns
    -------
    ModuleNetwork
        Over a copy of the module.

    Raises
    ------
    UnsupportedModuleError
        If nothing of the module can be removed, or its operators cannot be read; the message
        names the module, the operator and the line.
    """
    module = without_nested_tensors(uncompiled_copy(module))
    module.eval()
    for part in module.modules():
        if hasattr(part, "inplace"):
            # Values are kept and used again.
            setattr(part, "inplace", False)  # noqa: B010 - not an attribute of Module
    x = _first(x, _N_SAMPLES)
    outputs = _checked_outputs(module, x)
    _check_training_outputs(module, x, outputs)
    readable = with_prunable_attention(copy.deepcopy(module))
    program = _program_of(readable, x, outputs)
    if outputs.dim() == 1:
        program = program.of_columns()
    training = _training_program(readable, program, x)
    network = _verified_network(module, program, training, x, residual_streams, members)
    if or_named and not network.groups:
        wider = _verified_network(module, program, training, x, True, True)
        if not wider.groups:
            raise nothing_to_remove(network, {**network.kept_whole, **wider.kept_whole})
        network = wider
    if not network.groups:
        raise nothing_to_remove(network, network.kept_whole)
    return network.laid_out(x)


def _verified_network(
    module: nn.Module,
    program: Program,
    training: Program | None,
    x: Samples,
    residual_streams: bool,
    members: bool,
) -> ModuleNetwork:
    """The network of a module's program, with the groups that are removed rightly."""

    def found(in_parts: Collection[str]) -> ModuleNetwork:
        network = _with_even_layers(
            lambda tied: ModuleNetwork.of(
                module,
                program,
                _first(x, 2),
                residual_streams=residual_streams,
                tied=tied,
                training=training,
                in_parts=in_parts,
            ),
            x,
        )
        return with_members(network, x) if members else network

    def compared(before: ModuleNetwork) -> tuple[ModuleNetwork, list[str]]:
        after = verified(before, x) if before.groups else before
        return after, [
            why for name, why in after.kept_whole.items() if name not in before.kept_whole
        ]

    tried = [found(())]
    best, lost = compared(tried[0])
    dividing = {o.what for o in program.operations if o.packet in _DIVIDING}
    named = {what for what in dividing if any(why.startswith(what) for why in lost)}
    # Channels that are shuffled can be removed at the same place of all parts.
    for in_parts in (named, dividing) if named else ():
        if not lost:
            break
        other = found(in_parts)
        if not any(_same_groups(other, network) for network in tried):
            tried.append(other)
            network, lost = compared(other)
            best = network if _n_slices(network) > _n_slices(best) else best
    return best


def _same_groups(one: ModuleNetwork, other: ModuleNetwork) -> bool:
    """Whether the groups of two networks of a module have the same places of all weights."""
    pairs = zip(one.groups, other.groups, strict=False)
    return len(one.groups) == len(other.groups) and all(a.same_places(b) for a, b in pairs)


def _n_slices(network: ModuleNetwork) -> int:
    """Slices of weights that can be removed."""
    return sum(places.size for group in network.groups for places in group.members.values())


def _training_program(module: nn.Module, program: Program, x: Samples) -> Program | None:
    """What runs in training mode, if parameters are not needed for the outputs; else None."""
    needed = {name for operation in program.operations for name in operation.weights}
    without = {name for name, _ in module.named_parameters()} - needed
    return training_program(module, _first(x, 2)) if without else None


def with_named_groups(
    network: ModuleNetwork, module: nn.Module, x: Samples, names: Sequence[str]
) -> ModuleNetwork:
    """The network of a module that was trained since, with groups that only a name means.

    The network itself if it has no residual stream, and the names mean no members.
    """
    streams, members = bool(streams_of(network)), means_members(names)
    if not (streams or members):
        return network
    return recover_network(module, x, residual_streams=streams, members=members)


def streams_of(network: ModuleNetwork) -> list[str]:
    """Names of the residual streams that are kept whole as such."""
    return [name for name, reason in network.kept_whole.items() if "residual stream" in reason]


def _with_even_layers(made: Callable[[Collection[str]], ModuleNetwork], x: Samples) -> Any:
    """The network whose recurrent modules have as many units in all layers where they must.

    Parameters
    ----------
    made : callable
        Makes the network from the names of those modules.
    x : samples
    """
    network, tied = made(()), set[str]()
    for module, fails in uneven_modules(network, x):
        other = made({*tied, module})
        if fails or len(other.recurrent) > len(network.recurrent):
            network, tied = other, {*tied, module}
    return network


def _first(x: Samples, n_samples: int) -> Samples:
    """The first samples, repeated where there are fewer."""

    def first(part: Tensor) -> Tensor:
        part = part[:n_samples]
        return part.repeat(-(-n_samples // len(part)), *[1] * (part.dim() - 1))[:n_samples]

    return tensorwise(x, first)


def _tensors(x: Samples) -> list[Tensor]:
    args, kwargs = arguments(x)
    return [*args, *kwargs.values()]


def _checked_outputs(module: nn.Module, x: Samples) -> Tensor:
    """What a module returns for samples, refused where that is not one output for each."""
    given, state = copy.deepcopy(x), copy.deepcopy(dict(module.named_buffers()))
    try:
        outputs = called_eval(module, given)
    except Exception as error:
        if out_of_memory(error):
            raise
        raise failing(module, error, x) from error
    changed = [name for name, buffer in module.named_buffers() if not _equal(buffer, state[name])]
    problem = outputs_of_other_form(module, outputs, len(_tensors(x)[0]))
    if problem is None and not all(map(_equal, _tensors(x), _tensors(given))):
        exported_program(module, x)  # which knows the line
        problem = f"{where_defined(module)} changes its input in place. Copy it first: x.clone()."
    elif problem is None and changed:
        problem = (
            f"{where_defined(module)} changes its buffer {changed[0]!r} in evaluation mode. Do so "
            "in training mode only: if self.training."
        )
    elif problem is None and not _equal(outputs, called_eval(module, x)):
        problem = (
            f"{where_defined(module)} returns other outputs each time for the same samples in "
            "evaluation mode. Draw random numbers in training mode only: if self.training."
        )
    if problem is not None:
        raise UnsupportedModuleError(problem)
    return outputs


def _check_training_outputs(module: nn.Module, x: Samples, outputs: Tensor) -> None:
    """Refuse a module that returns something of another form in training mode.

    A forward that fails there is left to the training, which has the better message.
    """
    copied, device = copy.deepcopy(module), _tensors(x)[0].device
    copied.train()
    try:
        with global_generators(0, device), torch.inference_mode(False), torch.enable_grad():
            trained = called(copied, copy.deepcopy(x))
    except Exception as error:
        if out_of_memory(error):
            raise
        return
    problem = other_form_in_training(module, outputs, trained)
    if problem is not None:
        raise UnsupportedModuleError(problem)


def _equal(one: Tensor, other: Any) -> bool:
    return isinstance(other, Tensor) and torch.allclose(one, other, equal_nan=True)


def _program_of(module: nn.Module, x: Samples, outputs: Tensor) -> Program:
    """The program of a module, compared with it on samples that it was not read from."""
    answers = None
    try:
        program = exported_program(module, _first(x, 2))
    except Exception as error:
        if out_of_memory(error) or isinstance(error, UnsupportedModuleError):
            raise
        refusal = not_readable(module, error)
        refusal.__cause__ = error
        answers = answers_of(module, x)
        program = None
        if answers:
            try:
                program = exported_program(module, _first(x, 2), answers=answers)
            except Exception as failed:
                if out_of_memory(failed):
                    raise
    if program is not None:
        _check_finite(module, program, x, outputs)
        if _same_outputs(program, weights_of(module), x, outputs):
            return program
        refusal = depends_on_number(module)
    # A number of samples that is a number: len(x), or a branch on it.
    samples = [_first(x, n_samples) for n_samples in _TWO_SIZES]
    try:
        one, other = (
            exported_program(module, part, any_number=False, answers=answers) for part in samples
        )
    except Exception as failed:
        if out_of_memory(failed):
            raise
        raise refusal from refusal.__cause__
    merged = of_two_sizes(one, other, _TWO_SIZES)
    if merged is None or not _same_outputs(merged, weights_of(module), x, outputs):
        raise refusal
    return merged


def returns_what(network: Graph | ModuleNetwork, module: nn.Module, x: Samples) -> bool:
    """Whether a network returns what a module does, in evaluation mode; a chain always does."""
    if isinstance(network, Graph):
        return True
    with modes_kept(module), torch.no_grad():
        outputs = outputs_of(module.eval(), x)
    return _same_outputs(network.program, network.weights, x, outputs)


def _same_outputs(
    program: Program, weights: Mapping[str, Tensor], x: Samples, outputs: Tensor
) -> bool:
    """Whether a program returns what the module does."""
    try:
        with torch.no_grad():
            found = program.run(program.known(x), weights=weights)
    except Exception as error:
        if out_of_memory(error):
            raise
        return False
    return found.shape == outputs.shape and torch.allclose(found, outputs, rtol=1e-4, atol=1e-5)


def _check_finite(module: nn.Module, program: Program, x: Samples, outputs: Tensor) -> None:
    """Refuse infinity and NaN, by the first operation that returns them."""
    if bool(torch.isfinite(outputs).all()):
        return
    first, masks = "its output", set[int]()
    values = dict(program.known(x))
    for operation in program.operations:
        try:
            with torch.no_grad():
                values |= program.run(values, [operation.value], weights=weights_of(module))
        except RuntimeError:
            break  # it was read from another number of samples
        value = values[operation.value]
        floating = isinstance(value, Tensor) and value.is_floating_point()
        if not floating or bool(torch.isfinite(value).all()):
            continue
        filled = operation.packet in _FILLS or operation.reads & masks
        if filled and not bool((value.isnan() | value.isposinf()).any()):
            # Minus infinity before a softmax is a mask.
            masks.add(operation.value)
            continue
        first = operation.what
        break
    raise not_finite(module, first)


def nothing_to_remove(network: ModuleNetwork, reasons: Mapping[str, str]) -> UnsupportedModuleError:
    """The refusal of a network, by the reasons for which its groups are kept whole."""
    found = [f"{name!r}: {reason}" for name, reason in reasons.items()]
    listed = "; ".join(found[:8]) or "it has no layer whose units another layer reads"
    return UnsupportedModuleError(
        f"{type(network.module).__name__} has no units that can be removed. {listed}."
    )
