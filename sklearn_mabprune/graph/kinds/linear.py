"""Fully connected layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...data.sparse import SparseRows
from ...utils.scratch import scratch
from .base import ArrayFunction, Fold, Kind


class LinearKind(Kind):
    """A fully connected layer: a unit is an output, and an input of the layers that read it."""

    modules = (nn.Linear,)
    produces = True
    has_state = True

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """With and without a bias, wider and narrower than its input."""
        return [nn.Linear(width, width + 2), nn.Linear(width, 2, bias=False)]

    @classmethod
    def run(cls, layer: Any, x: Any, feature_major: bool = False) -> Tensor:
        """Output of the layer; `x` may be sparse samples, whatever the layout."""
        if isinstance(x, SparseRows):
            z = x.through(layer)
            return z.T.contiguous() if feature_major else z
        if not feature_major:
            return layer(x)
        # A narrow layer is several times faster with the samples side by side.
        if layer.bias is None:
            return layer.weight @ x
        return torch.addmm(layer.bias[:, None], layer.weight, x)

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction:
        """Weighted sums."""
        weights = layer.weight.detach().numpy().T
        if layer.bias is None:
            return lambda x: x @ weights
        biases = layer.bias.detach().numpy()
        # For few samples "@" takes a third longer.
        return lambda x: x.dot(weights) + biases

    @staticmethod
    def n_inputs(layer: nn.Linear) -> int:
        """Input units."""
        return layer.in_features

    @staticmethod
    def n_outputs(layer: nn.Linear) -> int:
        """Output units."""
        return layer.out_features

    @staticmethod
    def weights(layer: nn.Linear) -> tuple[Tensor, Tensor | None]:
        """Weights, (n_outputs, n_inputs), and biases, (n_outputs,)."""
        return layer.weight, layer.bias

    @staticmethod
    def columns(layer: nn.Linear, units: Tensor) -> Tensor:
        """Weights of some input units, (n_outputs, n_units).

        Ablating input unit j moves the outputs by minus its ablated part times column j.
        """
        return layer.weight.index_select(1, units)

    @staticmethod
    def enter(layer: nn.Linear, residual: Tensor, units: Tensor) -> Tensor:
        """What ablating input units together takes from the outputs, (n_outputs, n_samples).

        Parameters
        ----------
        layer : nn.Linear
        residual : Tensor of shape (n_units, n_samples)
            Ablated parts.
        units : Tensor of int, shape (n_units,)
        """
        return LinearKind.columns(layer, units) @ residual

    @staticmethod
    def pullback(
        layer: nn.Linear,
        gradient: Tensor,
        x: Tensor | None = None,
        y: Tensor | None = None,
        units: Tensor | None = None,
    ) -> Tensor:
        """Gradients with respect to input units from those with respect to the outputs.

        Parameters
        ----------
        layer : nn.Linear
        gradient : Tensor of shape (n_outputs, k, n_samples or 1)
            Of k functions.
        x, y : Tensor, optional
            Not needed: the layer is linear.
        units : Tensor of int, shape (n_units,), optional
            Input units; all when not given.

        Returns
        -------
        Tensor of shape (n_units, k, n_samples or 1)
            Overwritten by the next call but one (with `units` by the next one).
        """
        weight = layer.weight if units is None else LinearKind.columns(layer, units)
        columns = gradient.flatten(1)
        shape = (weight.shape[1], columns.shape[1])
        out = scratch("pullback" if units is None else "pullback of some", shape, columns)
        if out.data_ptr() == columns.data_ptr():
            # What is read must not be overwritten: two buffers take turns.
            out = scratch("pullback in turn", shape, columns)
        return torch.mm(weight.T, columns, out=out).view(-1, *gradient.shape[1:])

    @classmethod
    def narrow_outputs(cls, layer: Any, keep: Tensor) -> nn.Module:
        """A copy with the kept output units only."""
        bias = None if layer.bias is None else layer.bias.detach()[keep]
        return _linear(layer.weight.detach()[keep], bias).train(layer.training)

    @staticmethod
    def narrow_inputs(layer: nn.Linear, keep: Tensor, fold: Fold) -> nn.Module:
        """A copy whose kept input units have taken over what the removed ones did.

        Parameters
        ----------
        layer : nn.Linear
            Left as it is.
        keep : Tensor of bool, shape (n_inputs,)
        fold : (Tensor of shape (n_kept, n_removed) or None, Tensor of shape (n_removed,)) or None
            Removed activations as predicted from the kept ones.

        Returns
        -------
        nn.Linear
            With a bias, if `layer` had one or a constant has to be taken over.
        """
        weight = layer.weight.detach()
        bias = None if layer.bias is None else layer.bias.detach()
        removed, kept = weight[:, ~keep].double(), weight[:, keep]
        if fold is not None:
            slopes, constants = fold
            if slopes is not None:
                kept = (kept.double() + removed @ slopes.T).to(weight.dtype)
            moved = removed @ constants
            bias = (moved if bias is None else bias.double() + moved).to(weight.dtype)
        elif bias is not None:
            bias = bias.clone()
        return _linear(kept, bias).train(layer.training)

    @classmethod
    def cost(cls, layer: Any, n_inputs: int, n_outputs: int) -> tuple[int, int]:
        """Weights and biases; a MAC for each weight.

        With fewer inputs than the layer has, a bias is counted: most ablations leave one.
        """
        macs = n_inputs * n_outputs
        biased = n_inputs < layer.in_features or layer.bias is not None
        return macs + n_outputs * int(biased), macs

    @classmethod
    def build(cls, module: type[nn.Module], arguments: dict[str, Any]) -> nn.Module:
        """A layer whose weights are not initialised."""
        return uninitialised_linear(**arguments)

    @classmethod
    def shapes(cls, arguments: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
        """The weights."""
        return {"weight": (arguments.get("out_features"), arguments.get("in_features"))}


def uninitialised_linear(
    in_features: int, out_features: int, bias: bool = True, dtype: torch.dtype | None = None
) -> nn.Linear:
    """A Linear on the CPU whose weights are not initialised, so that nothing is drawn.

    ``nn.utils.skip_init`` imports modules at every call, on whose locks a forked process can hang.
    """
    options: dict[str, Any] = {"dtype": dtype, "device": "cpu"}
    weight = torch.empty(out_features, in_features, **options)
    return _linear(weight, torch.empty(out_features, **options) if bias else None)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A Linear of these weights, which are new; its constructor would draw others first."""
    new = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(new)
    new.out_features, new.in_features = weight.shape
    new.weight = nn.Parameter(weight.contiguous())
    new.register_parameter("bias", None if bias is None else nn.Parameter(bias))
    return new
