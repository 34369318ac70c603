"""Batches from memory: every row once, in an order of the seed's, nothing shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pairwise import pairwise
from skorch.dataset import Dataset
from user_nets import classes_table, classifier, same_state, small_classifier, state

from sklearn_mabprune.data.batches import TensorBatches, as_tensor, epoch


def rows_of(batches):
    return [x["X"][:, 0].tolist() for x, _ in batches]


def table(n_rows):
    return Dataset(np.arange(2.0 * n_rows).reshape(n_rows, 2), np.arange(n_rows))


@pairwise(n_rows=[1, 2, 7, 8, 9, 16, 17], size=[1, 4, 8, 100, -1], shuffle=[False, True])
def test_every_row_comes_once(n_rows, size, shuffle):
    batches = TensorBatches(table(n_rows), batch_size=size, shuffle=shuffle)
    found = rows_of(batches)
    together = [value for rows in found for value in rows]
    assert sorted(together) == (2.0 * np.arange(n_rows)).tolist()
    assert shuffle or together == sorted(together)
    lengths = [len(rows) for rows in found]
    if size > 1:
        assert lengths == [n_rows] or min(lengths) > 1
        assert max(lengths) <= size + 1
    assert len(batches) == len(lengths)


def test_targets_and_weights_stay_with_their_rows():
    x = {"X": np.arange(20.0)[:, None], "sample_weight": np.arange(20.0) / 10}
    for given, y in TensorBatches(Dataset(x, np.arange(20)), batch_size=6, shuffle=True):
        assert given["X"][:, 0].tolist() == y.tolist()
        np.testing.assert_allclose(given["sample_weight"], y / 10)


def test_order_is_new_every_epoch_and_of_the_seed():
    batches = TensorBatches(table(40), batch_size=8, shuffle=True, seed=3)
    first, second = rows_of(batches), rows_of(batches)
    assert first != second
    again = TensorBatches(table(40), batch_size=8, shuffle=True, seed=3)
    assert (rows_of(again), rows_of(again)) == (first, second)
    assert rows_of(TensorBatches(table(40), batch_size=8, shuffle=True, seed=4)) != first


def test_the_nets_seed_decides_the_order():
    X, y = classes_table()
    # The weights at the start are the same: only the order of the batches is another.
    common = {"module__random_state": 0, "batch_size": 16, "max_epochs": 2}
    one, again, other = (
        state(small_classifier(random_state=seed, **common).fit(X, y)) for seed in (0, 0, 1)
    )
    assert same_state(one, again)
    assert not same_state(one, other)


def test_one_batch_of_all_rows_is_not_copied():
    assert list(epoch(5, 8, torch.Generator())) == [slice(0, 5)]


@pytest.mark.parametrize("layout", ["read-only", "Fortran", "reversed"])
def test_arrays_that_torch_would_not_take(layout):
    array = np.arange(12.0).reshape(4, 3)
    if layout == "read-only":
        array.setflags(write=False)
    elif layout == "Fortran":
        array = np.asfortranarray(array)
    else:
        array = array[::-1]
    expected = array.copy()
    tensor = as_tensor(array, "cpu")
    np.testing.assert_array_equal(tensor.numpy(), expected)
    tensor.zero_()
    np.testing.assert_array_equal(array, expected)


def test_only_floating_point_values_are_cast():
    assert as_tensor(np.arange(3), "cpu", torch.float32).dtype == torch.int64
    assert as_tensor(np.arange(3.0), "cpu", torch.float32).dtype == torch.float32
    tensor = torch.arange(3.0)
    assert as_tensor(tensor, "cpu") is tensor
    assert as_tensor([1.5], "cpu").dtype == torch.float64


def misaligned(array):
    """The same values at addresses that are no multiples of their size, as in packed records."""
    packed = np.zeros(len(array), dtype=[("flag", "i1"), ("x", array.dtype, array.shape[1:])])
    packed["x"] = array
    return packed["x"]


VIEWS = {
    "reversed": lambda X: X[::-1],
    "one row, reversed": lambda X: X[::-1][:1],
    "one row of a slice": lambda X: X[4::-2][:1],
    "reversed columns": lambda X: X[:, ::-1],
    "one column, reversed": lambda X: X[:, ::-1][:, :1],
    "both": lambda X: X[::-1, ::-1][:1],
    "misaligned": misaligned,
    "one misaligned row": lambda X: misaligned(X)[:1],
    "broadcast": lambda X: np.broadcast_to(X[0], X.shape),
    "transposed": lambda X: np.asfortranarray(X),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("name", VIEWS)
def test_views_of_any_stride(name, dtype):
    view = VIEWS[name](np.arange(24, dtype=dtype).reshape(6, 4))
    np.testing.assert_array_equal(as_tensor(view, "cpu").numpy(), view)
    # Also a vector, as targets and weights are.
    vector = view[:, 0]
    np.testing.assert_array_equal(as_tensor(vector, "cpu").numpy(), vector)


@pytest.mark.parametrize("name", VIEWS)
def test_predictions_of_views_of_any_stride(name):
    X, y = classes_table()
    model = classifier().fit(X, y)
    view = VIEWS[name](X)
    if view.shape[1] == 1:
        model = classifier().fit(X[:, :1], y)
    expected = model.predict_proba(np.array(view))
    for part in (slice(None), slice(1)):
        found = model.predict_proba(view[part])
        np.testing.assert_allclose(found, expected[part], rtol=1e-6)
        net = model.estimator_.predict_proba(view[part])
        np.testing.assert_allclose(net, expected[part], rtol=1e-6)
