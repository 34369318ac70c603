"""Sparse features end to end: what dense ones give, without their memory."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn
from user_nets import (
    WeightedClassifier,
    classifier,
    plain_classifier,
    regressor,
)

import sklearn_mabprune.estimators.fitting
from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.data.sparse import SparseRows


def table(n_rows=150, n_features=40, density=0.15, dtype=np.float64, seed=0):
    """Sparse rows with some empty ones, classes and a real target."""
    X = sparse.random(n_rows, n_features, density, format="csr", random_state=seed, dtype=dtype)
    truth = X @ np.random.default_rng(seed).normal(size=n_features)
    return X, (truth > np.median(truth)).astype(int), 100 * truth + 7


def same_neurons(one, other):
    return all(map(np.array_equal, one.neuron_ranking_, other.neuron_ranking_))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_dense_and_sparse_give_the_same(kind, dtype):
    X, classes, values = table(dtype=dtype)
    make, y = (classifier, classes) if kind == "classifier" else (regressor, values)
    thin, full = make().fit(X, y), make().fit(X.toarray(), y)
    assert thin.validation_fraction_ == full.validation_fraction_
    assert same_neurons(thin, full)
    tight = {"rtol": 1e-9 if dtype == np.float64 else 1e-3}
    # Values of tens, some of them near zero.
    close = {"rtol": 1e-5, "atol": 1e-9 if dtype == np.float64 else 1e-5}
    for given in (X, X.toarray()):
        np.testing.assert_allclose(thin.predict(given), full.predict(X.toarray()), **tight)
        np.testing.assert_allclose(full.predict(given), full.predict(X.toarray()), **close)
    if kind == "classifier":
        np.testing.assert_allclose(thin.predict_proba(X), full.predict_proba(X), atol=1e-4)
    assert thin.score(X, y) == pytest.approx(full.score(X, y), rel=1e-5)
    for name in ("loss", "score"):
        found, expected = (getattr(m.pruning_path_, name) for m in (thin, full))
        np.testing.assert_allclose(found, expected, **tight)
    assert next(thin.estimator_.module_.parameters()).dtype == getattr(torch, dtype.__name__)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csc", "coo", "lil", "dok", "bsr"])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_every_format_is_read_as_csr(form, container):
    X, y, _ = table()
    expected = classifier(pruning_budget=0.2).fit(X, y)
    given = container(X).asformat(form)
    found = classifier(pruning_budget=0.2).fit(given, y)
    assert same_neurons(found, expected)
    np.testing.assert_array_equal(found.predict_proba(given), expected.predict_proba(X))


def test_explicit_zeros_unsorted_and_repeated_entries_and_int64_indices():
    X, y, _ = table()
    expected = classifier().fit(X, y).predict_proba(X)
    rows, columns = X.nonzero()
    # Every value in two parts, every first column an explicit zero, in no order.
    order = np.random.default_rng(0).permutation(2 * X.nnz + X.shape[0])
    data = np.concatenate([X.data * 0.5, X.data * 0.5, np.zeros(X.shape[0])])[order]
    i = np.concatenate([rows, rows, np.arange(X.shape[0])])[order]
    j = np.concatenate([columns, columns, np.zeros(X.shape[0], dtype=int)])[order]
    by_row = np.argsort(i, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=X.shape[0]))])
    messy = sparse.csr_matrix(X.shape)
    messy.data, messy.indices, messy.indptr = data[by_row], j[by_row], starts
    assert messy.indices.dtype == np.int64
    assert not messy.has_canonical_format
    n_stored = messy.nnz
    found = classifier().fit(messy, y).predict_proba(messy)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert messy.nnz == n_stored


def test_copies_of_a_row_stay_on_one_side():
    X, y, _ = table(60)
    X, y = sparse.vstack([X] * 3).tocsr(), np.tile(y, 3)
    seen = []

    def keeps(net, X, y):
        seen.append(X)
        return float((net.predict(X) == y).mean())

    classifier(scoring=keeps).fit(X, y)
    held_out = seen[0].toarray()
    _, counts = np.unique(held_out[held_out.any(axis=1)], axis=0, return_counts=True)
    assert (counts % 3 == 0).all()


@pytest.mark.parametrize("below", ["sparse", "dense"])
@pytest.mark.parametrize("above", ["sparse", "dense"])
def test_own_validation_rows_of_either_kind(above, below):
    X, y, _ = table()
    forms = {"sparse": lambda X: X, "dense": lambda X: X.toarray()}
    rows = {"X_val": forms[below](X[100:]), "y_val": y[100:]}
    model = classifier().fit(forms[above](X[:100]), y[:100], **rows)
    expected = classifier().fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert same_neurons(model, expected)
    assert model.pruning_report_.after.score == model.score(X[100:], y[100:])


@pytest.mark.parametrize("weighted", [False, True])
def test_a_net_of_the_users_own_gets_dense_batches(weighted):
    """Its module is told nothing of sparse rows; BatchNorm and DataLoader are its own."""
    X, y, _ = table(dtype=np.float32)
    net = plain_classifier(WeightedClassifier, iterator_train__shuffle=True).set_params(module=_Net)
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(y)) if weighted else None
    models = [classifier(net).fit(given, y, sample_weight=w) for given in (X, X.toarray())]
    assert same_neurons(*models)
    one, other = (model.predict_proba(X) for model in models)
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("policy", ["taylor", "reconstruction", "ucb1"])
@pytest.mark.parametrize("control_variate", [None, "linear", "fisher"])
def test_whatever_looks_at_rows_can_look_at_sparse_ones(policy, control_variate):
    X, y, _ = table()
    params = {"policy": policy, "control_variate": control_variate, "pull_batch_size": 32}
    models = [classifier(**params).fit(given, y) for given in (X, X.toarray())]
    assert same_neurons(*models)


def test_weights_frozen_nets_pickles_and_our_nets_alone():
    X, y, values = table(dtype=np.float32)
    w = np.arange(len(y)) % 4
    models = [classifier().fit(given, y, sample_weight=w) for given in (X, X.toarray())]
    assert same_neurons(*models)
    again = pickle.loads(pickle.dumps(models[0]))
    np.testing.assert_array_equal(again.predict_proba(X), models[0].predict_proba(X))

    thin, full = (
        MLPNetClassifier(max_epochs=5, random_state=0).fit(given, y) for given in (X, X.toarray())
    )
    np.testing.assert_allclose(thin.predict_proba(X), full.predict_proba(X.toarray()), atol=1e-5)
    net = MLPNetRegressor(max_epochs=5, random_state=0)
    weighted = [net.fit({"X": g, "sample_weight": w}, values).predict(g) for g in (X, X.toarray())]
    np.testing.assert_allclose(*weighted, rtol=1e-3)

    frozen = classifier(FrozenEstimator(thin))
    # Rows of its own may have been trained on, which is said.
    frozen.fit(X[:100], y[:100], X_val=X[100:], y_val=y[100:])
    assert sum(frozen.hidden_layer_sizes_) == 96


def test_features_that_no_training_row_has_are_reported_in_few_words():
    X, y, _ = table()
    X = sparse.hstack([X, sparse.csr_matrix((150, 50))]).tocsr()
    report = classifier().fit(X, y).pruning_report_
    assert set(report.unused_features) >= set(range(40, 90))
    assert len(report.unused_features) >= 50
    assert f"and {len(report.unused_features) - 20} more" in str(report)


@pytest.mark.slow
def test_text_in_a_pipeline_and_a_grid_with_memory(tmp_path):
    words, labels = make_multilabel_classification(90, 60, n_classes=2, random_state=0)
    texts = [" ".join(f"w{k} " * n for k, n in enumerate(row)) for row in words.astype(int)]
    y = np.array(["no", "yes"])[labels[:, 0]]
    pruned = classifier(memory=str(tmp_path)).set_params(estimator__max_epochs=60)
    model = make_pipeline(TfidfVectorizer(), pruned)
    search = GridSearchCV(model, {"mabprunedclassifier__pruning_budget": [0, 0.5]}, cv=2)
    search.fit(texts, y)
    assert search.score(texts, y) > 0.8
    assert len(list(tmp_path.rglob("output.pkl"))) == 3
    # A CSR matrix hashes the same again: nothing is trained anew.
    search.fit(texts, y)
    assert len(list(tmp_path.rglob("output.pkl"))) == 3


def test_rows_for_pruning_are_never_dense(monkeypatch):
    seen = []
    walk = sklearn_mabprune.estimators.fitting.pruning_path

    def watched(activations, *args, **kwargs):
        seen.append(activations.samples.x)
        return walk(activations, *args, **kwargs)

    monkeypatch.setattr(sklearn_mabprune.estimators.fitting, "pruning_path", watched)
    X, y, _ = table()
    classifier(max_pruning_samples=50).fit(X, y)
    assert isinstance(seen[0], SparseRows)
    assert len(seen[0]) == 50


_WIDE = """
import resource, numpy as np
from scipy import sparse
from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

rng = np.random.default_rng(0)
n, m = 8_000, 25_000
where = rng.integers(m, size=(n, 20)).ravel(), np.arange(0, 20 * n + 1, 20)
X = sparse.csr_matrix((rng.normal(size=20 * n).astype(np.float32), *where), shape=(n, m))
y = (X @ rng.normal(size=m) > 0).astype(int)
net = MLPNetClassifier(module__hidden_layer_sizes=(16,), max_epochs=1)
before = peak()
model = MABPrunedClassifier(
    net, pruning_budget=0.25, step=0.2, tolerance=9.0, fine_tune_epochs=1, random_state=0
).fit(X, y)
model.predict(X)
print(before, peak())
"""


@pytest.mark.slow
def test_memory_of_a_wide_table_is_that_of_its_entries():
    """800 MB when dense, in float32; 160,000 entries when not."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:The training took all", "-c", _WIDE],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after - before < 300e6


class _Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(40, 10)
        self.rest = nn.Sequential(nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 2))

    def forward(self, X):
        assert X.layout == torch.strided
        return self.rest(self.first(X))
