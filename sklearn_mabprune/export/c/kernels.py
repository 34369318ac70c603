"""The small functions that C programs consist of, as C99 source.

Those for networks stand here, those for the preprocessing of tables in :mod:`.table_kernels`.
"""

from __future__ import annotations

import re

from .kernel import Kernel
from .quantised_kernels import QUANTISED
from .table_kernels import TABLE

_NETWORK = (
    Kernel(
        "linear",
        """\
/* y = w x + b; the weights of each input stand together, and inputs of 0 are passed over. */
static void @@(const float *w, const float *b, int n, int m, const float *x, float *y)
{
    int i, j;
    for (i = 0; i < m; i++)
        y[i] = b[i];
    for (j = 0; j < n; j++, w += m) {
        const float v = x[j];
        if (v != 0.0f)
            for (i = 0; i < m; i++)
                y[i] += w[i] * v;
    }
}
""",
        80,
    ),
    Kernel(
        "softmax",
        """\
/* Probabilities from logits. */
static void @@(int n, const float *x, float *y)
{
    float largest = x[0], sum = 0.0f;
    int i;
    for (i = 1; i < n; i++)
        if (x[i] > largest)
            largest = x[i];
    for (i = 0; i < n; i++) {
        y[i] = expf(x[i] - largest);
        sum += y[i];
    }
    for (i = 0; i < n; i++)
        y[i] /= sum;
}
""",
        130,
        inside_bytes=100,
        library=("expf",),
    ),
    Kernel(
        "log_softmax",
        """\
/* Logarithms of probabilities from logits. */
static void @@(int n, const float *x, float *y)
{
    float largest = x[0], sum = 0.0f;
    int i;
    for (i = 1; i < n; i++)
        if (x[i] > largest)
            largest = x[i];
    for (i = 0; i < n; i++)
        sum += expf(x[i] - largest);
    sum = logf(sum);
    for (i = 0; i < n; i++)
        y[i] = (x[i] - largest) - sum;
}
""",
        142,
        library=("expf", "logf"),
    ),
    Kernel(
        "prelu",
        """\
/* A slope below 0 for each unit, or one for all (stride 0). */
static void @@(const float *slope, int stride, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[i] < 0.0f ? x[i] * slope[i * stride] : x[i];
}
""",
        53,
    ),
    Kernel(
        "scale",
        """\
/* A factor and a constant for each element. */
static void @@(const float *factor, const float *constant, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[i] * factor[i] + constant[i];
}
""",
        38,
    ),
)

#: Bytes of code of a loop, an operator and a call of a function of math.h, on average over the
#: activations; and what counts as an operator.
_LOOP, _OPERATOR, _LIBRARY_CALL = 28, 10, 8
_OPERATORS = re.compile(r" [-+*/<>?]=? | [|&]{2} ")

#: The functions with a text of their own, by name.
KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (*_NETWORK, *TABLE, *QUANTISED)}


def elementwise(name: str, expression: str, library: tuple[str, ...]) -> Kernel:
    """A function that applies an expression of ``v`` to each element."""
    n_operators = len(_OPERATORS.findall(expression))
    return Kernel(
        name,
        f"""\
static void @@(int n, const float *x, float *y)
{{
    int i;
    for (i = 0; i < n; i++) {{
        const float v = x[i];
        y[i] = {expression};
    }}
}}
""",
        _LOOP + _OPERATOR * n_operators + _LIBRARY_CALL * len(library),
        library=library,
    )
