"""Operators that treat elements by themselves, or move them: in Python, and as calls of C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...chain import Array
from ..kernels import elementwise
from ..program import Constant, Program, Vector
from . import kernels
from .places import Places, copy_to


@dataclass(frozen=True)
class Each:
    """A function of each element.

    Parameters
    ----------
    function : callable
        Of a tensor.
    writer : callable
        Adds the calls for a vector.
    rectifies : bool
        Whether it is max(0, x).
    jumps : bool
        Whether it is constant but for jumps, so that no table with lines between its entries is it.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    writer: Callable[[Program, Vector], Vector]
    rectifies: bool = False
    jumps: bool = False

    def run(self, x: Array) -> Array:
        """Values, of the shape of `x`."""
        with torch.inference_mode():
            return np.asarray(self.function(torch.as_tensor(x)).numpy())

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        return self.writer(program, xs[0])


#: Functions of two values at the same place: in Python, and as a C expression.
JOINS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "add": (np.add, "u[i] + v[i]"),
    "sub": (np.subtract, "u[i] - v[i]"),
    "mul": (np.multiply, "u[i] * v[i]"),
    "div": (np.divide, "u[i] / v[i]"),
    "maximum": (np.maximum, "u[i] > v[i] || u[i] != u[i] ? u[i] : v[i]"),
    "minimum": (np.minimum, "u[i] < v[i] || u[i] != u[i] ? u[i] : v[i]"),
    **{
        name: (function, f"u[i] {sign} v[i] ? 1.0f : 0.0f")
        for name, function, sign in (
            ("eq", np.equal, "=="),
            ("ne", np.not_equal, "!="),
            ("lt", np.less, "<"),
            ("le", np.less_equal, "<="),
            ("gt", np.greater, ">"),
            ("ge", np.greater_equal, ">="),
        )
    },
    "logical_and": (np.logical_and, "u[i] != 0.0f && v[i] != 0.0f ? 1.0f : 0.0f"),
    "logical_or": (np.logical_or, "u[i] != 0.0f || v[i] != 0.0f ? 1.0f : 0.0f"),
    "logical_xor": (np.logical_xor, "(u[i] != 0.0f) != (v[i] != 0.0f) ? 1.0f : 0.0f"),
}


@dataclass(frozen=True)
class Joined:
    """A function of two values at the same place.

    Parameters
    ----------
    name : str
        One of `JOINS`.
    constant : ndarray, optional
        The second value, if it is the same for all samples.
    """

    name: str
    constant: Array | None = None

    def run(self, *xs: Array) -> Array:
        """Values, of the shape of each operand."""
        x, other = (*xs, self.constant)[:2]
        with np.errstate(all="ignore"):
            return np.asarray(JOINS[self.name][0](x, other), dtype=xs[0].dtype)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        x = xs[0]
        y = program.target(x)
        if self.constant is None:
            other: Vector | Constant = xs[1]
            overlap = xs[1].place[0] is x.place[0] and xs[1].place[1] != x.place[1]
            y = Vector(x.size, x.kind) if overlap else y
        else:
            other = program.constant("operands", self.constant)
        program.call(_join(self.name), x.size, x, other, y)
        return y


def _join(name: str) -> Any:
    text = (
        "static void @@(int n, const float *u, const float *v, float *y)\n{\n    int i;\n"
        f"    for (i = 0; i < n; i++)\n        y[i] = {JOINS[name][1]};\n}}\n"
    )
    return replace(elementwise(name, JOINS[name][1], ()), text=text)


@dataclass(frozen=True)
class Scaled:
    """A factor and a constant for each of several channels of `m` values, `count` times."""

    factor: Array
    constant: Array
    count: int
    m: int

    def run(self, x: Array) -> Array:
        """Values, of the shape of `x`."""
        found = x.reshape(len(x), self.count, -1, self.m) * self.factor[:, None]
        return np.asarray(found + self.constant[:, None]).reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = program.target(xs[0])
        factor = program.constant("factors", self.factor)
        constant = program.constant("constants", self.constant)
        n = len(self.factor)
        program.call(kernels.SCALE_AXIS, factor, constant, self.count, n, self.m, xs[0], y)
        return y


@dataclass(frozen=True)
class Sloped:
    """A slope below 0 for each of several channels of `m` values."""

    slopes: Array
    m: int

    def run(self, x: Array) -> Array:
        """Values, of the shape of `x`."""
        parts = x.reshape(len(x), -1, self.m)
        return np.where(parts < 0, parts * self.slopes[:, None], parts).reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = program.target(xs[0])
        slopes = program.constant("slopes", self.slopes)
        program.call(kernels.PRELU_AXIS, slopes, len(self.slopes), self.m, xs[0], y)
        return y


@dataclass(frozen=True)
class Normalised:
    """Parts of `n` values each, less their mean if centred, by the root of their mean square."""

    count: int
    n: int
    epsilon: float
    centred: bool

    def run(self, x: Array) -> Array:
        """Values, of the shape of `x`."""
        parts = x.reshape(len(x), self.count, self.n)
        centred = parts - parts.mean(axis=2, keepdims=True) * self.centred
        spread = np.sqrt(np.square(centred).mean(axis=2, keepdims=True) + self.epsilon)
        return np.asarray(centred / spread).reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = program.target(xs[0])
        kernel = kernels.NORMALISE if self.centred else kernels.ROOT_MEAN_SQUARE
        program.call(kernel, self.count, self.n, float(self.epsilon), xs[0], y)
        return y


@dataclass(frozen=True)
class Embedded:
    """Rows of a table, by codes."""

    table: Array

    def run(self, x: Array) -> Array:
        """Rows side by side, (n_samples, n_codes * n_columns)."""
        return self.table[x.astype(np.int64)].reshape(len(x), -1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        n_rows, m = self.table.shape
        y = Vector(xs[0].size * m)
        table = program.constant("weights", self.table)
        program.call(kernels.EMBED, table, n_rows, m, xs[0].size, xs[0], y)
        return y


@dataclass(frozen=True)
class Whole:
    """Softmax or its logarithm of all elements."""

    kernel: str

    def run(self, x: Array) -> Array:
        """Values, of the shape of `x`."""
        shifted = x - x.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return np.asarray(np.exp(logs) if self.kernel == "softmax" else logs)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = program.target(xs[0])
        program.call(self.kernel, xs[0].size, xs[0], y)
        return y


@dataclass(frozen=True)
class Together:
    """Several values as one: where the elements of each go."""

    places: tuple[Places, ...]

    @property
    def size(self) -> int:
        """Elements of the result."""
        return sum(places.size for places in self.places)

    def run(self, *xs: NDArray[Any]) -> NDArray[Any]:
        """Elements of all values, (n_samples, n_elements)."""
        found = np.empty((len(xs[0]), self.size), dtype=xs[0].dtype)
        for x, places in zip(xs, self.places, strict=True):
            found[:, places.ravel()] = x
        return found

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the calls."""
        y = Vector(self.size, xs[0].kind)
        for x, places in zip(xs, self.places, strict=True):
            copy_to(program, x, y, places)
        return y
