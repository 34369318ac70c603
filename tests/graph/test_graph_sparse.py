"""The forward loop over sparse samples."""

from __future__ import annotations

import pytest
import torch
from builders import batch_norm, features, group_values, make_graph, network, sums
from scipy import sparse
from torch import nn

from sklearn_mabprune.data.sparse import SparseRows
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph


def thin(x):
    """Samples of which a half is zero, dense and sparse."""
    x = x * (x > 0)
    return x, SparseRows.of(sparse.csr_array(x.numpy()), "cpu", x.dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=("float64", "float32"))
@pytest.mark.parametrize("feature_major", [False, True])
@pytest.mark.parametrize("head", ["nothing", "norm", "dropout", "relu"])
def test_sparse_samples(head, feature_major, dtype):
    """With and without something before the first Linear."""
    before = {
        "nothing": [], "norm": [batch_norm(6, 4)], "dropout": [nn.Dropout(0.2)],
        "relu": [nn.ReLU(), nn.Tanh()],
    }[head]  # fmt: skip
    module = nn.Sequential(*before, *network((6, 7, 5, 3), around="norm_before")).to(dtype)
    x, rows = thin(features(30, 6, dtype))
    graph = recover_graph(module, x)
    wanted_values = [*group_values(graph), *sums(graph), graph.output]
    with torch.no_grad():
        wanted = graph.run({0: x}, wanted_values, feature_major=feature_major)
        found = graph.run({0: rows}, wanted_values, feature_major=feature_major)
        assert found.keys() == wanted.keys()
        for value, z in wanted.items():
            torch.testing.assert_close(found[value], z)
        torch.testing.assert_close(graph.forward(rows), module.eval()(x))


def test_sparse_samples_are_dense_in_pieces_only(monkeypatch):
    """Where something comes before the first Linear, and never where nothing does."""
    x, rows = thin(features(30, 6))
    dense, sizes = SparseRows.dense, []

    def watched(self):
        sizes.append(len(self))
        return dense(self)

    monkeypatch.setattr(SparseRows, "dense", watched)
    monkeypatch.setattr(
        SparseRows, "pieces", lambda self: [self[k : k + 8] for k in range(0, len(self), 8)]
    )
    plain = make_graph()
    plain.forward(rows)
    assert not sizes
    headed = Graph.of([batch_norm(6, 4).double(), *plain.layers()])
    torch.testing.assert_close(headed.forward(rows), headed.forward(x))
    assert sizes == [8, 8, 8, 6]
