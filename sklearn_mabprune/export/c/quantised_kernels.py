"""Functions of C programs that compute in integers, as C99 source."""

from __future__ import annotations

from .kernel import Kernel

#: By order of use in a network.
QUANTISED = (
    Kernel(
        "quantise",
        """\
/* Numbers as integers of 16 bits; what is beyond the limit becomes the limit. */
static void @@(const float *factor, int stride, float limit, int n, const float *x, int16_t *y)
{
    int i;
    for (i = 0; i < n; i++) {
        float v = x[i] * factor[i * stride];
        v = v < limit ? v : limit;
        v = v > -limit ? v : -limit;
        y[i] = (int16_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
    }
}
""",
        95,
    ),
    Kernel(
        "sum8",
        """\
/* A weighted sum in integers: it cannot overflow, because inputs have a limit. */
static int32_t @@(const int8_t *w, int32_t b, int n, const int16_t *x)
{
    int j;
    for (j = 0; j < n; j++)
        b += (int32_t)w[j] * x[j];
    return b;
}
""",
        29,
    ),
    Kernel(
        "linear8",
        """\
/* Weighted sums, times a factor of 31 bits, as integers of 16 bits within bounds. */
static void @@(const int8_t *w, const int32_t *b, const int32_t *factor, int shift, int low,
    int high, int n, int m, const int16_t *x, int16_t *y)
{
    int i;
    for (i = 0; i < m; i++) {
        int64_t v = (int64_t)@sum8(w + i * n, b[i], n, x) * factor[i];
        v = (v + ((int64_t)1 << (shift - 1))) >> shift;
        y[i] = (int16_t)(v < low ? low : (v > high ? high : v));
    }
}
""",
        90,
        needs=("sum8",),
        stack_bytes=30,
    ),
    Kernel(
        "rescaled",
        """\
/* A product, shifted, as an integer of 16 bits within bounds. */
static int16_t @@(int64_t v, int shift, int low, int high)
{
    v = (v + ((int64_t)1 << (shift - 1))) >> shift;
    return (int16_t)(v < low ? low : (v > high ? high : v));
}
""",
        0,  # counted in the functions that call it, each of which takes it in
    ),
    Kernel(
        "linear8_last",
        """\
/* Weighted sums as numbers. */
static void @@(const int8_t *w, const int32_t *b, const float *factor, int n, int m,
    const int16_t *x, float *y)
{
    int i;
    for (i = 0; i < m; i++)
        y[i] = (float)@sum8(w + i * n, b[i], n, x) * factor[i];
}
""",
        55,
        needs=("sum8",),
    ),
    Kernel(
        "lookup",
        """\
/* A function as a table of 257 entries, linear between them. */
static void @@(const int16_t *table, int n, int16_t *x)
{
    int i;
    for (i = 0; i < n; i++) {
        const int32_t v = (int32_t)x[i] + 32768;
        const int32_t low = table[v >> 8], high = table[(v >> 8) + 1];
        x[i] = (int16_t)(low + (((high - low) * (v & 255) + 128) >> 8));
    }
}
""",
        60,
    ),
)
