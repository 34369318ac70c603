"""The input stage: scales and bins from samples, and fits with it."""

from __future__ import annotations

import pickle

import numpy as np
import onnx
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from benchmarks.shared.compiling import Library
from sklearn_mabprune import (
    MLP,
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    PiecewiseLinearEmbedding,
    UnsupportedModuleError,
    load,
)
from sklearn_mabprune.ablation.unread import without_unread
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.graph.kinds.registry import kind_of
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.fine_tuning import starting_rate
from sklearn_mabprune.training.inputs import (
    LEAST_FOR_EACH,
    LEAST_SAMPLES,
    MOST_FEATURES,
    N_BINS,
    embedding_of,
)


def table(n_samples=300, seed=0):
    """Features far from standardised: skewed, of few values, of two values, constant."""
    rng = np.random.default_rng(seed)
    X = np.column_stack(
        [
            np.exp(3 * rng.standard_normal(n_samples)),
            rng.integers(0, 5, n_samples),
            rng.integers(0, 2, n_samples),
            np.full(n_samples, 7e6),
            1e4 + 100 * rng.standard_normal(n_samples),
        ]
    )
    steps = np.isin(X[:, 1], (1, 3)) + np.log(X[:, 0]) / 3
    return X, steps


@pytest.fixture(scope="module")
def fitted():
    X, y = table()
    return regressor("piecewise_linear").fit(X, y)


def regressor(inputs):
    net = MLPNetRegressor(inputs=inputs, lr=0.01, patience=5, module__hidden_layer_sizes=(16, 8))
    return MABPrunedRegressor(net, pruning_budget=0.5, random_state=0, tolerance=0.2)


# --------------------------------------------------------------------- from samples alone


def test_bins_are_between_quantiles():
    X, _ = table(2000)
    layer = embedding_of(X)
    assert layer.embedded.tolist() == [0, 1, 4]
    fractions = layer.fractions(torch.tensor(X.T))
    assert fractions.shape == (3, N_BINS, 2000)
    # As many samples in each bin, of a feature with many values.
    inside = ((fractions > 0) & (fractions < 1)).sum(dim=-1)[[0, 2]]
    assert int(inside.min()) > 0.9 * 2000 / N_BINS
    assert int(inside.max()) < 1.1 * 2000 / N_BINS
    # Of one with few values every step is a bin, and the others are flat.
    assert layer.start[1, :4].tolist() == [0, 1, 2, 3]
    assert fractions[1, :4].sum(0).tolist() == X[:, 1].tolist()
    assert not fractions[1, 4:].any()


def test_a_frequent_value_leaves_bins_to_the_others():
    rng = np.random.default_rng(0)
    amounts = np.exp(rng.standard_normal(300))
    layer = embedding_of(np.concatenate([np.zeros(2700), amounts, np.full(900, 50.0)])[:, None])
    edges = layer.start[0][layer.slope[0] > 0].numpy()
    assert edges[0] == 0
    inside = np.histogram(amounts, edges[1:])[0]
    # Two of 15 bins for the two frequent values.
    assert len(edges) >= N_BINS - 2
    assert inside.min() >= 0.8 * 300 / (N_BINS - 2)
    assert inside.max() <= 1.2 * 300 / (N_BINS - 2)


def test_scale_is_robust_and_bounded():
    X, _ = table(2001)
    X[0, 4] = 1e12
    with torch.no_grad():
        z = embedding_of(X)(torch.tensor(X))[:, :5].numpy()
    quartiles = np.quantile(z[:, [0, 4]], [0.25, 0.5, 0.75], axis=0)
    assert np.abs(quartiles[1]).max() < 1e-9
    assert np.all(np.abs(quartiles[2] - quartiles[0]) < 1.01)
    assert np.abs(z).max() <= 3.0
    # Two values stay as they are, and a constant is zero.
    assert np.array_equal(z[:, 2], X[:, 2])
    assert not z[:, 3].any()


def test_two_large_values_are_scaled():
    X = np.column_stack([np.arange(40.0), np.repeat([-2e9, 3e9], 20)])
    z = embedding_of(X)(torch.tensor(X))[:, 1]
    assert sorted(set(z.tolist())) == pytest.approx([0, 1])


def test_a_weight_counts_as_that_many_copies():
    X, _ = table(100)
    weights = np.random.default_rng(1).integers(0, 4, 100)
    weighted = embedding_of(X, weights / 7)
    copied = embedding_of(np.repeat(X, weights, axis=0)[::-1])
    for name, value in copied.state_dict().items():
        assert torch.equal(value, weighted.state_dict()[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30])
def test_values_of_any_size_stay_finite(size, dtype):
    X = np.linspace(-size, size, 50).reshape(-1, 1).repeat(2, axis=1)
    X[0] = 1e38 if size > 1 else -size
    layer = embedding_of(X).to(dtype)
    for at in (X, -X, 1e8 * X if size < 1 else X):
        assert torch.isfinite(layer(torch.tensor(at, dtype=dtype))).all()


