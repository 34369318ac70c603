"""Fits that several files of tests read and none changes."""

from __future__ import annotations

import pytest
from user_nets import fitted


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Fits to compare with need not train again."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def trained(cache):
    """A classifier with rounds of two neurons, and its table."""
    return fitted("classifier", pruning_budget=0.6, step=2, memory=cache, pull_batch_size=25)
