"""Functions of C programs that prepare the columns of tables, as C99 source."""

from __future__ import annotations

from .kernel import Kernel

#: By order of use in a pipeline.
TABLE = (
    Kernel(
        "gather",
        """\
/* Some of the columns. */
static void @@(const int16_t *columns, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[columns[i]];
}
""",
        24,
    ),
    Kernel(
        "copy",
        """\
/* The same numbers elsewhere. */
static void @@(int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[i];
}
""",
        20,
    ),
    Kernel(
        "multiply",
        """\
/* A factor for each column. */
static void @@(const float *factor, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[i] * factor[i];
}
""",
        32,
    ),
    Kernel(
        "standardise",
        """\
/* Less the centre, times a factor. */
static void @@(const float *centre, const float *factor, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = (x[i] - centre[i]) * factor[i];
}
""",
        40,
    ),
    Kernel(
        "standardise_twice",
        """\
/* The same; a centre is the sum of two numbers, because one is not precise enough. */
static void @@(const float *centre, const float *rest, const float *factor, int n,
    const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = ((x[i] - centre[i]) - rest[i]) * factor[i];
}
""",
        48,
    ),
    Kernel(
        "clip",
        """\
/* At least low, at most high. */
static void @@(float low, float high, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[i] < low ? low : (x[i] > high ? high : x[i]);
}
""",
        53,
    ),
    Kernel(
        "impute",
        """\
/* Numbers in place of missing ones; missing may be NaN. */
static void @@(const float *fill, float missing, int n, const float *x, float *y)
{
    int i;
    for (i = 0; i < n; i++)
        y[i] = x[i] == missing || (missing != missing && x[i] != x[i]) ? fill[i] : x[i];
}
""",
        60,
    ),
    Kernel(
        "is_missing",
        """\
/* 1 if a number is missing, else 0. */
static void @@(float missing, const float *x, float *y)
{
    *y = *x == missing || (missing != missing && *x != *x) ? 1.0f : 0.0f;
}
""",
        56,
    ),
    Kernel(
        "mark",
        """\
/* 1 at a position, 0 elsewhere; -1: all are 0, -2: Python raises an error, all are NaN. */
static void @@(int at, int width, float *y)
{
    int i;
    for (i = 0; i < width; i++)
        y[i] = at == -2 ? NAN : 0.0f;
    if (at >= 0)
        y[at] = 1.0f;
}
""",
        50,
    ),
    Kernel(
        "one_hot",
        """\
/* One-hot encoding of a number. */
static void @@(const float *known, const int16_t *positions, int n, int width, int unknown,
    int missing, const float *x, float *y)
{
    int i, at = *x != *x ? missing : unknown;
    for (i = 0; i < n; i++)
        if (known[i] == *x)
            at = positions[i];
    @mark(at, width, y);
}
""",
        69,
        needs=("mark",),
    ),
    Kernel(
        "one_hot_code",
        """\
/* One-hot encoding of the code of a category. */
static void @@(const int16_t *positions, int n, int width, int unknown, int missing,
    const float *x, float *y)
{
    int at = *x != *x ? missing : unknown;
    if (*x >= 0.0f && *x < (float)n)
        at = positions[(int)*x];
    @mark(at, width, y);
}
""",
        73,
        needs=("mark",),
    ),
    Kernel(
        "ordinal",
        """\
/* The number that stands for a number. */
static void @@(const float *known, const float *values, int n, float unknown, float missing,
    const float *x, float *y)
{
    const float v = *x;
    int i;
    *y = v != v ? missing : unknown;
    for (i = 0; i < n; i++)
        if (known[i] == v)
            *y = values[i];
}
""",
        61,
    ),
    Kernel(
        "ordinal_code",
        """\
/* The number that stands for the code of a category. */
static void @@(const float *values, int n, float unknown, float missing, const float *x, float *y)
{
    const float v = *x;
    *y = v != v ? missing : unknown;
    if (v >= 0.0f && v < (float)n)
        *y = values[(int)v];
}
""",
        66,
    ),
)
