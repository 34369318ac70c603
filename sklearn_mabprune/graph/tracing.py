"""The graph of a module: which layers it runs on real samples, and whether they are a chain.

``modules()`` shows which layers a module has, not how its ``forward`` uses them.  So the
module is run once on real samples while hooks note which layer is called when, with what;
the recovered graph is then run beside the module, and must return the same outputs.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..utils.compat import uncompiled
from .graph import Graph
from .kinds.registry import kind_of

_WAY_OUT = (
    "Supported is a chain of Linear, element-wise activations, Dropout and BatchNorm1d, ending "
    "in an optional Flatten, Softmax, LogSoftmax or Sigmoid, every layer a module of its own "
    "(nn.ReLU() rather than torch.relu)."
)

#: Name, layer, input, output.
Call = tuple[str, nn.Module, Tensor, Tensor]


def recover_graph(module: nn.Module, x: Tensor) -> Graph:
    """The graph that a module computes; the module itself is left alone.

    Parameters
    ----------
    module : nn.Module
        Any module that runs layers one after the other.
    x : Tensor of shape (n_samples, n_features)
        Real samples, on the module's device and in its dtype.

    Returns
    -------
    Graph
        Over copies of the layers, in evaluation mode; nodes have the layers' names.

    Raises
    ------
    UnsupportedModuleError
        If a layer is of an unknown kind, has state and is used twice, or if ``forward``
        does anything that is not a layer, or returns numbers that are not finite.
    """
    try:
        module = copy.deepcopy(uncompiled(module)).eval()
    except Exception as error:
        raise UnsupportedModuleError(
            f"{type(module).__name__} cannot be copied ({error}), and only copies are cut. Keep "
            "what cannot be copied, such as a lock, an open file or a generator, out of it."
        ) from error
    calls, outputs = _trace(module, x)
    last = max(k for k, call in enumerate(calls) if kind_of(call[1]).produces)
    # A Flatten of two-dimensional samples does nothing before the last Linear.
    used = [call for k, call in enumerate(calls) if not (kind_of(call[1]).flattens and k < last)]
    graph = Graph.of([copy.deepcopy(call[1]) for call in used], [call[0] for call in used])
    with torch.no_grad():
        found = graph.forward(x)
    if found.shape != outputs.shape or not torch.allclose(found, outputs, rtol=1e-4, atol=1e-5):
        raise UnsupportedModuleError(
            f"Run as a chain of its layers, {type(module).__name__} returns other outputs than its "
            f"forward does. {_WAY_OUT}"
        )
    return graph


def _trace(module: nn.Module, x: Tensor) -> tuple[list[Call], Tensor]:
    """The calls of layers, checked to be one after the other, and the module's outputs."""
    calls, outputs = _run(module, x)
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        got = type(outputs).__name__
        if isinstance(outputs, Tensor):
            got = f"shape {tuple(outputs.shape)} for {len(x)} samples"
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward must return one tensor with a row for each sample "
            f"of X, got {got}. {_WAY_OUT}"
        )
    _check_order(calls)
    previous_name, previous = "the input", x
    for name, layer, given, returned in calls:
        _check_handed_over(previous_name, previous, name, given)
        if not bool(torch.isfinite(returned).all()):
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) returns infinity or NaN for samples of "
                "X: its weights or the features are too large. Scale the features "
                "(StandardScaler), and lower the net's lr."
            )
        previous_name, previous = name, returned
    _check_handed_over(previous_name, previous, "the output", outputs)
    return calls, outputs


def _run(module: nn.Module, x: Tensor) -> tuple[list[Call], object]:
    """Which layers are called, in order, and what the module returns."""
    calls: list[Call] = []
    hooks = []
    names: dict[nn.Module, str] = {}

    def before(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        given = args[0] if args else kwargs["input"]
        # Copies: an in-place activation overwrites what it is given.
        calls.append((names[layer], layer, given.clone(), given))

    def after(layer: nn.Module, args: tuple[Tensor, ...], returned: Tensor) -> None:
        calls[-1] = (*calls[-1][:3], returned.clone())

    for name, layer in module.named_modules():
        known = kind_of(layer) is not None
        if not known and list(layer.children()):
            continue
        if not known:
            raise UnsupportedModuleError(
                f"Layer {name or 'module'!r} ({type(layer).__name__}) of "
                f"{type(module).__name__} cannot be pruned around. {_WAY_OUT}"
            )
        names[layer] = name
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
    producing = [k for k, call in enumerate(calls) if kind_of(call[1]).produces]
    if len(producing) < 2:
        raise UnsupportedModuleError(
            f"The network has {len(producing)} Linear layers; pruning needs a hidden layer and an "
            "output layer."
        )
    used: set[int] = set()
    for k, (name, layer, _, _) in enumerate(calls):
        kind, what = kind_of(layer), f"Layer {name!r} ({type(layer).__name__})"
        if id(layer) in used and kind.has_state:
            raise UnsupportedModuleError(f"{what} is used more than once. {_WAY_OUT}")
        used.add(id(layer))
        if kind.mixes_units and k < producing[-1]:
            raise UnsupportedModuleError(
                f"{what} mixes neurons and stands before the last Linear. {_WAY_OUT}"
            )
        refusal = kind.refusal(layer)
        if refusal is not None:
            raise UnsupportedModuleError(f"{what} {refusal}. {_WAY_OUT}")


def _check_handed_over(from_name: str, handed: Tensor, to_name: str, received: Tensor) -> None:
    """What a layer reads must be what the layer before it returned."""
    if handed.shape == received.shape and torch.equal(handed, received):
        return
    raise UnsupportedModuleError(
        f"Between {from_name!r} and {to_name!r}, forward does something that is not a layer: a "
        f"functional activation, a skip connection or a reshape. {_WAY_OUT}"
    )
