"""Walks that go on from what an earlier one knew."""

from __future__ import annotations

import pickle

import pytest
from builders import known_of, removed, walk

from sklearn_mabprune.criteria import CRITERIA
from sklearn_mabprune.policies import Thompson


@pytest.mark.parametrize("chooser", [Thompson(), CRITERIA["random"]()], ids=("policy", "criterion"))
def test_what_is_known_serves_twice(chooser):
    """A walk that goes on from a state leaves it as it was."""
    known = known_of(walk(chooser, 0.5))
    before = pickle.dumps(known.states)
    first = walk(chooser, 0.8, known=known)
    assert pickle.dumps(known.states) == before
    second = walk(chooser, 0.8, known=known)
    assert first.n_replayed == second.n_replayed > 0
    whole = walk(chooser, 0.8)
    assert removed(first) == removed(second) == removed(whole)
    assert [step.n_pulls for step in first.steps] == [step.n_pulls for step in whole.steps]
