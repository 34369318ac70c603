"""Fits come out as the committed golden file has them; see tests/helpers/golden.py."""

from __future__ import annotations

import numpy as np
import pytest
from golden import read
from golden_adapter import CASES, run

GOLDEN = read()
#: Estimates of float32 fits that are closer than this may change places within a round.
NEAR = 1e-6


def assert_same_order(found, expected, increases):
    """The same units in the same rounds; within one, only near ties may change places."""
    assert [sorted(units) for units in found] == [sorted(units) for units in expected]
    for now, before, increase in zip(found, expected, increases, strict=True):
        if now == before:
            continue
        assert increase, "the order of a criterion has no estimates that could tie"
        place = {unit: k for k, unit in enumerate(now)}
        for i, first in enumerate(before):
            for j in range(i + 1, len(before)):
                swapped = place[before[j]] < place[first]
                assert not swapped or abs(increase[j] - increase[i]) < NEAR, (now, before)


@pytest.mark.parametrize("case", CASES)
def test_fit_is_that_of_the_golden_file(case):
    found, expected = run(case), GOLDEN[case]
    assert found.keys() == expected.keys()
    for name in ("float64", "sizes", "kept", "pulls"):
        assert found[name] == expected[name], name
    if expected["float64"]:
        assert found["removed"] == expected["removed"]
    else:
        assert_same_order(found["removed"], expected["removed"], expected["loss_increase"])
    tolerance = 1e-9 if expected["float64"] else 1e-5
    for name in ("predictions", "scores"):
        if name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance)
    assert found.get("budget") == expected.get("budget")


def test_cases_are_those_of_the_golden_file():
    assert list(GOLDEN) == list(CASES)
    assert len(CASES) >= 20
    kinds = [record["float64"] for record in GOLDEN.values()]
    assert kinds.count(False) >= 6
    assert kinds.count(True) >= 12
    # every fit removes units, and predicts for 20 samples
    assert all(sum(map(len, record["removed"])) > 0 for record in GOLDEN.values())
    assert {len(record["predictions"]) for record in GOLDEN.values()} == {20}


def test_only_near_ties_change_places():
    before, increase = [[3, 1, 2], [5]], [[0.1, 0.1 + 5e-7, 0.2], [0.3]]
    assert_same_order([[1, 3, 2], [5]], before, increase)
    for other in ([[3, 2, 1], [5]], [[3, 1, 5], [2]], [[3, 1], [2, 5]]):
        with pytest.raises(AssertionError):
            assert_same_order(other, before, increase)
