"""The graph of a module: which layers it runs on real samples, and whether they are a chain.

``modules()`` shows which layers a module has, not how its ``forward`` uses them.  So the
module is run on real samples while hooks note which layer is called when, with what; the
recovered graph is then run beside the module, and must return the same outputs.  Of a module
with a ``forward`` of its own the operators are recorded as well, in evaluation and in training
mode: none may run outside the layers (see :mod:`~sklearn_mabprune.graph.analysis`).  What it
does for other numbers of samples only, or after some calls, is not seen.
"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..utils.memory import out_of_memory
from ..utils.randomness import global_generators
from ..utils.words import counted
from .analysis import Recorder, changed, is_plain, orphans
from .copies import copy_of
from .graph import Graph
from .kinds.registry import BY_NAME, kind_of
from .refusals import form_of

_WAY_OUT = (
    "Supported is a chain of Linear, element-wise activations, Dropout and BatchNorm1d, ending "
    "in an optional Flatten, Softmax, LogSoftmax or Sigmoid, every layer a module of its own "
    "(nn.ReLU() rather than torch.relu)."
)

#: Name, layer, input, output, and what was done to the input since the layer before.
Call = tuple[str, nn.Module, Tensor, Tensor, list[str]]


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
        If a layer is of an unknown kind, has state and is used twice, if ``forward`` does
        anything that is not a layer, in evaluation or in training mode, if a parameter belongs
        to no layer, or if the module returns numbers that are not finite.
    ValueError
        If the first layer reads another number of features than X has.
    """
    module = copy_of(module)
    # What it returns is the user's: their own `train` may return nothing.
    module.eval()
    names = _known_layers(module)
    calls, outputs = _trace(module, x, names)
    if not is_plain(module):
        _check_training(module, x, [call[0] for call in calls])
    unowned = orphans(module)
    if unowned:
        raise UnsupportedModuleError(
            f"Parameter {unowned[0]!r} of {type(module).__name__} belongs to no layer, so that the "
            f"pruned network would not have it. {_WAY_OUT}"
        )
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


def _known_layers(module: nn.Module) -> dict[nn.Module, str]:
    """Names of the layers, which all must be of known kinds."""
    names: dict[nn.Module, str] = {}
    for name, layer in module.named_modules():
        kind = kind_of(layer)
        why = _why(layer) if kind is None else ""
        if kind is None and list(layer.children()) and not why:
            continue
        what = f"Layer {name or 'module'!r} ({type(layer).__name__}) of {type(module).__name__}"
        if kind is None:
            raise UnsupportedModuleError(f"{what} cannot be pruned around{why}. {_WAY_OUT}")
        own = changed(layer)
        if own is not None:
            raise UnsupportedModuleError(
                f"{what} {own}, which the pruned network would not have. {_WAY_OUT}"
            )
        names[layer] = name
    return names


def _why(layer: nn.Module) -> str:
    """What is known about a layer of an unknown kind."""
    for base in type(layer).__mro__[1:]:
        if base in BY_NAME.values():
            return f": it is a subclass of nn.{base.__name__}, and may do something else"
    return ""


def _trace(module: nn.Module, x: Tensor, names: dict[nn.Module, str]) -> tuple[list[Call], Tensor]:
    """The calls of layers, checked to be one after the other, and the module's outputs."""
    with torch.no_grad():
        calls, outputs, after = _run(module, x, names)
    if not isinstance(outputs, Tensor) or outputs.shape[:1] != x.shape[:1]:
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward must return one tensor with a row for each sample "
            f"of X, got {form_of(outputs, len(x))}. {_WAY_OUT}"
        )
    _check_order(calls)
    _check_handed_over(x, calls, outputs, after)
    return calls, outputs


def _check_training(module: nn.Module, x: Tensor, wanted: list[str]) -> None:
    """In training mode the same layers must run, and nothing else, on a copy of the module."""
    module = copy.deepcopy(module)
    module.train()
    # BatchNorm cannot train on a batch of one sample.
    x = x.detach() if len(x) > 1 else x.detach().repeat(2, 1)
    with global_generators(0, x.device), torch.inference_mode(False), torch.enable_grad():
        calls, outputs, after = _run(module, x.clone(), _known_layers(module))
    found = [call[0] for call in calls]
    if found != wanted:
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward runs the layers {', '.join(found)} in training mode, "
            f"and {', '.join(wanted)} in evaluation mode. Leave what differs to layers such as "
            f"nn.Dropout. {_WAY_OUT}"
        )
    _check_handed_over(x, calls, outputs, after, " in training mode")


