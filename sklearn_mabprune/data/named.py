"""Samples of several inputs of a module, by the names of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch


class NamedSamples:
    """Arrays or tensors by name, all with a row for each sample, indexed by sample.

    Parameters
    ----------
    parts : mapping of str to ndarray or Tensor
        Each of shape (n_samples, ...).

    Attributes
    ----------
    shape : tuple of int
        (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mabprune.data.named import NamedSamples
    >>> samples = NamedSamples({"image": np.zeros((4, 1, 8, 8)), "age": np.arange(4)})
    >>> len(samples), samples[1:3].parts["age"]
    (4, array([1, 2]))
    """

    def __init__(self, parts: Mapping[str, Any]):
        self.parts = dict(parts)

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def __getitem__(self, index: Any) -> NamedSamples:
        return self.mapped(lambda part: part[index])

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_samples,)."""
        return (len(self),)

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        found: torch.device = next(iter(self.parts.values())).device
        return found

    def mapped(self, function: Callable[[Any], Any]) -> NamedSamples:
        """What a function makes of each part."""
        return NamedSamples({name: function(part) for name, part in self.parts.items()})

    def to(self, device: str | torch.device, dtype: torch.dtype) -> NamedSamples:
        """Tensors on a device; those of floating-point numbers in a dtype."""
        return self.mapped(
            lambda part: part.to(device, dtype if part.is_floating_point() else part.dtype)
        )

    def split(self, n_samples: int) -> Iterator[NamedSamples]:
        """Iterate over parts of so many samples."""
        for first in range(0, len(self), n_samples):
            yield self[first : first + n_samples]


def mapped(x: Any, function: Callable[[Any], Any]) -> Any:
    """What a function makes of samples, of each part of those with names."""
    return x.mapped(function) if isinstance(x, NamedSamples) else function(x)
