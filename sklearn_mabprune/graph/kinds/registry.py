"""What is known about each kind of layer, in one place a kind.

A *kind* knows how a layer is narrowed to the neurons that stay and how it is written
down as plain data, so that a pruned network can be built again without pickled code.
:class:`LinearKind` also knows what a neuron is and how its ablation enters the next
layer; a convolution would be a second class with the same methods.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn


class PointwiseKind:
    """A layer that treats every neuron by itself and has nothing of its own per neuron."""

    @staticmethod
    def narrow(module: nn.Module, keep: Tensor) -> nn.Module:
        """The layer for the kept neurons, a copy that shares nothing with `module`."""
        return build(describe(module)).train(module.training)

    @staticmethod
    def parameters_per_neuron(module: nn.Module) -> int:
        """Trainable numbers that go with a neuron."""
        return 0

    @staticmethod
    def across(module: nn.Module, z: Tensor) -> Tensor:
        """The layer in evaluation mode on points that lie in columns, (width, n_points)."""
        return module(z)


class PReLUKind(PointwiseKind):
    """A PReLU has one slope for all neurons or one for each."""

    @staticmethod
    def narrow(module: Any, keep: Tensor) -> nn.Module:
        """Keep the slopes of the kept neurons."""
        weight = module.weight.detach()
        weight = weight[keep] if len(weight) > 1 else weight
        new = nn.PReLU(len(weight), device=weight.device, dtype=weight.dtype)
        new.weight.data.copy_(weight)
        return new.train(module.training)

    @staticmethod
    def parameters_per_neuron(module: Any) -> int:
        """One slope, unless it is shared."""
        return int(len(module.weight) > 1)

    @staticmethod
    def across(module: nn.Module, z: Tensor) -> Tensor:
        """Torch wants the neurons in the second dimension."""
        return module(z.T).T


class BatchNormKind(PointwiseKind):
    """Batch normalisation: sliced and kept."""

    @staticmethod
    def narrow(module: Any, keep: Tensor) -> nn.Module:
        """Keep scale, shift and running statistics of the kept neurons."""
        kwargs = describe(module)[1] | {"num_features": int(keep.sum())}
        new = nn.BatchNorm1d(**kwargs, device=keep.device)
        reference = module.weight if module.affine else module.running_mean
        new = new.to(reference.dtype)
        for name, value in module.state_dict().items():
            target = new.state_dict()[name]
            target.copy_(value[keep] if value.dim() else value)
        return new.train(module.training)

    @staticmethod
    def parameters_per_neuron(module: Any) -> int:
        """Scale and shift, as far as there are any."""
        return sum(part is not None for part in (module.weight, module.bias))

    @staticmethod
    def across(module: nn.Module, z: Tensor) -> Tensor:
        """Torch wants the neurons in the second dimension."""
        return module(z.T).T


class LinearKind:
    """A fully connected layer: a neuron is an output, and an input of the next one."""

    @staticmethod
    def sizes(module: nn.Linear) -> tuple[int, int]:
        """Inputs and neurons."""
        return module.in_features, module.out_features

    @staticmethod
    def columns(module: nn.Linear, units: Tensor) -> Tensor:
        """What each of these inputs is multiplied with, (n_outputs, n_units).

        Ablating input j moves the outputs of a row by its ablated part times column j.
        """
        return module.weight.index_select(1, units)

    @staticmethod
    def across(module: nn.Linear, z: Tensor) -> Tensor:
        """The layer on points that lie in columns: (n_inputs, n_points) to (n_outputs, n_points).

        A narrow layer is several times faster this way round.
        """
        if module.bias is None:
            return module.weight @ z
        return torch.addmm(module.bias[:, None], module.weight, z)

    @staticmethod
    def enter_together(module: nn.Linear, residual: Tensor, units: Tensor) -> Tensor:
        """How ablating these inputs together moves the outputs, (n_rows, n_outputs)."""
        return residual @ module.weight[:, units].T

    @staticmethod
    def cut(
        module: nn.Linear,
        keep_inputs: Tensor | None,
        keep_neurons: Tensor | None,
        fold: tuple[Tensor | None, Tensor] | None,
    ) -> nn.Linear:
        """A smaller copy, whose kept inputs took over what the removed ones did.

        Parameters
        ----------
        module : nn.Linear
            Left as it is.
        keep_inputs, keep_neurons : Tensor of bool or None
            What stays; None keeps everything.
        fold : (Tensor of shape (n_kept, n_removed) or None, Tensor of shape (n_removed,))
            Removed activations as predicted from the kept ones: slopes and constants.
            None: the removed activations are taken as zero.

        Returns
        -------
        nn.Linear
            With a bias, if `module` had one or a constant has to be taken over.
        """
        weight = module.weight.detach()
        bias = None if module.bias is None else module.bias.detach()
        if keep_inputs is not None and not bool(keep_inputs.all()):
            removed = weight[:, ~keep_inputs].double()
            kept = weight[:, keep_inputs]
            if fold is not None:
                slopes, constants = fold
                if slopes is not None:
                    kept = (kept.double() + removed @ slopes.T).to(weight.dtype)
                moved = removed @ constants
                old = torch.zeros_like(moved) if bias is None else bias.double()
                bias = (old + moved).to(weight.dtype)
            weight = kept
        if keep_neurons is not None:
            weight = weight[keep_neurons]
            bias = None if bias is None else bias[keep_neurons]
        return _linear(weight, bias).train(module.training)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A Linear of these weights, copied; its constructor would draw others first."""
    new = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(new)
    new.out_features, new.in_features = weight.shape
    new.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format))
    new.register_parameter("bias", None if bias is None else nn.Parameter(bias.clone()))
    return new


