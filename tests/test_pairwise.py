"""Parameters crossed pairwise: no pair is lost, and few tests are made."""

from __future__ import annotations

from itertools import combinations, product
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pairwise import all_pairs, pairwise


@given(st.lists(st.integers(1, 6), max_size=6))
def test_every_pair_of_values_comes_together(sizes):
    rows = all_pairs(sizes)
    assert all(len(row) == len(sizes) for row in rows)
    assert all(0 <= k < size for row in rows for k, size in zip(row, sizes, strict=True))
    for a, b in combinations(range(len(sizes)), 2):
        pairs = {(row[a], row[b]) for row in rows}
        assert pairs == set(product(range(sizes[a]), range(sizes[b])))
    for place, size in enumerate(sizes):
        assert {row[place] for row in rows} == set(range(size))
    assert len(set(rows)) == len(rows) <= prod(sizes)
    assert rows == all_pairs(sizes)


@pytest.mark.parametrize(
    ("sizes", "most"),
    [((3, 3), 9), ((2, 2, 2), 4), ((3, 6, 5, 4, 2), 33), ((2, 2, 2, 2, 2, 2, 2), 8)],
    ids=str,
)
def test_there_are_little_more_rows_than_the_longest_two_have_pairs(sizes, most):
    longest, second = sorted(sizes)[-1:-3:-1]
    assert longest * second <= len(all_pairs(sizes)) <= most


def test_of_one_parameter_and_of_none():
    assert all_pairs([3]) == [(0,), (1,), (2,)]
    assert all_pairs([]) == []


def test_a_test_is_given_values_by_name():
    mark = pairwise(kind={"a": 1, "b": 2}, dtype=(torch.float32, torch.float64), size=[1, None])
    names, rows = mark.args
    assert names == ("kind", "dtype", "size")
    assert set(rows) <= set(product("ab", (torch.float32, torch.float64), (1, None)))
    assert len(rows) == 4
    assert mark.kwargs["ids"](torch.float32) == "float32"
    assert mark.kwargs["ids"]("a") is None
