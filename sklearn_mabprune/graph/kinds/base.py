"""Everything that is asked of a kind of layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: Class name and constructor arguments of a layer.
Description = tuple[str, dict[str, Any]]

#: Removed activations as predicted from the kept ones: slopes of shape (n_kept, n_removed) or
#: None, and constants of shape (n_removed,).  None: the removed activations are taken as zero.
Fold = tuple[Tensor | None, Tensor] | None

#: From inputs to outputs of a layer, each (n_samples, n_units).
ArrayFunction = Callable[[NDArray[Any]], NDArray[Any]]

# Arguments of torch's layers that say nothing about what a layer computes.
_NOT_DESCRIBED = ("self", "inplace", "device", "dtype", "init")


class Kind:
    """One kind of layer: a class of functions over layers, which is never instantiated.

    All functions see layers in evaluation mode.  In the *feature-major* layout values have the
    shape (n_units, n_samples), otherwise (n_samples, n_units).

    Attributes
    ----------
    modules : tuple of type
        The layers of this kind, by exact class.
    elementwise : bool
        Output unit k depends on input unit k alone.  Such a layer carries the units of a group.
    produces : bool
        Its output units are new ones, weighted sums of its input units.  Such a layer produces
        one group and reads another.
    encodes : bool
        Its output units are new ones, each a function of one feature of the network's input.  Such
        a layer stands before the first that produces, and its units are in no group.
    silent : bool
        Returns its input in evaluation mode.
    rectifies : bool
        Returns max(0, x).
    mixes_units : bool
        Each output depends on several units; may stand behind the last producing layer only.
    flattens : bool
        Merges dimensions: of values of two dimensions nothing changes before the output.
    random : bool
        Draws random numbers in training mode.
    batch_statistics : bool
        In training mode the output of a sample depends on the other samples of its batch.
    has_state : bool
        Has tensors of its own, so that it cannot stand for two layers.

    Notes
    -----
    A new kind is a subclass in a file of its own and a line in
    :mod:`~sklearn_mabprune.graph.kinds.registry`; see "Add a kind of layer" in
    ``CONTRIBUTING.md``.
    """

    modules: ClassVar[tuple[type[nn.Module], ...]] = ()
    elementwise = False
    produces = False
    encodes = False
    silent = False
    rectifies = False
    mixes_units = False
    flattens = False
    random = False
    batch_statistics = False
    has_state = False

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """Layers of this kind with `width` input units, for the contract test of all kinds."""
        return [module() for module in cls.modules]

    @classmethod
    def refusal(cls, layer: Any) -> str | None:
        """Why this layer cannot be in a graph although its kind is known; None: it can."""
        return None

    @classmethod
    def run(cls, layer: Any, x: Any, feature_major: bool = False) -> Tensor:
        """Output of the layer, in the layout of its input."""
        return layer(x.T).T if feature_major else layer(x)

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction | None:
        """The layer as a function over NumPy arrays, in which few samples take less time.

        The function may keep arrays that share memory with the tensors of the layer, but no copies
        of them, and reads all else from the layer whenever it is called: it must follow every
        change.  It leaves its argument as it is.

        Returns
        -------
        callable or None
            From inputs to outputs, each (n_samples, n_units), in the precision of the layer; None
            where a kind has no such form.
        """
        return None

    @classmethod
    def narrow_outputs(cls, layer: Any, keep: Tensor) -> nn.Module:
        """A copy with the kept output units only; for elementwise kinds of its inputs, too.

        Parameters
        ----------
        layer : nn.Module
            Left as it is.
        keep : Tensor of bool, shape (n_outputs,)
        """
        raise NotImplementedError

    @classmethod
    def cost(cls, layer: Any, n_inputs: int, n_outputs: int) -> tuple[int, int]:
        """Parameters and MACs per sample of the layer with these numbers of units."""
        return 0, 0

    @classmethod
    def affine(cls, layer: Any) -> tuple[Tensor, Tensor] | None:
        """Factor and constant of each unit, float64, where that is all the layer does."""
        return None

    @classmethod
    def arguments(cls, layer: Any) -> dict[str, Any]:
        """Constructor arguments as plain data: boolean, integer, float, string or None."""
        found: dict[str, Any] = {}
        for name in argument_names(type(layer)):
            if name == "bias":
                # Of Linear, and of newer BatchNorm: the argument says whether there is one.
                found[name] = layer.bias is not None
            elif hasattr(layer, name):
                found[name] = getattr(layer, name)
        return found

    @classmethod
    def build(cls, module: type[nn.Module], arguments: dict[str, Any]) -> nn.Module:
        """The layer with these constructor arguments; its weights may be uninitialised."""
        return module(**arguments)

    @classmethod
    def shapes(cls, arguments: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
        """Shapes of the tensors that say how large a layer with these arguments is, by name."""
        return {}


class ElementwiseKind(Kind):
    """Output unit k depends on input unit k alone; by default all units are treated alike."""

    elementwise = True

    @classmethod
    def run(cls, layer: Any, x: Any, feature_major: bool = False) -> Tensor:
        """Output of the layer: the layout makes no difference."""
        return layer(x)

    @classmethod
    def slope(cls, layer: Any, x: Tensor, y: Tensor) -> Tensor:
        """Derivative of each output by its input, by automatic differentiation.

        Parameters
        ----------
        layer : nn.Module
        x, y : Tensor of shape (n_units, n_samples)
            Input and output of the layer.

        Returns
        -------
        Tensor of shape (n_units, n_samples)
        """
        # Tensors made in inference mode cannot enter a graph: the copy can.
        with torch.inference_mode(False), torch.enable_grad():
            z = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(cls.run(layer, z, feature_major=True).sum(), z)
        return slope

    @classmethod
    def pullback(
        cls, layer: Any, gradient: Tensor, x: Tensor | None = None, y: Tensor | None = None
    ) -> Tensor:
        """Gradients with respect to the input from those with respect to the output.

        Parameters
        ----------
        layer : nn.Module
        gradient : Tensor of shape (n_units, k, n_samples or 1)
            Of k functions; may be overwritten.
        x, y : Tensor of shape (n_units, n_samples)
            Input and output of the layer.

        Returns
        -------
        Tensor of shape (n_units, k, n_samples)
        """
        assert x is not None
        assert y is not None
        slope = cls.slope(layer, x, y)[:, None]
        same = gradient.shape[-1] == slope.shape[-1]
        return gradient.mul_(slope) if same else gradient * slope

    @classmethod
    def narrow_outputs(cls, layer: Any, keep: Tensor) -> nn.Module:
        """A copy: nothing in it belongs to a unit."""
        return cls.build(type(layer), cls.arguments(layer)).train(layer.training)


class PerUnitKind(ElementwiseKind):
    """An elementwise layer with tensors that have an entry for each unit, or one for all.

    Attributes
    ----------
    width_argument : str
        The constructor argument that is the number of units.
    sized : str
        A tensor whose length is that number.
    """

    has_state = True
    width_argument: ClassVar[str]
    sized: ClassVar[str] = "weight"

    @classmethod
    def run(cls, layer: Any, x: Any, feature_major: bool = False) -> Tensor:
        """Output of the layer: torch wants the units in the second dimension."""
        return layer(x.T).T if feature_major else layer(x)

    @classmethod
    def narrow_outputs(cls, layer: Any, keep: Tensor) -> nn.Module:
        """A copy with the kept units' entries; entries for all units stay."""
        arguments = cls.arguments(layer)
        width, state = arguments[cls.width_argument], layer.state_dict()
        if width == len(keep):
            arguments[cls.width_argument] = int(keep.sum())
            state = {name: value[keep] if value.dim() else value for name, value in state.items()}
        sized = state[cls.sized]
        new = cls.build(type(layer), arguments).to(sized.device, sized.dtype)
        for name, value in new.state_dict().items():
            value.copy_(state[name])
        return new.train(layer.training)

    @classmethod
    def cost(cls, layer: Any, n_inputs: int, n_outputs: int) -> tuple[int, int]:
        """Parameters: those of each unit and those for all; no MACs are counted."""
        width = cls.arguments(layer)[cls.width_argument]
        each = [p.numel() for p in layer.parameters()]
        # One unit may have one parameter for all: as many either way.
        shared = width == 1
        return sum(n if shared else n // width * n_outputs for n in each), 0

    @classmethod
    def shapes(cls, arguments: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
        """The tensor with an entry for each unit."""
        return {cls.sized: (arguments.get(cls.width_argument),)}


def argument_names(module: type[nn.Module]) -> list[str]:
    """Names of the constructor arguments of a layer that say what it computes."""
    return [n for n in inspect.signature(module.__init__).parameters if n not in _NOT_DESCRIBED]
