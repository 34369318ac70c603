"""Several labels a row, and several targets: as scikit-learn's own estimators have them."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import ablations_of, block_of, linears, make_graph, make_samples
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, average_precision_score, f1_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MultiLabelBinarizer
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F
from user_nets import QUICK, Plain, classifier, regressor, small_classifier, values_table

from sklearn_mabprune import MABPrunedClassifier, MLPNetClassifier, WeightedLossMixin
from sklearn_mabprune.ablation.loss_models import draw_targets
from sklearn_mabprune.data.losses import SampleLoss


def table(n_rows=120, n_labels=4, seed=0):
    X, Y = make_multilabel_classification(n_rows, 6, n_classes=n_labels, random_state=seed)
    return (X - X.mean(axis=0)) / X.std(axis=0), Y


def same_neurons(one, other):
    return all(map(np.array_equal, one.neuron_ranking_, other.neuron_ranking_))


@pytest.mark.slow
@pytest.mark.parametrize("n_labels", [2, 4])
def test_predictions_have_the_shape_of_scikit_learns(n_labels):
    X, Y = table(n_labels=n_labels)
    model = classifier().fit(X, Y)
    reference = MLPClassifier((8,), tol=0.01, max_iter=5000, random_state=0).fit(X, Y)
    for name in ("predict", "predict_proba", "predict_log_proba"):
        found, expected = (getattr(m, name)(X) for m in (model, reference))
        assert (found.shape, found.dtype.kind) == (expected.shape, expected.dtype.kind)
    np.testing.assert_array_equal(model.classes_, reference.classes_)
    proba = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict(X), proba > 0.5)
    assert not np.allclose(proba.sum(axis=1), 1)
    assert model.score(X, Y) == accuracy_score(Y, model.predict(X))
    assert isinstance(model.estimator_.criterion_, nn.BCEWithLogitsLoss)


def test_it_learns_each_label():
    X, Y = table(400)
    X_new, Y_new, X, Y = X[300:], Y[300:], X[:300], Y[:300]
    model = MABPrunedClassifier(random_state=0, tolerance=0.1, pruning_budget=0.75).fit(X, Y)
    reference = MLPClassifier((128, 64), early_stopping=True, max_iter=500, random_state=0)
    found = f1_score(Y_new, model.predict(X_new), average="micro")
    expected = f1_score(Y_new, reference.fit(X, Y).predict(X_new), average="micro")
    assert found > max(0.7, expected - 0.03)


def test_report_counts_every_label():
    X, Y = table()
    w = np.linspace(0.5, 2, 80)
    for weights in (None, w):
        model = classifier().fit(X[:80], Y[:80], weights, X_val=X[80:], y_val=Y[80:])
        after, p = model.pruning_report_.after, model.predict_proba(X[80:])
        truth = Y[80:]
        expected = -np.where(truth, np.log(p), np.log(1 - p)).mean()
        assert after.loss == pytest.approx(expected, rel=1e-6)
        assert after.score == model.score(X[80:], truth)
    for scoring in ("f1_macro", "average_precision", "roc_auc"):
        model = classifier(scoring=scoring).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
        assert model.pruning_report_.score_name == scoring
        assert 0 < model.pruning_report_.after.score <= 1
    scored = classifier(scoring="average_precision").fit(X[:80], Y[:80], X_val=X[80:], y_val=truth)
    expected = average_precision_score(truth, scored.predict_proba(X[80:]))
    assert scored.pruning_report_.after.score == pytest.approx(expected)


def test_constant_labels_and_other_forms_of_the_same_labels():
    X, Y = table()
    Y[:, 0], Y[:, 1] = 0, 1
    model = classifier().fit(X, Y)
    proba = model.predict_proba(X)
    assert (model.predict(X)[:, :2] == [0, 1]).all()
    names = [[f"label {k}" for k in np.flatnonzero(row)] for row in Y]
    forms = {
        "bool": Y.astype(bool),
        "float": Y.astype(float),
        "list": Y.tolist(),
        "sparse": sparse.csr_matrix(Y),
        "names": MultiLabelBinarizer(classes=[f"label {k}" for k in range(4)]).fit_transform(names),
    }
    for name, given in forms.items():
        np.testing.assert_array_equal(classifier().fit(X, given).predict_proba(X), proba, name)


def test_weight_two_is_a_doubled_row():
    X, Y = table()
    w = np.tile([2.0, 1.0, 0.0, 3.0], 30)
    rows = np.repeat(np.arange(120), w.astype(int))
    net = small_classifier(batch_size=-1)
    weighted, copies = classifier(net).fit(X, Y, w), classifier(net).fit(X[rows], Y[rows])
    assert same_neurons(weighted, copies)
    np.testing.assert_allclose(weighted.predict_proba(X), copies.predict_proba(X), rtol=1e-6)


def test_sparse_rows_pickles_frozen_nets_and_partial_fit(tmp_path):
    X, Y = table()
    model = classifier().fit(sparse.csr_matrix(X), Y)
    assert same_neurons(model, classifier().fit(X, Y))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))

    net = MLPNetClassifier(max_epochs=5, random_state=0).fit(X, Y)
    assert net.predict(X).shape == net.predict_proba(X).shape == Y.shape
    frozen = classifier(FrozenEstimator(net), pruning_budget=0)
    frozen.fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:])
    np.testing.assert_allclose(frozen.predict_proba(X), net.predict_proba(X), rtol=1e-6)

    # The small net is told its sizes and its loss: weights from a file are enough.
    model.estimator_.save_params(f_params=tmp_path / "weights.pt")
    loaded = clone(model.estimator_).initialize()
    loaded.load_params(f_params=tmp_path / "weights.pt")
    np.testing.assert_allclose(loaded.predict_proba(X), model.predict_proba(X), rtol=1e-6)
    model.estimator_.partial_fit(X, Y)
    assert model.predict_proba(X).shape == Y.shape


class UserNet(WeightedLossMixin, NeuralNetClassifier):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("criterion", "control_variate"),
    [
        *((nn.BCEWithLogitsLoss, each) for each in (None, "linear", "fisher")),
        *((nn.BCELoss, each) for each in (None, "linear")),
        (nn.MultiLabelSoftMarginLoss, None),
    ],
)
def test_nets_of_the_users_own(criterion, control_variate):
    X, Y = table(n_labels=3)
    tail = [nn.Sigmoid()] if criterion is nn.BCELoss else []
    net = NeuralNetClassifier(
        nn.Sequential,
        criterion=criterion,
        max_epochs=30,
        lr=1.0,
        verbose=0,
    )
    net = net.set_params(module=_Chain, module__tail=tail)
    if criterion is nn.MultiLabelSoftMarginLoss:
        # skorch's own accuracy does not know it.
        net.set_params(callbacks__valid_acc=None)
    model = classifier(net, control_variate=control_variate).fit(X, Y)
    proba = model.predict_proba(X)
    assert proba.shape == Y.shape
    assert ((proba >= 0) & (proba <= 1)).all()
    assert ((proba > 0.5) == Y).mean() > 0.7
    np.testing.assert_array_equal(model.predict(X), proba > 0.5)


class _Chain(nn.Sequential):
    def __init__(self, tail=()):
        layers = [nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3), *copy.deepcopy(list(tail))]
        super().__init__(*layers)


@pytest.mark.parametrize("criterion", [nn.BCEWithLogitsLoss, nn.MSELoss])
def test_losses_of_a_row_are_averaged_or_summed_as_the_criterion_does(criterion):
    outputs, targets = torch.randn(5, 3), torch.rand(5, 3).round()
    teacher = torch.randn(5, 3)
    mean, total = (SampleLoss(criterion(reduction=how)) for how in ("mean", "sum"))
    torch.testing.assert_close(mean(outputs, targets).mean(), criterion()(outputs, targets))
    torch.testing.assert_close(
        total(outputs, targets).sum(), criterion(reduction="sum")(outputs, targets)
    )
    torch.testing.assert_close(
        total.distance(outputs, teacher, 2.0), 3 * mean.distance(outputs, teacher, 2.0)
    )


def test_distance_is_the_divergence_of_each_labels_two_probabilities():
    outputs, teacher = torch.randn(5, 3).double(), torch.randn(5, 3).double()
    expected = torch.zeros(5).double()
    for k in range(3):
        student, wanted = (
            torch.stack([F.logsigmoid(z[:, k] / 2), F.logsigmoid(-z[:, k] / 2)], dim=1)
            for z in (outputs, teacher)
        )
        expected += 4 * F.kl_div(student, wanted, reduction="none", log_target=True).sum(1) / 3
    logits, probabilities = SampleLoss(nn.BCEWithLogitsLoss()), SampleLoss(nn.BCELoss())
    torch.testing.assert_close(logits.distance(outputs, teacher, 2.0), expected)
    torch.testing.assert_close(
        probabilities.distance(outputs.sigmoid(), teacher.sigmoid(), 2.0), expected
    )
    assert float(logits.distance(teacher, teacher, 2.0).abs().max()) < 1e-12


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_drawn_labels_give_the_curvature(reduction):
    """In the mean over draws, gradient times gradient is the loss's Hessian."""
    z = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)
    loss = SampleLoss(nn.BCEWithLogitsLoss(reduction=reduction))
    # A network that returns these logits for every sample.
    graph, samples = make_graph("labels"), replace(make_samples("labels", 40_000), loss=loss)
    with torch.no_grad():
        linears(graph)[-1].weight.zero_()
        linears(graph)[-1].bias.copy_(z[0])
    block = block_of(graph, samples, ablations_of(graph, samples, "zero"))
    drawn = draw_targets(block, torch.Generator().manual_seed(0)).clone()
    logits = block.logits.T.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(loss(logits, drawn).sum(), logits)
    found = gradients.T @ gradients / len(logits)
    target = torch.ones(1, 3, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda v: loss(v, target).sum(), z)[0, :, 0]
    torch.testing.assert_close(found, hessian, atol=0.01, rtol=0.03)


