"""Parameters and labels as plain data, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_values import assert_same, through_json
from sklearn.base import clone
from skorch.dataset import ValidSplit
from torch import nn
from user_nets import small_classifier

from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.criteria import CRITERIA
from sklearn_mabprune.export.files.parameters import (
    DescriptionError,
    labels_from_plain,
    labels_to_plain,
    to_plain,
)
from sklearn_mabprune.policies import POLICIES, UCB1

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_values_come_back_equal_and_of_their_kind(value):
    assert_same(through_json(value), value)


@pytest.mark.parametrize("make", [*POLICIES.values(), *CRITERIA.values()], ids=lambda c: c.__name__)
def test_every_policy_and_criterion_can_be_described(make):
    assert_same(through_json(make()), make())


def test_parameters_of_a_chooser_come_back():
    assert through_json(UCB1(exploration=0.25)).exploration == 0.25


@pytest.mark.parametrize("make", [MLPNetClassifier, MLPNetRegressor])
def test_parameters_of_a_net_come_back(make):
    net = make(
        criterion=nn.SmoothL1Loss,
        criterion__beta=0.5,
        optimizer=torch.optim.AdamW,
        optimizer__betas=(0.8, 0.9),
        module__hidden_layer_sizes=(7, np.int64(5)),
        lr=np.float32(0.5),
        train_split=ValidSplit(0.25, random_state=3),
        dtype="float32",
        device="cuda",
        callbacks__print_log=None,
    )
    found = through_json(net)
    assert found.get_params(deep=False).keys() == net.get_params(deep=False).keys()
    assert found.module__hidden_layer_sizes == (7, 5)
    assert found.criterion is nn.SmoothL1Loss
    assert found.optimizer__betas == (0.8, 0.9)
    assert (found.train_split.cv, found.train_split.random_state) == (0.25, 3)
    assert clone(found).device == "cuda"


class Unknown:
    """Of no registry."""


class Adam(torch.optim.Adam):
    """Called like one that is known."""


@pytest.mark.parametrize(
    "value",
    [
        Unknown, Unknown(), Adam, lambda: None, {1, 2}, b"bytes", 1j, np.zeros(2), [Unknown()],
        {"a": Unknown()}, type("UCB1", (UCB1,), {})(), small_classifier(callbacks=[Unknown()]),
        small_classifier(module=nn.Linear),
        small_classifier(torch_load_kwargs={"weights_only": False}),
        small_classifier(train_split=ValidSplit(cv=Unknown())),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_that_are_no_plain_data_are_refused(value):
    with pytest.raises(DescriptionError, match="value"):
        to_plain(value, "value")


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 2], dtype="uint8"), np.array([-3, 4], dtype="int32"),
        np.array([0.0, 2.0], dtype="float32"), np.array([False, True]),
        np.array(["a", "Köln"]), np.array(["a", "b"], dtype="U40"),
        np.array(["a", "b"], dtype=object),
    ],
    ids=lambda a: str(a.dtype),
)  # fmt: skip
def test_labels_come_back_in_their_dtype(labels):
    plain = json.loads(json.dumps(labels_to_plain(labels, "labels")))
    assert_same(labels_from_plain(plain, "labels"), labels)


@pytest.mark.slow
def test_wide_strings_of_an_honest_array_come_back():
    """NumPy keeps the width of a dtype when a few of its strings are left."""
    few = np.array(["a", "b", "c" * 5000])[:2]
    assert few.dtype == "U5000"
    found = labels_from_plain(labels_to_plain(few, "classes"), "classes")
    assert found.tolist() == few.tolist()
    with pytest.raises(DescriptionError, match=r"NumPy pads.* of 30000 characters: shorten it"):
        labels_to_plain(np.array(["a" * 30_000, *map(str, range(1500))]), "classes")
