"""Functions of C programs for images, sequences and branches, as C99 source."""

from __future__ import annotations

from ..kernel import Kernel
from ..kernels import KERNELS

#: What stands in the array of a convolution or of pooling, after groups and channels.
GEOMETRY = "height, width, kernel (2), outputs (2), stride (2), padding (2), dilation (2)"

#: Of numbers and of integers.
CONV_TEXT = """\
/* Convolution{what}. s: groups, channels of a group in and out, {geometry}. */
static void @@(const int16_t *s, const {weight} *w, {parameters}const {kind} *x, {kind} *y)
{{
    int g, o, i, j, c, k, l;
    for (g = 0; g < s[0]; g++, x += s[1] * s[3] * s[4])
        for (o = 0; o < s[2]; o++, b++, {next}w += s[1] * s[5] * s[6])
            for (i = 0; i < s[7]; i++)
                for (j = 0; j < s[8]; j++) {{
                    const {weight} *u = w;
                    {sum} sum = *b;
                    for (c = 0; c < s[1]; c++)
                        for (k = 0; k < s[5]; k++, u += s[6]) {{
                            const int row = i * s[9] - s[11] + k * s[13];
                            const {kind} *v;
                            if (row < 0 || row >= s[3])
                                continue;
                            v = x + (c * s[3] + row) * s[4];
                            for (l = 0; l < s[6]; l++) {{
                                const int column = j * s[10] - s[12] + l * s[14];
                                if (column >= 0 && column < s[4])
                                    sum += {factor} * v[column];
                            }}
                        }}
                    *y++ = {result};
                }}
}}
"""

CONV = Kernel(
    "conv",
    CONV_TEXT.format(
        what="", geometry=GEOMETRY, kind="float", weight="float", sum="float", next="",
        parameters="const float *b, ", factor="u[l]", result="sum",
    ),
    395,
    inside_bytes=185,
    stack_bytes=100,
)  # fmt: skip

LARGEST_TEXT = """\
/* Largest value of each window. s: channels, {geometry}. */
static void @@(const int16_t *s, const {kind} *x, {kind} *y)
{{
    int c, i, j, k, l;
    for (c = 0; c < s[0]; c++, x += s[1] * s[2])
        for (i = 0; i < s[5]; i++)
            for (j = 0; j < s[6]; j++) {{
                {kind} largest = {lowest};
                for (k = 0; k < s[3]; k++)
                    for (l = 0; l < s[4]; l++) {{
                        const int row = i * s[7] - s[9] + k * s[11];
                        const int column = j * s[8] - s[10] + l * s[12];
                        if (row >= 0 && row < s[1] && column >= 0 && column < s[2]) {{
                            const {kind} v = x[row * s[2] + column];
                            if (v > largest{or_nan})
                                largest = v;
                        }}
                    }}
                *y++ = largest;
            }}
}}
"""

LARGEST = Kernel(
    "largest",
    LARGEST_TEXT.format(geometry=GEOMETRY, kind="float", lowest="-HUGE_VALF", or_nan=" || v != v"),
    230,
    inside_bytes=160,
    stack_bytes=64,
)

#: Of numbers and of integers.
MEAN_TEXT = """\
/* Sum of each window, {what}. s: channels, {geometry}. */
static void @@(const int16_t *s, {parameters}, const {kind} *x, {kind} *y)
{{
    int c, i, j, k, l;
    for (c = 0; c < s[0]; c++, x += s[1] * s[2])
        for (i = 0; i < s[5]; i++)
            for (j = 0; j < s[6]; j++) {{
                {sum} sum = 0;
                for (k = 0; k < s[3]; k++)
                    for (l = 0; l < s[4]; l++) {{
                        const int row = i * s[7] - s[9] + k * s[11];
                        const int column = j * s[8] - s[10] + l * s[12];
                        if (row >= 0 && row < s[1] && column >= 0 && column < s[2])
                            sum += x[row * s[2] + column];
                    }}
                *y++ = {result};
            }}
}}
"""

MEAN = Kernel(
    "mean",
    MEAN_TEXT.format(
        what="times a factor", geometry=GEOMETRY, kind="float", sum="float",
        parameters="float factor", result="sum * factor",
    ),
    250,
    inside_bytes=95,
    stack_bytes=60,
)  # fmt: skip

#: Of numbers and of integers.
REDUCED_TEXT = """\
/* Sums of n values that stand m apart, {what}. */
static void @@({parameters}, int count, int n, int m, const {kind} *x, {kind} *y)
{{
    int i, j, k;
    for (i = 0; i < count; i++, x += n * m)
        for (k = 0; k < m; k++) {{
            {sum} sum = 0;
            for (j = 0; j < n; j++)
                sum += x[j * m + k];
            *y++ = {result};
        }}
}}
"""

REDUCED = Kernel(
    "reduced",
    REDUCED_TEXT.format(
        what="times a factor", kind="float", sum="float", parameters="float factor",
        result="sum * factor",
    ),
    110,
    inside_bytes=45,
    stack_bytes=44,
)  # fmt: skip

