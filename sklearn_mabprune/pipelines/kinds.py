"""Kinds of table columns, numbers or categories, and their cells as floats or strings."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import PruningWarning
from ..utils.columns import (
    as_objects,
    distinct,
    has_date_dtype,
    has_numeric_dtype,
    is_container,
    is_date,
    is_number,
)
from ..utils.words import counted
from .number_strings import NumberStrings, are_dates, is_mark, parse, sort_strings, unit_of

#: Category of missing values.
MISSING = "missing"

# Strings of at most so many distinct numbers may be codes of categories.
_FEW = 20

# Of fewer values it is not known whether they are identifiers.
_LEAST_VALUES = 20
# Fraction of values that occur once: by Good and Turing as many of new ones are unknown.
_UNKNOWN = 0.95
# Most characters of a value in a message.
_SHOWN = 30


@dataclass(frozen=True)
class ColumnKind:
    """What ``fit`` found in a column.

    Parameters
    ----------
    is_number : bool
        Whether the column contains numbers; if not, it contains categories.
    style : str
        How numbers in strings are written.
    doubt : str
        What speaks for numbers in a column of categories; empty if nothing does.
    identifier : str
        Why the column is left out: nearly each sample has a value of its own.  Empty if not.
    """

    is_number: bool
    style: str = "decimal points"
    doubt: str = ""
    identifier: str = ""


def kind_of(name: Any, column: Any) -> ColumnKind:
    """The kind of a column in ``fit``.

    Parameters
    ----------
    name : str or int
        Name of the column, or its index in an array.
    column : Series or ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If cells are dates, times, complex numbers, or hold several values.
    """
    if has_numeric_dtype(column):
        return ColumnKind(True)
    if has_date_dtype(column):
        raise ValueError(_dates(name, ""))
    values, codes = _values(name, column)
    if any(map(is_date, values)):
        raise ValueError(_dates(name, ""))
    if any(isinstance(value, (complex, np.complexfloating)) for value in values):
        raise ValueError(
            f"Column {name!r} contains complex numbers. Pass their real and imaginary parts, or "
            "absolute values, as columns."
        )
    strings = [value for value in values if isinstance(value, str)]
    if strings and len(strings) == len(values) and are_dates(strings):
        raise ValueError(_dates(name, f" as strings such as {strings[0]!r}"))
    kind = _kind_of_objects(name, column, (values, codes), strings)
    if kind.is_number or kind.doubt:
        return kind
    return replace(kind, identifier=_identifier(name, values, codes))


def _kind_of_objects(
    name: Any, column: Any, found: tuple[list[Any], NDArray[np.intp]], strings: list[str]
) -> ColumnKind:
    """Kind of a column of objects, from its distinct values and codes."""
    values, codes = found
    if str(column.dtype).lower().startswith(("category", "categorical", "enum")):
        return ColumnKind(False)
    n_numbers = sum(map(is_number, values))
    if n_numbers + len(strings) < len(values) or not values:
        return ColumnKind(False)
    # Where 1 and True are one value, the value may be either.
    if {bool, np.bool_}.intersection(map(type, as_objects(column))):
        return ColumnKind(False)
    if not strings:
        return ColumnKind(True)
    return _kind_of_strings(name, sort_strings(strings), n_numbers, _counts(values, codes))


def _identifier(name: Any, values: list[Any], codes: NDArray[np.intp]) -> str:
    """A column of identifiers in words; empty for others."""
    counts = np.bincount(codes[codes >= 0], minlength=1).tolist()
    if not _nearly_all_once(counts):
        return ""
    n_values, n_missing = sum(counts), len(codes) - sum(counts)
    missing = f", {n_missing:,} are missing" if n_missing else ""
    text = str(values[0])
    shown = repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")
    return (
        f"{name!r} ({counts.count(1):,} of {n_values:,} values, such as {shown}, occur once"
        f"{missing})"
    )


def _nearly_all_once(counts: Collection[int]) -> bool:
    """Whether new samples have other values, from the number of cells of each value."""
    n_values = sum(counts)
    return n_values >= _LEAST_VALUES and list(counts).count(1) >= _UNKNOWN * n_values


def _counts(values: list[Any], codes: NDArray[np.intp]) -> dict[Any, int]:
    """Number of cells of each distinct value."""
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    return dict(zip(values, counts.tolist(), strict=True))


def _kind_of_strings(
    name: Any, found: NumberStrings, n_numbers: int, counts: dict[Any, int]
) -> ColumnKind:
    """Kind of a column of strings, or of numbers and strings.

    Parameters
    ----------
    name : str or int
    found : NumberStrings
        The distinct strings.
    n_numbers : int
        Number of distinct values that are numbers, not strings.
    counts : dict
        Number of cells of each distinct value.
    """
    n_distinct = n_numbers + len(found.numbers)
    unit = unit_of(found.others) if len(found.others) > max(_FEW, n_distinct) else ""
    if unit:
        return ColumnKind(
            False,
            doubt=f"{name!r} (numbers with {unit!r}, such as {found.others[0]!r}: remove it, with "
            f"X[{name!r}].str.replace({unit!r}, '', regex=False))",
        )
    if n_distinct == 0 or found.are_codes:
        return ColumnKind(False)
    is_number_like = n_numbers > 0 or (
        n_distinct > _FEW
        and (found.have_fractions or bool(found.marks) or _nearly_all_once(counts.values()))
    )
    if not found.others and found.is_certain and is_number_like:
        return ColumnKind(True, found.style)
    # Strings of integers that occur again are codes: whoever reads a file gets integers from it.
    is_silent = not (n_numbers or found.marks or found.others) and found.style == "decimal points"
    n_cells = sum(counts.values())
    not_numbers = [*found.others, *found.marks]
    n_others = sum(counts[value] for value in found.others)
    n_numeric = n_cells - sum(counts[value] for value in not_numbers)
    if is_silent or n_numeric < 0.8 * (n_numeric + n_others):
        return ColumnKind(False)
    also = f", others: {_some(not_numbers)}" if not_numbers else ""
    return ColumnKind(
        False,
        doubt=f"{name!r} ({n_numeric:,} of {n_cells:,} values are numbers{also}"
        f"{_readings(name, found)})",
    )


def _readings(name: Any, found: NumberStrings) -> str:
    """How commas are to be read, and by which call; `to_numeric` would read none of them."""
    example = next((value for value in found.numbers if "," in value), "")
    if not example or found.style == "decimal points":
        return "" if found.is_certain else f", {found.numbers[0]!r} has two readings"
    without, points = (f"X[{name!r}].str.replace(',', {by!r})" for by in ("", "."))
    if not found.is_certain:
        return f", {example!r} has two readings: {without} if commas group digits, else {points}"
    return f": {points if found.style == 'decimal commas' else without}"


def warn_of_doubts(kinds: Iterable[ColumnKind]) -> None:
    """Warn once of all columns of categories that may be numbers."""
    doubts = [kind.doubt for kind in kinds if kind.doubt]
    if doubts:
        warnings.warn(
            f"Columns are encoded as categories that may be numbers: {'; '.join(doubts)}. Then "
            "pandas.to_numeric(X[name], errors='coerce') makes numbers of them, and of all other "
            "values missing ones. Convert codes of categories with X[name].astype('category').",
            PruningWarning,
            stacklevel=4,
        )


def warn_of_identifiers(kinds: Iterable[ColumnKind]) -> None:
    """Warn once of all columns that are left out, as identifiers are.

    Raises
    ------
    ValueError
        If there are no others.
    """
    kinds = list(kinds)
    found = [kind.identifier for kind in kinds if kind.identifier]
    if not found:
        return
    what = f"in which nearly all values occur once: {'; '.join(found)}"
    way_out = (
        "Of names and texts make features, such as a length, the first letters, whether there is a "
        "value, or words (TfidfVectorizer)."
    )
    if len(found) == len(kinds):
        raise ValueError(f"X has only columns {what}. Nothing is known of new values. {way_out}")
    warnings.warn(
        f"Columns are left out {what}. They are identifiers: nothing is known of new values. Drop "
        f"them before fit. {way_out}",
        PruningWarning,
        stacklevel=4,
    )


def read_numbers(name: Any, column: Any, style: str) -> Any:
    """A column of numbers as floats, with NaN for missing values.

    Parameters
    ----------
    name : str or int
        Name of the column, or its index in an array.
    column : Series or ndarray of shape (n_samples,)
    style : str
        How numbers in strings are written.

    Returns
    -------
    Series or ndarray of shape (n_samples,)
        The column itself if its dtype is one of NumPy's numeric ones.

    Raises
    ------
    ValueError
        If a cell is infinite or not a number.
    """
    numbers = column
    if not has_numeric_dtype(column):
        numbers = _parsed(name, column, style)
    elif not isinstance(column.dtype, np.dtype):
        single = str(column.dtype).lower().startswith("float32")
        dtype = np.float32 if single else np.float64
        if hasattr(column.dtype, "is_numeric"):  # polars: null becomes NaN
            numbers = column.to_numpy().astype(dtype)
        else:
            numbers = column.to_numpy(dtype=dtype, na_value=np.nan)
    if numbers.dtype.kind == "f":
        infinite = np.isinf(np.asarray(numbers))
        if infinite.any():
            raise ValueError(
                f"Input X contains infinity in column {name!r} ({int(infinite.sum()):,} of "
                f"{counted(len(infinite), 'value')}). Replace it by a number of at most 1e308, or "
                "by NaN, which is imputed."
            )
    return numbers


def _parsed(name: Any, column: Any, style: str) -> NDArray[np.float64]:
    """Cells of objects, strings or booleans as floats."""
    values, codes = _values(name, column)
    if has_date_dtype(column) and values:
        raise ValueError(_dates(name, ""))
    numbers = np.full(len(values) + 1, np.nan)  # the last one for missing values, of code -1
    others = []
    for k, value in enumerate(values):
        try:
            if not isinstance(value, str):
                numbers[k] = float(value)
            elif not is_mark(value):
                numbers[k] = parse(value, style)
        except OverflowError:
            numbers[k] = np.inf  # refused as too large
        except (TypeError, ValueError):
            others.append(value)
    if others:
        count = _counts(values, codes)
        raise ValueError(
            f"Column {name!r} contained numbers (or only missing values) in fit, but "
            f"now other values in {sum(count[value] for value in others):,} of "
            f"{counted(len(codes), 'cell')}: {_some(others)}. Convert them to numbers, or to "
            "NaN, which is imputed."
        )
    return numbers[codes]


def read_categories(name: Any, column: Any) -> tuple[NDArray[np.object_], list[str]]:
    """A column of categories as strings, and the distinct ones.

    Equal numbers are the same string: 1, 1.0 and True are "1".  Missing values are "missing",
    which the distinct ones do not contain.

    Raises
    ------
    ValueError
        If a cell holds several values, or is a date.
    """
    values, codes = _values(name, column)
    if any(map(is_date, values)):
        raise ValueError(_dates(name, ""))
    strings = [category(value) for value in values]
    return np.array([*strings, MISSING], dtype=object)[codes], strings


def category(value: Any) -> str:
    """A value as the name of a category; equal numbers have the same name."""
    if isinstance(value, str):
        return str(value)
    if not (is_number(value) or isinstance(value, (bool, np.bool_))):
        return str(value)
    if isinstance(value, (Integral, np.bool_)) or float(value).is_integer():
        return str(int(value))
    return str(float(value))


def _values(name: Any, column: Any) -> tuple[list[Any], NDArray[np.intp]]:
    """Distinct values and codes; refuses cells that hold several values, by the column's name."""
    several = None
    try:
        values, codes = distinct(column)
        several = next(filter(is_container, values), None)
    except TypeError:
        several = next(filter(is_container, as_objects(column)), None)
        if several is None:
            raise
    if several is not None:
        raise ValueError(
            f"Column {name!r} contains cells of type {type(several).__name__}, each of which holds "
            "several values. Convert them to one column per value, such as "
            "pandas.DataFrame(X[name].tolist())."
        )
    return values, codes


def _dates(name: Any, form: str) -> str:
    """The message for a column of dates."""
    return (
        f"X contains dates or times in {name!r}{form}, which cannot be encoded as categories: "
        "later dates would be unknown. Replace them by numbers, such as the month, the hour, or "
        "the days since a first date."
    )


def _some(values: Iterable[Any]) -> str:
    """The first three values, quoted and short."""
    shown = list(values)
    more = f" and {len(shown) - 3:,} more" if len(shown) > 3 else ""
    return ", ".join(repr(value)[:30] for value in shown[:3]) + more
