"""Nets of the user's own: skorch's quick start, instances, compiled and trained ones."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from user_nets import (
    Plain,
    QuickStart,
    classes_table,
    classifier,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    unit_values_table,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier, PruningWarning
from sklearn_mabprune.graph.module import PrunedChain

CASES = {
    "ours": (classifier, small_classifier, classes_table),
    "ours, values": (regressor, small_regressor, values_table),
    "quick start": (classifier, quick_start, classes_table),
    "plain": (classifier, plain_classifier, classes_table),
    "plain, values": (regressor, plain_regressor, unit_values_table),
}
every_case = pytest.mark.parametrize("case", CASES)


def outputs(model, X):
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


def as_net_wants(net, X, y):
    """Rows and targets for skorch's own methods."""
    dtype = str(next(net.module_.parameters()).dtype).removeprefix("torch.")
    return X.astype(dtype), y if y.dtype.kind == "i" else y.reshape(len(y), -1).astype(dtype)


# ------------------------------------------------------------------------------ as they come


def test_quick_start():
    X, codes = classes_table(300)
    y = np.array(["no", "perhaps", "yes"])[codes]
    net = quick_start(max_epochs=60, module__num_units=30)
    model = MABPrunedClassifier(net, pruning_budget=0.5, tolerance=0.2, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.75
    module = model.estimator_.module_
    assert [type(layer) for layer in module] == [
        nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear, nn.Softmax,
    ]  # fmt: skip
    assert sum(model.hidden_layer_sizes_) == 30
    # The module returns probabilities, and so does the estimator: not their softmax.
    with torch.no_grad():
        expected = module(torch.tensor(X, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.classes_[expected.argmax(axis=1)])


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_kind_of_net(case, dtype):
    make, net, table = CASES[case]
    X, y = table()
    model = make(net(), pruning_budget=0.6).fit(X.astype(dtype), y)
    assert type(model.estimator_) is type(net())
    assert np.isfinite(outputs(model, X.astype(dtype))).all()
    original = model.pruning_report_.before.hidden_layer_sizes
    assert sum(model.hidden_layer_sizes_) == sum(original) - int(0.6 * sum(original))


def test_every_layer_of_a_users_chain_is_there():
    X, y = classes_table()
    model = classifier(plain_classifier()).fit(X, y)
    a, b = model.hidden_layer_sizes_
    found = [
        (type(m).__name__, *(p.shape for p in m.parameters())) for m in model.estimator_.module_
    ]
    assert found == [
        ("Linear", (a, 6), (a,)), ("BatchNorm1d", (a,), (a,)), ("Tanh",),
        ("Linear", (b, a), (b,)), ("PReLU", (1,)), ("Linear", (3, b), (3,)),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [Plain, QuickStart])
def test_module_given_as_an_instance(kind):
    X, y = classes_table()
    module = kind()
    before = copy.deepcopy(module.state_dict())
    criterion = nn.NLLLoss if kind is QuickStart else nn.CrossEntropyLoss
    net = NeuralNetClassifier(module, criterion=criterion, max_epochs=3, verbose=0)
    model = classifier(net).fit(X, y)
    assert sum(model.hidden_layer_sizes_) < sum(model.pruning_report_.before.hidden_layer_sizes)
    assert net.module is module
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    np.testing.assert_array_equal(
        classifier(net).fit(X, y).predict_proba(X), model.predict_proba(X)
    )


def test_instance_of_double_precision():
    X, y = classes_table()
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, max_epochs=3, verbose=0)
    model = classifier(net).fit(X, y)
    assert {p.dtype for p in model.estimator_.module_.parameters()} == {torch.float64}


def test_a_fitted_net_is_trained_anew_and_left_alone():
    X, y = classes_table()
    fresh = classifier(quick_start()).fit(X, y).predict_proba(X)
    net = quick_start().fit(X.astype(np.float32), y)
    before = state(net)
    model = classifier(net).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), fresh)
    assert same_state(state(net), before)


def test_batch_norm_with_a_last_batch_of_one_row():
    X, y = classes_table(120)
    module = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    )  # fmt: skip
    for batch_size in (16, 20, 33):
        net = NeuralNetClassifier(
            module, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0, batch_size=batch_size
        )
        # One batch and a single row more, in training and in fine-tuning.
        n_train = 3 * batch_size + 1
        model = classifier(net).fit(X[:n_train], y[:n_train], X_val=X[n_train:], y_val=y[n_train:])
        assert np.isfinite(model.predict_proba(X)).all()
        assert not hasattr(model.estimator_, "iterator_train__drop_last")


