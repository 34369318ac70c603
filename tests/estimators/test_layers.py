"""`layers` and `min_neurons` by name: what is pruned, in chains and in modules of one's own."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from image_nets import SmallConv, SmallResidual, images, net_of
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from torch import nn
from user_nets import classes_table

from sklearn_mabprune import MABPrunedClassifier, MABPrunedClassifierCV, MLPNetClassifier, load

QUICK = {"tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 0}


def chain(layers=None, **params):
    net = MLPNetClassifier(module__hidden_layer_sizes=(16, 8), max_epochs=1, early_stopping=False)
    return MABPrunedClassifier(**{"estimator": net, "layers": layers, **QUICK, **params})


@pytest.fixture(scope="module")
def table():
    return classes_table(90)


def test_only_named_layers_lose_units(table):
    net = chain().fit(*table).at_budget(0).estimator_
    for policy in ("boundary", "sequential_halving", "exp3", "taylor"):
        model = chain("0", policy=policy, step=4, estimator=FrozenEstimator(net))
        model.fit(*table, X_val=table[0][:9], y_val=table[1][:9])
        assert model.hidden_layer_sizes_ == (8, 8)
        assert all(not pulls[16:].any() for pulls in model.pruning_path_.pulls_by_arm)


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ({"layers": ["2"]}, (16, 4)),
        ({"layers": ("2",), "pruning_budget": "auto", "tolerance": 10}, (16, 1)),
        ({"layers": "[0-9]"}, None),
        ({"layers": "neurons"}, None),
        ({"min_neurons": {"0": 15, "neurons": 2}, "pruning_budget": 7}, (15, 2)),
        ({"layers": ["2"], "min_neurons": {"*": 3, "2": 2}, "pruning_budget": 5}, (16, 3)),
        ({"layers": ["2"], "scope": "layer", "pruning_budget": 0.25}, (16, 6)),
        ({"layers": ["2"], "budget_unit": "parameters", "pruning_budget": 60}, (16, 5)),
    ],
    ids=str,
)
def test_names_patterns_and_kinds(table, params, sizes):
    """None: all layers lose units."""
    model = chain(**params).fit(*table)
    assert sizes in (model.hidden_layer_sizes_, None)
    assert sum(model.hidden_layer_sizes_) < 24
    assert bool(model.pruning_report_.kept_whole) == ("2" in (params.get("layers") or ""))


def test_the_report_says_what_is_left_out_and_what_is_made_of_it_agrees(table, tmp_path):
    model = chain(["2"], keep_path="always").fit(*table)
    report = model.pruning_report_
    assert report.kept_whole == {"0": "not among layers"}
    assert "0: kept whole, not among layers" in str(report)
    fitted = chain(["2"], pruning_budget=0.75).fit(*table)
    model.save(tmp_path / "model.mabprune")
    for one in (model, pickle.loads(pickle.dumps(model)), load(tmp_path / "model.mabprune")):
        assert one.layers == ["2"]
        again = one.at_budget(0.75, *table)
        assert again.hidden_layer_sizes_ == fitted.hidden_layer_sizes_ == (16, 2)
        np.testing.assert_array_equal(again.predict_proba(table[0]), fitted.predict_proba(table[0]))
        assert one.at_budget(0).hidden_layer_sizes_ == (16, 8)
        with pytest.raises(ValueError, match=r"of 8 neurons with layers=\['2'\] would leave"):
            one.at_budget(8)


def test_layers_are_searched_and_trained_once(table, tmp_path):
    model = chain(memory=str(tmp_path))
    search = GridSearchCV(model, {"layers": ["0", ["2"]]}, cv=2, refit=False).fit(*table)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    trainings = [path for path in tmp_path.rglob("output.pkl") if "train" in path.parts]
    assert len(trainings) == 2
    best = MABPrunedClassifierCV(chain("2"), budgets=(0, 0.5), cv=2).fit(*table)
    assert best.hidden_layer_sizes_[0] == 16


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"layers": "1"}, r"layers has the name or kind '1', which is none .* '0' \(16 neurons\)"),
        ({"layers": ["0", "conv*"]}, r"the pattern 'conv\*', which .* There are .*'2' \(8 neur"),
        ({"layers": "streams"}, "layers has the name or kind 'streams'"),
        ({"min_neurons": {"neuron": 2}}, "min_neurons has the name or kind 'neuron'"),
        (
            {"layers": ["2"], "pruning_budget": 8},
            r"8 of 8 neurons with layers=\['2'\] .* name more",
        ),
        ({"layers": []}, r"layers=\[\] must have names .* Pass None for all layers"),
        ({"layers": [2]}, r"layers=\[2\] must have names"),
        ({"layers": 2}, "'layers' parameter of MABPrunedClassifier must be .* Got 2 instead"),
        ({"min_neurons": {"0": 0}}, "min_neurons=.* integers of at least 1, got '0': 0"),
        ({"min_neurons": {0: 1}}, "min_neurons=.* got 0: 1"),
        ({"min_neurons": {"0": True}}, "min_neurons=.* got '0': True"),
    ],
    ids=str,
)
def test_refused_before_the_training(table, params, message):
    model = chain(**params).set_params(estimator__max_epochs=10**6)
    with pytest.raises(ValueError, match=message):
        model.fit(*table)
    assert not hasattr(model, "estimator_")


def test_groups_of_a_module():
    X, y = images(60)
    net = net_of(SmallConv, max_epochs=1)
    model = MABPrunedClassifier(net, layers="channels", step=1.0, **QUICK).fit(X, y)
    assert model.hidden_layer_sizes_[2] == 10
    assert sum(model.hidden_layer_sizes_) == 17
    module = model.estimator_.module_
    assert (module.fc1.out_features, module.conv1.out_channels) == (
        10,
        model.hidden_layer_sizes_[0],
    )
    assert "fc1: kept whole, not among layers" in str(model.pruning_report_)
    assert "fc1: 10 -> 10" not in str(model.pruning_report_)
    with pytest.raises(
        ValueError, match=r"layers names 'fc2', which is kept whole: is the network"
    ):
        MABPrunedClassifier(net, layers=["fc2"], **QUICK).fit(X, y)


def test_residual_streams_are_pruned_where_they_are_named(table):
    X, y = table
    net = net_of(SmallResidual, max_epochs=1)
    default = MABPrunedClassifier(net, layers="*", step=1.0, **QUICK).fit(X, y)
    assert "residual stream" in default.pruning_report_.kept_whole["enter"]
    for layers in ("streams", ["enter", "wide"]):
        model = MABPrunedClassifier(net, layers=layers, step=1.0, **QUICK).fit(X, y)
        assert model.pruning_report_.groups == ("enter", "wide", "gate")
        total = 8 + 12 * ("wide" in layers)
        assert sum(model.hidden_layer_sizes_) == 8 + 12 + 7 - total // 2
        assert model.estimator_.module_.enter.out_features == model.hidden_layer_sizes_[0] < 8
        report = model.pruning_report_
        assert not {"enter", *layers} & set(report.kept_whole)
        assert f"enter: 8 -> {model.hidden_layer_sizes_[0]} neurons" in str(report)
    assert sum(model.at_budget(0.25, X, y).hidden_layer_sizes_) == 27 - 5


class Stream(nn.Module):
    """A residual stream alone."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.out = nn.Linear(8, 3)

    def forward(self, X):
        h = F.relu(self.c1(X))
        return self.out((h + F.relu(self.c2(h))).mean((2, 3)))


