"""Numeric features and learned functions of them, in front of the first layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .base import ArrayFunction, Kind, argument_names

#: Functions are multiplied by this: a step of the optimizer moves them less than other layers.
GAIN = 0.3
#: Larger scaled values count as this.
LARGEST = 1e30


class PiecewiseLinearEmbedding(nn.Module):
    """Scaled features, and beside them learned piecewise-linear functions of single features.

    A feature x that is passed on becomes z / sqrt(1 + (z * bend)^2) with z = (x - center) *
    scale: nearly linear for usual values, and bounded by 1 / bend.  A function of a feature is
    0.3 times a sum over bins of the feature: a weight times the fraction of the bin that lies
    below x, between 0 and 1.  It is therefore linear in each bin, and constant outside.

    The buffers come from training samples (see
    :func:`~sklearn_mabprune.training.inputs.embedding_of`); the weights are trained.

    Parameters
    ----------
    n_features : int
        Features of the input.
    n_passed : int
        Features that are passed on.
    n_embedded : int
        Features that functions are learned of.
    n_bins : int
        Bins of each embedded feature.
    n_functions : int
        Functions of each embedded feature.
    n_chosen : int
        Functions whose values are returned: all, or fewer of a network from which inputs that
        nothing reads were removed.

    Raises
    ------
    ValueError
        If a number is negative.

    Notes
    -----
    Shape: input (n_samples, n_features), output (n_samples, n_passed + n_chosen).

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko, "On Embeddings for Numerical Features in Tabular Deep
    Learning", NeurIPS 2022 (piecewise-linear encoding).  D. Holzmueller, L. Grinsztajn, I.
    Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data",
    NeurIPS 2024 (robust scaling with smooth clipping).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune import PiecewiseLinearEmbedding
    >>> layer = PiecewiseLinearEmbedding(
    ...     n_features=1, n_passed=1, n_embedded=1, n_bins=2, n_functions=1, n_chosen=1)
    >>> _ = layer.start.copy_(torch.tensor([[0.0, 1.0]]))
    >>> _ = layer.slope.copy_(torch.tensor([[1.0, 0.5]]))
    >>> layer.weight.data = torch.tensor([[[2.0, -1.0]]])
    >>> with torch.no_grad():
    ...     layer(torch.tensor([[-1.0], [0.5], [1.0], [3.0]]))
    tensor([[-1.0000,  0.0000],
            [ 0.5000,  0.3000],
            [ 1.0000,  0.6000],
            [ 3.0000,  0.3000]])
    """

    passed: Tensor
    center: Tensor
    scale: Tensor
    bend: Tensor
    embedded: Tensor
    start: Tensor
    slope: Tensor
    chosen: Tensor

    def __init__(
        self,
        n_features: int,
        n_passed: int,
        n_embedded: int,
        n_bins: int,
        n_functions: int,
        n_chosen: int,
    ):
        super().__init__()
        self.n_features, self.n_passed, self.n_embedded = n_features, n_passed, n_embedded
        self.n_bins, self.n_functions, self.n_chosen = n_bins, n_functions, n_chosen
        if min(n_features, n_passed, n_embedded, n_bins, n_functions, n_chosen) < 0:
            raise ValueError(f"{self} has a negative number.")
        sizes: dict[str, tuple[int, ...]] = {
            "center": (n_features,),
            "scale": (n_features,),
            "bend": (n_features,),
            "start": (n_embedded, n_bins),
            "slope": (n_embedded, n_bins),
        }
        for name, size in sizes.items():
            self.register_buffer(name, torch.full(size, float(name == "scale"), device="cpu"))
        for name, n in (("passed", n_passed), ("embedded", n_embedded), ("chosen", n_chosen)):
            self.register_buffer(name, torch.arange(n, device="cpu"))
        self.weight = nn.Parameter(torch.zeros(n_embedded, n_functions, n_bins, device="cpu"))

    def extra_repr(self) -> str:
        """Arguments, as torch shows them."""
        return ", ".join(f"{n}={v}" for n, v in PiecewiseLinearKind.arguments(self).items())

    def forward(self, x: Tensor) -> Tensor:
        """Features and values of functions, (n_samples, n_passed + n_chosen)."""
        return self.feature_major(x.T).T

    def feature_major(self, x: Tensor) -> Tensor:
        """The output for `x` of shape (n_features, n_samples), (n_passed + n_chosen, n_samples)."""
        z, center, scale, bend = (
            each.index_select(0, self.passed) for each in (x, self.center, self.scale, self.bend)
        )
        # Bounded before, or infinity would be divided by infinity; hypot squares nothing.
        z = ((z - center[:, None]) * scale[:, None]).clamp(-LARGEST, LARGEST)
        z = z / torch.hypot(z * bend[:, None], torch.ones_like(z))
        found = torch.bmm(GAIN * self.weight, self.fractions(x)).flatten(0, 1)
        return torch.cat([z, found.index_select(0, self.chosen)])

    def fractions(self, x: Tensor) -> Tensor:
        """Fraction of each bin that lies below x, (n_embedded, n_bins, n_samples)."""
        x = x.index_select(0, self.embedded)
        return ((x[:, None] - self.start[..., None]) * self.slope[..., None]).clamp(0, 1)


class PiecewiseLinearKind(Kind):
    """Scaled features, and learned piecewise-linear functions of single features."""

    modules = (PiecewiseLinearEmbedding,)
    encodes = True
    has_state = True

    @classmethod
    def examples(cls, width: int) -> list[nn.Module]:
        """With functions of all features, of some, without any, and with a part of the outputs."""
        sizes = [
            (width, width, 4, 2, 2 * width),
            (width, 4, 5, 3, 12),
            (width, 0, 0, 0, 0),
            (4, 4, 3, 2, 5),
        ]
        return [PiecewiseLinearEmbedding(width, *each) for each in sizes]

    @classmethod
    def run(cls, layer: Any, x: Any, feature_major: bool = False) -> Tensor:
        """Output of the layer, in the layout of its input."""
        return layer.feature_major(x) if feature_major else layer(x)

    @classmethod
    def over_arrays(cls, layer: Any) -> ArrayFunction:
        """The same over arrays, for few samples: all bins of all of them at once."""
        a = {name: value.detach().numpy() for name, value in layer.state_dict().items()}
        passed = a["passed"]

        def run(x: Any) -> Any:
            z = np.clip(
                (x[:, passed] - a["center"][passed]) * a["scale"][passed], -LARGEST, LARGEST
            )
            z = z / np.hypot(z * a["bend"][passed], 1)
            x = x[:, a["embedded"]].T[:, None]
            fractions = np.clip((x - a["start"][..., None]) * a["slope"][..., None], 0, 1)
            found = (GAIN * (a["weight"] @ fractions)).reshape(-1, len(z))
            return np.concatenate([z, found[a["chosen"]].T], axis=1)

        return run

    @staticmethod
    def n_inputs(layer: PiecewiseLinearEmbedding) -> int:
        """Features."""
        return layer.n_features

    @staticmethod
    def n_outputs(layer: PiecewiseLinearEmbedding) -> int:
        """Features that are passed on, and functions."""
        return layer.n_passed + layer.n_chosen

    @staticmethod
    def sources(layer: PiecewiseLinearEmbedding) -> Tensor:
        """The feature that each output unit is a function of, int, (n_outputs,)."""
        chosen = layer.chosen // max(layer.n_functions, 1)
        return torch.cat([layer.passed, layer.embedded[chosen]])

    @classmethod
    def narrow_outputs(cls, layer: Any, keep: Tensor) -> nn.Module:
        """A copy with the kept output units.

        Features of which no function is left have no bins, and there are no more bins than one of
        the others has.
        """
        state, keep = layer.state_dict(), keep.to(layer.weight.device)
        passed, chosen = layer.passed[keep[: layer.n_passed]], layer.chosen[keep[layer.n_passed :]]
        rows, row_of = (chosen // max(layer.n_functions, 1)).unique(return_inverse=True)
        for name in ("embedded", "start", "slope", "weight"):
            state[name] = state[name][rows]
        n_bins = int(state["slope"].ne(0).any(dim=0).sum())
        for name in ("start", "slope", "weight"):
            state[name] = state[name][..., :n_bins]
        state["passed"] = passed
        state["chosen"] = row_of * layer.n_functions + chosen % max(layer.n_functions, 1)
        arguments = cls.arguments(layer)
        arguments |= {"n_passed": len(passed), "n_embedded": len(rows), "n_chosen": len(chosen)}
        arguments["n_bins"] = n_bins
        new = cls.build(type(layer), arguments).to(layer.weight.device, layer.weight.dtype)
        new.load_state_dict(state)
        return new.train(layer.training)

    @classmethod
    def cost(cls, layer: Any, n_inputs: int, n_outputs: int) -> tuple[int, int]:
        """Weights of the functions, and a MAC for each of them."""
        return layer.weight.numel(), layer.weight.numel()

    @classmethod
    def shapes(cls, arguments: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
        """Those of all tensors with numbers: without functions there are no weights."""
        n_features, n_passed, n_embedded, n_bins, n_functions, n_chosen = (
            arguments.get(name) for name in argument_names(PiecewiseLinearEmbedding)
        )
        found = {
            "scale": (n_features,),
            "passed": (n_passed,),
            "embedded": (n_embedded,),
            "chosen": (n_chosen,),
            "weight": (n_embedded, n_functions, n_bins),
        }
        return {name: shape for name, shape in found.items() if 0 not in shape}
