"""Functions of C programs that compute images and branches in integers, as C99 source."""

from __future__ import annotations

from ..kernel import Kernel
from .kernels import GEOMETRY, LARGEST_TEXT, MEAN_TEXT, REDUCED_TEXT

_ROUNDED = "@rescaled((int64_t)sum * factor, shift, -limit, limit)"

LARGEST16 = Kernel(
    "largest16",
    LARGEST_TEXT.format(geometry=GEOMETRY, kind="int16_t", lowest="-32767", or_nan=""),
    212,
    stack_bytes=48,
)

MEAN16 = Kernel(
    "mean16",
    MEAN_TEXT.format(
        what="times a factor of 31 bits", geometry=GEOMETRY, kind="int16_t", sum="int32_t",
        parameters="int32_t factor, int shift, int limit", result=_ROUNDED,
    ),
    235,
    needs=("rescaled",),
    stack_bytes=68,
)  # fmt: skip

REDUCED16 = Kernel(
    "reduced16",
    REDUCED_TEXT.format(
        what="times a factor of 31 bits", kind="int16_t", sum="int32_t",
        parameters="int32_t factor, int shift, int limit", result=_ROUNDED,
    ),
    140,
    needs=("rescaled",),
    stack_bytes=68,
)  # fmt: skip

CONV8 = Kernel(
    "conv8",
    f"""\
/* Convolution in integers, as linear8. s: groups, channels of a group in and out, {GEOMETRY}. */
static void @@(const int16_t *s, const int8_t *w, const int32_t *b, const int32_t *factor,
    int shift, int low, int high, const int16_t *x, int16_t *y)
{{
    int g, o, i, j, c, k, l;
    for (g = 0; g < s[0]; g++, x += s[1] * s[3] * s[4])
        for (o = 0; o < s[2]; o++, b++, factor++, w += s[1] * s[5] * s[6])
            for (i = 0; i < s[7]; i++)
                for (j = 0; j < s[8]; j++) {{
                    const int8_t *u = w;
                    int32_t sum = *b;
                    for (c = 0; c < s[1]; c++)
                        for (k = 0; k < s[5]; k++, u += s[6]) {{
                            const int row = i * s[9] - s[11] + k * s[13];
                            const int16_t *v;
                            if (row < 0 || row >= s[3])
                                continue;
                            v = x + (c * s[3] + row) * s[4];
                            for (l = 0; l < s[6]; l++) {{
                                const int column = j * s[10] - s[12] + l * s[14];
                                if (column >= 0 && column < s[4])
                                    sum += (int32_t)u[l] * v[column];
                            }}
                        }}
                    *y++ = @rescaled((int64_t)sum * *factor, shift, low, high);
                }}
}}
""",
    345,
    needs=("rescaled",),
    stack_bytes=84,
)

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
    85,
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
    60,
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
