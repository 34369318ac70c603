"""The short way past the checks of samples: the same samples, warnings and errors."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from user_nets import classes_table, classifier, small_classifier

from sklearn_mabprune.data.features import read_table
from sklearn_mabprune.data.plain_samples import plain_samples

NAMES = [*"uvwxyz"]


@pytest.fixture(scope="module")
def models():
    """Fitted on an array, and on a frame."""
    X, y = classes_table()
    make = lambda: classifier(small_classifier(max_epochs=2), fine_tune_epochs=0)  # noqa: E731
    return {"array": make().fit(X, y), "frame": make().fit(pd.DataFrame(X, columns=NAMES), y)}


numbers = st.floats(-9, 9, width=16) | st.integers(-5, 5) | st.booleans()
odd = st.sampled_from(
    [np.nan, np.inf, -np.inf, 1e300, -1e308, 3e38, 10**400, 2**63, None, "1.0", "a", 1j, [1.0],
     np.float32(2), np.datetime64("2020-01-01"), pd.NA]
)  # fmt: skip
rows = st.lists(st.lists(numbers, min_size=6, max_size=6), min_size=1, max_size=4)
odd_rows = st.lists(st.lists(numbers | odd, min_size=5, max_size=7), max_size=3) | st.lists(
    st.lists(numbers | odd, min_size=6, max_size=6), min_size=1, max_size=3
)
DTYPES = [
    "float64", "float32", "float16", ">f8", ">f4", "longdouble", "int64", "uint8", "bool",
    "complex64", "object", "str", "datetime64[s]",
]  # fmt: skip
CONTAINERS = {
    "list": lambda X: X.tolist(),
    "tuples": lambda X: [tuple(row) for row in X.tolist()],
    "tuple": lambda X: tuple(X.tolist()),
    "arrays": list,
    "array": lambda X: X,
    "fortran": np.asfortranarray,
    "strides": lambda X: np.repeat(X, 2, axis=0)[::2],
    "reversed": lambda X: X[:, ::-1],
    "read only": lambda X: np.broadcast_to(X[:1], X.shape),
    "masked": np.ma.masked_array,
    "matrix": np.matrix,
    "flat": np.ravel,
    "deep": lambda X: X[None],
    "tensor": torch.tensor,
    "frame": lambda X: pd.DataFrame(X, columns=NAMES),
    "other order": lambda X: pd.DataFrame(X, columns=NAMES[::-1]),
    "numbered": pd.DataFrame,
    "mixed dtypes": lambda X: pd.DataFrame(X, columns=NAMES).astype({"u": "int8", "x": "float32"}),
    "categories": lambda X: pd.DataFrame(X, columns=NAMES).astype({"u": "category"}),
    "nullable": lambda X: pd.DataFrame(X, columns=NAMES).astype("Float64"),
    "sparse columns": lambda X: pd.DataFrame(X, columns=NAMES).astype(pd.SparseDtype(float, 0.0)),
    "polars": lambda X: pl.DataFrame(X, schema=NAMES),
    "polars, other order": lambda X: pl.DataFrame(X, schema=NAMES[::-1]),
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "coo": sparse.coo_matrix,
    "dok": sparse.dok_matrix,
    "duplicates": lambda X: sparse.csr_matrix(
        (np.ones(4), (np.zeros(4, int), np.zeros(4, int))), shape=(1, 6)),
    "mapping": lambda X: pd.DataFrame(X, columns=NAMES).to_dict("list"),
}  # fmt: skip


def checked(model, X):
    """The way of scikit-learn."""
    read = read_table(model, X, reset=False)
    return read.toarray() if sparse.issparse(read) else read


def short(model, X):
    """The short way, and the other one where that is not open."""
    found = plain_samples(model, X)
    return checked(model, X) if found is None else found


def outcome(read, model, X):
    """Samples or error, and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = np.asarray(read(model, X), dtype=np.float64).tolist()
        except Exception as error:
            result = type(error), str(error)
    return result, [(each.category, str(each.message)) for each in caught]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=rows | odd_rows,
    dtype=st.sampled_from(DTYPES),
    container=st.sampled_from(list(CONTAINERS)),
    fitted=st.sampled_from(["array", "frame"]),
)
def test_any_samples_either_way(models, values, dtype, container, fitted):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X = CONTAINERS[container](np.array(values, dtype=object).astype(dtype))
    except Exception:
        # There are no such samples.
        return
    assert outcome(short, models[fitted], X) == outcome(checked, models[fitted], X)


@given(values=odd_rows)
@settings(max_examples=100, deadline=None)
def test_any_list_either_way(models, values):
    assert outcome(short, models["array"], values) == outcome(checked, models["array"], values)


@pytest.mark.parametrize("fitted", ["array", "frame"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_each_form_either_way(container, dtype, fitted, models):
    X = np.arange(-9, 9).reshape(3, 6).astype(dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X = CONTAINERS[container](X)
    except (TypeError, ValueError, RuntimeError):
        return
    assert outcome(short, models[fitted], X) == outcome(checked, models[fitted], X)


READ = {
    "array": ["list", "tuples", "array", "fortran", "strides", "read only", "csr", "coo"],
    "frame": ["frame", "mixed dtypes", "polars"],
}


@pytest.mark.parametrize(("fitted", "name"), [(f, n) for f in READ for n in READ[f]])
def test_common_forms_take_the_short_way(fitted, name, models):
    X = CONTAINERS[name](np.arange(18.0).reshape(3, 6))
    found = plain_samples(models[fitted], X)
    assert found.dtype == np.float64
    assert found.shape == (3, 6)


def test_images_take_the_short_way_where_nothing_is_to_be_said_of_them():
    fitted = SimpleNamespace(input_shape_=(1, 2, 2), n_features_in_=1)
    images = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)
    assert plain_samples(fitted, images) is images
    with_nan = np.where(images == 5, np.nan, images)
    for other in (
        with_nan, images[:0], images.reshape(3, 2, 2, 1), images.tolist(), images.astype(int),
        images.astype(">f4"), images.view(np.ma.MaskedArray), images.reshape(3, 4),
    ):  # fmt: skip
        assert plain_samples(fitted, other) is None


def test_sums_that_overflow(models):
    huge = np.full((1000, 6), 1e308)
    assert plain_samples(models["array"], huge) is None
    assert plain_samples(models["array"], huge[:9]) is not None
