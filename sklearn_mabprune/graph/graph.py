"""A network as a chain of layers: recovered from any module that is one, and checked.

``modules()`` shows which layers a module has, not how its ``forward`` uses them.  So the
module is run once on real rows while hooks note which layer is called when, with what;
the recovered chain is then run beside the module, and must give the same outputs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..data.sparse import SparseRows, outputs_of
from ..exceptions import UnsupportedModuleError
from .kinds.registry import (
    BETWEEN,
    Description,
    LinearKind,
    build,
    describe,
    run,
    run_across,
)
from .tracing import WAY_OUT, trace


@dataclass
class Stage:
    """A Linear layer and what follows it, up to the next one."""

    linear: nn.Linear
    after: list[nn.Module] = field(default_factory=list)


class Chain:
    """Head layers, then stages; the stages but the last hold the hidden neurons.

    Parameters
    ----------
    head : list of nn.Module
        What stands before the first Linear (BatchNorm1d, Dropout, ...).
    stages : list of Stage
        At least two: one hidden layer and the output.

    Notes
    -----
    A neuron's *activation* is what the next Linear reads: behind activation function,
    BatchNorm and Dropout.  All of it is evaluation mode.
    """

    def __init__(self, head: list[nn.Module], stages: list[Stage]):
        self.head = head
        self.stages = stages

    # ---------------------------------------------------------------------- numbers

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return tuple(stage.linear.out_features for stage in self.stages[:-1])

    @property
    def n_inputs(self) -> int:
        """Input features."""
        return self.stages[0].linear.in_features

    @property
    def n_outputs(self) -> int:
        """Outputs of the last Linear."""
        return self.stages[-1].linear.out_features

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.stages[0].linear.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are."""
        return self.stages[0].linear.weight.dtype

    def layers(self) -> list[nn.Module]:
        """All layers in order."""
        return self.head + [m for stage in self.stages for m in (stage.linear, *stage.after)]

    def cost(self, sizes: tuple[int, ...] | None = None) -> tuple[int, int]:
        """Trainable parameters and multiply-adds a row, for these hidden sizes.

        Parameters
        ----------
        sizes : tuple of int, optional
            Neurons of each hidden layer, the chain's own when not given.  Where a layer
            shrinks, the next Linear counts with a bias: most ablations leave it one.
        """
        widths = [self.n_inputs, *(self.hidden_sizes if sizes is None else sizes), self.n_outputs]
        macs = sum(inputs * neurons for inputs, neurons in pairwise(widths))
        parameters = macs + sum(p.numel() for layer in self.head for p in layer.parameters())
        for stage, inputs, width in zip(self.stages, widths[:-1], widths[1:], strict=True):
            shrunk = inputs < stage.linear.in_features
            parameters += width * int(shrunk or stage.linear.bias is not None)
            for layer in stage.after:
                if type(layer) in BETWEEN:
                    each = BETWEEN[type(layer)].parameters_per_neuron(layer)
                    shared = sum(p.numel() for p in layer.parameters()) if each == 0 else 0
                    parameters += each * width + shared
        return parameters, macs

    # ------------------------------------------------------------------------ running

    def enter(self, x: Tensor | SparseRows) -> Tensor:
        """Pre-activations of the first Linear, (n_rows, width)."""
        if isinstance(x, SparseRows):
            return outputs_of(nn.Sequential(*self.head, self.stages[0].linear).eval(), x)
        return self.stages[0].linear(run(self.head, x))

    def _enter_across(self, x: Tensor | SparseRows) -> Tensor:
        """As :meth:`enter`, with the rows in columns: (width, n_rows)."""
        if isinstance(x, SparseRows):
            return self.enter(x).T.contiguous()
        return LinearKind.across(self.stages[0].linear, run(self.head, x).T)

    def activations(self, x: Tensor | SparseRows) -> tuple[list[Tensor], list[Tensor]]:
        """Every hidden layer's activations and every Linear's pre-activations.

        Parameters
        ----------
        x : Tensor or SparseRows of shape (n_rows, n_features)

        Returns
        -------
        activations : list of Tensor of shape (n_rows, width), one a hidden layer
        pre_activations : list of Tensor of shape (n_rows, width), one a Linear
        """
        pre = [self.enter(x)]
        hidden = []
        for stage, following in zip(self.stages[:-1], self.stages[1:], strict=True):
            hidden.append(run(stage.after, pre[-1]))
            pre.append(following.linear(hidden[-1]))
        return hidden, pre

    def activations_across(self, x: Tensor | SparseRows) -> tuple[list[Tensor], list[Tensor]]:
        """As :meth:`activations`, with the rows in columns: (width, n_rows)."""
        pre = [self._enter_across(x)]
        hidden = []
        for stage, following in pairwise(self.stages):
            hidden.append(run_across(stage.after, pre[-1]))
            pre.append(LinearKind.across(following.linear, hidden[-1]))
        return hidden, pre

    def finish(self, pre_activation: Tensor, stage: int) -> Tensor:
        """Outputs from the pre-activations of a stage's Linear, (n_rows, width)."""
        z = run(self.stages[stage].after, pre_activation)
        for following in self.stages[stage + 1 :]:
            z = run(following.after, following.linear(z))
        return z

    def forward(self, x: Tensor | SparseRows) -> Tensor:
        """The network's outputs, evaluation mode."""
        return self.finish(self.enter(x), 0)

    # ------------------------------------------------------------------------ copies

    def descriptions(self) -> tuple[Description, ...]:
        """The layers as plain data, without their weights."""
        return tuple(describe(layer) for layer in self.layers())

    def copy_to(self, module: nn.Sequential) -> None:
        """Copy the weights into a module of the same layers."""
        for new, old in zip(module, self.layers(), strict=True):
            new.load_state_dict(old.state_dict())

    def to_module(self) -> PrunedChain:
        """A module of its own that computes the same, in training mode."""
        dtype = str(self.dtype).removeprefix("torch.")
        module = PrunedChain(layers=self.descriptions(), dtype=dtype).to(self.device)
        self.copy_to(module)
        return module

    def to_arrays(self) -> dict[str, Any]:
        """Layers, dtype and weights as plain data and NumPy arrays."""
        return {
            "layers": self.descriptions(),
            "dtype": str(self.dtype).removeprefix("torch."),
            "state": [
                {name: value.cpu().numpy().copy() for name, value in layer.state_dict().items()}
                for layer in self.layers()
            ],
        }

    @property
    def n_bytes(self) -> int:
        """Bytes of all weights and statistics."""
        return sum(v.nbytes for layer in self.layers() for v in layer.state_dict().values())

    @classmethod
    def from_layers(cls, layers: list[nn.Module]) -> Chain:
        """A chain of these layers, put into evaluation mode."""
        head: list[nn.Module] = []
        stages: list[Stage] = []
        for layer in layers:
            layer.eval()
            if hasattr(layer, "inplace"):
                # Pre-activations are kept and used again.
                setattr(layer, "inplace", False)  # noqa: B010 - not an attribute of Module
            if isinstance(layer, nn.Linear):
                stages.append(Stage(layer))
            elif stages:
                stages[-1].after.append(layer)
            else:
                head.append(layer)
        return cls(head, stages)


