"""Attention over the steps of one sample: in Python, and as a call of a C function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ....graph.program import Operation
from ...chain import Array
from ..kernel import Kernel
from ..program import Program, Vector
from .places import Operand
from .reading import Reading

ATTENTION = Kernel(
    "attention",
    """\
/* Means of the values v of n_keys keys, weighted by the products of keys with queries, by head. */
static void @@(int n_heads, int n_queries, int n_keys, int width, int n_values, float scale,
    const float *q, const float *k, const float *v, float *y)
{
    float *weight = y + n_heads * n_queries * n_values;
    int h, i, j, l;
    for (h = 0; h < n_heads; h++, k += n_keys * width, v += n_keys * n_values)
        for (i = 0; i < n_queries; i++, q += width, y += n_values) {
            float largest = -HUGE_VALF, sum = 0.0f;
            for (j = 0; j < n_keys; j++) {
                weight[j] = 0.0f;
                for (l = 0; l < width; l++)
                    weight[j] += q[l] * k[j * width + l];
                weight[j] *= scale;
                if (weight[j] > largest || weight[j] != weight[j])
                    largest = weight[j];
            }
            for (l = 0; l < n_values; l++)
                y[l] = 0.0f;
            for (j = 0; j < n_keys; j++) {
                weight[j] = expf(weight[j] - largest);
                sum += weight[j];
                for (l = 0; l < n_values; l++)
                    y[l] += weight[j] * v[j * n_values + l];
            }
            for (l = 0; l < n_values; l++)
                y[l] /= sum;
        }
}
""",
    380,
    library=("expf",),
    inside_bytes=285,
    stack_bytes=110,
)


@dataclass(frozen=True)
class Attention:
    """Attention of several heads.

    Parameters
    ----------
    n_heads, n_queries, n_keys, width, n_values : int
        Heads, steps that ask, steps that answer, and elements of a key and of a value.
    scale : float
        Factor of the products of queries and keys.
    """

    n_heads: int
    n_queries: int
    n_keys: int
    width: int
    n_values: int
    scale: float

    @property
    def n_outputs(self) -> int:
        """Elements of the result; the weights of the last query stand behind it."""
        return self.n_heads * self.n_queries * self.n_values

    def run(self, queries: Array, keys: Array, values: Array) -> Array:
        """Weighted values, (n_samples, n_elements)."""
        heads = len(queries), self.n_heads
        products = queries.reshape(*heads, self.n_queries, self.width) @ np.swapaxes(
            keys.reshape(*heads, self.n_keys, self.width), 2, 3
        )
        weights = np.exp(self.scale * (products - products.max(axis=3, keepdims=True)))
        weights /= weights.sum(axis=3, keepdims=True)
        found = weights @ values.reshape(*heads, self.n_keys, self.n_values)
        behind = weights[:, -1, -1]
        return np.concatenate([found.reshape(len(found), -1), behind], axis=1)

    def write(self, program: Program, *xs: Vector) -> Vector:
        """Add the call."""
        y = Vector(self.n_outputs + self.n_keys)
        sizes = self.n_heads, self.n_queries, self.n_keys, self.width, self.n_values
        macs = self.n_heads * self.n_queries * self.n_keys * (self.width + self.n_values)
        program.call(ATTENTION, *sizes, float(self.scale), *xs, y, macs=macs)
        return y


def attention(reading: Reading, operation: Operation) -> Operand:
    """Attention without a mask."""
    queries, keys, values = (reading.operand(operation, k) for k in range(3))
    mask, _, causal = (*operation.args[3:], *(None, 0.0, False)[len(operation.args[3:]) :])[:3]
    options = operation.kwargs
    if mask is not None or causal or options.get("is_causal") or options.get("attn_mask"):
        raise reading.refused(operation, " with a mask")
    n_queries, width = queries.places.shape[-2:]
    n_keys, n_values = values.places.shape[-2:]
    n_heads = math.prod(queries.places.shape[:-2])
    if n_heads != math.prod(keys.places.shape[:-2]):
        raise reading.refused(operation, " with fewer heads of keys")
    scale = options.get("scale") or 1 / math.sqrt(width)
    node = Attention(n_heads, n_queries, n_keys, width, n_values, scale)
    whole = reading.append(operation, node, queries, keys, values)
    shape = reading.shapes[operation.value]
    return Operand(whole, np.arange(node.n_outputs).reshape(shape))
