"""Fits of modules with attention: heads in the report, and what can be done with the result."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from attention_kinds import Encoder
from image_nets import net_of

from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.graph.attention import PrunedMultiheadAttention
from sklearn_mabprune.graph.recovery import network_of


@pytest.fixture(scope="module")
def fitted():
    X = np.random.default_rng(0).normal(size=(80, 5, 3)).astype(np.float32)
    y = (X.sum(axis=(1, 2)) > 0).astype(int)
    options = {"tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}
    net = net_of(Encoder, max_epochs=1)
    return MABPrunedClassifier(net, layers="heads", **options).fit(X, y), X, y


def test_a_transformer_is_pruned_by_heads(fitted):
    model, X, y = fitted
    assert model.hidden_layer_sizes_ == (2, 12)
    report = model.pruning_report_
    assert report.unit_kinds == ("head", "neuron")
    assert "encoder.layers.0.self_attn: 4 -> 2 heads" in str(report)
    attention = model.estimator_.module_.encoder.layers[0].self_attn
    assert isinstance(attention, PrunedMultiheadAttention)
    assert (attention.num_heads, attention.out_proj.in_features) == (2, 4)
    wanted = model.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), wanted)
    with torch.no_grad():
        outputs = model.to_torch()(torch.tensor(X)).numpy()
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-6)
    model.estimator_.partial_fit(X, y)
    assert model.estimator_.module_.encoder.layers[0].self_attn.num_heads == 2


def test_at_budget_of_heads(fitted):
    model, X, y = fitted
    assert model.at_budget(0.25, X, y).hidden_layer_sizes_ == (3, 12)
    whole = model.at_budget(0)
    assert type(whole.estimator_.module_.encoder.layers[0].self_attn) is torch.nn.MultiheadAttention
    with pytest.raises(ValueError, match=r"of 4 units with layers=\['heads'\]"):
        model.at_budget(4, X, y)


class Inner(torch.nn.Module):
    def __init__(self, n_heads=4):
        super().__init__()
        self.enter, self.leave = torch.nn.Linear(3, 8), torch.nn.Linear(8, 2)
        self.attention = torch.nn.MultiheadAttention(8, n_heads, batch_first=True)

    def forward(self, x):
        x = self.enter(x)
        return self.leave(self.attention(x, x, x)[0].mean(1))


def test_a_layer_before_attention_is_pruned_and_its_heads_stay(fitted):
    _, X, y = fitted
    options = {"tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 1}
    net = net_of(Inner, max_epochs=1)
    model = MABPrunedClassifier(net, layers="enter", **options).fit(X, y)
    module = model.estimator_.module_
    assert module.attention.embed_dim == module.enter.out_features < 8
    assert (module.attention.num_heads, module.attention.head_dim) == (4, 2)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


class WeightsToo(Inner):
    """What each head looks at is returned as well."""

    def __init__(self):
        super().__init__(2)
        self.hidden = torch.nn.Linear(8, 8)

    def forward(self, x):
        x = self.enter(x)
        x, weights = self.attention(x, x, x, average_attn_weights=False)
        return self.leave(self.hidden(x).relu().mean(1)) + weights.mean((2, 3))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("heads", "Kept whole are .*'attention': .*the network's output"),
        ("att*[n]", "the pattern .* neurons[)][.] Kept whole are 'attention': .*network's output"),
        ("attention", "layers names 'attention', which is kept whole: .*is the network's output"),
    ],
)
def test_why_heads_are_kept_whole_is_told_where_they_are_asked_for(fitted, layers, message):
    _, X, y = fitted
    net = net_of(WeightsToo, max_epochs=10**6)
    with pytest.raises(ValueError, match=message):
        MABPrunedClassifier(net, layers=layers).fit(X, y)


def test_reasons_have_the_names_of_the_users_classes():
    network = network_of(Inner(1), torch.randn(9, 5, 3))
    assert network.kept_whole["attention"].startswith("is one head: matmul of 'attention'")
    told = {operation.what for operation in network.program.operations}
    assert any("softmax of 'attention' in Inner.forward" in what for what in told)
    assert not any("PrunedMultiheadAttention" in what for what in told)
