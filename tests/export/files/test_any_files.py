"""Anything at all, anywhere in a file: it is refused, or it can be used."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from saved_files import DELETED, set_in, several

from sklearn_mabprune import ModelFileError, load
from sklearn_mabprune.export.files.container import write_file

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["inf", "float64", "Linear", "MSELoss", 10**30, -1]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["object", "parameters", "class", "tuple", "dict", "float", "dtype"])
        | st.text(max_size=5),
        inner,
        max_size=3,
    ),
    max_leaves=5,
)  # fmt: skip


def places(content, here=()):
    """Every place in nested lists and records."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        yield (*here, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*here, key))


def usable_or_refused(saved, path):
    """Either the file is refused, or what comes of it predicts: never another error."""
    try:
        loaded = load(path)
    except ModelFileError:
        return
    X = np.asarray(saved.X)
    if hasattr(loaded, "feature_names_in_"):
        X = pd.DataFrame(X, columns=loaded.feature_names_in_)
    assert len(loaded.predict(X)) == len(X)
    assert "neurons removed" in str(loaded.pruning_report_)
    loaded.to_torch()


@pytest.mark.slow
@several
@given(data=st.data())
def test_any_description_is_refused_or_usable(either, tmp_path, data):
    content = copy.deepcopy(either.content)
    where = data.draw(st.sampled_from(list(places(content))))
    # A parameter that the file says it does not hold is asked for: another error, tested above.
    assume(where[0] != "missing")
    value = data.draw(st.just(DELETED) | json_values)
    set_in(content, where, value)
    write_file(tmp_path / "model", content, either.tensors)
    usable_or_refused(either, tmp_path / "model")


@pytest.mark.slow
@several
@given(data=st.data())
def test_any_tensors_are_refused_or_usable(either, tmp_path, data):
    tensors = dict(either.tensors)
    name = data.draw(st.sampled_from(sorted(tensors)))
    array = tensors.pop(name)
    kind = data.draw(st.sampled_from(["gone", "value", "shape", "dtype", "empty", "swapped"]))
    if kind == "value" and array.size:
        array = array.copy()
        value = data.draw(st.sampled_from([0, 1, -1, 2**40, np.nan, np.inf, -1e300]))
        with np.errstate(all="ignore"):
            value = value if array.dtype.kind == "f" or abs(value) < 2**60 else 7
            # Small unsigned types wrap around.
            value = np.asarray(value).astype(array.dtype)
            array.flat[data.draw(st.integers(0, array.size - 1))] = value
    elif kind == "shape":
        array = array.reshape(data.draw(st.sampled_from([(-1,), (1, -1), (-1, 1)])))
    elif kind == "dtype":
        dtype = data.draw(st.sampled_from(["float32", "float64", "int64", "bool"]))
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    elif kind == "empty":
        array = array.ravel()[:0]
    elif kind == "swapped":
        array = tensors[data.draw(st.sampled_from(sorted(tensors)))]
    if kind != "gone":
        tensors[name] = array
    write_file(tmp_path / "model", either.content, tensors)
    usable_or_refused(either, tmp_path / "model")
