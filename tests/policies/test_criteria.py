"""Scores from weights, against NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import hidden_and_sums, linears, make_graph, make_samples, sums
from builders import walk as walk_a_path
from sklearn.base import clone

from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.criteria import (
    CRITERIA,
    ActivationVariation,
    APoZ,
    Criterion,
    LayerView,
    Magnitude,
    PathNorm,
    Random,
    Reconstruction,
    Taylor,
)
from sklearn_mabprune.pruning.layer_views import layer_views
from sklearn_mabprune.utils.validation import check_parameters


def view(seed=0, n_neurons=8):
    rng = np.random.default_rng(seed)
    return LayerView(
        rng.normal(size=(n_neurons, 5)),
        rng.normal(size=n_neurons),
        rng.normal(size=(3, n_neurons)),
        rng.dirichlet(np.ones(30)),
        np.maximum(rng.normal(size=(30, n_neurons)), 0.0),
        rng.normal(size=(30, n_neurons)),
        rng.uniform(0.1, 1.0, size=n_neurons),
    )


@pytest.mark.parametrize("order", [1, 2])
def test_magnitude_is_the_norm_of_the_incoming_weights(order):
    layer = view()
    found = Magnitude(order=order).importance(layer, np.random.default_rng(0))
    wanted = (np.abs(layer.incoming) ** order).sum(axis=1) ** (1 / order)
    np.testing.assert_allclose(found, wanted)


def test_random_draws_come_from_the_generator():
    layer = view(n_neurons=2000)
    first = Random().importance(layer, np.random.default_rng(1))
    again = Random().importance(layer, np.random.default_rng(1))
    other = Random().importance(layer, np.random.default_rng(2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    assert len(np.unique(first)) == 2000
    assert np.abs(np.corrcoef(first, np.abs(layer.incoming).sum(1))[0, 1]) < 0.1


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("around", ["plain", "norm_before"])
def test_views_are_the_groups_as_they_stand(around, bias):
    graph = make_graph(hidden=(7, 5), around=around, bias=bias, dtype=torch.float32)
    views = layer_views(Activations(graph, make_samples(dtype=torch.float32)))
    assert len(views) == 2
    layers = linears(graph)
    for layer, before, after in zip(views, layers[:-1], layers[1:], strict=True):
        np.testing.assert_array_equal(layer.incoming, before.weight.detach().numpy())
        np.testing.assert_array_equal(layer.outgoing, after.weight.detach().numpy())
        wanted = before.bias.detach().numpy() if bias else np.zeros(before.out_features)
        np.testing.assert_array_equal(layer.bias, wanted)
        assert layer.incoming.dtype == layer.bias.dtype == np.float64


def walk(criterion, graph, seed=0, **options):
    samples = make_samples("classes")
    options = {"step": "auto"} | options
    return walk_a_path(
        criterion, 0.75, graph=graph, samples=samples, seed=seed, score=lambda _: 0.0, **options
    )


@pytest.mark.parametrize("order", [1, 2])
def test_a_path_by_magnitude_measures_again_in_every_round(order):
    """With zero ablation weights only vanish, so that a loop in NumPy can follow."""
    graph = make_graph(hidden=(9, 7))
    found = walk(Magnitude(order=order), graph, ablation="zero", step=2)
    weights = [layer.weight.detach().numpy().copy() for layer in linears(graph)]
    live = [np.arange(9), np.arange(7)]
    for step in found.steps[1:]:
        norms = [np.linalg.norm(w, ord=order, axis=1) for w in weights[:2]]
        ranked = sorted(
            (norm, layer, place) for layer in (0, 1) for place, norm in enumerate(norms[layer])
        )
        wanted, left = [], [len(norms[0]), len(norms[1])]
        for _, layer, place in ranked:
            if len(wanted) < len(step.removed) and left[layer] > 1:
                wanted.append((layer, place))
                left[layer] -= 1
        assert step.removed.tolist() == [live[k][place] + 9 * k for k, place in wanted]
        for layer in (0, 1):
            gone = [place for k, place in wanted if k == layer]
            live[layer] = np.delete(live[layer], gone)
            weights[layer] = np.delete(weights[layer], gone, axis=0)
            weights[layer + 1] = np.delete(weights[layer + 1], gone, axis=1)
    assert sum(step.n_pulls for step in found.steps) == 0
    assert all(step.loss_increase.size == 0 for step in found.steps)


def test_random_paths_follow_the_seed():
    graph = make_graph(hidden=(20, 10))
    removed = [
        np.concatenate([s.removed for s in walk(Random(), graph, seed).steps]).tolist()
        for seed in (0, 0, 1)
    ]
    assert removed[0] == removed[1] != removed[2]
    # Both layers lose neurons, in no particular order.
    assert {arm // 20 for arm in removed[0]} == {0, 1}


@pytest.mark.parametrize("name", CRITERIA)
def test_criteria_are_estimators(name):
    criterion = CRITERIA[name]()
    assert isinstance(criterion, Criterion)
    assert not criterion.needs_pulls
    assert clone(criterion).get_params() == criterion.get_params()
    scores = criterion.importance(view(), np.random.default_rng(0))
    assert scores.shape == (8,)
    assert np.isfinite(scores).all()


def test_a_criterion_must_score():
    with pytest.raises(NotImplementedError, match=r"Criterion must implement importance\(layer"):
        Criterion().importance(view(), np.random.default_rng(0))


# -------------------------------------------------------- criteria that look at more

SOURCE = np.random.default_rng(0)


def test_magnitude_of_the_outgoing_weights():
    layer = view()
    wanted = np.sqrt((layer.outgoing**2).sum(axis=0))
    np.testing.assert_allclose(Magnitude(side="outgoing").importance(layer, SOURCE), wanted)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (Magnitude(side="both"), "'side' parameter of Magnitude must be .* Got 'both' instead"),
        (Magnitude(side="both"), "'(incoming|outgoing)', '(incoming|outgoing)'"),
        (Magnitude(order=3), r"'order' .* an int in the range \[1, 2\]. Got 3 instead"),
        (Magnitude(order=True), r"'order' .* an int in the range \[1, 2\]. Got True instead"),
        (
            ActivationVariation(outgoing=1),
            "'outgoing' parameter of ActivationVariation must be an instance of 'bool'.* Got 1",
        ),
    ],
)
def test_parameters_out_of_range(criterion, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(criterion)


def test_path_norm_is_the_product_of_both_norms():
    layer = view()
    with_bias = np.column_stack([layer.incoming, layer.bias])
    wanted = [
        np.sqrt((w**2).sum() * (v**2).sum())
        for w, v in zip(with_bias, layer.outgoing.T, strict=True)
    ]
    np.testing.assert_allclose(PathNorm().importance(layer, SOURCE), wanted)


def test_path_norm_does_not_change_when_relu_neurons_are_rescaled():
    layer = view()
    factors = np.random.default_rng(3).uniform(0.1, 10.0, size=8)
    rescaled = replace(
        layer,
        incoming=layer.incoming * factors[:, None],
        bias=layer.bias * factors,
        outgoing=layer.outgoing / factors,
    )
    found = PathNorm().importance(rescaled, SOURCE)
    np.testing.assert_allclose(found, PathNorm().importance(layer, SOURCE))
    assert not np.allclose(
        Magnitude().importance(rescaled, SOURCE), Magnitude().importance(layer, SOURCE)
    )


@pytest.mark.parametrize("outgoing", [False, True])
def test_activation_variation_is_a_weighted_variance(outgoing):
    layer = view()
    found = ActivationVariation(outgoing=outgoing).importance(layer, SOURCE)
    for k in range(8):
        wanted = np.cov(layer.activations[:, k], aweights=layer.row_weights, ddof=0)
        wanted = wanted * (layer.outgoing[:, k] @ layer.outgoing[:, k] if outgoing else 1.0)
        assert found[k] == pytest.approx(float(wanted))


def test_apoz_puts_silent_neurons_first():
    layer = view()
    found = APoZ().importance(layer, SOURCE)
    zeros = [(layer.row_weights[layer.activations[:, k] == 0]).sum() for k in range(8)]
    np.testing.assert_allclose(found, 1 - np.array(zeros))


def test_taylor_is_the_mean_of_activation_times_gradient():
    layer = view()
    wanted = [
        abs(sum(layer.row_weights * layer.activations[:, k] * layer.gradients[:, k]))
        for k in range(8)
    ]
    np.testing.assert_allclose(Taylor().importance(layer, SOURCE), wanted)


def test_reconstruction_weighs_what_the_others_cannot_predict():
    layer = view()
    wanted = (layer.outgoing**2).sum(axis=0) * layer.residual_variance
    np.testing.assert_allclose(Reconstruction().importance(layer, SOURCE), wanted)


def test_views_hold_what_is_needed_and_no_more():
    graph, samples = make_graph(hidden=(7, 5)), make_samples(weighted=True)
    found = Activations(graph, samples)
    for layer in layer_views(found):
        assert layer.activations is layer.gradients is layer.residual_variance is None
    needs = frozenset({"activations", "gradients", "residual_variance"})
    hidden, _ = hidden_and_sums(graph, samples.x)
    for k, layer in enumerate(layer_views(found, needs, ridge=0.01)):
        a = hidden[k].detach().numpy()
        np.testing.assert_allclose(layer.activations, a)
        covariance = np.cov(a.T, aweights=samples.weights.numpy(), ddof=0)
        ridged = covariance + 0.01 * np.diag(covariance).mean() * np.eye(len(covariance))
        np.testing.assert_allclose(layer.residual_variance, 1 / np.diag(np.linalg.inv(ridged)))
        # Gradients by finite differences of one activation of one sample.
        step = torch.zeros_like(hidden[k])
        step[3, 2] = 1e-6
        reader, value = linears(graph)[k + 1], sums(graph)[k + 1]
        losses = [
            samples.loss(graph.run({value: reader(moved)})[graph.output], samples.targets)
            for moved in (hidden[k] + step, hidden[k] - step)
        ]
        slope = float((losses[0] - losses[1])[3].detach()) / 2e-6
        assert layer.gradients[3, 2] == pytest.approx(slope, abs=1e-7)
