"""Samples that are nothing but padding, all of whose positions a network masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from image_nets import net_of
from refusals import refused
from torch import nn

from sklearn_mabprune import MABPrunedClassifier, UnsupportedModuleError

OPTIONS = {"tolerance": 10.0, "random_state": 0, "fine_tune_epochs": 0}


class Words(nn.Module):
    """Attention over words, of which number 0 is padding."""

    def __init__(self):
        super().__init__()
        self.words, self.first = nn.Embedding(20, 8), nn.Linear(8, 12)
        self.last = nn.Linear(12, 2)

    def forward(self, x):
        h = self.words(x)
        scores = (h @ h.transpose(1, 2)).masked_fill((x == 0)[:, None], -torch.inf)
        return self.last(self.first((scores.softmax(-1) @ h).mean(1)).relu())


def sentences(padded=()):
    X = np.random.default_rng(0).integers(1, 20, size=(90, 5))
    X[::2, 3:] = 0
    y = X[:, 0] % 2
    X[list(padded)] = 0
    return X, y


@pytest.mark.parametrize(
    ("padded", "error", "message"),
    [
        ([0], UnsupportedModuleError, "first from softmax in Words.forward"),
        (range(40, 60), ValueError, "^The training loss became nan in epoch 1"),
    ],
)
def test_a_fit_says_that_they_may_be_the_cause(padded, error, message):
    message += ".* as in one that is nothing but padding, softmax is NaN: leave such samples out"
    refused(
        MABPrunedClassifier(net_of(Words, max_epochs=2), **OPTIONS),
        message,
        *sentences(padded),
        error=error,
    )


def test_a_prediction_says_which_they_are():
    model = MABPrunedClassifier(net_of(Words, max_epochs=1), **OPTIONS).fit(*sentences())
    message = (
        r"infinity or NaN for sample 4 of X \(and 1 more of 90\), whose features are not large "
        r"\(at most 0\). Where all positions of a sample are masked"
    )
    with pytest.raises(ValueError, match=message):
        model.predict(sentences([4, 7])[0])
