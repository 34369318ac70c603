"""Our skorch nets by themselves: sizes, precision, training, parameters, copies."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from user_nets import (
    classes_table,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

from sklearn_mabprune import (
    MLP,
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
)

KINDS = {
    "classifier": (small_classifier, classes_table),
    "regressor": (small_regressor, values_table),
}
both = pytest.mark.parametrize("kind", KINDS)


def made(kind, **params):
    net, table = KINDS[kind]
    return net(random_state=0, **params), *table()


def widths(net):
    return [(m.in_features, m.out_features) for m in net.module_ if isinstance(m, nn.Linear)]


# ------------------------------------------------------------------------ sizes from data


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier_sizes_itself(n_classes):
    X, y = classes_table(n_classes=n_classes)
    net = small_classifier().fit(X, y)
    assert widths(net) == [(6, 12), (12, 8), (8, n_classes)]
    assert net.predict_proba(X).shape == (120, n_classes)
    np.testing.assert_allclose(net.predict_proba(X).sum(axis=1), 1.0)
    assert set(net.predict(X)) <= set(range(n_classes))


@pytest.mark.parametrize("n_targets", [1, 3])
def test_regressor_sizes_itself(n_targets):
    X, y = values_table(n_targets=n_targets)
    net = small_regressor().fit(X, y)
    assert widths(net) == [(6, 12), (12, 8), (8, n_targets)]
    assert net.predict(X).shape == (120, n_targets)


@both
def test_refit_on_another_shape(kind):
    net, X, y = made(kind)
    net.fit(X, y)
    net.fit(X[:, :4], y)
    assert widths(net)[0] == (4, 12)
    alone = made(kind)[0].fit(X[:, :4], y)
    assert same_state(state(net), state(alone)), "nothing of the first fit is left"


def test_default_sizes():
    X, y = classes_table()
    assert widths(MLPNetClassifier(max_epochs=1).fit(X, y)) == [(6, 128), (128, 64), (64, 3)]


def test_one_number_is_one_hidden_layer():
    X, y = classes_table()
    net = small_classifier(module__hidden_layer_sizes=5).fit(X, y)
    assert widths(net) == [(6, 5), (5, 3)]


def test_what_the_module_is_made_of():
    X, y = classes_table()
    net = small_classifier(
        module__activation="gelu", module__dropout=0.2, module__batch_norm=True
    ).fit(X, y)
    hidden = [nn.Linear, nn.BatchNorm1d, nn.GELU, nn.Dropout]
    assert [type(layer) for layer in net.module_] == [*hidden, *hidden, nn.Linear]


def test_parts_of_the_module():
    X, y = classes_table()
    module = small_classifier().fit(X, y).module_
    x = torch.tensor(X)
    with torch.no_grad():
        hidden = module[:-1](x)
        assert hidden.shape == (120, 8)
        torch.testing.assert_close(module[-1](hidden), module(x))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"activation": "swish"}, "'activation' parameter of MLP .*'relu'.* Got 'swish' instead"),
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes=\(\) must name at least one"),
        ({"hidden_layer_sizes": (4, 0)}, "each size an integer of at least 1"),
        ({"hidden_layer_sizes": (2.5,)}, r"=\(2.5,\) .* each size an integer"),
        ({"hidden_layer_sizes": (True,)}, r"=\(True,\) .* each size an integer"),
        ({"dropout": np.nan}, r"dropout.* a float in the range \[0.0, 1.0\). Got nan"),
        ({"dropout": 1.0}, r"dropout.* a float in the range \[0.0, 1.0\). Got 1.0"),
        ({"dropout": True}, r"dropout.* a float in the range \[0.0, 1.0\). Got True"),
        ({"batch_norm": "yes"}, "batch_norm.* an instance of 'bool'.* Got 'yes' instead"),
    ],
)
def test_bad_module_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        MLP(3, 2, **params)


@both
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_epochs": 2.5}, r"'max_epochs' .* an int in the range \[0, inf\). Got 2.5 instead"),
        ({"max_epochs": -1}, r"'max_epochs' .* an int in the range \[0, inf\). Got -1 instead"),
        ({"max_epochs": True}, r"'max_epochs' .* an int in the range .* Got True instead"),
        (
            {"patience": 0},
            r"'patience' .* an int in the range \[1, inf\). Got 0 instead",
        ),
        ({"batch_size": 0}, r"'batch_size' .* int in the range \[1, inf\) or a int among {-1}"),
        ({"batch_size": 2.5}, "'batch_size' parameter of MLPNet.* must be an int .* Got 2.5"),
        ({"lr": True}, r"'lr' parameter of MLPNet.* a float in the range .* Got True instead"),
        ({"lr": -0.1}, r"'lr' .* a float in the range \[0.0, inf\).* Got -0.1 instead"),
        (
            {"dtype": "float16"},
            "'dtype' .* must be a str among {.*'auto'.*}. Got 'float16' instead",
        ),
        ({"early_stopping": "no"}, "'early_stopping' .* instance of 'bool'.* Got 'no' instead"),
    ],
)
def test_bad_net_parameters(kind, params, message):
    net, X, y = made(kind)
    with pytest.raises(ValueError, match=message):
        net.set_params(**params).fit(X, y)
    # Alone as in the estimator that prunes it, before anything is trained.
    pruned = {"classifier": MABPrunedClassifier, "regressor": MABPrunedRegressor}[kind]
    with pytest.raises(ValueError, match=message):
        pruned(net).fit(X, y)


@both
def test_a_seed_that_is_not_an_integer(kind):
    # Alone: the estimator that prunes the net gives it a seed of its own.
    net, X, y = made(kind)
    message = r"'random_state' parameter of MLPNet.* must be .* Got 'seed' instead"
    with pytest.raises(ValueError, match=message):
        net.set_params(random_state="seed").fit(X, y)


def test_datasets_are_refused():
    X, y = classes_table()
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    with pytest.raises(ValueError, match="Pass arrays, not a Dataset"):
        small_classifier().fit(rows, None)


# ---------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    ("n_rows", "given", "asked", "used"),
    [
        (2000, np.float64, "auto", torch.float64),
        (2001, np.float64, "auto", torch.float32),
        (50, np.float32, "auto", torch.float32),
        (2001, np.float64, "float64", torch.float64),
        (50, np.float64, "float32", torch.float32),
    ],
)
@both
def test_precision(kind, n_rows, given, asked, used):
    net, table = KINDS[kind]
    X, y = table(n_rows)
    net = net(dtype=asked, max_epochs=1).fit(X.astype(given), y)
    assert {p.dtype for p in net.module_.parameters()} == {used}
    assert np.isfinite(net.predict(X.astype(given))).all()


# ----------------------------------------------------------------- copies and parameters


@both
def test_fit_changes_no_parameter(kind):
    net, X, y = made(kind)
    before = repr(net.get_params(deep=False))
    net.fit(X, y)
    assert repr(net.get_params(deep=False)) == before


@both
@pytest.mark.parametrize("copied", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy])
def test_copies_before_and_after_fit(kind, copied):
    net, X, y = made(kind)
    expected = made(kind)[0].fit(X, y).predict(X)
    np.testing.assert_array_equal(copied(net).fit(X, y).predict(X), expected)
    net.fit(X, y)
    np.testing.assert_array_equal(copied(net).predict(X), expected)


@both
def test_clone_is_not_fitted_and_fits_the_same(kind):
    net, X, y = made(kind)
    net.fit(X, y)
    new = clone(net)
    assert not new.initialized_
    assert not hasattr(new, "n_features_in_")
    assert same_state(state(new.fit(X, y)), state(net))


@both
def test_set_params(kind):
    net, X, y = made(kind)
    net.fit(X, y)
    net.set_params(module__hidden_layer_sizes=(4,), lr=0.02, max_epochs=3)
    net.fit(X, y)
    assert widths(net)[0] == (6, 4)
    assert net.optimizer_.param_groups[0]["lr"] == 0.02
    assert len(net.history) == 3


@both
def test_grid_in_a_pipeline(kind):
    net, X, y = made(kind)
    sizes, rates = [(4,), (12, 8)], [1e-5, 0.02]
    step = type(net).__name__.lower()
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), net),
        {f"{step}__module__hidden_layer_sizes": sizes, f"{step}__lr": rates},
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert len(set(grid.cv_results_["mean_test_score"])) == 4, "every parameter was obeyed"
    best = grid.best_estimator_[-1]
    assert grid.best_params_[f"{step}__lr"] == 0.02
    assert widths(best)[0][1] == grid.best_params_[f"{step}__module__hidden_layer_sizes"][0]


@both
def test_saved_weights_open_in_a_new_net(kind, tmp_path):
    net, X, y = made(kind)
    net.fit(X, y).save_params(f_params=tmp_path / "weights.pt")
    new = clone(net).set_params(
        module__n_features=6, module__n_outputs=widths(net)[-1][1], module__dtype="float64"
    )
    new.initialize().load_params(f_params=tmp_path / "weights.pt")
    np.testing.assert_array_equal(new.predict(X), net.predict(X))


@both
def test_partial_fit_sizes_itself_and_goes_on(kind):
    net, X, y = made(kind, early_stopping=False)
    net.partial_fit(X, y)
    assert widths(net)[0] == (6, 12)
    assert len(net.history) == 12
    first = net.history[-1, "train_loss"]
    net.partial_fit(X, y)
    assert len(net.history) == 24
    assert net.history[-1, "train_loss"] < first


@both
def test_torch_tensors_and_read_only_arrays(kind):
    net, X, y = made(kind)
    expected = net.fit(X, y).predict(X)
    frozen = np.asfortranarray(X)
    frozen.setflags(write=False)
    np.testing.assert_array_equal(made(kind)[0].fit(frozen, y).predict(frozen), expected)
    as_tensors = made(kind)[0].fit(torch.tensor(X), y)
    np.testing.assert_array_equal(as_tensors.predict(torch.tensor(X)), expected)


def test_pickle_keeps_the_targets_units():
    X, y = values_table()
    net = small_regressor(random_state=0).fit(X, y)
    buffer = io.BytesIO()
    torch.save(net.module_.state_dict(), buffer)
    buffer.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = torch.load(buffer, weights_only=True)
    np.testing.assert_array_equal(weights["target_mean"].numpy(), net.target_mean_)
    np.testing.assert_array_equal(weights["target_scale"].numpy(), net.target_scale_)


@pytest.mark.parametrize("params", [{}, {"batch_norm": True, "activation": "tanh"}])
def test_one_seed_draws_the_same_weights_in_both_precisions(params):
    single, double = (
        MLP(6, 3, (7, 5), random_state=3, dtype=dtype, **params) for dtype in ("float32", "float64")
    )
    for name, value in double.state_dict().items():
        assert torch.equal(single.state_dict()[name], value.to(single.state_dict()[name].dtype))
    assert {p.dtype for p in single.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in single.parameters())


@pytest.mark.parametrize("kind", [MLPNetClassifier, MLPNetRegressor])
def test_fits_of_one_table_in_both_precisions_are_near(kind):
    X, y = classes_table() if kind is MLPNetClassifier else values_table()
    X = X.astype(np.float32)
    found = [
        kind(module__hidden_layer_sizes=(8,), max_epochs=3, random_state=0)
        .fit(X.astype(dtype), y)
        .module_.state_dict()["0.weight"]
        for dtype in (np.float32, np.float64)
    ]
    assert (found[0].dtype, found[1].dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(found[0].double(), found[1], rtol=1e-3, atol=1e-4)


def test_documented_defaults():
    net = MLPNetRegressor()
    found = {k: getattr(net, k) for k in ("lr", "max_epochs", "batch_size", "patience", "dtype")}
    assert found == {
        "lr": "auto", "max_epochs": 200, "batch_size": 200, "patience": 20, "dtype": "auto",
    }  # fmt: skip
    assert net.early_stopping is True
    assert net.module is MLP


@pytest.mark.parametrize(("n_classes", "sizes"), [(10, (128, 64)), (11, (256, 128))])
def test_many_classes_have_wider_layers(n_classes, sizes):
    X, y = np.random.default_rng(0).normal(size=(220, 3)), np.arange(220) % n_classes
    net = MLPNetClassifier(max_epochs=1).fit(X, y)
    found = [layer.out_features for layer in net.module_ if isinstance(layer, nn.Linear)]
    assert found == [*sizes, n_classes]
    given = clone(net).set_params(module__hidden_layer_sizes=(5,)).fit(X, y)
    assert given.module_[0].out_features == 5
