"""Records written and read by their declared types."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Generic, TypeVar

import numpy as np
import pytest
from same_values import assert_same

from sklearn_mabprune.export.files import records
from sklearn_mabprune.export.files.records import record_from_plain, record_to_plain


@dataclass
class Inner:
    number: int
    share: float | None = None


@dataclass
class Record:
    flags: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    several: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]
    pairs: tuple[tuple[int, str], ...]
    inner: Inner
    named: dict[str, float]
    small: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]
    kept: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def test_records_come_back_by_their_declared_types():
    record = Record(
        np.array([True, False]),
        [np.array([1.0, np.nan]), np.zeros((0, 2))],
        ((1, "a"), (2, "b")),
        Inner(3, np.inf),
        {"x": 0.5, "y": -np.inf},
        np.array([[3, 255]], dtype=np.uint8),
        {0: np.zeros(2, np.float32), 12: np.ones(2, np.float32)},
    )
    tensors = {}
    plain = json.loads(json.dumps(record_to_plain(record, Record, "r", tensors), allow_nan=False))
    assert set(tensors) == {"r.flags", "r.several", "r.small", "r.kept.0", "r.kept.12"}
    found = record_from_plain(plain, Record, "r", tensors)
    assert_same(found, record)
    assert tensors == {}
    assert asdict(found)["inner"] == {"number": 3, "share": np.inf}


def test_a_list_of_no_arrays_comes_back():
    record = Record(np.array([True]), [], (), Inner(1), {}, np.zeros(0, np.uint8), {})
    tensors = {}
    plain = record_to_plain(record, Record, "r", tensors)
    assert_same(record_from_plain(plain, Record, "r", tensors), record)


def test_a_field_that_came_later_takes_its_default():
    assert record_from_plain({"number": 3}, Inner, "r", {}) == Inner(3)


def test_a_declared_type_that_cannot_be_written_is_refused():
    @dataclass
    class Odd:
        what: set

    with pytest.raises(TypeError, match=r"r\.what is declared as"):
        record_to_plain(Odd({1}), Odd, "r", {})


Scalar = TypeVar("Scalar")


class Alias(Generic[Scalar]):
    """What NumPy 2.5 makes of NDArray: an alias that is not taken apart by itself."""


def test_arrays_of_the_alias_of_newer_numpy(monkeypatch):
    monkeypatch.setattr(records, "NDArray", Alias)
    for value, hint in (
        (np.arange(3), Alias[np.int64]),
        ([np.zeros((2, 1)), np.ones(3)], list[Alias[np.float64]]),
    ):
        tensors = {}
        data = record_to_plain(value, hint, "it", tensors)
        assert_same(record_from_plain(data, hint, "it", dict(tensors)), value)
        assert set(tensors) == {"it"}
    with pytest.raises(ValueError, match="it is an array of float64, not of int64"):
        record_to_plain(np.zeros(2), Alias[np.int64], "it", {})
