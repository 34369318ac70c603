"""One module of the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Entry:
    """A module, where it comes from, and what a sample of its input is.

    Parameters
    ----------
    name : str
    source : str
        The package, the documentation or "by hand".
    make : callable
        Makes the module.
    shape : tuple of int, or dict of str to tuple of int
        Of a sample, or of each input by name.
    codes : int, default=0
        If positive, samples are integers below it.
    """

    name: str
    source: str
    make: Callable[[], nn.Module]
    shape: Any
    codes: int = 0

    def samples(self, n_samples: int) -> Any:
        """Random samples, from torch's generator."""
        if isinstance(self.shape, dict):
            return {name: self._one(shape, n_samples) for name, shape in self.shape.items()}
        return self._one(self.shape, n_samples)

    def _one(self, shape: tuple[int, ...], n_samples: int) -> torch.Tensor:
        if self.codes:
            return torch.randint(0, self.codes, (n_samples, *shape))
        return torch.randn(n_samples, *shape)