_POINTWISE: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Softshrink,
    nn.Hardshrink, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Threshold, nn.Identity,
    nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip

#: Kinds that may stand between two Linear layers, by exact class.
BETWEEN: dict[type[nn.Module], type[PointwiseKind]] = {
    **dict.fromkeys(_POINTWISE, PointwiseKind),
    nn.PReLU: PReLUKind,
    nn.BatchNorm1d: BatchNormKind,
}

#: Layers that may also stand behind the last Linear, where nothing is pruned.
BEHIND: tuple[type[nn.Module], ...] = (nn.Flatten, nn.Softmax, nn.LogSoftmax)

#: Layers without state: used twice, they are two layers.
STATELESS = (*_POINTWISE, *BEHIND)


def run(layers: list[nn.Module], x: Tensor) -> Tensor:
    """Pass rows through layers."""
    for layer in layers:
        x = layer(x)
    return x


def run_across(layers: list[nn.Module], z: Tensor) -> Tensor:
    """Pass points through layers that stand between two Linear ones: (width, n_points)."""
    for layer in layers:
        z = BETWEEN[type(layer)].across(layer, z)
    return z


#: What a layer is called in a written-down network.
_KINDS: tuple[type[nn.Module], ...] = (nn.Linear, *BETWEEN, *BEHIND)
BY_NAME = {kind.__name__: kind for kind in _KINDS}

Description = tuple[str, dict[str, Any]]


def describe(module: nn.Module) -> Description:
    """A layer's class name and constructor arguments, as plain data."""
    kwargs: dict[str, Any] = {}
    for name in inspect.signature(type(module).__init__).parameters:
        if name in ("self", "inplace", "device", "dtype", "init"):
            continue
        if name == "bias":
            # Of Linear, and of newer BatchNorm: the argument says whether there is one.
            kwargs[name] = module.bias is not None
        elif hasattr(module, name):
            kwargs[name] = getattr(module, name)
    return type(module).__name__, kwargs


def build(description: Description) -> nn.Module:
    """The layer that :func:`describe` wrote down, its weights not initialised."""
    name, kwargs = description
    kind = BY_NAME[name]
    return nn.utils.skip_init(kind, **kwargs) if kind is nn.Linear else kind(**kwargs)
