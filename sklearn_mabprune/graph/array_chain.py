"""A chain of known layers over NumPy arrays, in which few samples take a third of the time.

A call of torch takes several microseconds for each layer, whatever its size; for one sample of a
small network that is nearly all of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..utils.compat import global_hook_tables, hook_tables, tensor_tables
from .graph import Graph
from .kinds.base import ArrayFunction
from .kinds.registry import kind_of


class ArrayChain:
    """The layers of a module as functions over arrays that share memory with its tensors.

    What changes the numbers in a tensor changes the arrays as well.  Anything else that changes
    what the module computes, such as another tensor or a hook, makes the chain outdated.

    Parameters
    ----------
    layers : list of nn.Module
        On a CPU, in evaluation mode and without hooks.
    functions : list of callable
        Over arrays.
    dtype : dtype
        Precision of the tensors.
    """

    def __init__(self, layers: list[nn.Module], functions: list[ArrayFunction], dtype: Any):
        self.layers, self.functions, self.dtype = layers, functions, dtype
        self.kinds = [type(layer) for layer in layers]
        self.hooks = [table for layer in layers for table in hook_tables(layer)]
        # Beside each tensor another one over the same memory, as it was.
        self.tensors = [
            (table, name, tensor, tensor.detach(), tensor.data_ptr())
            for table, name, tensor in _tensors_of(layers)
            if tensor is not None
        ]
        self.missing = [(table, name) for table, name, t in _tensors_of(layers) if t is None]

    @classmethod
    def of(cls, module: nn.Sequential) -> ArrayChain | None:
        """The chain of a module's layers; None where one of them has no form over arrays."""
        layers = list(module)
        tensors = [tensor for _, _, tensor in _tensors_of(layers) if tensor is not None]
        dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        if not all(map(_is_readable, tensors)) or dtypes not in ({torch.float32}, {torch.float64}):
            return None
        functions = []
        for layer in layers:
            kind = kind_of(layer)
            if kind is None or any(hook_tables(layer)) or not _is_plain(layer):
                return None
            function = kind.over_arrays(layer)
            if function is None:
                return None
            if not kind.silent:
                functions.append(function)
        return cls(layers, functions, np.dtype(str(dtypes.pop()).removeprefix("torch.")))

    def is_of(self, module: nn.Sequential) -> bool:
        """Whether it still computes what the module does."""
        if list(module) != self.layers or any(self.hooks):
            return False
        for layer, kind in zip(self.layers, self.kinds, strict=True):
            if type(layer) is not kind or not _is_plain(layer):
                return False
        for table, name, tensor, before, pointer in self.tensors:
            if table.get(name) is not tensor or tensor.data_ptr() != pointer:
                return False
            if not tensor.is_set_to(before):
                return False
        return not any(table.get(name) is not None for table, name in self.missing)

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """Outputs of the module, (n_samples, n_outputs)."""
        x = x.astype(self.dtype, copy=False)
        for function in self.functions:
            x = function(x)
        return x


# By module, and gone with it: what is kept on a module or an estimator would be pickled and copied.
_CHAINS: WeakKeyDictionary[nn.Module, ArrayChain] = WeakKeyDictionary()

# Hooks of all modules.
_EVERYWHERE = global_hook_tables(torch)


def array_chain(module: nn.Module) -> ArrayChain | None:
    """The chain over arrays of an nn.Sequential as it is now, made anew only if that changed.

    Returns
    -------
    ArrayChain or None
        None where the module has a forward pass of its own, hooks, layers without a form over
        arrays, or tensors on another device than the CPU.
    """
    if not isinstance(module, nn.Sequential) or not _is_plain(module):
        return None
    if type(module).forward is not nn.Sequential.forward:
        return None
    if any(_EVERYWHERE) or any(hook_tables(module)):
        return None
    chain = _CHAINS.get(module)
    if chain is None or not chain.is_of(module):
        _CHAINS.pop(module, None)
        chain = ArrayChain.of(module)
        if chain is not None:
            _CHAINS[module] = chain
    return chain


def few_forward(network: Any) -> Callable[[Any], Any]:
    """The forward pass of a network for few samples, as it is computed in predictions."""
    chain = ArrayChain.of(nn.Sequential(*network.layers())) if isinstance(network, Graph) else None
    if chain is None:
        forward: Callable[[Any], Any] = network.forward
        return forward

    def over_arrays(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return network.forward(x)
        with np.errstate(all="ignore"):
            return chain(x.numpy())

    return over_arrays


def _tensors_of(layers: list[nn.Module]) -> Iterator[tuple[dict[str, Any], str, Tensor | None]]:
    """Every table of tensors, name in it, and tensor."""
    for layer in layers:
        for table in tensor_tables(layer):
            for name, tensor in table.items():
                yield table, name, tensor


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer is in evaluation mode, and has no forward pass beside that of its class."""
    own = layer.__dict__
    return not (own["training"] or "forward" in own)


def _is_readable(tensor: Tensor) -> bool:
    """Whether NumPy can read a tensor's memory."""
    return tensor.device.type == "cpu" and type(tensor.detach()) is Tensor
