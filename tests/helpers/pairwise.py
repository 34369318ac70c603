"""Parameters crossed pairwise: every two values meet in some test, not every three."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
import torch


def all_pairs(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows of indices in which any two values of any two parameters come together.

    Greedy, and always the same: a row starts with the first pair that is missing, and each other
    parameter then takes the value that brings most missing pairs with it, of these the one that
    was taken least.

    Parameters
    ----------
    sizes : sequence of int
        How many values each parameter has.
    """
    if len(sizes) < 2:
        return [(k,) for size in sizes for k in range(size)]
    # An ordered set: the first pair decides how a row starts.
    missing = dict.fromkeys(
        ((a, i), (b, j))
        for a, b in combinations(range(len(sizes)), 2)
        for i in range(sizes[a])
        for j in range(sizes[b])
    )
    taken = [[0] * size for size in sizes]
    rows = []
    while missing:
        row = dict(next(iter(missing)))
        # Parameters of many values have the fewest rows to spare.
        for parameter in sorted(set(range(len(sizes))) - set(row), key=lambda p: -sizes[p]):

            def gain(value: int, parameter: int = parameter, row: dict = row) -> tuple[int, int]:
                brought = sum(
                    tuple(sorted([(parameter, value), other])) in missing for other in row.items()
                )
                return brought, -taken[parameter][value]

            row[parameter] = max(range(sizes[parameter]), key=gain)
        for pair in combinations(sorted(row.items()), 2):
            missing.pop(pair, None)
        for parameter, value in row.items():
            taken[parameter][value] += 1
        rows.append(tuple(row[p] for p in range(len(sizes))))
    return rows


def pairwise(**values: Any) -> pytest.MarkDecorator:
    """Parametrize a test by several parameters, each with its values, crossed pairwise.

    In place of three and more ``pytest.mark.parametrize``, whose product grows with each of them.
    """
    lists = [list(each) for each in values.values()]
    rows = [
        tuple(each[k] for each, k in zip(lists, row, strict=True))
        for row in all_pairs([len(each) for each in lists])
    ]
    return pytest.mark.parametrize(tuple(values), rows, ids=_name)


def _name(value: Any) -> str | None:
    """Types of torch by their own names; pytest has names for all others."""
    return str(value).removeprefix("torch.") if isinstance(value, torch.dtype) else None