class PrunedChain(nn.Sequential):
    """A network written down as data: what a pruned network of any user is built from.

    Parameters
    ----------
    layers : sequence of (str, dict)
        Class name in ``torch.nn`` and constructor arguments of each layer.
    dtype : str, default="float32"
        Of the weights.

    Examples
    --------
    >>> from sklearn_mabprune.graph.graph import PrunedChain
    >>> PrunedChain(layers=(("Linear", {"in_features": 2, "out_features": 3}), ("ReLU", {})))
    PrunedChain(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, layers: tuple[Description, ...] = (), dtype: str = "float32"):
        super().__init__(*(build(description) for description in layers))
        self.to(getattr(torch, dtype))
        for layer in self:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def __getitem__(self, index: Any) -> Any:
        """A layer, or a part of the network: torch would build that from layers alone."""
        if isinstance(index, slice):
            return nn.Sequential(*list(self)[index])
        return super().__getitem__(index)


def unwrap(module: nn.Module) -> nn.Module:
    """The module inside ``torch.compile``'s wrapper, if there is one."""
    return getattr(module, "_orig_mod", module)


def recover_chain(module: nn.Module, x: Tensor) -> Chain:
    """The chain that a module computes; the module itself is left alone.

    Parameters
    ----------
    module : nn.Module
        Any module that runs layers one after the other.
    x : Tensor of shape (n_rows, n_features)
        Real rows, on the module's device and in its dtype.

    Returns
    -------
    Chain
        Over copies of the layers, in evaluation mode.

    Raises
    ------
    UnsupportedModuleError
        If a layer is of an unknown kind, has state and is used twice, or if ``forward``
        does anything that is not a layer, or gives numbers that are not finite.
    """
    try:
        module = copy.deepcopy(unwrap(module)).eval()
    except Exception as error:
        raise UnsupportedModuleError(
            f"{type(module).__name__} cannot be copied ({error}), and only copies are cut. Keep "
            "what cannot be copied, such as a lock, an open file or a generator, out of it."
        ) from error
    calls, outputs = trace(module, x)
    linears = [k for k, call in enumerate(calls) if isinstance(call[1], nn.Linear)]
    chain = Chain.from_layers(
        [
            copy.deepcopy(layer)
            for k, (_, layer, _, _) in enumerate(calls)
            # A Flatten of two-dimensional rows does nothing before the last Linear.
            if not (isinstance(layer, nn.Flatten) and k < linears[-1])
        ]
    )
    with torch.no_grad():
        found = chain.forward(x)
    if found.shape != outputs.shape or not torch.allclose(found, outputs, rtol=1e-4, atol=1e-5):
        raise UnsupportedModuleError(
            f"Run as a chain of its layers, {type(module).__name__} gives other outputs than its "
            f"forward does. {WAY_OUT}"
        )
    return chain