@pytest.mark.parametrize(
    ("model", "Y", "message"),
    [
        (classifier(), np.arange(240).reshape(120, 2) % 3, r"MultiOutputClassifier\(estimator\)"),
        (classifier(), 2 * table()[1], r"indicator matrix of 0 and 1, got the values \[0, 2\]"),
        (classifier(class_weight="balanced"), table()[1],
         "class_weight='balanced' is not defined for multilabel y"),
        (classifier(NeuralNetClassifier(Plain, criterion=nn.CrossEntropyLoss, verbose=0)),
         table(n_labels=3)[1],
         "3 classes, .* CrossEntropyLoss is for mutually exclusive classes. Pass criterion=nn"),
        (classifier(NeuralNetClassifier(Plain, criterion=nn.BCEWithLogitsLoss, verbose=0)),
         np.arange(120) % 3,
         "one class per sample, but the net's criterion BCEWithLogitsLoss is for multilabel"),
        (classifier(FrozenEstimator(small_classifier().fit(*table()))), np.arange(120) % 4,
         "one class per sample"),
    ],
)  # fmt: skip
def test_refused(model, Y, message):
    with pytest.raises(ValueError, match=message):
        model.fit(table()[0], Y)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    ("y_val", "message"),
    [
        (table()[1][80:, :3], "y_val has 3 targets, y has 4"),
        (table()[1][80:] + 1, "y_val with more than one column must be a multilabel indicator"),
        (table()[1][90:], "X_val has 40 samples, but y_val has 30"),
        (table()[1][80:, 0], "Expected 2D array, got 1D array"),
    ],
)
def test_validation_labels_that_do_not_fit(y_val, message):
    X, Y = table()
    with pytest.raises(ValueError, match=message):
        classifier().fit(X[:80], Y[:80], X_val=X[80:], y_val=y_val)