def test_no_stage_where_there_is_nothing_to_learn():
    assert embedding_of(np.repeat(np.eye(3), 4, axis=0)) is None
    assert embedding_of(sparse.csr_matrix(table()[0])) is None


# -------------------------------------------------------------------------------- in fits


def test_a_fit_on_raw_features_learns_steps_and_logarithms(fitted):
    X, y = table(seed=1)
    scaled = make_pipeline(StandardScaler(), regressor(None)).fit(*table())
    assert fitted.score(X, y) > 0.9 > scaled.score(X, y) + 0.2
    stage = fitted.estimator_.module_[0]
    assert isinstance(stage, PiecewiseLinearEmbedding)
    assert stage.n_features == fitted.n_features_in_ == 5
    report = fitted.pruning_report_
    n_parameters = sum(p.numel() for p in fitted.estimator_.module_.parameters())
    assert report.after.n_parameters == n_parameters


def test_what_is_not_read_is_neither_kept_nor_computed(fitted):
    X, _ = table(seed=2)
    stage, report = fitted.estimator_.module_[0], fitted.pruning_report_
    # Of the constant.
    assert report.unused_features == (3,)
    assert "unused input features: 3" in str(report)
    assert 3 not in kind_of(stage).sources(stage)
    assert stage.n_passed < 5
    exported = fitted.to_onnx().graph
    gathered = next(node for node in exported.node if node.op_type == "Gather").input[1]
    [features] = [each for each in exported.initializer if each.name == gathered]
    assert 3 not in onnx.numpy_helper.to_array(features)
    X[:, 3] = np.random.default_rng(0).normal(size=len(X))
    assert np.array_equal(fitted.predict(X), fitted.predict(table(seed=2)[0]))


def test_outputs_that_nothing_reads_are_removed():
    X, y = table()
    net = MLPNetRegressor(inputs="piecewise_linear", max_epochs=1, module__dropout=0.0).fit(X, y)
    net.module_.eval()
    stage, reader = net.module_[0], net.module_[1]
    with torch.no_grad():
        # A feature, the functions of another one, and one function of the third.
        reader.weight[:, [0, 2, 8, 9, 10, 12]] = 0
    data = Data(X, y[:, None], None, 1)
    graph = recover_graph(net.module_, torch.tensor(X))
    smaller = without_unread(graph, samples_of(net, data))
    new = smaller.nodes[0].layer
    assert set(new.passed.tolist()) <= {1, 4}
    assert set(new.embedded.tolist()) <= {0, 4}
    assert new.n_chosen <= 5
    assert new.weight.numel() < stage.weight.numel()
    assert smaller.cost()[1] < graph.cost()[1]
    assert smaller.n_bytes < graph.n_bytes
    samples = samples_of(net, data)
    with torch.no_grad():
        before, after = (
            samples.loss(network.forward(samples.x), samples.targets).mean()
            for network in (graph, smaller)
        )
    assert after <= (1 + 1e-4) * before


def test_no_function_of_a_feature_may_be_left(tmp_path):
    # What is to be known stands in the features of two values, which have no functions.
    generator = np.random.default_rng(0)
    X = np.hstack([generator.integers(0, 2, (300, 4)), generator.normal(size=(300, 3))])
    y = X[:, 0] + X[:, 1] > 1
    net = MLPNetClassifier(inputs="piecewise_linear", max_epochs=3)
    with pytest.warns(ConvergenceWarning):
        model = MABPrunedClassifier(net, random_state=0).fit(X, y)
    stage = model.estimator_.module_[0]
    assert (stage.n_passed, stage.weight.shape[0]) == (2, 0)
    wanted = model.predict_proba(X)
    with torch.no_grad():
        found = model.to_torch()(torch.tensor(X)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), wanted, rtol=1e-9)
    model.to_onnx()  # compared with predict_proba by the export itself
    model.to_c(tmp_path / "model.h")
    C = Library(tmp_path, {"model": (tmp_path / "model.h").read_text()})
    np.testing.assert_allclose(C.outputs("model", X), wanted, atol=1e-5)
    model.save(tmp_path / "model")
    for again in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(again.predict_proba(X), wanted)
    assert model.at_budget(0.25, X, y).score(X, y) >= 0.7
    assert np.isfinite(model.estimator_.partial_fit(X, y).predict_proba(X)).all()


