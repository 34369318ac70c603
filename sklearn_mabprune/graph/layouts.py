"""Where the samples are in a value: along its first dimension, another one, or beside positions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .program import Samples, tensorwise

#: Samples of the three runs that tell how a value holds them: two, three, and these turned by one.
_RUNS = (0, 1), (0, 1, 2), (1, 2, 0)


@dataclass(frozen=True)
class Layout:
    """How a value holds the samples.

    Parameters
    ----------
    axis : int, default=0
        The dimension along which they lie.
    each : int, default=1
        Entries of a sample along it: more than one where positions lie beside the samples.
    together : bool, default=True
        Whether the entries of a sample lie side by side.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mabprune.graph.layouts import Layout
    >>> steps_first = torch.zeros(7, 2, 5)  # 7 steps, 2 samples, 5 features
    >>> Layout(axis=1).by_sample(steps_first).shape
    torch.Size([2, 7, 5])
    """

    axis: int = 0
    each: int = 1
    together: bool = True

    def by_sample(self, value: Tensor) -> Tensor:
        """The value with the entries of the first sample first, along the first dimension."""
        value = value.movedim(self.axis, 0)
        if self.each > 1 and not self.together:
            value = value.unflatten(0, (self.each, -1)).transpose(0, 1).flatten(0, 1)
        return value

    def back(self, value: Tensor) -> Tensor:
        """What `by_sample` was given, of what it returned."""
        if self.each > 1 and not self.together:
            value = value.unflatten(0, (-1, self.each)).transpose(0, 1).flatten(0, 1)
        return value.movedim(0, self.axis)

    def rows(self, rows: Tensor) -> Tensor:
        """The rows of all entries of a sample, side by side.

        Parameters
        ----------
        rows : Tensor of shape (n_samples * each, ..., n_rows, n)

        Returns
        -------
        Tensor of shape (n_samples, ..., each * n_rows, n)
        """
        if self.each == 1:
            return rows
        return rows.unflatten(0, (-1, self.each)).movedim(1, -3).flatten(-3, -2)

    def entries(self, rows: Tensor) -> Tensor:
        """What `rows` was given, of what it returned, for rows of three dimensions."""
        return rows.unflatten(1, (self.each, -1)).flatten(0, 1) if self.each > 1 else rows

    def repeated(self, value: Tensor, n_times: int) -> Tensor:
        """The value of samples that come so many times, all of them first once."""
        if self.each == 1 or self.together:
            return torch.cat([value] * n_times, dim=self.axis)
        apart = value.unflatten(self.axis, (self.each, -1))
        return torch.cat([apart] * n_times, self.axis + 1).flatten(self.axis, self.axis + 1)


#: Samples along the first dimension, as most values have them.
PLAIN = Layout()


def layouts(
    run: Callable[[Samples], Mapping[int, Any]], x: Samples, values: Collection[int]
) -> dict[int, Layout | None]:
    """The layouts of some values; None: it does not depend on the samples, or is no tensor.

    Parameters
    ----------
    run : callable
        Returns these values of samples.
    x : samples
        Three different ones, if there are.
    values : collection of int
    """
    few, more, turned = (run(_chosen(x, places)) for places in _RUNS)
    return {value: _layout(few[value], more[value], turned[value]) for value in values}


def _layout(few: Any, more: Any, turned: Any) -> Layout | None:
    if not isinstance(more, Tensor):
        return None
    pairs = zip(few.shape, more.shape, strict=True)
    axis = next((k for k, (a, b) in enumerate(pairs) if a != b), None)
    if axis is None:
        return None
    each, rest = divmod(more.shape[axis], len(_RUNS[1]))
    if rest or few.shape[axis] != each * len(_RUNS[0]):
        return None
    found = [Layout(axis, each, together) for together in ((True, False) if each > 1 else (True,))]
    return next((layout for layout in found if _turns(layout, more, turned)), found[0])


def _turns(layout: Layout, more: Tensor, turned: Tensor) -> bool:
    """Whether the entries of samples that are turned by one are turned by one."""
    before, after = layout.by_sample(more), layout.by_sample(turned)
    expected = before.roll(-layout.each, 0)
    if not before.is_floating_point():
        return torch.equal(expected, after)
    return torch.allclose(expected, after, rtol=1e-4, atol=1e-6, equal_nan=True)


def _chosen(x: Samples, places: tuple[int, ...]) -> Samples:
    return tensorwise(x, lambda part: torch.stack([part[place % len(part)] for place in places]))
