"""Operators that sum: in Python, and as calls of C functions."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import astuple, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ...chain import Array
from ..program import Constant, Program, Vector
from . import kernels
from .places import Operand

#: Windows on which the rounding of weights is measured.
_MOST_WINDOWS = 4096


class Node(Protocol):
    """A kind of operator with its weights; values of samples are flat."""

    def run(self, *xs: Any) -> Any:
        """The value for samples, (n_samples, n_elements)."""

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the calls, and return the value."""


@dataclass(frozen=True)
class Step:
    """A node with what it reads, and the key of what it returns."""

    value: Hashable
    node: Node
    reads: tuple[Operand, ...]


@dataclass(frozen=True)
class Windows:
    """Windows of images; a sequence is an image of one row.

    Parameters
    ----------
    channels, height, width : int
        Of the image.
    kernel, outputs, stride, padding, dilation : tuple of (int, int)
        Rows and columns of a window, of the output, between windows, of zeros before the image,
        and between elements of a window.
    """

    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    outputs: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def n_outputs(self) -> int:
        """Elements of an output channel."""
        return self.outputs[0] * self.outputs[1]

    def images(self, x: NDArray[Any], fill: float = 0.0) -> torch.Tensor:
        """Images with what stands around them, (n_samples, n_channels, n_rows, n_columns)."""
        shape = (len(x), self.channels, self.height, self.width)
        around: list[int] = []
        for k in (1, 0):
            reach = (self.outputs[k] - 1) * self.stride[k] + (self.kernel[k] - 1) * self.dilation[k]
            around += [self.padding[k], reach + 1 - shape[2 + k] - self.padding[k]]
        images = torch.as_tensor(x, dtype=torch.float64).reshape(shape)
        return F.pad(images, around, value=fill)

    def of(self, x: NDArray[Any], fill: float = 0.0) -> Array:
        """All windows, (n_samples, n_channels, n_elements, n_windows)."""
        options: Any = {"dilation": self.dilation, "stride": self.stride}
        found = F.unfold(self.images(x, fill), self.kernel, **options).numpy()
        shape = (len(x), self.channels, self.kernel[0] * self.kernel[1], self.n_outputs)
        return np.asarray(found).reshape(shape)

    def constant(self, program: Program, *first: int) -> Constant:
        """The array that C functions read."""
        values = [*first, *(n for part in astuple(self)[1:] for n in np.atleast_1d(part))]
        return program.constant("sizes", values, "int16_t")


