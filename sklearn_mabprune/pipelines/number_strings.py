"""Strings that are numbers, missing values or dates, as they stand in CSV files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Marks of missing values, in lower case: those of `pandas.read_csv`, and others of public data.
_MARKS = frozenset(
    {
        "", "?", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "#",
        "na", "n/a", "n.a.", "#na",
        "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "null", "none", "nil", "missing", "nat",
        "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "#value!", "#div/0!", "#ref!", "#num!",
        "#name?", "#null!",
    }
)  # fmt: skip

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_SEPARATOR = "[,'\u2019 \u00a0\u202f]"

# How numbers are written: pattern of one number, and what is deleted from it before `float`.
_PLAIN = "decimal points"
_COMMA = "decimal commas"
_THOUSANDS = "thousands separators"
_PATTERNS = {
    _PLAIN: re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}"),
    _COMMA: re.compile(
        rf"[+-]?(?:\d{{1,3}}(?:[. \u00a0\u202f'\u2019]\d{{3}})+|\d+)(?:,\d+{_EXPONENT})?"
    ),
    _THOUSANDS: re.compile(
        rf"[+-]?(?:\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?:\.\d*)?|\d{{1,3}}(?:\.\d+)?|\d+\.\d+|\d+)"
    ),
}
_DELETED: dict[str, Any] = {
    _PLAIN: str.maketrans("", ""),
    _COMMA: str.maketrans(",", ".", ". \u00a0\u202f'\u2019"),
    _THOUSANDS: str.maketrans("", "", ", \u00a0\u202f'\u2019"),
}

# A number with a unit before or after it: "12%", "$1,234.50", "EUR 3", "80 kg".
_CURRENCY = "[$\u20ac\u00a3\u00a5\u20b9]"
_WITH_UNIT = re.compile(
    rf"[+-]?(?:({_CURRENCY}) ?|([A-Z]{{3}}) )?[+-]?\d[\d.,' \u00a0\u202f\u2019]*?"
    rf"(?: ?(%|\u2030|\u00b0[CF]?|{_CURRENCY}|[A-Za-z]{{1,4}}[23]?))?"
)

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]m)?"
_DATE = re.compile(
    rf"(?:\d{{4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})|\d{{4}}-\d{{2}}|\d{{1,2}}/\d{{1,2}}/\d{{2}}"
    rf"|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{4}}|\d{{1,2}}[ .-]+{_MONTH}[ ,.-]+\d{{2,4}}"
    rf"|{_MONTH}[ .]+\d{{1,2}},? +\d{{4}})(?:[T ]+{_CLOCK} ?(?:z|utc|gmt|[+-]\d{{2}}:?\d{{2}})?)?"
    rf"|{_CLOCK}",
    re.IGNORECASE,
)

# Strings of which a column's kind is guessed before all are read.
_SAMPLE = 200


@dataclass(frozen=True)
class NumberStrings:
    """Distinct strings of a column, as numbers, marks of missing values, and others.

    Parameters
    ----------
    style : str
        How the numbers are written, as :func:`parse` takes it.
    numbers, marks, others : tuple of str
        A partition of the strings.
    is_certain : bool
        False if the strings have two readings: "1,234" is 1234 or 1.234.
    """

    style: str
    numbers: tuple[str, ...]
    marks: tuple[str, ...]
    others: tuple[str, ...]
    is_certain: bool

    @property
    def are_codes(self) -> bool:
        """Whether a number has leading zeros, as postal codes have."""
        return any(re.match(r"[+-]?0\d", value.strip()) for value in self.numbers)

    @property
    def have_fractions(self) -> bool:
        """Whether a number is written with a fraction or an exponent."""
        return any(not parse(value, self.style).is_integer() for value in self.numbers)


def sort_strings(strings: Sequence[str]) -> NumberStrings:
    """Sort distinct strings of a column into numbers, marks of missing values, and others."""
    marks = tuple(value for value in strings if is_mark(value))
    known = set(marks)
    rest = [value for value in strings if value not in known]
    style, is_certain = _PLAIN, True
    found = {name: _matching(name, rest[:_SAMPLE]) for name in _PATTERNS}
    if any(2 * len(values) >= len(rest[:_SAMPLE]) for values in found.values()):
        found = {name: _matching(name, rest) for name in _PATTERNS}
        style = max(found, key=lambda name: len(found[name]))
        is_certain = (
            style == _PLAIN
            or len(found[_COMMA]) != len(found[_THOUSANDS])
            or all(parse(value, _COMMA) == parse(value, _THOUSANDS) for value in found[style])
        )
    numbers = found[style]
    are_numbers = set(numbers)
    others = tuple(value for value in rest if value not in are_numbers)
    return NumberStrings(style, numbers, marks, others, is_certain)


def _matching(style: str, strings: Sequence[str]) -> tuple[str, ...]:
    """Those strings that are numbers in a style."""
    match = _PATTERNS[style].fullmatch
    return tuple(value for value in strings if match(value.strip()))


def is_mark(value: str) -> bool:
    """Whether a string marks a missing value among numbers: "?", "-", "N/A" and others."""
    return len(value) < 20 and value.strip().lower() in _MARKS


def parse(value: str, style: str = _PLAIN) -> float:
    """A string as a number.

    Raises
    ------
    ValueError
        If the string is not a number in this style.
    """
    value = value.strip()
    if not _PATTERNS[style].fullmatch(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value.translate(_DELETED[style]))


def unit_of(strings: Sequence[str]) -> str:
    """The unit that nine in ten strings have beside a number; empty if there is none."""
    found = [match for value in strings if (match := _WITH_UNIT.fullmatch(value.strip()))]
    units = {unit for match in found for unit in match.groups() if unit}
    return units.pop() if len(units) == 1 and 10 * len(found) >= 9 * len(strings) else ""


def are_dates(strings: Sequence[str]) -> bool:
    """Whether nine in ten distinct strings are dates or times of day."""
    present = [value for value in strings[:_SAMPLE] if not is_mark(value)]
    found = sum(_DATE.fullmatch(value.strip()) is not None for value in present)
    return bool(found) and 10 * found >= 9 * len(present)
