"""After cross-validation over budgets: the refitted estimator, its attributes and exports."""

from __future__ import annotations

import pickle

import numpy as np
import onnxruntime
import pytest
from budget_cv import GRID, KINDS, both, chooser, sizes
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import NotFittedError
from user_nets import (
    classes_table,
)

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    load,
    pipeline_to_onnx,
)


@pytest.mark.slow
@both
def test_it_has_what_its_estimator_has(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    model = make().fit(X, y)
    best = model.best_estimator_
    assert type(best) is (MABPrunedClassifier if kind == "classifier" else MABPrunedRegressor)
    assert best.pruning_budget == model.best_budget_
    for name in vars(best):
        if name.endswith("_") and not name.startswith("_"):
            assert getattr(model, name) is getattr(best, name)
    sized = model.at_budget(0.7, X, y)
    assert type(sized) is type(best)
    assert sizes(sized) == 6
    np.testing.assert_array_equal(sized.predict(X), best.at_budget(0.7, X, y).predict(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.cv_results_.keys() == model.cv_results_.keys()
    new = clone(model)
    assert not [name for name in vars(new) if name.endswith("_")]
    assert new.get_params()["estimator__estimator__lr"] == 0.01


@pytest.mark.slow
@both
def test_what_it_gives_away_is_its_estimators(kind, tmp_path):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    pipe = make_pipeline(StandardScaler(), make(budgets=(0, 0.5))).fit(X, y)
    model, rows = pipe[-1], pipe[0].transform(X)
    predict = "predict_proba" if kind == "classifier" else "predict"
    np.testing.assert_allclose(
        getattr(model.to_sklearn(), predict)(rows), getattr(model, predict)(rows), atol=1e-9
    )
    assert model.to_onnx() == model.best_estimator_.to_onnx()
    session = onnxruntime.InferenceSession(pipeline_to_onnx(pipe, X).SerializeToString())
    found = session.run(None, {"X": X})[-1]
    np.testing.assert_allclose(np.squeeze(found), getattr(pipe, predict)(X), atol=1e-9)
    with pytest.raises(TypeError, match="Save the best_estimator_ of a search"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    model.best_estimator_.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    assert loaded.pruning_budget == model.best_budget_


def test_without_refit_there_is_nothing_to_predict_with():
    X, y = classes_table()
    model = chooser(refit=False)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, y)
    assert model.best_budget_ in GRID
    for ask in (model.predict, model.predict_proba, lambda X: model.at_budget(0.5)):
        with pytest.raises(AttributeError, match="refit=False"):
            ask(X)
    for export in (model.to_torch, model.to_sklearn, model.to_onnx):
        with pytest.raises(NotFittedError, match="refit=False"):
            export()


def test_keep_path_is_for_the_refit():
    X, y = classes_table()
    model = chooser(budgets=(0.5,), keep_path="never").fit(X, y)
    assert not model.pruning_path_.networks
    with pytest.raises(ValueError, match="keep_path='never'"):
        model.at_budget(0.5)


def test_a_refit_that_fails_leaves_nothing():
    X, y = classes_table()
    model = chooser(budgets=(0.5,)).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[:-1])
    assert not [name for name in vars(model) if name.endswith("_")]
