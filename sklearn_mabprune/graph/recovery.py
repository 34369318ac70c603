"""A network from a user's module: a chain by its classes or its operators, or any other."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pickle import PicklingError
from typing import Any

import torch
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..utils.compat import uncompiled
from ..utils.memory import out_of_memory
from .module_network import ModuleNetwork
from .program import Program, Samples, arguments
from .refusals import failing, not_finite, not_readable, outputs_of_other_form
from .verification import called_eval, verified

#: Samples that a module is run on.
_N_SAMPLES = 9


def recover_network(
    module: nn.Module, x: Samples, *, residual_streams: bool = False
) -> ModuleNetwork:
    """The network that a module of any form computes; the module itself is left alone.

    Parameters
    ----------
    module : nn.Module
    x : Tensor, or tuple or dict of Tensor
        Real samples, on the module's device and in its dtype, as skorch gives them to ``forward``.
    residual_streams : bool, default=False
        Whether units that residual blocks add to can be removed.

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
    module = own_copy(module).eval()
    for part in module.modules():
        if hasattr(part, "inplace"):
            # Values are kept and used again.
            setattr(part, "inplace", False)  # noqa: B010 - not an attribute of Module
    x = _few(x)
    outputs = _checked_outputs(module, x)
    try:
        program = Program.of(module, _few(x, 2))
    except UnsupportedModuleError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise not_readable(module, error) from error
    network = ModuleNetwork.of(module, program, _few(x, 2), residual_streams=residual_streams)
    _check_program(network, x, outputs)
    if network.groups:
        network = verified(network, x)
    if not network.groups:
        raise _nothing_to_remove(network)
    return network


def own_copy(module: nn.Module) -> nn.Module:
    """A copy of a module, without what ``torch.compile`` puts around it or its parts."""
    try:
        copied: nn.Module = copy.deepcopy(uncompiled(module))
    except (TypeError, ValueError, AttributeError, RuntimeError, PicklingError) as error:
        if out_of_memory(error):
            raise
        raise UnsupportedModuleError(
            f"{type(module).__name__} cannot be copied ({error}), and only copies are cut. Keep "
            "what cannot be copied, such as a lock, an open file or a generator, out of it."
        ) from error
    for part in list(copied.modules()):
        for name, child in list(part.named_children()):
            if uncompiled(child) is not child:
                setattr(part, name, uncompiled(child))
    return copied


def _few(x: Samples, n_samples: int = _N_SAMPLES) -> Samples:
    """The first samples, at least two."""
    if isinstance(x, Mapping):
        return {name: _few(part, n_samples) for name, part in x.items()}
    if isinstance(x, tuple | list):
        return type(x)(_few(part, n_samples) for part in x)
    x = x[:n_samples]
    return x if len(x) > 1 else torch.cat([x, x])


def _tensors(x: Samples) -> list[Tensor]:
    args, kwargs = arguments(x)
    return [*args, *kwargs.values()]


def _checked_outputs(module: nn.Module, x: Samples) -> Tensor:
    """What a module returns for samples, refused where that is not one output for each."""
    before = [part.clone() for part in _tensors(x)]
    state = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        outputs = called_eval(module, x)
    except Exception as error:
        if out_of_memory(error):
            raise
        raise failing(module, error) from error
    problem = outputs_of_other_form(module, outputs, len(before[0]))
    own = type(module).__name__
    if problem is None and any(
        not torch.equal(one, other) for one, other in zip(before, _tensors(x), strict=True)
    ):
        problem = f"{own}.forward changes its input in place. Copy it first: x = x.clone()."
    changed = [n for n, b in module.named_buffers() if not _equal(b, state.get(n))]
    if problem is None and changed:
        problem = (
            f"{own}.forward changes its buffer {changed[0]!r} in evaluation mode. Do so in "
            "training mode only: if self.training."
        )
    if problem is None and not _equal(outputs, called_eval(module, x)):
        problem = (
            f"{own}.forward returns other outputs each time for the same samples in evaluation "
            "mode. Draw random numbers in training mode only: if self.training."
        )
    if problem is not None:
        raise UnsupportedModuleError(problem)
    return outputs


def _equal(one: Tensor, other: Any) -> bool:
    return isinstance(other, Tensor) and torch.allclose(one, other, equal_nan=True)


def _check_program(network: ModuleNetwork, x: Samples, outputs: Tensor) -> None:
    """The operators must return what the module does, and finite numbers."""
    own = type(network.module).__name__
    known = network.program.known(x)
    with torch.no_grad():
        if not bool(torch.isfinite(outputs).all()):
            raise not_finite(network.module, _first_not_finite(network, x))
        try:
            found = network.run(known)
        except Exception as error:
            raise UnsupportedModuleError(
                f"{own}.forward works for one number of samples only: {error}"
            ) from error
    if found.shape != outputs.shape or not torch.allclose(found, outputs, rtol=1e-4, atol=1e-5):
        raise UnsupportedModuleError(
            f"The operators of {own}.forward, run on other samples, return other outputs than it "
            "does: it depends on the number of samples or on their values."
        )


def _first_not_finite(network: ModuleNetwork, x: Samples) -> str:
    values = dict(network.program.known(x))
    for operation in network.program.operations:
        values |= network.run(values, [operation.value])
        value = values[operation.value]
        floating = isinstance(value, Tensor) and value.is_floating_point()
        if floating and not bool(torch.isfinite(value).all()):
            layer = f" of layer {operation.module!r}" if operation.module else ""
            return f"{operation.packet}{layer} {operation.where}".strip()
    return "its output"


def _nothing_to_remove(network: ModuleNetwork) -> UnsupportedModuleError:
    reasons = [f"{name!r}: {reason}" for name, reason in network.kept_whole.items()]
    listed = "; ".join(reasons[:8]) or "it has no layer whose units another layer reads"
    return UnsupportedModuleError(
        f"{type(network.module).__name__} has no units that can be removed. {listed}."
    )
