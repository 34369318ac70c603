"""Values compared in kind as well, and what becomes of them in a file."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
from skorch.dataset import ValidSplit

from sklearn_mabprune.export.files.parameters import from_plain, to_plain

#: The attributes of a path that its outline has.
OUTLINE = ("n_neurons", "n_parameters", "n_macs", "layer_sizes", "removed")


def outputs(model, X):
    """Probabilities where there are classes, otherwise values."""
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)


def assert_same(one, other):
    """Equal in value and in kind, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif hasattr(one, "__dataclass_fields__"):
        # What at_budget starts from is not in a file.
        for part in {part.name for part in fields(one)} - {"resume"}:
            assert_same(getattr(one, part), getattr(other, part))
    elif hasattr(one, "get_params"):
        assert_same(one.get_params(deep=False), other.get_params(deep=False))
    elif isinstance(one, ValidSplit):
        assert vars(one) == vars(other)
    elif isinstance(one, float):
        assert one == other or (np.isnan(one) and np.isnan(other))
    else:
        assert one == other


def through_json(value, name="x"):
    """What comes of a value that is written and read."""
    return from_plain(json.loads(json.dumps(to_plain(value, name), allow_nan=False)), name)
