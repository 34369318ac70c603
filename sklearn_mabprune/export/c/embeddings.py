"""The C form of scaled features and piecewise-linear functions of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph.kinds.embeddings import GAIN
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

_PIECEWISE = Kernel(
    "piecewise",
    """\
/* Functions of single features: weights times the fraction of each bin that lies below x. */
static void @@(const int16_t *columns, const int16_t *counts, const float *start,
    const float *slope, const float *w, int n, int n_bins, const float *x, float *y)
{
    int i, j, k;
    for (i = 0; i < n; i++) {
        const float v = x[columns[i]];
        const int count = counts[i];
        for (k = 0; k < count; k++)
            y[k] = 0.0f;
        for (j = 0; j < n_bins; j++, w += count) {
            float part = (v - *start++) * *slope++;
            part = part < 0.0f ? 0.0f : (part > 1.0f ? 1.0f : part);
            for (k = 0; k < count; k++)
                y[k] += w[k] * part;
        }
        y += count;
    }
}
""",
    245,
    stack_bytes=76,
)


def write_piecewise_linear(program: Program, x: Vector, layer: Any) -> Vector:
    """Add the calls of a PiecewiseLinearEmbedding."""
    y = Vector(layer.n_passed + layer.n_chosen)
    if layer.n_passed:
        passed = layer.passed.numpy()
        columns = program.constant("columns", passed, "int16_t")
        numbers = [
            program.constant(name, getattr(layer, name).double().numpy()[passed])
            for name in ("center", "scale", "bend")
        ]
        program.call(_SCALED, columns, *numbers, layer.n_passed, x, y.part(0, layer.n_passed))
    if not layer.n_chosen:
        return y
    # Functions of one feature stand together, so that fractions are computed once.
    order = np.argsort(layer.chosen.numpy(), kind="stable")
    rows, functions = np.divmod(layer.chosen.numpy()[order], layer.n_functions)
    used, counts = np.unique(rows, return_counts=True)
    weight = GAIN * layer.weight.detach().double().numpy()[rows, functions]
    blocks = np.split(weight, np.cumsum(counts)[:-1])
    target = y.part(layer.n_passed, layer.n_chosen)
    sorted_already = (np.diff(order) > 0).all()
    found = target if sorted_already else Vector(layer.n_chosen)
    program.call(
        _PIECEWISE,
        program.constant("columns", layer.embedded.numpy()[used], "int16_t"),
        program.constant("counts", counts, "int16_t"),
        program.constant("starts", layer.start.double().numpy()[used]),
        program.constant("slopes", layer.slope.double().numpy()[used]),
        program.constant("weights", np.concatenate([block.T.ravel() for block in blocks])),
        len(used),
        layer.n_bins,
        x,
        found,
        macs=weight.size,
    )
    if not sorted_already:
        back = program.constant("columns", np.argsort(order), "int16_t")
        program.call("gather", back, layer.n_chosen, found, target)
    return y