def test_layers_before_the_first_linear():
    X, y = classes_table()
    module = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.1), nn.Linear(6, 8), nn.ReLU(),
                           nn.Linear(8, 3))  # fmt: skip
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, max_epochs=3, verbose=0)
    model = classifier(net).fit(X, y)
    assert [type(layer) for layer in list(model.estimator_.module_)[:2]] == [
        nn.BatchNorm1d,
        nn.Dropout,
    ]
    assert model.hidden_layer_sizes_ == (4,)
    assert model.pruning_report_.unused_features == ()


# torch.compile's tracer looks at attributes that torch warns about.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("frozen", [False, True])
def test_compiled_nets_do_as_others_do(frozen):
    X, y = classes_table()
    table = {"X_val": X[:40], "y_val": y[:40]}
    found = []
    for compiled in (False, True):
        # The tracer alone: a compiler need not be there.
        net = plain_classifier(compile=compiled, compile__backend="eager", max_epochs=2)
        if frozen:
            torch.manual_seed(0)
            net.fit(X.astype(np.float32), y)
        # Validation rows of the user's: no warning that the net may know them.
        model = classifier(FrozenEstimator(net) if frozen else net).fit(X, y, **table)
        assert net.compile is model.estimator_.compile is compiled
        assert hasattr(model.estimator_.module_, "_orig_mod") is compiled
        found.append((model.hidden_layer_sizes_, model.predict_proba(X)))
    torch._dynamo.reset()
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)


# -------------------------------------------------------------------------- trained already


@every_case
def test_frozen_net_is_pruned_and_never_changed(case):
    make, net, table = CASES[case]
    X, y = table()
    net = net()
    if case.startswith("ours"):
        net.fit(X, y)
    else:
        net.initialize()
        net.fit(*as_net_wants(net, X, y))
    before, expected = state(net), outputs(net, as_net_wants(net, X, y)[0])
    with pytest.warns(
        PruningWarning, match="trained on samples that are now held out.* Pass X_val"
    ):
        model = make(FrozenEstimator(net), pruning_budget=0).fit(X, y)
    np.testing.assert_allclose(
        outputs(model, X).reshape(expected.shape), expected, rtol=1e-6, atol=1e-7
    )
    assert model.pruning_report_.seconds_training == 0
    with pytest.warns(PruningWarning, match="estimator is a trained net"):
        model = make(FrozenEstimator(net), pruning_budget=0.5).fit(X, y)
    assert sum(model.hidden_layer_sizes_) < sum(model.pruning_report_.before.hidden_layer_sizes)
    n_epochs = len(net.history)
    model.estimator_.partial_fit(*as_net_wants(net, X, y))
    assert len(net.history) == n_epochs < len(model.estimator_.history)
    assert same_state(state(net), before)
    assert outputs(net, as_net_wants(net, X, y)[0]).tolist() == expected.tolist()


@every_case
def test_frozen_net_whose_weights_were_loaded(case, tmp_path):
    make, net, table = CASES[case]
    X, y = table()
    model = make(net(), pruning_budget=0.3).fit(X, y)
    model.estimator_.save_params(f_params=tmp_path / "weights.pt")
    loaded = clone(model.estimator_).initialize()
    loaded.load_params(f_params=tmp_path / "weights.pt")
    with pytest.warns(PruningWarning, match="estimator is a trained net"):
        again = make(FrozenEstimator(loaded), pruning_budget=0).fit(X, y)
    np.testing.assert_allclose(outputs(again, X), outputs(model, X), rtol=1e-6, atol=1e-7)


def test_frozen_net_with_labels_of_its_own():
    X, codes = classes_table()
    net = small_classifier().fit(X, codes)
    y = np.array(["no", "perhaps", "yes"])[codes]
    with pytest.warns(PruningWarning, match="estimator is a trained net"):
        model = classifier(FrozenEstimator(net), pruning_budget=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), model.classes_[net.predict(X)])


