"""The C form of scaled features and piecewise-linear functions of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...graph.kinds.embeddings import GAIN, PiecewiseLinearEmbedding
from ..chain import Linear, Part
from .kernel import Kernel
from .program import Program, Vector

_SCALED = Kernel(
    "scaled",
    """\
/* z / sqrt(1 + (z bend)^2) with z = (x - center) scale, of some features. */
static void @@(const int16_t *columns, const float *center, const float *scale, const float *bend,
    int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++) {
        float z = (x[columns[i]] - center[i]) * scale[i], bent;
        /* Bounded, so that no square overflows. */
        z = z > 1e15f ? 1e15f : (z < -1e15f ? -1e15f : z);
        bent = z * bend[i];
        y[i] = z / sqrtf(1.0f + bent * bent);
    }
}
""",
    155,
    library=("sqrtf",),
)

#: With weights in float and of 8 bits.
_PIECEWISE_TEXT = """\
/* Functions of single features: weights{what} times the fraction of each bin that lies below x. */
static void @@(const int16_t *columns, const int16_t *counts, const float *start,
    const float *slope, const {kind} *w,{factor} int n, int n_bins, const float *x, float *y)
{{
    int i, j, k;
    for (i = 0; i < n; i++) {{
        const float v = x[columns[i]];
        const int count = counts[i];
        for (k = 0; k < count; k++)
            y[k] = 0.0f;
        for (j = 0; j < n_bins; j++, w += count) {{
            float part = (v - *start++) * *slope++;
            part = part < 0.0f ? 0.0f : (part > 1.0f ? 1.0f : part);
            for (k = 0; k < count; k++)
                y[k] += {weight} * part;
        }}
{end}
    }}
}}
"""

_PIECEWISE = Kernel(
    "piecewise",
    _PIECEWISE_TEXT.format(
        what="", kind="float", factor="", weight="w[k]", end="        y += count;"
    ),
    245,
    stack_bytes=76,
)

_PIECEWISE8 = Kernel(
    "piecewise8",
    _PIECEWISE_TEXT.format(
        what=", scaled,",
        kind="int8_t",
        factor=" const float *factor,",
        weight="(float)w[k]",
        end="        for (k = 0; k < count; k++)\n            *y++ *= *factor++;",
    ),
    300,
    stack_bytes=80,
)

#: Largest weight of 8 bits whose rounding may add half a unit.
_LARGEST = 126.5


class WrittenEmbedding(nn.Module):
    """A piecewise-linear embedding as C computes it.

    Parameters
    ----------
    layer : PiecewiseLinearEmbedding
    binary : ndarray of bool, shape (n_passed,)
        Which of the features that the layer passes are 0 or 1: they are not scaled, and come last.
    units : ndarray of shape (n_embedded, n_functions), optional
        The weights of each function are multiples of its unit, of 8 bits.
    """

    def __init__(
        self, layer: Any, binary: NDArray[np.bool_], units: NDArray[np.float64] | None = None
    ):
        super().__init__()
        self.layer, self.scaled, self.units = layer, np.flatnonzero(~binary), units
        self.marks = layer.passed.numpy()[binary]

    def forward(self, x: Tensor) -> Tensor:
        """Scaled features, values of functions, features of 0 and 1."""
        found = self.layer(x)
        parts = found[:, self.scaled], found[:, self.layer.n_passed :], x[:, self.marks]
        return torch.cat(parts, dim=1)


def in_8_bits(part: Part) -> Part:
    """A part of a network; of a piecewise-linear embedding one with weights of 8 bits.

    The sums of the weights of the bins, which are the values at their ends, are rounded.
    """
    if isinstance(part, PiecewiseLinearEmbedding):
        part = WrittenEmbedding(part, np.zeros(part.n_passed, dtype=bool))
    if not isinstance(part, WrittenEmbedding) or not part.layer.n_chosen:
        return part
    layer = copy.deepcopy(part.layer).double()
    weight = layer.weight.detach().numpy()
    units = np.abs(weight).max(axis=2) / _LARGEST
    units[units == 0] = 1.0
    ends = np.rint(np.cumsum(weight / units[..., None], axis=2))
    layer.weight.data = torch.as_tensor(np.diff(ends, axis=2, prepend=0) * units[..., None])
    binary = np.isin(np.arange(layer.n_passed), part.scaled, invert=True)
    return WrittenEmbedding(layer, binary, units)


def of_two_values(parts: list[Part], binary: NDArray[np.bool_]) -> list[Part]:
    """A network that scales no features which are 0 or 1: the weights after it do.

    Parameters
    ----------
    parts : list of Linear, Affine and nn.Module
    binary : ndarray of bool, shape (n_features,)
        Which features are 0 or 1.
    """
    layer: Any = parts[0]
    if not isinstance(layer, PiecewiseLinearEmbedding) or not isinstance(parts[1], Linear):
        return parts
    among = binary[layer.passed.numpy()]
    if not among.any():
        return parts
    with torch.no_grad():
        ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, layer.n_features)
        low, high = copy.deepcopy(layer).double()(ends)[:, : layer.n_passed].numpy()
    marks, weight = np.flatnonzero(among), parts[1].weight
    others = np.delete(np.arange(weight.shape[1]), marks)
    columns = [weight[:, others], weight[:, marks] * (high - low)[marks]]
    bias = parts[1].bias + weight[:, marks] @ low[marks]
    return [
        WrittenEmbedding(layer, among),
        Linear(np.concatenate(columns, axis=1), bias),
        *parts[2:],
    ]


def write_embedding(program: Program, x: Vector, part: Any) -> Vector:
    """Add the calls of a :class:`WrittenEmbedding`."""
    n_others, n_marks = len(part.scaled) + part.layer.n_chosen, len(part.marks)
    y = Vector(n_others + n_marks)
    _write(program, x, part, y.part(0, n_others) if n_marks else y)
    if not n_marks:
        return y
    first, target = int(part.marks[0]), y.part(n_others, n_marks)
    if (np.diff(part.marks) == 1).all():
        program.call("copy", n_marks, x.part(first, n_marks), target)
    else:
        columns = program.constant("columns", part.marks, "int16_t")
        program.call("gather", columns, n_marks, x, target, picks=part.marks)
    return y


def write_piecewise_linear(program: Program, x: Vector, layer: Any) -> Vector:
    """Add the calls of a PiecewiseLinearEmbedding."""
    none = np.zeros(layer.n_passed, dtype=bool)
    return write_embedding(program, x, WrittenEmbedding(layer, none))


def _write(program: Program, x: Vector, part: WrittenEmbedding, y: Vector) -> None:
    """Add the calls that write some of the passed features, scaled, and all functions."""
    layer, scaled = part.layer, part.scaled
    n_scaled = len(scaled)
    if n_scaled:
        passed = layer.passed.numpy()[scaled]
        columns = program.constant("columns", passed, "int16_t")
        numbers = [
            program.constant(name, getattr(layer, name).double().numpy()[passed])
            for name in ("center", "scale", "bend")
        ]
        target = y.part(0, n_scaled)
        program.call(_SCALED, columns, *numbers, n_scaled, x, target, picks=passed)
    if not layer.n_chosen:
        return
    # Functions of one feature stand together, so that fractions are computed once.
    order = np.argsort(layer.chosen.numpy(), kind="stable")
    rows, functions = np.divmod(layer.chosen.numpy()[order], layer.n_functions)
    used, counts = np.unique(rows, return_counts=True)
    weight, units = layer.weight.detach().double().numpy()[rows, functions], None
    if part.units is not None:
        units = part.units[rows, functions]
        weight = np.rint(weight / units[:, None])
    blocks = np.split(GAIN * weight if units is None else weight, np.cumsum(counts)[:-1])
    flat = np.concatenate([block.T.ravel() for block in blocks])
    target = y.part(n_scaled, layer.n_chosen)
    sorted_already = (np.diff(order) > 0).all()
    found = target if sorted_already else Vector(layer.n_chosen)
    weights = [program.constant("weights", flat, "float" if units is None else "int8_t")]
    if units is not None:
        weights.append(program.constant("factors", GAIN * units))
    program.call(
        _PIECEWISE if units is None else _PIECEWISE8,
        program.constant("columns", layer.embedded.numpy()[used], "int16_t"),
        program.constant("counts", counts, "int16_t"),
        program.constant("starts", layer.start.double().numpy()[used]),
        program.constant("slopes", layer.slope.double().numpy()[used]),
        *weights,
        len(used),
        layer.n_bins,
        x,
        found,
        macs=weight.size,
        picks=layer.embedded.numpy()[used],
    )
    if not sorted_already:
        back = program.constant("columns", np.argsort(order), "int16_t")
        program.call("gather", back, layer.n_chosen, found, target)