@dataclass(frozen=True)
class Weighted:
    """Weighted sums of all elements of a row, for each of several rows.

    Parameters
    ----------
    weight : ndarray of shape (n_outputs, n_inputs)
    bias : ndarray of shape (n_outputs,)
    rows : int
    """

    weight: Array
    bias: Array
    rows: int = 1

    #: Values that stand side by side for each output.
    inner = 1

    @property
    def n_inputs(self) -> int:
        """Weights of an output."""
        return int(self.weight[0].size)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations per sample."""
        return self.rows * self.weight.size

    def inputs(self, x: NDArray[Any]) -> list[tuple[slice, NDArray[Any]]]:
        """Outputs that read the same inputs, and these, (n_rows, n_inputs)."""
        return [(slice(None), x.reshape(-1, self.n_inputs))]

    def run(self, x: Array) -> Array:
        """Sums, (n_samples, n_rows * n_outputs)."""
        found = x.reshape(len(x), self.rows, -1) @ self.weight.T + self.bias
        return np.asarray(found).reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        (x,) = xs
        n, m = self.n_inputs, len(self.bias)
        y = Vector(self.rows * m)
        weight = program.constant("weights", self.weight.T)
        bias = program.constant("biases", self.bias)
        if self.rows == 1:
            program.call("linear", weight, bias, n, m, x, y, macs=self.macs)
        else:
            program.call(kernels.LINEAR_ROWS, weight, bias, self.rows, n, m, x, y, macs=self.macs)
        return y


@dataclass(frozen=True)
class Convolution:
    """Weighted sums of windows.

    Parameters
    ----------
    weight : ndarray of shape (n_outputs, n_inputs of a group * elements of a window)
    bias : ndarray of shape (n_outputs,)
    groups : int
    windows : Windows
    """

    weight: Array
    bias: Array
    groups: int
    windows: Windows

    rows = 1

    @property
    def inner(self) -> int:
        """Values that stand side by side for each output."""
        return self.windows.n_outputs

    @property
    def n_inputs(self) -> int:
        """Weights of an output."""
        return int(self.weight[0].size)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations per sample."""
        return self.windows.n_outputs * self.weight.size

    def inputs(self, x: NDArray[Any]) -> list[tuple[slice, NDArray[Any]]]:
        """Outputs that read the same inputs, and some of these, (n_windows, n_inputs)."""
        x = x[:: max(1, len(x) * self.windows.n_outputs // _MOST_WINDOWS)]
        windows = self.windows.of(x).reshape(len(x), self.groups, self.n_inputs, -1)
        of_each = windows.transpose(1, 0, 3, 2).reshape(self.groups, -1, self.n_inputs)
        n = len(self.bias) // self.groups
        return [(slice(k * n, (k + 1) * n), part) for k, part in enumerate(of_each)]

    def run(self, x: Array) -> Array:
        """Sums, (n_samples, n_outputs * n_windows)."""
        shape = (len(self.bias), self.windows.channels // self.groups, *self.windows.kernel)
        found = F.conv2d(
            self.windows.images(x),
            torch.as_tensor(self.weight, dtype=torch.float64).reshape(shape),
            torch.as_tensor(self.bias, dtype=torch.float64),
            self.windows.stride,
            0,
            self.windows.dilation,
            self.groups,
        )
        return np.asarray(found.numpy()).reshape(len(x), -1)

    def sizes(self, program: Program) -> Constant:
        """The array of sizes of C functions."""
        channels = self.windows.channels // self.groups
        outputs = len(self.bias) // self.groups
        return self.windows.constant(program, self.groups, channels, outputs)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(len(self.bias) * self.inner)
        weight = program.constant("weights", self.weight)
        bias = program.constant("biases", self.bias)
        program.call(kernels.CONV, self.sizes(program), weight, bias, xs[0], y, macs=self.macs)
        return y


@dataclass(frozen=True)
class Pooled:
    """The largest value, or the sum times a factor, of each window of each channel."""

    windows: Windows
    factor: float | None = None

    def run(self, x: Array) -> Array:
        """Values, (n_samples, n_channels * n_windows)."""
        if self.factor is None:
            return self.windows.of(x, -np.inf).max(axis=2).reshape(len(x), -1)
        return (self.windows.of(x).sum(axis=2) * self.factor).reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(self.windows.channels * self.windows.n_outputs)
        sizes = self.windows.constant(program, self.windows.channels)
        if self.factor is None:
            program.call(kernels.LARGEST, sizes, xs[0], y)
        else:
            program.call(kernels.MEAN, sizes, self.factor, xs[0], y)
        return y


@dataclass(frozen=True)
class Reduced:
    """The largest, or the sum times a factor, of `n` values that stand `m` apart, `count` times."""

    factor: float | None
    count: int
    n: int
    m: int

    def run(self, x: NDArray[Any]) -> NDArray[Any]:
        """Values, (n_samples, count * m)."""
        parts = x.reshape(len(x), self.count, self.n, self.m)
        if self.factor is None:
            return parts.max(axis=2).reshape(len(x), -1)
        return (parts.sum(axis=2) * self.factor).reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(self.count * self.m)
        sizes = self.count, self.n, self.m
        if self.factor is None:
            program.call(kernels.LARGEST_OF, *sizes, xs[0], y)
        else:
            program.call(kernels.REDUCED, float(self.factor), *sizes, xs[0], y)
        return y
