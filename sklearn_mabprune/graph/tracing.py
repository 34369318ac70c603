"""Which layers a module runs on real rows, and whether they are a chain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from .kinds.registry import BEHIND, BETWEEN, STATELESS

WAY_OUT = (
    "Supported is a chain of Linear, element-wise activations, Dropout and BatchNorm1d, ending "
    "in an optional Flatten, Softmax, LogSoftmax or Sigmoid, every layer a module of its own "
    "(nn.ReLU() rather than torch.relu)."
)

#: Name, layer, input, output.
Call = tuple[str, nn.Module, Tensor, Tensor]


def trace(module: nn.Module, x: Tensor) -> tuple[list[Call], Tensor]:
    """Run a module, and check that what it does is one layer after the other.

    Parameters
    ----------
    module : nn.Module
        In evaluation mode.
    x : Tensor of shape (n_rows, n_features)

    Returns
    -------
    list of (str, nn.Module, Tensor, Tensor)
        Name, layer, input and output of each call.
    Tensor
        What the module returned.

    Raises
    ------
    UnsupportedModuleError
        If it is no chain, or if a layer returns numbers that are not finite.
    """
    calls, outputs = _run(module, x)
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        got = type(outputs).__name__
        if isinstance(outputs, Tensor):
            got = f"shape {tuple(outputs.shape)} for {len(x)} rows"
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward must return one tensor with a row for each row of "
            f"X, got {got}. {WAY_OUT}"
        )
    _check_order(calls)
    previous_name, previous = "the input", x
    for name, layer, given, returned in calls:
        _check_handed_over(previous_name, previous, name, given)
        if not bool(torch.isfinite(returned).all()):
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) returns infinity or NaN for rows of X: "
                "its weights or the features are too large. Scale the features (StandardScaler), "
                "and lower the net's lr."
            )
        previous_name, previous = name, returned
    _check_handed_over(previous_name, previous, "the output", outputs)
    return calls, outputs


def _run(module: nn.Module, x: Tensor) -> tuple[list[Call], object]:
    """Which layers are called, in order: name, layer, input, output."""
    calls: list[Call] = []
    known = (nn.Linear, *BETWEEN, *BEHIND)
    hooks = []
    names: dict[nn.Module, str] = {}

    def before(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        given = args[0] if args else kwargs["input"]
        # Copies: an in-place activation overwrites what it is given.
        calls.append((names[layer], layer, given.clone(), given))

    def after(layer: nn.Module, args: tuple[Tensor, ...], returned: Tensor) -> None:
        calls[-1] = (*calls[-1][:3], returned.clone())

    for name, layer in module.named_modules():
        if type(layer) in known or not list(layer.children()):
            if type(layer) not in known:
                raise UnsupportedModuleError(
                    f"Layer {name or 'module'!r} ({type(layer).__name__}) of "
                    f"{type(module).__name__} cannot be pruned around. {WAY_OUT}"
                )
            names[layer] = name or "module"
            hooks.append(layer.register_forward_pre_hook(before, with_kwargs=True))
            hooks.append(layer.register_forward_hook(after))
    try:
        with torch.no_grad():
            outputs = module(x.clone())
    finally:
        for handle in hooks:
            handle.remove()
    return calls, outputs


def _check_order(calls: list[Call]) -> None:
    linears = [k for k, call in enumerate(calls) if isinstance(call[1], nn.Linear)]
    if len(linears) < 2:
        raise UnsupportedModuleError(
            f"The network has {len(linears)} Linear layers; pruning needs a hidden layer and an "
            "output layer."
        )
    used: set[int] = set()
    for k, (name, layer, _, _) in enumerate(calls):
        if id(layer) in used and not isinstance(layer, STATELESS):
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) is used more than once. {WAY_OUT}"
            )
        used.add(id(layer))
        if isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and k < linears[-1]:
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) mixes neurons and stands before the "
                f"last Linear. {WAY_OUT}"
            )
        over_rows = isinstance(layer, (nn.Softmax, nn.LogSoftmax)) and layer.dim in (0, -2)
        if over_rows or (isinstance(layer, nn.BatchNorm1d) and layer.running_mean is None):
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) mixes rows: what it gives for a row "
                f"depends on the others. {WAY_OUT}"
            )


def _check_handed_over(from_name: str, handed: Tensor, to_name: str, received: Tensor) -> None:
    """What a layer reads must be what the layer before it returned."""
    if handed.shape == received.shape and torch.equal(handed, received):
        return
    raise UnsupportedModuleError(
        f"Between {from_name!r} and {to_name!r}, forward does something that is not a layer: a "
        f"functional activation, a skip connection or a reshape. {WAY_OUT}"
    )
