"""Fits on a device that is not there; run by ``test_pretend_device.py`` in a process of its own."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from functools import cache

import numpy as np
import pretend_device
import pytest
from image_nets import Mixed, SmallConv, images, mixed_samples, net_of
from pretend_device import waits
from scipy import sparse
from user_nets import (
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

from sklearn_mabprune import load
from sklearn_mabprune.criteria import CRITERIA
from sklearn_mabprune.policies import POLICIES
from sklearn_mabprune.pruning.pulls import RoundPulls

SMALL = {"module__hidden_layer_sizes": (8, 6), "max_epochs": 2, "dtype": "float32"}
NETS = {
    "classes": (classifier, lambda **p: small_classifier(**SMALL, **p), classes_table),
    "batch norm": (
        classifier,
        lambda **p: small_classifier(**SMALL, module__batch_norm=True, **p),
        classes_table,
    ),
    "values": (regressor, lambda **p: small_regressor(**SMALL, **p), values_table),
    "labels": (classifier, lambda **p: small_classifier(**SMALL, **p), labels_table),
    "own": (classifier, lambda **p: plain_classifier(**{"max_epochs": 2, **p}), classes_table),
}
ABLATIONS = ("least_squares", "mean", "zero")
ESTIMATES = ("auto", "linear", "fisher", None)


def fit(net, device, **params):
    """A fit on one device, its table, and what made the host wait."""
    make, build, table = NETS[net]
    X, y = table(n_rows=60)
    waits.clear()
    params = {
        "step": 0.4,
        "pull_batch_size": 20,
        "pulls_per_neuron": 4,
        "fine_tune_epochs": 1,
        **params,
    }
    return make(build(device=device), **params).fit(X, y), X, y, Counter(waits)


def assert_same_units(on_card, on_cpu):
    assert {p.device.type for p in on_card.estimator_.module_.parameters()} == {"card"}
    for one, other in zip(on_card.neuron_ranking_, on_cpu.neuron_ranking_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(on_card.pruning_path_.loss, on_cpu.pruning_path_.loss, rtol=1e-4)


#: A setting for each policy and criterion, which together have all nets, ablations and estimates.
SETTINGS = [
    (name, list(NETS)[k % 5], ABLATIONS[k % 3], ESTIMATES[k % 4 if name in POLICIES else 0])
    for k, name in enumerate([*POLICIES, *CRITERIA])
]


@pytest.mark.parametrize(("policy", "net", "ablation", "control_variate"), SETTINGS)
def test_same_units_as_on_the_cpu(policy, net, ablation, control_variate):
    if POLICIES.get(policy, POLICIES["uniform"]).full_information:
        control_variate = "auto"
    params = {"policy": policy, "ablation": ablation, "control_variate": control_variate}
    assert_same_units(fit(net, "card", **params)[0], fit(net, "cpu", **params)[0])


#: Where the host may wait for the device in pruning, and how often: once per fit, scored network,
#: selection (of arms to pull), block of samples, once or twice per round and group, and once or
#: twice per parameter of the pruned network.
PER_ROUND = {
    ("item", "ablation/activations.py:Activations.mean_loss"): "network",
    ("copy", "training/predicting.py:network_outputs"): "score",
    ("copy", "pruning/pulls.py:RoundPulls.__init__"): "round",
    ("copy", "pruning/pulls.py:RoundPulls._fill"): "estimate",
    ("copy", "ablation/block.py:Block.__init__"): "block",
    ("copy", "pruning/pulls.py:RoundPulls.pull"): "selection",
    ("copy", "pruning/layer_views.py:_array"): "weights",
    ("item", "ablation/compensation.py:_inverse"): "group",
    ("item", "ablation/compensation.py:LeastSquaresAblation._together"): "group",
    ("item", "ablation/compensation.py:LeastSquaresAblation.remove"): "group",
    ("nonzero", "ablation/compensation.py:LeastSquaresAblation.remove"): "group",
    ("nonzero", "ablation/compensation.py:LeastSquaresAblation.fold"): "group twice",
    ("nonzero", "ablation/compensation.py:MeanAblation.remove"): "group",
    ("item", "graph/surgery.py:cut"): "group",
    ("nonzero", "graph/kinds/linear.py:LinearKind.narrow_outputs"): "group twice",
    ("nonzero", "graph/kinds/linear.py:LinearKind.narrow_inputs"): "group twice",
    ("nonzero", "ablation/activations.py:Activations._moved"): "group twice",
    ("copy", "training/packing.py:_arrays.<locals>.<listcomp>"): "parameter",
    ("copy", "export/torch_layers.py:module_of"): "parameter twice",
}
#: The rest of a fit: once for each epoch, parameter or layer, whatever the rounds.
ONCE = (
    "graph/tracing.py:",
    "training/auto_size.py:SelfSizing.run_single_epoch",
    "training/initial.py:train.",
    "training/loss_checks.py:",
    "training/fine_tuning.py:",
    "estimators/fitting.py:_check_outputs",
    "ablation/outliers.py:",
    "graph/graph.py:Graph.to_arrays.",
    "reports/notes.py:",
)


@pytest.mark.parametrize(
    "policy", ["boundary", "ucb1", "exhaustive", "sequential_halving", "taylor"]
)
def test_waits_of_the_host_are_few_and_known(policy, monkeypatch):
    calls = Counter()

    def counted(name):
        original = getattr(RoundPulls, name)

        def method(self, *args):
            calls[name] += 1
            return original(self, *args)

        monkeypatch.setattr(RoundPulls, name, method)

    for name in ("pull", "_fill", "_block_of"):
        counted(name)
    model, _, _, found = fit("classes", "card", policy=policy, step=0.2)
    rounds = model.pruning_report_.n_rounds
    n_parameters = len(list(model.estimator_.module_.parameters()))
    assert rounds >= 4
    limits = {
        "network": rounds + 1,
        "score": rounds + 8,
        "round": rounds,
        "estimate": calls["_fill"],
        "block": calls["_block_of"] + calls["_fill"],
        "selection": calls["pull"],
        "weights": 2 * 6 * rounds,
        "group": 2 * rounds,
        "group twice": 4 * rounds,
        "parameter": n_parameters,
        "parameter twice": 2 * n_parameters,
    }
    # One estimate of all units and one block of samples a selection, at most.
    assert calls["_fill"] <= rounds
    assert calls["_block_of"] <= calls["pull"]
    for (kind, place), n in found.items():
        if not place.startswith(ONCE):
            limit = limits[PER_ROUND[kind, place]]
            assert n <= limit, f"{n} waits ({kind}) in {place}, at most {limit} in {rounds} rounds"


def test_waits_do_not_grow_with_units():
    few, many = (
        fit("classes", "card", policy="ucb1", step=1.0, pulls_per_neuron=p)[3] for p in (2, 10)
    )
    pulls = (
        ("copy", "pruning/pulls.py:RoundPulls.pull"),
        ("copy", "ablation/block.py:Block.__init__"),
    )
    assert {k: n for k, n in few.items() if k not in pulls} == {
        k: n for k, n in many.items() if k not in pulls
    }


@cache
def fitted():
    return fit("classes", "card")[:3]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_and_pickles(again):
    model, X, y = fitted()
    other = again(model)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    # Attributes of the estimator are arrays; its net trains on where it was.
    other.estimator_.partial_fit(X.astype(np.float32), y)
    assert {p.device.type for p in other.estimator_.module_.parameters()} == {"card"}


def test_exports_are_on_the_cpu(tmp_path):
    model, X, _ = fitted()
    expected = model.predict_proba(X)
    assert {p.device.type for p in model.to_torch().parameters()} == {"cpu"}
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), expected, atol=1e-5)
    assert len(model.to_onnx().graph.node) > 3
    model.save(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").predict_proba(X), expected, atol=1e-6)


def test_other_sizes():
    model, X, y = fitted()
    whole = fit("classes", "cpu")[0]
    assert_same_units(model.at_budget(0.7, X, y), whole.at_budget(0.7, X, y))
    assert_same_units(model.at_budget(0), whole.at_budget(0))
    auto = {"pruning_budget": "auto", "budget_unit": "parameters"}
    assert_same_units(fit("values", "card", **auto)[0], fit("values", "cpu", **auto)[0])


def test_sparse_samples_weights_and_dropout():
    X, y = classes_table(60)
    weights = np.linspace(0.5, 1.5, len(X))
    models = [
        classifier(small_classifier(**SMALL, device=device), class_weight="balanced")
        .fit(sparse.csr_matrix(X), y, sample_weight=weights)
        for device in ("card", "cpu")
    ]  # fmt: skip
    assert_same_units(*models)
    model = classifier(quick_start(device="card", max_epochs=1)).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("module", [SmallConv, Mixed])
def test_networks_that_are_no_chains(module):
    X, y = images(40) if module is SmallConv else mixed_samples(40)
    models = []
    for device in ("cpu", "card"):
        waits.clear()
        net = net_of(module, device=device, max_epochs=2)
        models.append(classifier(net, step=0.5, fine_tune_epochs=1).fit(X, y))
    on_cpu, on_card = models
    assert_same_units(on_card, on_cpu)
    rounds, groups = on_card.pruning_report_.n_rounds, len(on_card.hidden_layer_sizes_)
    in_pruning = [n for (_, place), n in waits.items() if place.startswith(("ablation", "pruning"))]
    assert sum(in_pruning) <= 15 * groups * (rounds + 1)
    again = pickle.loads(pickle.dumps(on_card))
    np.testing.assert_array_equal(again.predict_proba(X), on_card.predict_proba(X))
    assert {p.device.type for p in on_card.to_torch().parameters()} == {"cpu"}
    assert_same_units(on_card.at_budget(0), on_cpu.at_budget(0))


def test_operators_of_two_devices_are_refused():
    model, X, _ = fitted()
    with pytest.raises(RuntimeError, match="on the CPU, others on a card"):
        model.estimator_.module_(pretend_device.torch.as_tensor(X).float())
    assert state(model.estimator_)