def test_the_pruned_net_trains_on_with_the_places_of_labels():
    X, codes = classes_table()
    y = np.array(["no", "perhaps", "yes"])[codes]
    model = classifier(fine_tune_epochs=0).fit(X, y)
    before = model.pruning_report_.after.loss
    model.estimator_.partial_fit(X, np.searchsorted(model.classes_, y))
    np.testing.assert_array_equal(model.predict(X), model.classes_[model.estimator_.predict(X)])
    assert log_loss(y, model.predict_proba(X)) < before


# ----------------------------------------------------------------- what fit leaves behind


@every_case
def test_estimator_goes_into_files_and_comes_back(case, tmp_path):
    make, net, table = CASES[case]
    X, y = table()
    model = make(net(), pruning_budget=0.6).fit(X, y)
    files = {"f_params": tmp_path / "params.pt", "f_history": tmp_path / "history.json"}
    model.estimator_.save_params(**files, f_optimizer=tmp_path / "optimizer.pt")
    new = clone(model.estimator_).initialize()
    rows = as_net_wants(new, X, y)[0]
    assert not np.allclose(outputs(new, rows), outputs(model.estimator_, rows))
    new.load_params(**files, f_optimizer=tmp_path / "optimizer.pt")
    assert same_state(state(new), state(model.estimator_))
    np.testing.assert_array_equal(outputs(new, rows), outputs(model.estimator_, rows))
    found = outputs(new, rows)
    np.testing.assert_allclose(found.reshape(outputs(model, X).shape), outputs(model, X), rtol=1e-6)
    assert len(new.history) == len(model.estimator_.history)


@every_case
def test_partial_fit_trains_the_small_network_on(case):
    make, net, table = CASES[case]
    X, y = table(200)
    model = make(net(max_epochs=10), pruning_budget=0.5, fine_tune_epochs=0).fit(X, y)
    small = model.estimator_
    rows, targets = as_net_wants(small, X, y)
    sizes, before = {k: v.shape for k, v in state(small).items()}, state(small)
    n_before = len(small.history)
    small.partial_fit(rows, targets)
    losses = small.history[n_before:, "train_loss"]
    assert losses[-1] < losses[0]
    assert {k: v.shape for k, v in state(small).items()} == sizes
    assert not same_state(state(small), before)
    # The estimator predicts with the net as it is now, in evaluation mode.
    small.module_.train()
    found = outputs(model, X)
    np.testing.assert_array_equal(found, outputs(model, X))
    expected = outputs(small, rows)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-6)


@every_case
def test_parameters_of_the_net_are_those_of_the_user(case):
    make, net, table = CASES[case]
    X, y = table()
    asked = net(max_epochs=3, lr=0.02, batch_size=37)
    found = make(asked).fit(X, y).estimator_.get_params(deep=False)
    for name, value in asked.get_params(deep=False).items():
        kept = ("module", "random_state", "_params_to_validate", "train_split")
        if not name.startswith(kept):
            assert found[name] == value, name
    assert (found["max_epochs"], found["lr"], found["batch_size"]) == (3, 0.02, 37)


def test_the_smaller_module_is_built_from_plain_data():
    X, y = classes_table()
    ours = classifier().fit(X, y)
    params = ours.estimator_.get_params(deep=False)
    assert params["module__hidden_layer_sizes"] == ours.hidden_layer_sizes_
    assert (params["module__n_features"], params["module__n_outputs"]) == (6, 3)
    users = classifier(quick_start(module__num_units=9)).fit(X, y)
    params = users.estimator_.get_params(deep=False)
    assert params["module"] is PrunedChain
    assert "module__num_units" not in params
    assert all(isinstance(name, str) for name, _ in params["module__layers"])


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), "has 2 outputs, y needs 3"),
        (nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), "reads 5 features, X has 6"),
        (nn.Sequential(nn.Linear(6, 3)), "has 1 Linear layers; pruning needs a hidden layer"),
    ],
)
def test_modules_that_do_not_fit(module, message):
    X, y = classes_table()
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, verbose=0)
    with pytest.raises(ValueError, match=message):
        classifier(net).fit(X, y)


def test_flat_outputs_are_refused():
    X, y = unit_values_table()
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    net = NeuralNetRegressor(module, verbose=0)
    with pytest.raises(
        ValueError, match=r"returns shape \(64,\) for 64 samples, which must be \(64, 1\)"
    ):
        regressor(net).fit(X, y)
