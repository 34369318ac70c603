"""Numbers, strings, comments and names in C source; none of them can leave its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Longest string that a C99 compiler has to accept, and of a name in a comment.
_MAX_STRING, _MAX_COMMENT = 4095, 60

_KEYWORDS = frozenset(
    {
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
        "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
        "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
        "union", "unsigned", "void", "volatile", "while",
    }
)  # fmt: skip

_WIDTH = 100


def number(value: Any) -> str:
    """A float32 constant: the fewest decimal digits that give the same float32 again.

    C compilers read decimal points whatever the locale.  NaN, a missing value, is that of math.h.

    Raises
    ------
    ValueError
        If the value is infinite in float32.
    """
    if np.isnan(value):
        return "NAN"
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not np.isfinite(single):
        raise ValueError(
            f"{float(value):.6g} is not a finite float32, in which the C form computes. Scale the "
            "features and targets, or clip the weights, and fit again."
        )
    text = str(single)
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def string(text: str) -> str:
    """A string constant of UTF-8 bytes, in ASCII; what is not plain is an octal escape.

    Raises
    ------
    ValueError
        If the string holds NUL, which ends strings in C, or is longer than C99 allows.
    """
    data = text.encode("utf-8", "surrogatepass")
    if 0 in data or len(data) > _MAX_STRING:
        what = "contains NUL, which ends a string" if 0 in data else f"has {len(data):,} bytes"
        raise ValueError(
            f"The name {text[:30]!r} {what}, and cannot be a string in C. Rename the class or "
            "category, and fit again."
        )
    # No question marks, two of which begin a trigraph.
    escaped = set(b'"\\?')
    quoted = [chr(b) if 32 <= b < 127 and b not in escaped else f"\\{b:03o}" for b in data]
    return f'"{"".join(quoted)}"'


def comment(text: str) -> str:
    """A name inside a comment: printable ASCII without the ends and beginnings of comments."""
    shown = "".join(c if " " <= c <= "~" and c not in "\\?" else "_" for c in text[:_MAX_COMMENT])
    shown = re.sub(r"[*/]{2,}", lambda found: " ".join(found.group()), shown)
    # What stands around it may begin or end with them.
    return re.sub(r"^/|/$|^\*|\*$", "_", shown) + ("..." if len(text) > _MAX_COMMENT else "")


def identifier(name: str) -> str:
    """A name as the beginning of identifiers: letters, digits and underscores.

    Raises
    ------
    ValueError
        If nothing of the name is left.
    """
    # Two underscores, or one and a capital, belong to the compiler.
    found = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]", "_", name)).strip("_")
    if not found:
        raise ValueError(f"name={name!r} holds neither letters nor digits. Pass name='model'.")
    if found[0].isdigit() or found in _KEYWORDS:
        found = f"model_{found}"
    return found


def array(kind: str, name: str, values: NDArray[Any]) -> str:
    """The definition of a constant array of float32 or integers."""
    if values.dtype.kind == "f":
        items: Iterable[str] = map(number, values.ravel())
    else:
        items = map(str, values.ravel().tolist())
    return f"static const {kind} {name}[{values.size}] = {{\n{wrapped(items)}\n}};\n"


def wrapped(items: Iterable[str]) -> str:
    """Items separated by commas, in lines of at most 100 characters."""
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH and line.strip():
            lines.append(line)
            line = "   "
        line += f" {item},"
    lines.append(line)
    return "\n".join(lines).removesuffix(",")
