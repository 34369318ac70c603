"""Sparse rows on the device: the same numbers as dense ones, in other shapes of memory."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from builders import batch_norm, generator, hidden_and_sums, linear, make_graph, network
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy import sparse
from torch import nn

import sklearn_mabprune.data.sparse
from sklearn_mabprune import MLP
from sklearn_mabprune.data.batches import SparseDataset, TensorBatches
from sklearn_mabprune.data.sparse import SparseRows, as_csr, few, outputs_of, reads_sparse
from sklearn_mabprune.graph.graph import Graph

tables = nps.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 6)),
    elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5, 1e-3]),
)
quick = settings(deadline=None, max_examples=40, derandomize=True)


def table(n_rows=30, n_features=6, density=0.3, seed=0):
    return sparse.random(n_rows, n_features, density, format="csr", random_state=seed)


@quick
@given(X=tables, data=st.data())
def test_rows_are_those_of_the_dense_table(X, data):
    rows, dense = SparseRows.of(as_csr(X), "cpu"), torch.tensor(X)
    assert (len(rows), rows.shape, rows.dtype) == (len(X), X.shape, torch.float64)
    assert torch.equal(rows.dense(), dense)
    first, stop = data.draw(st.integers(0, 13)), data.draw(st.integers(0, 13))
    assert torch.equal(rows[first:stop].dense(), dense[first:stop])
    picked = torch.tensor(data.draw(st.lists(st.integers(0, len(X) - 1), max_size=15)))
    assert torch.equal(rows[picked.long()].dense(), dense[picked.long()])
    # Picked from what was picked, and in pieces: where a row begins is counted anew.
    assert torch.equal(rows[picked.long()][1:].dense(), dense[picked.long()][1:])
    np.testing.assert_allclose(rows.spread(), X.std(axis=0), atol=1e-12)
    layer = linear(X.shape[1], 4, seed=0).double()
    np.testing.assert_allclose(
        rows.through(layer).detach(), layer(dense).detach(), rtol=1e-12, atol=1e-12
    )


def test_a_constant_feature_has_no_spread():
    X = np.zeros((7, 3))
    X[:, 0], X[2, 1] = 0.1, 1.0
    spread = SparseRows.of(as_csr(X), "cpu").spread()
    assert spread[0] < 1e-16
    assert spread[2] == 0
    assert spread[1] > 0.1


def test_csr_is_made_canonical_and_the_users_left_alone():
    twice = sparse.csr_array(
        (np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3)
    )
    before = copy.deepcopy(twice)
    made = as_csr(twice)
    np.testing.assert_array_equal(made.toarray(), [[2.0, 0.0, 5.0]])
    assert made.indices.tolist() == [0, 2]
    assert twice.indices.tolist() == before.indices.tolist()
    assert twice.data.tolist() == before.data.tolist()


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_dense_rows(bias):
    rows = SparseRows.of(table(), "cpu")
    one, other = (linear(6, 5, seed=1, bias=bias).double() for _ in range(2))
    pull = torch.randn(30, 5, generator=generator(0)).double()
    (rows.through(one) * pull).sum().backward()
    (other(rows.dense()) * pull).sum().backward()
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, rtol=1e-12, atol=1e-14)


class Doubling(nn.Sequential):
    """Looks at what it is given before its first Linear does."""

    def forward(self, x):
        return super().forward(2 * x)


HEADED = nn.Sequential(batch_norm(6, 0), linear(6, 4, 0), nn.ReLU(), linear(4, 2, 1)).double()


@pytest.mark.parametrize(
    ("module", "reads"),
    [
        (network((6, 5, 2)), True),
        (MLP(6, 2, (5,), random_state=0, dtype="float64"), True),
        (Doubling(linear(6, 2, 0)).double(), False),
        (HEADED, False),
        (linear(6, 2, 0).double(), False),
        (nn.Sequential(), False),
    ],
    ids=["sequential", "MLP", "own forward", "head", "no sequential", "empty"],
)
def test_a_module_gets_sparse_rows_only_where_a_linear_comes_first(module, reads, monkeypatch):
    assert reads_sparse(module) is reads
    if not len(list(module.parameters())):
        return
    # Pieces of two rows: what is put together must be in order.
    monkeypatch.setattr(sklearn_mabprune.data.sparse, "_CHUNK", 12)
    rows, module = SparseRows.of(table(7), "cpu"), copy.deepcopy(module).eval()
    expected = module(rows.dense())
    torch.testing.assert_close(outputs_of(module, rows), expected)
    torch.testing.assert_close(outputs_of(module, rows.dense()), expected)
    if module is HEADED:
        assert not torch.allclose(outputs_of(module.train(), rows), expected)


def test_training_mode_keeps_a_batch_whole(monkeypatch):
    """BatchNorm over pieces would be another BatchNorm."""
    monkeypatch.setattr(sklearn_mabprune.data.sparse, "_CHUNK", 12)
    rows = SparseRows.of(table(7), "cpu")
    module = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2)).double().train()
    torch.testing.assert_close(outputs_of(module, rows), copy.deepcopy(module)(rows.dense()))


def test_a_graph_takes_sparse_rows_with_and_without_a_head(monkeypatch):
    monkeypatch.setattr(sklearn_mabprune.data.sparse, "_CHUNK", 12)
    rows, plain = SparseRows.of(table(7), "cpu"), make_graph()
    headed = Graph.of([batch_norm(6, 0).double(), *plain.layers()])
    for graph in (plain, headed):
        torch.testing.assert_close(graph.forward(rows), graph.forward(rows.dense()))
        for one, other in zip(
            hidden_and_sums(graph, rows), hidden_and_sums(graph, rows.dense()), strict=True
        ):
            torch.testing.assert_close(one, other)
    assert not torch.allclose(headed.forward(rows), plain.forward(rows))


def test_few_rows_are_few_however_wide_they_are():
    assert few(SparseRows.of(table(100), "cpu")).shape == (64, 6)
    wide = sparse.csr_matrix((100, 2**20))
    assert few(SparseRows.of(wide, "cpu", torch.float32)).shape == (4, 2**20)
    assert few(torch.zeros(100, 3)).shape == (64, 3)


@pytest.mark.parametrize("weighted", [False, True])
def test_skorch_batches_become_dense_a_batch_at_a_time(weighted):
    X, y, w = table(5), np.arange(5), np.linspace(0, 1, 5)
    data = SparseDataset({"X": X, "sample_weight": w} if weighted else X, y)
    for batch in (data.__getitems__([3, 1]), [data[3], data[1]]):
        for (x, target), row in zip(batch, (3, 1), strict=True):
            features = x["X"] if weighted else x
            np.testing.assert_array_equal(features, X[[row]].toarray()[0])
            assert target == row
            assert not weighted or x["sample_weight"] == w[row]


@pytest.mark.parametrize("module", [network((6, 5, 2)), HEADED], ids=["sparse", "dense"])
def test_batches_are_what_the_module_can_read(module):
    X, y = table(5), np.arange(5)
    batches = list(TensorBatches(SparseDataset(X, y), 2, module=module, dtype=torch.float32))
    assert len(batches) == 2
    for x, _ in batches:
        assert isinstance(x["X"], SparseRows) == (module is not HEADED)
        assert x["X"].dtype == torch.float32
    rows = [x["X"].dense() if module is not HEADED else x["X"] for x, _ in batches]
    np.testing.assert_allclose(torch.cat(rows), X.toarray(), rtol=1e-6)