def test_exports_contain_it(fitted, tmp_path):
    X, _ = table(seed=2)
    wanted = fitted.predict(X)
    with torch.no_grad():
        found = fitted.to_torch()(torch.tensor(X))[:, 0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    fitted.save(tmp_path / "model")
    for again in (load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
        assert np.array_equal(again.predict(X), wanted)
    # Compared with predict by the export itself.
    assert fitted.to_onnx().graph.node[0].op_type == "Gather"
    pipeline = fitted.to_sklearn()
    assert [name for name, _ in pipeline.steps] == ["inputs", "mlp"]
    again = clone(pipeline[:1]).set_params().fit(X).transform(X)
    for model in (pipeline, pickle.loads(pickle.dumps(pipeline))):
        np.testing.assert_allclose(model.predict(X), wanted, rtol=1e-9)
        assert np.array_equal(model[:1].transform(X), again)
    with pytest.raises(ValueError, match="X has 3 features, but EmbeddedFeatures is expecting 5"):
        pipeline.predict(X[:, :3])


def test_a_net_around_it_can_be_cloned_and_fitted_again(fitted):
    net, (X, y) = fitted.estimator_, table()
    again = clone(net).initialize()
    again.module_.load_state_dict(net.module_.state_dict())
    with torch.no_grad():
        outputs = [each.module_.eval()(torch.tensor(X)) for each in (again, net)]
    assert torch.equal(*outputs)
    refitted = clone(net).set_params(max_epochs=2).fit(X, y)
    assert torch.equal(refitted.module_[0].scale.double(), embedding_of(X).scale)
    assert refitted.module_[1].out_features == net.module_[1].out_features


def test_where_auto_leaves_features_as_they_are():
    n, rng = LEAST_SAMPLES, np.random.default_rng(0)
    few = rng.standard_normal((n, n // LEAST_FOR_EACH))
    binary = rng.integers(0, 2, (n, MOST_FEATURES - n // LEAST_FOR_EACH))
    tables = {
        "few": few,
        "with binary": np.hstack([few, binary]),
        "more binary": np.hstack([few, binary, binary[:, :1]]),
        "more": np.hstack([few, few[:, :1]]),
        "sparse": sparse.csr_matrix(few),
        "short": few[1:],
    }
    first = {}
    for name, X in tables.items():
        net = MLPNetClassifier(max_epochs=0, module__hidden_layer_sizes=(4,))
        first[name] = type(net.fit(X, np.arange(X.shape[0]) % 2).module_[0])
    assert [name for name, kind in first.items() if kind is PiecewiseLinearEmbedding] == [
        "few",
        "with binary",
    ]


def test_one_random_state_is_one_network_in_both_precisions():
    X, y = table(80)
    nets = [
        MLPNetRegressor(inputs="piecewise_linear", max_epochs=0, random_state=3, dtype=dtype).fit(
            X, y
        )
        for dtype in ("float32", "float64")
    ]
    for one, other in zip(*(net.module_.parameters() for net in nets), strict=True):
        assert torch.equal(one, other.float())
    bound = N_BINS**-0.5
    assert 0.9 * bound < float(nets[1].module_[0].weight.detach().abs().max()) <= bound


def test_unknown_inputs_are_refused():
    with pytest.raises(ValueError, match="'inputs' parameter of MLPNetClassifier must be"):
        MLPNetClassifier(inputs="periodic").fit(*[np.eye(4), np.arange(4) % 2])


def test_a_stage_behind_a_linear_is_refused():
    layer = embedding_of(table()[0]).float()
    module = nn.Sequential(
        nn.Linear(5, 5), nn.ReLU(), layer, nn.Linear(14, 4), nn.ReLU(), nn.Linear(4, 2)
    )
    with pytest.raises(UnsupportedModuleError, match=r"'2' .* stands behind a Linear"):
        recover_graph(module, torch.zeros(4, 5))
    with pytest.raises(ValueError, match="reads 5 features, X has 6"):
        recover_graph(MLP(5, 2, inputs=layer), torch.zeros(4, 6))


@pytest.mark.parametrize(("inputs", "rate"), [("piecewise_linear", 0.003), (None, 0.001)])
def test_the_rate_is_that_of_the_inputs(inputs, rate):
    X, y = table(60)
    net = MLPNetRegressor(inputs=inputs, max_epochs=1).fit(X / 1e4, y)
    assert [group["lr"] for group in net.optimizer_.param_groups] == [rate]
    dropouts = [layer.p for layer in net.module_ if isinstance(layer, nn.Dropout)]
    assert dropouts == ([0.1, 0.1] if inputs else [])
    # Fine-tuning takes ten times a rate that was given.
    assert starting_rate(net, "auto") == 0.01
    net.set_params(lr=0.002)
    assert starting_rate(net, "auto") == 0.02


@pytest.mark.parametrize(("rate", "seen"), [(None, {0.1, 0.0}), (0.25, {0.25})])
def test_only_a_rate_of_the_user_drops_units_in_fine_tuning(rate, seen):
    """The default rate goes with the width of the unpruned network."""
    X, y = table()
    net = MLPNetRegressor(inputs="piecewise_linear", max_epochs=2)
    net.set_params(**{} if rate is None else {"module__dropout": rate})
    rates = set()

    def watch(layer, given):
        if isinstance(layer, nn.Dropout) and layer.training:
            rates.add(layer.p)

    watching = register_module_forward_pre_hook(watch)
    model = MABPrunedRegressor(net, pruning_budget=0.5, random_state=0, tolerance=1.0).fit(X, y)
    watching.remove()
    assert rates == seen
    left = {part.p for part in model.estimator_.module_.modules() if isinstance(part, nn.Dropout)}
    assert left == seen - {0.0}
