"""Messages and reports say one of a thing in the singular."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused
from skorch import NeuralNetClassifier
from torch import nn
from user_nets import classes_table, classifier

from sklearn_mabprune import MLPNetClassifier
from sklearn_mabprune.reports.notes import outliers, pruning_interrupted


@pytest.mark.parametrize(
    ("gone", "of", "said"),
    [
        (1, 12, "1 of 12 neurons is gone"),
        (2, 12, "2 of 12 neurons are gone"),
        (0, 1, "0 of 1 neuron are gone"),
    ],
)
def test_an_interruption_says_how_many_neurons_are_gone(gone, of, said):
    assert f"kept, {said}, and it was" in pruning_interrupted(gone, of)


def test_one_sample_was_left_out():
    assert outliers(1)[0].startswith("1 sample of those that pruning measures on was left out")
    assert outliers(2000)[0].startswith("2,000 samples of those that pruning measures on were left")


def test_one_output_and_one_feature():
    X, y = classes_table(60)
    X = X.astype(np.float32)

    class OneOutput(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1))

    net = NeuralNetClassifier(OneOutput, criterion=nn.CrossEntropyLoss, verbose=0, max_epochs=1)
    refused(classifier(net), "The net's module has 1 output, y needs 3: one", X, y)
    fitted = MLPNetClassifier(max_epochs=1, verbose=0).fit(X, y)
    with pytest.raises(ValueError, match="X has 1 feature, but MLPNetClassifier was fitted on 6"):
        fitted.predict(X[:, :1])
