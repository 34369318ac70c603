"""Programs without stdout or stderr: services, windows without a console, closed streams."""

from __future__ import annotations

import io
import sys
import threading

import numpy as np
import pytest
from user_nets import (
    classes_table,
    classifier,
    fitted,
    plain_classifier,
    quick_start,
    small_classifier,
    small_regressor,
    values_table,
)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verbose", "stream", "net"),
    [
        (0, lambda: None, plain_classifier),
        (0, closed, small_classifier),
        (1, lambda: None, small_classifier),
        (1, closed, quick_start),
        (2, lambda: None, quick_start),
        (2, closed, plain_classifier),
    ],
)
def test_a_fit_without_streams_is_the_same_fit(monkeypatch, verbose, stream, net):
    X, y = classes_table()
    X = X.astype(np.float32)
    expected = classifier(net(verbose=verbose)).fit(X, y)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream())
    model = classifier(net(verbose=verbose), verbose=verbose).fit(X, y)
    smaller = model.at_budget(0.7, X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert sum(smaller.hidden_layer_sizes_) < sum(model.hidden_layer_sizes_)


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_our_nets_alone(monkeypatch, verbose, kind):
    make, table = {
        "classifier": (small_classifier, classes_table),
        "regressor": (small_regressor, values_table),
    }[kind]
    X, y = table()
    expected = make(random_state=0).fit(X, y).predict(X)
    monkeypatch.setattr(sys, "stdout", None)
    net = make(random_state=0, verbose=verbose).fit(X, y)
    np.testing.assert_array_equal(net.predict(X), expected)
    net.partial_fit(X, y)


def test_other_threads_can_show_a_bar_afterwards(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        fitted("classifier", verbose=1)
    thread = threading.Thread(target=fitted, args=("classifier",), kwargs={"verbose": 1})
    thread.daemon = True
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
