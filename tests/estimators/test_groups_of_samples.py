"""`groups` of fit: no group is divided between training and validation, nor between folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
from noting import Noting, model
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, KFold, PredefinedSplit, cross_validate

from sklearn_mabprune import PruningWarning, make_tabular_pipeline
from sklearn_mabprune.estimators import teaching

# Of few epochs: networks that are no good.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The trained network is worse"),
    pytest.mark.filterwarnings("ignore:pruning_budget"),
]

RNG = np.random.default_rng(0)
# Twenty patients of six samples each; the first feature tells who.
PATIENT = np.repeat(np.arange(20), 6)[RNG.permutation(120)]
X = np.column_stack([PATIENT, RNG.normal(size=(120, 2))])
Y = X[:, 1] + RNG.normal(size=20)[PATIENT]


@pytest.fixture
def asked():
    Noting.asked.clear()
    return Noting.asked


def divided(pairs):
    return [seen & new for seen, new in pairs if seen & new]


@pytest.mark.parametrize("cv", [4, GroupKFold(4)])
def test_groups_in_a_fit(asked, cv):
    fitted = model(teacher_cv=cv, validation_fraction=0.2).fit(X, Y, groups=PATIENT)
    assert len(asked) == 4
    assert not divided(asked)
    # The held-out patients are nowhere in the folds.
    assert len(set.union(*(new for _, new in asked))) == 16
    assert fitted.validation_fraction_ == pytest.approx(0.2)
    asked.clear()
    model(teacher_cv=4, validation_fraction=0.2).fit(X, Y)
    assert divided(asked)


def test_weights_of_0_and_validation_samples_of_the_users_own(asked):
    weights = np.where(np.arange(120) < 7, 0.0, 1.0)
    rest = weights > 0
    model(teacher_cv=4).fit(X, Y, weights, groups=PATIENT)
    weighted = list(asked)
    asked.clear()
    model(teacher_cv=4).fit(X[rest], Y[rest], groups=PATIENT[rest])
    assert weighted == asked
    assert not divided(asked)
    asked.clear()
    held = PATIENT > 15
    fitted = model(teacher_cv=4).fit(
        X[~held], Y[~held], X_val=X[held], y_val=Y[held], groups=PATIENT[~held]
    )
    assert len(set.union(*(new for _, new in asked))) == 16
    assert not divided(asked)
    assert fitted.validation_fraction_ == 0


def test_the_folds_of_networks_beside_a_frozen_teacher(monkeypatch):
    frozen = FrozenEstimator(LinearRegression().fit(X, Y))
    asked = []
    kept = teaching.trained_peers

    def noting(room, folds):
        patients = room.task.data.x[:, 0]
        asked.extend((set(patients[train]), set(patients[test])) for train, test in folds)
        return kept(room, folds)

    monkeypatch.setattr(teaching, "trained_peers", noting)
    unseen = model(teacher=frozen, teacher_cv="unseen", n_synthetic=1.0)
    unseen.fit(X, Y, groups=PATIENT)
    assert len(asked) == 5
    assert not divided(asked)
    asked.clear()
    few = PATIENT % 4
    unseen.fit(X, Y, groups=few)
    assert len(asked) == 3  # one of the four validates
    asked.clear()
    fitted = unseen.fit(X, Y, groups=PATIENT % 2)
    assert not asked
    assert fitted.pruning_report_.teacher.n_networks == 0


def test_few_samples_beside_a_frozen_teacher():
    few = X[:5], Y[:5]
    frozen = FrozenEstimator(LinearRegression().fit(X, Y))
    unseen = model(teacher=frozen, teacher_cv="unseen", n_synthetic=0)
    fitted = unseen.fit(*few, X_val=X[5:], y_val=Y[5:], groups=[1, 1, 1, 2, 2])
    assert fitted.pruning_report_.teacher.name == "LinearRegression"
    fitted = unseen.fit(X[:3], Y[:3], X_val=X[5:], y_val=Y[5:])
    assert fitted.pruning_report_.teacher.n_compared == 3


def test_a_splitter_that_divides_groups_is_named(asked):
    with pytest.warns(
        PruningWarning, match=r"KFold\(n_splits=3.* divides 18 of 18 groups.* such as GroupKFold"
    ):
        model(teacher_cv=KFold(3)).fit(X, Y, groups=PATIENT)
    rest = PATIENT < 18
    whole = PredefinedSplit(PATIENT[rest] % 3)
    given = {"X_val": X[~rest], "y_val": Y[~rest], "groups": PATIENT[rest]}
    asked.clear()
    model(teacher_cv=whole).fit(X[rest], Y[rest], **given)
    assert not divided(asked)


def test_too_few_groups_for_the_folds():
    with pytest.raises(
        ValueError, match="teacher_cv=5 folds need as many groups of training samples, X has 3"
    ):
        model(teacher_cv=5).fit(X, Y, groups=PATIENT % 4)
    with pytest.raises(ValueError, match=r"training samples, of 3 groups: .* Pass fewer folds"):
        model(teacher_cv=GroupKFold(5)).fit(X, Y, groups=PATIENT % 4)
    with pytest.raises(ValueError, match=r"all samples are of one group, .* Pass X_val"):
        model().fit(X, Y, groups=np.zeros(120))


def test_groups_of_a_table_and_another_size(asked):
    table = pd.DataFrame(X, columns=["patient", "a", "b"]).assign(
        word=np.array(["u", "v"])[PATIENT % 2]
    )
    names = pd.Series(PATIENT).map("p{}".format)
    pipe = make_tabular_pipeline(model(teacher_cv=4, pruning_budget=0.5))
    pipe.fit(table, Y, mabprunedregressor__groups=names)
    assert pipe[-1].pruning_report_.teacher.saw == "columns"
    assert not divided(asked)
    larger = clone(pipe).set_params(mabprunedregressor__pruning_budget=0.75)
    larger.fit(table, Y, mabprunedregressor__groups=names)
    sized = pipe.at_budget(0.75, table, Y, groups=names)
    np.testing.assert_array_equal(sized.predict(table), larger.predict(table))
    with pytest.warns(PruningWarning, match="not those of fit"):
        pipe.at_budget(0.75, table, Y)
    with pytest.raises(ValueError, match="a part of the data, without X and y"):
        pipe[-1].at_budget(0.75, groups=names)


def test_groups_pass_through_cross_validation_when_routing_is_enabled(asked):
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_tabular_pipeline(model(teacher_cv=3).set_fit_request(groups=True))
        cross_validate(
            pipe, X, Y, cv=GroupKFold(2), params={"groups": PATIENT}, error_score="raise"
        )
    assert not divided(asked)
    assert len([pair for pair in asked if pair[1]]) >= 6