def _run(
    module: nn.Module, x: Tensor, names: dict[nn.Module, str]
) -> tuple[list[Call], object, list[str]]:
    """Which layers are called, in order, what the module returns, and what is done after them."""
    calls: list[Call] = []
    hooks = []
    recorder = None if is_plain(module) else Recorder()

    def before(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        given = args[0] if args else kwargs["input"]
        done = recorder.enter(given) if recorder else []
        _check_width(x, calls, names[layer], layer, given, done)
        # Copies: an in-place activation overwrites what it is given.
        calls.append((names[layer], layer, given.clone(), given, done))

    def after(layer: nn.Module, args: tuple[Tensor, ...], returned: Tensor) -> None:
        calls[-1] = (*calls[-1][:3], returned.clone(), calls[-1][4])
        if recorder:
            recorder.leave(returned)

    for layer in names:
        # The layer's own hooks are seen: they run outside these two.
        hooks.append(layer.register_forward_pre_hook(before, with_kwargs=True))
        hooks.append(layer.register_forward_hook(after, prepend=True))
    given = x.clone()
    try:
        with recorder.start(given) if recorder else nullcontext():
            outputs = module(given)
    except ValueError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        where = f"after layer {calls[-1][0]!r}" if calls else "before its first layer"
        done = _list(recorder.found) if recorder else ""
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward fails on samples of X, {where}{done}: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        for handle in hooks:
            handle.remove()
    return calls, outputs, recorder.end(outputs) if recorder else []


def _check_width(
    x: Tensor, calls: list[Call], name: str, layer: nn.Module, given: Tensor, done: list[str]
) -> None:
    """A layer must be given as many units as it reads; what stands before it is to blame."""
    kind = kind_of(layer)
    if kind.produces or kind.encodes:
        width = kind.n_inputs(layer)
    elif kind.elementwise and kind.has_state:
        width = kind.arguments(layer)[kind.width_argument]
    else:
        return
    got = given.shape[-1] if given.dim() else 1
    if got == width or (width == 1 and kind.elementwise):
        return
    before = calls[-1][0] if calls else "the input"
    if done:
        raise _not_a_layer(before, name, done)
    if got == x.shape[1] and not any(kind_of(call[1]).produces for call in calls):
        raise ValueError(f"The net's module reads {counted(width, 'feature')}, X has {x.shape[1]}.")
    raise UnsupportedModuleError(
        f"Layer {name!r} ({type(layer).__name__}) reads {counted(width, 'unit')}, and {before!r} "
        f"hands over {got}."
    )


def _check_order(calls: list[Call]) -> None:
    producing = [k for k, call in enumerate(calls) if kind_of(call[1]).produces]
    if len(producing) < 2:
        raise UnsupportedModuleError(
            f"The network has {len(producing)} Linear layers; pruning needs a hidden layer and an "
            "output layer."
        )
    used: set[int] = set()
    for k, (name, layer, *_) in enumerate(calls):
        kind, what = kind_of(layer), f"Layer {name!r} ({type(layer).__name__})"
        if id(layer) in used and kind.has_state:
            raise UnsupportedModuleError(f"{what} is used more than once. {_WAY_OUT}")
        used.add(id(layer))
        if kind.mixes_units and k < producing[-1]:
            raise UnsupportedModuleError(
                f"{what} mixes neurons and stands before the last Linear. {_WAY_OUT}"
            )
        if kind.encodes and k > producing[0]:
            raise UnsupportedModuleError(
                f"{what} reads features, and stands behind a Linear. {_WAY_OUT}"
            )
        refusal = kind.refusal(layer)
        if refusal is not None:
            raise UnsupportedModuleError(f"{what} {refusal}. {_WAY_OUT}")


def _check_handed_over(
    x: Tensor, calls: list[Call], outputs: object, after: list[str], mode: str = ""
) -> None:
    """What a layer reads must be what the layer before it returned, and nothing done to it."""
    previous_name, previous = "the input", x
    for name, layer, given, returned, done in calls:
        if done or not _same(previous, given):
            raise _not_a_layer(previous_name, name, done, mode)
        if not bool(torch.isfinite(returned).all()):
            raise UnsupportedModuleError(
                f"Layer {name!r} ({type(layer).__name__}) returns infinity or NaN for samples of "
                "X: its weights or the features are too large. Scale the features "
                "(StandardScaler), and lower the net's lr."
            )
        previous_name, previous = name, returned
    if after or not _same(previous, outputs):
        raise _not_a_layer(previous_name, "the output", after, mode)


def _same(one: Tensor, other: object) -> bool:
    return (
        isinstance(other, Tensor)
        and one.shape == other.shape
        and one.dtype == other.dtype
        and torch.equal(one, other)
    )


def _not_a_layer(
    from_name: str, to_name: str, done: list[str], mode: str = ""
) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"Between {from_name!r} and {to_name!r}, forward does something that is not a layer{mode}"
        f"{_list(done)}: a functional activation, a skip connection or a reshape. {_WAY_OUT}"
    )


def _list(done: list[str]) -> str:
    return f" ({', '.join(list(dict.fromkeys(done))[:3])})" if done else ""