def test_several_classes_go_through_scikit_learns_own_way():
    X, Y = table()
    Y = np.column_stack([Y[:, 0] + Y[:, 1], Y[:, 2]])
    model = MultiOutputClassifier(classifier()).fit(X, Y)
    assert model.predict(X).shape == Y.shape


@pytest.mark.parametrize("weighted", [False, True])
def test_several_real_targets(weighted):
    X, Y = values_table(n_targets=3)
    w = np.linspace(0.1, 1, len(X)) if weighted else None
    model = regressor(pruning_budget=0.2).fit(X[:90], Y[:90], None if w is None else w[:90],
                                              X_val=X[90:], y_val=Y[90:])  # fmt: skip
    assert model.predict(X).shape == Y.shape
    assert model.pruning_report_.after.score == pytest.approx(model.score(X[90:], Y[90:]))
    assert model.score(X[:90], Y[:90]) > 0.5


def test_class_labels_of_every_kind_come_back_as_they_were():
    X, Y = table()
    codes = Y[:, 0] + Y[:, 1]
    expected = classifier().fit(X, codes).predict(X)
    kinds = [["low", "mid", "top"], [10, 20, 30], [-1.0, 0.0, 1.0]]
    for labels in [np.array(k) for k in kinds] + [np.array(kinds[0], dtype=object)]:
        model = MABPrunedClassifier(small_classifier(), **QUICK).fit(X, labels[codes])
        np.testing.assert_array_equal(model.predict(X), labels[expected])
        assert model.predict(X).dtype == labels.dtype


def test_sparse_values_are_refused():
    X, Y = values_table(n_targets=2)
    with pytest.raises(TypeError, match=r"pass y.toarray\(\)"):
        regressor().fit(X, sparse.csr_matrix(Y))
