"""Splitters as `teacher_cv`: groups, folds of other samples, masks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from noting import Noting, model
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, PredefinedSplit

from sklearn_mabprune import make_tabular_pipeline
from sklearn_mabprune.data.samples import Data
from sklearn_mabprune.estimators.peers import folds_of_peers
from sklearn_mabprune.training.lessons import out_of_fold
from sklearn_mabprune.training.teacher import resolve_teacher
from sklearn_mabprune.training.teacher_targets import ValueTargets

# Of two epochs: networks that are no good.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The trained network is worse"),
    pytest.mark.filterwarnings("ignore:pruning_budget"),
]

RNG = np.random.default_rng(0)
# Ten patients of twelve samples each, two of them for validation; the first feature tells who.
PATIENT = np.repeat(np.arange(10), 12)
X = np.column_stack([PATIENT, RNG.normal(size=(120, 2))])
Y = X[:, 1] + RNG.normal(size=10)[PATIENT]
LEFT, HELD = PATIENT < 8, PATIENT >= 8
FOLDS = PATIENT[LEFT] % 4


@pytest.fixture
def asked():
    Noting.asked.clear()
    return Noting.asked


def test_no_group_is_labelled_by_a_teacher_that_saw_it(asked):
    given = {"X_val": X[HELD], "y_val": Y[HELD]}
    model(teacher_cv=PredefinedSplit(FOLDS)).fit(X[LEFT], Y[LEFT], **given)
    assert len(asked) == 4
    assert not any(seen & new for seen, new in asked)
    assert set.union(*(new for _, new in asked)) == set(range(8))


def test_no_group_is_labelled_by_a_network_that_saw_it():
    data = Data(X[LEFT], Y[LEFT, None], None, 1)
    teacher = resolve_teacher(DummyRegressor(), data.x, ValueTargets(1))
    folds = folds_of_peers(out_of_fold(teacher, PredefinedSplit(FOLDS), data, 0))
    patients = PATIENT[LEFT]
    assert len(folds) == 4
    assert not any(set(patients[train]) & set(patients[test]) for train, test in folds)


def test_no_group_of_a_table_is_labelled_by_a_teacher_that_saw_it(asked):
    table = pd.DataFrame(X, columns=["patient", "a", "b"]).assign(
        word=np.array(["u", "v"])[PATIENT % 2]
    )
    pipe = make_tabular_pipeline(model(teacher_cv=PredefinedSplit(FOLDS)))
    held = pipe[:-1].fit(table[LEFT], Y[LEFT]).transform(table[HELD])
    name = pipe.steps[-1][0]
    pipe.fit(table[LEFT], Y[LEFT], **{f"{name}__X_val": held, f"{name}__y_val": Y[HELD]})
    assert pipe[-1].pruning_report_.teacher.saw == "columns"
    assert not any(seen & new for seen, new in asked)


def test_splitters_that_ask_for_groups_are_given_copies(asked):
    model(teacher_cv=GroupKFold(3), validation_fraction=0.2).fit(X, Y)
    assert any(seen & new for seen, new in asked)
    copies = np.repeat(X[::3], 3, axis=0)
    copies[:, 0] = np.repeat(np.arange(40), 3)
    asked.clear()
    model(teacher_cv=GroupKFold(3)).fit(copies, np.repeat(Y[::3], 3))
    assert not any(seen & new for seen, new in asked)


@pytest.mark.parametrize("folds", [np.arange(120) % 3, np.arange(90) % 3, np.arange(200) % 3])
def test_folds_of_other_samples_are_refused(folds):
    with pytest.raises(
        ValueError, match=r"divides \d+ samples, and the teacher has 108: .* Pass X_val"
    ):
        model(teacher_cv=PredefinedSplit(folds)).fit(X, Y)


def test_folds_of_samples_of_weight_0_are_refused():
    weights = np.where(np.arange(96) < 5, 0.0, 1.0)
    given = {"sample_weight": weights, "X_val": X[HELD], "y_val": Y[HELD]}
    with pytest.raises(ValueError, match="divides 96 samples, and the teacher has 91"):
        model(teacher_cv=PredefinedSplit(FOLDS)).fit(X[LEFT], Y[LEFT], **given)


def test_in_a_search_the_folds_of_all_samples_are_refused():
    search = GridSearchCV(model(teacher_cv=PredefinedSplit(FOLDS)), {"step": [0.1]}, cv=2)
    with pytest.raises(ValueError, match="In the fits of a cross-validation"):
        search.fit(X[LEFT], Y[LEFT])


class Masks(KFold):
    """Folds as boolean masks."""

    def split(self, X, y=None, groups=None):
        for train, _ in super().split(X):
            mask = np.isin(np.arange(len(X)), train)
            yield mask, ~mask


class TooFar(KFold):
    """Folds of more samples than there are."""

    def split(self, X, y=None, groups=None):
        yield np.arange(10), np.arange(10, len(X) + 1)


def test_masks_are_indices():
    data = Data(X, Y[:, None], None, 1)
    teacher = resolve_teacher("auto", X, ValueTargets(1))
    masks, indices = (out_of_fold(teacher, cv, data, 0) for cv in (Masks(3), KFold(3)))
    np.testing.assert_array_equal(masks.out_of_fold, indices.out_of_fold)
    with pytest.raises(ValueError, match="divides 121 samples, and the teacher has 120"):
        out_of_fold(teacher, TooFar(), data, 0)
