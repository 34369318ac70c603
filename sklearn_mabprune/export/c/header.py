"""A C program as a header: comments, constants, functions, and a main that tests it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from .literals import comment, identifier, number, string, wrapped
from .program import Program

#: Names of features that the comment lists, at most.
_MAX_NAMES = 200


@dataclass(frozen=True)
class SelfTest:
    """Samples as the C function reads them, and what it should return.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_inputs)
    expected : ndarray of shape (n_samples, n_outputs)
    allowed : ndarray of shape (n_samples, n_outputs)
        Largest difference that is rounding.
    """

    samples: NDArray[Any]
    expected: NDArray[Any]
    allowed: NDArray[Any]


@dataclass(frozen=True)
class Interface:
    """What a caller of the C functions has to know.

    Parameters
    ----------
    name : str
        Beginning of all names in the header.
    title : str
        What was exported.
    n_outputs : int
    classes : list of int or str, or None
        Labels of a classifier; None for a regressor.
    multilabel : bool
    features : list of str
        A line of the comment for each feature; empty if they have no names.
    categories : list of (int, dict of str to int)
        Columns of categories, with the code of each string.
    notes : list of str
        Further lines of the comment.
    """

    name: str
    title: str
    n_outputs: int
    classes: list[Any] | None = None
    multilabel: bool = False
    features: list[str] = field(default_factory=list)
    categories: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Size:
    """Sizes of a C program; code and stack are estimates for a 32-bit processor and ``-Os``.

    Parameters
    ----------
    flash : int
        Bytes of constants and machine code, without the functions of math.h.
    ram : int
        Bytes of the stack, and of static memory.
    macs : int
        Multiply-accumulate operations per sample.
    """

    flash: int
    ram: int
    macs: int

    @classmethod
    def of(cls, program: Program) -> Size:
        """The size of a program, estimated."""
        flash = program.constant_bytes + program.code_bytes + _CODE
        return cls(flash, program.work_bytes + program.stack_bytes, program.macs)


#: Bytes of the code that calls the functions.
_CODE = 60


def header(program: Program, interface: Interface, test: SelfTest | None = None) -> str:
    """The text of the header.

    Parameters
    ----------
    program : Program
    interface : Interface
    test : SelfTest, optional
        Makes a ``main`` that is compiled if ``NAME_TEST`` is defined.

    Returns
    -------
    str
        C99, ASCII.
    """
    name = identifier(interface.name)
    upper = name.upper()
    lines = [
        *_top(program, interface, name),
        f"#ifndef {upper}_H",
        f"#define {upper}_H",
        "",
        "#include <math.h>",
        *(["#include <stdint.h>", ""] if _uses_integers(program) else [""]),
        f"#define {upper}_N_FEATURES {program.n_inputs}",
        f"#define {upper}_N_OUTPUTS {interface.n_outputs}",
        "",
        *program.definitions(),
        *_functions(program, interface, upper),
        *(_main(test, interface, upper) if test else []),
        f"#endif /* {upper}_H */",
        "",
    ]
    return "\n".join(lines).replace("@", f"{name}_").replace(_AT, "@")


#: Stands for a "@" that is part of a string or comment.
_AT = "\0"


def _safe(text: str) -> str:
    return text.replace("@", _AT)


def _uses_integers(program: Program) -> bool:
    return any("int16_t" in part or "int32_t" in part for part in program.definitions())


def _top(program: Program, interface: Interface, name: str) -> Iterator[str]:
    """The comment at the top."""
    size, upper = Size.of(program), name.upper()
    yield f"/* {_safe(comment(interface.title))}, written by sklearn-mabprune."
    yield " *"
    called = "@predict_proba" if interface.classes is not None else "@predict"
    library = f"; {', '.join(program.library)} of math.h come on top" if program.library else ""
    yield f" * Flash: about {size.flash:,} bytes, of which {program.constant_bytes:,} are constants"
    yield f" *   (code for a 32-bit processor, compiled for size{library})."
    if program.static:
        yield f" * RAM: about {size.ram:,} bytes, of which {program.work_bytes:,} are static"
        yield " *   (one call at a time). Nothing is allocated."
    else:
        yield f" * RAM: about {size.ram:,} bytes, on the stack. Nothing is allocated or kept."
    yield f" * Multiply-accumulate operations per sample: {size.macs:,}."
    yield " *"
    yield f" *   float x[{upper}_N_FEATURES], out[{upper}_N_OUTPUTS];"
    yield f" *   {called}(x, out);"
    if interface.classes is not None and not interface.multilabel:
        yield " *   int k = @predict(x);   the most probable class: its label is @label(k)"
    if interface.multilabel:
        yield " *   unsigned char labels[" + f"{upper}_N_OUTPUTS];"
        yield " *   @predict(x, labels);   1 for each label with a probability above 0.5"
    yield " *"
    yield " * No input is checked: NaN where there is no imputer gives NaN. Link with -lm."
    for note in interface.notes:
        yield f" * {_safe(note)}"
    if interface.features:
        yield " *"
        yield " * Features:"
        for k, feature in enumerate(interface.features[:_MAX_NAMES]):
            yield f" *   x[{k}]  {_safe(feature)}"
        if len(interface.features) > _MAX_NAMES:
            yield f" *   and {len(interface.features) - _MAX_NAMES:,} more."
    yield " */"


def _functions(program: Program, interface: Interface, upper: str) -> Iterator[str]:
    """The functions that are called from outside."""
    if interface.classes is None:
        yield "/* Values in the units of the targets. */"
        yield "static inline void @predict(const float *x, float *out)"
    else:
        yield "/* Probabilities of the classes. */"
        yield "static inline void @predict_proba(const float *x, float *out)"
    yield from ["{", *program.body(), "}", ""]
    if interface.multilabel:
        yield _MULTILABEL.replace("N_OUTPUTS", f"{upper}_N_OUTPUTS")
    elif interface.classes is not None:
        yield _MOST_PROBABLE.replace("N_OUTPUTS", f"{upper}_N_OUTPUTS")
        yield from _labels(interface.classes)
    if interface.categories:
        yield from _codes(interface.categories)


_MULTILABEL = """\
/* 1 for each label with a probability above 0.5, else 0. */
static inline void @predict(const float *x, unsigned char *labels)
{
    float out[N_OUTPUTS];
    int k;
    @predict_proba(x, out);
    for (k = 0; k < N_OUTPUTS; k++)
        labels[k] = out[k] > 0.5f;
}
"""

_MOST_PROBABLE = """\
/* The most probable class, as a position in the probabilities. */
static inline int @predict(const float *x)
{
    float out[N_OUTPUTS];
    int k, best = 0;
    @predict_proba(x, out);
    for (k = 1; k < N_OUTPUTS; k++)
        if (out[k] > out[best])
            best = k;
    return best;
}
"""


def _labels(classes: list[Any]) -> Iterator[str]:
    """The function that returns the label of a class."""
    are_strings = all(isinstance(label, str) for label in classes)
    if are_strings:
        kind, items = "const char *", [_safe(string(label)) for label in classes]
    else:
        kind, items = "long long ", [str(int(label)) for label in classes]
        # The lowest integer has no constant of its own in C.
        items = ["-9223372036854775807 - 1" if int(i) == -(2**63) else f"{i}LL" for i in items]
    pointer = "const " if are_strings else ""
    yield "/* The label of class k. */"
    yield f"static inline {kind}@label(int k)"
    yield "{"
    opening = f"static {kind}{pointer}" if are_strings else f"static const {kind}"
    yield f"    {opening}labels[{len(items)}] = {{\n{wrapped(items)}\n    }};"
    yield from ["    return labels[k];", "}", ""]


def _codes(categories: list[tuple[int, dict[str, int]]]) -> Iterator[str]:
    """The function that returns the code of a category."""
    names, codes, columns = [], [], []
    for column, known in categories:
        names += [_safe(string(text)) for text in known]
        codes += [str(code) for code in known.values()]
        columns += [str(column)] * len(known)
    n = len(names)
    yield "/* The number that stands for a category in x[column]; -1 if the category is unknown. */"
    yield "static inline float @code(int column, const char *category)"
    yield "{"
    yield f"    static const char *const names[{n}] = {{\n{wrapped(names)}\n    }};"
    yield f"    static const int columns[{n}] = {{\n{wrapped(columns)}\n    }};"
    yield f"    static const int codes[{n}] = {{\n{wrapped(codes)}\n    }};"
    yield f"""\
    int i, k;
    for (i = 0; i < {n}; i++) {{
        if (columns[i] != column)
            continue;
        for (k = 0; names[i][k] != 0 && names[i][k] == category[k]; k++)
            ;
        if (names[i][k] == category[k])
            return (float)codes[i];
    }}
    return -1.0f;
}}
"""


def _main(test: SelfTest, interface: Interface, upper: str) -> Iterator[str]:
    """The self-test."""
    n = len(test.samples)
    # Where the header is compiled alone, compilers warn of functions that nothing uses.
    others = ["predict"] if interface.classes is not None else []
    others += ["label"] if others and not interface.multilabel else []
    others += ["code"] if interface.categories else []
    unused = "".join(f"    (void)@{other};\n" for other in others)
    function = "predict" if interface.classes is None else "predict_proba"
    yield f"#ifdef {upper}_TEST"
    yield f"/* cc -std=c99 -D{upper}_TEST -x c {comment(interface.name)}.h -lm && ./a.out */"
    yield "#include <stdio.h>"
    yield ""
    yield "int main(void)"
    yield "{"
    for name, values in (
        ("samples", test.samples), ("expected", test.expected), ("allowed", test.allowed)
    ):  # fmt: skip
        items = wrapped(map(number, values.ravel()))
        yield f"    static const float {name}[{values.size}] = {{\n{items}\n    }};"
    yield f"""\
    float out[{upper}_N_OUTPUTS], largest = 0.0f;
    int i, k, wrong = 0;
{unused}    for (i = 0; i < {n}; i++) {{
        @{function}(samples + i * {upper}_N_FEATURES, out);
        for (k = 0; k < {upper}_N_OUTPUTS; k++) {{
            const int at = i * {upper}_N_OUTPUTS + k;
            const float difference = fabsf(out[k] - expected[at]);
            if (!(difference <= allowed[at]))
                wrong++;
            if (difference > largest)
                largest = difference;
        }}
    }}
    printf("{n} samples, {interface.n_outputs} outputs each: %d wrong, largest difference %g\\n",
           wrong, (double)largest);
    return wrong != 0;
}}
#endif
"""
