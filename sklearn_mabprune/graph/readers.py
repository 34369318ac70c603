"""How an operator reads units: as a matrix product over patches of its input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .layouts import PLAIN, Layout
from .operators.step import Source
from .program import Operation


@dataclass(frozen=True)
class Reader:
    """An operation that computes weighted sums of the units of a group.

    Its result is ``patches(x, block) @ matrix(weight, block).T``, plus a bias, laid out by
    `outputs`.  Most operations are one block; convolutions in groups, and products with a weight
    for each feature, are as many as they have groups or features.

    Parameters
    ----------
    value, reads : int
        Numbers of the value that it returns, and of the one that it reads.
    module : str
        Name of the module that runs it.
    weight, bias : str
        Names; an empty bias: there is none, or it is computed.
    inputs, outputs_axis : int
        Axes of the weight along which the units lie that it reads and that it returns; -1: it
        returns one.
    columns : ndarray of shape (n_units, n_columns_per_unit)
        The units' columns of `matrix` and of the patches.
    runs, gradient : int
        The operation that runs again when the weight changes, and the value with whose gradient
        that of `value` is taken: `value` itself, but for recurrent weights.
    blocks : int
        Matrices that it multiplies with, one for each part of its input.
    taps : int
        Columns for each channel: places of a convolution's kernel, each with all channels.
    layout : Layout or None
        How values hold the samples; None: they do not depend on them.
    weighted : bool
        Whether it multiplies with a weight of the module, which can take over what is removed.
    spatial : bool
        Whether the units lie along the second dimension, and positions behind it.
    """

    value: int
    reads: int
    module: str
    weight: str
    bias: str
    inputs: int
    outputs_axis: int
    columns: NDArray[np.intp]
    runs: int
    gradient: int
    blocks: int = 1
    taps: int = 1
    layout: Layout | None = PLAIN
    weighted: ClassVar[bool] = True
    spatial: ClassVar[bool] = False

    @property
    def _held(self) -> Layout:
        assert self.layout is not None
        return self.layout

    def _by_sample(self, value: Tensor) -> Tensor:
        return self._held.by_sample(value)

    def patches(self, x: Tensor, block: int = 0) -> Tensor:
        """What the rows of the matrix are multiplied with, (n_samples, n_positions, n_columns)."""
        return self._held.rows(self._patches(self._by_sample(x), block))

    def _patches(self, x: Tensor, block: int) -> Tensor:
        raise NotImplementedError

    def patches_at(self, x: Tensor, positions: Tensor, block: int = 0) -> Tensor:
        """Patches of some positions, (n_samples, n_chosen, n_columns).

        Parameters
        ----------
        positions : Tensor of int, shape (n_samples, n_chosen)
        """
        return _at(self.patches(x, block), positions)

    def matrix(self, weight: Tensor, block: int = 0) -> Tensor:
        """The weight as a matrix, (n_outputs, n_columns)."""
        raise NotImplementedError

    def with_matrix(self, weight: Tensor, matrix: Tensor, block: int = 0) -> Tensor:
        """A copy of the weight with this matrix in it."""
        weight = weight.clone()
        # `matrix` returns a view of a weight for all kinds, or has its inverse here.
        self._view(weight, block).copy_(matrix.reshape(self._view(weight, block).shape))
        return weight

    def _view(self, weight: Tensor, block: int) -> Tensor:
        raise NotImplementedError

    def rows(self, value: Tensor) -> Tensor:
        """What it returns as (n_samples, n_blocks, n_positions, n_outputs of a block).

        This undoes `outputs`.
        """
        return self._held.rows(self._rows(self._by_sample(value)))

    def _rows(self, value: Tensor) -> Tensor:
        return value.reshape(value.shape[0], self.blocks, -1, value.shape[-1])

    def outputs(self, rows: list[Tensor], shape: torch.Size) -> Tensor:
        """Products of all blocks as the operation lays them out.

        Parameters
        ----------
        rows : list of Tensor of shape (n_samples, n_positions, n_outputs)
            One for each block.
        shape : torch.Size
            Of what the operation returns, for any number of samples.
        """
        sizes = list(shape)
        sizes.insert(0, sizes.pop(self._held.axis))
        return self._held.back(
            self._outputs([self._held.entries(part) for part in rows], torch.Size(sizes))
        )

    def _outputs(self, rows: list[Tensor], shape: torch.Size) -> Tensor:
        """Of which the first dimension is the samples."""
        raise NotImplementedError


class LinearReader(Reader):
    """A product with a weight (out, in) along the last dimension."""

    def _patches(self, x: Tensor, block: int) -> Tensor:
        """Features by sample and position."""
        return x.reshape(x.shape[0], -1, x.shape[-1])

    def matrix(self, weight: Tensor, block: int = 0) -> Tensor:
        """The weight, with its outputs first."""
        return self._view(weight, block)

    def _view(self, weight: Tensor, block: int) -> Tensor:
        return weight if self.outputs_axis == 0 else weight.transpose(0, 1)

    def _outputs(self, rows: list[Tensor], shape: torch.Size) -> Tensor:
        """The same values in the shape of the operation."""
        return rows[0].reshape(-1, *shape[1:])


class VectorReader(LinearReader):
    """A product with a weight (in,) along the last dimension: one output, without a dimension."""

    def _view(self, weight: Tensor, block: int) -> Tensor:
        return weight[None]

    def _rows(self, value: Tensor) -> Tensor:
        return super()._rows(value[..., None])


@dataclass(frozen=True)
class ConvReader(Reader):
    """A convolution with a weight (out, in / groups, ...).

    Parameters
    ----------
    kernel, stride, dilation : tuple of int
        For each spatial dimension.
    padding : tuple of (int, int)
        Before and after, for each spatial dimension.
    """

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    spatial: ClassVar[bool] = True

    def _patches(self, x: Tensor, block: int) -> Tensor:
        """Taps, and the channels of each, by sample and position of the output."""
        if x.dim() == 4:
            # Whole channels lie side by side, and are copied together.
            x = x.contiguous(memory_format=torch.channels_last)
        windows = self._windows(x, block).movedim(1, -1)
        return windows.reshape(x.shape[0], -1, windows.shape[-1] * self.taps)

    def patches_at(self, x: Tensor, positions: Tensor, block: int = 0) -> Tensor:
        """Of some positions; patches of the others are not made."""
        if self._held.each > 1:
            return super().patches_at(x, positions, block)
        windows, n_dims = self._windows(x, block), len(self.kernel)
        places: list[Any] = []
        for size in reversed(windows.shape[2 : 2 + n_dims]):
            places.append(positions % size)
            positions = positions // size
        chosen: Any = (torch.arange(len(x), device=x.device)[:, None], slice(None), *places[::-1])
        # (n_samples, n_chosen, n_channels, ...): a copy of the chosen windows alone.
        return windows[chosen].movedim(2, -1).flatten(2)

    def _windows(self, x: Tensor, block: int) -> Tensor:
        """A view, (n_samples, n_channels, positions ..., taps ...)."""
        n_channels = x.shape[1] // self.blocks
        x = x[:, block * n_channels : (block + 1) * n_channels]
        x = self._spread(x)
        x = torch.nn.functional.pad(x, [size for pair in self.padding[::-1] for size in pair])
        for dim, size in enumerate(self.kernel):
            reach = self.dilation[dim] * (size - 1) + 1
            x = x.unfold(2 + dim, reach, self._step(dim))[..., :: self.dilation[dim]]
        return x

    def _spread(self, x: Tensor) -> Tensor:
        return x

    def _step(self, dim: int) -> int:
        return self.stride[dim]

    def matrix(self, weight: Tensor, block: int = 0) -> Tensor:
        """Rows are the output channels of a block, columns its taps and the channels of each."""
        return self._turned(self._view(weight, block)).movedim(1, -1).flatten(1)

    def with_matrix(self, weight: Tensor, matrix: Tensor, block: int = 0) -> Tensor:
        """A copy of the weight with this matrix in it."""
        weight = weight.clone()
        own = matrix.unflatten(1, (*self.kernel, -1)).movedim(-1, 1)
        self._view(weight, block).copy_(self._turned(own))
        return weight

    def _turned(self, weight: Tensor) -> Tensor:
        """The taps as a convolution has them, and back."""
        return weight

    def _view(self, weight: Tensor, block: int) -> Tensor:
        n_outputs = weight.shape[0] // self.blocks
        return weight[block * n_outputs : (block + 1) * n_outputs]

    def _rows(self, value: Tensor) -> Tensor:
        """Positions first, then the channels of each block."""
        n_outputs = value.shape[1] // self.blocks
        return value.reshape(value.shape[0], self.blocks, n_outputs, -1).transpose(2, 3)

    def _outputs(self, rows: list[Tensor], shape: torch.Size) -> Tensor:
        """Channels first, then the positions."""
        # Of one block a view, with the channels last in memory.
        every = torch.cat(rows, dim=2) if len(rows) > 1 else rows[0]
        return every.transpose(1, 2).reshape(-1, *shape[1:])


class TransposedReader(ConvReader):
    """A transposed convolution, as the convolution of an input with zeros in between.

    Its weight is (in, out / groups, ...), and `padding` that of the convolution.
    """

    def _spread(self, x: Tensor) -> Tensor:
        sizes = [(size - 1) * step + 1 for size, step in zip(x.shape[2:], self.stride, strict=True)]
        spread = x.new_zeros(*x.shape[:2], *sizes)
        places: list[Any] = [slice(None, None, step) for step in self.stride]
        spread[(slice(None), slice(None), *places)] = x
        return spread

    def _step(self, dim: int) -> int:
        return 1

    def _turned(self, weight: Tensor) -> Tensor:
        """The taps run backwards."""
        return weight.flip(*range(2, weight.dim()))

    def _view(self, weight: Tensor, block: int) -> Tensor:
        n_inputs = weight.shape[0] // self.blocks
        return weight[block * n_inputs : (block + 1) * n_inputs].transpose(0, 1)


@dataclass(frozen=True)
class ProductReader(Reader):
    """A product with a weight for each feature, (n_features, in, out).

    Parameters
    ----------
    order : tuple of int
        Axes of the weight in the order batch, in, out.
    """

    order: tuple[int, ...] = ()

    def _by_sample(self, value: Tensor) -> Tensor:
        by_sample = super()._by_sample(value)
        # Features may come before the samples.
        return by_sample.unsqueeze(-2) if self._held.axis == value.dim() - 2 else by_sample

    def _patches(self, x: Tensor, block: int) -> Tensor:
        """Inputs of one feature by sample and position."""
        part = x.reshape(-1, self.blocks, *x.shape[-2:])[:, block]
        return part.reshape(part.shape[0], -1, x.shape[-1])

    def matrix(self, weight: Tensor, block: int = 0) -> Tensor:
        """The weight of one feature, with its outputs first."""
        return self._view(weight, block)

    def _view(self, weight: Tensor, block: int) -> Tensor:
        return weight.permute(self.order)[block].transpose(0, 1)

    def _rows(self, value: Tensor) -> Tensor:
        """Features are blocks."""
        return value.reshape(-1, self.blocks, value.shape[-2], value.shape[-1])

    def _outputs(self, rows: list[Tensor], shape: torch.Size) -> Tensor:
        """Features side by side."""
        return torch.stack(rows, dim=1).reshape(-1, *shape[1:])


class MeanReader(Reader):
    """A mean over the members of an ensemble that stay; `weight` says which these are."""

    weighted: ClassVar[bool] = False
    spatial: ClassVar[bool] = True


def _at(rows: Tensor, positions: Tensor) -> Tensor:
    """Rows at some positions: (n_samples, n_chosen, ...) of (n_samples, n_positions, ...)."""
    samples = torch.arange(len(rows), device=rows.device)[:, None]
    return rows[samples, positions]


def reader_of(
    source: Source, operation: Operation, shape: torch.Size, places: NDArray[np.intp]
) -> Reader:
    """The reader that an operation is, for units at these places of its weight."""
    known: dict[str, Any] = {
        "value": source.value,
        "reads": source.reads,
        "module": source.module,
        "weight": source.weight,
        "bias": source.bias,
        "inputs": source.inputs,
        "outputs_axis": source.outputs,
        "runs": source.value if source.runs < 0 else source.runs,
        "gradient": source.value if source.gradient < 0 else source.gradient,
    }
    if "conv" in operation.packet:
        return _conv_reader(operation, shape, places, known)
    if len(shape) < 3:
        return (LinearReader if len(shape) == 2 else VectorReader)(**known, columns=places)
    batch = [axis for axis in range(len(shape)) if axis not in (source.inputs, source.outputs)]
    order = (*batch, source.inputs, source.outputs)
    blocks = math.prod(shape[axis] for axis in batch)
    return ProductReader(**known, columns=places, blocks=blocks, order=order)


def _conv_reader(
    operation: Operation, shape: torch.Size, places: NDArray[np.intp], known: dict[str, Any]
) -> Reader:
    names = ["input", "weight", "bias", "stride", "padding"]
    plain, transposed = operation.packet == "convolution", "transpose" in operation.packet
    if plain:
        names += ["dilation", "transposed", "output_padding", "groups"]
    else:
        names += ["output_padding", "groups", "dilation"] if transposed else ["dilation", "groups"]
    given = dict(zip(names, operation.args, strict=False)) | operation.kwargs
    transposed = transposed or bool(given.get("transposed"))
    kernel, n_dims = tuple(shape[2:]), len(shape) - 2
    stride, dilation = (_each(given.get(name, 1), n_dims) for name in ("stride", "dilation"))
    groups, taps = int(given.get("groups", 1)), math.prod(kernel)
    reach = [each * (size - 1) for each, size in zip(dilation, kernel, strict=True)]
    padding = _padding(given.get("padding", 0), reach)
    if transposed:
        extra = _each(given.get("output_padding", 0), n_dims)
        padding = tuple(
            (r - before, r - after + more)
            for r, (before, after), more in zip(reach, padding, extra, strict=True)
        )
        # The weight has a slice for each input channel, of all groups.
        each = shape[0] // groups
        places = np.stack([np.unique(part % each) for part in places])
    n_channels = shape[0] // groups if transposed else shape[1]
    columns = (places[:, :, None] + n_channels * np.arange(taps)).reshape(len(places), -1)
    kind = TransposedReader if transposed else ConvReader
    return kind(
        **known, columns=columns, blocks=groups, taps=taps,
        kernel=kernel, stride=stride, dilation=dilation, padding=padding,
    )  # fmt: skip


def _each(given: Any, n_dims: int) -> tuple[int, ...]:
    given = [given] if isinstance(given, int) else list(given)
    return tuple(given * n_dims if len(given) == 1 else given)


def _padding(given: Any, reach: list[int]) -> tuple[tuple[int, int], ...]:
    given = 0 if given == "valid" else given
    if given == "same":
        return tuple((size // 2, size - size // 2) for size in reach)
    return tuple((size, size) for size in _each(given, len(reach)))
