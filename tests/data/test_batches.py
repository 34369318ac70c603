"""Batches from memory: every row once, in an order of the seed's, nothing shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pairwise import pairwise
from skorch.dataset import Dataset
from user_nets import classes_table, same_state, small_classifier, state

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
