"""The module of our nets: a multilayer perceptron."""

from __future__ import annotations

import copy
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import nn

from ..graph.kinds.base import Description
from ..graph.kinds.embeddings import PiecewiseLinearEmbedding
from ..graph.kinds.linear import uninitialised_linear
from ..graph.kinds.registry import build, kind_of
from ..utils.compat import Interval, StrOptions
from ..utils.validation import check_values

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}

#: From so many outputs on nets are wider by default: of (128, 64) too few units would be left.
MANY_OUTPUTS, SIZES_OF_MANY_OUTPUTS = 11, (256, 128)


class MLP(nn.Sequential):
    """Linear, BatchNorm, activation and Dropout for each hidden layer, then a Linear.

    In front of them may stand an input stage.

    Parameters
    ----------
    n_features, n_outputs : int
        Usually set by the net, from the data.
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Neurons of each hidden layer.
    activation : str, default="relu"
        One of relu, tanh, sigmoid, gelu, silu, elu, leaky_relu, identity.
    dropout : float, default=0.0
        Fraction of neurons set to zero in training.
    batch_norm : bool, default=False
        Normalise pre-activations over the batch.
    random_state : int, optional
        Seeds the weights through a generator of the module's own; None: torch's global one.
    dtype : str, default="float32"
        Of the weights.
    inputs : PiecewiseLinearEmbedding, its description, or None, default=None
        Input stage that the features go through first, of which a copy is made; a description is
        its class name and its arguments, ``("PiecewiseLinearEmbedding", {"n_features": 4, ...})``.
        Usually set by the net, from the data.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune import MLP
    >>> MLP(4, 3, hidden_layer_sizes=(8,), random_state=0)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    _parameter_constraints = {
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
    }

    def __init__(
        self,
        n_features: int = 1,
        n_outputs: int = 1,
        hidden_layer_sizes: tuple[int, ...] = (128, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        random_state: int | None = None,
        dtype: str = "float32",
        inputs: PiecewiseLinearEmbedding | Description | None = None,
    ):
        values = {"activation": activation, "dropout": dropout, "batch_norm": batch_norm}
        check_values("MLP", self._parameter_constraints, values)
        given = np.atleast_1d(hidden_layer_sizes)
        sizes = [int(size) for size in given]
        if not sizes or given.dtype.kind not in "iu" or min(sizes) < 1:
            raise ValueError(
                f"hidden_layer_sizes={hidden_layer_sizes!r} must name at least one hidden layer, "
                "each size an integer of at least 1."
            )
        options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
        layers: list[nn.Module] = []
        width = n_features
        if inputs is not None:
            stage: Any = build(inputs) if isinstance(inputs, tuple) else copy.deepcopy(inputs)
            layers.append(stage.to(**options))
            width = kind_of(stage).n_outputs(stage)
        for size in sizes:
            layers.append(uninitialised_linear(width, size, **options))
            if batch_norm:
                layers.append(nn.BatchNorm1d(size, **options))
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        layers.append(uninitialised_linear(width, n_outputs, **options))
        super().__init__(*layers)
        self._initialise(random_state)

    def __getitem__(self, index: Any) -> Any:
        """A layer, or a part of the network: torch would build that from layers alone."""
        if isinstance(index, slice):
            return nn.Sequential(*list(self)[index])
        return super().__getitem__(index)

    def _initialise(self, random_state: int | None) -> None:
        """The initialisation of torch's Linear, drawn from one generator in float64.

        torch draws other numbers in float32: one `random_state` gives one network.
        """
        generator = None
        if random_state is not None:
            generator = torch.Generator().manual_seed(random_state)
        layers: list[Any] = list(self)
        for layer in layers:
            if not (kind_of(layer).produces or kind_of(layer).encodes):
                continue
            for parameter in layer.parameters():
                # Of the inputs of a layer, or of the bins of a feature; of neither, where pruning
                # has left none.
                bound = max(layer.weight.shape[-1], 1) ** -0.5
                drawn = torch.empty_like(parameter, dtype=torch.float64)
                drawn.uniform_(-bound, bound, generator=generator)
                with torch.no_grad():
                    parameter.copy_(drawn)
