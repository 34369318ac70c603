"""Parameters of our nets: classes named before they are seen, and names that are misspelt."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from torch import nn
from user_nets import classes_table, classifier, labels_table, small_classifier, small_regressor

from sklearn_mabprune import MLPNetClassifier

# ------------------------------------------------------------------- classes= and partial_fit


@pytest.mark.parametrize("given", ["constructor", "partial_fit"])
@pytest.mark.parametrize("names", [[0, 1, 2], ["a", "b", "c"], np.arange(3)])
def test_classes_that_come_later(given, names):
    X, y = classes_table()
    net = small_classifier(random_state=0, **({"classes": names} if given == "constructor" else {}))
    first = {"classes": names} if given == "partial_fit" else {}
    net.partial_fit(X[y < 2], y[y < 2], **first)
    before = net.predict_proba(X[y == 2])
    assert before.shape == (sum(y == 2), 3)
    net.partial_fit(X[y == 2], y[y == 2])
    after = net.predict_proba(X[y == 2])
    assert after.shape == before.shape
    assert after[:, 2].mean() > 1.2 * before[:, 2].mean()


def test_classes_in_fit():
    X, y = classes_table()
    net = small_classifier(classes=range(5), random_state=0).fit(X, y)
    assert net.predict_proba(X).shape == (len(X), 5)
    assert clone(net).fit(X, y).predict_proba(X).shape == (len(X), 5)
    # What a pruned net is called by does not matter.
    model = classifier(small_classifier(classes=["a", "b", "c"])).fit(X, y)
    assert model.predict_proba(X).shape == (len(X), 3)
    with pytest.raises(ValueError, match="module has 5 outputs, y needs 3"):
        classifier(net).fit(X, y)


@pytest.mark.parametrize("params", [{}, {"classes": [0, 1]}, {"module__n_outputs": 2}])
def test_a_class_without_an_output_is_named(params):
    X, y = classes_table()
    net = small_classifier(**params).partial_fit(X[y < 2], y[y < 2])
    message = r"y contains the class index 2, and the net has 2 outputs. .*\(classes=\[0, 1, 2\]\)"
    with pytest.raises(ValueError, match=message):
        net.partial_fit(X, y)
    if params:
        with pytest.raises(ValueError, match=message):
            small_classifier(**params).fit(X, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y - 1, "y contains the class index -1. Class indices count from 0"),
        (lambda y: np.array(["a", "b", "c"])[y], r"contains 'c' \(dtype <U1\). Encode classes"),
        (lambda y: y / 1, r"contains 2.0 \(dtype float64\). Encode classes"),
        (lambda y: y.astype(object), r"contains 2 \(dtype object\). Encode classes"),
    ],
)
def test_targets_that_are_not_class_indices(change, message):
    X, y = classes_table()
    y[0] = 2 if "-1" not in message else 0
    for fit in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(small_classifier(), fit)(X, change(y))


def test_multilabel_targets_have_no_indices():
    X, y = labels_table()
    net = small_classifier().partial_fit(X, y)
    net.partial_fit(X, y)
    assert net.predict(X).shape == y.shape


# ----------------------------------------------------------------------------- misspelt names

MISSPELT = {
    "hidden_layer_sizes": "module__hidden_layer_sizes",
    "hidden_layer_size": "module__hidden_layer_sizes",
    "activation": "module__activation",
    "dropout": "module__dropout",
    "max_iter": "max_epochs",
    "max_epoch": "max_epochs",
    "epochs": "max_epochs",
    "learning_rate_init": "lr",
    "alpha": "optimizer__weight_decay",
    "weight_decay": "optimizer__weight_decay",
    "solver": "optimizer",
    "n_iter_no_change": "patience",
    "patiense": "patience",
    "bach_size": "batch_size",
}
PARTS = {
    "module__hidden_layer_size": "module__hidden_layer_sizes",
    "module__drop_out": "module__dropout",
    "optimizer__weight_decy": "optimizer__weight_decay",
    "criterion__redution": "criterion__reduction",
}


@pytest.mark.parametrize("make", [small_classifier, small_regressor])
@pytest.mark.parametrize("name", [*MISSPELT, *PARTS])
def test_what_was_meant(make, name):
    X, y = classes_table()
    meant = {**MISSPELT, **PARTS}[name]
    message = f"^Instead of {name}, did you mean {meant}\\?"
    with pytest.raises((TypeError, ValueError), match=message):
        make(**{name: 1}).fit(X, y)
    if name in MISSPELT:
        with pytest.raises(ValueError, match=message):
            make().set_params(**{name: 1})
    if make is small_classifier:
        with pytest.raises((TypeError, ValueError), match=message):
            classifier(make(**{name: 1})).fit(X, y)


def test_all_misspelt_names_are_told():
    X, y = classes_table()
    with pytest.raises(ValueError, match=r"Instead of solver, .* Instead of alpha, did you mean"):
        small_classifier(solver="adam", alpha=0.1).fit(X, y)


def test_names_that_are_like_none():
    X, y = classes_table()
    with pytest.raises(ValueError, match=r"^__init__\(\) got unexpected argument\(s\) zzz"):
        small_classifier(zzz=1).fit(X, y)
    with pytest.raises(ValueError, match=r"^Invalid parameter 'zzz'"):
        small_classifier().set_params(zzz=1)


def test_errors_of_other_causes_are_as_they_were():
    class Fails(nn.Module):
        def __init__(self):
            raise ValueError("of the module")

    X, y = classes_table()
    with pytest.raises(ValueError, match=r"^of the module$"):
        MLPNetClassifier(Fails).fit(X, y)
    with pytest.raises(ValueError, match=r"^The 'lr' parameter"):
        small_classifier(lr=-1.0).fit(X, y)