@pytest.mark.parametrize("layers", ["streams", ["c1"]])
def test_a_network_with_nothing_but_a_stream(layers):
    X, y = images(60)
    model = MABPrunedClassifier(net_of(Stream, max_epochs=1), layers=layers, step=1.0, **QUICK)
    report = model.fit(X, y).pruning_report_
    assert model.hidden_layer_sizes_ == (model.estimator_.module_.c1.out_channels,) == (4,)
    assert report.kept_whole == {"out": "is the network's output"}
    assert "c1: 8 -> 4 channels" in str(report)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, """'c1': residual stream of 2 layers; pass layers="streams" to prune it"""),
        ({"layers": "c*"}, "the pattern 'c*', which is none of this network's groups of units. "
         "There are 'c1' (8 streams)"),
        ({"layers": "streams", "pruning_budget": 9}, "9 of 8 units with layers=['streams']"),
    ],
    ids=str,
)  # fmt: skip
def test_a_stream_alone_refused(params, message):
    net = net_of(Stream, max_epochs=10**6)
    with pytest.raises(ValueError, match=re.escape(message)):
        MABPrunedClassifier(net, **QUICK, **params).fit(*images(60))


class Averaged(nn.Module):
    """Members of an ensemble alone."""

    def __init__(self):
        super().__init__()
        self.scale, self.last = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(4, 6, 3))

    def forward(self, X):
        return (F.relu(X.unsqueeze(1) * self.scale).transpose(0, 1) @ self.last).mean(0)


def test_a_network_with_nothing_but_members(table):
    net = net_of(Averaged, max_epochs=1)
    model = MABPrunedClassifier(net, layers="members", step=1.0, **QUICK).fit(*table)
    assert model.hidden_layer_sizes_ == (len(model.estimator_.module_.scale),) == (2,)
    assert "members: 4 -> 2 members" in str(model.pruning_report_)


class Blocks(nn.Module):
    """A prefix of names, members of an ensemble, and a stream that no unit can leave."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU())
        self.enter, self.block, self.leave = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 4)
        self.norm = nn.LayerNorm(5)
        self.scale, self.last = nn.Parameter(torch.randn(4, 4)), nn.Linear(4, 3)

    def forward(self, X):
        h = self.enter(X)
        h = self.leave(self.norm(h + F.relu(self.block(h)))) + self.net(X)
        return self.last((h.unsqueeze(1) * self.scale).mean(1))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("net", "the name or kind 'net', which .* Did you mean 'net.[*]'"),
        ("member", "the name or kind 'member', which .* 'members' [(]4 members[)]"),
        ("streams", "layers names 'streams', which are kept whole: 'enter': layer_norm"),
    ],
)
def test_names_that_mean_nothing_get_what_helps(table, layers, message):
    net = net_of(Blocks, max_epochs=10**6)
    with pytest.raises(ValueError, match=message):
        MABPrunedClassifier(net, layers=layers, **QUICK).fit(*table)