LARGEST_OF = Kernel(
    "largest_of",
    """\
/* Largest of n values that stand m apart. */
static void @@(int count, int n, int m, const float *x, float *y)
{
    int i, j, k;
    for (i = 0; i < count; i++, x += n * m)
        for (k = 0; k < m; k++) {
            float largest = x[k];
            for (j = 1; j < n; j++)
                if (x[j * m + k] > largest || x[j * m + k] != x[j * m + k])
                    largest = x[j * m + k];
            *y++ = largest;
        }
}
""",
    145,
    inside_bytes=85,
    stack_bytes=52,
)

_MOVE = """\
/* Elements to other places. s: sizes, distances in x, distances in y, four each. */
static void @@(const int32_t *s, const {kind} *x, {kind} *y)
{{
    int32_t i, j, k, l;
    for (i = 0; i < s[0]; i++)
        for (j = 0; j < s[1]; j++)
            for (k = 0; k < s[2]; k++)
                for (l = 0; l < s[3]; l++)
                    y[i * s[8] + j * s[9] + k * s[10] + l * s[11]] =
                        x[i * s[4] + j * s[5] + k * s[6] + l * s[7]];
}}
"""

_PICK = """\
/* Elements at places; 0 at places below 0. */
static void @@(const int16_t *places, int n, const {kind} *x, {kind} *y)
{{
    int i;
    for (i = 0; i < n; i++)
        y[i] = places[i] < 0 ? 0 : x[places[i]];
}}
"""

#: By the type of elements.
MOVE = {
    kind: Kernel(f"move{end}", _MOVE.format(kind=kind), 130, inside_bytes=42, stack_bytes=44)
    for kind, end in (("float", ""), ("int16_t", "16"))
}
PICK = {
    kind: Kernel(f"pick{end}", _PICK.format(kind=kind), 36)
    for kind, end in (("float", ""), ("int16_t", "16"))
}

SCALE_AXIS = Kernel(
    "scale_axis",
    """\
/* A factor and a constant for each of n channels of m values. */
static void @@(const float *factor, const float *constant, int count, int n, int m,
    const float *x, float *y)
{
    int i, j, k, at = 0;
    for (i = 0; i < count; i++)
        for (j = 0; j < n; j++)
            for (k = 0; k < m; k++, at++)
                y[at] = x[at] * factor[j] + constant[j];
}
""",
    105,
    inside_bytes=60,
    stack_bytes=52,
)

PRELU_AXIS = Kernel(
    "prelu_axis",
    """\
/* A slope below 0 for each of n channels of m values. */
static void @@(const float *slope, int n, int m, const float *x, float *y)
{
    int j, k, at = 0;
    for (j = 0; j < n; j++)
        for (k = 0; k < m; k++, at++)
            y[at] = x[at] < 0.0f ? x[at] * slope[j] : x[at];
}
""",
    90,
    inside_bytes=65,
    stack_bytes=44,
)

NORMALISE = Kernel(
    "normalise",
    """\
/* Parts of n values, each less its mean, by its standard deviation. */
static void @@(int count, int n, float epsilon, const float *x, float *y)
{
    int i, k;
    for (i = 0; i < count; i++, x += n, y += n) {
        float mean = 0.0f, square = 0.0f;
        for (k = 0; k < n; k++)
            mean += x[k];
        mean /= (float)n;
        for (k = 0; k < n; k++)
            square += (x[k] - mean) * (x[k] - mean);
        square = 1.0f / sqrtf(square / (float)n + epsilon);
        for (k = 0; k < n; k++)
            y[k] = (x[k] - mean) * square;
    }
}
""",
    180,
    library=("sqrtf",),
    stack_bytes=48,
)

ROOT_MEAN_SQUARE = Kernel(
    "root_mean_square",
    """\
/* Parts of n values, each by the root of its mean square. */
static void @@(int count, int n, float epsilon, const float *x, float *y)
{
    int i, k;
    for (i = 0; i < count; i++, x += n, y += n) {
        float square = 0.0f;
        for (k = 0; k < n; k++)
            square += x[k] * x[k];
        square = 1.0f / sqrtf(square / (float)n + epsilon);
        for (k = 0; k < n; k++)
            y[k] = x[k] * square;
    }
}
""",
    110,
    library=("sqrtf",),
    stack_bytes=48,
)

EMBED = Kernel(
    "embed",
    """\
/* A row of a table for each code; NaN for codes that have none. */
static void @@(const float *table, int n_rows, int m, int n, const float *x, float *y)
{
    int i, k;
    for (i = 0; i < n; i++)
        for (k = 0; k < m; k++)
            *y++ = x[i] >= 0.0f && x[i] < (float)n_rows ? table[(int)x[i] * m + k] : NAN;
}
""",
    115,
    stack_bytes=36,
)

LINEAR_ROWS = Kernel(
    "linear_rows",
    """\
/* The same weighted sums of each of several rows. */
static void @@(const float *w, const float *b, int count, int n, int m, const float *x, float *y)
{
    int i;
    for (i = 0; i < count; i++)
        @linear(w, b, n, m, x + i * n, y + i * m);
}
""",
    60,
    inside_bytes=25,
    needs=("linear",),
    stack_bytes=52,
)

#: Copies of elements, by their type.
COPY = {"float": KERNELS["copy"], "int16_t": Kernel(
    "copy16", KERNELS["copy"].text.replace("float", "int16_t").replace("numbers", "integers"), 20
)}  # fmt: skip
