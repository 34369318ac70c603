"""Functions of C programs that compute images and branches in integers, as C99 source."""

from __future__ import annotations

from ..kernel import Kernel
from .kernels import CONV_TEXT, GEOMETRY, LARGEST_TEXT, MEAN_TEXT, REDUCED_TEXT

_ROUNDED = "@rescaled((int64_t)sum * factor, shift, -limit, limit)"

LARGEST16 = Kernel(
    "largest16",
    LARGEST_TEXT.format(geometry=GEOMETRY, kind="int16_t", lowest="-32767", or_nan=""),
    180,
    inside_bytes=125,
    stack_bytes=48,
)

MEAN16 = Kernel(
    "mean16",
    MEAN_TEXT.format(
        what="times a factor of 31 bits", geometry=GEOMETRY, kind="int16_t", sum="int32_t",
        parameters="int32_t factor, int shift, int limit", result=_ROUNDED,
    ),
    310,
    inside_bytes=195,
    needs=("rescaled",),
    stack_bytes=68,
)  # fmt: skip

REDUCED16 = Kernel(
    "reduced16",
    REDUCED_TEXT.format(
        what="times a factor of 31 bits", kind="int16_t", sum="int32_t",
        parameters="int32_t factor, int shift, int limit", result=_ROUNDED,
    ),
    200,
    inside_bytes=130,
    needs=("rescaled",),
    stack_bytes=68,
)  # fmt: skip

CONV8 = Kernel(
    "conv8",
    CONV_TEXT.format(
        what=" in integers, as linear8", geometry=GEOMETRY, kind="int16_t", weight="int8_t",
        parameters="const int32_t *b, const int32_t *factor,\n    int shift, int low, int high, ",
        sum="int32_t", next="factor++, ", factor="(int32_t)u[l]",
        result="@rescaled((int64_t)sum * *factor, shift, low, high)",
    ),
    395,
    inside_bytes=210,
    needs=("rescaled",),
    stack_bytes=84,
)  # fmt: skip

EMBED8 = Kernel(
    "embed8",
    """\
/* A row of a table of 8 bits for each code, times 128; 0 for codes that have none. */
static void @@(const int8_t *table, int n_rows, int m, int n, const float *x, int16_t *y)
{
    int i, k;
    for (i = 0; i < n; i++)
        for (k = 0; k < m; k++)
            *y++ = (int16_t)(x[i] >= 0.0f && x[i] < (float)n_rows
                ? table[(int)x[i] * m + k] * 128 : 0);
}
""",
    105,
    stack_bytes=36,
)

LINEAR8_ROWS = Kernel(
    "linear8_rows",
    """\
/* The same weighted sums of each of several rows, in integers. */
static void @@(const int8_t *w, const int32_t *b, const int32_t *factor, int shift, int low,
    int high, int count, int n, int m, const int16_t *x, int16_t *y)
{
    int i;
    for (i = 0; i < count; i++)
        @linear8(w, b, factor, shift, low, high, n, m, x + i * n, y + i * m);
}
""",
    80,
    inside_bytes=35,
    needs=("linear8",),
    stack_bytes=72,
)

SUM16 = Kernel(
    "sum16",
    """\
/* Sums of two integers times factors, as integers within bounds. */
static void @@(int32_t factor, int32_t other, int shift, int limit, int n, const int16_t *a,
    const int16_t *b, int16_t *y)
{
    int i;
    for (i = 0; i < n; i++) {
        const int64_t v = (int64_t)factor * a[i] + (int64_t)other * b[i];
        y[i] = @rescaled(v, shift, -limit, limit);
    }
}
""",
    215,
    needs=("rescaled",),
    stack_bytes=52,
)

SCALE16 = Kernel(
    "scale16",
    """\
/* Integers times a factor, as integers within bounds. */
static void @@(int32_t factor, int shift, int limit, int n, const int16_t *x, int16_t *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = @rescaled((int64_t)factor * x[i], shift, -limit, limit);
}
""",
    100,
    needs=("rescaled",),
    stack_bytes=44,
)

RELU16 = Kernel(
    "relu16",
    """\
/* At least 0. */
static void @@(int n, const int16_t *x, int16_t *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = (int16_t)(x[i] < 0 ? 0 : x[i]);
}
""",
    24,
)

NUMBERS = Kernel(
    "numbers",
    """\
/* Integers as the numbers that they stand for. */
static void @@(float unit, int n, const int16_t *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = (float)x[i] * unit;
}
""",
    36,
)
