"""The C forms of scikit-learn's encoders of categories."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.c.program import Vector
from ..utils.columns import is_missing
from .c_tables import Table, refused
from .categories import one_hot_columns, written_forms
from .kinds import MISSING
from .table_columns import CategoryEncoder

#: Position of categories for which Python raises an error: all outputs are NaN.
_ERROR = -2


@dataclass(frozen=True)
class _Lookup:
    """What stands for each category of a column.

    Parameters
    ----------
    keys : list of float or None
        The categories, if they are numbers; None: they are strings, and `values` stand in the
        order of their codes.
    values : list of float
    missing : float
        Of a missing value.
    """

    keys: list[float] | None
    values: list[float]
    missing: float


def write_one_hot(table: Table, part: Any, into: Vector | None) -> Table:
    """Add the calls of a OneHotEncoder."""
    program, columns = table.program, one_hot_columns(part)
    output = into or Vector(sum(found.width for found in columns))
    first = 0
    for k, found in enumerate(columns):
        if found.width == 0:
            continue
        x, y = table.column(k), output.part(first, found.width)
        first += found.width
        unknown = _ERROR if part.handle_unknown == "error" else found.unknown
        lookup = _lookup(table, part, k, found.columns, unknown)
        index = program.constant("positions", lookup.values, "int16_t")
        n, missing = len(lookup.values), int(lookup.missing)
        if lookup.keys is None:
            program.call("one_hot_code", index, n, found.width, unknown, missing, x, y)
        else:
            known = program.constant("known", lookup.keys)
            program.call("one_hot", known, index, n, found.width, unknown, missing, x, y)
    return table.of(output, binary=(True,) * output.size)


def write_ordinal(table: Table, part: Any, into: Vector | None) -> Table:
    """Add the calls of an OrdinalEncoder."""
    program = table.program
    output = into or Vector(len(part.categories_))
    unknown = float(part.unknown_value) if part.handle_unknown != "error" else np.nan
    for k, values in enumerate(_ordinal_values(part)):
        x, y = table.column(k), output.part(k, 1)
        lookup = _lookup(table, part, k, values, unknown)
        numbers = program.constant("values", lookup.values)
        n = len(lookup.values)
        if lookup.keys is None:
            program.call("ordinal_code", numbers, n, unknown, lookup.missing, x, y)
        else:
            known = program.constant("known", lookup.keys)
            program.call("ordinal", known, numbers, n, unknown, lookup.missing, x, y)
    return table.of(output)


def _ordinal_values(encoder: Any) -> Iterator[NDArray[Any]]:
    """What an OrdinalEncoder makes of the categories of each column."""
    for k, categories in enumerate(encoder.categories_):
        samples = np.empty((len(categories), len(encoder.categories_)), dtype=object)
        for j, others in enumerate(encoder.categories_):
            samples[:, j] = others[0]
        samples[:, k] = categories
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            yield np.asarray(encoder.transform(samples))[:, k]


def _lookup(table: Table, encoder: Any, k: int, values: NDArray[Any], unknown: float) -> _Lookup:
    """What an encoder makes of the categories of column `k`.

    Parameters
    ----------
    table : Table
        Input of the encoder.
    encoder : OneHotEncoder or OrdinalEncoder
    k : int
    values : ndarray of shape (n_categories,)
        What the encoder makes of each of its categories.
    unknown : float
        What it makes of all others.
    """
    categories = encoder.categories_[k].tolist()
    by_category = dict(zip(categories, map(float, values), strict=True))
    missing = next((v for category, v in by_category.items() if is_missing(category)), unknown)
    present = {category: v for category, v in by_category.items() if not is_missing(category)}
    if all(isinstance(category, str) for category in present):
        origin = table.origins[k]
        if origin is None:
            raise refused(encoder, "it reads strings that another step has computed")
        codes = {category: table.inputs.code(origin, category) for category in present}
        if codes:
            known = table.inputs.codes[origin]
            table.inputs.codes[origin] = written_forms(encoder, known)
        by_code = [float(unknown)] * (max(codes.values(), default=-1) + 1)
        for category, code in codes.items():
            by_code[code] = present[category]
        # In the tables of make_tabular_pipeline missing values are a category of that name.
        if isinstance(encoder, CategoryEncoder):
            missing = present.get(MISSING, missing)
        return _Lookup(None, by_code or [float(unknown)], missing)
    try:
        keys = [float(category) for category in present]
    except (TypeError, ValueError):
        shown = ", ".join(map(repr, list(present)[:3]))
        raise refused(
            encoder, f"the categories {shown} of column {k} are neither all numbers nor all strings"
        ) from None
    narrow = np.asarray(keys, dtype=np.float32)
    if len(set(narrow.tolist())) < len(keys):
        raise refused(encoder, f"categories of column {k} are equal in float32")
    return _Lookup(keys, list(present.values()), missing)
